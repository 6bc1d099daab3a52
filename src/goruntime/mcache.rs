//! A P's mcache (runtime/mcache.go): the span it holds per span class, its tiny block and its stacks. A span held here
//! is in no mcentral set, and its free slots are pinned to the P.

use super::cursor::{DecodeError, Fields, Record, View, words};
use super::layout::Layout;
use super::variants::SPAN_CLASSES;
use crate::memory::{Addr, Memory};

/// One mcache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mcache {
    /// Where it lies.
    pub addr: Addr,
    /// (span class, mspan) for each class that holds a span; `emptymspan` is left out.
    pub spans: Vec<(u8, Addr)>,
    /// Current tiny block, or nil.
    pub tiny: Addr,
    /// Bytes used of the tiny block.
    pub tiny_offset: u64,
    /// Tiny allocations not yet flushed to the statistics.
    pub tiny_allocs: u64,
    /// Bytes of free stacks per stack order.
    pub stack_cache: Vec<u64>,
    /// `mheap_.sweepgen` when it was last flushed.
    pub flush_gen: u32,
}

impl Mcache {
    /// Reads the mcache at `addr`.
    pub fn decode(memory: &dyn Memory, layout: &Layout, addr: Addr, emptymspan: Addr) -> Result<Mcache, DecodeError> {
        let l = &layout.mcache;
        let r = Record::read(memory, "mcache", addr, l.size)?;
        let view = View::new(memory, "mcache", addr);
        let held = words(
            memory,
            "mcache.alloc",
            view.element_addr(l.alloc, 0)?,
            l.alloc.len.min(SPAN_CLASSES as u64),
        )?;
        let spans = held
            .enumerate()
            .map(|(class, span)| (class as u8, Addr(span)))
            .filter(|(_, span)| *span != emptymspan && !span.is_nil())
            .collect();
        let mut stack_cache = Vec::new();
        for order in 0..l.stackcache.len.min(16) {
            let list = view.element("stackfreelist", l.stackcache, order)?;
            stack_cache.push(list.uint(layout.stack_free_list.bytes)?);
        }
        Ok(Mcache {
            addr,
            spans,
            tiny: r.addr(l.tiny)?,
            tiny_offset: r.uint(l.tinyoffset)?,
            tiny_allocs: r.uint(l.tiny_allocs)?,
            stack_cache,
            flush_gen: r.u32(l.flush_gen)?,
        })
    }

    /// Bytes of free stacks.
    pub fn stack_cache_bytes(&self) -> u64 {
        self.stack_cache.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}
