//! Ps and what each of them keeps for itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One P and its caches.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Processor {
    /// Its number, from 0.
    pub id: u64,
    /// Its status.
    pub status: PStatus,
    /// Its mcache; null when it has none or it could not be read.
    pub mcache: Option<Mcache>,
    /// Free, unreturned bytes in its page cache (`pcache`).
    pub page_cache_bytes: Option<u64>,
    /// mspan structures it keeps for reuse (`mspancache`, count).
    pub cached_spans: Option<u64>,
    /// Finished goroutines it keeps for reuse (`gFree`, count).
    pub dead_goroutines: Option<u64>,
    /// sudogs it keeps for reuse (count).
    pub sudogs: Option<u64>,
    /// Defer records it keeps for reuse (count).
    pub defers: Option<u64>,
    /// Timers in its heap (count).
    pub timers: Option<u64>,
    /// Goroutines in its run queue, runnext included (count).
    pub run_queue: Option<u64>,
}

/// What an mcache holds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Mcache {
    /// Spans cached (count).
    pub spans: u64,
    /// Bytes of these spans.
    pub span_bytes: u64,
    /// Bytes of free slots in these spans.
    pub free_bytes: u64,
    /// Bytes left in the tiny block, which packs pointer-free objects under 16 B; 0 when there is none.
    #[serde(default)]
    pub tiny_free_bytes: u64,
    /// Bytes of free stacks cached.
    pub stack_cache_bytes: Option<u64>,
    /// Whether it was flushed since the last GC began to sweep (`flushGen` is the heap's sweepgen).
    pub flushed: bool,
}

/// Status of a P.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum PStatus {
    /// Not running Go code (`_Pidle`).
    #[default]
    Idle,
    /// Owned by an M (`_Prunning`).
    Running,
    /// Its M is in a system call (`_Psyscall`, before Go 1.26).
    Syscall,
    /// Stopped for a stop-the-world (`_Pgcstop`).
    Gcstop,
    /// Beyond GOMAXPROCS (`_Pdead`).
    Dead,
    /// A number the runtime does not know.
    Unknown,
}
