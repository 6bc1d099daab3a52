//! The same few fields of very many structures: of each only a short record is kept, in the order of the array that
//! points to them. Copying whole structures would cost most of a scan's memory, and most of its time, for bytes that
//! nobody looks at.

use std::sync::Arc;

use super::{Addr, Memory, Missing};

/// A wish for some fields of every structure that an array of pointers leads to.
#[derive(Clone, Debug)]
pub struct Gather {
    /// The runtime structure, for messages.
    pub what: &'static str,
    /// The array of pointers; its bytes are among those captured.
    pub pointers: Addr,
    /// How many pointers.
    pub count: u64,
    /// Which fields, and where they go.
    pub shape: RecordShape,
}

/// How a structure becomes a record: a status byte at 0, the structure's address (8 bytes) at 8, its fields elsewhere.
/// Bytes between the fields are anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordShape {
    size: usize,
    len: usize,
    pieces: Vec<Piece>,
}

/// Bytes that are copied in one go. Neighbours in the structure that are neighbours in the record are one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    from: usize,
    to: usize,
    bytes: usize,
}

impl Piece {
    /// The sizes that are copied without a loop.
    const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 24, 32];

    fn covers(&self, at: usize) -> bool {
        (self.to..self.to + self.bytes).contains(&at)
    }

    /// Both as one, where they lie in the structure as they do in the record.
    fn with(&self, next: &Piece) -> Option<Piece> {
        let bytes = next.from.checked_sub(self.from)?.checked_add(next.bytes)?;
        let alike = next.to.checked_sub(self.to) == next.from.checked_sub(self.from);
        let bytes = bytes.max(self.bytes);
        (alike && bytes <= 32).then_some(Piece { bytes, ..*self })
    }
}

impl RecordShape {
    /// The largest structure, bytes: far more than any of the runtime's that there are many of.
    const MOST_BYTES: u64 = 64 << 10;
    const STATUS: usize = 0;
    /// Where the address of the structure is.
    pub(crate) const ADDRESS: usize = 8;

    /// Records of `len` bytes of structures of `size` bytes; each field is its offset in the structure, its offset in
    /// the record, and its size in bytes. `empty` are bytes of the record that stay 0. `None` where a field has no
    /// place, or a size that no integer has.
    pub fn new(size: u64, len: usize, fields: &[(u64, usize, u64)], empty: &[usize]) -> Option<RecordShape> {
        if len < RecordShape::ADDRESS + 8 || !(1..=RecordShape::MOST_BYTES).contains(&size) {
            return None;
        }
        let mut shape = RecordShape {
            size: usize::try_from(size).ok()?,
            len,
            pieces: Vec::new(),
        };
        let mut pieces = Vec::new();
        for &(from, to, bytes) in fields {
            let piece = Piece {
                from: usize::try_from(from).ok()?,
                to,
                bytes: usize::try_from(bytes).ok()?,
            };
            if !matches!(bytes, 1 | 2 | 4 | 8) || !shape.has_room_for(&piece) {
                return None;
            }
            pieces.push(piece);
        }
        pieces.sort_unstable_by_key(|piece| piece.from);
        let fields = pieces.clone();
        let mut rest = pieces.as_slice();
        while let Some((first, _)) = rest.split_first() {
            let longest = (1..=rest.len()).rev().find_map(|count| {
                let (group, _) = rest.split_at_checked(count)?;
                Some((count, shape.joined(group, &fields, empty)?))
            });
            let (count, piece) = longest.unwrap_or((1, *first));
            shape.pieces.push(piece);
            rest = rest.get(count..).unwrap_or_default();
        }
        Some(shape)
    }

    fn has_room_for(&self, piece: &Piece) -> bool {
        let ends = |at: usize| at.checked_add(piece.bytes);
        ends(piece.from).is_some_and(|end| end <= self.size)
            && ends(piece.to).is_some_and(|end| end <= self.len)
            && !piece.covers(RecordShape::STATUS)
            && !(RecordShape::ADDRESS..RecordShape::ADDRESS + 8).any(|at| piece.covers(at))
    }

    /// All fields of a group as one piece that touches no other field.
    fn joined(&self, group: &[Piece], fields: &[Piece], empty: &[usize]) -> Option<Piece> {
        let (first, others) = group.split_first()?;
        let whole = others.iter().try_fold(*first, |piece, next| piece.with(next))?;
        let bytes = Piece::SIZES.into_iter().find(|size| *size >= whole.bytes)?;
        let piece = Piece { bytes, ..whole };
        let mut strangers = fields.iter().filter(|field| !group.contains(field));
        let alone = strangers.all(|field| !(field.to..field.to + field.bytes).any(|at| piece.covers(at)));
        let stays = empty.iter().any(|at| piece.covers(*at));
        (alone && !stays && self.has_room_for(&piece)).then_some(piece)
    }

