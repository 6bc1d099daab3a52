//! Pure functions on the decoded snapshot: what the figures mean. Nothing here reads memory or prints; every figure of
//! the report is computed here once.

mod alike;
mod checks;
mod doctor;
mod findings;
mod gc;
mod goroutines;
mod heap;
mod idle;
mod ledger;
mod memstats;
mod occupancy;
mod processors;
mod spans;

pub use checks::{check, checks};
pub use doctor::{forecast, pause_check, suggested_max};
pub use findings::{FindingFacts, findings, verdict};
pub use gc::{Clock, gc};
pub use goroutines::{free_goroutines, goroutines};
pub use heap::{HeapKinds, Kinds, Near, Resident};
pub use idle::{IdleFacts, idle};
pub use ledger::{MappingKind, MappingRow, RssFacts, ledger};
pub use memstats::memstats;
pub use occupancy::{large_objects, size_classes};
pub use processors::processors;
pub use spans::{MarkCounts, SpanFacts, SpanSums};

/// A sum that ends at the largest number: parts that a broken target claims may add up to more than there is.
fn sum(parts: impl Iterator<Item = u64>) -> u64 {
    parts.fold(0, u64::saturating_add)
}
