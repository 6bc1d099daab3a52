//! Heap arenas (runtime/mheap.go `heapArena`): the per-arena bitmaps that say which pages begin an in-use span, and
//! where the runtime keeps its own tables, so that mappings can be told apart.

use super::cursor::{DecodeError, Fields, View, word};
use super::globals::Globals;
use super::layout::Layout;
use super::pagealloc::{PageAlloc, arena_index};
use super::variants::Variant;
use crate::memory::{Addr, Memory};

/// Totals over all arenas, and addresses that are known to lie in memory of the runtime's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arenas {
    /// Arenas in use.
    pub count: u64,
    /// Bits set in `pageInUse`: one per in-use span.
    pub spans_in_use: u64,
    /// Arenas whose metadata could not be read.
    pub unreadable: u64,
    /// Addresses inside the runtime's own tables.
    pub metadata: Vec<Addr>,
}

impl Arenas {
    /// Reads the metadata of every arena that the page allocator's ranges touch.
    pub fn decode(
        memory: &dyn Memory,
        layout: &Layout,
        variant: &Variant,
        globals: &Globals,
        pages: &PageAlloc,
    ) -> Result<Arenas, DecodeError> {
        let mheap = View::new(memory, "mheap_", globals.mheap);
        let table = word(memory, "mheap_.arenas", mheap.element_addr(layout.mheap.arenas, 0)?)?;
        let mut arenas = Arenas::default();
        let mut last = None;
        for range in &pages.in_use {
            let bounds = (
                arena_index(variant, range.start.0),
                arena_index(variant, range.end().0 - 1),
            );
            for index in bounds.0..=bounds.1 {
                if last == Some(index) {
                    continue;
                }
                last = Some(index);
                let entry = Addr(table.wrapping_add(index.wrapping_mul(8)));
                arenas.metadata.push(entry);
                match arena(memory, layout, entry, &mut arenas.metadata) {
                    Ok(bits) => {
                        arenas.count += 1;
                        arenas.spans_in_use += bits;
                    }
                    Err(_) => arenas.unreadable += 1,
                }
            }
        }
        for field in [layout.mheap.allspans, layout.mheap.scavenge_chunks, layout.mheap.in_use] {
            arenas.metadata.push(mheap.slice(field)?.ptr);
        }
        for level in 0..layout.mheap.summary.len.min(8) {
            arenas.metadata.push(Addr(word(
                memory,
                "pages.summary",
                mheap.element_addr(layout.mheap.summary, level)?,
            )?));
        }
        Ok(arenas)
    }
}

fn arena(memory: &dyn Memory, layout: &Layout, entry: Addr, metadata: &mut Vec<Addr>) -> Result<u64, DecodeError> {
    let at = Addr(word(memory, "mheap_.arenas", entry)?);
    let view = View::new(memory, "heapArena", at);
    if at.is_nil() {
        return Err(view.invalid("the arena index has no entry for a range that the heap owns"));
    }
    metadata.push(at);
    let bits = layout.heap_arena.page_in_use;
    let field = super::layout::Field {
        offset: bits.offset,
        size: bits.len,
    };
    let (words, rest) = view.field(field)?.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word).count_ones());
    let rest = rest.iter().map(|byte| byte.count_ones());
    Ok(words.chain(rest).map(u64::from).sum())
}
