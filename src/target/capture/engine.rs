//! Runs a planner wave by wave: its wishes become whole pages, each page once; pages that are absent or swapped are
//! named and left alone; the rest is copied in few large calls. Bounded in bytes, pages, waves and time, whatever the
//! planner asks for.

use std::io::IoSliceMut;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::deadline::Deadline;
use super::gather::GatherPlan;
use super::reader::{Pages, RangeReader, ReadError, Readable};
use super::region::Populating;
use super::runs::{MAX_CALL_BYTES, Pieces, cut_first, join, split};
use super::store::{PageState, Run, Store};
use crate::memory::{Addr, Gather, Missing, Planner, Range, Request};
use crate::target::pages::PageRun;

/// A planner that has not ended by then is going in circles.
const MAX_WAVES: usize = 320;
/// Pages one pass may look at: 256 GiB of address space with 4 KiB pages.
const MAX_PAGES: usize = 64 << 20;
/// Unknown pages no further apart than this are looked up in one call.
const SCAN_GAP: u64 = 1 << 20;
/// After so many unreadable pages in a row the rest of a run is given up.
const MAX_FAULTS: usize = 64;

/// The stack of a thread that only touches memory.
const HELPER_STACK: usize = 256 << 10;
/// Room made beforehand for the list of what a pass copies.
const COPIED_EXPECTED: usize = 16 << 10;

/// Why a pass ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum End {
    /// It has not.
    #[default]
    Running = 0,
    /// The planner has all it wants.
    Complete = 1,
    /// The time was over.
    Time = 2,
    /// The byte budget was used up.
    Bytes = 3,
    /// The planner did not come to an end.
    Waves = 4,
}

/// What a pass may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes copied.
    pub bytes: u64,
    /// When to stop reading.
    pub deadline: Deadline,
}

/// What one pass leaves for the next, so that the next has little to find out while the target stands still.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// What may be read.
    readable: Vec<Readable>,
    /// The pages that were there, in the order in which the planner asked for them, cut into calls.
    pub calls: Vec<Vec<Run>>,
    /// How many bytes each call has brought already; 0 for those left to the next pass.
    pub brought: Vec<usize>,
    /// What was asked for and is no readable memory.
    holes: Holes,
    /// What is to be gathered.
    pub gathering: Vec<GatherPlan>,
    /// What has been gathered already: bytes read.
    pub gathered_bytes: u64,
}

/// One pass over a target.
pub(crate) struct Engine<'a> {
    reader: &'a mut dyn RangeReader,
    store: &'a mut Store,
    limits: Limits,
    readable: Vec<Readable>,
    rehearsing: bool,
    /// Whether `readable` is of this pass.
    fresh: bool,
    /// Calls to make before the planner is asked, and what they brought already.
    calls: Vec<(Vec<Run>, usize)>,
    holes: Holes,
    /// What was copied, in order.
    copied: Vec<Run>,
    /// Where pages read in both passes are compared; `None` while the target stands still.
    compare: Option<Vec<u8>>,
    pages: usize,
    /// Copied from the process.
    bytes: u64,
    /// Filled without it, and records.
    filled: u64,
    /// What is gathered: planned here, or still to be done of what another pass planned.
    gathering: Vec<GatherPlan>,
    /// What the planner had gathered in this pass.
    gathered: Vec<Gather>,
    /// Read to gather it.
    gathered_bytes: u64,
    /// What makes the memory for records.
    populating: Vec<(Arc<Populating>, Option<JoinHandle<()>>)>,
    end: End,
}

impl<'a> Engine<'a> {
    /// A pass within `limits`. With `compare`, pages known from the pass before are compared with it.
    pub(crate) fn new(reader: &'a mut dyn RangeReader, store: &'a mut Store, limits: Limits, compare: bool) -> Self {
        let compare = compare.then(|| vec![0; MAX_CALL_BYTES as usize]);
        Engine {
            reader,
            store,
            limits,
            readable: Vec::new(),
            rehearsing: false,
            fresh: false,
            calls: Vec::new(),
            holes: Holes::default(),
            copied: Vec::new(),
            compare,
            pages: 0,
            bytes: 0,
            filled: 0,
            gathering: Vec::new(),
            gathered: Vec::new(),
            gathered_bytes: 0,
            populating: Vec::new(),
            end: End::Running,
        }
    }

    /// A pass that only prepares for the next: what nothing depends on is found, not copied.
    pub(crate) fn rehearsing(reader: &'a mut dyn RangeReader, store: &'a mut Store, limits: Limits) -> Self {
        Engine {
            rehearsing: true,
            ..Engine::new(reader, store, limits, false)
        }
    }

