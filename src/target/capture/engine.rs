//! Runs a planner wave by wave: its wishes become whole pages, each page once; pages that are absent or swapped are
//! named and left alone; the rest is copied in few large calls. Bounded in bytes, pages, waves and time, whatever the
//! planner asks for.

use std::sync::atomic::Ordering;

use self::finding::{Holes, Wanted};
use super::deadline::Deadline;
use super::gather::{GatherPlan, Planned};
use super::reader::{RangeReader, ReadError, Readable};
use super::region::populating::Populating;
use super::runs::{MAX_CALL_BYTES, Pieces, join};
use super::second::Second;
use super::store::{Run, Store};
use crate::memory::{Gather, Missing, Planner, Request};

/// A planner that has not ended by then is going in circles.
const MAX_WAVES: usize = 320;

/// How often a pass over a running target looks up its mappings: they change all the time. While it stands still once
/// is enough.
const MOST_LOOKUPS: usize = 8;
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
    /// How it was planned.
    pub planned: Vec<Planned>,
    /// The second thread, if there is one by now.
    pub second: Option<Second>,
}

/// One pass over a target.
pub(crate) struct Engine<'a> {
    reader: &'a mut dyn RangeReader,
    store: &'a mut Store,
    limits: Limits,
    readable: Vec<Readable>,
    rehearsing: bool,
    /// How often the mappings may still be looked up.
    lookups: usize,
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
    /// How what another pass planned was planned.
    planned: Vec<Planned>,
    /// What the planner had gathered in this pass.
    gathered: Vec<Gather>,
    /// Read to gather it.
    gathered_bytes: u64,
    /// Pages that need no memory before the next pass.
    populating: Populating,
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
            lookups: MOST_LOOKUPS,
            calls: Vec::new(),
            holes: Holes::default(),
            copied: Vec::new(),
            compare,
            pages: 0,
            bytes: 0,
            filled: 0,
            gathering: Vec::new(),
            planned: Vec::new(),
            gathered: Vec::new(),
            gathered_bytes: 0,
            populating: Populating::default(),
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
            lookups: 1,
            gathering: learned.gathering,
            planned: learned.planned,
            gathered_bytes: learned.gathered_bytes,
            copied: Vec::with_capacity(COPIED_EXPECTED),
            ..Engine::new(reader, store, limits, false)
        }
    }

    /// What this pass found out, for the next one. The mappings are looked up once more, and what was copied from
    /// mappings that are gone is left out.
    pub(crate) fn learned(mut self) -> Result<Learned, ReadError> {
        let second = self.populating.finish();
        self.look_up_mappings()?;
        self.holes.new = false;
        let shift = self.store.page_shift();
        let mut copied = std::mem::take(&mut self.copied);
        copied.retain(|run| covers(&self.readable, run.start, run.end(shift)));
        let mut pieces = Pieces::new(&copied, shift);
        let mut calls: Vec<Vec<Run>> = std::iter::from_fn(|| pieces.next_batch()).collect();
        for call in &mut calls {
            // The buffers of one call are cut from the region in one go.
            call.sort_unstable_by_key(|run| run.page);
            join(call, shift);
        }
        Ok(Learned {
            readable: self.readable,
            calls,
            brought: Vec::new(),
            holes: self.holes,
            planned: self.gathering.iter().map(Planned::of).collect(),
            gathering: self.gathering,
            gathered_bytes: 0,
            second,
        })
    }

    /// What was copied, in order, what was gathered, and how that was planned. The rest is left to the end of the process:
    /// the target is not to wait for it.
    pub(crate) fn into_done(mut self) -> (Vec<Run>, Vec<Gather>, Vec<Planned>) {
        let gathered = std::mem::take(&mut self.gathered);
        let done = (
            std::mem::take(&mut self.copied),
            gathered,
            std::mem::take(&mut self.planned),
        );
        std::mem::forget(self);
        done
    }

    /// Reads the mappings as they are now.
    fn look_up_mappings(&mut self) -> Result<(), ReadError> {
        self.readable = self.reader.readable()?;
        self.lookups = self.lookups.saturating_sub(1);
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
            if requests.is_empty() {
                self.prepare_records(planner);
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
            self.prepare_records(planner);
            let to_read = self.find(&requests)?;
            match self.rehearsing && planner.is_last_need(wave) {
                true => self.leave(&to_read),
                false => self.fetch(&to_read)?,
            }
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
        if self.holes.any() {
            self.store.note_unmet();
        }
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

    /// The pages that these wishes need, nobody has read yet, and are there.
    fn find(&mut self, requests: &[Request]) -> Result<Vec<Run>, ReadError> {
        let mut wanted = Wanted::default();
        self.queue(requests, &mut wanted);
        if self.holes.new && self.lookups > 0 {
            // Asked for memory that was none when the mappings were looked up: the heap has grown since.
            self.holes.new = false;
            self.look_up_mappings()?;
            self.queue(requests, &mut wanted);
        }
        let to_read = self.present(wanted)?;
        Ok(self.within_budget(to_read))
    }

    fn fetch(&mut self, to_read: &[Run]) -> Result<(), ReadError> {
        // Page by page, as they are written, they would cost more than twice as much.
        for (page, pages) in side_by_side(to_read) {
            self.store.region().populate(page, pages);
        }
        self.copy(to_read)
    }

    /// Leaves pages that are there to the next pass.
    fn leave(&mut self, to_read: &[Run]) {
        self.populate_ahead(side_by_side(to_read).into_iter());
        let pages = to_read.iter().map(|run| run.pages).sum();
        self.commit(to_read, pages);
    }

    /// Has pages of the region given their memory while the rehearsal goes on.
    fn populate_ahead(&mut self, runs: impl Iterator<Item = (usize, usize)>) {
        // SAFETY: this engine borrows the store with the region, and does not end without the end of this; but for those
        // that are forgotten, and they do not rehearse.
        #[allow(unsafe_code)]
        unsafe {
            self.populating.add(self.store.region(), runs);
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

    fn count_bytes(&self) {
        let header = self.store.region().header();
        header
            .bytes_read
            .store(self.bytes.saturating_add(self.gathered_bytes), Ordering::Relaxed);
    }
}

/// Pages of the region in a row, the first and how many, wherever in the target they are. `runs` in the order of the
/// region.
fn side_by_side(runs: &[Run]) -> Vec<(usize, usize)> {
    let mut rows: Vec<(usize, usize)> = Vec::new();
    for run in runs {
        match rows.last_mut() {
            Some((page, pages)) if *page + *pages == run.page => *pages += run.pages,
            _ => rows.push((run.page, run.pages)),
        }
    }
    rows
}

/// Whether every page of `start..end` lies in one of `readable`.
fn covers(readable: &[Readable], start: u64, end: u64) -> bool {
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

mod copying;
mod finding;
mod gathering;
#[cfg(test)]
mod tests;
