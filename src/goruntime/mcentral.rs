//! Where every in-use span is: in one of the four sets of its class's mcentral (runtime/mcentral.go, mspanset.go) or
//! in one mcache. Each must be found exactly once; this is both a figure and a check of the whole walk.

use std::cell::Cell;

use super::cursor::{DecodeError, Fields, View, word, words};
use super::layout::{ArrayField, Layout};
use super::mspan::{Span, SpanState, Spans, Sweep};
use super::processors::Processors;
use super::variants::SPAN_CLASSES;
use crate::memory::{Addr, Memory};

/// Longest span set believed.
const MOST_ENTRIES: u64 = 1 << 27;
/// Entries looked at in all sets together, beyond a few for each span: sets that share blocks must not cost an age.
const SPARE_ENTRIES: u64 = 1 << 21;

/// The place that holds a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The mcache of the P at this index of `allp`.
    Mcache(u32),
    /// Swept, with free slots.
    PartialSwept,
    /// Not yet swept, with free slots before the sweep.
    PartialUnswept,
    /// Swept, without free slots (all large spans too).
    FullSwept,
    /// Not yet swept, without free slots before the sweep.
    FullUnswept,
}

/// The place of each live span, parallel to `Spans::live`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// `None` for manual spans and for those found nowhere.
    pub of_span: Vec<Option<Place>>,
    /// In-use spans found nowhere.
    pub nowhere: u64,
    /// Spans found in more than one place.
    pub twice: u64,
    /// Spans found in a place of another span class.
    pub wrong_class: u64,
    /// Entries that point to no live in-use span.
    pub strangers: u64,
    /// Sets that could not be read.
    pub unreadable_sets: u64,
    /// The first error met.
    pub first_error: Option<DecodeError>,
}

/// Finds spans by the address of their mspan.
///
/// A word for each: how many words behind the lowest structure it lies, above its position in `Spans::live`.
pub struct SpanIndex {
    lowest: u64,
    near: Vec<u64>,
    /// Those that do not fit a word, of which a real heap has none.
    far: Vec<(Addr, u32)>,
    /// Where the last one was found: lists are mostly in the order of their structures.
    last: Cell<usize>,
}

impl SpanIndex {
    /// More live spans than that are not indexed, which is more than are ever decoded.
    const POSITION_BITS: u32 = 27;

    /// Indexes the live spans.
    pub fn new(spans: &Spans) -> SpanIndex {
        let lowest = spans.live.iter().map(|span| span.addr.0).min().unwrap_or(0);
        let mut index = SpanIndex {
            lowest,
            near: Vec::with_capacity(spans.live.len()),
            far: Vec::new(),
            last: Cell::new(0),
        };
        for (position, span) in spans.live.iter().enumerate().take(1 << SpanIndex::POSITION_BITS) {
            match index.key(span.addr) {
                Some(key) => index.near.push(key | position as u64),
                None => index.far.push((span.addr, position as u32)),
            }
        }
        index.near.sort();
        index.far.sort_unstable();
        index
    }

    /// The key of the structure at `addr`, position 0.
    fn key(&self, addr: Addr) -> Option<u64> {
        let words = addr.0.checked_sub(self.lowest).filter(|distance| distance % 8 == 0)? / 8;
        (words < 1 << (u64::BITS - SpanIndex::POSITION_BITS)).then_some(words << SpanIndex::POSITION_BITS)
    }

    /// Position in `Spans::live` of the span whose structure is at `addr`.
    pub fn find(&self, addr: Addr) -> Option<usize> {
        let Some(key) = self.key(addr) else {
            let at = self.far.binary_search_by_key(&addr, |entry| entry.0).ok()?;
            return self.far.get(at).map(|entry| entry.1 as usize);
        };
        let holds = |at: usize| {
            let entry = *self.near.get(at)?;
            (entry >> SpanIndex::POSITION_BITS == key >> SpanIndex::POSITION_BITS).then_some(entry)
        };
        let last = self.last.get();
        for at in [last.wrapping_add(1), last.wrapping_sub(1)] {
            if let Some(entry) = holds(at) {
                self.last.set(at);
                return Some((entry & ((1 << SpanIndex::POSITION_BITS) - 1)) as usize);
            }
        }
        let at = self.near.partition_point(|&entry| entry < key);
        let entry = holds(at)?;
        self.last.set(at);
        Some((entry & ((1 << SpanIndex::POSITION_BITS) - 1)) as usize)
    }
}