    /// A pass that begins with what another one learned.
    pub(crate) fn continuing(
        reader: &'a mut dyn RangeReader,
        store: &'a mut Store,
        limits: Limits,
        learned: Learned,
    ) -> Self {
        Engine {
            readable: learned.readable,
            calls: learned
                .calls
                .into_iter()
                .zip(learned.brought.into_iter().chain(std::iter::repeat(0)))
                .collect(),
            holes: learned.holes,
            gathering: learned.gathering,
            gathered_bytes: learned.gathered_bytes,
            copied: Vec::with_capacity(COPIED_EXPECTED),
            ..Engine::new(reader, store, limits, false)
        }
    }

    /// What this pass found out, for the next one. The mappings are looked up once more, and what was copied from
    /// mappings that are gone is left out.
    pub(crate) fn learned(self) -> Result<Learned, ReadError> {
        let readable = self.reader.readable()?;
        let shift = self.store.page_shift();
        let copied: Vec<Run> = self
            .copied
            .into_iter()
            .filter(|run| covers(&readable, run.start, run.end(shift)))
            .collect();
        let mut pieces = Pieces::new(&copied, shift);
        let mut calls: Vec<Vec<Run>> = std::iter::from_fn(|| pieces.next_batch()).collect();
        for call in &mut calls {
            // The buffers of one call are cut from the region in one go.
            call.sort_unstable_by_key(|run| run.page);
            join(call, shift);
        }
        Ok(Learned {
            readable,
            calls,
            brought: Vec::new(),
            holes: self.holes,
            gathering: self.gathering,
            gathered_bytes: 0,
        })
    }

    /// What was copied, in order, and what was gathered. The rest is left to the end of the process: the target is not to
    /// wait for it.
    pub(crate) fn into_done(mut self) -> (Vec<Run>, Vec<Gather>) {
        let done = (std::mem::take(&mut self.copied), std::mem::take(&mut self.gathered));
        std::mem::forget(self);
        done
    }

    /// Reads the mappings as they are now.
    fn look_up_mappings(&mut self) -> Result<(), ReadError> {
        self.readable = self.reader.readable()?;
        self.fresh = true;
        let ranges: Vec<(u64, u64)> = self.readable.iter().map(|range| (range.start, range.end)).collect();
        self.store.set_readable(&ranges);
        Ok(())
    }

    /// Runs `planner` to its end or the end of the limits.
    pub(crate) fn run(&mut self, planner: &mut dyn Planner) -> Result<End, ReadError> {
        if self.readable.is_empty() {
            self.look_up_mappings()?;
        }
        self.read_again()?;
        if self.end != End::Running {
            return Ok(self.finish(self.end));
        }
        for wave in 0..MAX_WAVES {
            let requests = planner.wave(wave, self.store);
            self.prepare_records(planner);
            if requests.is_empty() {
                for gather in planner.gather(self.store) {
                    self.gather(&gather)?;
                    self.gathered.push(gather);
                }
                let end = if self.end == End::Time {
                    End::Time
                } else {
                    End::Complete
                };
                return Ok(self.finish(end));
            }
            self.store
                .region()
                .header()
                .waves
                .store(wave as u32 + 1, Ordering::Relaxed);
            self.read_wave(&requests, self.rehearsing && planner.is_last_need(wave))?;
            if self.end != End::Running {
                return Ok(self.finish(self.end));
            }
        }
        Ok(self.finish(End::Waves))
    }

    fn finish(&mut self, end: End) -> End {
        // Bytes left out do not end a pass, so that small wishes behind a large one are still heard.
        let end = if end == End::Complete && self.end == End::Bytes {
            End::Bytes
        } else {
            end
        };
        self.store.region().header().end.store(end as u32, Ordering::Release);
        end
    }

    fn out_of_time(&mut self) -> bool {
        if self.end != End::Time && self.limits.deadline.has_passed() {
            self.end = End::Time;
        }
        self.end == End::Time
    }

    /// Reads the pages of the pass before, in few large calls.
    fn read_again(&mut self) -> Result<(), ReadError> {
        let shift = self.store.page_shift();
        for (call, brought) in std::mem::take(&mut self.calls) {
            self.pages += call.iter().map(|run| run.pages).sum::<usize>();
            let rest = self.note_copied(&call, brought >> shift);
            let rest = self.within_budget(rest);
            self.copy_call(rest)?;
        }
        Ok(())
    }

