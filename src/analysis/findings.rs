//! What stands out, worst first, and what to do about it. Each finding is one function that looks at the finished
//! sections, says why it believes what it says, and points at the figures.

mod goroutines;
mod heap;
mod limits;

use crate::model::{
    Advice, Capture, Cgroup, Finding, FreeGoroutines, Gc, Goroutines, Idle, LargeObjects, Ledger, LedgerId, MemStats,
    Severity, SizeClass, Verdict, When,
};
use crate::units;

/// The sections that findings look at.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each is the section of the report it is named after")]
pub struct FindingFacts<'a> {
    pub capture: &'a Capture,
    pub ledger: &'a Ledger,
    pub idle: &'a Idle,
    pub memstats: &'a MemStats,
    pub size_classes: &'a [SizeClass],
    pub large_objects: &'a LargeObjects,
    pub goroutines: &'a Goroutines,
    pub free_goroutines: &'a FreeGoroutines,
    pub gc: &'a Gc,
    pub cgroup: Option<&'a Cgroup>,
    /// Whether what was freed stays resident until the system is short of memory (GODEBUG=madvdontneed=0).
    pub lazily_freed: bool,
    /// The mapped data file with the most resident bytes, and these.
    pub largest_file: Option<&'a (String, u64)>,
}

impl FindingFacts<'_> {
    /// The base against which shares are taken: RSS, or the runtime's own Sys where RSS is not known.
    fn rss(&self) -> Option<u64> {
        self.ledger.rss_bytes.or(self.memstats.sys).filter(|rss| *rss > 0)
    }

    fn row(&self, id: LedgerId) -> Option<u64> {
        self.ledger.rows.iter().find(|row| row.id == id)?.resident_bytes
    }
}

/// Every finding that holds, worst first.
pub fn findings(facts: &FindingFacts<'_>) -> Vec<Finding> {
    let mut all: Vec<Finding> = [
        limits::near_the_limit(facts),
        limits::swapped(facts),
        limits::checks_disagree(facts),
        heap::idle_unreturned(facts),
        heap::gc_off(facts),
        heap::limit_too_low(facts),
        heap::outside_go(facts),
        heap::mapped_files(facts),
        heap::sparse_classes(facts),
        goroutines::stacks(facts),
        goroutines::dead(facts),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.extend(goroutines::piled_up(facts));
    all.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), std::cmp::Reverse(finding.bytes)));
    all
}

/// The one sentence that an operator reads first.
pub fn verdict(facts: &FindingFacts<'_>, findings: &[Finding]) -> Option<Verdict> {
    if let Some(why) = &facts.capture.incomplete {
        let text = format!(
            "The scan is incomplete: {why}. Allow a longer pause (--max-pause), or read without one (--no-pause)."
        );
        return Some(Verdict {
            severity: Severity::Warning,
            text,
        });
    }
    let rss = facts.rss()?;
    let severity = findings
        .iter()
        .map(|finding| finding.severity)
        .max()
        .unwrap_or(Severity::Info);
    let Some(unreturned) = facts.idle.unreturned_resident_bytes.or(facts.idle.unreturned_bytes) else {
        let text = format!(
            "Too little could be read to say where the {} RSS are; see below what and why.",
            units::bytes(rss)
        );
        return Some(Verdict {
            severity: severity.max(Severity::Warning),
            text,
        });
    };
    let total = units::bytes(rss);
    let text = if unreturned.saturating_mul(5) >= rss {
        let now = match facts.idle.returnable_now_bytes {
            Some(bytes) if bytes > 0 => format!("; {} of it could be returned at once", units::bytes(bytes)),
            _ => String::new(),
        };
        let of = units::bytes(unreturned);
        format!("{of} of the {total} RSS is idle Go heap that the runtime has kept{now}.")
    } else {
        let (largest, label) = largest_group(facts)?;
        let share = units::share(largest, rss);
        format!(
            "The largest part of the {total} RSS is {label}: {} ({share}); {} is idle Go heap not returned.",
            units::bytes(largest),
            units::bytes(unreturned),
        )
    };
    Some(Verdict { severity, text })
}

/// The rows of the ledger as an operator thinks of them, and the largest of these groups.
fn largest_group(facts: &FindingFacts<'_>) -> Option<(u64, &'static str)> {
    let group = |id: LedgerId| match id {
        LedgerId::HeapMarked
        | LedgerId::HeapAllocatedSinceGc
        | LedgerId::HeapGarbageUnswept
        | LedgerId::HeapFreeSlots
        | LedgerId::HeapSpanTails => "Go heap in use",
        LedgerId::HeapIdleUnreturned | LedgerId::HeapReleased => "idle Go heap",
        LedgerId::GoroutineStacks | LedgerId::FreeStacks => "goroutine stacks",
        LedgerId::RuntimeMetadata => "the Go runtime's own data",
        LedgerId::BinaryAndLibraries => "the binary and its libraries",
        LedgerId::MappedFiles => "mapped files",
        LedgerId::OtherMappings => "memory outside Go (C heap, other mappings)",
    };
    let mut groups: Vec<(u64, &'static str)> = Vec::new();
    for row in &facts.ledger.rows {
        let bytes = row.resident_bytes.unwrap_or(0);
        match groups.iter_mut().find(|(_, label)| *label == group(row.id)) {
            Some((sum, _)) => *sum = sum.saturating_add(bytes),
            None => groups.push((bytes, group(row.id))),
        }
    }
    groups
        .into_iter()
        .max_by_key(|(bytes, _)| *bytes)
        .filter(|(bytes, _)| *bytes > 0)
}

fn advice(when: When, text: impl Into<String>) -> Advice {
    Advice {
        text: text.into(),
        when,
    }
}

fn pointers(list: &[&str]) -> Vec<String> {
    list.iter().map(|pointer| (*pointer).to_owned()).collect()
}
