//! The page allocator (runtime/mpagealloc.go, mpagecache.go): which runtime pages belong to nobody, and which of them
//! have been returned to the OS. Free pages come as address runs, so that residency can be looked up per run.

use super::cursor::{DecodeError, Fields, GoSlice, Record, View, word};
use super::layout::Layout;
use super::variants::{ARENA_BYTES, CHUNK_BYTES, CHUNK_PAGES, CHUNKS_L2_BITS, PAGE_BYTES, PAGE_CACHE_PAGES, Variant};
use crate::memory::{Addr, Memory, Range};

/// More address ranges than any heap has.
pub(super) const MOST_RANGES: u64 = 1 << 20;
/// More chunks than 48 address bits of 4 MiB chunks allow in practice: 16 TiB of heap.
const MOST_CHUNKS: u64 = 1 << 22;

/// Runs of free pages kept at most; a heap of 64 GiB of which every other page is free has half of that.
const MOST_RUNS: usize = 1 << 23;

/// What the allocator knows about one kind of page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// In no span and in no page cache, not returned to the OS.
    Idle,
    /// In no span and in no page cache, returned to the OS or never touched.
    Released,
    /// In a P's page cache, not returned.
    CachedIdle,
    /// In a P's page cache, returned.
    CachedReleased,
    /// Allocated and released at once: the random padding at the heap's start (Go 1.26 and later).
    Padding,
}

/// Totals and runs of the pages that belong to no span. Counts are runtime pages of 8 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageAlloc {
    /// Address ranges that the heap owns, in whole chunks.
    pub in_use: Vec<Range>,
    /// `pages.inUse.totalBytes`.
    pub in_use_bytes: u64,
    /// Pages whose alloc bit is set.
    pub allocated: u64,
    /// Free and not returned.
    pub idle: u64,
    /// Free and returned (or never touched).
    pub released: u64,
    /// Allocated and scavenged: padding.
    pub padding: u64,
    /// In page caches, not returned.
    pub cached_idle: u64,
    /// In page caches, returned.
    pub cached_released: u64,
    /// Runs of the above in address order per kind; page-cache runs come last.
    pub runs: Vec<(PageState, Range)>,
    /// Chunks whose bitmap could not be read.
    pub unreadable_chunks: u64,
    /// Chunks whose bitmap was read.
    pub chunks: u64,
    /// The first error met.
    pub first_error: Option<DecodeError>,
}

/// A P's page cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCache {
    /// Address of its first page.
    pub base: u64,
    /// Bit i: page i is free.
    pub cache: u64,
    /// Bit i: page i is free and returned.
    pub scav: u64,
}

/// Index of the 64 MiB arena that holds `addr` (runtime/mheap.go `arenaIndex`).
pub fn arena_index(variant: &Variant, addr: u64) -> u64 {
    addr.wrapping_sub(variant.arena_base_offset) / ARENA_BYTES
}

/// First and second level index of the chunk that holds `addr` (runtime/mpagealloc.go `chunkIndex`).
pub fn chunk_location(variant: &Variant, addr: u64) -> (u64, u64) {
    let chunk = addr.wrapping_sub(variant.arena_base_offset) / CHUNK_BYTES;
    (chunk >> CHUNKS_L2_BITS, chunk & ((1 << CHUNKS_L2_BITS) - 1))
}

/// The address ranges that the heap owns: ascending, disjoint, whole chunks, and not absurdly many.
pub fn in_use_ranges(memory: &dyn Memory, layout: &Layout, mheap: Addr) -> Result<Vec<Range>, DecodeError> {
    let view = View::new(memory, "mheap_", mheap);
    let GoSlice { ptr, len, .. } = view.slice(layout.mheap.in_use)?;
    if len > MOST_RANGES {
        return Err(view.invalid("pages.inUse has an impossible length"));
    }
    let mut ranges = Vec::with_capacity(len as usize);
    let (mut last_end, mut chunks) = (0, 0);
    for index in 0..len {
        let at = Addr(ptr.0.wrapping_add(index.wrapping_mul(layout.addr_range.size)));
        let record = Record::read(memory, "addrRange", at, layout.addr_range.size)?;
        let (base, limit) = (
            record.uint(layout.addr_range.base)?,
            record.uint(layout.addr_range.limit)?,
        );
        chunks += limit.saturating_sub(base) / CHUNK_BYTES;
        if base < last_end || limit <= base || base % CHUNK_BYTES != 0 || limit % CHUNK_BYTES != 0 {
            return Err(record.invalid("a heap address range is empty, unaligned or out of order"));
        }
        if chunks > MOST_CHUNKS {
            return Err(record.invalid("the heap's address ranges are impossibly large"));
        }
        ranges.push(Range::new(Addr(base), limit - base));
        last_end = limit;
    }
    Ok(ranges)
}

impl PageAlloc {
    /// Reads every chunk's bitmaps and the page caches of all Ps.
    pub fn decode(
        memory: &dyn Memory,
        layout: &Layout,
        variant: &Variant,
        mheap: Addr,
        caches: &[PageCache],
    ) -> Result<PageAlloc, DecodeError> {
        let view = View::new(memory, "mheap_", mheap);
        let mut pages = PageAlloc {
            in_use: in_use_ranges(memory, layout, mheap)?,
            in_use_bytes: view.uint(layout.mheap.in_use_bytes)?,
            ..PageAlloc::default()
        };
        for range in pages.in_use.clone() {
            let mut chunk = range.start.0;
            while chunk < range.end().0 {
                match pages.chunk(memory, layout, variant, &view, chunk) {
                    Ok(()) => pages.chunks += 1,
                    Err(error) => {
                        pages.unreadable_chunks += 1;
                        pages.first_error.get_or_insert(error);
                    }
                }
                chunk = chunk.saturating_add(CHUNK_BYTES);
            }
        }
        for cache in caches {
            pages.page_cache(cache);
        }
        Ok(pages)
    }

