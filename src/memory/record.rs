//! How a structure becomes a record: which of its bytes are kept, and where.

use super::Missing;

/// Set in the status of a structure that could not be had; the reason is in the bits below.
const MISSING: u8 = 0x80;

/// Where a field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Offset in the structure, bytes.
    pub from: u64,
    /// Offset in the record, bytes.
    pub to: usize,
    /// Its size: 1, 2, 4 or 8.
    pub bytes: u64,
    /// Copied after all that is not, so it can lie between neighbours.
    pub late: bool,
}

/// A word that one of two fields of a structure goes to, by the value of a byte of the structure; zero where the one
/// chosen does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Offset of the byte in the structure.
    pub by: u64,
    /// The value with which `then` is taken.
    pub value: u8,
    /// Offset in the structure.
    pub then: Option<u64>,
    /// Offset in the structure.
    pub otherwise: Option<u64>,
    /// Offset in the record. The status may lie on the last byte: no address reaches it.
    pub to: usize,
}

/// How a structure becomes a record: its status in one byte, its fields elsewhere. Bytes between the fields are
/// anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordShape {
    size: usize,
    len: usize,
    status: usize,
    choice: Option<Chosen>,
    pieces: Vec<Piece>,
    /// Bytes that a piece lies on and that are to read as 0.
    zeros: Vec<usize>,
}

/// A [`Choice`] that has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    by: usize,
    value: u8,
    then: Option<usize>,
    otherwise: Option<usize>,
    to: usize,
}

/// Bytes that are copied in one go. Neighbours in the structure that are neighbours in the record are one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    from: usize,
    to: usize,
    bytes: usize,
    late: bool,
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
        (alike && bytes <= 32 && self.late == next.late).then_some(Piece { bytes, ..*self })
    }
}

impl RecordShape {
    /// The largest structure, bytes: far more than any of the runtime's that there are many of.
    const MOST_BYTES: u64 = 64 << 10;

    /// Records of `len` bytes, with their status at `status`, of structures of `size` bytes. `empty` are bytes of the
    /// record that read as 0. `None` where a field has no place, or a size that no integer has.
    pub fn new(size: u64, len: usize, status: usize, fields: &[Place], empty: &[usize]) -> Option<RecordShape> {
        if status >= len || !(1..=RecordShape::MOST_BYTES).contains(&size) {
            return None;
        }
        let mut shape = RecordShape {
            size: usize::try_from(size).ok()?,
            len,
            status,
            choice: None,
            pieces: Vec::new(),
            zeros: Vec::new(),
        };
        let mut pieces = Vec::new();
        for &Place { from, to, bytes, late } in fields {
            let piece = Piece {
                from: usize::try_from(from).ok()?,
                to,
                bytes: usize::try_from(bytes).ok()?,
                late,
            };
            if !matches!(bytes, 1 | 2 | 4 | 8) || !shape.fits(&piece) || piece.covers(status) {
                return None;
            }
            pieces.push(piece);
        }
        pieces.sort_unstable_by_key(|piece| (piece.late, piece.from));
        let fields = pieces.clone();
        let mut rest = pieces.as_slice();
        while let Some((first, _)) = rest.split_first() {
            let longest = (1..=rest.len()).rev().find_map(|count| {
                let (group, _) = rest.split_at_checked(count)?;
                Some((count, shape.joined(group, &fields)?))
            });
            let (count, piece) = longest.unwrap_or((1, *first));
            shape.pieces.push(piece);
            rest = rest.get(count..).unwrap_or_default();
        }
        let covered = |at: &&usize| shape.pieces.iter().any(|piece| piece.covers(**at));
        shape.zeros = empty.iter().filter(covered).copied().collect();
        Some(shape)
    }

