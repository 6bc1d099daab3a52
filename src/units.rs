//! Quantities as people read them: bytes in binary units, times in the largest fitting unit, counts in groups of
//! three, shares in whole per cent. One style everywhere, three to four significant digits.

const BYTE_UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes in the largest binary unit that leaves at least 1: "0 B", "1023 B", "1.00 KiB", "716.4 MiB".
pub fn bytes(value: u64) -> String {
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64;
    let mut text = String::new();
    for unit in BYTE_UNITS {
        scaled /= 1024.0;
        let decimals = significant_decimals(scaled);
        // A value that rounds up to 1024 belongs to the next unit.
        if scaled < 1023.5 || unit == "EiB" {
            text = format!("{scaled:.decimals$} {unit}");
            break;
        }
    }
    text
}

/// Signed bytes, for differences: "-1.50 KiB", "0 B", "2.00 MiB".
pub fn signed_bytes(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", bytes(value.unsigned_abs()))
}

/// Three significant digits below 100, one decimal below 1000, none above; decided on the rounded value.
fn significant_decimals(value: f64) -> usize {
    if value < 9.995 {
        2
    } else if value < 999.95 {
        1
    } else {
        0
    }
}

/// A count with thousands separators: "26,412".
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A signed count with its sign: "+3", "-1,024", "0".
pub fn signed_count(value: i64) -> String {
    let sign = match value {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", count(value.unsigned_abs()))
}

/// A count with its noun, the noun in the plural where English wants it: "1 span", "26,412 spans".
pub fn counted(value: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", count(value), if value == 1 { singular } else { plural })
}

/// A time in ns: "0 ns", "850 ns", "2.1 ms", "38 s", "3m 20s", "2h 11m", "3d 4h". Parts are cut, never rounded up,
/// from a minute on, so that an age stays a lower bound.
pub fn duration(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    if seconds >= 60 {
        return match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
            (0, 0, minutes, rest) => two_parts(minutes, "m", rest, "s"),
            (0, hours, minutes, _) => two_parts(hours, "h", minutes, "m"),
            (days, hours, ..) => two_parts(days, "d", hours, "h"),
        };
    }
    if nanoseconds < 1_000 {
        return format!("{nanoseconds} ns");
    }
    let (scaled, unit) = if nanoseconds < 999_500 {
        (nanoseconds as f64 / 1e3, "µs")
    } else if nanoseconds < 999_500_000 {
        (nanoseconds as f64 / 1e6, "ms")
    } else {
        (nanoseconds as f64 / 1e9, "s")
    };
    // 59.9 s is not yet a minute and must not read "60 s".
    let scaled = if unit == "s" {
        scaled.min(59.0_f64.max(scaled.floor()))
    } else {
        scaled
    };
    let decimals = usize::from(scaled < 9.95);
    format!("{scaled:.decimals$} {unit}")
}

fn two_parts(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit} {small}{small_unit}")
    }
}

/// `part` of `whole` in whole per cent: "0 %", "<1 %", "23 %", ">99 %", "100 %"; "-" of nothing. Only all of it reads
/// as 100 %, only none of it as 0 %.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    match part {
        0 => "0 %".to_owned(),
        _ if percent < 0.995 => "<1 %".to_owned(),
        _ if part < whole && percent > 99.0 => ">99 %".to_owned(),
        _ => format!("{percent:.0} %"),
    }
}

/// A fraction (0 to 1) in per cent, with a decimal while it is small: "0 %", "<0.1 %", "0.8 %", "12 %".
pub fn fraction(value: f64) -> String {
    let percent = value * 100.0;
    if !percent.is_finite() || percent < 0.0 {
        "-".to_owned()
    } else if percent == 0.0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        "<0.1 %".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_change_units_at_1024_and_keep_three_to_four_digits() {
        for (value, text) in [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10 * 1024 - 6, "9.99 KiB"),
            (10 * 1024 - 1, "10.0 KiB"),
            (100 * 1024, "100.0 KiB"),
            (1000 * 1024, "1000 KiB"),
            ((1 << 20) - 513, "1023 KiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            (1 << 20, "1.00 MiB"),
            (751_199_846, "716.4 MiB"),
            (2_040_109_466, "1.90 GiB"),
            ((1 << 40) - 1, "1.00 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(value), text, "{value}");
        }
    }

    #[test]
    fn signed_bytes_keep_their_sign() {
        assert_eq!(signed_bytes(-1536), "-1.50 KiB");
        assert_eq!(signed_bytes(0), "0 B");
        assert_eq!(signed_bytes(i64::MIN), "-8.00 EiB");
    }

    #[test]
    fn counts_are_grouped_by_three() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(value), text);
        }
        assert_eq!(signed_count(-1024), "-1,024");
        assert_eq!(signed_count(3), "+3");
        assert_eq!(signed_count(0), "0");
        assert_eq!(counted(1, "span", "spans"), "1 span");
        assert_eq!(counted(0, "span", "spans"), "0 spans");
    }

    #[test]
    fn durations_run_from_nanoseconds_to_days() {
        const S: u64 = 1_000_000_000;
        for (value, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (85_400, "85 µs"),
            (999_499, "999 µs"),
            (999_500, "1.0 ms"),
            (2_100_000, "2.1 ms"),
            (9_949_999, "9.9 ms"),
            (9_950_000, "10 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.0 s"),
            (38 * S, "38 s"),
            (59 * S + 999_999_999, "59 s"),
            (60 * S, "1m"),
            (200 * S, "3m 20s"),
            (3_599 * S, "59m 59s"),
            (3_600 * S, "1h"),
            (7_860 * S, "2h 11m"),
            (86_400 * S - 1, "23h 59m"),
            (86_400 * S, "1d"),
            (76 * 3_600 * S, "3d 4h"),
            (u64::MAX, "213503d 23h"),
        ] {
            assert_eq!(duration(value), text, "{value}");
        }
    }

    #[test]
    fn only_all_of_it_is_a_hundred_per_cent_and_only_nothing_is_zero() {
        for (part, whole, text) in [
            (0, 100, "0 %"),
            (1, 1_000, "<1 %"),
            (9, 1_000, "<1 %"),
            (10, 1_000, "1 %"),
            (23, 100, "23 %"),
            (99, 100, "99 %"),
            (999, 1_000, ">99 %"),
            (100, 100, "100 %"),
            (150, 100, "150 %"),
            (1, 0, "-"),
        ] {
            assert_eq!(share(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn small_fractions_keep_a_decimal() {
        for (value, text) in [
            (0.0, "0 %"),
            (0.0001, "<0.1 %"),
            (0.008, "0.8 %"),
            (0.12, "12 %"),
            (1.0, "100 %"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(fraction(value), text);
        }
    }
}
