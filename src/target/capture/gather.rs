//! Gathering: of very many structures only some fields are kept. Which structures, in which calls, is settled before
//! the stop; in it a call reads whole stretches into a buffer of its own and picks the fields out, so that the memory
//! written is that of the records, not of the structures.

mod presence;
mod rows;

use std::io::IoSliceMut;

use self::presence::{LookUp, Presence};
use self::rows::{PIECE_GAP, Row, in_a_row, rows};
use super::reader::{ReadError, Readable};
use super::runs::{MAX_CALL_BYTES, MAX_IOVECS};
use super::store::Store;
use crate::memory::{Addr, Gather, Memory, Missing, Range, RecordShape};

/// Structures per call: the last one is not to take longer than what is set aside for it.
const MAX_STRUCTURES: usize = 2048;
/// After so many unreadable stretches of one call the rest of it is given up.
const MAX_FAULTS: usize = 64;
/// Structures whose place in the array is looked up while the target stands still.
const MOST_COMPARED: usize = 16 << 10;

/// As [`RangeReader::read`](super::reader::RangeReader::read).
pub(crate) type Read<'a> = dyn FnMut(&[Range], &mut [IoSliceMut<'_>]) -> Result<usize, ReadError> + 'a;

/// Has the place of a record filled.
pub(crate) type Fill<'a> = dyn FnMut(usize, &mut dyn FnMut(&mut [u8])) + 'a;

/// One call's worth of structures.
#[derive(Clone, Debug, Default)]
pub(crate) struct GatherCall {
    /// The record of its first structure.
    pub first: usize,
    records: usize,
    /// Where they are, and where each row begins in the buffer.
    rows: Vec<(Row, usize)>,
    /// What to read, one stretch behind the other in the buffer.
    from: Vec<Range>,
    bytes: u64,
}

/// A structure that lies partly or wholly on pages that nobody has written: zeros.
#[derive(Debug)]
struct Patched {
    record: usize,
    addr: u64,
    /// The parts of it that are there.
    parts: Vec<Range>,
}

/// What is to be gathered, and how.
#[derive(Debug)]
pub(crate) struct GatherPlan {
    /// Which of the capture's lists the records are for.
    pub list: usize,
    /// The shape of the records.
    pub shape: RecordShape,
    /// How many structures it covers.
    pub count: usize,
    /// The calls, in the order of the records.
    pub calls: Vec<GatherCall>,
    patched: Vec<Patched>,
    /// Structures that are not there: record, address, reason.
    pub absent: Vec<(usize, u64, Missing)>,
}

/// Bytes of a buffer that holds what any of these calls reads.
pub(crate) fn scratch_bytes<'a>(calls: impl Iterator<Item = &'a GatherCall>) -> usize {
    calls.map(|call| call.bytes as usize).max().unwrap_or(0)
}

/// A buffer of so many bytes, its memory already in place.
pub(crate) fn scratch(bytes: usize) -> Vec<u8> {
    // Zeroes would be memory only once they are read.
    vec![0xff; bytes]
}

impl GatherPlan {
    /// A plan for `known` structures, each with the number of its record, and for those that `named` points to, whose
    /// records are numbered from `first` on.
    pub(crate) fn new(
        gather: &Gather,
        known: &[(usize, u64)],
        (first, named): (usize, &[[u8; 8]]),
        readable: &[Readable],
        look_up: &mut LookUp<'_>,
    ) -> Result<GatherPlan, ReadError> {
        let size = gather.shape.size() as u64;
        let rows = rows(known, first, named, size);
        let there = Presence::of(&rows, size, readable, look_up)?;
        let mut plan = GatherPlan {
            list: gather.list,
            shape: gather.shape.clone(),
            count: 0,
            calls: Vec::new(),
            patched: Vec::new(),
            absent: Vec::new(),
        };
        let mut call = GatherCall::default();
        let mut hint = 0;
        for row in rows {
            plan.count += row.count;
            let mut rest = row;
            while rest.count > 0 {
                let mut whole = there.whole(&rest, size, &mut hint);
                if whole == 0 {
                    let Row { record, addr, .. } = rest;
                    match there.parts(addr, size) {
                        Ok(parts) => plan.patched.push(Patched { record, addr, parts }),
                        Err(why) => plan.absent.push((record, addr, why)),
                    }
                    rest = rest.behind(1);
                }
                while whole > 0 {
                    let taken = call.add(&Row { count: whole, ..rest }, size);
                    if taken == 0 {
                        plan.push(&mut call);
                    }
                    (rest, whole) = (rest.behind(taken), whole - taken);
                }
            }
        }
        plan.push(&mut call);
        Ok(plan)
    }

