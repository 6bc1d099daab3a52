//! Where the structures of spans lie: in rows, each structure behind the one before (runtime/mfixalloc.go), in the
//! order of their indices.

use crate::memory::{Addr, Range};

/// Structures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    start: u64,
    end: u64,
    /// Index of the first.
    first: usize,
}

/// The rows of all structures that are here.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// All but the last.
    by_index: Vec<Row>,
    /// The last one, while it may still become longer; empty where there is none.
    last: Row,
    /// The same by address, where that is another order.
    by_addr: Option<Vec<Row>>,
    /// Bytes of a structure.
    size: u64,
    /// 2^64 by these, rounded up: multiplied with it, a distance is divided in a fraction of the time. 0 where that cannot
    /// be.
    reciprocal: u64,
    /// The index of a structure that would make the last row longer.
    next: usize,
}

impl Rows {
    /// No rows yet, of structures of `size` bytes.
    pub(super) fn new(size: u64) -> Rows {
        let size = size.max(1);
        Rows {
            size,
            reciprocal: match u32::try_from(size) {
                Ok(2..) => u64::MAX / size + 1,
                _ => 0,
            },
            ..Rows::default()
        }
    }

    /// Notes where a structure is; indices come in ascending order. Those that are not here need no place: a list can
    /// name any number of them.
    #[inline]
    pub(super) fn add(&mut self, addr: u64, index: usize) {
        let end = addr.saturating_add(self.size);
        if self.last.end != addr || self.next != index {
            self.end_row();
            (self.last.start, self.last.first) = (addr, index);
        }
        self.last.end = end;
        self.next = index.saturating_add(1);
    }

    #[cold]
    fn end_row(&mut self) {
        let last = std::mem::take(&mut self.last);
        self.by_index.extend((last.start < last.end).then_some(last));
    }

    /// Notes the rows of another one, with higher indices.
    pub(super) fn join(&mut self, mut next: Rows) {
        self.end_row();
        next.end_row();
        self.by_index.extend(next.by_index);
    }

    /// Makes them ready to be searched. What a target claims twice is found once.
    pub(super) fn finish(&mut self) {
        self.end_row();
        if !self.by_index.is_sorted_by_key(|row| row.start) {
            let mut rows = self.by_index.clone();
            rows.sort_by_key(|row| row.start);
            self.by_addr = Some(rows);
        }
    }

    /// The range of each row.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range> {
        let range = |row: &Row| Range::new(Addr(row.start), row.end - row.start);
        self.by_index.iter().map(range)
    }

    /// The address of the structure of this index, if it is here.
    pub(super) fn addr_of(&self, index: usize) -> Option<Addr> {
        let at = self.by_index.partition_point(|row| row.first <= index).checked_sub(1)?;
        let row = self.by_index.get(at)?;
        let distance = ((index - row.first) as u64).checked_mul(self.size)?;
        let addr = row.start.checked_add(distance)?;
        (addr < row.end).then_some(Addr(addr))
    }

    /// The index of the structure at `addr`; `last` is the row of the one before.
    #[inline]
    pub(super) fn index_of(&self, addr: Addr, last: &mut usize) -> Option<usize> {
        let rows = self.by_addr.as_ref().unwrap_or(&self.by_index);
        let holds = |at: usize| rows.get(at).filter(|row| (row.start..row.end).contains(&addr.0));
        let row = match holds(*last) {
            Some(row) => row,
            None => {
                *last = rows.partition_point(|row| row.start <= addr.0).checked_sub(1)?;
                holds(*last)?
            }
        };
        let distance = addr.0 - row.start;
        let count = self.divided(distance);
        (count * self.size == distance).then_some(row.first + count as usize)
    }

    /// How many whole structures there are in so many bytes.
    #[inline]
    fn divided(&self, bytes: u64) -> u64 {
        // What the reciprocal is too large by makes, of so few bytes, less than a structure's share of one.
        match self.reciprocal {
            0 => bytes / self.size,
            _ if bytes > u64::from(u32::MAX) => bytes / self.size,
            reciprocal => ((u128::from(bytes) * u128::from(reciprocal)) >> 64) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of structures of 160 bytes.
    fn rows(structures: &[(u64, usize)]) -> Rows {
        let mut rows = Rows::new(160);
        structures.iter().for_each(|(addr, index)| rows.add(*addr, *index));
        rows.finish();
        rows
    }

    #[test]
    fn structures_are_found_by_index_and_by_address() {
        let of = |count: usize, start: u64, first: usize| (0..count).map(move |n| (start + n as u64 * 160, first + n));
        let ascending: Vec<_> = of(102, 0x10000, 0).chain(of(50, 0x20000, 102)).collect();
        let mixed: Vec<_> = of(3, 0x90000, 2)
            .chain(of(7, 0x20000, 9))
            .chain(of(1, 0x50, 40))
            .collect();
        for (structures, in_order) in [(ascending, true), (mixed, false)] {
            let rows = rows(&structures);
            assert_eq!(rows.by_addr.is_none(), in_order);
            let mut last = 0;
            for &(addr, index) in &structures {
                assert_eq!(rows.addr_of(index), Some(Addr(addr)));
                assert_eq!(rows.index_of(Addr(addr), &mut last), Some(index));
                assert_eq!(rows.index_of(Addr(addr + 8), &mut last), None);
            }
            for index in (0..200).filter(|index| !structures.iter().any(|(_, at)| at == index)) {
                assert_eq!(rows.addr_of(index), None, "{index}");
            }
        }
    }

    #[test]
    fn multiplied_with_the_reciprocal_is_divided() {
        for size in [
            1,
            2,
            3,
            7,
            64,
            144,
            160,
            4095,
            65_535,
            65_536,
            (1 << 32) - 1,
            1 << 32,
            u64::MAX,
        ] {
            let rows = Rows::new(size);
            let most = u64::from(u32::MAX);
            let edges = [0, 1, 2, 99, 1000, most / size, most / size + 1].map(|count| count.saturating_mul(size));
            for bytes in edges.into_iter().chain([most, most + 1, u64::MAX - 1]) {
                for bytes in [bytes.saturating_sub(1), bytes, bytes.saturating_add(1)] {
                    assert_eq!(rows.divided(bytes), bytes / size, "{bytes} by {size}");
                }
            }
        }
    }

    #[test]
    fn a_structure_left_out_ends_a_row() {
        let rows = rows(&[(0x1000, 0), (0x1000 + 320, 2), (0x1000 + 480, 4)]);
        assert_eq!(rows.addr_of(1), None);
        assert_eq!(rows.addr_of(3), None);
        assert_eq!(rows.addr_of(4), Some(Addr(0x1000 + 480)));
        assert_eq!(rows.index_of(Addr(0x1000 + 160), &mut 0), None);
    }

    #[test]
    fn the_end_of_memory_is_no_place() {
        let rows = rows(&[(u64::MAX - 10, 0), (u64::MAX, 1)]);
        assert_eq!(rows.addr_of(0), Some(Addr(u64::MAX - 10)));
        assert_eq!(rows.addr_of(5), None);
        assert_eq!(rows.index_of(Addr(3), &mut 0), None);
    }
}