    fn chunk(
        &mut self,
        memory: &dyn Memory,
        layout: &Layout,
        variant: &Variant,
        mheap: &View<'_>,
        start: u64,
    ) -> Result<(), DecodeError> {
        let (l1, l2) = chunk_location(variant, start);
        let table = word(memory, "pageAlloc.chunks", mheap.element_addr(layout.mheap.chunks, l1)?)?;
        let at = Addr(table.wrapping_add(l2.wrapping_mul(layout.palloc_data.size)));
        let data = Record::read(memory, "pallocData", at, layout.palloc_data.size)?;
        if self.runs.len() >= MOST_RUNS {
            return Err(data.invalid("the heap's free pages are in impossibly many pieces"));
        }
        let alloc = bitmap(data.field(layout.palloc_data.alloc)?);
        let scavenged = bitmap(data.field(layout.palloc_data.scavenged)?);
        for (index, (&a, &s)) in alloc.iter().zip(&scavenged).enumerate() {
            self.allocated += u64::from(a.count_ones());
            self.idle += u64::from((!a & !s).count_ones());
            self.released += u64::from((!a & s).count_ones());
            self.padding += u64::from((a & s).count_ones());
            let base = start + index as u64 * 64 * PAGE_BYTES;
            self.word_runs(PageState::Idle, base, !a & !s);
            self.word_runs(PageState::Released, base, !a & s);
            self.word_runs(PageState::Padding, base, a & s);
        }
        Ok(())
    }

    fn page_cache(&mut self, cache: &PageCache) {
        let (idle, released) = (cache.cache & !cache.scav, cache.cache & cache.scav);
        self.cached_idle += u64::from(idle.count_ones());
        self.cached_released += u64::from(released.count_ones());
        let whole = cache.base.is_multiple_of(PAGE_CACHE_PAGES * PAGE_BYTES);
        if whole && cache.base.checked_add(PAGE_CACHE_PAGES * PAGE_BYTES).is_some() {
            self.word_runs(PageState::CachedIdle, cache.base, idle);
            self.word_runs(PageState::CachedReleased, cache.base, released);
        }
    }

    /// Appends the runs of set bits in `bits`, page 0 at `base`, joining the run before where they touch.
    fn word_runs(&mut self, state: PageState, base: u64, mut bits: u64) {
        let mut page = 0;
        while bits != 0 {
            let skip = bits.trailing_zeros();
            let shifted = bits >> skip;
            let len = shifted.trailing_ones();
            page += skip;
            let start = base + u64::from(page) * PAGE_BYTES;
            self.push_run(state, Range::new(Addr(start), u64::from(len) * PAGE_BYTES));
            page += len;
            bits = if len == 64 { 0 } else { shifted >> len };
        }
    }

    fn push_run(&mut self, state: PageState, run: Range) {
        // At most three kinds alternate, so the run to join is among the last few.
        if let Some((_, last)) = self
            .runs
            .iter_mut()
            .rev()
            .take(3)
            .find(|(kind, last)| *kind == state && last.end() == run.start)
        {
            last.len += run.len;
            return;
        }
        self.runs.push((state, run));
    }

    /// Idle bytes that were not returned to the OS, page caches included: `gcController.heapFree`.
    pub fn unreturned_bytes(&self) -> u64 {
        (self.idle + self.cached_idle) * PAGE_BYTES
    }

    /// Returned bytes, page caches and padding included: `gcController.heapReleased`.
    pub fn returned_bytes(&self) -> u64 {
        (self.released + self.cached_released + self.padding) * PAGE_BYTES
    }

    /// Pages that must be covered by spans: allocated ones but for page caches and padding.
    pub fn pages_in_spans(&self) -> Option<u64> {
        self.allocated
            .checked_sub(self.cached_idle + self.cached_released + self.padding)
    }
}

/// The 512 bits of a chunk.
fn bitmap(bytes: &[u8]) -> [u64; (CHUNK_PAGES / 64) as usize] {
    let mut words = [0; (CHUNK_PAGES / 64) as usize];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = chunk.try_into().map(u64::from_le_bytes).unwrap_or_default();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_across_words() {
        let mut pages = PageAlloc::default();
        pages.word_runs(PageState::Idle, 0x40_0000, u64::MAX);
        pages.word_runs(PageState::Idle, 0x40_0000 + 64 * PAGE_BYTES, 0b1011);
        assert_eq!(
            pages.runs,
            vec![
                (PageState::Idle, Range::new(Addr(0x40_0000), 66 * PAGE_BYTES)),
                (
                    PageState::Idle,
                    Range::new(Addr(0x40_0000 + 67 * PAGE_BYTES), PAGE_BYTES)
                ),
            ]
        );
    }

    #[test]
    fn a_page_cache_counts_free_and_returned_pages_apart() {
        let mut pages = PageAlloc::default();
        pages.page_cache(&PageCache {
            base: 0xc000_0000,
            cache: 0b1110,
            scav: 0b1000,
        });
        assert_eq!((pages.cached_idle, pages.cached_released), (2, 1));
    }
}
