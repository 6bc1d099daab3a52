//! The planner of the summary report: heap, page allocator, caches, scheduler lists, goroutine structures (not their
//! stacks), statistics. Mark bits are not in it; they are read after the release (see `marks`).

use super::Requests;
use crate::goruntime::cursor::{DecodeError, Fields, View, word, words};
use crate::goruntime::globals::Globals;
use crate::goruntime::goroutines::{self, all_goroutines};
use crate::goruntime::layout::Layout;
use crate::goruntime::mspan;
use crate::goruntime::pagealloc::{self, MOST_RANGES, arena_index, chunk_location};
use crate::goruntime::processors::MOST_PS;
use crate::goruntime::spans::all_spans;
use crate::goruntime::variants::{CHUNK_BYTES, SPAN_CLASSES, Variant};
use crate::memory::{Addr, Gather, Memory, Planner, Request};

/// The wave that asks for what there is most of, but for what is gathered.
const BLOCKS: usize = 4;
/// Waves after which following a chain is given up; a healthy target needs four, and one per 4 KiB of free mcaches
/// (a GOMAXPROCS of 256 that shrank to 1 leaves 255 of them, up to 2296 bytes each).
const LAST_WAVE: usize = 256;
/// A page, which is there as a whole if its first byte is.
const OS_PAGE: u64 = 4096;
/// More elements than any real slice of the runtime has; the byte budget of the capture bounds the rest.
const MOST_ELEMENTS: u64 = 1 << 27;
/// Blocks of all span sets together, and of one: sets that share a spine must not multiply the wishes.
const MOST_BLOCKS: u64 = 1 << 20;
const MOST_BLOCKS_OF_SET: u64 = 1 << 18;
/// Modules (plugins) followed at most.
const MOST_MODULES: usize = 64;

/// Plans the capture of everything that the summary needs.
pub struct SummaryPlanner<'a> {
    layout: &'a Layout,
    globals: &'a Globals,
    variant: &'a Variant,
    /// What the chains asked for last: free mcache, module. Asked for once, an address that does not come is given up.
    pub(super) chased: (Addr, Addr),
}

