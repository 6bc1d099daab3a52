//! What the checks of `doctor` come to: whether a scan will work, and whether its pause fits what is allowed.

use crate::model::{CheckStatus, DoctorCheck, ExpectedPause, Forecast, PauseBasis, Remedy, cause};
use crate::units;

/// Exit code of a capture that was cut short.
const PARTIAL: u8 = 6;
/// Exit code of a target that cannot be stopped within the budget.
const TOO_SLOW: u8 = 7;
/// A bound suggested for a pause leaves this much room above the estimate: machines are busy.
const ROOM: u64 = 4;
/// The longest bound that `--max-pause` takes.
const LONGEST_NS: u64 = 60_000_000_000;

/// The verdict on these checks.
pub fn forecast(checks: &[DoctorCheck], pause: Option<&ExpectedPause>) -> Forecast {
    if let Some(cause) = cause(checks) {
        let what = match cause.exit_code {
            Some(PARTIAL) => "a scan would be cut short",
            _ => "a scan will not work",
        };
        return Forecast {
            works: false,
            exit_code: cause.exit_code.unwrap_or(TOO_SLOW),
            text: format!("{what}: {}", cause.fact),
        };
    }
    let pause = match pause {
        Some(pause) if pause.suggested_max_ns.is_some() => {
            format!("expect about {} of pause", units::duration(pause.expected_ns))
        }
        _ => "nothing will be stopped".to_owned(),
    };
    Forecast {
        works: true,
        exit_code: 0,
        text: format!("a scan will work; {pause}"),
    }
}

/// The smallest round bound that leaves room above an estimate, both in ns.
pub fn suggested_max(expected_ns: u64) -> u64 {
    let least = expected_ns.saturating_mul(ROOM);
    let steps = (0..).map(|power| 10u64.checked_pow(power));
    let rounds = steps
        .map_while(|step| step)
        .flat_map(|step| [1, 2, 5].map(|digit| step.saturating_mul(digit)));
    rounds
        .filter(|&round| round >= 1_000_000)
        .find(|&round| round >= least)
        .map_or(LONGEST_NS, |round| round.min(LONGEST_NS))
}

/// The check on a pause, for process `pid`.
pub fn pause_check(pause: &ExpectedPause, pid: u64) -> DoctorCheck {
    let check = |status, fact: String| DoctorCheck {
        id: "pause".to_owned(),
        status,
        fact,
        ..DoctorCheck::default()
    };
    let (Some(max_ns), Some(suggested)) = (pause.max_ns, pause.suggested_max_ns) else {
        return check(CheckStatus::Ok, "nothing will be stopped".to_owned());
    };
    let threads = units::counted(pause.threads, "thread", "threads");
    let max = units::duration(max_ns);
    let expected = units::duration(pause.expected_ns);
    let remedies = || {
        vec![
            Remedy::noted(
                "allow a longer pause",
                format!("gomemscan attach {pid} --max-pause {}", humantime_of(suggested)),
            ),
            Remedy::noted("or read without a stop", format!("gomemscan attach {pid} --no-pause")),
        ]
    };
    if pause.floor_ns > max_ns {
        return DoctorCheck {
            remedies: remedies(),
            exit_code: Some(TOO_SLOW),
            ..check(
                CheckStatus::Fail,
                format!(
                    "stopping {threads} and letting them go takes about {}, more than the {max} allowed",
                    units::duration(pause.floor_ns)
                ),
            )
        };
    }
    let load = match (pause.basis, pause.spans, pause.goroutines) {
        (PauseBasis::Read, Some(spans), Some(goroutines)) => format!(
            "{threads}, {}, {}",
            units::counted(spans, "span", "spans"),
            units::counted(goroutines, "goroutine", "goroutines")
        ),
        (PauseBasis::Rss, Some(spans), _) => {
            format!(
                "{threads}, at most {} by its RSS",
                units::counted(spans, "span", "spans")
            )
        }
        _ => format!("{threads}; the heap's size is not known"),
    };
    let fact = format!("about {expected} for {load}; at most {max} are allowed");
    if pause.expected_ns > max_ns {
        return DoctorCheck {
            consequence: Some(
                "what was copied until then would be reported, and what was not would be named".to_owned(),
            ),
            remedies: remedies(),
            exit_code: Some(PARTIAL),
            ..check(CheckStatus::Fail, fact)
        };
    }
    if pause.blocked_threads > 0 {
        let blocked = units::counted(pause.blocked_threads, "thread waits", "threads wait");
        return DoctorCheck {
            consequence: Some(format!(
                "{blocked} in the kernel (vfork, a disk); each of them may lengthen the pause by 2 ms"
            )),
            ..check(CheckStatus::Warn, fact)
        };
    }
    check(CheckStatus::Ok, fact)
}

