//! Gathering: of very many structures only some fields are kept. Which structures, in which calls, is settled before
//! the stop; in it a call reads whole stretches into a buffer of its own and picks the fields out, so that the memory
//! written is that of the records, not of the structures.

use std::io::IoSliceMut;

use super::reader::{Pages, ReadError, Readable};
use super::runs::{MAX_CALL_BYTES, MAX_IOVECS};
use crate::memory::{Addr, Gather, Gathered, Missing, Range, RecordShape};
use crate::target::pages::PageRun;

/// Structures no further apart than this are read in one piece, with what lies between them.
const PIECE_GAP: u64 = 512;
/// Structures no further apart than this are looked up in one go.
const LOOKUP_GAP: u64 = 64 << 10;
/// Looked up between two looks at the clock, bytes of address space.
const LOOKUP_BYTES: u64 = 1 << 30;
/// Structures per call: the last one is not to take longer than what is set aside for it.
const MAX_STRUCTURES: usize = 2048;
/// After so many unreadable stretches of one call the rest of it is given up.
const MAX_FAULTS: usize = 64;

/// As [`RangeReader::read`](super::reader::RangeReader::read).
pub(crate) type Read<'a> = dyn FnMut(&[Range], &mut [IoSliceMut<'_>]) -> Result<usize, ReadError> + 'a;

/// One call's worth of structures.
#[derive(Debug, Default)]
pub(crate) struct GatherCall {
    /// The record of its first structure.
    pub first: usize,
    /// Where each structure is.
    addrs: Vec<u64>,
    /// Where each lies in the buffer.
    offsets: Vec<u32>,
    /// What to read, one stretch behind the other in the buffer.
    from: Vec<Range>,
    bytes: u64,
}

/// What is to be gathered, and how.
#[derive(Debug, Default)]
pub(crate) struct GatherPlan {
    /// The shape of the records.
    pub shape: RecordShape,
    /// How many structures it covers.
    pub count: usize,
    /// The calls, in the order of the records.
    pub calls: Vec<GatherCall>,
    /// Structures that are not there: record, address, reason.
    pub absent: Vec<(usize, u64, Missing)>,
}

/// A buffer that holds what one call reads, its memory already in place.
pub(crate) fn scratch(size: usize) -> Vec<u8> {
    // Zeroes would be memory only once they are read.
    vec![0xff; MAX_CALL_BYTES as usize + size]
}

impl GatherPlan {
    /// A plan for `pointers`, the first of which is record `first`. `look_up` says which pages of a stretch are there,
    /// or nothing when the time is over.
    pub(crate) fn new(
        gather: &Gather,
        pointers: &[u64],
        first: usize,
        readable: &[Readable],
        look_up: &mut dyn FnMut(u64, u64) -> Result<Option<Vec<PageRun>>, ReadError>,
    ) -> Result<GatherPlan, ReadError> {
        let size = gather.shape.size() as u64;
        let there = Presence::of(pointers, size, readable, look_up)?;
        let mut plan = GatherPlan {
            shape: gather.shape.clone(),
            count: pointers.len(),
            calls: Vec::new(),
            absent: Vec::new(),
        };
        let mut call = GatherCall {
            first,
            ..GatherCall::default()
        };
        let mut hint = 0;
        for (index, &addr) in pointers.iter().enumerate() {
            if let Err(why) = there.whole(addr, size, &mut hint) {
                plan.absent.push((first + index, addr, why));
                // Records of one call are neighbours.
                plan.push(&mut call, first + index + 1);
                continue;
            }
            if !call.add(addr, size) {
                plan.push(&mut call, first + index);
                call.add(addr, size);
            }
        }
        plan.push(&mut call, 0);
        Ok(plan)
    }

    fn push(&mut self, call: &mut GatherCall, next: usize) {
        let next = GatherCall {
            first: next,
            ..GatherCall::default()
        };
        let call = std::mem::replace(call, next);
        if !call.addrs.is_empty() {
            self.calls.push(call);
        }
    }
}

impl GatherCall {
    /// How many records it makes.
    pub(crate) fn records(&self) -> usize {
        self.addrs.len()
    }

