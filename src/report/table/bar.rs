//! Bars, gauges and tiny histograms, drawn to an eighth of a character where the terminal can.

use super::glyphs::Glyphs;

/// A bar for `part` of `whole` in at most `columns` columns; whatever is not nothing leaves a trace.
pub fn bar(part: u64, whole: u64, columns: usize, glyphs: &Glyphs) -> String {
    let steps = glyphs.bar.len();
    let Some(full) = glyphs.bar.last().filter(|_| part > 0 && whole > 0) else {
        return String::new();
    };
    let share = (part as f64 / whole as f64).min(1.0);
    let drawn = ((share * (columns * steps) as f64).round() as usize).max(1);
    let mut text = full.to_string().repeat(drawn / steps);
    if let Some(rest) = (drawn % steps).checked_sub(1) {
        text.extend(glyphs.bar.get(rest));
    }
    text
}

/// A bar and the rest of its scale, exactly `columns` wide.
pub fn gauge(part: u64, whole: u64, columns: usize, glyphs: &Glyphs) -> (String, String) {
    let filled = bar(part, whole, columns, glyphs);
    let rest = glyphs
        .gauge_rest
        .to_string()
        .repeat(columns.saturating_sub(filled.chars().count()));
    (filled, rest)
}

/// A histogram of one character per count, heights relative to the largest.
pub fn spark(counts: &[u64], glyphs: &Glyphs) -> String {
    let largest = counts.iter().copied().max().unwrap_or(0);
    let levels = glyphs.spark.len();
    counts
        .iter()
        .map(|count| match (*count, largest) {
            (0, _) | (_, 0) => glyphs.spark_none,
            (count, largest) => {
                let level = (count as f64 / largest as f64 * levels as f64).ceil() as usize;
                glyphs
                    .spark
                    .get(level.saturating_sub(1))
                    .copied()
                    .unwrap_or(glyphs.spark_none)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::glyphs::{ASCII, UNICODE};
    use super::*;

    #[test]
    fn a_bar_is_proportional_and_never_hides_what_is_there() {
        assert_eq!(bar(1, 1, 4, &UNICODE), "████");
        assert_eq!(bar(1, 2, 4, &UNICODE), "██");
        assert_eq!(bar(3, 16, 4, &UNICODE), "▊");
        assert_eq!(bar(1, u64::MAX, 4, &UNICODE), "▏");
        assert_eq!(bar(0, 5, 4, &UNICODE), "");
        assert_eq!(bar(5, 0, 4, &UNICODE), "");
        assert_eq!(bar(u64::MAX, 1, 4, &UNICODE), "████");
        assert_eq!(bar(1, 2, 4, &ASCII), "##");
    }

    #[test]
    fn a_gauge_keeps_its_width() {
        for part in [0, 1, 50, 99, 100, 1000] {
            let (filled, rest) = gauge(part, 100, 10, &UNICODE);
            assert_eq!(filled.chars().count() + rest.chars().count(), 10);
        }
    }

    #[test]
    fn a_histogram_tells_none_from_few() {
        assert_eq!(spark(&[0, 1, 50, 100], &UNICODE), "·▁▄█");
        assert_eq!(spark(&[0, 0], &UNICODE), "··");
        assert_eq!(spark(&[0, 1, 100], &ASCII), ".19");
    }
}
