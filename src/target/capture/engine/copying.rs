//! Copying pages, in few large calls, and keeping account of what came.

use std::io::IoSliceMut;
use std::sync::atomic::Ordering;

use super::Engine;
use crate::memory::{Addr, Missing, Range};
use crate::target::capture::reader::ReadError;
use crate::target::capture::runs::{Pieces, cut_first};
use crate::target::capture::store::{PageState, Run, Store};

/// After so many unreadable pages in a row the rest of a run is given up.
const MAX_FAULTS: usize = 64;

impl Engine<'_> {
    pub(super) fn copy(&mut self, runs: &[Run]) -> Result<(), ReadError> {
        let shift = self.store.page_shift();
        let mut work = Pieces::new(runs, shift);
        while let Some(batch) = work.next_batch() {
            self.copy_call(batch)?;
        }
        Ok(())
    }

    /// Copies what fits one call, in as many as it takes where pages cannot be read.
    pub(super) fn copy_call(&mut self, mut batch: Vec<Run>) -> Result<(), ReadError> {
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
    pub(super) fn read_batch(&mut self, batch: &[Run]) -> Result<usize, ReadError> {
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
    pub(super) fn commit(&mut self, batch: &[Run], pages: usize) -> Vec<Run> {
        let first = self.copied.len();
        let rest = self.note_copied(batch, pages);
        for run in self.copied.iter().skip(first) {
            self.store.set_captured(*run);
        }
        rest
    }

    /// Takes note of the first `pages` pages of a batch, which are marked as captured already; returns the others.
    pub(super) fn note_copied(&mut self, batch: &[Run], mut pages: usize) -> Vec<Run> {
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
