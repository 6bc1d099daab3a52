//! Where every in-use span is: in one of the four sets of its class's mcentral (runtime/mcentral.go, mspanset.go) or
//! in one mcache. Each must be found exactly once; this is both a figure and a check of the whole walk.

use super::cursor::{DecodeError, Fields, View, bytes_of, word};
use super::layout::{ArrayField, Layout};
use super::mspan::Sweep;
use super::processors::Processors;
use super::spans::{Finder, Spans};
use super::variants::SPAN_CLASSES;
use crate::memory::{Addr, Memory};
use crate::spare::in_parts;

/// Longest span set believed.
const MOST_ENTRIES: u64 = 1 << 27;
/// Entries looked at in all sets together, beyond a few for each span: sets that share blocks must not cost an age.
const SPARE_ENTRIES: u64 = 1 << 21;

/// Entries of a block, about (runtime/mspanset.go `spanSetBlockEntries`).
const ENTRIES_OF_BLOCK: usize = 512;

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
    /// By the span's index: `NOWHERE`, `CACHED`, or the place in a set.
    of_span: Vec<u8>,
    /// Index and P of the spans in mcaches, sorted.
    cached: Vec<(usize, u32)>,
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

/// Stands for no place. Not 0: memory that is 0 already would be had page by page, each page twice, by the first look
/// at it and by the first change.
const NOWHERE: u8 = u8::MAX;
/// Stands for an mcache.
const CACHED: u8 = 0;

impl Place {
    /// The places in sets, in the order of their numbers.
    pub const IN_SETS: [Place; 4] = [
        Place::PartialSwept,
        Place::PartialUnswept,
        Place::FullSwept,
        Place::FullUnswept,
    ];
}

/// Entries of one set, as far as they count: words.
struct Entries<'m> {
    words: &'m [[u8; 8]],
    class: u8,
    /// Which of `Place::IN_SETS`.
    set: u8,
}

/// What a part of the entries brings.
#[derive(Default)]
struct Found {
    /// By the span's index.
    slots: Vec<u8>,
    twice: u64,
    wrong_class: u64,
    strangers: u64,
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
        let mut places = Places::default();
        let entries = places.entries(memory, layout, mheap, (sweepgen, spans.count() as u64));
        let begin = || Found {
            slots: vec![NOWHERE; spans.count()],
            ..Found::default()
        };
        let parts = in_parts(entries.len(), ENTRIES_OF_BLOCK, begin, |found, part| {
            let mut finder = spans.finder();
            for entries in entries.get(part).unwrap_or_default() {
                found.look(spans, &mut finder, entries, sweepgen);
            }
        });
        let found = parts.into_iter().reduce(|mut found, part| {
            found.join(&part);
            found
        });
        let mut found = found.unwrap_or_default();
        let mut finder = spans.finder();
        for (p, processor) in processors.live.iter().enumerate() {
            for &(class, span) in processor.mcache.iter().flat_map(|mcache| &mcache.spans) {
                if let Some(index) = found.put(spans, finder.find(span), class, CACHED) {
                    places.cached.push((index, p as u32));
                }
            }
        }
        places.cached.sort_unstable();
        places.twice = found.twice;
        places.wrong_class = found.wrong_class;
        places.strangers = found.strangers;
        places.of_span = found.slots;
        places.nowhere = memchr::memchr_iter(NOWHERE, &places.of_span)
            .filter(|index| spans.class_in_use(*index).is_some())
            .filter(|index| spans.get(*index).is_some_and(|span| !span.user_arena))
            .count() as u64;
        places
    }

    /// The place of a span; `None` for manual spans and for those found nowhere.
    pub fn of(&self, index: usize) -> Option<Place> {
        match *self.of_span.get(index)? {
            NOWHERE => None,
            CACHED => {
                let at = self.cached.partition_point(|(cached, _)| *cached < index);
                let (cached, p) = self.cached.get(at)?;
                (*cached == index).then_some(Place::Mcache(*p))
            }
            _ => Place::IN_SETS.get(self.set_of(index)?).copied(),
        }
    }

    /// Which of [`Place::IN_SETS`] a span is in; `None` for one that is in none of them.
    #[inline]
    pub fn set_of(&self, index: usize) -> Option<usize> {
        let number = usize::from(self.of_span.get(index)?.wrapping_sub(CACHED + 1));
        (number < Place::IN_SETS.len()).then_some(number)
    }

    /// The entries of all sets of all mcentrals.
    fn entries<'m>(
        &mut self,
        memory: &'m dyn Memory,
        layout: &Layout,
        mheap: Addr,
        (sweepgen, spans): (u32, u64),
    ) -> Vec<Entries<'m>> {
        let view = View::new(memory, "mheap_", mheap);
        let swept = u64::from((sweepgen / 2) % 2);
        let mut budget = spans.saturating_mul(4).saturating_add(SPARE_ENTRIES);
        let l = &layout.mheap;
        let mut entries = Vec::new();
        for class in 0..(SPAN_CLASSES as u64).min(l.central.len) {
            let Ok(mcentral) = view
                .element("mcentral", l.central, class)
                .map(|e| e.inner("mcentral", relative(l)))
            else {
                self.unreadable_sets += 4;
                continue;
            };
            for (sets, first) in [(layout.mcentral.partial, 0), (layout.mcentral.full, 2)] {
                for set in 0..2 {
                    let number = first + u8::from(set != swept);
                    let walked = walk(memory, layout, &mcentral, (sets, set), &mut budget, |words| {
                        entries.push(Entries {
                            words,
                            class: class as u8,
                            set: number,
                        });
                    });
                    if let Err(error) = walked {
                        self.unreadable_sets += 1;
                        self.first_error.get_or_insert(error);
                    }
                }
            }
        }
        entries
    }
}

