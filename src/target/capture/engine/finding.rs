//! From wishes to pages: which of them lie in readable memory, and which of those pages are there.

use super::{End, Engine};
use crate::memory::{Missing, Request};
use crate::target::capture::reader::{Pages, ReadError};
use crate::target::capture::runs::{join, split};
use crate::target::capture::store::{PageState, Run};
use crate::target::pages::{Ask, PageRun};

/// Pages one pass may look at: 256 GiB of address space with 4 KiB pages.
const MAX_PAGES: usize = 64 << 20;
/// Unknown pages no further apart than this are looked up in one call.
const SCAN_GAP: u64 = 1 << 20;

impl Engine<'_> {
    /// The pages these wishes need and nobody has read yet.
    pub(super) fn queue(&mut self, requests: &[Request]) -> Vec<Run> {
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
    pub(super) fn present(&mut self, wanted: &[Run]) -> Result<Vec<Run>, ReadError> {
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
            let ask = self.to_ask(first.start, end);
            self.reader.presence(first.start, end, ask, &mut found)?;
            for run in group {
                self.sort_out(run, &found, &mut known);
            }
        }
        known.sort_unstable_by_key(|run| run.page);
        join(&mut known, shift);
        Ok(known)
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
