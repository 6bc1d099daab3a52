//! Memory the Go heap holds free: where it sits, and what would give it back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Memory that is free inside the Go runtime but not returned to the OS, by where it sits.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Idle {
    /// Free pages of the heap not returned to the OS, in bytes: HeapIdle - HeapReleased.
    pub unreturned_bytes: Option<u64>,
    /// The part of `unreturned_bytes` that is resident.
    pub unreturned_resident_bytes: Option<u64>,
    /// The part of `unreturned_bytes` that sits in the page caches of Ps.
    pub page_cache_bytes: Option<u64>,
    /// Free slots in in-use spans, in bytes: not returnable while the span holds one object.
    pub span_free_bytes: Option<u64>,
    /// Garbage the last GC found in spans not swept yet, in bytes.
    pub unswept_garbage_bytes: Option<u64>,
    /// The part of `span_free_bytes` in spans cached by mcaches.
    pub mcache_free_bytes: Option<u64>,
    /// The part of `span_free_bytes` in spans listed by mcentrals.
    pub mcentral_free_bytes: Option<u64>,
    /// Stacks kept for reuse, in bytes.
    pub free_stack_bytes: Option<u64>,
    /// Resident bytes the runtime could return at this instant without a GC.
    pub returnable_now_bytes: Option<u64>,
    /// Resident bytes the runtime could return after a GC (debug.FreeOSMemory); null when it cannot be bounded.
    pub returnable_after_gc: Option<ByteBounds>,
}

/// A number of bytes known by its bounds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteBounds {
    /// At least so many bytes.
    pub at_least_bytes: u64,
    /// At most so many bytes; null when there is no bound.
    pub at_most_bytes: Option<u64>,
}