impl<'a> SummaryPlanner<'a> {
    /// A planner for one target.
    pub fn new(layout: &'a Layout, globals: &'a Globals, variant: &'a Variant) -> SummaryPlanner<'a> {
        SummaryPlanner {
            layout,
            globals,
            variant,
            chased: Default::default(),
        }
    }

    /// As [`Planner::is_last_need`].
    pub(super) fn is_last_need(wave: usize) -> bool {
        wave == BLOCKS
    }

    /// Arrays that globals point to.
    fn arrays(&self, memory: &dyn Memory, out: &mut Requests) {
        let (l, g) = (self.layout, self.globals);
        let mheap = View::new(memory, "mheap_", g.mheap);
        for (what, field) in [
            ("allspans", Some(l.mheap.allspans)),
            ("heapArenas", Some(l.mheap.heap_arenas)),
            ("userArenaArenas", l.mheap.user_arenas),
        ] {
            if let Some(Ok(slice)) = field.map(|field| mheap.slice(field)) {
                let bytes = if what == "allspans" {
                    8
                } else {
                    8.min(l.mheap.heap_arenas.size)
                };
                out.push(what, slice.ptr, slice.len.min(MOST_ELEMENTS).saturating_mul(bytes));
            }
        }
        if let Ok(ranges) = mheap.slice(l.mheap.in_use) {
            out.push(
                "pages.inUse",
                ranges.ptr,
                ranges.len.min(MOST_RANGES).saturating_mul(l.addr_range.size),
            );
        }
        if let Ok(allgs) = View::new(memory, "allgs", g.allgs).slice(WHOLE_SLICE) {
            out.push("allgs", allgs.ptr, allgs.len.min(MOST_ELEMENTS).saturating_mul(8));
        }
        if let Ok(allp) = View::new(memory, "allp", g.allp).slice(WHOLE_SLICE) {
            // Beyond len lie the Ps that GOMAXPROCS retired.
            out.push("allp", allp.ptr, allp.cap.min(MOST_PS).saturating_mul(8));
        }
        let mut left = MOST_BLOCKS;
        for class in 0..(SPAN_CLASSES as u64).min(l.mheap.central.len) {
            let _ = self.span_sets(&mheap, class, |set| {
                let blocks = self.blocks(&set, &mut left)?;
                if blocks > 0 {
                    out.push("spanSet.spine", set.addr(l.span_set.spine)?, blocks.saturating_mul(8));
                }
                Ok(())
            });
        }
    }

    /// Blocks of `set`, as far as they are believed.
    fn blocks(&self, set: &View<'_>, left: &mut u64) -> Result<u64, DecodeError> {
        let blocks = set.uint(self.layout.span_set.spine_len)?;
        if blocks > MOST_BLOCKS_OF_SET {
            return Err(set.invalid("its spine has an impossible length"));
        }
        let blocks = blocks.min(*left);
        *left -= blocks;
        Ok(blocks)
    }

    /// Calls `visit` with the four span sets of mcentral `class`.
    fn span_sets(
        &self,
        mheap: &View<'_>,
        class: u64,
        mut visit: impl FnMut(View<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let l = self.layout;
        let mcentral = mheap.element("mcentral", l.mheap.central, class)?;
        for sets in [l.mcentral.partial, l.mcentral.full] {
            for index in 0..sets.len.min(2) {
                visit(mcentral.element("spanSet", sets, index)?)?;
            }
        }
        Ok(())
    }

    /// Structures that the arrays point to.
    fn structures(&self, memory: &dyn Memory, out: &mut Requests) {
        let (l, g) = (self.layout, self.globals);
        let allp = View::new(memory, "allp", g.allp).slice(WHOLE_SLICE);
        self.each_pointer(memory, allp.map(|s| (s.ptr, s.cap)), "p", l.p.size, out);
        let _ = self.page_bitmaps(memory, out);
        let _ = self.arena_pointers(memory, out);
    }

    /// The entries of all span sets.
    fn set_blocks(&self, memory: &dyn Memory, out: &mut Requests) {
        let l = self.layout;
        let mheap = View::new(memory, "mheap_", self.globals.mheap);
        let mut left = MOST_BLOCKS;
        for class in 0..(SPAN_CLASSES as u64).min(l.mheap.central.len) {
            let _ = self.span_sets(&mheap, class, |set| {
                let blocks = self.blocks(&set, &mut left)?;
                if blocks == 0 {
                    return Ok(());
                }
                for block in words(memory, "spanSet.spine", set.addr(l.span_set.spine)?, blocks)? {
                    out.push("spanSetBlock", Addr(block), l.span_set_block.size);
                }
                Ok(())
            });
        }
    }

    fn each_pointer(
        &self,
        memory: &dyn Memory,
        array: Result<(Addr, u64), DecodeError>,
        what: &'static str,
        size: u64,
        out: &mut Requests,
    ) {
        let Ok((ptr, len)) = array else { return };
        let Ok(pointers) = words(memory, what, ptr, len.min(MOST_ELEMENTS)) else {
            return;
        };
        out.push_all(what, pointers, size);
    }

    fn page_bitmaps(&self, memory: &dyn Memory, out: &mut Requests) -> Result<(), DecodeError> {
        let l = self.layout;
        let mheap = View::new(memory, "mheap_", self.globals.mheap);
        for range in pagealloc::in_use_ranges(memory, l, self.globals.mheap)? {
            let mut chunk = range.start.0;
            while chunk < range.end().0 {
                let (l1, l2) = chunk_location(self.variant, chunk);
                let table = word(memory, "pageAlloc.chunks", mheap.element_addr(l.mheap.chunks, l1)?)?;
                let at = table.wrapping_add(l2.wrapping_mul(l.palloc_data.size));
                out.push("pallocData", Addr(at), l.palloc_data.size);
                chunk = match chunk.checked_add(CHUNK_BYTES) {
                    Some(next) => next,
                    None => break,
                };
            }
        }
        Ok(())
    }

    /// The entries of the arena index that are in use.
    fn arena_pointers(&self, memory: &dyn Memory, out: &mut Requests) -> Result<(), DecodeError> {
        let mheap = View::new(memory, "mheap_", self.globals.mheap);
        let table = word(
            memory,
            "mheap_.arenas",
            mheap.element_addr(self.layout.mheap.arenas, 0)?,
        )?;
        for range in pagealloc::in_use_ranges(memory, self.layout, self.globals.mheap)? {
            for arena in arena_index(self.variant, range.start.0)..=arena_index(self.variant, range.end().0 - 1) {
                out.push("mheap_.arenas", Addr(table.wrapping_add(arena.wrapping_mul(8))), 8);
            }
        }
        Ok(())
    }

    /// What the structures point to: mcaches, arena metadata, further modules.
    fn third(&self, memory: &dyn Memory, out: &mut Requests) {
        let (l, g) = (self.layout, self.globals);
        if let Ok(allp) = View::new(memory, "allp", g.allp).slice(WHOLE_SLICE)
            && let Ok(ps) = words(memory, "allp", allp.ptr, allp.cap.min(MOST_PS))
        {
            for p in ps {
                if let Ok(mcache) = View::new(memory, "p", Addr(p)).addr(l.p.mcache) {
                    out.push("mcache", mcache, l.mcache.size);
                }
            }
        }
        let mheap = View::new(memory, "mheap_", g.mheap);
        let arenas = mheap
            .element_addr(l.mheap.arenas, 0)
            .and_then(|at| word(memory, "mheap_.arenas", at));
        if let (Ok(table), Ok(ranges)) = (arenas, pagealloc::in_use_ranges(memory, l, g.mheap)) {
            for range in ranges {
                for arena in arena_index(self.variant, range.start.0)..=arena_index(self.variant, range.end().0 - 1) {
                    let entry = Addr(table.wrapping_add(arena.wrapping_mul(8)));
                    if let Ok(at) = word(memory, "mheap_.arenas", entry) {
                        let arena = View::new(memory, "heapArena", Addr(at));
                        if let Ok(bits) = arena.element_addr(l.heap_arena.page_in_use, 0) {
                            out.push("heapArena.pageInUse", bits, l.heap_arena.page_in_use.len);
                        }
                        out.push("heapArena.zeroedBase", arena.addr_of(l.heap_arena.zeroed_base), 8);
                    }
                }
            }
        }
    }

    /// Chains: each wave follows them as far as the bytes go and asks for what comes next.
    fn chains(&mut self, memory: &dyn Memory, out: &mut Requests) {
        let (l, g) = (self.layout, self.globals);
        let cachealloc = View::new(memory, "mheap_", g.mheap).inner("fixalloc", l.mheap.cachealloc);
        let mut link = cachealloc.addr(l.fixalloc.list).unwrap_or_default();
        for _ in 0..MOST_FREE_MCACHES {
            match word(memory, "free mcache", link) {
                Ok(next) => link = Addr(next),
                Err(_) => {
                    if link != self.chased.0 {
                        out.push("free mcache", Addr(link.0 & !(OS_PAGE - 1)), OS_PAGE);
                    }
                    self.chased.0 = link;
                    break;
                }
            }
        }
        let mut module = g.firstmoduledata;
        for _ in 0..MOST_MODULES {
            match View::new(memory, "moduledata", module).addr(l.moduledata.next) {
                Ok(next) if next.is_nil() => break,
                Ok(next) => module = next,
                Err(_) => {
                    if module != self.chased.1 {
                        out.push("moduledata", module, l.moduledata.size);
                    }
                    self.chased.1 = module;
                    break;
                }
            }
        }
    }
}

/// Free mcaches counted at most: one per P that GOMAXPROCS ever retired.
pub const MOST_FREE_MCACHES: usize = 1 << 16;

/// A slice header that is a whole global.
pub const WHOLE_SLICE: crate::goruntime::layout::Field = crate::goruntime::layout::Field { offset: 0, size: 24 };

impl Planner for SummaryPlanner<'_> {
    fn wave(&mut self, wave: usize, captured: &dyn Memory) -> Vec<Request> {
        let mut out = Requests::default();
        match wave {
            0 => {
                self.chased = Default::default();
                out.push_globals(self.layout, self.globals);
            }
            1 => self.arrays(captured, &mut out),
            2 => {
                self.structures(captured, &mut out);
                self.chains(captured, &mut out);
            }
            3 => {
                self.third(captured, &mut out);
                self.chains(captured, &mut out);
            }
            // A wave without wishes would end the capture.
            BLOCKS => {
                self.set_blocks(captured, &mut out);
                if out.is_empty() {
                    self.chains(captured, &mut out);
                }
            }
            _ if wave < LAST_WAVE => self.chains(captured, &mut out),
            _ => {}
        }
        out.into_list()
    }

    fn is_last_need(&self, wave: usize) -> bool {
        SummaryPlanner::is_last_need(wave)
    }

    /// Every g and every span: the mass comes last, since what a budget leaves out is not what the rest hangs on.
    fn gather(&mut self, captured: &dyn Memory) -> Vec<Gather> {
        let (l, g) = (self.layout, self.globals);
        let gs = all_goroutines(captured, g).ok();
        let gs = gs.and_then(|all| goroutines::gather(&l.g, all.ptr, all.len));
        let spans = all_spans(captured, l, g.mheap).ok();
        let spans = spans.and_then(|all| mspan::gather(&l.mspan, all.ptr, all.len));
        gs.into_iter().chain(spans).collect()
    }
}
