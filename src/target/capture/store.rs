//! Captured bytes: a window is a stretch of the target's address space with a page of the shared region for every page
//! of its own. Wide windows lie as the target does, so that a structure that was read in two waves is still one slice;
//! narrow ones hold just what was wished for at once, side by side in huge pages. Either way the real capture finds
//! the pages of the rehearsal already in memory.

mod windows;

use std::sync::atomic::{AtomicU8, Ordering};

use self::windows::{Window, Windows};
use super::region::{MAX_WINDOWS, Region};
use crate::memory::{Addr, MOST_LISTS, Memory, MemoryError, Missing, Range, RecordShape};

/// The largest window: a cluster beyond it is cut into several, each with its own place in the region.
const MAX_WINDOW: u64 = 256 << 30;
/// Clusters are rounded to this, with some room on either side, so that memory mapped next to them a moment later still
/// falls into their window: a structure in two windows could not be had.
const CLUSTER_ALIGN: u64 = 1 << 30;
const CLUSTER_ROOM: u64 = 256 << 20;
/// A window where the region is nearly full.
const SMALL_WINDOW: u64 = 2 << 20;

/// Records of so many bytes go to the dense part of the region: of fewer, the rest of a huge page would be too much.
const WORTH_DENSE: usize = 1 << 20;
/// Records made room for beyond those known.
const SPARE_RECORDS: usize = 16 << 10;
/// Of a narrow window of at least so many pages an eighth is room to grow: an array that got longer before the stop is
/// not to be read anew.
const GROWING: usize = 64;

/// The page waits to be read in the wave at hand; added to its other bits.
const QUEUED: u8 = 0x20;
/// Captured, but not from the process: what an absent page reads as. Not known to be present in the next pass.
const FILLED: u8 = 0x10;
/// Missing in pass 1, with a reason in the low bits.
const MISSING: u8 = 0x40;

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageState {
    /// Nobody asked in this pass.
    Unknown,
    /// Captured in the pass before, so present a moment ago.
    KnownPresent,
    /// Captured in this pass.
    Captured,
    /// Looked for in this pass, without success.
    Missing(Missing),
}

/// Pages in a row, in the target and in the region alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Address of the first page.
    pub start: u64,
    /// Index of the first page in the region.
    pub page: usize,
    /// How many.
    pub pages: usize,
}

/// The bytes of one capture.
#[derive(Debug)]
pub(crate) struct Store {
    region: Region,
    /// Where the target lies as it is.
    wide: Windows,
    /// Where what was wished for lies side by side, in the region's dense part.
    narrow: Windows,
    clusters: Vec<(u64, u64)>,
    next_page: usize,
    /// The same of the region's dense part.
    next_dense: usize,
    /// What is left of the part of it that narrow windows are cut from.
    for_narrow: std::ops::Range<usize>,
    pass: u8,
    shift: u32,
    /// Whether the last pass was ended from outside.
    cut_short: bool,
    records: [Option<RecordArea>; MOST_LISTS],
}

/// The part of the region that holds records: its first byte, the bytes of each, how many find room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordArea {
    /// Offset of the first record among the bytes of the pages.
    pub start: usize,
    /// Bytes of a record.
    pub len: usize,
    /// How many find room.
    pub room: usize,
}

impl RecordArea {
    /// Where some of the records are.
    pub(crate) fn bytes(&self, records: std::ops::Range<usize>) -> std::ops::Range<usize> {
        self.start + records.start * self.len..self.start + records.end * self.len
    }
}

impl Store {
    /// A store for a target with these readable ranges (sorted); `byte_budget` is what must at least find room.
    pub(crate) fn new(readable: &[(u64, u64)], byte_budget: u64) -> std::io::Result<Store> {
        let clusters = clusters(readable);
        let total = clusters.iter().map(|(start, end)| end - start).sum::<u64>();
        let wanted = total.saturating_add(CLUSTER_ALIGN * 16).min(MAX_WINDOW * 64);
        let region = Region::new(wanted, byte_budget.min(1 << 30))?;
        let shift = region.page_bytes().trailing_zeros();
        let next_dense = region.dense();
        Ok(Store {
            region,
            wide: Windows::default(),
            narrow: Windows::default(),
            clusters,
            next_page: 0,
            next_dense,
            for_narrow: next_dense..next_dense,
            pass: 1,
            shift,
            cut_short: false,
            records: [None; MOST_LISTS],
        })
    }

