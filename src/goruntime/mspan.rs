//! A span (runtime/mheap.go `mspan`): what the scan keeps of its structure, what it holds, and whether what it says is
//! possible.

use super::layout::{Field, MspanLayout};
use super::variants::{PAGE_BYTES, SPAN_CLASSES};
use crate::memory::{Addr, Choice, Gather, Memory, Place, Range, RecordShape};

/// More slots than any span has (1024); from Go 1.22 on the field itself ends here.
const MOST_SLOTS: u32 = u16::MAX as u32;
/// What is wrong with a record of another layout.
pub(super) const TOO_SHORT: &str = "its record is too short";
const BAD_PAGES: &str = "its pages are impossible";
/// No process has memory beyond it, with five levels of page tables either.
const END_OF_MEMORY: u64 = 1 << 56;

/// `mspan.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanState {
    /// The structure is free; its pages belong to nobody or to another span.
    Dead,
    /// Holds objects of the garbage-collected heap.
    InUse,
    /// Managed by hand: stacks and work buffers.
    Manual,
    /// A value that the runtime does not have.
    Odd,
}

/// `mSpanInUse`.
const IN_USE: u8 = 1;

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
    #[inline]
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
    #[inline]
    pub fn is_unswept(self) -> bool {
        matches!(self, Sweep::Needed | Sweep::Underway | Sweep::CachedStale)
    }
}

/// What is kept of a span structure, as it lies in memory: for walks over very many that look at few of its fields.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(&'a [u8; RECORD_BYTES]);

#[allow(missing_docs, reason = "each is the field of `Span` it is named after")]
impl<'a> Record<'a> {
    /// `None` for bytes of another length.
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Option<Record<'a>> {
        bytes.first_chunk().map(Record)
    }

    /// All that lie one behind the other.
    #[inline]
    pub(super) fn all_of(bytes: &'a [u8]) -> impl ExactSizeIterator<Item = Record<'a>> {
        let (records, _) = bytes.as_chunks();
        records.iter().map(Record)
    }

    #[inline]
    fn bytes<const N: usize>(self, at: usize) -> [u8; N] {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk::<N>());
        bytes.copied().unwrap_or([0; N])
    }

    #[inline]
    fn word(self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    #[inline]
    pub fn start(self) -> u64 {
        self.word(START)
    }

    #[inline]
    pub fn npages(self) -> u64 {
        self.word(NPAGES)
    }

    #[inline]
    pub fn elemsize(self) -> u64 {
        self.word(ELEMSIZE)
    }

    #[inline]
    pub(super) fn gcmark_bits(self) -> Addr {
        Addr(self.word(GCMARK_BITS))
    }

    #[inline]
    pub(super) fn alloc_bits(self) -> Addr {
        Addr(self.word(ALLOC_BITS))
    }

    #[inline]
    pub fn nelems(self) -> u32 {
        u32::from_le_bytes(self.bytes(NELEMS))
    }

    #[inline]
    pub fn alloc_count(self) -> u32 {
        u32::from(u16::from_le_bytes(self.bytes(ALLOC_COUNT)))
    }

    #[inline]
    pub fn sweepgen(self) -> u32 {
        u32::from_le_bytes(self.bytes(SWEEPGEN))
    }

    #[inline]
    pub fn spanclass(self) -> u8 {
        u8::from_le_bytes(self.bytes(SPANCLASS))
    }

    #[inline]
    pub fn state(self) -> SpanState {
        match u8::from_le_bytes(self.bytes(STATE)) {
            0 => SpanState::Dead,
            IN_USE => SpanState::InUse,
            2 => SpanState::Manual,
            _ => SpanState::Odd,
        }
    }

    #[inline]
    pub fn user_arena(self) -> bool {
        u8::from_le_bytes(self.bytes(USER_ARENA)) != 0
    }

    /// Bytes of its pages.
    #[inline]
    pub fn page_bytes(self) -> u64 {
        self.npages().saturating_mul(PAGE_BYTES)
    }

    /// The address range of its pages.
    #[inline]
    pub fn range(self) -> Range {
        Range::new(Addr(self.start()), self.page_bytes())
    }

    /// Size class; 0 for large objects.
    #[inline]
    pub fn size_class(self) -> usize {
        usize::from(self.spanclass() >> 1)
    }

    /// What it shares with very many others.
    #[inline]
    pub fn kind(self) -> SpanKind {
        SpanKind([
            self.npages(),
            self.elemsize(),
            self.word(SWEEPGEN),
            self.word(ALLOC_COUNT) & KIND_BITS,
        ])
    }

    /// Whether the fields agree with each other, whatever the heap around them.
    #[inline]
    pub(super) fn possible(self) -> Result<(), &'static str> {
        match self.state() {
            SpanState::Dead => Ok(()),
            _ => self.possible_kind().and_then(|()| self.possible_in_kind()),
        }
    }

    /// The same of what all live spans of a kind share.
    pub(super) fn possible_kind(self) -> Result<(), &'static str> {
        let state = self.state();
        if !matches!(state, SpanState::InUse | SpanState::Manual) {
            return Err("its state is none that the runtime has");
        }
        // No product of these overflows.
        let npages = self.npages();
        if npages == 0 || npages > END_OF_MEMORY / PAGE_BYTES {
            return Err(BAD_PAGES);
        }
        if state == SpanState::Manual {
            return Ok(());
        }
        if usize::from(self.spanclass()) >= SPAN_CLASSES {
            return Err("its span class is none that the runtime has");
        }
        let (nelems, elemsize) = (self.nelems(), self.elemsize());
        let fits = match u64::from(nelems).checked_mul(elemsize) {
            Some(bytes) => bytes != 0 && bytes <= npages * PAGE_BYTES && nelems <= MOST_SLOTS,
            None => false,
        };
        match fits {
            true => Ok(()),
            false => Err("its slots do not fit its pages"),
        }
    }

    /// The same of all else, of a live span of a possible kind.
    #[inline]
    pub(super) fn possible_in_kind(self) -> Result<(), &'static str> {
        let start = self.start();
        let last = END_OF_MEMORY.saturating_sub(self.page_bytes());
        if start == 0 || !start.is_multiple_of(PAGE_BYTES) || start > last {
            return Err(BAD_PAGES);
        }
        if self.alloc_count() > self.nelems() && self.state() == SpanState::InUse {
            return Err("it has more objects than slots");
        }
        Ok(())
    }

    /// All of it.
    #[inline]
    pub fn span(self) -> Span {
        let state = self.state();
        let link = Addr(self.word(LINK) & LINK_BITS);
        let (next, large_type) = match state {
            SpanState::InUse => (Addr::NIL, link),
            _ => (link, Addr::NIL),
        };
        Span {
            start: self.start(),
            npages: self.npages(),
            elemsize: self.elemsize(),
            gcmark_bits: self.gcmark_bits(),
            alloc_bits: self.alloc_bits(),
            next,
            large_type,
            nelems: self.nelems(),
            alloc_count: self.alloc_count(),
            alloc_count_before_cache: u32::from(u16::from_le_bytes(self.bytes(ALLOC_COUNT_BEFORE_CACHE))),
            sweepgen: self.sweepgen(),
            spanclass: self.spanclass(),
            state,
            user_arena: self.user_arena(),
        }
    }
}

