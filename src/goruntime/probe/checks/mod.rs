//! What a global or structure of a running Go program always looks like. Each question has a wrong answer that other
//! memory would give: small numbers, own indexes, addresses that agree with each other.

mod gc;
mod heap;
mod sched;

use std::fmt;

use super::sampled;
use crate::goruntime::cursor::{DecodeError, Fields, View, words};
use crate::goruntime::layout::Field;
use crate::goruntime::locate::Runtime;
use crate::goruntime::variants::{CLASS_TO_SIZE, PAGE_BYTES, SPAN_CLASSES};
use crate::memory::{Addr, Memory, Missing};

/// No process has more of anything that the runtime counts in one structure (goroutines, threads, Ps).
const MOST: u64 = 1 << 28;
/// Dates that a clock may show, ns since 1970: up to 2100. Machines without one start in 1970, so it cannot begin much
/// later than that.
const YEARS: std::ops::Range<u64> = 1..4_102_444_800_000_000_000;
/// No wait reason's text is longer, bytes.
const LONGEST_REASON: u64 = 64;

/// A structure that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The global it was reached by.
    pub global: &'static str,
    /// What does not hold.
    pub why: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runtime.{}: {}", self.global, self.why)
    }
}

/// Why a question was not answered with yes.
enum No {
    /// The bytes are not here (swapped out, never touched), which says nothing.
    Unread,
    /// They are not what they should be.
    Wrong(String),
}

type Answer = std::result::Result<(), No>;

/// Asks everything of the probed `memory`; empty when all of it holds.
pub fn mismatches(runtime: &Runtime, memory: &dyn Memory) -> Vec<Mismatch> {
    let probe = Probe { runtime, memory };
    let answers: [(&'static str, Answer); 18] = [
        ("firstmoduledata", probe.moduledata()),
        ("mheap_", probe.mheap()),
        ("mheap_", probe.spans()),
        ("allp", probe.processors()),
        ("gomaxprocs", probe.gomaxprocs()),
        ("emptymspan", probe.emptymspan()),
        ("allgs", probe.goroutines()),
        ("sched", probe.sched()),
        ("memstats", probe.memstats()),
        ("gcController", probe.gc_controller()),
        ("work", probe.work()),
        ("gcphase", probe.gcphase()),
        ("sweep", probe.sweep()),
        ("scavenge", probe.scavenge()),
        ("debug", probe.debug()),
        ("waitReasonStrings", probe.wait_reasons()),
        ("stackpool", probe.stackpool()),
        ("stackLarge", probe.stack_large()),
    ];
    answers
        .into_iter()
        .filter_map(|(global, answer)| match answer {
            Err(No::Wrong(why)) => Some(Mismatch { global, why }),
            Ok(()) | Err(No::Unread) => None,
        })
        .collect()
}

fn holds(condition: bool, why: impl FnOnce() -> String) -> Answer {
    if condition { Ok(()) } else { Err(No::Wrong(why())) }
}

fn read<T>(value: std::result::Result<T, DecodeError>) -> std::result::Result<T, No> {
    value.map_err(|error| match error {
        DecodeError::Missing { source, .. }
            if matches!(
                source.why,
                Missing::Swapped | Missing::NotPresent | Missing::BudgetSpent
            ) =>
        {
            No::Unread
        }
        other => No::Wrong(other.to_string()),
    })
}

struct Probe<'a> {
    runtime: &'a Runtime,
    memory: &'a dyn Memory,
}

impl<'a> Probe<'a> {
    fn view(&self, what: &'static str, at: Addr) -> View<'a> {
        View::new(self.memory, what, at)
    }

    fn at_most(&self, view: &View<'_>, name: &str, field: Field, most: u64) -> Answer {
        let value = read(view.uint(field))?;
        holds(value <= most, || format!("{name} is {value}"))
    }

    fn sample(&self, element: &str) -> Vec<Addr> {
        let all = sampled(self.runtime, self.memory);
        let of = all.iter().find(|sampled| sampled.element == element);
        of.map(|sampled| sampled.pointers(self.memory)).unwrap_or_default()
    }
}