    /// Structures that a look at another time may find otherwise.
    pub(crate) fn unsettled(&self) -> Vec<(usize, u64)> {
        let absent = self.absent.iter().map(|&(record, addr, _)| (record, addr));
        let mut all: Vec<(usize, u64)> = absent
            .chain(self.patched.iter().map(|patched| (patched.record, patched.addr)))
            .collect();
        all.sort_unstable();
        all
    }

    /// Makes the records of structures that are partly zeros. Returns how many bytes were read, and whether all could be.
    pub(crate) fn patch(&self, read: &mut Read<'_>, place: &mut Fill<'_>, pass: u8) -> Result<(u64, bool), ReadError> {
        let mut structure = vec![0; self.shape.size()];
        let (mut bytes, mut all) = (0, true);
        for Patched { record, addr, parts } in &self.patched {
            structure.fill(0);
            let mut whole = true;
            for part in parts {
                let at = (part.start.0 - addr) as usize;
                let Some(into) = structure.get_mut(at..at + part.len as usize) else {
                    continue;
                };
                whole &= match read(&[*part], &mut [IoSliceMut::new(into)]) {
                    Ok(got) => got as u64 == part.len,
                    Err(ReadError::Fault) => false,
                    Err(error) => return Err(error),
                };
                bytes += part.len;
            }
            all &= whole;
            place(*record, &mut |into| match whole {
                true => self.shape.fill(&structure, structure.len(), into, pass),
                false => self.shape.miss(Missing::Unreadable, into),
            });
        }
        Ok((bytes, all))
    }

    fn push(&mut self, call: &mut GatherCall) {
        let call = std::mem::take(call);
        if call.records > 0 {
            self.calls.push(call);
        }
    }
}

impl GatherCall {
    /// The records it makes.
    pub(crate) fn records(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.records
    }

    /// Adds the first structures of a row, as many as there is room for; how many these are. 0: the call is full, or
    /// the row does not go on where its records end.
    fn add(&mut self, row: &Row, size: u64) -> usize {
        if self.records == 0 {
            self.first = row.record;
        } else if self.first + self.records != row.record {
            return 0;
        }
        let near = |last: &&Range| row.addr >= last.start.0 && row.addr <= last.end().0.saturating_add(PIECE_GAP);
        let last = self.from.last().filter(near).copied();
        let (start, len) = last.map_or((row.addr, 0), |last| (last.start.0, last.len));
        if last.is_none() && self.from.len() == MAX_IOVECS {
            return 0;
        }
        let before = self.bytes - len;
        let room = MAX_CALL_BYTES.saturating_sub(before);
        let at = row.addr - start;
        let fitting = match room.checked_sub(at.saturating_add(size)) {
            Some(rest) => usize::try_from(rest / row.stride.max(1)).unwrap_or(usize::MAX - 1) + 1,
            None => usize::from(self.records == 0),
        };
        let taken = row.count.min(fitting).min(MAX_STRUCTURES - self.records);
        let taken_row = Row { count: taken, ..*row };
        let Some(end) = taken_row.end(size) else { return 0 };
        let len = len.max(end - start);
        match self.from.last_mut().filter(|_| last.is_some()) {
            Some(stretch) => stretch.len = len,
            None => self.from.push(Range::new(Addr(start), len)),
        }
        self.rows.push((taken_row, (before + at) as usize));
        self.bytes = before + len;
        self.records += taken;
        taken
    }

