//! The page allocator and the arena index: address ranges of whole 4 MiB chunks, a bitmap of allocated and one of
//! scavenged pages per chunk, and per 64 MiB arena the pages that begin an in-use span.

use super::spec::PAGE;
use super::types::Release;
use super::writer::Writer;

const CHUNK: u64 = 4 << 20;
const ARENA: u64 = 64 << 20;
/// `arenaBaseOffset` of linux/amd64: addresses are counted from -2^47.
const HALF: u64 = 1 << 47;

/// One address range of the heap.
#[derive(Clone, Debug)]
pub struct Region {
    pub base: u64,
    /// Pages handed out so far.
    next: u64,
    alloc: Vec<u64>,
    scav: Vec<u64>,
    begins: Vec<u64>,
}

/// Pages of a region by what the allocator says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageTotals {
    pub idle: u64,
    pub released: u64,
    pub padding: u64,
}

impl Region {
    pub fn first(release: Release) -> Region {
        Region::at(if release == Release::Go126 {
            0x3a5c_6400_0000
        } else {
            0xc0_0000_0000
        })
    }

    pub fn at(base: u64) -> Region {
        Region {
            base,
            next: 0,
            alloc: Vec::new(),
            scav: Vec::new(),
            begins: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Claims `pages` pages; pages never claimed stay as new memory is: free and scavenged.
    pub fn claim(&mut self, pages: u64, allocated: bool, scavenged: bool) -> u64 {
        let first = self.next;
        self.next += pages;
        let words = (self.next * PAGE).next_multiple_of(CHUNK) / PAGE / 64;
        self.alloc.resize(words as usize, 0);
        self.scav.resize(words as usize, u64::MAX);
        self.begins.resize(words as usize, 0);
        set(&mut self.alloc, first, self.next, allocated);
        set(&mut self.scav, first, self.next, scavenged);
        self.base + first * PAGE
    }

    /// Claims a span of in-use memory.
    pub fn claim_in_use(&mut self, pages: u64) -> u64 {
        let at = self.claim(pages, true, false);
        let page = (at - self.base) / PAGE;
        self.begins[(page / 64) as usize] |= 1 << (page % 64);
        at
    }

    /// Claims the aligned 64 pages of a page cache: its free pages look allocated, the others were freed since.
    pub fn claim_cache(&mut self, free: u64) -> u64 {
        let skip = self.next.next_multiple_of(64) - self.next;
        self.claim(skip, false, false);
        let at = self.claim(64, false, false);
        self.alloc[((at - self.base) / PAGE / 64) as usize] = free;
        at
    }

    fn end(&self) -> u64 {
        self.base + (self.next * PAGE).next_multiple_of(CHUNK)
    }

    pub fn totals(&self) -> PageTotals {
        let mut totals = PageTotals::default();
        for (a, s) in self.alloc.iter().zip(&self.scav) {
            totals.idle += u64::from((!a & !s).count_ones());
            totals.released += u64::from((!a & s).count_ones());
            totals.padding += u64::from((a & s).count_ones());
        }
        totals
    }
}

fn set(words: &mut [u64], from: u64, to: u64, on: bool) {
    let mut page = from;
    while page < to {
        let upto = (page / 64 * 64 + 64).min(to);
        let mask = (u64::MAX >> (64 - (upto - page))) << (page % 64);
        let word = &mut words[(page / 64) as usize];
        *word = if on { *word | mask } else { *word & !mask };
        page = upto;
    }
}

/// Writes `mheap_.pages` and `mheap_.arenas` for regions in address order.
pub fn write(w: &mut Writer, regions: &[Region]) {
    let mheap = w.global("mheap_");
    let ranges: Vec<u64> = regions.iter().flat_map(|region| [region.base, region.end()]).collect();
    let count = regions.len() as u64;
    let array = w.words(&ranges);
    w.put_slice("runtime.mheap", mheap, "pages.inUse.ranges", (array, count, count + 3));
    let total = regions.iter().map(|region| region.end() - region.base).sum();
    w.put("runtime.mheap", mheap, "pages.inUse.totalBytes", total);
    for level in 0..5 {
        let at = w.at("runtime.mheap", mheap, "pages.summary") + level * 24;
        let table = w.alloc(64);
        w.put_slice_at(at, (table, 8, 8));
    }
    let index = w.alloc(64);
    w.put_slice("runtime.mheap", mheap, "pages.scav.index.chunks", (index, 8, 8));
    let mut arenas = Vec::new();
    for region in regions {
        chunks(w, mheap, region);
        arenas.extend(arena_index(w, mheap, region));
    }
    let array = w.words(&arenas);
    let known = if w.types.has("runtime.mheap", "heapArenas") {
        "heapArenas"
    } else {
        "allArenas"
    };
    w.put_slice(
        "runtime.mheap",
        mheap,
        known,
        (array, arenas.len() as u64, arenas.len() as u64),
    );
}

/// `pages.chunks[l1]` points to a megabyte of `pallocData` of which only the used part is mapped here.
fn chunks(w: &mut Writer, mheap: u64, region: &Region) {
    let first = (region.base + HALF) / CHUNK;
    let last = (region.end() - 1 + HALF) / CHUNK;
    for l1 in first >> 13..=last >> 13 {
        let (from, to) = (first.max(l1 << 13), last.min(((l1 + 1) << 13) - 1));
        let slot = w.at("runtime.mheap", mheap, "pages.chunks") + l1 * 8;
        assert_eq!(w_word(w, slot), 0, "regions do not share a megabyte of bitmaps");
        let data = w.table((to - from + 1) * 128);
        w.put_word(slot, data - (from & 0x1fff) * 128);
        let mut bytes = Vec::with_capacity(((to - from + 1) * 128) as usize);
        for chunk in from..=to {
            let word = ((chunk - first) * 8) as usize;
            for bitmap in [&region.alloc, &region.scav] {
                bytes.extend(bitmap[word..word + 8].iter().flat_map(|bits| bits.to_le_bytes()));
            }
        }
        w.space.write(data, &bytes);
    }
}

fn w_word(w: &Writer, at: u64) -> u64 {
    use gomemscan::memory::{Addr, Memory};
    u64::from_le_bytes(w.space.bytes(Addr(at), 8).unwrap().try_into().unwrap())
}

/// Gives back the arena indices of the region.
fn arena_index(w: &mut Writer, mheap: u64, region: &Region) -> Vec<u64> {
    let table_at = w.at("runtime.mheap", mheap, "arenas");
    let (first, last) = ((region.base + HALF) / ARENA, (region.end() - 1 + HALF) / ARENA);
    // The table has 32 MiB of addresses; only the entries in use are mapped here.
    const TABLE: u64 = 0x7f40_0000_0000;
    w.put_word(table_at, TABLE);
    w.space.map(TABLE + first * 8, (last - first + 1) * 8);
    let (bits_at, bits_len) = w.types.at("runtime.heapArena", "pageInUse");
    let size = w.types.size("runtime.heapArena");
    for arena in first..=last {
        // Only the part from pageInUse on is mapped.
        let meta = w.alloc(size - bits_at) - bits_at;
        w.put_word(TABLE + arena * 8, meta);
        let arena_base = arena * ARENA - HALF;
        let bytes: Vec<u8> = (0..bits_len / 8)
            .map(|word| arena_base + word * 64 * PAGE)
            .map(|at| at.checked_sub(region.base).map(|offset| (offset / PAGE / 64) as usize))
            .flat_map(|word| {
                word.and_then(|word| region.begins.get(word))
                    .copied()
                    .unwrap_or(0)
                    .to_le_bytes()
            })
            .collect();
        w.space.write(meta + bits_at, &bytes);
        w.put("runtime.heapArena", meta, "zeroedBase", ARENA / 2);
    }
    (first..=last).collect()
}