    fn read_wave(&mut self, requests: &[Request], only_find: bool) -> Result<(), ReadError> {
        let mut wanted = self.queue(requests);
        if self.holes.new && !self.fresh {
            // Asked for memory that was none before the stop: the heap has grown since.
            self.look_up_mappings()?;
            wanted.extend(self.queue(requests));
        }
        // The order of the region, so that the buffers of one call can be cut from it in one go. Within a window it
        // is the order of addresses.
        wanted.sort_unstable_by_key(|run| run.page);
        join(&mut wanted, self.store.page_shift());
        let to_read = self.present(&wanted)?;
        let to_read = self.within_budget(to_read);
        // Page by page, as they are written, they would cost more than twice as much.
        for run in &to_read {
            self.store.region().populate(run.page, run.pages);
        }
        if !only_find {
            return self.copy(&to_read);
        }
        let pages = to_read.iter().map(|run| run.pages).sum();
        self.commit(&to_read, pages);
        Ok(())
    }

    /// The pages these wishes need and nobody has read yet.
    fn queue(&mut self, requests: &[Request]) -> Vec<Run> {
        let page = 1u64 << self.store.page_shift();
        let mut list = Vec::new();
        let mut hint = 0;
        for request in requests {
            let start = request.range.start.0 & !(page - 1);
            let end = request
                .range
                .end()
                .0
                .checked_next_multiple_of(page)
                .unwrap_or(u64::MAX - page + 1);
            if request.range.len == 0 {
                continue;
            }
            // Wishes come in clumps: the range of the last one is tried first.
            if self
                .readable
                .get(hint)
                .is_none_or(|range| start < range.start || start >= range.end)
            {
                hint = self.readable.partition_point(|range| range.end <= start);
            }
            let mut behind = start;
            for range in self.readable.iter().skip(hint).take_while(|range| range.start < end) {
                let (from, to) = (start.max(range.start), end.min(range.end));
                self.holes.note(behind, from);
                behind = to;
                let room = (MAX_PAGES.saturating_sub(self.pages) as u64).saturating_mul(page);
                let to = to.min(from.saturating_add(room));
                self.pages += ((to - from) / page) as usize;
                if !self.store.queue(from, to, &mut list) || room == 0 {
                    self.end = End::Bytes;
                }
            }
            self.holes.note(behind, end);
        }
        list
    }

    /// Those of the wanted pages that are there; the others are marked with what they are.
    fn present(&mut self, wanted: &[Run]) -> Result<Vec<Run>, ReadError> {
        let shift = self.store.page_shift();
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for run in wanted {
            split(
                run,
                shift,
                |page| self.store.state(page) == PageState::KnownPresent,
                &mut known,
                &mut unknown,
            );
        }
        let mut found: Vec<PageRun> = Vec::new();
        let mut rest = unknown.as_slice();
        while let Some(first) = rest.first() {
            let (mut end, mut count) = (first.end(shift), 1);
            while let Some(next) = rest
                .get(count)
                .filter(|next| next.start >= end && next.start - end <= SCAN_GAP)
            {
                end = next.end(shift);
                count += 1;
            }
            let (group, behind) = rest.split_at(count);
            rest = behind;
            found.clear();
            if self.out_of_time() {
                group
                    .iter()
                    .for_each(|run| self.store.set_missing(*run, Missing::BudgetSpent));
                continue;
            }
            self.reader.presence(first.start, end, &mut found)?;
            for run in group {
                self.sort_out(run, &found, &mut known);
            }
        }
        known.sort_unstable_by_key(|run| run.page);
        join(&mut known, shift);
        Ok(known)
    }

    /// Splits one unknown run by what was found, in address order, about its surroundings.
    fn sort_out(&mut self, run: &Run, found: &[PageRun], present: &mut Vec<Run>) {
        let shift = self.store.page_shift();
        let end = run.end(shift);
        let part = |from: u64, to: u64| Run {
            start: from,
            page: run.page + ((from - run.start) >> shift) as usize,
            pages: ((to - from) >> shift) as usize,
        };
        let index = self.readable.partition_point(|range| range.end <= run.start);
        let mut at = run.start;
        let first = found.partition_point(|pages| pages.end <= run.start);
        for pages in found.iter().skip(first).take_while(|pages| pages.start < end) {
            let (from, to) = (pages.start.max(at), pages.end.min(end));
            if from >= to {
                continue;
            }
            self.absent(part(at, from));
            at = to;
            // A run can cross from one mapping into the next; each page answers for itself.
            for range in self.readable.iter().skip(index).take_while(|range| range.start < to) {
                let (from, to) = (from.max(range.start), to.min(range.end));
                if from >= to {
                    continue;
                }
                match (range.pages, pages.swapped, pages.file) {
                    (_, true, _) => self.store.set_missing(part(from, to), Missing::Swapped),
                    (Pages::OwnOnly, _, true) => self.store.set_missing(part(from, to), Missing::NotMapped),
                    _ => present.push(part(from, to)),
                }
            }
        }
        self.absent(part(at, end));
    }