    /// Room in one of the lists for `count` records of `len` bytes, and for half as many that may be made meanwhile;
    /// fewer where the region is nearly full. The place of the pass before, if there was one.
    pub(crate) fn room_for_records(&mut self, list: usize, count: usize, len: usize) -> Option<RecordArea> {
        let known = self.records.get(list)?;
        if let Some(area) = known {
            return (area.len == len).then_some(*area);
        }
        // 0 stands for no page at all.
        self.next_page = self.next_page.max(1);
        let wanted = count.checked_add(count / 2)?.checked_add(SPARE_RECORDS)?;
        let pages = wanted.checked_mul(len)?.div_ceil(1 << self.shift);
        let dense_room = self.region.pages().checked_sub(self.next_dense)? / 2;
        let dense = count.saturating_mul(len) >= WORTH_DENSE && pages <= dense_room;
        let (next, end) = match dense {
            true => (&mut self.next_dense, self.region.pages()),
            false => (&mut self.next_page, self.region.dense()),
        };
        let (first, pages) = (*next, pages.min(end.checked_sub(*next)? / 2));
        *next = match dense {
            true => (first + pages.next_multiple_of(self.region.huge_pages())).min(end),
            false => first + pages,
        };
        let area = RecordArea {
            start: first << self.shift,
            len,
            room: (pages << self.shift) / len.max(1),
        };
        let header = self.region.header().list(list);
        header.bytes.store(len as u64, Ordering::Relaxed);
        header.page.store(first as u64, Ordering::Release);
        *self.records.get_mut(list)? = Some(area);
        Some(area)
    }

    /// The part of the region that holds the records of a list.
    pub(crate) fn record_area(&self, list: usize) -> Option<RecordArea> {
        self.records.get(list).copied().flatten()
    }

    /// The place for some of the records of a list.
    pub(crate) fn records_mut(&mut self, list: usize, records: std::ops::Range<usize>) -> &mut [u8] {
        let Some(area) = self.record_area(list).filter(|area| records.end <= area.room) else {
            return &mut [];
        };
        self.region.data_mut().get_mut(area.bytes(records)).unwrap_or_default()
    }

    /// Notes how many records of a list there are.
    pub(crate) fn set_records(&self, list: usize, count: usize) {
        let header = self.region.header().list(list);
        header.count.store(count as u64, Ordering::Release);
    }

    /// Notes that a record of a list is none.
    pub(crate) fn miss_record(&mut self, list: usize, record: usize, shape: &RecordShape, why: Missing) {
        shape.miss(why, self.records_mut(list, record..record.saturating_add(1)));
        self.note_lost(list, true);
    }

    /// Notes whether some records of a list could not be had; once noted, that stays.
    pub(crate) fn note_lost(&self, list: usize, lost: bool) {
        self.region.header().list(list).lost.fetch_or(lost, Ordering::Release);
    }

    /// The number of the pass at hand.
    pub(crate) fn pass(&self) -> u8 {
        self.pass
    }

    /// In the parent: where the records of a list are, and the bytes of each.
    pub(crate) fn records(&self, list: usize) -> Option<(std::ops::Range<usize>, usize)> {
        let header = self.region.header().records.get(list)?;
        let page = usize::try_from(header.page.load(Ordering::Acquire)).ok()?;
        let len = usize::try_from(header.bytes.load(Ordering::Relaxed)).ok()?;
        let count = usize::try_from(header.count.load(Ordering::Acquire)).ok()?;
        let start = page.checked_mul(1 << self.shift)?;
        let end = start.checked_add(count.checked_mul(len)?)?;
        let there = page > 0 && len > 0 && end <= self.region.data().len();
        there.then_some((start..end, len))
    }

    /// The shared memory behind it.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// The shared memory behind it, to be filled.
    pub(crate) fn region_mut(&mut self) -> &mut Region {
        &mut self.region
    }

    /// Bytes of a page, as a power of two.
    pub(crate) fn page_shift(&self) -> u32 {
        self.shift
    }

    /// Starts pass 2: nothing counts as captured any more, but what pass 1 read is known to be present and has its
    /// memory here already.
    pub(crate) fn begin_second_pass(&mut self) {
        self.pass = 2;
        self.region.header().end.store(0, Ordering::Relaxed);
        self.region.header().unmet.store(false, Ordering::Relaxed);
        self.region.header().generation.store(2, Ordering::Release);
    }

    /// Takes note of the mappings as they are now.
    pub(crate) fn set_readable(&mut self, readable: &[(u64, u64)]) {
        self.clusters = clusters(readable);
    }

