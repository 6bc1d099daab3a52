//! What the bytes of in-use spans are: marked live by the last GC, allocated since (live or dead, unknown), garbage
//! found by the last mark and not swept yet, free slots, and span ends that no slot covers.

use super::alike::Alike;
use super::sum;
use crate::memory::Range;

/// Resident bytes of a range of the target; neighbours of the one before are found sooner.
pub type Resident<'a> = dyn Fn(Range, &mut Near) -> u64 + Sync + 'a;

/// Where the range before was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    /// Its number among the stretches of resident memory.
    pub at: usize,
    /// First address of a stretch around it that is of one kind, and the first behind it; none where both are 0.
    pub stretch: (u64, u64),
    /// Whether all of that is resident, or nothing.
    pub is_resident: bool,
}

impl Near {
    /// As `resident`.
    #[inline]
    pub(super) fn bytes_of(&mut self, range: Range, resident: &Resident<'_>) -> u64 {
        let (start, end) = (range.start.0, range.end().0);
        match self.stretch.0 <= start && end <= self.stretch.1 {
            true if self.is_resident => end - start,
            true => 0,
            false => resident(range, self),
        }
    }
}

/// Bytes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Marked live by the last GC.
    pub marked: u64,
    /// Allocated since, or in spans whose marks could not be read: unknown.
    pub since: u64,
    /// Garbage found by the last mark, not swept yet.
    pub garbage: u64,
    /// Free slots.
    pub free: u64,
    /// Span ends.
    pub tails: u64,
}

impl Kinds {
    fn of(alike: &Alike) -> Kinds {
        let rest = alike.slot_bytes(alike.objects.saturating_sub(alike.marked_objects));
        let garbage = if alike.unswept && alike.marks_known { rest } else { 0 };
        Kinds {
            marked: alike.slot_bytes(alike.marked_objects),
            since: rest - garbage,
            garbage,
            free: alike.slot_bytes(alike.free_slots()),
            tails: alike.spans.saturating_mul(alike.span.tail_bytes()),
        }
    }

    fn add(&mut self, other: Kinds) {
        for (total, part) in [
            (&mut self.marked, other.marked),
            (&mut self.since, other.since),
            (&mut self.garbage, other.garbage),
            (&mut self.free, other.free),
            (&mut self.tails, other.tails),
        ] {
            *total = total.saturating_add(part);
        }
    }

    /// The share of each kind when `part` of `whole` bytes are resident; rounding goes to a large kind.
    fn scaled(self, part: u64, whole: u64) -> Kinds {
        if part >= whole {
            return self;
        }
        if part == 0 {
            return Kinds::default();
        }
        // Spans are mostly some power of two long: then nothing is left to divide by.
        let shift = whole.trailing_zeros();
        let odd = whole >> shift;
        let scale = |bytes: u64| match (bytes.checked_mul(part), odd) {
            (Some(product), 1) => product >> shift,
            (Some(product), _) => (product >> shift) / odd,
            (None, _) => (u128::from(bytes) * u128::from(part) / u128::from(whole)) as u64,
        };
        let mut scaled = Kinds {
            marked: scale(self.marked),
            since: scale(self.since),
            garbage: scale(self.garbage),
            free: scale(self.free),
            tails: scale(self.tails),
        };
        let rounding = part.saturating_sub(scaled.total());
        match scaled.marked.max(scaled.since) {
            largest if largest < scaled.free => scaled.free += rounding,
            largest if largest == scaled.marked => scaled.marked += rounding,
            _ => scaled.since += rounding,
        }
        scaled
    }

    fn total(&self) -> u64 {
        sum([self.marked, self.since, self.garbage, self.free, self.tails].into_iter())
    }
}

/// The in-use part of the heap by kind, whole and resident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapKinds {
    /// Bytes.
    pub bytes: Kinds,
    /// The resident part; a partly resident span's share of each kind is proportional.
    pub resident: Option<Kinds>,
    /// Resident bytes of unswept spans in which the last mark found nothing alive: the next sweep frees them whole.
    pub dead_spans_resident: u64,
    /// Spans whose marks are not known.
    pub unknown_spans: u64,
    /// Bytes of their allocated slots, which count as allocated since until told otherwise.
    unknown: u64,
    /// The resident part of these.
    unknown_resident: u64,
}