    /// Bytes of a structure.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.len
    }

    /// Makes the record of the structure at `addr`, as pass `pass` (1 or 2) found it. The status comes last: a writer
    /// that is killed leaves no half record behind that looks whole.
    pub fn fill(&self, addr: u64, structure: &[u8], record: &mut [u8], pass: u8) {
        for &Piece { from, to, bytes } in &self.pieces {
            match bytes {
                1 => copy::<1>(from, to, structure, record),
                2 => copy::<2>(from, to, structure, record),
                4 => copy::<4>(from, to, structure, record),
                8 => copy::<8>(from, to, structure, record),
                16 => copy::<16>(from, to, structure, record),
                24 => copy::<24>(from, to, structure, record),
                _ => copy::<32>(from, to, structure, record),
            }
        }
        put(record, RecordShape::ADDRESS, addr.to_le_bytes());
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::Release);
        put(record, RecordShape::STATUS, [pass]);
    }

    /// Notes why there is no record of the structure at `addr`.
    pub fn miss(addr: u64, why: Missing, record: &mut [u8]) {
        put(record, RecordShape::ADDRESS, addr.to_le_bytes());
        put(record, RecordShape::STATUS, [MISSING | why.code()]);
    }
}

/// Set in the status of a structure that could not be had; the reason is in the bits below.
const MISSING: u8 = 0x80;

#[inline]
fn copy<const N: usize>(from: usize, to: usize, structure: &[u8], record: &mut [u8]) {
    let from = structure.get(from..).and_then(|rest| rest.first_chunk::<N>());
    let to = record.get_mut(to..).and_then(|rest| rest.first_chunk_mut::<N>());
    if let (Some(from), Some(to)) = (from, to) {
        *to = *from;
    }
}

fn put<const N: usize>(record: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = record.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = bytes;
    }
}

/// Bytes that stay where they are for as long as somebody looks at them.
pub trait Records: Send + Sync + std::fmt::Debug {
    /// All records, one behind the other.
    fn bytes(&self) -> &[u8];
}

impl Records for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// Records, in the order of the pointers.
#[derive(Clone, Debug)]
pub struct Gathered {
    records: Arc<dyn Records>,
    len: usize,
    pass: u8,
}

impl Gathered {
    /// Records of `len` bytes, of which those made by pass `pass` count.
    pub fn new(records: Arc<dyn Records>, len: usize, pass: u8) -> Gathered {
        Gathered {
            records,
            len: len.max(1),
            pass,
        }
    }

    /// The records of `gather`, from memory that holds the structures as a whole.
    pub fn from_structures(memory: &dyn Memory, gather: &Gather, pointers: impl Iterator<Item = u64>) -> Gathered {
        let len = gather.shape.record_bytes();
        let mut records = Vec::new();
        for pointer in pointers {
            let at = records.len();
            records.resize(at + len, 0);
            let record = records.get_mut(at..).unwrap_or_default();
            match memory.bytes(Addr(pointer), gather.shape.size()) {
                Ok(structure) => gather.shape.fill(pointer, structure, record, 1),
                Err(error) => RecordShape::miss(pointer, error.why, record),
            }
        }
        Gathered::new(Arc::new(records), len, 1)
    }

    /// How many records there are, missing ones included.
    pub fn count(&self) -> usize {
        self.records.bytes().len() / self.len
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.len
    }

    /// All of them in turn: each record's bytes, or why there is none.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<&[u8], Missing>> {
        self.records
            .bytes()
            .chunks_exact(self.len)
            .map(|record| self.whole(record))
    }

    /// Some of them in turn, as [`iter`](Gathered::iter).
    pub fn range(&self, records: std::ops::Range<usize>) -> impl ExactSizeIterator<Item = Result<&[u8], Missing>> {
        let bytes = records.start.saturating_mul(self.len)..records.end.saturating_mul(self.len);
        let part = self.records.bytes().get(bytes).unwrap_or_default();
        part.chunks_exact(self.len).map(|record| self.whole(record))
    }

    /// Record `index`.
    pub fn record(&self, index: usize) -> Result<&[u8], Missing> {
        let start = index.saturating_mul(self.len);
        let record = self.records.bytes().get(start..start.saturating_add(self.len));
        record.map_or(Err(Missing::NotCaptured), |record| self.whole(record))
    }

    fn whole<'r>(&self, record: &'r [u8]) -> Result<&'r [u8], Missing> {
        match record.first() {
            Some(&status) if status == self.pass => Ok(record),
            Some(&status) if status & MISSING != 0 => Err(Missing::of_code(status & !MISSING)),
            // Its turn did not come.
            _ => Err(Missing::BudgetSpent),
        }
    }

    /// Address of the structure that a record is of.
    pub fn address(record: &[u8]) -> Addr {
        let bytes = record
            .get(RecordShape::ADDRESS..)
            .and_then(|rest| rest.first_chunk::<8>());
        Addr(bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }
}

