//! The garbage collector: where it is in its cycle, what it aims for, and what the scavenger does.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The garbage collector, its pacing and the scavenger.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Gc {
    /// Where it is in its cycle.
    pub phase: Option<GcPhase>,
    /// Whether GOGC=off.
    pub off: Option<bool>,
    /// GOGC in percent; null when off.
    pub gogc: Option<u64>,
    /// GOMEMLIMIT in bytes; null when none is set.
    pub memory_limit_bytes: Option<u64>,
    /// Heap size in bytes the current cycle aims for; null when GC is off.
    pub heap_goal_bytes: Option<u64>,
    /// `heapLive`: bytes the pacer counts as live, cached spans in full.
    pub heap_live_bytes: Option<u64>,
    /// Bytes the last GC marked as live.
    pub heap_marked_bytes: Option<u64>,
    /// Bytes allocated since the last mark: live or dead, unknown.
    pub allocated_since_gc_bytes: Option<u64>,
    /// End of the last cycle, RFC 3339 in UTC; null before the first.
    pub last_gc_at: Option<String>,
    /// Time from the end of the last cycle to the capture, in ns; null before the first.
    pub last_gc_age_ns: Option<u64>,
    /// Completed cycles (count).
    pub cycles: Option<u64>,
    /// Whether the sweep of the last cycle is complete.
    pub sweep_done: Option<bool>,
    /// The most recent stop-the-world pauses in ns, newest first, 256 at most.
    pub pauses_ns: Option<Vec<u64>>,
    /// The same pauses summed up; null when there were none.
    pub pause_summary: Option<PauseSummary>,
    /// Fraction of the available CPU time used by the GC since the start, 0 to 1.
    pub cpu_fraction_since_start: Option<f64>,
    /// The scavenger, which returns idle memory in the background.
    pub scavenger: Option<Scavenger>,
    /// GODEBUG settings that matter for memory, by name (`madvdontneed`, `disablethp`, ...), as the runtime has them.
    pub debug: Option<BTreeMap<String, i64>>,
}

/// Where the GC is in its cycle (`gcphase`).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum GcPhase {
    /// Not marking; perhaps sweeping.
    #[default]
    Idle,
    /// Marking.
    Mark,
    /// Ending the mark.
    MarkTermination,
}

/// Recent stop-the-world pauses, summed up.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseSummary {
    /// Pauses looked at (count).
    pub count: u64,
    /// Median in ns.
    pub p50_ns: u64,
    /// Longest in ns.
    pub max_ns: u64,
}

/// The scavenger.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Scavenger {
    /// Retained heap in bytes it scavenges down to because of GOGC; null when it has nothing to do.
    pub gc_percent_goal_bytes: Option<u64>,
    /// Mapped memory in bytes it scavenges down to because of GOMEMLIMIT; null when there is no limit.
    pub memory_limit_goal_bytes: Option<u64>,
    /// Cumulative time in the background in ns.
    pub background_time_ns: Option<u64>,
    /// Cumulative time on behalf of allocations in ns.
    pub assist_time_ns: Option<u64>,
    /// Whether it sleeps until the next GC.
    pub parked: Option<bool>,
    /// Bytes returned in the background since the runtime last reset the counter.
    pub released_background_bytes: Option<u64>,
    /// Bytes returned on behalf of allocations since the runtime last reset the counter.
    pub released_eager_bytes: Option<u64>,
}
