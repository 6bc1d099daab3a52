//! When a pass must be over: at a time of day, and, where a quota bounds it, once this process has used so much CPU.

use crate::target::sys::{monotonic_ns, own_cpu_ns};

/// The end of what a pass may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// CLOCK_MONOTONIC.
    wall_ns: u64,
    /// CLOCK_PROCESS_CPUTIME_ID; `None`: any amount.
    cpu_ns: Option<u64>,
}

impl Deadline {
    /// At this time of CLOCK_MONOTONIC.
    pub(crate) fn at(wall_ns: u64) -> Deadline {
        Deadline { wall_ns, cpu_ns: None }
    }

    /// The same, or once this process has used so many nanoseconds of CPU more, if that is earlier.
    pub(crate) fn or_after_using(self, cpu_ns: u64) -> Deadline {
        Deadline {
            cpu_ns: Some(own_cpu_ns().saturating_add(cpu_ns)),
            ..self
        }
    }

    /// The same, or in so many nanoseconds, if that is earlier.
    pub(crate) fn or_in(self, ns: u64) -> Deadline {
        Deadline {
            wall_ns: self.wall_ns.min(monotonic_ns().saturating_add(ns)),
            ..self
        }
    }

    /// Whether it is over.
    pub(crate) fn has_passed(&self) -> bool {
        monotonic_ns() >= self.wall_ns || self.cpu_ns.is_some_and(|cpu_ns| own_cpu_ns() >= cpu_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_uses_up_one_bound_and_waiting_the_other() {
        let far = Deadline::at(u64::MAX);
        let (work, wait) = (far.or_after_using(3_000_000), far.or_in(3_000_000));
        assert!(!far.has_passed() && !work.has_passed());
        while !wait.has_passed() {
            std::hint::spin_loop();
        }
        // Waiting like that is work.
        while !work.has_passed() {
            std::hint::spin_loop();
        }
        assert!(!far.has_passed() && Deadline::at(0).has_passed());
    }
}
