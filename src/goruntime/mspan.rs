//! Spans (runtime/mheap.go `mspan`): every span structure that the runtime ever made, what it holds now, and whether
//! what it says is possible.

use super::cursor::{DecodeError, Fields, GoSlice, Record, View, words};
use super::layout::Layout;
use super::variants::{FIXALLOC_CHUNK_BYTES, PAGE_BYTES, SPAN_CLASSES};
use crate::memory::{Addr, Forget, Memory, Range};

/// More span structures than any real heap has (a span for each 8 KiB of 1 TiB).
const MOST_SPANS: u64 = 1 << 27;
/// More slots than any span has (1024); from Go 1.22 on the field itself ends here.
const MOST_SLOTS: u32 = u16::MAX as u32;

/// Fewer structures than this are not worth giving back one stretch at a time.
const WORTH_FORGETTING: u64 = 1 << 16;
/// Structures read between two rounds of giving back.
const FORGOTTEN_AT_ONCE: u64 = 1 << 15;

/// `mspan.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanState {
    /// The structure is free; its pages belong to nobody or to another span.
    Dead,
    /// Holds objects of the garbage-collected heap.
    InUse,
    /// Managed by hand: stacks and work buffers.
    Manual,
}

/// Where a sweep finds a span, from its sweepgen (runtime/mheap.go, comment on `mspan.sweepgen`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Not swept since the last mark.
    Needed,
    /// Being swept at this instant.
    Underway,
    /// Swept.
    Done,
    /// Held by an mcache since before the last sweep phase began; not swept yet.
    CachedStale,
    /// Swept, then held by an mcache.
    Cached,
    /// A value that the runtime does not produce.
    Odd,
}

impl Sweep {
    /// Reads `sweepgen` against the heap's.
    pub fn of(sweepgen: u32, heap: u32) -> Sweep {
        match sweepgen.wrapping_sub(heap) {
            0xffff_fffe => Sweep::Needed,
            0xffff_ffff => Sweep::Underway,
            0 => Sweep::Done,
            1 => Sweep::CachedStale,
            3 => Sweep::Cached,
            _ => Sweep::Odd,
        }
    }

    /// Whether the span's free slots are not known yet: garbage found by the last mark still counts as allocated.
    pub fn is_unswept(self) -> bool {
        matches!(self, Sweep::Needed | Sweep::Underway | Sweep::CachedStale)
    }
}

/// One span structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Address of the mspan.
    pub addr: Addr,
    /// First address of its pages.
    pub start: u64,
    /// Runtime pages.
    pub npages: u64,
    /// Slot size in bytes.
    pub elemsize: u64,
    /// Mark bits of the last (or current) mark.
    pub gcmark_bits: Addr,
    /// Slots allocated as of the last sweep.
    pub alloc_bits: Addr,
    /// Next span on the list that holds this one.
    pub next: Addr,
    /// `*abi.Type` of a large scannable object.
    pub large_type: Addr,
    /// Number of slots.
    pub nelems: u32,
    /// Slots handed out (for an unswept span: garbage included).
    pub alloc_count: u32,
    /// `allocCount` when an mcache took the span.
    pub alloc_count_before_cache: u32,
    /// Slots below are allocated.
    pub freeindex: u32,
    /// `mspan.sweepgen`.
    pub sweepgen: u32,
    /// `sizeclass << 1 | noscan`.
    pub spanclass: u8,
    /// The state.
    pub state: SpanState,
    /// A user arena chunk (GOEXPERIMENT=arenas).
    pub user_arena: bool,
}

impl Span {
    /// Bytes of its pages.
    pub fn bytes(&self) -> u64 {
        self.npages.saturating_mul(PAGE_BYTES)
    }

    /// The address range of its pages.
    pub fn range(&self) -> Range {
        Range::new(Addr(self.start), self.bytes())
    }

    /// Size class; 0 for large objects.
    pub fn size_class(&self) -> usize {
        usize::from(self.spanclass >> 1)
    }

    /// Objects without pointers.
    pub fn noscan(&self) -> bool {
        self.spanclass & 1 == 1
    }

    /// Slots not handed out.
    pub fn free_slots(&self) -> u32 {
        self.nelems.saturating_sub(self.alloc_count)
    }

    /// Bytes of slots handed out.
    pub fn allocated_bytes(&self) -> u64 {
        u64::from(self.alloc_count).saturating_mul(self.elemsize)
    }

    /// Bytes of free slots.
    pub fn free_bytes(&self) -> u64 {
        u64::from(self.free_slots()).saturating_mul(self.elemsize)
    }

    /// Bytes that no slot covers: the tail, heap bits, inline marks.
    pub fn tail_bytes(&self) -> u64 {
        self.bytes()
            .saturating_sub(u64::from(self.nelems).saturating_mul(self.elemsize))
    }