    /// In the parent, once the child is done: reads what it has left in the shared table.
    pub(crate) fn adopt(&mut self) {
        let header = self.region.header();
        let count = (header.windows.load(Ordering::Acquire) as usize).min(MAX_WINDOWS);
        let pages = self.region.pages();
        let slots = self.region.windows().iter().take(count);
        let windows = slots
            .map(|slot| Window {
                start: slot.start.load(Ordering::Relaxed),
                len: slot.len.load(Ordering::Relaxed),
                page: slot.page.load(Ordering::Relaxed) as usize,
            })
            .filter(|window| {
                window
                    .page
                    .checked_add((window.len >> self.shift) as usize)
                    .is_some_and(|end| end <= pages)
            });
        let dense = self.region.dense();
        let (narrow, wide): (Vec<Window>, Vec<Window>) = windows.partition(|window| window.page >= dense);
        self.cut_short = header.end.load(Ordering::Acquire) == 0;
        (self.wide, self.narrow) = (Windows::of(wide), Windows::of(narrow));
        self.pass = if header.generation.load(Ordering::Acquire) == 2 {
            2
        } else {
            1
        };
    }

    /// The state of a page of the region.
    pub(crate) fn state(&self, page: usize) -> PageState {
        let state = self
            .region
            .states()
            .get(page)
            .map_or(0, |state| state.load(Ordering::Relaxed));
        if self.captured(state) {
            PageState::Captured
        } else if state & !QUEUED == 1 {
            PageState::KnownPresent
        } else if self.missing_bits(state) {
            PageState::Missing(Missing::of_code(state & 7))
        } else {
            PageState::Unknown
        }
    }

    fn captured(&self, state: u8) -> bool {
        state & !FILLED == self.pass
    }

    fn missing_bits(&self, state: u8) -> bool {
        state & (MISSING | MISSING << 1) == MISSING * self.pass
    }

    /// Notes that pages have been captured.
    pub(crate) fn set_captured(&self, run: Run) {
        for state in self.states_of(run) {
            state.store(self.pass, Ordering::Release);
        }
    }

    /// Notes that pages have their content from elsewhere, because the process has no memory for them.
    pub(crate) fn set_filled(&self, run: Run) {
        for state in self.states_of(run) {
            state.store(self.pass | FILLED, Ordering::Release);
        }
    }

    /// Notes why pages have not been captured.
    pub(crate) fn set_missing(&self, run: Run, why: Missing) {
        let value = (MISSING * self.pass) | why.code();
        for state in self.states_of(run) {
            state.store(value, Ordering::Relaxed);
        }
        self.note_unmet();
    }

    /// Notes that a wish of this pass may not be met in full.
    pub(crate) fn note_unmet(&self) {
        self.region.header().unmet.store(true, Ordering::Relaxed);
    }

    fn states_of(&self, run: Run) -> &[std::sync::atomic::AtomicU8] {
        self.region
            .states()
            .get(run.page..run.page.saturating_add(run.pages))
            .unwrap_or_default()
    }

    /// Puts the pages of `start..end` (page aligned, readable) that are neither captured, nor missing, nor queued
    /// already on the list; `whole` is all that is to be one slice with them. Returns whether all of them found a place.
    pub(crate) fn queue(&mut self, (start, end): (u64, u64), whole: (u64, u64), list: &mut Vec<Run>) -> bool {
        let mut at = start;
        while at < end {
            let Some(window) = self.window_for(at, whole) else {
                return false;
            };
            if whole.0 < window.start || whole.1 > window.end() {
                self.note_unmet();
            }
            let stop = end.min(window.end());
            let first = window.page_of(at, self.shift);
            let pages = ((stop - at) >> self.shift) as usize;
            let Some(states) = self.region.states().get(first..first + pages) else {
                return false;
            };
            for (index, state) in states.iter().enumerate() {
                let value = state.load(Ordering::Relaxed);
                if self.captured(value) || value & QUEUED != 0 || self.missing_bits(value) {
                    continue;
                }
                state.store(value | QUEUED, Ordering::Relaxed);
                let page = first + index;
                let address = at + ((index as u64) << self.shift);
                match list.last_mut() {
                    Some(run) if run.page + run.pages == page && run.end(self.shift) == address => run.pages += 1,
                    _ => list.push(Run {
                        start: address,
                        page,
                        pages: 1,
                    }),
                }
            }
            at = stop;
        }
        true
    }

    /// Whether nothing is known of any page of `start..end`: it can have a window of its own.
    pub(crate) fn is_new(&self, (start, end): (u64, u64)) -> bool {
        if self.narrow.meets(start, end) {
            return false;
        }
        let Some(window) = self.wide.find(start) else {
            return !self.wide.meets(start, end);
        };
        let (from, to) = (window.page_of(start, self.shift), window.page_of(end, self.shift));
        let states = self.region.states().get(from..to).unwrap_or_default();
        end <= window.end() && states.iter().all(|state| state.load(Ordering::Relaxed) == 0)
    }