    /// Pages without memory: what the executable holds where it is behind them, zeros where nothing is behind them.
    /// Neither is asked of the process, which would then get memory for them.
    fn absent(&mut self, run: Run) {
        if run.pages == 0 {
            return;
        }
        self.store.set_missing(run, Missing::NotPresent);
        let shift = self.store.page_shift();
        let first = self.readable.partition_point(|range| range.end <= run.start);
        for range in self
            .readable
            .iter()
            .skip(first)
            .take_while(|range| range.start < run.end(shift))
        {
            let offset = match range.pages {
                Pages::OrImage(offset) => Some(offset),
                Pages::OrZero => None,
                Pages::Present | Pages::OwnOnly => continue,
            };
            let (from, to) = (run.start.max(range.start), run.end(shift).min(range.end));
            let left = self.bytes_left();
            for address in (from..to.min(from.saturating_add(left))).step_by(1 << shift) {
                let page = run.page + ((address - run.start) >> shift) as usize;
                let at = page << shift;
                let buffer = self.store.region_mut().data_mut().get_mut(at..at + (1 << shift));
                let filled = buffer.is_some_and(|buffer| match offset {
                    Some(offset) => self.reader.read_image(offset + (address - range.start), buffer),
                    None => {
                        buffer.fill(0);
                        true
                    }
                });
                if filled {
                    self.filled += 1 << shift;
                    self.store.set_filled(Run {
                        start: address,
                        page,
                        pages: 1,
                    });
                }
            }
        }
    }

    fn bytes_left(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes).saturating_sub(self.filled)
    }

    fn within_budget(&mut self, mut runs: Vec<Run>) -> Vec<Run> {
        let shift = self.store.page_shift();
        let mut left = (self.bytes_left() >> shift) as usize;
        for run in &mut runs {
            let taken = run.pages.min(left);
            left -= taken;
            if taken < run.pages {
                let over = Run {
                    start: run.start + ((taken as u64) << shift),
                    page: run.page + taken,
                    pages: run.pages - taken,
                };
                self.store.set_missing(over, Missing::BudgetSpent);
                self.end = End::Bytes;
                run.pages = taken;
            }
        }
        runs.retain(|run| run.pages > 0);
        runs
    }

    fn copy(&mut self, runs: &[Run]) -> Result<(), ReadError> {
        let shift = self.store.page_shift();
        let mut work = Pieces::new(runs, shift);
        while let Some(batch) = work.next_batch() {
            self.copy_call(batch)?;
        }
        Ok(())
    }

    /// Copies what fits one call, in as many as it takes where pages cannot be read.
    fn copy_call(&mut self, mut batch: Vec<Run>) -> Result<(), ReadError> {
        let shift = self.store.page_shift();
        let mut faults = 0;
        while !batch.is_empty() {
            if self.out_of_time() {
                batch
                    .iter()
                    .for_each(|run| self.store.set_missing(*run, Missing::BudgetSpent));
                break;
            }
            let done = match self.read_batch(&batch) {
                Ok(bytes) => bytes >> shift,
                Err(ReadError::Fault) => 0,
                Err(error) => return Err(error),
            };
            batch = self.commit(&batch, done);
            if done > 0 {
                faults = 0;
            } else if let Some(bad) = cut_first(&mut batch, shift) {
                // A call that brings nothing stopped at its very first page.
                self.store.set_missing(bad, Missing::Unreadable);
                faults += 1;
                if faults == MAX_FAULTS {
                    batch
                        .drain(..)
                        .for_each(|run| self.store.set_missing(run, Missing::Unreadable));
                    faults = 0;
                }
            }
        }
        Ok(())
    }

    /// One call for all of `batch`; how many bytes came.
    fn read_batch(&mut self, batch: &[Run]) -> Result<usize, ReadError> {
        let shift = self.store.page_shift();
        let remote: Vec<Range> = batch
            .iter()
            .map(|run| Range::new(Addr(run.start), (run.pages as u64) << shift))
            .collect();
        if let Some(buffer) = &mut self.compare {
            let total: usize = batch.iter().map(|run| run.pages << shift).sum();
            let buffer = buffer.get_mut(..total).ok_or(ReadError::Fault)?;
            let got = self.reader.read(&remote, &mut [IoSliceMut::new(buffer)])?;
            compare_and_store(self.store, batch, &buffer[..got.min(total)]);
            return Ok(got.min(total));
        }
        let mut local = Vec::with_capacity(batch.len());
        let mut rest = self.store.region_mut().data_mut();
        let mut skipped = 0;
        for run in batch {
            let (_, tail) = rest.split_at_mut((run.page << shift) - skipped);
            let (piece, tail) = tail.split_at_mut(run.pages << shift);
            local.push(IoSliceMut::new(piece));
            rest = tail;
            skipped = (run.page + run.pages) << shift;
        }
        self.reader.read(&remote, &mut local)
    }

    /// Marks the first `pages` pages of a batch as captured; returns the others.
    fn commit(&mut self, batch: &[Run], pages: usize) -> Vec<Run> {
        let first = self.copied.len();
        let rest = self.note_copied(batch, pages);
        for run in self.copied.iter().skip(first) {
            self.store.set_captured(*run);
        }
        rest
    }

    /// Takes note of the first `pages` pages of a batch, which are marked as captured already; returns the others.
    fn note_copied(&mut self, batch: &[Run], mut pages: usize) -> Vec<Run> {
        let shift = self.store.page_shift();
        let mut rest = Vec::new();
        for run in batch {
            let done = run.pages.min(pages);
            pages -= done;
            if done > 0 {
                self.copied.push(Run { pages: done, ..*run });
            }
            self.bytes += (done as u64) << shift;
            if done < run.pages {
                rest.push(Run {
                    start: run.start + ((done as u64) << shift),
                    page: run.page + done,
                    pages: run.pages - done,
                });
            }
        }
        self.count_bytes();
        rest
    }

    fn count_bytes(&self) {
        let header = self.store.region().header();
        header
            .bytes_read
            .store(self.bytes.saturating_add(self.gathered_bytes), Ordering::Relaxed);
    }
}

