//! How the bytes were had: stop, time, layout, and the checks the numbers passed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bytes were had, and how far they can be trusted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Capture {
    /// What was read.
    pub source: Source,
    /// How the target was held while it was read.
    pub stop: Stop,
    /// Whether all bytes belong to one instant.
    pub consistent: bool,
    /// Structures that could not have been so at any one instant and were left out (count).
    pub anomalies: u64,
    /// Time from the first interrupt to the last release, in ns; null when nothing was stopped by the tool.
    pub pause_ns: Option<u64>,
    /// The pause in its parts, in order: stop, copy, release. Empty when nothing was stopped by the tool.
    #[serde(default)]
    pub pause_steps: Vec<Step>,
    /// Time of the whole scan, in ns.
    pub wall_ns: Option<u64>,
    /// Bytes copied from the target.
    pub bytes_read: Option<u64>,
    /// Threads held during the pause (count); null when nothing was stopped by the tool.
    pub threads_stopped: Option<u64>,
    /// Why the capture ended early (budget spent, target vanished); null when it is complete.
    pub incomplete: Option<String>,
    /// Where the offsets of the runtime's structures come from; null when there are none.
    pub layout: Option<Layout>,
    /// Where the addresses of the runtime's variables come from; null when they were not found.
    pub symbols: Option<Symbols>,
    /// The runtime keeps the same quantity in several places: how the copies compare.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Time spent in the steps of the scan, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// What was read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A live process.
    #[default]
    Live,
    /// An ELF core file.
    Core,
    /// A capture saved earlier.
    Capture,
}

/// How the target was held while it was read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// The tool stopped its threads.
    Paused,
    /// Its cgroup was frozen already.
    Frozen,
    /// Not at all: it ran on.
    #[default]
    None,
}

/// Where the offsets of the runtime's structures come from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The kind of source.
    pub source: LayoutSource,
    /// The Go release the layout belongs to, for example "go1.26.6"; null when the source does not say.
    pub release: Option<String>,
    /// How sure it is that this layout is the target's.
    pub confidence: Confidence,
}

/// The kind of source of a layout.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutSource {
    /// DWARF of the binary itself.
    #[default]
    Dwarf,
    /// DWARF of a separate debug file.
    DebugFile,
    /// Tables in the tool, generated from the release's toolchain.
    Embedded,
}

/// How sure the tool is of a layout.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// From the binary itself, or from a table of exactly this release.
    #[default]
    High,
    /// From the tables, by patch releases of the same version near it.
    Medium,
    /// A guess that passed the checks.
    Low,
}

/// Where the addresses of the runtime's variables come from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Symbols {
    /// The ELF symbol table.
    #[default]
    Symtab,
    /// DWARF.
    Dwarf,
    /// Found by the tool in a stripped binary.
    Recovered,
}

/// One identity between figures of the runtime, and how it came out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// What is compared, for example "spans in use = heapInUse".
    pub name: String,
    /// Unit of the figures: "bytes", "count", "pages".
    pub unit: String,
    /// What the runtime's own counter says.
    pub expected: u64,
    /// What the tool counted.
    pub actual: u64,
    /// `actual - expected`.
    pub difference: i64,
    /// How far a target stopped at a random instant may be off.
    pub tolerance: u64,
    /// Whether the difference is within the tolerance.
    pub ok: bool,
}

/// Time spent in one step of the scan.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The step, for example "read DWARF".
    pub name: String,
    /// Wall-clock time in ns.
    pub wall_ns: u64,
}

impl Step {
    /// A step that took so long.
    pub fn took(name: &str, time: Duration) -> Step {
        Step {
            name: name.to_owned(),
            wall_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}