    /// Reads the span structure at `addr`.
    pub fn decode(memory: &dyn Memory, layout: &Layout, addr: Addr) -> Result<Span, DecodeError> {
        let l = &layout.mspan;
        let r = Record::read(memory, "mspan", addr, l.size)?;
        let state = match r.uint(l.state)? {
            0 => SpanState::Dead,
            1 => SpanState::InUse,
            2 => SpanState::Manual,
            _ => return Err(r.invalid("its state is none that the runtime has")),
        };
        let span = Span {
            addr,
            start: r.uint(l.start_addr)?,
            npages: r.uint(l.npages)?,
            elemsize: r.uint(l.elemsize)?,
            gcmark_bits: r.addr(l.gcmark_bits)?,
            alloc_bits: r.addr(l.alloc_bits)?,
            next: r.addr(l.next)?,
            large_type: l.large_type.map(|field| r.addr(field)).transpose()?.unwrap_or_default(),
            // Dead structures keep stale words in fields that later releases shrank; they are never interpreted.
            nelems: u32::try_from(r.uint(l.nelems)?).unwrap_or(u32::MAX),
            alloc_count: r.u32(l.alloc_count)?,
            alloc_count_before_cache: r.u32(l.alloc_count_before_cache)?,
            freeindex: u32::try_from(r.uint(l.freeindex)?).unwrap_or(u32::MAX),
            sweepgen: r.u32(l.sweepgen)?,
            spanclass: r.uint(l.spanclass)? as u8,
            state,
            user_arena: l
                .is_user_arena_chunk
                .map(|field| r.uint(field))
                .transpose()?
                .unwrap_or(0)
                != 0,
        };
        span.possible().map_err(|why| r.invalid(why))?;
        Ok(span)
    }

    /// Whether the fields agree with each other, whatever the heap around them.
    fn possible(&self) -> Result<(), &'static str> {
        if self.state == SpanState::Dead {
            return Ok(());
        }
        let end = self
            .npages
            .checked_mul(PAGE_BYTES)
            .and_then(|bytes| bytes.checked_add(self.start));
        if self.npages == 0 || self.start == 0 || !self.start.is_multiple_of(PAGE_BYTES) || end.is_none() {
            return Err("its pages are impossible");
        }
        if self.state == SpanState::Manual {
            return Ok(());
        }
        if usize::from(self.spanclass) >= SPAN_CLASSES {
            return Err("its span class is none that the runtime has");
        }
        match u64::from(self.nelems).checked_mul(self.elemsize) {
            Some(bytes) if bytes <= self.bytes() && (1..=MOST_SLOTS).contains(&self.nelems) && self.elemsize > 0 => {}
            _ => return Err("its slots do not fit its pages"),
        }
        if self.alloc_count > self.nelems {
            return Err("it has more objects than slots");
        }
        Ok(())
    }
}

/// All spans, in the order of `mheap_.allspans`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Live spans: in use and manual.
    pub live: Vec<Span>,
    /// Structures of state dead.
    pub dead: u64,
    /// Structures that could not be read.
    pub unreadable: u64,
    /// Structures whose content is impossible, and the first such error.
    pub impossible: u64,
    /// The first error met.
    pub first_error: Option<DecodeError>,
    /// Live spans whose first page lies in another live span.
    pub overlapping: u64,
}

impl Spans {
    /// Reads every span; single bad ones are counted, not fatal.
    pub fn decode(memory: &dyn Memory, layout: &Layout, mheap: Addr) -> Result<Spans, DecodeError> {
        let all = all_spans(memory, layout, mheap)?;
        let mut spans = Spans::with_room_for(all.len);
        for pointer in words(memory, "allspans", all.ptr, all.len)? {
            spans.add(memory, layout, Addr(pointer));
        }
        Ok(spans.finished())
    }

    /// The same, giving the structures' memory back as they are read: of a large heap they are most of a capture.
    pub fn decode_forgetting(memory: &mut dyn Forget, layout: &Layout, mheap: Addr) -> Result<Spans, DecodeError> {
        let all = all_spans(memory, layout, mheap)?;
        if all.len < WORTH_FORGETTING {
            return Spans::decode(memory, layout, mheap);
        }
        let mut spans = Spans::with_room_for(all.len);
        // fixalloc cuts chunks into structures; what is left of a chunk belongs to nobody.
        let rest = FIXALLOC_CHUNK_BYTES.checked_rem(layout.mspan.size).unwrap_or(0);
        let (mut start, mut end) = (0, 0);
        let mut index = 0;
        while index < all.len {
            let at = Addr(all.ptr.0.wrapping_add(index.wrapping_mul(8)));
            let count = FORGOTTEN_AT_ONCE.min(all.len - index);
            let mut done: Vec<Range> = Vec::new();
            for pointer in words(memory, "allspans", at, count)? {
                spans.add(memory, layout, Addr(pointer));
                if pointer != end && Some(pointer) != end.checked_add(rest) {
                    done.push(Range::new(Addr(start), end - start));
                    start = pointer;
                }
                end = pointer.saturating_add(layout.mspan.size);
            }
            done.push(Range::new(Addr(start), end - start));
            start = end;
            done.into_iter().for_each(|range| memory.forget(range));
            index += count;
        }
        Ok(spans.finished())
    }

