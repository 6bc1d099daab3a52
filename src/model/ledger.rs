//! Where the resident memory is: every resident page of the process belongs to one row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grade;

/// Where the resident memory is. The rows' `resident_bytes` and `unexplained_bytes` add up to `rss_bytes`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Resident set in bytes, summed over pages.
    pub rss_bytes: Option<u64>,
    /// Resident set in bytes as `/proc/PID/statm` has it; its per-CPU counters lag behind.
    pub statm_rss_bytes: Option<u64>,
    /// Swapped-out memory of the process in bytes.
    pub swap_bytes: Option<u64>,
    /// Resident bytes of everything the Go runtime manages.
    pub go_resident_bytes: Option<u64>,
    /// Resident bytes of everything else: binary, libraries, C heap, other mappings.
    pub other_resident_bytes: Option<u64>,
    /// The rows, heap first.
    #[serde(default)]
    pub rows: Vec<LedgerRow>,
    /// `rss_bytes` less the rows' `resident_bytes`; negative when rows overlap.
    pub unexplained_bytes: Option<i64>,
}

/// One kind of memory.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct LedgerRow {
    /// Stable name of the row.
    pub id: LedgerId,
    /// What people call it.
    pub label: String,
    /// Bytes of it, resident or not.
    pub bytes: Option<u64>,
    /// Bytes of it that are resident.
    pub resident_bytes: Option<u64>,
    /// How the figures are known.
    pub grade: Grade,
}

impl LedgerRow {
    /// A row under its usual label.
    pub fn new(id: LedgerId, bytes: Option<u64>, resident_bytes: Option<u64>, grade: Grade) -> LedgerRow {
        LedgerRow {
            id,
            label: id.label().to_owned(),
            bytes,
            resident_bytes,
            grade,
        }
    }
}

/// The kinds of memory a ledger tells apart.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum LedgerId {
    /// Heap objects the last GC marked as live.
    HeapMarked,
    /// Heap objects allocated since the last mark: live or dead, unknown.
    HeapAllocatedSinceGc,
    /// Heap objects the last GC found to be garbage, in spans not swept yet.
    HeapGarbageUnswept,
    /// Free slots in in-use spans.
    HeapFreeSlots,
    /// Ends of in-use spans that fit no object, and the bits the GC keeps there.
    HeapSpanTails,
    /// Free pages of the heap that the runtime has not returned to the OS.
    HeapIdleUnreturned,
    /// Free pages of the heap returned to the OS, or never touched.
    HeapReleased,
    /// Stacks of goroutines and of the runtime's own threads.
    GoroutineStacks,
    /// Stacks kept for reuse.
    FreeStacks,
    /// The runtime's own data outside the heap.
    RuntimeMetadata,
    /// The executable and shared libraries.
    BinaryAndLibraries,
    /// Files mapped as data: databases, caches, shared memory.
    MappedFiles,
    /// C heap, thread stacks and other mappings.
    OtherMappings,
}

impl LedgerId {
    /// What people call it.
    pub fn label(self) -> &'static str {
        match self {
            LedgerId::HeapMarked => "heap: marked live by last GC",
            LedgerId::HeapAllocatedSinceGc => "heap: allocated since, unknown",
            LedgerId::HeapGarbageUnswept => "heap: garbage not swept yet",
            LedgerId::HeapFreeSlots => "heap: free slots in used spans",
            LedgerId::HeapSpanTails => "heap: unusable ends of spans",
            LedgerId::HeapIdleUnreturned => "heap: idle, not returned",
            LedgerId::HeapReleased => "heap: returned to the OS",
            LedgerId::GoroutineStacks => "goroutine stacks",
            LedgerId::FreeStacks => "stacks kept for reuse",
            LedgerId::RuntimeMetadata => "runtime's own data",
            LedgerId::BinaryAndLibraries => "binary and libraries",
            LedgerId::MappedFiles => "mapped data files",
            LedgerId::OtherMappings => "C heap and other mappings",
        }
    }
}
