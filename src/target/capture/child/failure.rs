//! What a child that gives up leaves in the header of the region for its parent.

use std::any::Any;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use crate::error::Error;
use crate::target::capture::reader::ReadError;
use crate::target::capture::region::Header;
use crate::target::capture::tracer::StopError;
use crate::target::sys;

/// Why the child gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Failure {
    /// It did not.
    None = 0,
    /// A bug; the message says more.
    Internal = 1,
    /// The target is gone; the message says how.
    Gone = 2,
    /// Attaching was refused.
    PtraceRefused = 3,
    /// Reading was refused.
    ReadRefused = 4,
    /// So many threads cannot be stopped within the budget; nothing was stopped.
    CannotFit = 5,
    /// The threads did not stop in time.
    TooSlow = 6,
    /// The tool has no more descriptors or memory.
    Short = 7,
}

impl Failure {
    pub(crate) fn of(header: &Header) -> Failure {
        match header.failure.load(Ordering::Acquire) {
            0 => Failure::None,
            2 => Failure::Gone,
            3 => Failure::PtraceRefused,
            4 => Failure::ReadRefused,
            5 => Failure::CannotFit,
            6 => Failure::TooSlow,
            7 => Failure::Short,
            _ => Failure::Internal,
        }
    }
}

/// A failure on its way to the header.
pub(super) struct Failed {
    why: Failure,
    errno: i32,
    thread: i32,
    message: String,
}

impl Failed {
    pub(super) fn new(why: Failure, message: impl Into<String>) -> Failed {
        Failed {
            why,
            errno: 0,
            thread: 0,
            message: message.into(),
        }
    }

    fn short(errno: Errno) -> Failed {
        Failed {
            errno: errno as i32,
            ..Failed::new(Failure::Short, "")
        }
    }

    /// What a panic says.
    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Failed {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Failed::new(Failure::Internal, text.unwrap_or("panic"))
    }

    /// Tells the parent.
    pub(super) fn tell(&self, header: &Header) {
        header.errno.store(self.errno, Ordering::Relaxed);
        header.thread.store(self.thread, Ordering::Relaxed);
        header.set_message(&self.message);
        header.failure.store(self.why as u32, Ordering::Release);
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Failed {
        match error {
            ReadError::Gone => Failed::new(Failure::Gone, ""),
            ReadError::Fault => Failed::new(Failure::Internal, "a fault outside of any page"),
            ReadError::Refused(errno) => Failed {
                errno: errno as i32,
                ..Failed::new(Failure::ReadRefused, "")
            },
            ReadError::Short(errno) => Failed::short(errno),
        }
    }
}

impl From<StopError> for Failed {
    fn from(error: StopError) -> Failed {
        match error {
            StopError::Gone => Failed::new(Failure::Gone, ""),
            StopError::TooSlow(thread) => Failed {
                thread,
                ..Failed::new(Failure::TooSlow, "")
            },
            StopError::Refused(errno, thread) => Failed {
                errno: errno as i32,
                thread,
                ..Failed::new(Failure::PtraceRefused, "")
            },
            StopError::Short(errno) => Failed::short(errno),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        match error {
            Error::TargetGone { what } => Failed::new(Failure::Gone, what),
            Error::Io { ref source, .. } => {
                let other = || Failed::new(Failure::Internal, error.to_string());
                sys::shortage(source).map_or_else(other, Failed::short)
            }
            other => Failed::new(Failure::Internal, other.to_string()),
        }
    }
}