    /// The same with a word of two meanings. `None` where it has no place; fields that lie on it win.
    pub fn choosing(self, choice: Choice) -> Option<RecordShape> {
        let place = |offset: u64, bytes: usize| {
            let offset = usize::try_from(offset).ok()?;
            (offset.checked_add(bytes)? <= self.size).then_some(offset)
        };
        let field = |offset: Option<u64>| match offset {
            Some(offset) => place(offset, 8).map(Some),
            None => Some(None),
        };
        let chosen = Chosen {
            by: place(choice.by, 1)?,
            value: choice.value,
            then: field(choice.then)?,
            otherwise: field(choice.otherwise)?,
            to: choice
                .to
                .checked_add(8)
                .filter(|end| *end <= self.len)
                .map(|_| choice.to)?,
        };
        (!(chosen.to..chosen.to + 7).contains(&self.status)).then_some(RecordShape {
            choice: Some(chosen),
            ..self
        })
    }

    /// All fields of a group as one piece that touches no other field, but for those that are copied after it.
    fn joined(&self, group: &[Piece], fields: &[Piece]) -> Option<Piece> {
        let (first, others) = group.split_first()?;
        let whole = others.iter().try_fold(*first, |piece, next| piece.with(next))?;
        let bytes = Piece::SIZES.into_iter().find(|size| *size >= whole.bytes)?;
        let piece = Piece { bytes, ..whole };
        let mut strangers = fields
            .iter()
            .filter(|field| !group.contains(field) && field.late <= piece.late);
        let alone = strangers.all(|field| !(field.to..field.to + field.bytes).any(|at| piece.covers(at)));
        // It may lie on the status, which comes last of all.
        (alone && self.fits(&piece)).then_some(piece)
    }

    fn fits(&self, piece: &Piece) -> bool {
        let ends = |at: usize| at.checked_add(piece.bytes);
        ends(piece.from).is_some_and(|end| end <= self.size) && ends(piece.to).is_some_and(|end| end <= self.len)
    }

    /// Bytes of a structure.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.len
    }

    /// Whether a record was made by pass `pass`, else why there is none.
    pub(super) fn whole(status_at: usize, record: &[u8], pass: u8) -> Result<&[u8], Missing> {
        match record.get(status_at) {
            Some(&status) if status == pass => Ok(record),
            Some(&status) if status & MISSING != 0 => Err(Missing::of_code(status & !MISSING)),
            // Its turn did not come.
            _ => Err(Missing::BudgetSpent),
        }
    }

    /// Where the status is.
    pub(super) fn status_at(&self) -> usize {
        self.status
    }

    /// Makes the records of structures that begin `stride` bytes one behind the other, as pass `pass` (1 or 2) found them.
    /// The status comes last: a writer that is killed leaves no half record behind that looks whole.
    pub fn fill(&self, structures: &[u8], stride: usize, records: &mut [u8], pass: u8) {
        let (stride, len) = (stride.max(1), self.len.max(1));
        let (before, last) = structures.split_at(structures.len() / stride * stride);
        let (records, rest) = records.split_at_mut((before.len() / stride * len).min(records.len()));
        let blocks = records.chunks_mut(len.saturating_mul(FILLED_TOGETHER));
        for (structures, records) in before.chunks(stride.saturating_mul(FILLED_TOGETHER)).zip(blocks) {
            let block = Block {
                structures,
                stride,
                records,
                len,
            };
            self.fill_block(block, pass);
        }
        if !last.is_empty() {
            // Behind it nothing need be.
            let block = Block {
                structures: last,
                stride: last.len(),
                records: rest.get_mut(..len).unwrap_or_default(),
                len,
            };
            self.fill_block(block, pass);
        }
    }

    /// Field by field, not structure by structure: what is to be done is looked up once for all of them.
    fn fill_block(&self, mut block: Block<'_>, pass: u8) {
        if let Some(choice) = &self.choice {
            for (structure, record) in block.pairs() {
                let chosen = match structure.get(choice.by) == Some(&choice.value) {
                    true => choice.then,
                    false => choice.otherwise,
                };
                match chosen {
                    Some(from) => copy::<8>(from, choice.to, structure, record),
                    None => put(record, choice.to, [0; 8]),
                }
            }
        }
        for piece in &self.pieces {
            match piece.bytes {
                1 => block.copy::<1>(piece),
                2 => block.copy::<2>(piece),
                4 => block.copy::<4>(piece),
                8 => block.copy::<8>(piece),
                16 => block.copy::<16>(piece),
                24 => block.copy::<24>(piece),
                _ => block.copy::<32>(piece),
            }
        }
        for at in &self.zeros {
            block.pairs().for_each(|(_, record)| put(record, *at, [0]));
        }
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::Release);
        block.pairs().for_each(|(_, record)| put(record, self.status, [pass]));
    }

    /// Notes why there is no record of a structure.
    pub fn miss(&self, why: Missing, record: &mut [u8]) {
        put(record, self.status, [MISSING | why.code()]);
    }
}

