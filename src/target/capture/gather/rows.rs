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

/// Structures in the order of their records, as rows: first `known` ones, each with the number of its record, then those
/// that `named` points to, whose records are numbered from `first` on.
pub(super) fn rows(known: &[(usize, u64)], first: usize, named: &[[u8; 8]], size: u64) -> Vec<Row> {
    let mut rows = Making::new(size);
    known.iter().for_each(|&(record, addr)| rows.add(record, addr));
    let (mut record, mut rest) = (first, named);
    while let Some((word, behind)) = rest.split_first() {
        rows.add(record, u64::from_le_bytes(*word));
        let more = rows.add_more(record + 1, behind);
        record += 1 + more;
        rest = behind.get(more..).unwrap_or_default();
    }
    rows.made()
}

/// How many of the first words are each `stride` more than the one before, and the first `addr`.
pub(super) fn in_a_row(words: &[[u8; 8]], addr: u64, stride: u64) -> usize {
    // None of them is beyond the end of memory.
    let most = usize::try_from((u64::MAX - addr) / stride.max(1)).unwrap_or(usize::MAX);
    let words = words.get(..most).unwrap_or(words);
    let mut next = addr;
    let strays = |word: &[u8; 8]| {
        let strays = u64::from_le_bytes(*word) != next;
        next = next.wrapping_add(stride);
        strays
    };
    words.iter().position(strays).unwrap_or(words.len())
}

/// Rows in the making.
struct Making {
    rows: Vec<Row>,
    size: u64,
    /// The one that may go on; none while its count is 0.
    row: Row,
    /// Where its next structure is, if there is one: record and address.
    next: (usize, Option<u64>),
}

impl Making {
    fn new(size: u64) -> Making {
        let row = Row {
            record: 0,
            addr: 0,
            stride: size,
            count: 0,
        };
        Making {
            rows: Vec::new(),
            size,
            row,
            next: (0, None),
        }
    }

    fn add(&mut self, record: usize, addr: u64) {
        let goes_on = match self.row.count {
            0 => false,
            1 => {
                let stride = addr.wrapping_sub(self.row.addr);
                let near = (self.size..=self.size + PIECE_GAP).contains(&stride);
                if near && record == self.next.0 {
                    self.row.stride = stride;
                }
                near && record == self.next.0
            }
            _ => (record, Some(addr)) == self.next,
        };
        if !goes_on {
            self.end_row();
            self.row = Row {
                record,
                addr,
                stride: self.size,
                count: 0,
            };
        }
        self.row.count += 1;
        self.next = (record + 1, addr.checked_add(self.row.stride));
    }

    /// Adds those of the first structures that make the row at hand longer, the first of them being `record`; how many
    /// they are.
    fn add_more(&mut self, record: usize, named: &[[u8; 8]]) -> usize {
        let (at, Some(addr)) = self.next else { return 0 };
        if self.row.count < 2 || at != record {
            return 0;
        }
        let more = in_a_row(named, addr, self.row.stride);
        self.row.count += more;
        let end = self.row.stride.checked_mul(more as u64);
        self.next = (record + more, end.and_then(|end| addr.checked_add(end)));
        more
    }

    fn end_row(&mut self) {
        if self.row.count > 0 {
            self.rows.push(self.row);
        }
    }

    fn made(mut self) -> Vec<Row> {
        self.end_row();
        self.rows
    }
}
