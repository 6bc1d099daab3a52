//! How much a scan will have to copy: the lengths of the runtime's own lists, read while it runs. They only grow but
//! for a few that a GC frees, so that what is read now is what a scan will find.

use super::capture::WHOLE_SLICE;
use super::cursor::{DecodeError, Fields, View};
use super::locate::Runtime;
use crate::memory::{Addr, Memory, Range};

/// Lengths of the runtime's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapSize {
    /// `len(mheap_.allspans)`: every span structure in use or cached by the heap.
    pub spans: u64,
    /// `len(allgs)`: every goroutine structure, those of finished goroutines included.
    pub goroutines: u64,
}

impl HeapSize {
    /// The bytes that [`HeapSize::decode`] looks at.
    pub fn ranges(runtime: &Runtime) -> [Range; 2] {
        let allspans = runtime.layout.mheap.allspans;
        let spans_at = Addr(runtime.globals.mheap.0.wrapping_add(allspans.offset));
        [
            Range::new(spans_at, allspans.size),
            Range::new(runtime.globals.allgs, WHOLE_SLICE.size),
        ]
    }

    /// Reads them.
    pub fn decode(memory: &dyn Memory, runtime: &Runtime) -> Result<HeapSize, DecodeError> {
        let mheap = View::new(memory, "mheap", runtime.globals.mheap);
        let allgs = View::new(memory, "allgs", runtime.globals.allgs);
        Ok(HeapSize {
            spans: mheap.slice(runtime.layout.mheap.allspans)?.len,
            goroutines: allgs.slice(WHOLE_SLICE)?.len,
        })
    }
}