    /// Number of the record and address of each of its structures.
    pub(crate) fn structures(&self) -> impl Iterator<Item = (usize, u64)> {
        self.rows.iter().flat_map(|(row, _)| {
            (0..row.count).map(|index| (row.record + index, row.addr.wrapping_add(row.stride * index as u64)))
        })
    }

    /// Reads the structures and makes their records, `into` being the place for all of them. Returns how many bytes
    /// were read, and whether all of them could be.
    pub(crate) fn run(
        &self,
        read: &mut Read<'_>,
        shape: &RecordShape,
        buffer: &mut [u8],
        into: &mut [u8],
        pass: u8,
    ) -> Result<(u64, bool), ReadError> {
        let bad = self.read(read, buffer)?;
        let (size, len) = (shape.size(), shape.record_bytes());
        let mut rest = into;
        for &(row, offset) in &self.rows {
            let Some((records, behind)) = rest.split_at_mut_checked(row.count.saturating_mul(len)) else {
                break;
            };
            rest = behind;
            let stride = row.stride as usize;
            let there = buffer.get(offset..offset + (row.count - 1) * stride + size);
            if let (Some(structures), true) = (there, bad.is_empty()) {
                shape.fill(structures, stride, records, pass);
                continue;
            }
            for (index, record) in records.chunks_exact_mut(len).enumerate() {
                let at = offset + index * stride;
                let lost = bad.iter().any(|&(from, to)| at < to && at + size > from);
                match buffer.get(at..at + size) {
                    Some(structure) if !lost => shape.fill(structure, size, record, pass),
                    _ => shape.miss(Missing::Unreadable, record),
                }
            }
        }
        Ok((self.bytes, bad.is_empty()))
    }

    /// Fills the buffer; gives back which parts of it could not be read.
    fn read(&self, read: &mut Read<'_>, buffer: &mut [u8]) -> Result<Vec<(usize, usize)>, ReadError> {
        let total = self.bytes as usize;
        let (mut bad, mut next, mut at) = (Vec::new(), 0, 0);
        while let Some(from) = self.from.get(next..).filter(|from| !from.is_empty()) {
            let Some(place) = buffer.get_mut(at..total) else { break };
            let got = match read(from, &mut [IoSliceMut::new(place)]) {
                Ok(bytes) => bytes,
                Err(ReadError::Fault) => 0,
                Err(error) => return Err(error),
            };
            let reached = at + got;
            // The stretch in which it ended is lost from there on; reading goes on behind it.
            for range in from {
                if at + range.len as usize > reached {
                    break;
                }
                (at, next) = (at + range.len as usize, next + 1);
            }
            if let Some(range) = self.from.get(next) {
                let end = at + range.len as usize;
                bad.push((reached, end));
                (at, next) = (end, next + 1);
            }
            if bad.len() == MAX_FAULTS {
                bad.push((at, total));
                break;
            }
        }
        Ok(bad)
    }

    /// Notes the same about all of its records.
    pub(crate) fn miss(&self, why: Missing, shape: &RecordShape, into: &mut [u8]) {
        let records = into.chunks_exact_mut(shape.record_bytes());
        records.for_each(|record| shape.miss(why, record));
    }

    /// What it reads.
    pub(crate) fn ranges(&self) -> &[Range] {
        &self.from
    }
}

/// Which records are to be made, of which list, from which structures. That was found out before the stop, from an array
/// that may have been somebody else's memory by then.
#[derive(Debug)]
pub(crate) struct Planned {
    pub list: usize,
    pub shape: RecordShape,
    pub calls: Vec<GatherCall>,
    /// The records that were made from other structures after all, ascending.
    mended: Vec<usize>,
}

impl Planned {
    pub(crate) fn of(plan: &GatherPlan) -> Planned {
        Planned {
            list: plan.list,
            shape: plan.shape.clone(),
            calls: plan.calls.clone(),
            mended: Vec::new(),
        }
    }