    /// Adds a structure; false when the call is full.
    fn add(&mut self, addr: u64, size: u64) -> bool {
        let end = addr.saturating_add(size);
        if self.addrs.len() == MAX_STRUCTURES {
            return false;
        }
        if let Some(last) = self.from.last_mut()
            && addr >= last.start.0
            && addr <= last.end().0.saturating_add(PIECE_GAP)
        {
            let before = self.bytes - last.len;
            let len = last.len.max(end - last.start.0);
            if before + len > MAX_CALL_BYTES {
                return false;
            }
            self.offsets.push((before + (addr - last.start.0)) as u32);
            self.addrs.push(addr);
            last.len = len;
            self.bytes = before + len;
            return true;
        }
        if self.from.len() == MAX_IOVECS || (self.bytes + size > MAX_CALL_BYTES && !self.from.is_empty()) {
            return false;
        }
        self.offsets.push(self.bytes as u32);
        self.addrs.push(addr);
        self.from.push(Range::new(Addr(addr), size));
        self.bytes += size;
        true
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
        let structures = self.addrs.iter().zip(&self.offsets);
        for ((&addr, &offset), record) in structures.zip(into.chunks_exact_mut(len)) {
            let at = offset as usize;
            let lost = bad.iter().any(|&(from, to)| at < to && at + size > from);
            match buffer.get(at..at + size) {
                Some(structure) if !lost => shape.fill(addr, structure, record, pass),
                _ => RecordShape::miss(addr, Missing::Unreadable, record),
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
    pub(crate) fn miss(&self, why: Missing, len: usize, into: &mut [u8]) {
        for (&addr, record) in self.addrs.iter().zip(into.chunks_exact_mut(len)) {
            RecordShape::miss(addr, why, record);
        }
    }

    /// What it reads.
    pub(crate) fn ranges(&self) -> &[Range] {
        &self.from
    }
}

/// Which pages that structures lie on are there.
struct Presence {
    /// Present stretches and swapped ones, sorted: start, end, whether swapped.
    found: Vec<(u64, u64, bool)>,
    mapped: Vec<(u64, u64)>,
    /// Beyond here nobody has looked.
    cut: Option<u64>,
}

impl Presence {
    fn of(
        pointers: &[u64],
        size: u64,
        readable: &[Readable],
        look_up: &mut dyn FnMut(u64, u64) -> Result<Option<Vec<PageRun>>, ReadError>,
    ) -> Result<Presence, ReadError> {
        let mut presence = Presence {
            found: Vec::new(),
            mapped: readable.iter().map(|range| (range.start, range.end)).collect(),
            cut: None,
        };
        'groups: for (start, end) in groups(pointers, size) {
            let first = readable.partition_point(|range| range.end <= start);
            for range in readable.iter().skip(first).take_while(|range| range.start < end) {
                let (mut at, to) = (start.max(range.start), end.min(range.end));
                while at < to {
                    let stop = to.min(at.saturating_add(LOOKUP_BYTES));
                    let Some(pages) = look_up(at, stop)? else {
                        presence.cut = Some(at);
                        break 'groups;
                    };
                    for run in &pages {
                        presence.note(run, range.pages);
                    }
                    at = stop;
                }
            }
        }
        Ok(presence)
    }

    fn note(&mut self, run: &PageRun, kind: Pages) {
        if !run.swapped && (!run.present || (kind == Pages::OwnOnly && run.file)) {
            return;
        }
        match self.found.last_mut() {
            Some(last) if last.1 == run.start && last.2 == run.swapped => last.1 = run.end,
            _ => self.found.push((run.start, run.end, run.swapped)),
        }
    }

    /// Whether all of `addr..addr + size` is there. `hint` is the stretch of the structure before.
    fn whole(&self, addr: u64, size: u64, hint: &mut usize) -> Result<(), Missing> {
        let end = addr.checked_add(size).ok_or(Missing::NotMapped)?;
        let holds = |at: usize| {
            let stretch = self.found.get(at);
            stretch.filter(|(from, to, _)| *from <= addr && addr < *to)
        };
        let found = match holds(*hint) {
            Some(stretch) => Some(stretch),
            None => {
                *hint = self
                    .found
                    .partition_point(|(from, _, _)| *from <= addr)
                    .saturating_sub(1);
                holds(*hint)
            }
        };
        match found {
            Some((_, to, false)) if end <= *to => Ok(()),
            Some((_, _, true)) => Err(Missing::Swapped),
            // The rest of it may be in the next stretch, if that one follows.
            Some((_, to, false)) => match self.found.get(*hint + 1) {
                Some((from, _, true)) if from == to => Err(Missing::Swapped),
                _ => Err(Missing::NotPresent),
            },
            None if self.cut.is_some_and(|cut| addr >= cut) => Err(Missing::BudgetSpent),
            None => {
                let after = self.mapped.partition_point(|(from, _)| *from <= addr);
                let mapped = after.checked_sub(1).and_then(|index| self.mapped.get(index));
                match mapped.is_some_and(|(_, to)| addr < *to) {
                    true => Err(Missing::NotPresent),
                    false => Err(Missing::NotMapped),
                }
            }
        }
    }
}

/// Stretches of address space that hold all the structures, sorted, none near another, whole pages.
fn groups(pointers: &[u64], size: u64) -> Vec<(u64, u64)> {
    let page = crate::target::pages::page_size();
    let mut groups: Vec<(u64, u64)> = Vec::new();
    for &addr in pointers {
        let Some(end) = addr
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(page))
        else {
            continue;
        };
        let start = addr & !(page - 1);
        match groups.last_mut() {
            Some(last) if start >= last.0 && start <= last.1.saturating_add(LOOKUP_GAP) => last.1 = last.1.max(end),
            _ if addr == 0 => {}
            _ => groups.push((start, end)),
        }
    }
    groups.sort_unstable();
    groups.dedup_by(|next, last| {
        let near = next.0 <= last.1.saturating_add(LOOKUP_GAP);
        if near {
            last.1 = last.1.max(next.1);
        }
        near
    });
    groups
}

/// How two rounds of records differ: pages of structures compared, those with a difference, and bytes that differ, in
/// words of eight.
pub(crate) fn compare(before: &[u8], after: &[u8], len: usize, page_shift: u32) -> (u64, u64, u64) {
    let (mut compared, mut changed, mut bytes) = (0, 0, 0);
    let (mut seen, mut seen_changed) = (None, None);
    for (old, new) in before.chunks_exact(len).zip(after.chunks_exact(len)) {
        // Both must have come, in their passes.
        if old.first() != Some(&1) || new.first() != Some(&2) {
            continue;
        }
        let page = Gathered::address(new).0 >> page_shift;
        compared += u64::from(seen.replace(page) != Some(page));
        let fields = |record| <[u8]>::get(record, RecordShape::ADDRESS..).unwrap_or_default();
        let (old, new): (&[u8], &[u8]) = (fields(old), fields(new));
        if old != new {
            changed += u64::from(seen_changed.replace(page) != Some(page));
            bytes += 8 * old.chunks(8).zip(new.chunks(8)).filter(|(old, new)| old != new).count() as u64;
        }
    }
    (compared, changed, bytes)
}

#[cfg(test)]
mod tests;
