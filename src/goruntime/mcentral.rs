//! Where every in-use span is: in one of the four sets of its class's mcentral (runtime/mcentral.go, mspanset.go) or
//! in one mcache. Each must be found exactly once; this is both a figure and a check of the whole walk.

use super::cursor::{DecodeError, Fields, View, word, words};
use super::layout::{ArrayField, Layout};
use super::mspan::Sweep;
use super::processors::Processors;
use super::spans::Spans;
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

/// The place of each span.
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

impl Places {
    /// Walks every mcache and every mcentral set.
    pub fn find(
        memory: &dyn Memory,
        layout: &Layout,
        mheap: Addr,
        sweepgen: u32,
        spans: &Spans,
        processors: &Processors,
    ) -> Places {
        let mut places = Places {
            of_span: vec![None; spans.count()],
            ..Places::default()
        };
        let mut finder = spans.finder();
        for (p, processor) in processors.live.iter().enumerate() {
            for &(class, span) in processor.mcache.iter().flat_map(|mcache| &mcache.spans) {
                places.put(spans, finder.find(span), class, Place::Mcache(p as u32));
            }
        }
        let view = View::new(memory, "mheap_", mheap);
        let swept = u64::from((sweepgen / 2) % 2);
        let mut budget = (spans.count() as u64).saturating_mul(4).saturating_add(SPARE_ENTRIES);
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
                        places.entry(spans, finder.find(span), class as u8, place, sweepgen);
                    });
                    if let Err(error) = walked {
                        places.unreadable_sets += 1;
                        places.first_error.get_or_insert(error);
                    }
                }
            }
        }
        let homeless = places.of_span.iter().enumerate().filter(|(_, place)| place.is_none());
        places.nowhere = homeless
            .filter(|(index, _)| spans.is_in_use(*index) && spans.get(*index).is_some_and(|span| !span.user_arena))
            .count() as u64;
        places
    }

    /// The place of a span.
    pub fn of(&self, index: usize) -> Option<Place> {
        self.of_span.get(index).copied().flatten()
    }

    fn entry(&mut self, spans: &Spans, found: Option<usize>, class: u8, place: Place, sweepgen: u32) {
        if matches!(place, Place::PartialUnswept | Place::FullUnswept) {
            // A span that was swept before its turn stays listed here until the sweeper comes by; it counts where
            // the early sweep put it.
            let in_use = found.filter(|index| spans.is_in_use(*index));
            let head = in_use.and_then(|index| spans.head(index));
            if !head.is_some_and(|(_, of_span)| Sweep::of(of_span, sweepgen).is_unswept()) {
                return;
            }
        }
        self.put(spans, found, class, place);
    }

    fn put(&mut self, spans: &Spans, found: Option<usize>, class: u8, place: Place) {
        let in_use = found.filter(|index| spans.is_in_use(*index));
        let found = in_use.and_then(|index| Some((spans.head(index)?, self.of_span.get_mut(index)?)));
        match found {
            Some(((of_span, _), slot)) => {
                self.wrong_class += u64::from(of_span != class);
                self.twice += u64::from(slot.is_some());
                *slot = Some(place);
            }
            None => self.strangers += 1,
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
