//! Spans of small objects, one row per size class and scan-ness (a span class of the runtime).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The spans of one span class.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct SizeClass {
    /// Number of the size class, 1 to 67.
    pub class: u64,
    /// Size of a slot in bytes.
    pub object_bytes: u64,
    /// Whether its objects hold no pointers.
    pub noscan: bool,
    /// In-use spans (count).
    pub spans: u64,
    /// Bytes of these spans.
    pub span_bytes: u64,
    /// Allocated slots, garbage not yet swept included (count).
    pub objects: u64,
    /// Free slots (count).
    pub free_objects: u64,
    /// Bytes of the free slots.
    pub free_bytes: u64,
    /// Allocated slots that the last mark found to be garbage, in spans not swept yet (count).
    pub garbage_objects: Option<u64>,
    /// Spans by how full they are (counts): entry i has those with at least i tenths and less than i + 1 tenths of
    /// their slots allocated; full spans are in entry 9.
    pub occupancy_histogram: [u64; 10],
    /// Spans cached in an mcache (count).
    pub mcache_spans: Option<u64>,
    /// Spans in the mcentral's swept partial set (count).
    pub partial_swept_spans: Option<u64>,
    /// Spans in the mcentral's unswept partial set (count).
    pub partial_unswept_spans: Option<u64>,
    /// Spans in the mcentral's swept full set (count).
    pub full_swept_spans: Option<u64>,
    /// Spans in the mcentral's unswept full set (count).
    pub full_unswept_spans: Option<u64>,
}
