//! Which slots the last mark found alive, span by span: mark bits for spans that await their sweep (inline ones too,
//! runtime/mgcmark_greenteagc.go), alloc bits for swept spans. Read after the release; a span's bits are accepted only
//! if the span re-reads unchanged afterwards, so the target never waits for them.

use super::cursor::{Fields, View};
use super::layout::Layout;
use super::mspan::{Span, SpanState, Sweep};
use super::spans::Spans;
use super::variants::Variant;
use crate::memory::{Addr, Memory, Range};

/// The marked slots of each live span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// By the span's index; `UNKNOWN` where there is no such figure.
    of_span: Vec<u32>,
    /// In-use spans whose bits were accepted.
    pub accepted: u64,
    /// Spans that were swept, freed or reused between the stop and the read.
    pub changed: u64,
    /// Spans whose bits could not be read.
    pub unreadable: u64,
}

/// More slots than any span has.
const UNKNOWN: u32 = u32::MAX;

/// Reads lists of ranges of the running target, each list after all of the one before; ranges that cannot be read are
/// simply missing from the answer.
pub type ReadRunning<'a> = dyn FnMut(&[&[Range]]) -> Box<dyn Memory + Sync> + 'a;

impl Marks {
    /// Reads the bits of every in-use span of `spans`, as captured when the sweepgen of the heap at `mheap` was
    /// `sweepgen`.
    pub fn read(
        read: &mut ReadRunning<'_>,
        layout: &Layout,
        variant: &Variant,
        (mheap, sweepgen): (Addr, u32),
        spans: &Spans,
    ) -> Marks {
        let (size, rules) = (
            layout.mspan.size,
            Rules {
                layout,
                variant,
                sweepgen,
            },
        );
        let places = spans.in_parts(|part| {
            let (mut bits, mut headers) = (Stretches::default(), Stretches::default());
            for (_, span) in spans.part(part).filter(|(_, span)| span.state == SpanState::InUse) {
                let Bits { heap, inline } = rules.bits(&span);
                bits.add(heap);
                inline.into_iter().for_each(|inline| bits.add(inline));
                if !settled(&span, sweepgen) {
                    headers.add(Range::new(span.addr, size));
                }
            }
            (bits, headers)
        });
        let (bits, mut headers): (Vec<_>, Vec<_>) = places.into_iter().unzip();
        // The structures only after the bits: what did not change since the stop vouches for the bits read in between.
        // Neither shares a page with the other.
        let generation = layout.mheap.sweepgen;
        let generation_at = Addr(mheap.0.wrapping_add(generation.offset));
        let mut own = Stretches::default();
        own.add(Range::new(generation_at, generation.size));
        headers.push(own);
        let memory = read(&[&merged(bits), &merged(headers)]);
        let same_cycle = View::new(memory.as_ref(), "mheap_", mheap)
            .u32(generation)
            .is_ok_and(|after| after == sweepgen);
        let others: Option<Box<dyn Memory + Sync>> = (!same_cycle).then(|| {
            let mut headers = Stretches::default();
            for (_, span) in spans.in_use().filter(|(_, span)| settled(span, sweepgen)) {
                headers.add(Range::new(span.addr, size));
            }
            read(&[&merged(vec![headers])])
        });
        let parts = spans.in_parts(|part| {
            let mut marks = Marks {
                of_span: vec![UNKNOWN; part.len()],
                ..Marks::default()
            };
            let first = part.start;
            for (index, span) in spans.part(part).filter(|(_, span)| span.state == SpanState::InUse) {
                let witness = match (settled(&span, sweepgen), &others) {
                    (true, None) => None,
                    (true, Some(others)) => Some(others),
                    (false, _) => Some(&memory),
                };
                if let Some(witness) = witness {
                    let Some(after) = Span::read(witness.as_ref(), layout, span.addr) else {
                        marks.unreadable += 1;
                        continue;
                    };
                    if !same_bits(&span, &after, sweepgen) {
                        marks.changed += 1;
                        continue;
                    }
                }
                match rules.bits(&span).count(memory.as_ref(), span.nelems) {
                    Some(count) => {
                        marks.accepted += 1;
                        if let Some(slot) = marks.of_span.get_mut(index - first) {
                            *slot = count;
                        }
                    }
                    None => marks.unreadable += 1,
                }
            }
            marks
        });
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        for part in parts {
            all.of_span.extend(part.of_span);
            all.accepted += part.accepted;
            all.changed += part.changed;
            all.unreadable += part.unreadable;
        }
        all
    }

    /// How many slots of a span the last mark found alive; `None` where the span changed meanwhile or its bits could
    /// not be read.
    pub fn of(&self, index: usize) -> Option<u32> {
        self.of_span.get(index).copied().filter(|count| *count != UNKNOWN)
    }
}

