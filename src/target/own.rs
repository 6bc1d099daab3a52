//! What the machine and the tool's own cgroup leave to the tool. What does not change while a target is scanned, and where
//! the rest is to be read, is looked up once: it takes as long as many a pause.

use std::sync::OnceLock;
use std::time::Duration;

use super::cgroup::quota::own_realtime_share;
use super::cgroup::{OwnMemory, own_tasks_left};
use super::host::memory_available_bytes;

/// What is left to the tool.
#[derive(Debug)]
pub struct OwnMeans {
    memory: Option<OwnMemory>,
    /// Real-time CPU time per period that the tool's own group is given, where it has a share of its own (cgroup v1);
    /// `None`: not limited by a group.
    pub(super) realtime_share: Option<Duration>,
    tasks_left: Option<u64>,
}

/// Threads and processes that a scan must have: the child that captures.
const TASKS_NEEDED: u64 = 1;

impl OwnMeans {
    /// Those of this process.
    pub fn get() -> &'static OwnMeans {
        static FOUND: OnceLock<OwnMeans> = OnceLock::new();
        FOUND.get_or_init(|| OwnMeans {
            memory: OwnMemory::find(),
            realtime_share: own_realtime_share(),
            tasks_left: own_tasks_left(),
        })
    }

    /// What the tool's own group has left at this moment, as [`CgroupFacts::headroom_bytes`](super::CgroupFacts::headroom_bytes).
    pub fn headroom_bytes(&self) -> Option<u64> {
        self.memory.as_ref().and_then(OwnMemory::headroom_bytes)
    }

    /// Whether the tool may have a thread more than it needs, by what its own group had left at first.
    pub fn may_have_thread(&self) -> bool {
        self.tasks_left.is_none_or(|left| left > TASKS_NEEDED)
    }

    /// What may be copied at this moment without pressing the host or the tool's own cgroup, which may be the target's too.
    pub fn affordable_bytes(&self) -> u64 {
        let host = memory_available_bytes().unwrap_or(u64::MAX);
        // Twice the budget can be in memory when the second pass asks for other pages than the first.
        host.min(self.headroom_bytes().unwrap_or(u64::MAX)) / 4
    }
}
