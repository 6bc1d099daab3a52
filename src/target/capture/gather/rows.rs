//! Structures in rows: an array of pointers to very many of them mostly leads from one to its neighbour.

/// Structures no further apart than this are read in one piece, with what lies between them.
pub(super) const PIECE_GAP: u64 = 512;

/// Structures in a row, each as far behind the one before as the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The record of the first.
    pub(super) record: usize,
    /// Where the first is.
    pub(super) addr: u64,
    pub(super) stride: u64,
    pub(super) count: usize,
}

impl Row {
    /// First address behind the last structure.
    pub(super) fn end(&self, size: u64) -> Option<u64> {
        let last = self.stride.checked_mul(self.count.checked_sub(1)? as u64)?;
        self.addr.checked_add(last)?.checked_add(size)
    }

    /// The same without its first structures.
    pub(super) fn behind(&self, count: usize) -> Row {
        let count = count.min(self.count);
        Row {
            record: self.record + count,
            addr: self.addr.wrapping_add(self.stride.wrapping_mul(count as u64)),
            stride: self.stride,
            count: self.count - count,
        }
    }
}

/// Structures, each with the number of its record, as rows.
pub(super) fn rows(wanted: impl Iterator<Item = (usize, u64)>, size: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut row = Row {
        record: 0,
        addr: 0,
        stride: size,
        count: 0,
    };
    // Where the next one is, if the row goes on.
    let mut next = (0, Some(0));
    wanted.for_each(|(record, addr)| {
        let goes_on = match row.count {
            0 => false,
            1 => {
                row.stride = addr.wrapping_sub(row.addr);
                record == next.0 && (size..=size + PIECE_GAP).contains(&row.stride)
            }
            _ => (record, Some(addr)) == next,
        };
        if !goes_on {
            if row.count > 0 {
                let stride = if row.count == 1 { size } else { row.stride };
                rows.push(Row { stride, ..row });
            }
            row = Row {
                record,
                addr,
                stride: size,
                count: 0,
            };
        }
        row.count += 1;
        next = (record + 1, addr.checked_add(row.stride));
    });
    if row.count > 0 {
        rows.push(row);
    }
    rows
}