/// Stretches that were asked for and are no readable memory, as far as they are remembered.
#[derive(Debug, Default)]
struct Holes {
    known: Vec<(u64, u64)>,
    /// Whether one was met that was not known.
    new: bool,
}

impl Holes {
    /// The pass after is not to be slowed down by remembering many.
    const MOST: usize = 64;

    fn note(&mut self, start: u64, end: u64) {
        if start >= end || self.known.contains(&(start, end)) {
            return;
        }
        self.new = true;
        if self.known.len() < Holes::MOST {
            self.known.push((start, end));
        }
    }
}

/// Whether every page of `start..end` lies in one of `readable`.
pub(crate) fn covers(readable: &[Readable], start: u64, end: u64) -> bool {
    let first = readable.partition_point(|range| range.end <= start);
    let mut at = start;
    for range in readable.iter().skip(first) {
        if range.start > at || at >= end {
            break;
        }
        at = range.end;
    }
    at >= end
}

/// Takes bytes over from a buffer, counting what differs from the pass before.
fn compare_and_store(store: &mut Store, batch: &[Run], bytes: &[u8]) {
    let shift = store.page_shift();
    let pages = batch.iter().flat_map(|run| run.page..run.page + run.pages);
    let (mut compared, mut changed, mut changed_bytes) = (0, 0, 0);
    for (page, new) in pages.zip(bytes.chunks_exact(1 << shift)) {
        let known = store.state(page) == PageState::KnownPresent;
        let at = page << shift;
        let Some(old) = store.region_mut().data_mut().get_mut(at..at + new.len()) else {
            continue;
        };
        if known {
            compared += 1;
            if old != new {
                changed += 1;
                let words = old.chunks_exact(8).zip(new.chunks_exact(8));
                changed_bytes += 8 * words.filter(|(old, new)| old != new).count() as u64;
            }
        }
        old.copy_from_slice(new);
    }
    let header = store.region().header();
    header.compared_pages.fetch_add(compared, Ordering::Relaxed);
    header.changed_pages.fetch_add(changed, Ordering::Relaxed);
    header.changed_bytes.fetch_add(changed_bytes, Ordering::Relaxed);
}

mod gathering;
#[cfg(test)]
mod tests;
