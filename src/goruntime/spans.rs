//! All spans (runtime/mheap.go `mheap.allspans`): every span structure that the runtime ever made, in the order in which
//! it made them. Only records of them are here; a span is put together when somebody looks at it.

mod overlap;
mod rows;
mod walk;

use std::ops::Range as Indices;

use super::bits::{BitPlaces, BitRules};
use super::cursor::{DecodeError, Fields, GoSlice, View};
use super::layout::Layout;
use super::mspan::{self, Record, Span};
use super::repeats::names_few;
use super::variants::Variant;
use crate::memory::{Addr, Gathered, Memory, Range};
use crate::spare::in_parts;
use overlap::overlapping;
use rows::Rows;
use walk::Walk;

/// More span structures than any real heap has (a span for each 8 KiB of 1 TiB).
const MOST_SPANS: u64 = 1 << 27;

/// What a record is good for, in a byte: walks that need no more than this leave the records alone. First: no span, a
/// structure that is dead, could not be read, or is impossible.
const NO_SPAN: u8 = 0;
const MANUAL: u8 = 1;
/// A span that holds objects of span class 0; the other classes follow.
const IN_USE: u8 = 2;

/// All spans, in the order of `mheap_.allspans`.
#[derive(Clone, Debug)]
pub struct Spans {
    records: Gathered,
    kinds: Vec<u8>,
    rows: Rows,
    /// Where their bits are to be found; `None` where the heap's sweepgen is not known.
    pub(super) rules: Option<BitRules>,
    pub(super) bits: BitPlaces,
    /// Live spans: in use and manual.
    pub live: u64,
    /// Structures of state dead.
    pub dead: u64,
    /// Structures that could not be read.
    pub unreadable: u64,
    /// Structures whose content is impossible.
    pub impossible: u64,
    /// The first error met.
    pub first_error: Option<DecodeError>,
    /// Live spans whose first page lies in another live span.
    pub overlapping: u64,
}

impl Spans {
    /// Looks at every span; single bad ones are counted, not fatal.
    pub fn decode(memory: &dyn Memory, layout: &Layout, variant: &Variant, mheap: Addr) -> Result<Spans, DecodeError> {
        let all = all_spans(memory, layout, mheap)?;
        let view = View::new(memory, "mheap_", mheap);
        let gather = mspan::gather(&layout.mspan, all.ptr, all.len)
            .ok_or_else(|| view.invalid("its spans have fields of impossible sizes"))?;

        let pointers = match usize::try_from(all.len.saturating_mul(8)) {
            Ok(0) => Ok(&[][..]),
            Ok(bytes) => memory.bytes(all.ptr, bytes),
            Err(_) => return Err(view.invalid("allspans has an impossible length")),
        };
        let missing = |source| DecodeError::Missing {
            what: "allspans",
            source,
        };
        let (pointers, _) = pointers.map_err(missing)?.as_chunks::<8>();
        let records = Gathered::of(memory, &gather).map_err(missing)?;
        let sweepgen = view.u32(layout.mheap.sweepgen).ok();
        let rules = sweepgen.map(|sweepgen| BitRules::new(layout, variant, sweepgen));
        let walk = Walk {
            records: &records,
            pointers,
            size: layout.mspan.size,
            rules,
        };
        let mut whole = walk.whole();
        let overlapping = match overlapping(std::mem::take(&mut whole.runs)) {
            0 => 0,
            _ => overlapping(walk.places(&whole.kinds)),
        };
        Ok(Spans {
            overlapping,
            rows: whole.rows,
            rules,
            bits: whole.bits,
            kinds: whole.kinds,
            live: whole.live,
            dead: whole.dead,
            unreadable: whole.unreadable,
            impossible: whole.impossible,
            first_error: whole.first_error,
            records,
        })
    }

    /// How many structures there are; a span's index is below it.
    pub fn count(&self) -> usize {
        self.kinds.len()
    }

    /// The live span of this index.
    pub fn get(&self, index: usize) -> Option<Span> {
        self.kinds.get(index).filter(|kind| **kind != NO_SPAN)?;
        Some(Record::of(self.records.record(index).ok()?)?.span())
    }

    /// Where the structure of this index lies, live or dead, if it is here.
    pub fn addr_of(&self, index: usize) -> Option<Addr> {
        self.rows.addr_of(index)
    }

    /// Records of the live spans with indices in `part`.
    pub fn part(&self, part: Indices<usize>) -> impl Iterator<Item = (usize, Record<'_>)> {
        let kinds = self.kinds.get(part.clone()).unwrap_or_default();
        // Those of live spans are whole.
        let records = Record::all_of(self.records.bytes()).skip(part.start);
        let live = part.zip(kinds).zip(records).filter(|((_, kind), _)| **kind != NO_SPAN);
        live.map(|((index, _), record)| (index, record))
    }

    /// Stacks and work buffers.
    pub fn manual(&self) -> impl Iterator<Item = (usize, Span)> {
        let these = memchr::memchr_iter(MANUAL, &self.kinds);
        these.filter_map(|index| Some((index, self.get(index)?)))
    }

    /// The span class of a span that holds heap objects.
    pub fn class_in_use(&self, index: usize) -> Option<u8> {
        self.kinds.get(index)?.checked_sub(IN_USE)
    }

    /// Where bitmaps of spans lie, in stretches of whole pages.
    pub fn bitmaps(&self) -> Vec<Range> {
        self.bits.tables()
    }

    /// Where their structures lie.
    pub fn structures(&self) -> impl Iterator<Item = Range> {
        self.rows.ranges()
    }

    /// `mspan.sweepgen` of a live span.
    pub(super) fn sweepgen(&self, index: usize) -> Option<u32> {
        Record::of(self.records.record(index).ok()?).map(Record::sweepgen)
    }

    /// Does something with all spans, part of the indices by part, on two threads where there are many: each adds to what
    /// it began with. Who gets which parts is chance.
    pub fn in_parts<S: Send>(
        &self,
        begin: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, Indices<usize>) + Sync,
    ) -> Vec<S> {
        in_parts(self.count(), 1, begin, work)
    }

    /// Finds spans by the address of their structure.
    pub fn finder(&self) -> Finder<'_> {
        Finder { spans: self, last: 0 }
    }
}

/// Finds spans by the address of their structure; neighbours of the one before are found at once.
pub struct Finder<'a> {
    spans: &'a Spans,
    last: usize,
}

impl Finder<'_> {
    /// The index of the span whose structure is at `addr`, dead ones included.
    #[inline]
    pub fn find(&mut self, addr: Addr) -> Option<usize> {
        self.spans.rows.index_of(addr, &mut self.last)
    }

    /// The live span whose structure is at `addr`, with its index.
    pub fn span(&mut self, addr: Addr) -> Option<(usize, Span)> {
        let index = self.find(addr)?;
        Some((index, self.spans.get(index)?))
    }
}

/// `mheap_.allspans`, of a length that can be.
pub(super) fn all_spans(memory: &dyn Memory, layout: &Layout, mheap: Addr) -> Result<GoSlice, DecodeError> {
    let view = View::new(memory, "mheap_", mheap);
    let all = view.slice(layout.mheap.allspans)?;
    if all.len > MOST_SPANS {
        return Err(view.invalid("allspans has an impossible length"));
    }
    if names_few(memory, &all) {
        return Err(view.invalid("allspans names few structures again and again"));
    }
    Ok(all)
}
