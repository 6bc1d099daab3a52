//! Where the bits of spans lie that say which of their slots are alive: mark bits of spans that await their sweep
//! (inline ones too, runtime/mgcmark_greenteagc.go), alloc bits of swept spans.

use super::layout::Layout;
use super::mspan::{Record, Sweep};
use super::stretches::Stretches;
use super::variants::Variant;
use crate::memory::{Addr, Range};

/// Where a span's bits lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    /// The bitmap in a gcBits arena.
    pub(super) heap: Range,
    /// Marks inside the span itself.
    pub(super) inline: Option<Range>,
}

/// What says where the bits of any span are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BitRules {
    /// `mheap_.sweepgen`.
    pub(super) sweepgen: u32,
    inline: Option<InlineMarks>,
}

/// Which spans hold marks of their own, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InlineMarks {
    min_elem_bytes: u64,
    max_elem_bytes: u64,
    /// Bytes at the end of the span that hold the marks, where among them the marks begin, and bytes of these.
    size: u64,
    offset: u64,
    len: u64,
}

impl BitRules {
    /// Those of a heap with this sweepgen.
    pub(super) fn new(layout: &Layout, variant: &Variant, sweepgen: u32) -> BitRules {
        let inline = variant.inline_marks.as_ref().zip(layout.inline_marks.as_ref());
        BitRules {
            sweepgen,
            inline: inline.map(|(rule, l)| InlineMarks {
                min_elem_bytes: rule.min_elem_bytes,
                max_elem_bytes: rule.max_elem_bytes,
                size: l.size,
                offset: l.marks.offset,
                len: l.marks.len.min(l.size),
            }),
        }
    }

    /// Those of all spans of this one's kind.
    pub(super) fn of(&self, span: Record<'_>) -> BitRule {
        let sweep = Sweep::of(span.sweepgen(), self.sweepgen);
        let holds = |l: &InlineMarks| {
            let elem = l.min_elem_bytes..=l.max_elem_bytes;
            span.size_class() != 0 && elem.contains(&span.elemsize()) && !span.user_arena()
        };
        BitRule {
            unswept: sweep.is_unswept(),
            settled: matches!(sweep, Sweep::Done | Sweep::Cached) && !span.user_arena(),
            bytes: u64::from(span.nelems().div_ceil(64)) * 8,
            inline: self.inline.filter(|l| sweep.is_unswept() && holds(l)),
        }
    }
}

/// Where the bits of spans of one kind are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRule {
    /// Whether they await their sweep: then mark bits count, else alloc bits.
    unswept: bool,
    settled: bool,
    /// Bytes of a bitmap.
    bytes: u64,
    inline: Option<InlineMarks>,
}

impl BitRule {
    #[inline]
    pub(super) fn bits(&self, span: Record<'_>) -> Bits {
        let start = match self.unswept {
            true => span.gcmark_bits(),
            false => span.alloc_bits(),
        };
        let inline = self.inline.map(|l| {
            let end = span.start().saturating_add(span.page_bytes());
            let start = end.saturating_sub(l.size).saturating_add(l.offset);
            Range::new(Addr(start), l.len)
        });
        Bits {
            heap: Range::new(start, self.bytes),
            inline,
        }
    }

    /// The bitmap that does not count.
    #[inline]
    fn other(&self, span: Record<'_>) -> Addr {
        match self.unswept {
            true => span.alloc_bits(),
            false => span.gcmark_bits(),
        }
    }

    /// Whether a span keeps its alloc bits as long as the heap's sweepgen stays what it was: only sweeping replaces or
    /// frees them (runtime/mgcsweep.go `sweepLocked.sweep`), each span is swept once per cycle, and bit arenas are
    /// recycled only when a later cycle starts. User arenas are freed by other rules.
    #[inline]
    pub(super) fn settled(&self) -> bool {
        self.settled
    }
}

/// The places of the bits of all spans, and of the structures that vouch for them.
#[derive(Clone, Debug, Default)]
pub(super) struct BitPlaces {
    /// Bitmaps that count.
    bitmaps: Stretches,
    /// Marks inside spans.
    inline: Stretches,
    /// Structures of the spans whose bits may change at any time.
    headers: Stretches,
    /// First bytes of bitmaps that do not count.
    others: Stretches,
}

impl BitPlaces {
    /// Notes those of a live span, whose structure is `header`. Without a rule no bitmap counts.
    #[inline]
    pub(super) fn note(&mut self, rule: Option<&BitRule>, span: Record<'_>, header: Range) {
        let Some(rule) = rule else {
            self.others.add(Range::new(span.alloc_bits(), 1));
            self.others.add(Range::new(span.gcmark_bits(), 1));
            return;
        };
        let Bits { heap, inline } = rule.bits(span);
        self.bitmaps.add(heap);
        self.others.add(Range::new(rule.other(span), 1));
        if let Some(inline) = inline {
            self.inline.add(inline);
        }
        if !rule.settled() {
            self.headers.add(header);
        }
    }

    /// Notes all that another one holds.
    pub(super) fn join(&mut self, other: BitPlaces) {
        self.bitmaps.join(other.bitmaps);
        self.inline.join(other.inline);
        self.headers.join(other.headers);
        self.others.join(other.others);
    }

    /// What is to be read for the bits of all in-use spans.
    pub(super) fn bits(&self) -> Vec<Range> {
        Stretches::merged(&[&self.bitmaps, &self.inline])
    }

    /// The structures of the spans whose bits may change at any time: what is to be read after the bits, to learn which
    /// have.
    pub(super) fn witnesses(&self) -> Vec<Range> {
        Stretches::merged(&[&self.headers])
    }

    /// Where bitmaps of live spans begin, those that count and the others: stretches of gcBits arenas.
    pub(super) fn tables(&self) -> Vec<Range> {
        Stretches::merged(&[&self.bitmaps, &self.others])
    }
}