    /// Gives the pages of `start..end` (page aligned, new) a narrow window, which does not reach beyond `limit`. `None` where
    /// there is no dense part, no room in it, or so many windows that none would be left for what turns up later.
    pub(crate) fn place(&mut self, (start, end): (u64, u64), limit: u64) -> Option<Run> {
        if self.narrow.len() >= MAX_WINDOWS / 2 {
            return None;
        }
        let pages = usize::try_from((end.checked_sub(start)?) >> self.shift).ok()?;
        let spare = if pages < GROWING { 0 } else { pages / 8 };
        let spare = self.new_pages(end, limit.min(self.narrow.next_from(end)), spare);
        let page = self.room_for_narrow(pages.checked_add(spare)?)?;
        let window = Window {
            start,
            len: ((pages + spare) as u64) << self.shift,
            page,
        };
        self.publish(window)?;
        self.narrow.insert(window);
        let run = Run { start, page, pages };
        for state in self.states_of(run) {
            state.store(QUEUED, Ordering::Relaxed);
        }
        Some(run)
    }

    /// How many pages from `start` on, at most `most` and none beyond `limit`, nobody has asked for in a wide window.
    fn new_pages(&self, start: u64, limit: u64, most: usize) -> usize {
        let room = (limit.saturating_sub(start) >> self.shift).min(most as u64) as usize;
        let Some(window) = self.wide.find(start) else {
            let free = self.wide.next_from(start).saturating_sub(start) >> self.shift;
            return room.min(usize::try_from(free).unwrap_or(usize::MAX));
        };
        let first = window.page_of(start, self.shift);
        let room = room.min(((window.end() - start) >> self.shift) as usize);
        let states = self.region.states().get(first..first + room).unwrap_or_default();
        let asked = states.iter().position(|state| state.load(Ordering::Relaxed) != 0);
        asked.unwrap_or(states.len())
    }

    /// The first of `pages` pages in a row, next to those of the narrow window before where that is possible.
    fn room_for_narrow(&mut self, pages: usize) -> Option<usize> {
        if self.for_narrow.len() < pages {
            let next_to_it = self.for_narrow.end == self.next_dense;
            let missing = if next_to_it {
                pages - self.for_narrow.len()
            } else {
                pages
            };
            let taken = missing.checked_next_multiple_of(self.region.huge_pages())?;
            let end = self.next_dense.checked_add(taken)?;
            if end > self.region.pages() {
                return None;
            }
            let start = if next_to_it {
                self.for_narrow.start
            } else {
                self.next_dense
            };
            (self.for_narrow, self.next_dense) = (start..end, end);
        }
        let first = self.for_narrow.start;
        self.for_narrow.start += pages;
        Some(first)
    }

    /// The window for `addr`: a narrow one that holds all of `whole`, or a wide one, made if there is none.
    fn window_for(&mut self, addr: u64, whole: (u64, u64)) -> Option<Window> {
        if let Some(window) = self.narrow.holding(whole.0, whole.1.saturating_sub(whole.0)) {
            return Some(window);
        }
        if let Some(window) = self.wide.find(addr) {
            return Some(window);
        }
        let &(low, high) = self
            .clusters
            .iter()
            .find(|(start, end)| (*start..*end).contains(&addr))?;
        self.add_window(addr, low, high, MAX_WINDOW)
            .or_else(|| self.add_window(addr, low, high, SMALL_WINDOW))
    }

    fn add_window(&mut self, addr: u64, low: u64, high: u64, size: u64) -> Option<Window> {
        let piece = addr / size * size;
        let (low, high) = (low.max(piece), high.min(piece.saturating_add(size)));
        let (start, end) = self.wide.gap_at(addr, low, high);
        let pages = (end.checked_sub(start)? >> self.shift) as usize;
        if pages == 0 || pages > self.region.dense() - self.next_page {
            return None;
        }
        let window = Window {
            start,
            len: end - start,
            page: self.next_page,
        };
        self.publish(window)?;
        self.next_page += pages;
        self.wide.insert(window);
        Some(window)
    }

