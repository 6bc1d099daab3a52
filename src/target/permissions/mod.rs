//! Why the kernel refuses access to a process, and which command mends it. `facts` collects what there is to know,
//! `refusal` decides, in the order in which the kernel checks; the second is a pure function.

mod facts;
mod refusal;

use nix::errno::Errno;

pub use self::facts::Facts;
pub use self::refusal::Refusal;
use crate::error::Error;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Looking at its executable: the weaker right, to read what `/proc` shows of it.
    Executable,
    /// Reading its memory or page map.
    Memory,
    /// Stopping its threads.
    Ptrace,
}

/// The error for a refused access.
pub(crate) fn diagnose(pid: i32, access: Access, errno: Errno) -> Error {
    Refusal::of(&Facts::collect(pid, access, errno as i32)).into()
}

/// The error for a process that is there and that `/proc` does not show.
pub(crate) fn hidden(pid: i32) -> Error {
    let facts = Facts::collect(pid, Access::Executable, libc::EACCES);
    Refusal::hidden(&facts).into()
}

/// The error for a scan of the tool itself.
pub(crate) fn own_process() -> Error {
    let cause = "this process id is gomemscan's own, and a process cannot stop and read itself".to_owned();
    Error::NotPermitted { cause, remedy: None }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::NotPermitted {
            cause: refusal.cause,
            remedy: refusal.remedy,
        }
    }
}
