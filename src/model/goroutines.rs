//! Goroutines, counted: by status, by what they wait for, by who created them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Goroutines by status, wait reason and creator.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Goroutines {
    /// Goroutines that exist (not finished), system ones included (count).
    pub total: Option<u64>,
    /// The part of `total` that the program started: runtime.NumGoroutine (count).
    pub user: Option<u64>,
    /// The part of `total` that the runtime started for itself (count).
    pub system: Option<u64>,
    /// Counts by status in the runtime's words: runnable, running, syscall, waiting, copystack, preempted, leaked.
    pub by_status: Option<BTreeMap<String, u64>>,
    /// Waiting goroutines by wait reason, most first.
    pub by_wait_reason: Option<Vec<ByWaitReason>>,
    /// Goroutines by the function whose go statement created them, most first.
    pub by_creator: Option<Vec<ByCreator>>,
    /// Goroutines by wait reason (or status) and creator together, most first.
    pub groups: Option<Vec<GoroutineGroup>>,
    /// Waiting goroutines by how long they have waited at least.
    pub age_histogram: Option<AgeHistogram>,
}

/// Goroutines with one wait reason.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct ByWaitReason {
    /// The runtime's text, for example "chan receive".
    pub reason: String,
    /// How many (count).
    pub count: u64,
    /// Lower bound of the longest wait among them, in ns; null when all began to wait after the last GC.
    pub oldest_wait_ns: Option<u64>,
}

/// Goroutines created by one go statement's function.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct ByCreator {
    /// Function with the go statement; null when unknown.
    pub function: Option<String>,
    /// Its file; null when unknown.
    pub file: Option<String>,
    /// Line of the go statement; null when unknown.
    pub line: Option<u64>,
    /// How many (count).
    pub count: u64,
}

/// Goroutines alike in what they do and where they come from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct GoroutineGroup {
    /// Whether they are the runtime's own.
    #[serde(default)]
    pub system: bool,
    /// Status in the runtime's words, for example "waiting".
    pub status: String,
    /// Wait reason; null unless waiting.
    pub reason: Option<String>,
    /// Function with the go statement that created them; null when unknown.
    pub function: Option<String>,
    /// Its file; null when unknown.
    pub file: Option<String>,
    /// Line of the go statement; null when unknown.
    pub line: Option<u64>,
    /// How many (count).
    pub count: u64,
    /// Lower bound of the longest wait among them, in ns; null when all began to wait after the last GC.
    pub oldest_wait_ns: Option<u64>,
}

/// How long goroutines have waited at least. The GC stamps waits, so an age is a lower bound.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct AgeHistogram {
    /// Lower edges of the buckets in ns, ascending.
    pub edges_ns: Vec<u64>,
    /// Goroutines per bucket (counts): as many as edges, the last bucket is open.
    pub counts: Vec<u64>,
    /// Waiting goroutines that no GC has stamped yet: they wait since some moment after the last GC (count).
    pub unstamped: Option<u64>,
}

/// Finished goroutines whose structures the runtime keeps for reuse; it never frees them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct FreeGoroutines {
    /// On the global list, with a stack (count).
    pub with_stack: Option<u64>,
    /// On the global list, without a stack (count).
    pub without_stack: Option<u64>,
    /// On the lists of Ps (count).
    pub in_processors: Option<u64>,
    /// Bytes of all their g structures.
    pub bytes: Option<u64>,
    /// Bytes of all stacks they keep.
    pub stack_bytes: Option<u64>,
}