/// All that a record says but where the span and its bits lie, what it links to, and how many of its slots are allocated:
/// of a large heap nearly all spans are of a kind with very many others, and what follows from that is worked out once.
#[derive(Clone, Copy, Debug)]
pub struct SpanKind([u64; 4]);

impl PartialEq for SpanKind {
    /// Word by word: four words that have only just been made are not in one place yet.
    #[inline]
    fn eq(&self, other: &SpanKind) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
    }
}

impl Eq for SpanKind {}

/// Kinds in turn, as walks over all spans meet them: what was worked out for the last kind of each span class.
#[derive(Clone, Debug)]
pub struct LastKinds<T>(Vec<Option<(SpanKind, T)>>);

impl<T> Default for LastKinds<T> {
    /// Nothing is known yet.
    fn default() -> LastKinds<T> {
        LastKinds((0..=u8::MAX).map(|_| None).collect())
    }
}

impl<T> LastKinds<T> {
    /// What is known of spans of this one's kind; `work_out` is asked where that is nothing yet.
    #[inline]
    pub fn of(&mut self, span: Record<'_>, work_out: impl FnOnce() -> Option<T>) -> Option<&mut T> {
        let kind = span.kind();
        let last = self.0.get_mut(usize::from(span.spanclass()))?;
        if last.as_ref().is_none_or(|(known, _)| *known != kind) {
            *last = Some((kind, work_out()?));
        }
        last.as_mut().map(|(_, known)| known)
    }
}

/// One span structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
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
    /// Next span on the list that holds this one, if it is managed by hand.
    pub next: Addr,
    /// `*abi.Type` of a large scannable object.
    pub large_type: Addr,
    /// Number of slots.
    pub nelems: u32,
    /// Slots handed out (for an unswept span: garbage included).
    pub alloc_count: u32,
    /// `allocCount` when an mcache took the span.
    pub alloc_count_before_cache: u32,
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
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.npages.saturating_mul(PAGE_BYTES)
    }

    /// Size class; 0 for large objects.
    #[inline]
    pub fn size_class(&self) -> usize {
        usize::from(self.spanclass >> 1)
    }

    /// Slots not handed out.
    #[inline]
    pub fn free_slots(&self) -> u32 {
        self.nelems.saturating_sub(self.alloc_count)
    }

    /// Bytes of slots handed out.
    #[inline]
    pub fn allocated_bytes(&self) -> u64 {
        u64::from(self.alloc_count).saturating_mul(self.elemsize)
    }

    /// Bytes of free slots.
    #[inline]
    pub fn free_bytes(&self) -> u64 {
        u64::from(self.free_slots()).saturating_mul(self.elemsize)
    }

    /// Bytes that no slot covers: the tail, heap bits, inline marks.
    #[inline]
    pub fn tail_bytes(&self) -> u64 {
        self.bytes()
            .saturating_sub(u64::from(self.nelems).saturating_mul(self.elemsize))
    }

    /// Makes sense of a record. The error says what is impossible about it.
    #[inline]
    pub(super) fn of(record: &[u8]) -> Result<Span, &'static str> {
        let record = Record::of(record).ok_or(TOO_SHORT)?;
        record.possible().map(|()| record.span())
    }
}