impl RecordShape {
    /// How many words of eight bytes differ between the record that pass 1 made and that of pass 2; `None` where one of
    /// them did not come.
    pub(crate) fn differing(&self, first: &[u8], second: &[u8]) -> Option<u64> {
        if first.get(self.status) != Some(&1) || second.get(self.status) != Some(&2) {
            return None;
        }
        let words = first.chunks(8).zip(second.chunks(8)).enumerate();
        let differ = |(index, (old, new)): &(usize, (&[u8], &[u8]))| match self.status / 8 == *index {
            true => (0..8).any(|at| at != self.status % 8 && old.get(at) != new.get(at)),
            false => old != new,
        };
        Some(words.filter(differ).count() as u64)
    }
}

/// Structures whose fields are copied before the next field's turn comes: few enough to stay in the nearest cache.
const FILLED_TOGETHER: usize = 64;

/// Some structures, and the places for their records.
struct Block<'a> {
    structures: &'a [u8],
    /// From one structure to the next, bytes: all are as long.
    stride: usize,
    records: &'a mut [u8],
    len: usize,
}

impl Block<'_> {
    fn pairs(&mut self) -> impl Iterator<Item = (&[u8], &mut [u8])> {
        let structures = self.structures.chunks_exact(self.stride);
        structures.zip(self.records.chunks_exact_mut(self.len))
    }

    fn copy<const N: usize>(&mut self, piece: &Piece) {
        for (structure, record) in self.pairs() {
            copy::<N>(piece.from, piece.to, structure, record);
        }
    }
}

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

    fn place((from, to, bytes): (u64, usize, u64)) -> Place {
        let late = false;
        Place { from, to, bytes, late }
    }

    fn places(fields: &[(u64, usize, u64)]) -> Vec<Place> {
        fields.iter().copied().map(place).collect()
    }

    fn shape() -> RecordShape {
        let fields = places(&[(8, 16, 8), (4, 24, 4), (2, 28, 2), (1, 30, 1)]);
        RecordShape::new(32, 32, 0, &fields, &[]).unwrap()
    }

    #[test]
    fn fields_go_to_their_places() {
        let structure: Vec<u8> = (0..32).collect();
        let mut record = vec![0u8; 32];
        shape().fill(&structure, 32, &mut record, 2);
        assert_eq!(record[0], 2);
        assert_eq!(record[16..31], [8, 9, 10, 11, 12, 13, 14, 15, 4, 5, 6, 7, 2, 3, 1]);
    }

    #[test]
    fn fields_without_a_place_are_refused() {
        for field in [
            (32, 16, 1),
            (25, 16, 8),
            (0, 0, 1),
            (0, 31, 2),
            (0, 16, 3),
            (u64::MAX, 16, 8),
            (0, usize::MAX, 8),
        ] {
            assert_eq!(RecordShape::new(32, 32, 0, &[place(field)], &[]), None, "{field:?}");
        }
        assert_eq!(RecordShape::new(32, 32, 32, &[], &[]), None);
        assert_eq!(RecordShape::new(0, 32, 0, &[], &[]), None);
        let choice = |by, then, otherwise, to| Choice {
            by,
            value: 1,
            then,
            otherwise,
            to,
        };
        for choice in [
            choice(32, None, None, 8),
            choice(0, Some(25), None, 8),
            choice(0, None, Some(u64::MAX), 8),
            choice(0, None, None, 25),
            choice(0, None, None, 0),
        ] {
            assert_eq!(shape().choosing(choice), None, "{choice:?}");
        }
    }

    #[test]
    fn neighbours_are_copied_together_and_nothing_else_is_touched() {
        let structure: Vec<u8> = (0..64).collect();
        let pieces = |fields: &[Place]| {
            let shape = RecordShape::new(64, 64, 0, fields, &[21]).unwrap();
            let mut record = vec![0xee; 64];
            shape.fill(&structure, 64, &mut record, 1);
            assert!(record[0] == 1 && matches!(record[21], 0 | 0xee));
            for place in fields {
                let bytes = place.bytes as usize;
                let copied = &record[place.to..place.to + bytes];
                assert_eq!(copied, &structure[place.from as usize..][..bytes], "{fields:?}");
            }
            shape.pieces.len()
        };
        let shape = |fields: &[(u64, usize, u64)]| pieces(&places(fields));
        assert_eq!(shape(&[(8, 24, 8), (16, 32, 4), (22, 38, 2)]), 1);
        assert_eq!(shape(&[(16, 32, 8), (8, 24, 8), (24, 60, 4)]), 2);
        // What lies between two neighbours belongs to a third.
        assert_eq!(shape(&[(8, 24, 4), (16, 32, 8), (40, 28, 4)]), 3);
        // Unless that one comes after them.
        let mut late = places(&[(8, 24, 4), (16, 32, 8), (40, 28, 4)]);
        late[2].late = true;
        assert_eq!(pieces(&late), 2);
        // What lies between them reads as 0.
        assert_eq!(shape(&[(2, 18, 2), (8, 24, 8)]), 1);
        // Rounded up, it would reach beyond the end.
        assert_eq!(shape(&[(55, 55, 8), (63, 63, 1)]), 2);
        assert_eq!(
            shape(&[(8, 24, 8), (16, 32, 8), (24, 40, 8), (32, 48, 8), (40, 56, 8)]),
            2
        );
        // The status lies between two.
        let shape = RecordShape::new(64, 64, 28, &places(&[(8, 24, 4), (16, 32, 8)]), &[]).unwrap();
        let mut record = vec![0; 64];
        shape.fill(&structure, 64, &mut record, 9);
        assert_eq!((shape.pieces.len(), record[28], record[24], record[32]), (1, 9, 8, 16));
    }

    #[test]
    fn one_of_two_fields_is_chosen() {
        let mut structure: Vec<u8> = (0..32).collect();
        let choice = Choice {
            by: 3,
            value: 3,
            then: Some(8),
            otherwise: Some(16),
            to: 0,
        };
        let shape = |choice| {
            let fields = [place((31, 8, 1))];
            RecordShape::new(32, 16, 7, &fields, &[]).unwrap().choosing(choice)
        };
        let mut record = vec![0xee; 16];
        let one = shape(choice).unwrap();
        one.fill(&structure, 32, &mut record, 2);
        assert_eq!(record[..9], [8, 9, 10, 11, 12, 13, 14, 2, 31]);
        structure[3] = 0;
        one.fill(&structure, 32, &mut record, 2);
        assert_eq!(record[..9], [16, 17, 18, 19, 20, 21, 22, 2, 31]);
        let none = Choice {
            otherwise: None,
            ..choice
        };
        shape(none).unwrap().fill(&structure, 32, &mut record, 2);
        assert_eq!(record[..9], [0, 0, 0, 0, 0, 0, 0, 2, 31]);
    }

    #[test]
    fn structures_in_a_row_become_records_in_a_row() {
        let count = 3 * FILLED_TOGETHER + 5;
        let structures: Vec<u8> = (0..count * 40).map(|at| (at % 251) as u8).collect();
        let mut records = vec![0; count * 32];
        // Behind the last one nothing need be.
        shape().fill(&structures[..count * 40 - 8], 40, &mut records, 1);
        for (structure, record) in structures.chunks(40).zip(records.chunks(32)) {
            let mut one = vec![0; 32];
            shape().fill(&structure[..32], 32, &mut one, 1);
            assert_eq!(record, one);
        }
        // One place too few, one structure too few.
        shape().fill(&structures, 40, &mut records[..32], 2);
        shape().fill(&structures[..32], 40, &mut records[32..], 2);
        assert!(records.iter().step_by(32).take(3).eq(&[2, 2, 1]));
    }
}
