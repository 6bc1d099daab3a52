//! Which slots the last mark found alive, span by span: mark bits for spans that await their sweep, alloc bits for swept
//! spans. Read after the release; a span's bits are accepted only if the span re-reads unchanged afterwards, so the
//! target never waits for them.

mod plan;

pub use plan::MarksPlan;

pub use super::bits::BitRule;
use super::bits::{BitRules, Bits};
use super::cursor::{Fields, View};
use super::layout::Layout;
use super::mspan::{RECORD_BYTES, Record, Span, SpanReader, Sweep};
use super::spans::Spans;
use super::stretches::Stretches;
use crate::memory::{Addr, Gathered, Memory, Range};

/// What was read of the running target.
pub type RunningMemory = Box<dyn Memory + Send + Sync>;

/// Reads what a plan asks for of the running target; what cannot be read is simply missing from the answer.
pub type ReadRunning<'a> = dyn FnMut(MarksPlan) -> RunningMemory + 'a;

/// The bits of all in-use spans, and what vouches for them.
pub struct Marks {
    rules: BitRules,
    spans: SpanReader,
    /// The bits; read after them, the structures of the spans that may lose theirs at any time, where these are few.
    read: RunningMemory,
    /// Whether no other cycle has begun since the stop: then all other spans still have theirs.
    same_cycle: bool,
    /// All spans as they were after the bits were read, where most may have lost theirs or another cycle has begun.
    all: Option<Gathered>,
}

/// What is known of a span's marked slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// So many slots are marked.
    Known(u32),
    /// The span was swept, freed or reused between the stop and the read.
    Changed,
    /// Its bits could not be read.
    Unreadable,
}

impl Marks {
    /// Reads the bits of every in-use span of `spans`, as captured of the heap at `mheap`. `None` where the heap's
    /// sweepgen was not, or no span can be read with this layout.
    pub fn read(read: &mut ReadRunning<'_>, layout: &Layout, mheap: Addr, spans: &Spans) -> Option<Marks> {
        let rules = spans.rules?;
        let reader = SpanReader::new(&layout.mspan)?;
        // The structures only after the bits: what did not change since the stop vouches for the bits read in between.
        // Neither shares a page with the other.
        let generation = layout.mheap.sweepgen;
        let generation_at = Addr(mheap.0.wrapping_add(generation.offset));
        let generation_alone = Range::new(generation_at, generation.size);
        let mut witnesses = spans.bits.witnesses();
        let bytes: u64 = witnesses.iter().map(|range| range.len).sum();
        // Of many, records are less than the pages that they are on.
        let plan = match bytes > (spans.count() as u64).saturating_mul(RECORD_BYTES as u64) {
            true => MarksPlan::new(vec![spans.bits.bits(), vec![generation_alone]]).and_all(layout, mheap, spans)?,
            false => {
                witnesses.push(generation_alone);
                MarksPlan::new(vec![spans.bits.bits(), witnesses])
            }
        };
        let memory = read(plan.clone());
        let same_cycle = View::new(memory.as_ref(), "mheap_", mheap)
            .u32(generation)
            .is_ok_and(|after| after == rules.sweepgen);
        let all = match plan.records(memory.as_ref()) {
            None if !same_cycle => {
                let plan = MarksPlan::new(Vec::new()).and_all(layout, mheap, spans)?;
                plan.records(read(plan.clone()).as_ref())
            }
            all => all,
        };
        Some(Marks {
            rules,
            spans: reader,
            read: memory,
            same_cycle,
            all,
        })
    }

    /// Where the bits are of in-use spans of this one's kind.
    pub fn rule(&self, span: Record<'_>) -> BitRule {
        self.rules.of(span)
    }

    /// Looks at the bits of one span of `spans` after the other.
    pub fn reader<'a>(&'a self, spans: &'a Spans) -> MarkReader<'a> {
        MarkReader {
            marks: self,
            spans,
            near: (Addr::NIL, &[]),
        }
    }
}

/// Looks at the bits of one span after the other; those next to the ones before are found at once.
pub struct MarkReader<'a> {
    marks: &'a Marks,
    spans: &'a Spans,
    /// A unit of memory: where it is, and its bytes.
    near: (Addr, &'a [u8]),
}

