//! What stands out, how bad it is, and what to do about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much something matters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth acting on.
    Warning,
    /// Worth acting on now.
    Critical,
}

/// The one sentence an operator reads first.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// How bad it is.
    pub severity: Severity,
    /// One or two sentences.
    pub text: String,
}

/// Something that stands out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// Stable kebab-case name of the kind of finding.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The reasoning with the figures behind it.
    pub detail: String,
    /// Bytes it is about; null when it is not about bytes.
    pub bytes: Option<u64>,
    /// JSON pointers to the figures it rests on.
    pub evidence: Vec<String>,
    /// What to do about it.
    pub advice: Vec<Advice>,
}

/// Something to do.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Advice {
    /// What to do.
    pub text: String,
    /// When it can be done.
    pub when: When,
}

/// When an advice can be followed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum When {
    /// On the running process.
    #[default]
    #[serde(rename = "now")]
    Now,
    /// With a restart or a new build.
    #[serde(rename = "next deploy")]
    NextDeploy,
}
