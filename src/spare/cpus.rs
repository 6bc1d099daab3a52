//! On which CPUs threads may run, and whether the kernel may be told.

use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// As the scheduler's calls name the thread that makes them.
pub(super) const THIS_THREAD: Pid = Pid::from_raw(0);

/// Where threads may run.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// Where this thread may.
    pub all: CpuSet,
    /// The CPU that it is on.
    pub here: CpuSet,
    /// All but that one: where a thread may start that is to run beside it. The scheduler of a virtual machine takes a CPU
    /// that is idle for one that is away, and lets the other thread wait behind this one for some milliseconds.
    pub others: CpuSet,
}

impl Cpus {
    /// Those of this thread; `None` where there is only one, or a filter may kill for being told to use them.
    pub fn of_this_thread() -> Option<Cpus> {
        if is_filtered() {
            return None;
        }
        let all = sched_getaffinity(THIS_THREAD).ok()?;
        let (mut here, mut others) = (CpuSet::new(), all);
        let cpu = sched_getcpu().ok()?;
        here.set(cpu).and_then(|()| others.unset(cpu)).ok()?;
        let any = (0..CpuSet::count()).any(|cpu| others.is_set(cpu).unwrap_or(false));
        any.then_some(Cpus { all, here, others })
    }

    /// This thread runs where it was when this was asked, and nowhere else; so does what it makes from now on.
    pub fn stay(&self) {
        let _ = sched_setaffinity(THIS_THREAD, &self.here);
    }

    /// This thread may run wherever the scheduler finds best.
    pub fn use_all(&self) {
        let _ = sched_setaffinity(THIS_THREAD, &self.all);
    }
}

/// Whether a seccomp filter watches this process, or may: one can kill for a call that it does not know.
pub fn is_filtered() -> bool {
    static FILTERED: OnceLock<bool> = OnceLock::new();
    let look = || {
        let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
            return true;
        };
        let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        mode.is_some_and(|mode| mode.trim() != "0")
    };
    *FILTERED.get_or_init(look)
}