/// Whether the span keeps its alloc bits as long as the heap's sweepgen stays what it was: only sweeping replaces or
/// frees them (runtime/mgcsweep.go `sweepLocked.sweep`), each span is swept once per cycle, and bit arenas are recycled
/// only when a later cycle starts. User arenas are freed by other rules.
fn settled(span: &Span, sweepgen: u32) -> bool {
    matches!(Sweep::of(span.sweepgen, sweepgen), Sweep::Done | Sweep::Cached) && !span.user_arena
}

/// Whether the bits that belong to `before` are still those of `after`.
fn same_bits(before: &Span, after: &Span, sweepgen: u32) -> bool {
    // Moving a swept span into or out of an mcache changes its sweepgen but not its alloc bits.
    let unswept = Sweep::of(before.sweepgen, sweepgen).is_unswept();
    before.state == after.state
        && before.start == after.start
        && before.npages == after.npages
        && before.nelems == after.nelems
        && before.alloc_bits == after.alloc_bits
        && before.gcmark_bits == after.gcmark_bits
        && (!unswept || before.sweepgen == after.sweepgen)
}

/// Where a span's bits lie.
struct Bits {
    /// The bitmap in a gcBits arena.
    heap: Range,
    /// Marks inside the span itself.
    inline: Option<Range>,
}

/// What says where a span's bits are.
struct Rules<'a> {
    layout: &'a Layout,
    variant: &'a Variant,
    sweepgen: u32,
}

impl Rules<'_> {
    fn bits(&self, span: &Span) -> Bits {
        let bytes = u64::from(span.nelems.div_ceil(64)) * 8;
        if !Sweep::of(span.sweepgen, self.sweepgen).is_unswept() {
            return Bits {
                heap: Range::new(span.alloc_bits, bytes),
                inline: None,
            };
        }
        let inline = match (self.variant.inline_marks, &self.layout.inline_marks) {
            (Some(rule), Some(l))
                if span.size_class() != 0
                    && (rule.min_elem_bytes..=rule.max_elem_bytes).contains(&span.elemsize)
                    && !span.user_arena =>
            {
                let end = span.start.saturating_add(span.bytes());
                let start = end.saturating_sub(l.size).saturating_add(l.marks.offset);
                Some(Range::new(Addr(start), l.marks.len.min(l.size)))
            }
            _ => None,
        };
        Bits {
            heap: Range::new(span.gcmark_bits, bytes),
            inline,
        }
    }
}

impl Bits {
    /// Set bits among the first `nelems`.
    fn count(&self, memory: &dyn Memory, nelems: u32) -> Option<u32> {
        let heap = memory.bytes(self.heap.start, self.heap.len as usize).ok()?;
        let inline = match self.inline {
            Some(range) => memory.bytes(range.start, range.len as usize).ok()?,
            None => &[],
        };
        let mut count = 0;
        for (index, byte) in heap.iter().enumerate() {
            let left = u64::from(nelems).saturating_sub(index as u64 * 8).min(8) as u32;
            let mask = ((1u16 << left) - 1) as u8;
            count += ((byte | inline.get(index).copied().unwrap_or(0)) & mask).count_ones();
        }
        Some(count)
    }
}

/// Stretches of memory to read, in units that the smallest pages are made of.
#[derive(Default)]
struct Stretches {
    list: Vec<(u64, u64)>,
}

impl Stretches {
    /// Bytes of a unit, as a power of two: nothing smaller than a page is read of a running process.
    const SHIFT: u32 = 12;
    const LOOK_BACK: usize = 8;

    fn add(&mut self, range: Range) {
        if range.start.is_nil() || range.len == 0 {
            return;
        }
        let (first, last) = (
            range.start.0 >> Stretches::SHIFT,
            (range.end().0 - 1) >> Stretches::SHIFT,
        );
        // Most lie on a page of one of the last few: each P fills a stretch of its own.
        let mut latest = self.list.iter_mut().rev().take(Stretches::LOOK_BACK);
        match latest.find(|(from, to)| first >= *from && first <= *to + 1) {
            Some((_, to)) => *to = last.max(*to),
            None => self.list.push((first, last)),
        }
    }
}

/// Sorted and merged where they touch.
fn merged(stretches: Vec<Stretches>) -> Vec<Range> {
    let mut list: Vec<(u64, u64)> = stretches.into_iter().flat_map(|stretches| stretches.list).collect();
    list.sort_unstable();
    list.dedup_by(|next, last| {
        let touches = next.0 <= last.1 + 1;
        if touches {
            last.1 = last.1.max(next.1);
        }
        touches
    });
    let range =
        |(first, last): (u64, u64)| Range::new(Addr(first << Stretches::SHIFT), (last - first + 1) << Stretches::SHIFT);
    list.into_iter().map(range).collect()
}
