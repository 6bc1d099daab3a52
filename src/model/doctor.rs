//! The document behind `doctor --json`: whether a scan of a process will work, what pause to expect, and what is
//! missing otherwise. One entry per check, in the order in which a scan would meet them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Host, Process, SCHEMA_VERSION, Tool};

/// What a scan of one process would meet, found out without stopping it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct DoctorReport {
    /// Version of this document's shape; 1.
    pub schema_version: u32,
    /// What this document is: `"doctor"`.
    pub kind: String,
    /// Wall-clock time of the checks on the tool's host, RFC 3339 in UTC.
    pub checked_at: String,
    /// The tool that wrote this document.
    pub tool: Tool,
    /// The machine.
    pub host: Host,
    /// The target, as far as it may be known.
    pub process: Process,
    /// Whether a scan will work.
    pub verdict: Forecast,
    /// The pause to expect; null when no scan will come that far.
    pub pause: Option<ExpectedPause>,
    /// The container or service the target runs in; null when it runs in neither, or when that cannot be seen.
    pub container: Option<Container>,
    /// What was looked at, in the order in which a scan depends on it.
    pub checks: Vec<DoctorCheck>,
}

impl DoctorReport {
    /// A document with nothing in it.
    pub fn new() -> DoctorReport {
        DoctorReport {
            schema_version: SCHEMA_VERSION,
            kind: "doctor".to_owned(),
            ..DoctorReport::default()
        }
    }
}

/// The answer.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Whether `attach` with the same options will give a whole report.
    pub works: bool,
    /// The exit code that `attach` would end with, and that `doctor` itself ends with.
    pub exit_code: u8,
    /// One sentence.
    pub text: String,
}

/// The pause of a scan, estimated from what it depends on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct ExpectedPause {
    /// From the first interrupt to the last release, in ns: an estimate; 0 when nothing will be stopped.
    pub expected_ns: u64,
    /// The part of it that stopping the threads and letting them go takes, in ns.
    pub floor_ns: u64,
    /// The longest pause allowed (`--max-pause`), in ns; null with `--no-pause`.
    pub max_ns: Option<u64>,
    /// Whether the estimate is within what is allowed; null with `--no-pause`.
    pub fits: Option<bool>,
    /// A value for `--max-pause` that leaves room above the estimate, in ns; null when nothing will be stopped.
    pub suggested_max_ns: Option<u64>,
    /// Threads to stop (count).
    pub threads: u64,
    /// Threads that wait in the kernel where an interrupt does not reach them at once (count).
    pub blocked_threads: u64,
    /// Span structures of the heap (count); null when not even an estimate could be made.
    pub spans: Option<u64>,
    /// Goroutine structures, dead ones included (count); null when they could not be counted.
    pub goroutines: Option<u64>,
    /// How `spans` is known.
    pub basis: PauseBasis,
}

/// How the number of spans is known.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum PauseBasis {
    /// Read from the runtime while it ran.
    Read,
    /// Guessed from the resident memory: one span for each 8 KiB of it, which few heaps exceed.
    Rss,
    /// Not at all.
    #[default]
    None,
}

/// Where the target runs, from its cgroup, mounts and environment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// What runs it: "docker", "podman", "containerd", "cri-o", "lxc", "systemd-nspawn" or "systemd"; null when
    /// its cgroup does not say.
    pub runtime: Option<String>,
    /// Id or name of the container.
    pub id: Option<String>,
    /// The systemd unit that holds the process.
    pub unit: Option<String>,
    /// The pod, when Kubernetes runs it.
    pub kubernetes: Option<Kubernetes>,
    /// Commands that scan it from where it runs.
    pub commands: Vec<Remedy>,
}

/// The pod that a process belongs to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Kubernetes {
    /// UID of the pod.
    pub pod_uid: Option<String>,
    /// Name of the pod; null when the process does not show it.
    pub pod: Option<String>,
    /// Its namespace; null when the process does not show it.
    pub namespace: Option<String>,
    /// Name of the container within the pod; null when the process does not show it.
    pub container: Option<String>,
}

/// One thing that a scan depends on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct DoctorCheck {
    /// Stable kebab-case name, for example "yama".
    pub id: String,
    /// How it came out.
    pub status: CheckStatus,
    /// What was found, as one sentence without a final stop.
    pub fact: String,
    /// What that means for a scan; null when it means nothing.
    pub consequence: Option<String>,
    /// What mends it; empty when there is nothing to mend, or when nothing can.
    pub remedies: Vec<Remedy>,
    /// The exit code of a scan that fails for this reason; null unless `status` is "fail".
    pub exit_code: Option<u8>,
}

/// The check that a failure is blamed on. The first that fails decides what a scan ends with; among those that end it
/// the same way, one that nothing mends says more than one that something would.
pub fn cause(checks: &[DoctorCheck]) -> Option<&DoctorCheck> {
    let failing = || checks.iter().filter(|check| check.status == CheckStatus::Fail);
    let first = failing().next()?;
    failing()
        .filter(|check| check.exit_code == first.exit_code)
        .find(|check| check.remedies.is_empty())
        .or(Some(first))
}

/// How a check came out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// In good order.
    Ok,
    /// Could not be found out.
    #[default]
    Unknown,
    /// A scan works, with a drawback.
    Warn,
    /// A scan will not work.
    Fail,
}

/// A way to mend something.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    /// When or where it applies, or what to do when no command does it.
    pub note: Option<String>,
    /// A command line, ready to paste but for words in CAPITALS.
    pub command: Option<String>,
}

impl Remedy {
    /// Something to do that is not a command.
    pub fn note(note: impl Into<String>) -> Remedy {
        Remedy {
            note: Some(note.into()),
            command: None,
        }
    }

    /// A command that needs no words.
    pub fn command(command: impl Into<String>) -> Remedy {
        Remedy {
            note: None,
            command: Some(command.into()),
        }
    }

    /// A command and when it applies.
    pub fn noted(note: impl Into<String>, command: impl Into<String>) -> Remedy {
        Remedy {
            note: Some(note.into()),
            command: Some(command.into()),
        }
    }
}

impl std::fmt::Display for Remedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.note, &self.command) {
            (Some(note), Some(command)) => write!(f, "{note}: {command}"),
            (Some(text), None) | (None, Some(text)) => f.write_str(text),
            (None, None) => Ok(()),
        }
    }
}
