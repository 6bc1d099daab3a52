//! What a pause costs: the one set of figures that refuses a budget which cannot be kept, sets deadlines, and tells
//! beforehand what to expect.

use std::time::Duration;

/// Stopping and releasing one thread, and all the rest of an empty capture; from measurements.
const THREAD_NS: u64 = 11_000;
const FIXED_NS: u64 = 300_000;
/// Releasing one thread.
const RELEASE_NS: u64 = 6_000;
/// What may still pass when the time for reading is over: a call that is under way, and taking stock.
const LAST_CALL_NS: u64 = 450_000;
/// Copying the structure of one span and its entry in the list, and of one goroutine.
const SPAN_NS: u64 = 30;
const GOROUTINE_NS: u64 = 150;
/// How long a thread may take to stop before its state is looked up.
pub(super) const PATIENCE_NS: u64 = 2_000_000;
/// The same for further threads, which have had the time of the first one already.
pub(super) const SHORT_PATIENCE_NS: u64 = 100_000;

/// What the length of a pause depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseLoad {
    /// Threads to stop.
    pub threads: u64,
    /// Those of them that wait in the kernel where an interrupt does not reach them at once.
    pub blocked_threads: u64,
    /// Span structures to copy.
    pub spans: u64,
    /// Goroutine structures to copy.
    pub goroutines: u64,
}

impl PauseLoad {
    /// What stopping and releasing takes, whatever is read. A budget below it is refused.
    pub fn floor(&self) -> Duration {
        Duration::from_nanos(self.threads.saturating_mul(THREAD_NS).saturating_add(FIXED_NS))
    }

    /// CPU time that the tool must be certain to have before it stops anything: reading ends at a bound, but not before
    /// a call that is under way.
    pub(crate) fn least_cpu(&self) -> Duration {
        self.floor().saturating_add(Duration::from_nanos(LAST_CALL_NS))
    }

    /// All of it: an estimate for a machine with a CPU to spare.
    pub fn expected(&self) -> Duration {
        let blocked = match self.blocked_threads {
            0 => 0,
            more => (more - 1).saturating_mul(SHORT_PATIENCE_NS).saturating_add(PATIENCE_NS),
        };
        let read = self.spans.saturating_mul(SPAN_NS);
        let read = read.saturating_add(self.goroutines.saturating_mul(GOROUTINE_NS));
        self.floor()
            .saturating_add(Duration::from_nanos(read.saturating_add(blocked)))
    }

    /// What must be left of a budget, in ns, when the last byte has been read.
    pub(super) fn release_ns(&self, budget: Duration) -> u64 {
        let last_call = LAST_CALL_NS.min(budget.as_nanos() as u64 / 4);
        self.threads.saturating_mul(RELEASE_NS).saturating_add(last_call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_heap_costs_by_its_spans_and_a_large_process_by_its_threads() {
        let load = |threads, spans| PauseLoad {
            threads,
            spans,
            ..PauseLoad::default()
        };
        assert_eq!(load(10, 100_000).expected(), Duration::from_micros(3_410));
        assert_eq!(load(1_000, 0).floor(), Duration::from_micros(11_300));
        let endless = PauseLoad {
            threads: u64::MAX,
            blocked_threads: u64::MAX,
            spans: u64::MAX,
            goroutines: u64::MAX,
        };
        assert!(endless.expected() >= endless.floor());
    }
}
