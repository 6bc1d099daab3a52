//! From wishes to pages: which of them lie in readable memory, and which of those pages are there.

use super::{End, Engine};
use crate::memory::{Missing, Request};
use crate::target::capture::reader::{Pages, ReadError};
use crate::target::capture::runs::{join, split};
use crate::target::capture::store::{PageState, Run, Store};
use crate::target::pages::{Ask, PageRun};

/// Pages one pass may look at: 256 GiB of address space with 4 KiB pages.
const MAX_PAGES: usize = 64 << 20;
/// Unknown pages no further apart than this are looked up in one call.
const SCAN_GAP: u64 = 1 << 20;

/// Pages that wishes need and nobody has read yet.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// With a place in the region.
    pub placed: Vec<Run>,
    /// Without one yet: first address and the first behind.
    new: Vec<(u64, u64)>,
    /// So many are to be merged before more are added.
    merged_at: usize,
}

impl Wanted {
    /// Stretches that may be told again and again before they are merged.
    const UNMERGED: usize = 64 << 10;

    fn add_new(&mut self, parts: &[(u64, u64)]) {
        self.new.extend_from_slice(parts);
        if self.new.len() >= self.merged_at.max(Wanted::UNMERGED) {
            self.merge_new();
            self.merged_at = 2 * self.new.len();
        }
    }

    /// Sorts the new ones, and joins those that meet.
    fn merge_new(&mut self) {
        self.new.sort_unstable();
        self.new.dedup_by(|next, before| {
            let meets = next.0 <= before.1;
            before.1 = if meets { before.1.max(next.1) } else { before.1 };
            meets
        });
    }
}

impl Engine<'_> {
    /// Adds the pages these wishes need and nobody has read yet.
    pub(super) fn queue(&mut self, requests: &[Request], wanted: &mut Wanted) {
        let page = 1u64 << self.store.page_shift();
        let (mut hint, mut parts) = (0, Vec::new());
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
            parts.clear();
            for range in self.readable.iter().skip(hint).take_while(|range| range.start < end) {
                let (from, to) = (start.max(range.start), end.min(range.end));
                self.holes.note(behind, from);
                behind = to;
                let room = (MAX_PAGES.saturating_sub(self.pages) as u64).saturating_mul(page);
                let within = to.min(from.saturating_add(room));
                self.pages += ((within - from) / page) as usize;
                if within < to {
                    self.end = End::Bytes;
                }
                if from < within {
                    parts.push((from, within));
                }
            }
            self.holes.note(behind, end);
            self.queue_parts(&parts, wanted);
        }
    }

    /// Adds the parts of one wish, which are one slice in the end.
    fn queue_parts(&mut self, parts: &[(u64, u64)], wanted: &mut Wanted) {
        let Some((first, last)) = parts.first().zip(parts.last()) else {
            return self.store.note_unmet();
        };
        let whole = (first.0, last.1);
        if self.store.pass() == 1 && parts.iter().all(|part| self.store.is_new(*part)) {
            return wanted.add_new(parts);
        }
        for part in parts {
            if !self.store.queue(*part, whole, &mut wanted.placed) {
                self.end = End::Bytes;
            }
        }
    }

    /// Those of the wanted pages that are there, by their place in the region; the others are marked with what they are.
    pub(super) fn present(&mut self, mut wanted: Wanted) -> Result<Vec<Run>, ReadError> {
        let shift = self.store.page_shift();
        wanted.merge_new();
        let mut known = self.place(&wanted.new)?;
        let mut unknown = Vec::new();
        let mut placed = wanted.placed;
        placed.sort_unstable_by_key(|run| run.page);
        join(&mut placed, shift);
        for run in &placed {
            split(
                run,
                shift,
                |page| self.store.state(page) == PageState::KnownPresent,
                &mut known,
                &mut unknown,
            );
        }
        let mut rest = unknown.as_slice();
        while let Some((group, end)) = first_group(rest, |run| (run.start, run.end(shift))) {
            rest = rest.get(group.len()..).unwrap_or_default();
            let found = self.look_up(group.first().map_or(end, |run| run.start), end)?;
            for run in group {
                match &found {
                    Some(found) => self.sort_out(run, found, &mut known),
                    None => self.store.set_missing(*run, Missing::BudgetSpent),
                }
            }
        }
        // The order of the region, so that the buffers of one call can be cut from it in one go. Within a window it
        // is the order of addresses.
        known.sort_unstable_by_key(|run| run.page);
        join(&mut known, shift);
        Ok(known)
    }

    /// Gives new pages (sorted, none meeting another) a place: side by side what is mostly there, as they lie in the
    /// target where most are missing. Those that are there.
    fn place(&mut self, new: &[(u64, u64)]) -> Result<Vec<Run>, ReadError> {
        let mut present = Vec::new();
        let mut rest = new;
        while let Some((group, end)) = first_group(rest, |range| *range) {
            let found = self.look_up(group.first().map_or(end, |range| range.0), end)?;
            for (index, &range) in group.iter().enumerate() {
                let there = present_bytes(found.as_deref().unwrap_or_default(), range);
                let limit = rest.get(index + 1).map_or(u64::MAX, |next| next.0);
                let placed = (there >= (range.1 - range.0) / 2).then(|| self.store.place(range, limit));
                let mut runs: Vec<Run> = placed.flatten().into_iter().collect();
                if runs.is_empty() && !self.store.queue(range, range, &mut runs) {
                    self.end = End::Bytes;
                }
                for run in &runs {
                    match &found {
                        Some(found) => self.sort_out(run, found, &mut present),
                        None => self.store.set_missing(*run, Missing::BudgetSpent),
                    }
                }
            }
            rest = rest.get(group.len()..).unwrap_or_default();
        }
        Ok(present)
    }

    /// Which pages of `start..end` are there; `None` once the time is over.
    fn look_up(&mut self, start: u64, end: u64) -> Result<Option<Vec<PageRun>>, ReadError> {
        if self.out_of_time() {
            return Ok(None);
        }
        let mut found = Vec::new();
        let ask = self.to_ask(start, end);
        self.reader.presence(start, end, ask, &mut found)?;
        Ok(Some(found))
    }

    /// What has to be known of pages between `start` and `end`.
    fn to_ask(&self, start: u64, end: u64) -> Ask {
        let first = self.readable.partition_point(|range| range.end <= start);
        let mut ranges = self.readable.iter().skip(first).take_while(|range| range.start < end);
        let owned = ranges.any(|range| range.pages.ask() == Ask::Owner);
        if owned { Ask::Owner } else { Ask::Presence }
    }

    /// Splits one unknown run by what was found, in address order, about its surroundings.
    pub(super) fn sort_out(&mut self, run: &Run, found: &[PageRun], present: &mut Vec<Run>) {
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
    pub(super) fn absent(&mut self, run: Run) {
        if run.pages == 0 {
            return;
        }
        let shift = self.store.page_shift();
        let page = |address: u64, pages: usize| Run {
            start: address,
            page: run.page + ((address - run.start) >> shift) as usize,
            pages,
        };
        let first = self.readable.partition_point(|range| range.end <= run.start);
        let mut left = self.bytes_left();
        let mut reached = run.start;
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
            for address in (from..to.min(from.saturating_add(left))).step_by(1 << shift) {
                let filled = page(address, 1);
                let at = filled.page << shift;
                let buffer = self.store.region_mut().data_mut().get_mut(at..at + (1 << shift));
                let is_filled = buffer.is_some_and(|buffer| match offset {
                    Some(offset) => self.reader.read_image(offset + (address - range.start), buffer),
                    None => {
                        buffer.fill(0);
                        true
                    }
                });
                if is_filled {
                    let skipped = page(reached, ((address - reached) >> shift) as usize);
                    not_present(self.store, skipped);
                    reached = filled.end(shift);
                    self.filled += 1 << shift;
                    left = left.saturating_sub(1 << shift);
                    self.store.set_filled(filled);
                }
            }
        }
        not_present(
            self.store,
            page(reached, ((run.end(shift) - reached) >> shift) as usize),
        );
    }
}

