//! Whether the kernel lets the tool into a process, and which command mends it where it does not. `facts` collects
//! what there is to know, `probe` asks the kernel without touching anybody, `rules` decides: a pure function whose
//! checks explain a refusal afterwards and foresee it beforehand.

mod facts;
mod probe;
mod rules;

use nix::errno::Errno;

pub use self::facts::{Facts, Own, Roots, Theirs};
pub use self::probe::{Answer, Passage};
pub use self::rules::{Refusal, examine};
use crate::error::Error;
use crate::model::Remedy;

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

/// What is known of the access to `pid`, before it is tried. `stops`: whether it is to be stopped, not only read.
pub fn foresee(pid: i32, stops: bool) -> Facts {
    Facts {
        stops,
        ..Facts::collect(pid)
    }
}

/// The error for a refused access.
pub(crate) fn diagnose(pid: i32, access: Access, errno: Errno) -> Error {
    Refusal::of(&Facts::collect(pid).refused(access, errno as i32)).into()
}

/// The error for a process that is there and that `/proc` does not show.
pub(crate) fn hidden(pid: i32) -> Error {
    Refusal::hidden(&Facts::collect(pid)).into()
}

/// The error for a scan of the tool itself.
pub(crate) fn own_process() -> Error {
    let cause = "this process id is gomemscan's own, and a process cannot stop and read itself".to_owned();
    Error::NotPermitted { cause, remedy: None }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let lines: Vec<String> = refusal.remedies.iter().map(Remedy::to_string).collect();
        Error::NotPermitted {
            cause: refusal.cause,
            remedy: (!lines.is_empty()).then(|| lines.join("\n")),
        }
    }
}
