//! The threads of a process as `/proc/PID/task` shows them: how many there are, what the kernel has them do, and who
//! traces them. Read without touching any of them.

use super::procdir::{ProcDir, status_field};

/// Threads looked at one by one; a process with more is judged by these.
const MOST_THREADS: usize = 1 << 16;

/// What the threads of a process are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadFacts {
    /// How many there are.
    pub count: usize,
    /// Those that wait in the kernel where an interrupt does not reach them at once (state D: vfork, a disk).
    pub blocked: usize,
    /// Whether all of them are stopped by a signal (state T).
    pub stopped: bool,
    /// The first thread found that is traced, and the thread that traces it.
    pub tracer: Option<(i32, i32)>,
}

impl ThreadFacts {
    /// Of the process behind an open `/proc/PID`; nothing where that may not be read.
    pub(crate) fn of(proc: &ProcDir) -> ThreadFacts {
        let tids = proc.numbers("task").unwrap_or_default();
        let mut facts = ThreadFacts::default();
        let mut stopped = 0;
        for tid in tids.into_iter().take(MOST_THREADS) {
            let Ok(status) = proc.text(&format!("task/{tid}/status")) else {
                continue;
            };
            let state = status_field(&status, "State").and_then(|state| state.chars().next());
            if matches!(state, None | Some('Z' | 'X')) {
                continue;
            }
            facts.count += 1;
            facts.blocked += usize::from(state == Some('D'));
            stopped += usize::from(state == Some('T'));
            let tracer = status_field(&status, "TracerPid").and_then(|tracer| tracer.parse().ok());
            if let Some(tracer) = tracer.filter(|&tracer: &i32| tracer != 0)
                && facts.tracer.is_none()
            {
                facts.tracer = Some((tid, tracer));
            }
        }
        facts.stopped = facts.count > 0 && stopped == facts.count;
        facts
    }
}
