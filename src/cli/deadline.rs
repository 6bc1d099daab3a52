//! A scan ends, whatever the target and its files hold: when it takes longer than it may, the kernel sends this process
//! SIGALRM, whose handler says which step went on too long and ends it. The child that captures dies with it, and the
//! kernel then lets the target go.

use std::time::Duration;

use super::exit;
use crate::target::Alarm;

/// A deadline for reading and reckoning; over when dropped, so that a reader of the output may take its time.
pub struct Deadline {
    alarm: Alarm,
    what: String,
}

impl Deadline {
    /// The clock runs from now on. `what` is what has to end: "the scan of process 1".
    pub fn start(limit: Duration, what: String) -> Deadline {
        let limit_text = humantime::format_duration(limit);
        let what = format!("{what} did not end within {limit_text} (--deadline)");
        let alarm = Alarm::set(limit, exit::IO);
        let deadline = Deadline { alarm, what };
        deadline.step("starting");
        deadline
    }

    /// What is being done now.
    pub fn step(&self, step: &str) {
        let remedy =
            "  its memory or its binary may be damaged, or the machine too busy: try again, or allow more time";
        self.alarm
            .say(format!("gomemscan: {}; it was {step}\n{remedy}\n", self.what));
    }
}