fn not_present(store: &Store, run: Run) {
    if run.pages > 0 {
        store.set_missing(run, Missing::NotPresent);
    }
}

/// How many bytes of `start..end` are there; `found` in address order.
fn present_bytes(found: &[PageRun], (start, end): (u64, u64)) -> u64 {
    let first = found.partition_point(|pages| pages.end <= start);
    let meeting = found.iter().skip(first).take_while(|pages| pages.start < end);
    meeting
        .filter(|pages| pages.present)
        .map(|pages| pages.end.min(end).saturating_sub(pages.start.max(start)))
        .sum()
}

/// The first stretches that are looked up in one call, and where the last of them ends.
fn first_group<T>(rest: &[T], range: impl Fn(&T) -> (u64, u64)) -> Option<(&[T], u64)> {
    let mut end = range(rest.first()?).1;
    let near = |next: &&T| {
        let (start, behind) = range(next);
        let near = start >= end && start - end <= SCAN_GAP;
        end = if near { behind } else { end };
        near
    };
    let count = 1 + rest.iter().skip(1).take_while(near).count();
    Some((rest.get(..count)?, end))
}

/// Stretches that were asked for and are no readable memory, as far as they are remembered.
#[derive(Debug, Default)]
pub(super) struct Holes {
    known: Vec<(u64, u64)>,
    /// Whether one was met that was not known.
    pub(super) new: bool,
}

impl Holes {
    /// The pass after is not to be slowed down by remembering many.
    const MOST: usize = 64;

    /// Whether any was met, in this pass or the one before.
    pub(super) fn any(&self) -> bool {
        !self.known.is_empty()
    }

    pub(super) fn note(&mut self, start: u64, end: u64) {
        if start >= end || self.known.contains(&(start, end)) {
            return;
        }
        self.new = true;
        if self.known.len() < Holes::MOST {
            self.known.push((start, end));
        }
    }
}
