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

/// Has the place of a record filled.
pub(crate) type Place<'a> = dyn FnMut(usize, &mut dyn FnMut(&mut [u8])) + 'a;

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

/// A structure that lies partly or wholly on pages that nobody has written: zeros.
#[derive(Debug)]
struct Patched {
    record: usize,
    addr: u64,
    /// The parts of it that are there.
    parts: Vec<Range>,
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
    patched: Vec<Patched>,
    /// Structures that are not there: record, address, reason.
    pub absent: Vec<(usize, u64, Missing)>,
}

/// A buffer that holds what any of these calls reads, its memory already in place.
pub(crate) fn scratch<'a>(calls: impl Iterator<Item = &'a GatherCall>) -> Vec<u8> {
    let bytes = calls.map(|call| call.bytes as usize).max().unwrap_or(0);
    // Zeroes would be memory only once they are read.
    vec![0xff; bytes]
}

impl GatherPlan {
    /// A plan for some structures: number of the record, and address. `look_up` says which pages of a stretch are
    /// there, or nothing when the time is over.
    pub(crate) fn new(
        gather: &Gather,
        wanted: impl Iterator<Item = (usize, u64)> + Clone,
        readable: &[Readable],
        look_up: &mut dyn FnMut(u64, u64) -> Result<Option<Vec<PageRun>>, ReadError>,
    ) -> Result<GatherPlan, ReadError> {
        let size = gather.shape.size() as u64;
        let there = Presence::of(wanted.clone().map(|(_, addr)| addr), size, readable, look_up)?;
        let mut plan = GatherPlan {
            shape: gather.shape.clone(),
            ..GatherPlan::default()
        };
        let mut call = GatherCall::default();
        let mut hint = 0;
        for (record, addr) in wanted {
            plan.count += 1;
            // Records of one call are neighbours.
            if record != call.first + call.addrs.len() {
                plan.push(&mut call, record);
            }
            if there.is_whole(addr, size, &mut hint) {
                if !call.add(addr, size) {
                    plan.push(&mut call, record);
                    call.add(addr, size);
                }
                continue;
            }
            match there.parts(addr, size) {
                Ok(parts) => plan.patched.push(Patched { record, addr, parts }),
                Err(why) => plan.absent.push((record, addr, why)),
            }
        }
        plan.push(&mut call, 0);
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

    /// Makes the records of structures that are partly zeros. Returns how many bytes were read.
    pub(crate) fn patch(&self, read: &mut Read<'_>, place: &mut Place<'_>, pass: u8) -> Result<u64, ReadError> {
        let mut structure = vec![0; self.shape.size()];
        let mut bytes = 0;
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
            place(*record, &mut |into| match whole {
                true => self.shape.fill(*addr, &structure, into, pass),
                false => RecordShape::miss(*addr, Missing::Unreadable, into),
            });
        }
        Ok(bytes)
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
struct Presence<'a> {
    /// Present stretches and swapped ones, sorted: start, end, whether swapped.
    found: Vec<(u64, u64, bool)>,
    readable: &'a [Readable],
    /// Beyond here nobody has looked.
    cut: Option<u64>,
}

impl<'a> Presence<'a> {
    fn of(
        pointers: impl Iterator<Item = u64>,
        size: u64,
        readable: &'a [Readable],
        look_up: &mut dyn FnMut(u64, u64) -> Result<Option<Vec<PageRun>>, ReadError>,
    ) -> Result<Presence<'a>, ReadError> {
        let mut presence = Presence {
            found: Vec::new(),
            readable,
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
    fn is_whole(&self, addr: u64, size: u64, hint: &mut usize) -> bool {
        let Some(end) = addr.checked_add(size) else {
            return false;
        };
        let holds = |at: usize| {
            let stretch = self.found.get(at);
            stretch.is_some_and(|(from, to, swapped)| *from <= addr && end <= *to && !swapped)
        };
        if !holds(*hint) {
            let after = self.found.partition_point(|(from, _, _)| *from <= addr);
            *hint = after.saturating_sub(1);
        }
        holds(*hint)
    }

    /// The parts of a structure that are there, where the others are pages that nobody has written; else why it
    /// cannot be had.
    fn parts(&self, addr: u64, size: u64) -> Result<Vec<Range>, Missing> {
        let end = addr.checked_add(size).ok_or(Missing::NotMapped)?;
        if self.cut.is_some_and(|cut| end > cut) {
            return Err(Missing::BudgetSpent);
        }
        let (mut parts, mut at) = (Vec::new(), addr);
        while at < end {
            let range = self.readable.partition_point(|range| range.end <= at);
            let range = self.readable.get(range).filter(|range| range.start <= at);
            let range = range.ok_or(Missing::NotMapped)?;
            let next = self.found.partition_point(|(_, to, _)| *to <= at);
            let stop = match self.found.get(next) {
                Some((from, _, true)) if *from <= at => return Err(Missing::Swapped),
                Some((from, to, false)) if *from <= at => {
                    let stop = end.min(*to);
                    parts.push(Range::new(Addr(at), stop - at));
                    stop
                }
                _ if range.pages != Pages::OrZero => return Err(Missing::NotPresent),
                Some((from, _, _)) => end.min(*from).min(range.end),
                None => end.min(range.end),
            };
            at = stop;
        }
        Ok(parts)
    }
}

/// Stretches of address space that hold all the structures, sorted, none near another, whole pages.
fn groups(pointers: impl Iterator<Item = u64>, size: u64) -> Vec<(u64, u64)> {
    let page = crate::target::pages::page_size();
    let mut groups: Vec<(u64, u64)> = Vec::new();
    for addr in pointers {
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
