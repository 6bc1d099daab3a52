//! Stretches of the target's memory, noted one by one in great number and kept in few.

use crate::memory::{Addr, Range};

/// Stretches of memory in units that the smallest pages are made of: nothing smaller than a page is read of a running
/// process, and no mapping begins or ends inside one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretches {
    /// First and last unit of each.
    list: Vec<(u64, u64)>,
    /// The one that the last note fell into, as it was then: all of it is in the list. Of no units while there is none.
    near: (u64, u64),
}

impl Default for Stretches {
    fn default() -> Stretches {
        Stretches {
            list: Vec::new(),
            near: (1, 0),
        }
    }
}

impl Stretches {
    /// Bytes of a unit, as a power of two.
    pub(super) const SHIFT: u32 = 12;
    const LOOK_BACK: usize = 8;

    /// Notes the units of `range`; nothing of nil or of no bytes.
    #[inline]
    pub(super) fn add(&mut self, range: Range) {
        if range.start.is_nil() || range.len == 0 {
            return;
        }
        let (first, last) = (
            range.start.0 >> Stretches::SHIFT,
            (range.end().0 - 1) >> Stretches::SHIFT,
        );
        if first < self.near.0 || last > self.near.1 {
            self.put(first, last);
        }
    }

    #[cold]
    fn put(&mut self, first: u64, last: u64) {
        // Most lie on a page of one of the last few: each P fills a stretch of its own.
        let latest = self.list.iter_mut().rev().take(Stretches::LOOK_BACK);
        for (from, to) in latest {
            if first >= *from && first <= *to + 1 {
                *to = last.max(*to);
                self.near = (*from, *to);
                return;
            }
        }
        self.near = (first, last);
        self.list.push((first, last));
    }

    /// Notes all that another one holds.
    pub(super) fn join(&mut self, other: Stretches) {
        self.list.extend(other.list);
    }

    /// All that several hold: sorted, merged where they touch.
    pub(super) fn merged(several: &[&Stretches]) -> Vec<Range> {
        let mut list: Vec<(u64, u64)> = several.iter().flat_map(|stretches| &stretches.list).copied().collect();
        list.sort_unstable();
        list.dedup_by(|next, last| {
            let touches = next.0 <= last.1 + 1;
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        let start = |unit: u64| unit << Stretches::SHIFT;
        let range = |(first, last)| Range::new(Addr(start(first)), start(last - first + 1));
        list.into_iter().map(range).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(ranges: &[(u64, u64)]) -> Stretches {
        let mut stretches = Stretches::default();
        for &(start, len) in ranges {
            stretches.add(Range::new(Addr(start), len));
        }
        stretches
    }

    fn range(start: u64, len: u64) -> Range {
        Range::new(Addr(start), len)
    }

    #[test]
    fn neighbours_are_one_stretch_whatever_lies_between_their_notes() {
        let stretches = noted(&[(0x1008, 8), (0x9000, 1), (0x1ff8, 8), (0x2000, 16), (0x9ff0, 0x20)]);
        assert_eq!(stretches.list.len(), 2);
        let all = Stretches::merged(&[&stretches]);
        assert_eq!(all, [range(0x1000, 0x2000), range(0x9000, 0x2000)]);
    }

    #[test]
    fn every_unit_noted_is_there_once_and_no_other() {
        let mut units: Vec<u64> = (0..500u64).map(|n| 1 + n * n * 7919 % 389).collect();
        let notes: Vec<(u64, u64)> = units.iter().map(|unit| ((unit << 12) | (unit % 4096), 1)).collect();
        let (one, other) = notes.split_at(200);
        let mut joined = noted(one);
        joined.join(noted(other));
        units.sort_unstable();
        units.dedup();
        for merged in [
            Stretches::merged(&[&joined]),
            Stretches::merged(&[&noted(other), &noted(one)]),
        ] {
            let of = |range: &Range| range.start.0 >> 12..range.end().0 >> 12;
            assert_eq!(merged.iter().flat_map(of).collect::<Vec<u64>>(), units);
            assert!(merged.windows(2).all(|pair| pair[0].end() < pair[1].start));
        }
    }

    #[test]
    fn nothing_is_no_stretch_and_the_end_of_memory_is_one() {
        assert_eq!(noted(&[(0, 8), (0x5000, 0)]), Stretches::default());
        let last = noted(&[(u64::MAX - 3, 64)]);
        assert_eq!(Stretches::merged(&[&last]), [range(!0xfff, 0x1000)]);
    }
}