    /// Records of structures that the array as it is now does not name in their place, each with the address that it
    /// names, ascending. The target stands still: of many rows some are looked at, and all only if one of these is wrong.
    pub(crate) fn wrong(&self, store: &Store, gather: &Gather) -> Vec<(usize, u64)> {
        let rows: usize = self.calls.iter().map(|call| call.rows.len()).sum();
        let records: usize = self.calls.iter().map(|call| call.records).sum();
        if records > MOST_COMPARED {
            let every = rows.div_ceil(MOST_COMPARED).max(1);
            let firsts = self.rows().step_by(every).map(|row| Row { count: 1, ..*row });
            if firsts
                .into_iter()
                .all(|row| differing(row, store, gather).next().is_none())
            {
                return Vec::new();
            }
        }
        self.differing(store, gather)
    }

    /// Notes that these records (ascending) are made anew.
    pub(crate) fn mend(&mut self, records: Vec<usize>) {
        self.mended = records;
    }

    /// Whether the record was made as planned.
    pub(crate) fn stands(&self, record: usize) -> bool {
        self.mended.binary_search(&record).is_err()
    }

    /// Structures that the array does not name where it named them have no record.
    pub(crate) fn drop_unnamed(&self, store: &mut Store, gathered: &[Gather]) {
        let Some(gather) = gathered.iter().find(|gather| gather.list == self.list) else {
            return;
        };
        for (record, _) in self.differing(store, gather) {
            if self.stands(record) {
                store.miss_record(self.list, record, &self.shape, Missing::NotCaptured);
            }
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.calls.iter().flat_map(|call| call.rows.iter().map(|(row, _)| row))
    }

    fn differing(&self, store: &Store, gather: &Gather) -> Vec<(usize, u64)> {
        let rows = self.rows();
        let mut differing: Vec<(usize, u64)> = rows.flat_map(|row| differing(*row, store, gather)).collect();
        differing.sort_unstable();
        differing
    }
}

/// Records of a row whose structure the array does not name in its place, each with the address that it names.
fn differing<'a>(row: Row, store: &'a Store, gather: &Gather) -> impl Iterator<Item = (usize, u64)> + use<'a> {
    let end = (row.record.saturating_add(row.count) as u64).min(gather.count);
    let count = end.saturating_sub(row.record as u64) as usize;
    let at = Addr(gather.pointers.0.wrapping_add((row.record as u64).wrapping_mul(8)));
    // Without the array nobody looks at the records.
    let named = store.bytes(at, count.saturating_mul(8)).unwrap_or_default();
    let named = named.as_chunks::<8>().0;
    // Mostly all of them.
    let alike = in_a_row(named, row.addr, row.stride);
    let place = move |index: usize| row.addr.wrapping_add(row.stride.wrapping_mul(index as u64));
    let named = named.iter().map(|word| u64::from_le_bytes(*word));
    named
        .enumerate()
        .skip(alike)
        .filter(move |(index, named)| *named != place(*index))
        .map(move |(index, named)| (row.record + index, named))
}

/// How two rounds of records of these structures differ: pages of structures compared, those with a difference, and bytes
/// that differ, in words of eight.
pub(crate) fn compare(
    call: &GatherCall,
    shape: &RecordShape,
    (before, after): (&[u8], &[u8]),
    page_shift: u32,
) -> (u64, u64, u64) {
    let (mut compared, mut changed, mut bytes) = (0, 0, 0);
    let (mut seen, mut seen_changed) = (None, None);
    let rounds = before
        .chunks_exact(shape.record_bytes())
        .zip(after.chunks_exact(shape.record_bytes()));
    for ((_, addr), (old, new)) in call.structures().zip(rounds) {
        let Some(differing) = shape.differing(old, new) else {
            continue;
        };
        let page = addr >> page_shift;
        compared += u64::from(seen.replace(page) != Some(page));
        if differing > 0 {
            changed += u64::from(seen_changed.replace(page) != Some(page));
            bytes += 8 * differing;
        }
    }
    (compared, changed, bytes)
}

#[cfg(test)]
mod tests;
