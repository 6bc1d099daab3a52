//! The memory cgroup of the target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The memory cgroup that limits the target: the tightest limit on its way to the root.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Cgroup {
    /// 1 or 2.
    pub version: u64,
    /// Path within the hierarchy.
    pub path: String,
    /// Limit in bytes; null when there is none.
    pub limit_bytes: Option<u64>,
    /// Memory charged to it in bytes, page cache included.
    pub current_bytes: Option<u64>,
    /// `current_bytes` less the file pages that can be dropped at once: what the OOM killer looks at, in effect.
    pub working_set_bytes: Option<u64>,
    /// `limit_bytes` less `working_set_bytes`; null when there is no limit.
    pub headroom_bytes: Option<u64>,
}