    fn with_room_for(count: u64) -> Spans {
        Spans {
            live: Vec::with_capacity(usize::try_from(count).unwrap_or(0)),
            ..Spans::default()
        }
    }

    fn add(&mut self, memory: &dyn Memory, layout: &Layout, addr: Addr) {
        match Span::decode(memory, layout, addr) {
            Ok(span) if span.state == SpanState::Dead => self.dead += 1,
            Ok(span) => self.live.push(span),
            Err(error) => {
                match error {
                    DecodeError::Missing { .. } => self.unreadable += 1,
                    DecodeError::Invalid { .. } => self.impossible += 1,
                }
                self.first_error.get_or_insert(error);
            }
        }
    }

    /// Sorts the spans by address and counts those that overlap.
    fn finished(mut self) -> Spans {
        sort_by_start(&mut self.live);
        let mut end = 0;
        for span in &self.live {
            self.overlapping += u64::from(span.start < end);
            end = end.max(span.range().end().0);
        }
        self
    }

    /// Spans that hold heap objects.
    pub fn in_use(&self) -> impl Iterator<Item = &Span> {
        self.live.iter().filter(|span| span.state == SpanState::InUse)
    }

    /// Stacks and work buffers.
    pub fn manual(&self) -> impl Iterator<Item = &Span> {
        self.live.iter().filter(|span| span.state == SpanState::Manual)
    }
}

/// `mheap_.allspans`, of a length that can be.
fn all_spans(memory: &dyn Memory, layout: &Layout, mheap: Addr) -> Result<GoSlice, DecodeError> {
    let view = View::new(memory, "mheap_", mheap);
    let all = view.slice(layout.mheap.allspans)?;
    match all.len > MOST_SPANS {
        true => Err(view.invalid("allspans has an impossible length")),
        false => Ok(all),
    }
}

/// Sorts by first address. Of the large structures each moves once; what is sorted is a word for each, and the runs
/// that a heap grows in cost the stable sort next to nothing.
fn sort_by_start(spans: &mut [Span]) {
    const INDEX_BITS: u32 = MOST_SPANS.trailing_zeros();
    const INDEX: u64 = MOST_SPANS - 1;
    if spans.is_sorted_by_key(|span| span.start) {
        return;
    }
    let packs = |span: &Span| span.start / PAGE_BYTES < 1 << (u64::BITS - INDEX_BITS);
    if !spans.iter().all(packs) || spans.len() as u64 > MOST_SPANS {
        spans.sort_by_key(|span| span.start);
        return;
    }
    let mut order: Vec<u64> = spans
        .iter()
        .enumerate()
        .map(|(index, span)| (span.start / PAGE_BYTES) << INDEX_BITS | index as u64)
        .collect();
    order.sort();
    let from = |order: &[u64], at: usize| order.get(at).map_or(at, |entry| (entry & INDEX) as usize);
    for first in 0..spans.len() {
        // Each cycle of the permutation is gone round once; places that are done point to themselves.
        let Some(&held) = spans.get(first) else { break };
        let mut at = first;
        loop {
            let next = from(&order, at);
            if let Some(entry) = order.get_mut(at) {
                *entry = at as u64;
            }
            let moved = if next == first {
                held
            } else {
                spans.get(next).copied().unwrap_or(held)
            };
            if let Some(slot) = spans.get_mut(at) {
                *slot = moved;
            }
            if next == first || next == at {
                break;
            }
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_sort_whatever_their_order() {
        let span = |start: u64| Span {
            addr: Addr(start ^ 0xff),
            start,
            npages: 1,
            elemsize: 0,
            gcmark_bits: Addr::NIL,
            alloc_bits: Addr::NIL,
            next: Addr::NIL,
            large_type: Addr::NIL,
            nelems: 0,
            alloc_count: 0,
            alloc_count_before_cache: 0,
            freeindex: 0,
            sweepgen: 0,
            spanclass: 0,
            state: SpanState::Manual,
            user_arena: false,
        };
        for count in [0u64, 1, 2, 3, 10, 1000] {
            for (multiplier, high) in [(1, 0), (7919, 0), (999_983, 0), (7919, 0xffff_8000_0000_0000)] {
                let starts = (0..count).map(|index| (index * multiplier % 1009 * PAGE_BYTES) | high);
                let mut spans: Vec<Span> = starts.map(span).collect();
                let mut expected = spans.clone();
                expected.sort_by_key(|span| span.start);
                sort_by_start(&mut spans);
                assert_eq!(spans, expected, "{count} times {multiplier}");
            }
        }
    }

    #[test]
    fn sweepgen_is_read_relative_to_the_heap() {
        assert_eq!(Sweep::of(8, 10), Sweep::Needed);
        assert_eq!(Sweep::of(9, 10), Sweep::Underway);
        assert_eq!(Sweep::of(10, 10), Sweep::Done);
        assert_eq!(Sweep::of(11, 10), Sweep::CachedStale);
        assert_eq!(Sweep::of(13, 10), Sweep::Cached);
        assert_eq!(Sweep::of(u32::MAX, 1), Sweep::Needed);
        assert_eq!(Sweep::of(12, 10), Sweep::Odd);
    }
}