impl HeapKinds {
    /// Nothing yet; `resident` says whether the resident part is known.
    pub(super) fn new(resident: bool) -> HeapKinds {
        HeapKinds {
            resident: resident.then(Kinds::default),
            ..HeapKinds::default()
        }
    }

    /// Sorts the bytes of in-use spans into kinds.
    pub(super) fn add(&mut self, alike: &Alike) {
        let kinds = Kinds::of(alike);
        self.bytes.add(kinds);
        if !alike.marks_known {
            self.unknown_spans += alike.spans;
            self.unknown = self.unknown.saturating_add(kinds.since);
        }
        if let (Some(sum), Some(part)) = (&mut self.resident, alike.resident) {
            // Either there is only one, or nothing of each is resident, or all.
            let scaled = kinds.scaled(part, alike.span.bytes());
            sum.add(scaled);
            if !alike.marks_known {
                self.unknown_resident = self.unknown_resident.saturating_add(scaled.since);
            }
            if alike.unswept {
                let dead = alike.unmarked_spans.saturating_mul(part);
                self.dead_spans_resident = self.dead_spans_resident.saturating_add(dead);
            }
        }
    }

    pub(super) fn join(&mut self, other: &HeapKinds) {
        self.bytes.add(other.bytes);
        if let (Some(sum), Some(part)) = (&mut self.resident, other.resident) {
            sum.add(part);
        }
        for (total, part) in [
            (&mut self.dead_spans_resident, other.dead_spans_resident),
            (&mut self.unknown_spans, other.unknown_spans),
            (&mut self.unknown, other.unknown),
            (&mut self.unknown_resident, other.unknown_resident),
        ] {
            *total = total.saturating_add(part);
        }
    }

    /// Where the marks of some spans are not known, takes the runtime's own sum of what the last GC marked (bytes) for
    /// the whole, and what the known spans do not hold of it for the part of the unknown ones: an estimate, since that
    /// sum may hold slots that have been freed since.
    pub fn fill_in_marked(&mut self, heap_marked: u64) {
        let marked = heap_marked.saturating_sub(self.bytes.marked).min(self.unknown);
        self.bytes.marked = self.bytes.marked.saturating_add(marked);
        self.bytes.since = self.bytes.since.saturating_sub(marked);
        if let Some(resident) = &mut self.resident {
            let part = u128::from(self.unknown_resident) * u128::from(marked) / u128::from(self.unknown.max(1));
            let part = u64::try_from(part).unwrap_or(u64::MAX).min(resident.since);
            resident.marked = resident.marked.saturating_add(part);
            resident.since -= part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resident_share_is_the_proportional_part_rounded_down() {
        let kinds = Kinds {
            marked: 4097,
            since: u64::MAX / 3,
            garbage: 0,
            free: 1 << 40,
            tails: 7,
        };
        for whole in [8192, 3 * 8192, 8192 << 20, 8192 * 12_345, u64::MAX - 8191] {
            for part in [1, 4096, 8191, whole / 3, whole - 4096, whole - 1] {
                let scaled = kinds.scaled(part, whole);
                let of = |kinds: &Kinds| [kinds.marked, kinds.since, kinds.garbage, kinds.free, kinds.tails];
                let exact = |bytes: u64| (u128::from(bytes) * u128::from(part) / u128::from(whole)) as u64;
                let expected = of(&kinds).map(exact);
                let more = of(&scaled)
                    .into_iter()
                    .zip(expected)
                    .filter(|(found, exact)| found != exact);
                // The largest takes what is left of the part.
                assert!(more.count() <= 1, "{part} of {whole}");
                assert_eq!((scaled.garbage, scaled.tails), (expected[2], expected[4]));
                let rounding = part.saturating_sub(sum(expected.into_iter()));
                assert_eq!(scaled.total(), sum(expected.into_iter()).saturating_add(rounding));
            }
            assert_eq!(
                (kinds.scaled(whole, whole), kinds.scaled(0, whole)),
                (kinds, Kinds::default())
            );
        }
    }
}