impl Missing {
    /// A number for it, below 8.
    pub(crate) fn code(self) -> u8 {
        match self {
            Missing::NotCaptured => 0,
            Missing::NotMapped => 1,
            Missing::NotPresent => 2,
            Missing::Swapped => 3,
            Missing::Unreadable => 4,
            Missing::BudgetSpent => 5,
        }
    }

    /// What a number stands for.
    pub(crate) fn of_code(code: u8) -> Missing {
        match code {
            1 => Missing::NotMapped,
            2 => Missing::NotPresent,
            3 => Missing::Swapped,
            4 => Missing::Unreadable,
            5 => Missing::BudgetSpent,
            _ => Missing::NotCaptured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> RecordShape {
        RecordShape::new(32, 32, &[(8, 16, 8), (4, 24, 4), (2, 28, 2), (1, 30, 1)], &[]).unwrap()
    }

    #[test]
    fn fields_go_to_their_places() {
        let structure: Vec<u8> = (0..32).collect();
        let mut record = vec![0u8; 32];
        shape().fill(0x1234, &structure, &mut record, 2);
        assert_eq!(record[0], 2);
        assert_eq!(Gathered::address(&record), Addr(0x1234));
        assert_eq!(record[16..31], [8, 9, 10, 11, 12, 13, 14, 15, 4, 5, 6, 7, 2, 3, 1]);
    }

    #[test]
    fn fields_without_a_place_are_refused() {
        for field in [
            (32, 16, 1),
            (25, 16, 8),
            (0, 15, 1),
            (0, 0, 1),
            (0, 7, 2),
            (0, 31, 2),
            (0, 16, 3),
            (u64::MAX, 16, 8),
        ] {
            assert_eq!(RecordShape::new(32, 32, &[field], &[]), None, "{field:?}");
        }
    }

    #[test]
    fn neighbours_are_copied_together_and_nothing_else_is_touched() {
        let structure: Vec<u8> = (0..64).collect();
        let shape = |fields: &[(u64, usize, u64)]| {
            let shape = RecordShape::new(64, 64, fields, &[21]).unwrap();
            let mut record = vec![0xee; 64];
            shape.fill(0, &structure, &mut record, 1);
            for &(from, to, bytes) in fields {
                let bytes = bytes as usize;
                assert_eq!(
                    record[to..to + bytes],
                    structure[from as usize..][..bytes],
                    "{fields:?}"
                );
            }
            shape.pieces.len()
        };
        assert_eq!(shape(&[(8, 24, 8), (16, 32, 4), (22, 38, 2)]), 1);
        assert_eq!(shape(&[(16, 32, 8), (8, 24, 8), (24, 60, 4)]), 2);
        // What lies between two neighbours belongs to a third.
        assert_eq!(shape(&[(8, 24, 4), (16, 32, 8), (40, 28, 4)]), 3);
        // What lies between them stays empty.
        assert_eq!(shape(&[(2, 18, 2), (8, 24, 8)]), 2);
        // Rounded up, it would reach beyond the end.
        assert_eq!(shape(&[(55, 55, 8), (63, 63, 1)]), 2);
        assert_eq!(
            shape(&[(8, 24, 8), (16, 32, 8), (24, 40, 8), (32, 48, 8), (40, 56, 8)]),
            2
        );
    }

    #[test]
    fn a_record_counts_only_when_its_pass_does() {
        let mut records = vec![0u8; 4 * 32];
        shape().fill(8, &[7; 32], &mut records[..32], 2);
        shape().fill(8, &[7; 32], &mut records[32..64], 1);
        RecordShape::miss(8, Missing::Swapped, &mut records[64..96]);
        let gathered = Gathered::new(Arc::new(records), 32, 2);
        let found: Vec<_> = gathered.iter().map(|record| record.err()).collect();
        assert_eq!(
            found,
            [
                None,
                Some(Missing::BudgetSpent),
                Some(Missing::Swapped),
                Some(Missing::BudgetSpent)
            ]
        );
        assert_eq!(gathered.record(0).map(<[u8]>::len), Ok(32));
        assert_eq!(gathered.record(4), Err(Missing::NotCaptured));
        assert_eq!(gathered.range(2..9).count(), 0);
    }
}
