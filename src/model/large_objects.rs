//! Objects above 32 KiB, each with a span of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HexAddr;

/// Objects with a span of their own.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct LargeObjects {
    /// Spans (count).
    pub spans: Option<u64>,
    /// Bytes of these spans.
    pub bytes: Option<u64>,
    /// The largest ones, largest first; null when spans could not be read.
    pub top: Option<Vec<LargeObject>>,
}

/// One large object.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct LargeObject {
    /// Its address.
    pub address: HexAddr,
    /// Bytes of its span.
    pub bytes: u64,
    /// Its Go type (of one element, for a slice's array); null where the runtime keeps none.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
}