impl Places {
    /// Walks every mcache and every mcentral set.
    pub fn find(
        memory: &dyn Memory,
        layout: &Layout,
        mheap: Addr,
        sweepgen: u32,
        spans: &Spans,
        index: &SpanIndex,
        processors: &Processors,
    ) -> Places {
        let mut places = Places {
            of_span: vec![None; spans.live.len()],
            ..Places::default()
        };
        for (p, processor) in processors.live.iter().enumerate() {
            for &(class, span) in processor.mcache.iter().flat_map(|mcache| &mcache.spans) {
                places.put(spans, index, span, class, Place::Mcache(p as u32));
            }
        }
        let view = View::new(memory, "mheap_", mheap);
        let swept = u64::from((sweepgen / 2) % 2);
        let mut budget = (spans.live.len() as u64)
            .saturating_add(spans.dead)
            .saturating_mul(4)
            .saturating_add(SPARE_ENTRIES);
        let l = &layout.mheap;
        for class in 0..(SPAN_CLASSES as u64).min(l.central.len) {
            let Ok(mcentral) = view
                .element("mcentral", l.central, class)
                .map(|e| e.inner("mcentral", relative(l)))
            else {
                places.unreadable_sets += 4;
                continue;
            };
            for (sets, of_swept, of_unswept) in [
                (layout.mcentral.partial, Place::PartialSwept, Place::PartialUnswept),
                (layout.mcentral.full, Place::FullSwept, Place::FullUnswept),
            ] {
                for set in 0..2 {
                    let place = if set == swept { of_swept } else { of_unswept };
                    let walked = walk(memory, layout, &mcentral, (sets, set), &mut budget, |span| {
                        places.entry(spans, index, span, class as u8, place, sweepgen);
                    });
                    if let Err(error) = walked {
                        places.unreadable_sets += 1;
                        places.first_error.get_or_insert(error);
                    }
                }
            }
        }
        places.nowhere = (spans.live.iter().zip(&places.of_span))
            .filter(|(span, place)| span.state == SpanState::InUse && !span.user_arena && place.is_none())
            .count() as u64;
        places
    }

    fn entry(&mut self, spans: &Spans, index: &SpanIndex, addr: Addr, class: u8, place: Place, sweepgen: u32) {
        if matches!(place, Place::PartialUnswept | Place::FullUnswept) {
            // A span that was swept before its turn stays listed here until the sweeper comes by; it counts where
            // the early sweep put it.
            let unswept =
                |span: &Span| span.state == SpanState::InUse && Sweep::of(span.sweepgen, sweepgen).is_unswept();
            if !index.find(addr).and_then(|at| spans.live.get(at)).is_some_and(unswept) {
                return;
            }
        }
        self.put(spans, index, addr, class, place);
    }

    fn put(&mut self, spans: &Spans, index: &SpanIndex, addr: Addr, class: u8, place: Place) {
        let found = index
            .find(addr)
            .and_then(|at| Some((spans.live.get(at)?, self.of_span.get_mut(at)?)));
        match found {
            Some((span, slot)) if span.state == SpanState::InUse => {
                self.wrong_class += u64::from(span.spanclass != class);
                self.twice += u64::from(slot.is_some());
                *slot = Some(place);
            }
            _ => self.strangers += 1,
        }
    }
}

/// `mcentral` inside an element of `mheap_.central`, relative to that element.
fn relative(l: &super::layout::MheapLayout) -> super::layout::Field {
    super::layout::Field {
        offset: l.mcentral.offset.wrapping_sub(l.central.offset),
        size: l.mcentral.size,
    }
}

/// Calls `visit` with every span pointer of one set, between its head and its tail.
fn walk(
    memory: &dyn Memory,
    layout: &Layout,
    mcentral: &View<'_>,
    (sets, set): (ArrayField, u64),
    budget: &mut u64,
    mut visit: impl FnMut(Addr),
) -> Result<(), DecodeError> {
    let set = mcentral.element("spanSet", sets, set)?;
    let index = set.uint(layout.span_set.index)?;
    let (head, tail) = (index >> 32, index & 0xffff_ffff);
    if head >= tail {
        return Ok(());
    }
    if tail > MOST_ENTRIES {
        return Err(set.invalid("its index is impossible"));
    }
    let spine = set.addr(layout.span_set.spine)?;
    let per_block = layout.span_set_block.spans.len.max(1);
    // A push takes its place first and adds the block after: the last place may have no block yet.
    let blocks = set.uint(layout.span_set.spine_len)?.min(tail.div_ceil(per_block));
    for block in head / per_block..blocks {
        *budget = budget
            .checked_sub(per_block)
            .ok_or_else(|| set.invalid("the sets hold far more entries than there are spans"))?;
        let at = word(
            memory,
            "spanSet.spine",
            Addr(spine.0.wrapping_add(block.wrapping_mul(8))),
        )?;
        if at == 0 {
            continue; // every span of the block was popped
        }
        let first = View::new(memory, "spanSetBlock", Addr(at)).element_addr(layout.span_set_block.spans, 0)?;
        for (entry, span) in words(memory, "spanSetBlock", first, per_block)?.enumerate() {
            let position = block * per_block + entry as u64;
            if span != 0 && position >= head && position < tail {
                visit(Addr(span));
            }
        }
    }
    Ok(())
}