    /// Adds a window to the shared table; `None` where that is full.
    fn publish(&self, window: Window) -> Option<()> {
        let count = self.wide.len() + self.narrow.len();
        let slot = self.region.windows().get(count)?;
        slot.start.store(window.start, Ordering::Relaxed);
        slot.len.store(window.len, Ordering::Relaxed);
        slot.page.store(window.page as u64, Ordering::Relaxed);
        self.region.header().windows.store(count as u32 + 1, Ordering::Release);
        Some(())
    }

    /// Captured pages in a row, window by window: some can be in two of them, whose bytes are of the same pass.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (Range, &[u8])> {
        self.wide.iter().chain(self.narrow.iter()).flat_map(move |window| {
            let pages = (window.len >> self.shift) as usize;
            let mut page = 0;
            std::iter::from_fn(move || {
                let states = self.region.states().get(window.page..window.page + pages)?;
                let is_captured = |state: &std::sync::atomic::AtomicU8| self.captured(state.load(Ordering::Relaxed));
                page += states.get(page..)?.iter().position(is_captured)?;
                let rest = states.get(page..)?;
                let count = rest.iter().position(|state| !is_captured(state)).unwrap_or(rest.len());
                let (first, len) = (page, count << self.shift);
                page += count;
                let at = (window.page + first) << self.shift;
                let start = Addr(window.start + ((first as u64) << self.shift));
                Some((Range::new(start, len as u64), self.region.data().get(at..at + len)?))
            })
        })
    }
}

impl Run {
    /// First address behind it.
    pub(crate) fn end(&self, shift: u32) -> u64 {
        self.start + ((self.pages as u64) << shift)
    }
}

impl Memory for Store {
    fn bytes(&self, addr: Addr, len: usize) -> Result<&[u8], MemoryError> {
        if len == 0 {
            return Ok(&[]);
        }
        let of = |windows: &Windows| {
            let window = windows.holding(addr.0, len as u64)?;
            Some(self.bytes_in(window, addr, len))
        };
        // What has been asked for together with more than its narrow window holds is in a wide one.
        let narrow = of(&self.narrow);
        if let Some(Ok(bytes)) = narrow {
            return Ok(bytes);
        }
        let missing = |why| MemoryError {
            addr,
            len: len as u64,
            why,
        };
        let why = match (narrow, of(&self.wide)) {
            (_, Some(Ok(bytes))) => return Ok(bytes),
            (Some(Err(why)), _) | (_, Some(Err(why))) => why,
            _ => Missing::NotCaptured,
        };
        Err(missing(why))
    }
}

impl Store {
    /// Bytes that lie in this window; why they are not here.
    fn bytes_in(&self, window: Window, addr: Addr, len: usize) -> Result<&[u8], Missing> {
        let offset = addr.0 - window.start;
        let first = window.page + (offset >> self.shift) as usize;
        let last = window.page + ((offset + len as u64 - 1) >> self.shift) as usize;
        let states = self.region.states().get(first..=last).ok_or(Missing::NotCaptured)?;
        if let Some(bad) = states
            .iter()
            .position(|state| !self.captured(state.load(Ordering::Relaxed)))
        {
            return Err(match self.state(first + bad) {
                PageState::Missing(why) => why,
                // Known to be there, and the pass was ended before its turn.
                PageState::KnownPresent if self.cut_short => Missing::BudgetSpent,
                // Still queued: the same.
                _ if states
                    .get(bad)
                    .is_some_and(|state| state.load(Ordering::Relaxed) & QUEUED != 0) =>
                {
                    Missing::BudgetSpent
                }
                _ => Missing::NotCaptured,
            });
        }
        let at = (window.page << self.shift) + offset as usize;
        self.region.data().get(at..at + len).ok_or(Missing::NotCaptured)
    }
}

/// Notes that pages have been captured in pass 2.
pub(crate) fn mark_captured(states: &[AtomicU8], run: Run) {
    let of_run = states.get(run.page..run.page.saturating_add(run.pages));
    for state in of_run.unwrap_or_default() {
        state.store(2, Ordering::Release);
    }
}

/// Neighbouring ranges as one, rounded outwards so that growth in between stays inside.
fn clusters(readable: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut clusters: Vec<(u64, u64)> = Vec::new();
    for &(start, end) in readable {
        let start = start.saturating_sub(CLUSTER_ROOM) / CLUSTER_ALIGN * CLUSTER_ALIGN;
        let end = end
            .saturating_add(CLUSTER_ROOM)
            .checked_next_multiple_of(CLUSTER_ALIGN)
            .unwrap_or(u64::MAX / CLUSTER_ALIGN * CLUSTER_ALIGN);
        match clusters.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => clusters.push((start, end)),
        }
    }
    clusters
}

#[cfg(test)]
mod tests;