impl Found {
    fn look(&mut self, spans: &Spans, finder: &mut Finder<'_>, entries: &Entries<'_>, sweepgen: u32) {
        let place = Place::IN_SETS.get(usize::from(entries.set));
        let unswept = matches!(place, Some(Place::PartialUnswept | Place::FullUnswept));
        for word in entries.words {
            let span = u64::from_le_bytes(*word);
            if span == 0 {
                continue;
            }
            let found = finder.find(Addr(span));
            // A span that was swept before its turn stays listed here until the sweeper comes by; it counts where the
            // early sweep put it.
            let awaits_sweep = |index: &usize| {
                let of_span = spans.class_in_use(*index).and_then(|_| spans.sweepgen(*index));
                of_span.is_some_and(|of_span| Sweep::of(of_span, sweepgen).is_unswept())
            };
            if !unswept || found.as_ref().is_some_and(awaits_sweep) {
                self.put(spans, found, entries.class, CACHED + 1 + entries.set);
            }
        }
    }

    /// Notes a place, that in a set rather than that in an mcache. Gives back the span's index.
    #[inline]
    fn put(&mut self, spans: &Spans, found: Option<usize>, class: u8, place: u8) -> Option<usize> {
        let known = found.and_then(|index| Some((index, spans.class_in_use(index)?, self.slots.get_mut(index)?)));
        let Some((index, of_span, slot)) = known else {
            self.strangers += 1;
            return None;
        };
        self.wrong_class += u64::from(of_span != class);
        self.twice += u64::from(*slot != NOWHERE);
        if *slot == NOWHERE || place != CACHED {
            *slot = place;
        }
        Some(index)
    }

    /// Adds what another part brings.
    fn join(&mut self, part: &Found) {
        // So few at a time that a byte counts them: many are compared at once.
        let slots = self.slots.chunks_mut(usize::from(u8::MAX));
        for (slots, places) in slots.zip(part.slots.chunks(usize::from(u8::MAX))) {
            let mut twice = 0u8;
            for (slot, place) in slots.iter_mut().zip(places) {
                twice += u8::from(*slot != NOWHERE) & u8::from(*place != NOWHERE);
                *slot = if *place == NOWHERE { *slot } else { *place };
            }
            self.twice += u64::from(twice);
        }
        self.twice += part.twice;
        self.wrong_class += part.wrong_class;
        self.strangers += part.strangers;
    }
}

/// `mcentral` inside an element of `mheap_.central`, relative to that element.
fn relative(l: &super::layout::MheapLayout) -> super::layout::Field {
    super::layout::Field {
        offset: l.mcentral.offset.wrapping_sub(l.central.offset),
        size: l.mcentral.size,
    }
}

/// Calls `visit` with the entries of one set, block by block, between its head and its tail.
fn walk<'m>(
    memory: &'m dyn Memory,
    layout: &Layout,
    mcentral: &View<'_>,
    (sets, set): (ArrayField, u64),
    budget: &mut u64,
    mut visit: impl FnMut(&'m [[u8; 8]]),
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
        let (from, to) = (block * per_block, (block + 1) * per_block);
        let (skip, end) = (head.max(from) - from, tail.min(to).saturating_sub(from));
        let (entries, _) = bytes_of(memory, "spanSetBlock", first, per_block.saturating_mul(8))?.as_chunks::<8>();
        visit(entries.get(skip as usize..end as usize).unwrap_or_default());
    }
    Ok(())
}
