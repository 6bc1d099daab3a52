//! The error categories of the library. One place (`cli/exit.rs`) maps them to exit codes.

use std::io;
use std::path::PathBuf;

/// What kind of failure this is; each has one exit code in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Exit 2: an argument does not fit the target.
    Usage,
    /// Exit 3: no such process, or not a Go program.
    NoTarget,
    /// Exit 4: not permitted; the message names the cause and the remedy, or says that there is none.
    NotPermitted,
    /// Exit 5: this Go version or memory layout is not supported.
    Unsupported,
    /// Exit 7: input/output or internal error, or the target could not be stopped in time.
    Io,
    /// Exit 8: the target went away while it was read.
    TargetGone,
}

/// A failure that ends a scan. The display text is one sentence; [`Error::remedy`] is what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that does not fit the target, as only became clear when that was looked at.
    #[error("{what}")]
    Argument {
        /// Which one, and in what it does not fit.
        what: String,
        /// What would fit.
        remedy: Option<String>,
    },
    /// There is nothing to scan at this PID.
    #[error("{what}")]
    NoTarget {
        /// What was found instead, for example "process 12 is a kernel thread (kthreadd)".
        what: String,
        /// What to do.
        remedy: Option<String>,
    },
    /// The kernel refuses access.
    #[error("{cause}")]
    NotPermitted {
        /// Who refuses and why.
        cause: String,
        /// The command that mends it; `None` when nothing can.
        remedy: Option<String>,
    },
    /// The binary or its runtime is beyond what this version reads.
    #[error("{what}")]
    Unsupported {
        /// What is not supported and why.
        what: String,
        /// What to do.
        remedy: Option<String>,
    },
    /// A malformed file: which one, which structure, at which offset.
    #[error("{path}: {structure}: {detail}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The structure that does not parse ("ELF header", ".debug_info", "pclntab", ...).
        structure: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The target could not be stopped within the pause budget; it was let go at once.
    #[error("{what}")]
    PauseBudget {
        /// What did not fit.
        what: String,
        /// How to scan it nevertheless.
        remedy: Option<String>,
    },
    /// Input or output failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, naming the file.
        what: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The target exited, was replaced by exec, or its PID was reused.
    #[error("{what}")]
    TargetGone {
        /// What happened to it.
        what: String,
    },
    /// Something that should not happen.
    #[error("internal error: {what}")]
    Internal {
        /// What went wrong.
        what: String,
    },
}

impl Error {
    /// The category, hence the exit code.
    pub fn category(&self) -> Category {
        match self {
            Error::Argument { .. } => Category::Usage,
            Error::NoTarget { .. } => Category::NoTarget,
            Error::NotPermitted { .. } => Category::NotPermitted,
            Error::Unsupported { .. } | Error::Malformed { .. } => Category::Unsupported,
            Error::PauseBudget { .. } | Error::Io { .. } | Error::Internal { .. } => Category::Io,
            Error::TargetGone { .. } => Category::TargetGone,
        }
    }

    /// What the user can do about it, when anything.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Error::Argument { remedy, .. }
            | Error::NoTarget { remedy, .. }
            | Error::NotPermitted { remedy, .. }
            | Error::Unsupported { remedy, .. }
            | Error::PauseBudget { remedy, .. } => remedy.as_deref(),
            _ => None,
        }
    }

    /// An I/O error with the action that failed.
    pub fn io(what: impl Into<String>, source: io::Error) -> Error {
        Error::Io {
            what: what.into(),
            source,
        }
    }
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;
