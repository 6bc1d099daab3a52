//! The document behind `attach --json`, as plain data: one file per section, names and order of the contract.
//!
//! Analysis fills it, renderers read it, later commands load it back. `None` means either "does not apply" or
//! "could not be read"; the second is always listed in [`AttachReport::unavailable`] with its reason.

mod capture;
mod cgroup;
mod doctor;
mod findings;
mod gc;
mod goroutines;
mod head;
mod hex;
mod idle;
mod large_objects;
mod ledger;
mod memstats;
mod notes;
mod processors;
mod size_classes;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use capture::{Capture, Check, Confidence, Layout, LayoutSource, Source, Step, Stop, Symbols};
pub use cgroup::Cgroup;
pub use doctor::{
    CheckStatus, Container, DoctorCheck, DoctorReport, ExpectedPause, Forecast, Kubernetes, PauseBasis, Remedy, cause,
};
pub use findings::{Advice, Finding, Severity, Verdict, When};
pub use gc::{Gc, GcPhase, PauseSummary, Scavenger};
pub use goroutines::{AgeHistogram, ByCreator, ByWaitReason, FreeGoroutines, GoroutineGroup, Goroutines};
pub use head::{Host, Process, RuntimeInstance, Thp, Tool};
pub use hex::HexAddr;
pub use idle::{ByteBounds, Idle};
pub use large_objects::{LargeObject, LargeObjects};
pub use ledger::{Ledger, LedgerId, LedgerRow};
pub use memstats::MemStats;
pub use notes::{Grade, Graded, Unavailable, Warning};
pub use processors::{Mcache, PStatus, Processor};
pub use size_classes::SizeClass;

/// The version of the document's shape. Fields are only added within one version.
pub const SCHEMA_VERSION: u32 = 1;

/// One scan of one Go runtime in one live process, core or saved capture.
///
/// Bytes and counts are integers, times are integers of nanoseconds (`*_ns`) or RFC 3339 strings in UTC (`*_at`),
/// addresses are `"0x..."` strings. `null` means not applicable (no limit set, GC off), or not read; what could not
/// be read is listed under `unavailable`. Integers above 2^53 are rounded by readers that use doubles: `NextGC` and
/// `LastGC` therefore have string twins, "no limit" and "off" sentinels of the runtime are `null` elsewhere.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct AttachReport {
    /// Version of this document's shape; 1.
    pub schema_version: u32,
    /// What this document is: `"attach"`.
    pub kind: String,
    /// Wall-clock time of the capture on the tool's host, RFC 3339 in UTC.
    pub captured_at: String,
    /// CLOCK_MONOTONIC of the capture in the target's time namespace, in ns: the clock of the runtime's own times.
    /// Rounded to 2 ns by double-based readers once the host is up for more than 104 days.
    #[serde(default)]
    pub captured_monotonic_ns: Option<u64>,
    /// The tool that wrote this document.
    pub tool: Tool,
    /// The machine the target runs on.
    pub host: Host,
    /// The target.
    pub process: Process,
    /// How the bytes were had, and how far they can be trusted.
    pub capture: Capture,
    /// The one sentence an operator reads first; null when the heap could not be read.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// The figures of `runtime.MemStats` as the program itself would see them, under Go's own names.
    #[serde(default)]
    pub memstats: MemStats,
    /// Where the resident memory is: rows that add up.
    #[serde(default)]
    pub ledger: Ledger,
    /// Memory that is free inside the Go heap but not returned to the OS, and what would return it.
    #[serde(default)]
    pub idle: Idle,
    /// Small-object spans by size class and scan-ness; null when spans could not be read.
    #[serde(default)]
    pub size_classes: Option<Vec<SizeClass>>,
    /// Objects with a span of their own (above 32 KiB).
    #[serde(default)]
    pub large_objects: LargeObjects,
    /// The live Ps (`runtime.allp`, GOMAXPROCS of them) and their caches; null when they could not be read.
    #[serde(default)]
    pub processors: Option<Vec<Processor>>,
    /// How many live Ps are idle (count).
    #[serde(default)]
    pub idle_count: Option<u64>,
    /// How many Ps exist beyond GOMAXPROCS, kept from when it was larger (count).
    #[serde(default)]
    pub retired_count: Option<u64>,
    /// How many mcache structures lie on `mheap_.cachealloc`'s free list (count).
    #[serde(default)]
    pub free_mcaches: Option<u64>,
    /// Finished goroutines whose structures the runtime keeps for reuse.
    #[serde(default)]
    pub free_goroutines: FreeGoroutines,
    /// Goroutines by status, wait reason and creator.
    #[serde(default)]
    pub goroutines: Goroutines,
    /// The garbage collector, its pacing and the scavenger.
    #[serde(default)]
    pub gc: Gc,
    /// The memory cgroup that limits the target; null when there is none.
    #[serde(default)]
    pub cgroup: Option<Cgroup>,
    /// What stands out, worst first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Figures that are not exact. A pointer covers everything below it; figures not listed are exact.
    #[serde(default)]
    pub grades: Vec<Graded>,
    /// What could not be read, and why. A pointer covers everything below it.
    pub unavailable: Vec<Unavailable>,
    /// What went less than well without making a figure unavailable.
    pub warnings: Vec<Warning>,
}

impl AttachReport {
    /// An empty report with `schema_version` and `kind` set.
    pub fn new() -> AttachReport {
        AttachReport {
            schema_version: SCHEMA_VERSION,
            kind: "attach".to_owned(),
            ..AttachReport::default()
        }
    }

    /// Adds a warning about a section.
    pub fn warn(&mut self, section: &str, message: impl Into<String>) {
        self.warnings.push(Warning {
            section: section.to_owned(),
            message: message.into(),
        });
    }

    /// Why the figure at a JSON pointer is missing: the entry of `unavailable` for it or for something above it.
    pub fn unavailable_reason(&self, pointer: &str) -> Option<&str> {
        self.unavailable
            .iter()
            .find(|entry| notes::covers(&entry.pointer, pointer))
            .map(|entry| entry.reason.as_str())
    }

    /// How exact the figure at a JSON pointer is: the most specific entry of `grades`, exact when there is none.
    pub fn grade(&self, pointer: &str) -> Grade {
        self.grades
            .iter()
            .filter(|entry| notes::covers(&entry.pointer, pointer))
            .max_by_key(|entry| entry.pointer.len())
            .map_or(Grade::Exact, |entry| entry.grade)
    }

    /// Whether anything is missing from this report (exit code 6).
    pub fn is_partial(&self) -> bool {
        !self.unavailable.is_empty() || self.capture.incomplete.is_some()
    }
}