/// Reads single span structures, of memory that holds them.
pub struct SpanReader {
    shape: RecordShape,
}

impl SpanReader {
    /// `None` for a layout with fields of sizes that they have in no release.
    pub fn new(layout: &MspanLayout) -> Option<SpanReader> {
        let shape = gather(layout, Addr::NIL, 1)?.shape;
        Some(SpanReader { shape })
    }

    /// The span whose structure is at `addr`, if it is there and makes sense.
    #[inline]
    pub fn read(&self, memory: &dyn Memory, addr: Addr) -> Option<Span> {
        let structure = memory.bytes(addr, self.shape.size()).ok()?;
        let mut record = [0; RECORD_BYTES];
        self.shape.fill(structure, structure.len(), &mut record, 1);
        Span::of(&record).ok()
    }
}

/// Where the fields are in the record of a span, which fills a cache line: neighbours as they are in the structure of
/// recent releases, so that few copies bring them. Of `nelems`, a word until Go 1.21, only the lower half is kept; of the
/// addresses in `LINK` seven bytes.
const LINK: usize = 0;
const STATUS: usize = 7;
const START: usize = 8;
const NPAGES: usize = 16;
const ALLOC_BITS: usize = 24;
const GCMARK_BITS: usize = 32;
const SWEEPGEN: usize = 40;
/// Where `divMul` would be.
const NELEMS: usize = 44;
const ALLOC_COUNT: usize = 48;
const SPANCLASS: usize = 50;
const STATE: usize = 51;
const USER_ARENA: usize = 53;
const ALLOC_COUNT_BEFORE_CACHE: usize = 54;
const ELEMSIZE: usize = 56;
pub(super) const RECORD_BYTES: usize = 64;
/// Of the word with `ALLOC_COUNT`: span class, state, and whether it is a user arena.
const KIND_BITS: u64 = 0x0000_ff00_ffff_0000;
const _: () = assert!(SPANCLASS == ALLOC_COUNT + 2 && STATE == ALLOC_COUNT + 3 && USER_ARENA == ALLOC_COUNT + 5);
/// Of `LINK`, what the status leaves.
const LINK_BITS: u64 = (1 << 56) - 1;
/// The list of a capture that the records of spans are in.
pub(super) const LIST: usize = 1;

/// What a scan keeps of `count` spans, whose structures an array of pointers leads to. `None` for a layout with fields
/// of sizes that they have in no release.
pub fn gather(l: &MspanLayout, pointers: Addr, count: u64) -> Option<Gather> {
    let nelems = Field {
        size: l.nelems.size.min(4),
        ..l.nelems
    };
    let fields = [
        Some((l.state, STATE, 1)),
        Some((l.spanclass, SPANCLASS, 1)),
        l.is_user_arena_chunk.map(|field| (field, USER_ARENA, 1)),
        Some((l.sweepgen, SWEEPGEN, 4)),
        Some((l.start_addr, START, 8)),
        Some((l.npages, NPAGES, 8)),
        Some((l.elemsize, ELEMSIZE, 8)),
        Some((l.alloc_bits, ALLOC_BITS, 8)),
        Some((l.gcmark_bits, GCMARK_BITS, 8)),
        Some((nelems, NELEMS, 4)),
        Some((l.alloc_count, ALLOC_COUNT, 2)),
        Some((l.alloc_count_before_cache, ALLOC_COUNT_BEFORE_CACHE, 2)),
    ];
    // What a release does not have reads as 0.
    let mut empty: Vec<usize> = (NELEMS..NELEMS + 4).skip(nelems.size as usize).collect();
    empty.extend(l.is_user_arena_chunk.is_none().then_some(USER_ARENA));
    let fits = |(field, to, most): (Field, usize, u64)| {
        (field.size <= most).then_some(Place {
            from: field.offset,
            to,
            bytes: field.size,
            late: to == NELEMS,
        })
    };
    let fields: Option<Vec<Place>> = fields.into_iter().flatten().map(fits).collect();
    // Only lists of manual spans are followed, and only large objects have a type.
    let link = Choice {
        by: l.state.offset,
        value: IN_USE,
        then: l.large_type.map(|field| field.offset),
        otherwise: Some(l.next.offset),
        to: LINK,
    };
    Some(Gather {
        what: "mspan",
        list: LIST,
        pointers,
        count,
        shape: RecordShape::new(l.size, RECORD_BYTES, STATUS, &fields?, &empty)?.choosing(link)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
