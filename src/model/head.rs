//! The head every document carries: the tool, the machine and the target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tool that wrote the document.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Tool {
    /// `"gomemscan"`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The largest resident set of the tool itself during the scan, in bytes, its helper process included.
    pub peak_rss_bytes: Option<u64>,
}

/// The machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// Host name as the tool sees it.
    pub name: Option<String>,
    /// Kernel boot id; with host, pid_ns, pid and start_ticks it identifies a process for ever.
    pub boot_id: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Size of a page of the host in bytes (the Go runtime's own page is always 8192).
    pub page_bytes: Option<u64>,
    /// CPUs online (count).
    pub cpus: Option<u64>,
    /// Transparent huge page settings; null when the kernel has none or they could not be read.
    pub thp: Option<Thp>,
}

/// `/sys/kernel/mm/transparent_hugepage`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Thp {
    /// The chosen word of `enabled`: "always", "madvise" or "never".
    pub enabled: Option<String>,
    /// The chosen word of `defrag`.
    pub defrag: Option<String>,
    /// `use_zero_page`.
    pub use_zero_page: Option<bool>,
    /// `khugepaged/defrag`.
    pub khugepaged_defrag: Option<bool>,
}

/// The target.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// PID in the tool's PID namespace.
    pub pid: u64,
    /// PID in the target's own PID namespace.
    pub ns_pid: Option<u64>,
    /// Inode number of the target's PID namespace.
    pub pid_ns: Option<u64>,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: Option<u64>,
    /// Start time, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Time from the start to the capture, in ns.
    pub uptime_ns: Option<u64>,
    /// Path of the executable as the target's mount namespace names it.
    pub exe: Option<String>,
    /// Go build ID.
    pub build_id: Option<String>,
    /// Go version of the runtime, for example "go1.26.6".
    pub go_version: Option<String>,
    /// Architecture in Go's words, for example "amd64".
    pub goarch: Option<String>,
    /// Path of the main module.
    pub main_module: Option<String>,
    /// GOEXPERIMENT settings that differ from the version's defaults.
    #[serde(default)]
    pub experiments: Vec<String>,
    /// Threads of the process (count).
    pub threads: Option<u64>,
    /// GOMAXPROCS: the number of live Ps (count).
    pub gomaxprocs: Option<u64>,
    /// Path of the target's memory cgroup within its hierarchy.
    pub cgroup_path: Option<String>,
    /// Which Go runtime of the process this is, of how many.
    pub runtime: Option<RuntimeInstance>,
    /// Command-line arguments; present only with --with-args, because they can hold secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
}

/// One Go runtime of a process: each c-shared library brings one. Plugins share their host's.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct RuntimeInstance {
    /// Which one, from 0.
    pub index: u64,
    /// How many there are (count).
    pub count: u64,
    /// Path of the file it comes from.
    pub module: Option<String>,
}
