//! Memory of a target as everything above `target` sees it: addresses, captured bytes, and the planners that say
//! which bytes come next. Nothing here knows a process or a Go version.

mod gather;
mod record;

use std::fmt;

pub use gather::{Gather, Gathered, MOST_LISTS, Records};
pub use record::{Choice, Place, RecordShape};

/// An address in the target's address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr(pub u64);

impl Addr {
    /// The nil pointer.
    pub const NIL: Addr = Addr(0);

    /// Whether this is the nil pointer.
    pub fn is_nil(self) -> bool {
        self.0 == 0
    }

    /// `self + bytes`; `None` past the end of the address space.
    pub fn checked_add(self, bytes: u64) -> Option<Addr> {
        self.0.checked_add(bytes).map(Addr)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A half-open range of addresses, `start..start+len` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// First address.
    pub start: Addr,
    /// Length in bytes.
    pub len: u64,
}

impl Range {
    /// `len` bytes from `start`.
    pub fn new(start: Addr, len: u64) -> Range {
        Range { start, len }
    }

    /// First address behind the range, saturating at the end of the address space.
    pub fn end(&self) -> Addr {
        Addr(self.start.0.saturating_add(self.len))
    }
}

/// Why bytes could not be had. Missing, not resident and zero are three different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// No planner asked for them, or the address is wild.
    NotCaptured,
    /// No readable mapping of the kind that may be read holds the address.
    NotMapped,
    /// Mapped but not present (never touched, or returned to the OS); not faulted in.
    NotPresent,
    /// Swapped out; not faulted in.
    Swapped,
    /// The kernel refused the read.
    Unreadable,
    /// The budget (time or bytes) ended before them.
    BudgetSpent,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::NotCaptured => "not captured",
            Missing::NotMapped => "not mapped",
            Missing::NotPresent => "not present in memory",
            Missing::Swapped => "swapped out",
            Missing::Unreadable => "refused by the kernel",
            Missing::BudgetSpent => "left out: the pause or byte budget was spent",
        })
    }
}

/// A failed access: which bytes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at {addr}: {why}")]
pub struct MemoryError {
    /// First address asked for.
    pub addr: Addr,
    /// Bytes asked for.
    pub len: u64,
    /// The reason.
    pub why: Missing,
}

/// Read access to bytes of the target that are already here.
pub trait Memory {
    /// `len` bytes at `addr`, borrowed. Fails when any of them is missing.
    fn bytes(&self, addr: Addr, len: usize) -> Result<&[u8], MemoryError>;

    /// What was gathered for this wish of the planner's, where the source can do that.
    fn gathered(&self, gather: &Gather) -> Option<Gathered> {
        let _ = gather;
        None
    }
}

/// One wish of a planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The bytes wanted.
    pub range: Range,
    /// The runtime structure they hold, for messages: "mspan", "allgs", ...
    pub what: &'static str,
}

/// Says, wave by wave, which bytes a scan needs next, from what has been captured so far.
///
/// A planner is pure: the same captured bytes give the same wishes, so a rehearsal on the running target and the
/// real capture in the pause use the same code. It runs inside the pause and must be quick and bounded.
pub trait Planner {
    /// The wishes of wave `wave` (0, 1, 2, ...); an empty list ends the capture. Ranges may overlap, repeat and
    /// come in any order: the capture engine sorts, merges and reads them in as few calls as it can.
    fn wave(&mut self, wave: usize, captured: &dyn Memory) -> Vec<Request>;

    /// Whether no later wave looks at what wave `wave` asks for. A rehearsal then only finds it.
    fn is_last_need(&self, wave: usize) -> bool {
        let _ = wave;
        false
    }

    /// What to gather once the waves have come to their end.
    fn gather(&mut self, captured: &dyn Memory) -> Vec<Gather> {
        let _ = captured;
        Vec::new()
    }
}
