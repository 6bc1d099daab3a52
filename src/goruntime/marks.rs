//! Which slots the last mark found alive, span by span: mark bits for spans that await their sweep (inline ones too,
//! runtime/mgcmark_greenteagc.go), alloc bits for swept spans. Read after the release; a span's bits are accepted only
//! if the span re-reads unchanged afterwards, so the target never waits for them.

use super::capture::Requests;
use super::cursor::{Fields, View};
use super::layout::Layout;
use super::mspan::{Span, SpanState, Spans, Sweep};
use super::variants::Variant;
use crate::memory::{Addr, Memory, Range};

/// The marked slots of each live span; parallel to `Spans::live`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Slots that the last mark found alive; `None` where the span changed meanwhile or could not be read.
    pub of_span: Vec<Option<u32>>,
    /// In-use spans whose bits were accepted.
    pub accepted: u64,
    /// Spans that were swept, freed or reused between the stop and the read.
    pub changed: u64,
    /// Spans whose bits could not be read.
    pub unreadable: u64,
}

/// Reads lists of ranges of the running target, each list after all of the one before; ranges that cannot be read are
/// simply missing from the answer.
pub type ReadRunning<'a> = dyn FnMut(&[&[Range]]) -> Box<dyn Memory> + 'a;

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
        let mut bits = Requests::default();
        let mut headers = Requests::default();
        for span in spans.in_use() {
            let Bits { heap, inline } = Bits::of(span, layout, variant, sweepgen);
            bits.push("mark bits", heap.start, heap.len);
            if let Some(inline) = inline {
                bits.push("inline mark bits", inline.start, inline.len);
            }
            if !settled(span, sweepgen) {
                headers.push("mspan", span.addr, layout.mspan.size);
            }
        }
        // The structures only after the bits: what did not change since the stop vouches for the bits read in between.
        // Neither shares a page with the other.
        let generation = layout.mheap.sweepgen;
        let generation_at = Addr(mheap.0.wrapping_add(generation.offset));
        headers.push("mheap_.sweepgen", generation_at, generation.size);
        let memory = read(&[&merged(bits), &merged(headers)]);
        let same_cycle = View::new(memory.as_ref(), "mheap_", mheap)
            .u32(generation)
            .is_ok_and(|after| after == sweepgen);
        let others: Option<Box<dyn Memory>> = (!same_cycle).then(|| {
            let mut headers = Requests::default();
            for span in spans.in_use().filter(|span| settled(span, sweepgen)) {
                headers.push("mspan", span.addr, layout.mspan.size);
            }
            read(&[&merged(headers)])
        });
        let mut marks = Marks {
            of_span: vec![None; spans.live.len()],
            ..Marks::default()
        };
        for (span, slot) in spans.live.iter().zip(&mut marks.of_span) {
            if span.state != SpanState::InUse {
                continue;
            }
            let witness = match (settled(span, sweepgen), &others) {
                (true, None) => None,
                (true, Some(others)) => Some(others),
                (false, _) => Some(&memory),
            };
            if let Some(witness) = witness {
                let Ok(after) = Span::decode(witness.as_ref(), layout, span.addr) else {
                    marks.unreadable += 1;
                    continue;
                };
                if !same_bits(span, &after, sweepgen) {
                    marks.changed += 1;
                    continue;
                }
            }
            *slot = Bits::of(span, layout, variant, sweepgen).count(memory.as_ref(), span.nelems);
            match slot {
                Some(_) => marks.accepted += 1,
                None => marks.unreadable += 1,
            }
        }
        marks
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

impl Bits {
    fn of(span: &Span, layout: &Layout, variant: &Variant, sweepgen: u32) -> Bits {
        let bytes = u64::from(span.nelems.div_ceil(64)) * 8;
        if !Sweep::of(span.sweepgen, sweepgen).is_unswept() {
            return Bits {
                heap: Range::new(span.alloc_bits, bytes),
                inline: None,
            };
        }
        let inline = match (variant.inline_marks, &layout.inline_marks) {
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

/// Sorted and merged where they touch or nearly do.
fn merged(requests: Requests) -> Vec<Range> {
    const GAP: u64 = 512;
    let mut ranges: Vec<Range> = requests.into_list().into_iter().map(|request| request.range).collect();
    ranges.sort_unstable();
    ranges.dedup_by(|next, range| {
        let touches = next.start.0 <= range.end().0.saturating_add(GAP);
        if touches {
            range.len = range.len.max(next.end().0 - range.start.0);
        }
        touches
    });
    ranges
}
