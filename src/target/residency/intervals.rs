//! Sorted intervals of addresses, and how many of their bytes lie where.

use crate::memory::{Addr, Range};

/// Sorted, disjoint intervals that know how many bytes lie before each.
#[derive(Clone, Debug, Default)]
pub struct Intervals {
    /// Start, end, bytes in all intervals before.
    list: Vec<(u64, u64, u64)>,
}

impl Intervals {
    /// Appends an interval that lies behind all others.
    pub fn push(&mut self, start: u64, end: u64) {
        let before = self.total();
        match self.list.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            Some(last) if last.1 > start => {}
            _ => self.list.push((start, end, before)),
        }
    }

    /// Appends those of another one, which lie behind all of these.
    pub fn join(&mut self, next: Intervals) {
        if self.list.is_empty() {
            *self = next;
            return;
        }
        let rest = next.list.into_iter();
        self.list.reserve(rest.len());
        rest.for_each(|(start, end, _)| self.push(start, end));
    }

    /// Bytes of all intervals.
    pub fn total(&self) -> u64 {
        self.list
            .last()
            .map_or(0, |(start, end, before)| before + (end - start))
    }

    /// All intervals, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range> {
        self.list
            .iter()
            .map(|&(start, end, _)| Range::new(Addr(start), end - start))
    }

    /// How many bytes of the intervals lie in `range`.
    pub fn bytes_in(&self, range: Range) -> u64 {
        self.bytes_below(range.end().0) - self.bytes_below(range.start.0)
    }

    /// The same; `near` is the last interval that begins before the range.
    #[inline]
    pub fn bytes_in_near(&self, range: Range, near: &mut usize) -> u64 {
        let (start, end) = (range.start.0, range.end().0);
        match self.list.get(*near) {
            Some((from, to, _)) if *from <= start && end <= *to => end - start,
            Some((_, to, _)) if *to <= start && self.list.get(*near + 1).is_none_or(|next| end <= next.0) => 0,
            _ => self.bytes_in_somewhere((start, end), near),
        }
    }

    /// The interval around `addr`, or the gap between two, and which of the two it is; of no bytes where it is not `near`.
    pub fn stretch(&self, addr: u64, near: usize) -> ((u64, u64), bool) {
        let next = self.list.get(near + 1).map_or(u64::MAX, |next| next.0);
        match self.list.get(near) {
            Some(&(start, end, _)) if (start..end).contains(&addr) => ((start, end), true),
            Some(&(_, end, _)) if (end..next).contains(&addr) => ((end, next), false),
            _ => ((0, 0), false),
        }
    }

    fn bytes_in_somewhere(&self, (start, end): (u64, u64), near: &mut usize) -> u64 {
        let is_last_before = |index: usize, addr: u64| {
            self.list.get(index).is_some_and(|interval| interval.0 < addr)
                && self.list.get(index + 1).is_none_or(|next| next.0 >= addr)
        };
        if !is_last_before(*near, start) {
            *near = match is_last_before(*near + 1, start) {
                true => *near + 1,
                false => self
                    .list
                    .partition_point(|interval| interval.0 < start)
                    .saturating_sub(1),
            };
        }
        let below = |index: usize, addr: u64| match self.list.get(index) {
            Some((from, to, before)) if *from < addr => before + (addr.min(*to) - from),
            _ => 0,
        };
        let last = match is_last_before(*near, end) {
            true => *near,
            false if is_last_before(*near + 1, end) => *near + 1,
            false => return self.bytes_below(end) - below(*near, start),
        };
        below(last, end) - below(*near, start)
    }

    /// How many bytes of the intervals lie below `addr`.
    fn bytes_below(&self, addr: u64) -> u64 {
        let after = self.list.partition_point(|(start, _, _)| *start < addr);
        let last = after.checked_sub(1).and_then(|index| self.list.get(index));
        last.map_or(0, |(start, end, before)| before + (addr.min(*end) - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_count_exactly_what_lies_inside() {
        let mut intervals = Intervals::default();
        intervals.push(100, 200);
        intervals.push(200, 250);
        intervals.push(400, 500);
        let bytes = |start, len| intervals.bytes_in(Range::new(Addr(start), len));
        assert_eq!(intervals.total(), 250);
        assert_eq!(bytes(0, u64::MAX), 250);
        assert_eq!(bytes(150, 300), 150);
        assert_eq!(bytes(250, 150), 0);
        assert_eq!(bytes(499, 1), 1);
        assert_eq!(bytes(500, 1), 0);
        assert_eq!(bytes(120, 0), 0);
        for at in 0..8 {
            for (start, len) in (0..60).flat_map(|start| (0..60).map(move |len| (start * 10, len * 10))) {
                let mut near = at;
                let range = Range::new(Addr(start), len);
                assert_eq!(
                    intervals.bytes_in_near(range, &mut near),
                    bytes(start, len),
                    "{start} {len} {at}"
                );
                assert_eq!(
                    intervals.bytes_in_near(range, &mut near),
                    bytes(start, len),
                    "{start} {len} {at}"
                );
            }
        }
    }
}