impl<'a> MarkReader<'a> {
    /// How many slots of an in-use span the last mark found alive; `rule`: that of its kind.
    #[inline]
    pub fn of(&mut self, index: usize, span: Record<'_>, rule: &BitRule) -> Mark {
        let Marks { rules, read, .. } = self.marks;
        if !self.marks.same_cycle || !rule.settled() {
            match self.after(index) {
                None => return Mark::Unreadable,
                Some(after) if !same_bits(&span.span(), &after, rules.sweepgen) => return Mark::Changed,
                Some(_) => {}
            }
        }
        let Bits { heap, inline } = rule.bits(span);
        if let (Some(word), None) = (self.near_word(heap), inline) {
            return Mark::Known(count_word(word, span.nelems()));
        }
        let bits = self.bytes(heap);
        let inline = inline.map_or(Some(&[][..]), |range| read.bytes(range.start, range.len as usize).ok());
        match bits.zip(inline) {
            Some((bits, inline)) => Mark::Known(count(bits, inline, span.nelems())),
            None => Mark::Unreadable,
        }
    }

    /// The span of this index as it was after the bits were read.
    fn after(&self, index: usize) -> Option<Span> {
        let Marks { read, all, spans, .. } = self.marks;
        match all {
            Some(all) => Span::of(all.record(index).ok()?).ok(),
            None => spans.read(read.as_ref(), self.spans.addr_of(index)?),
        }
    }

    /// A bitmap of a single word that lies next to the one before, as most do.
    #[inline]
    fn near_word(&self, range: Range) -> Option<u64> {
        let from = usize::try_from(range.start.0.wrapping_sub(self.near.0.0)).ok()?;
        let word = self.near.1.get(from..)?.first_chunk::<8>()?;
        (range.len == 8).then_some(u64::from_le_bytes(*word))
    }

    /// Bytes of a bitmap.
    #[inline]
    fn bytes(&mut self, range: Range) -> Option<&'a [u8]> {
        let inside = |near: (Addr, &'a [u8])| {
            let from = usize::try_from(range.start.0.wrapping_sub(near.0.0)).ok()?;
            near.1.get(from..)?.get(..range.len as usize)
        };
        if let Some(bytes) = inside(self.near) {
            return Some(bytes);
        }
        let (memory, unit) = (self.marks.read.as_ref(), 1u64 << Stretches::SHIFT);
        let start = Addr(range.start.0 & !(unit - 1));
        if let Ok(bytes) = memory.bytes(start, unit as usize) {
            self.near = (start, bytes);
        }
        inside(self.near).or_else(|| memory.bytes(range.start, range.len as usize).ok())
    }
}

/// Set bits among the first `nelems`, in a bitmap or in the marks beside it, which may be fewer.
#[inline]
fn count(bits: &[u8], inline: &[u8], nelems: u32) -> u32 {
    let (words, _) = bits.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    if inline.is_empty() {
        return count_words(words, nelems);
    }
    let beside = inline.chunks(8).map(|bytes| {
        let mut word = [0; 8];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    });
    let beside = beside.chain(std::iter::repeat(0));
    count_words(words.zip(beside).map(|(word, more)| word | more), nelems)
}

/// Of a word, the first of `nelems` slots.
#[inline]
fn count_word(word: u64, nelems: u32) -> u32 {
    // Mostly all of them are marked.
    let slots = u64::MAX >> (64 - nelems.clamp(1, 64));
    match word & slots {
        all if all == slots => nelems.min(64),
        some => some.count_ones(),
    }
}

#[inline]
fn count_words(words: impl Iterator<Item = u64>, nelems: u32) -> u32 {
    let (mut left, mut count) = (nelems, 0);
    for word in words {
        count += count_word(word, left);
        if left <= 64 {
            return count;
        }
        left -= 64;
    }
    count
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_bits_are_counted_up_to_the_last_slot_wherever_they_are() {
        let bits: Vec<u8> = (0..24u8).map(|n| n.wrapping_mul(37)).collect();
        for inline in [0, 1, 7, 8, 13, 24, 40] {
            let inline: Vec<u8> = (0..inline).map(|n: u8| n.wrapping_mul(91)).collect();
            for nelems in 0..=192u32 {
                let set = |bytes: &[u8], slot: u32| {
                    bytes
                        .get(slot as usize / 8)
                        .is_some_and(|byte| byte >> (slot % 8) & 1 == 1)
                };
                let expected = (0..nelems)
                    .filter(|slot| set(&bits, *slot) || set(&inline, *slot))
                    .count();
                assert_eq!(count(&bits, &inline, nelems), expected as u32, "{nelems} slots");
            }
        }
    }
}
