//! How the threads of the child are scheduled: ahead of all others while the target stands still, behind them before and
//! after, and then not on its CPUs.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::Parent;
use crate::spare::{self, Cpus, Scheduling};
use crate::target::capture::again::Help;
use crate::target::capture::second::Second;
use crate::target::cgroup::quota::run_first;

/// What this thread has taken for the stop, and gives back after it.
pub(super) struct Turn {
    before: Scheduling,
    /// Whether it runs ahead of all ordinary threads. No quota holds for it then.
    pub ahead: bool,
    /// Whether a CPU was free for a second thread before the stop.
    spare: bool,
    home: Option<Cpus>,
}

impl Turn {
    /// While this process waits for a CPU the target stands still. It is short, at most `max`, and the timer ends it in
    /// any case. The second thread takes the same priority.
    pub fn take(max: Duration) -> Turn {
        Turn {
            before: Scheduling::of_this_thread(),
            ahead: run_first(max),
            spare: spare::cpu(),
            home: Cpus::of_this_thread(),
        }
    }

    /// How a second thread may help, `second` if there is one already.
    pub fn help(&self, second: Option<Second>) -> Help {
        match (second, self.home) {
            _ if !self.ahead || !spare::has_two_cpus() => Help::No,
            (None, Some(cpus)) if !self.spare => Help::Here(Box::new(cpus)),
            (second, _) => Help::Beside(second),
        }
    }

    /// The target runs on. `tell`: where the parent is told so if there is something for it to do meanwhile.
    pub fn end(&self, second: Option<&Second>, tell: Option<(&OwnedFd, Parent)>) {
        let mut home = self.home;
        if self.spare {
            self.before.restore();
            home = Cpus::of_this_thread();
            // It may take a while to wake up, and longer if it waits behind this thread.
            if let Some((tell, parent)) = tell {
                home.inspect(|Cpus { others, .. }| parent.send_to(others));
                let _ = nix::unistd::write(tell, &[0]);
            }
        } else {
            // If the kernel has moved this thread meanwhile, that was to a CPU of the target's.
            self.home.inspect(Cpus::stay);
            self.before.restore();
        }
        // With the end of this process the second thread wakes up, and takes the CPU it is on.
        if let Some(second) = second {
            second.schedule(&self.before);
            home.inspect(|Cpus { here, .. }| second.send_to(here));
        }
    }
}