/// A round number of ns as `--max-pause` takes it.
fn humantime_of(ns: u64) -> String {
    match ns {
        _ if ns.is_multiple_of(1_000_000_000) => format!("{}s", ns / 1_000_000_000),
        _ => format!("{}ms", ns.div_ceil(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(expected_ns: u64, floor_ns: u64, max_ns: u64) -> ExpectedPause {
        ExpectedPause {
            expected_ns,
            floor_ns,
            max_ns: Some(max_ns),
            fits: Some(expected_ns <= max_ns),
            suggested_max_ns: Some(suggested_max(expected_ns)),
            threads: 7,
            spans: Some(1),
            goroutines: Some(2),
            basis: PauseBasis::Read,
            ..ExpectedPause::default()
        }
    }

    fn failing(code: u8, remedies: Vec<Remedy>) -> DoctorCheck {
        DoctorCheck {
            fact: format!("{code} with {}", remedies.len()),
            status: CheckStatus::Fail,
            exit_code: Some(code),
            remedies,
            ..DoctorCheck::default()
        }
    }

    #[test]
    fn bounds_are_round_and_leave_room() {
        for (expected, suggested) in [(1, 1_000_000), (400_000, 2_000_000), (3_000_000, 20_000_000)] {
            assert_eq!(suggested_max(expected), suggested);
        }
        assert_eq!(humantime_of(suggested_max(900_000_000)), "5s");
        assert_eq!(humantime_of(20_000_000), "20ms");
        assert_eq!(suggested_max(u64::MAX), LONGEST_NS);
    }

    #[test]
    fn a_pause_that_cannot_be_kept_fails_and_one_that_is_cut_short_is_partial() {
        let code = |pause: &ExpectedPause| pause_check(pause, 7).exit_code;
        assert_eq!(code(&pause(400, 300, 500)), None);
        assert_eq!(code(&pause(600, 300, 500)), Some(6));
        assert_eq!(code(&pause(700, 600, 500)), Some(7));
        let check = pause_check(&pause(3_000_000, 300, 1_000_000), 7);
        assert_eq!(
            check.remedies[0].command.as_deref(),
            Some("gomemscan attach 7 --max-pause 20ms")
        );
    }

    #[test]
    fn the_first_failure_decides_the_code_and_the_hopeless_one_the_words() {
        let mendable = || vec![Remedy::note("x")];
        let checks = [failing(4, mendable()), failing(4, vec![]), failing(7, vec![])];
        let verdict = forecast(&checks, None);
        assert_eq!((verdict.works, verdict.exit_code), (false, 4));
        assert_eq!(verdict.text, "a scan will not work: 4 with 0");
        assert_eq!(
            forecast(&[failing(6, mendable())], None).text,
            "a scan would be cut short: 6 with 1"
        );
    }

    #[test]
    fn what_works_names_the_pause() {
        let ok = [DoctorCheck::default()];
        assert_eq!(
            forecast(&ok, Some(&pause(1_200_000, 300, 500_000_000))).text,
            "a scan will work; expect about 1.2 ms of pause"
        );
        assert_eq!(forecast(&ok, None).text, "a scan will work; nothing will be stopped");
    }
}
