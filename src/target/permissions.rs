//! placeholder
use crate::error::Error;
use nix::errno::Errno;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading `/proc/PID/exe`.
    Executable,
    /// Reading memory.
    Memory,
    /// Stopping its threads.
    Ptrace,
}

pub(crate) fn diagnose(pid: i32, access: Access, errno: Errno) -> Error {
    Error::NotPermitted {
        cause: format!("{access:?} of process {pid} was refused: {errno}"),
        remedy: None,
    }
}

pub(crate) fn hidden(pid: i32) -> Error {
    Error::NotPermitted {
        cause: format!("process {pid} exists but /proc hides it (hidepid)"),
        remedy: Some("run as root".into()),
    }
}

pub(crate) fn own_process() -> Error {
    Error::NotPermitted {
        cause: "gomemscan cannot scan itself".into(),
        remedy: None,
    }
}
