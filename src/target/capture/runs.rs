//! Lists of page runs: joined, split by a property, cut into calls.

use super::store::Run;

/// Buffers per call: IOV_MAX.
pub(crate) const MAX_IOVECS: usize = 1024;
/// Bytes per call: small enough to look at the clock in between, large enough not to matter.
pub(crate) const MAX_CALL_BYTES: u64 = 256 << 10;

/// Cuts runs into calls.
pub(crate) struct Pieces<'a> {
    runs: &'a [Run],
    /// Pages of the first run that are already in a batch.
    taken: usize,
    shift: u32,
}

impl<'a> Pieces<'a> {
    /// All of `runs`, with pages of `1 << shift` bytes.
    pub(crate) fn new(runs: &'a [Run], shift: u32) -> Pieces<'a> {
        Pieces { runs, taken: 0, shift }
    }

    /// The runs of the next call.
    pub(crate) fn next_batch(&mut self) -> Option<Vec<Run>> {
        let mut batch = Vec::new();
        let mut room = (MAX_CALL_BYTES >> self.shift).max(1) as usize;
        while let Some((first, behind)) = self.runs.split_first() {
            if room == 0 || batch.len() == MAX_IOVECS {
                break;
            }
            let pages = (first.pages - self.taken).min(room);
            let start = first.start + ((self.taken as u64) << self.shift);
            batch.push(Run {
                start,
                page: first.page + self.taken,
                pages,
            });
            room -= pages;
            self.taken += pages;
            if self.taken == first.pages {
                (self.runs, self.taken) = (behind, 0);
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}

/// Joins neighbours of a sorted list.
pub(crate) fn join(runs: &mut Vec<Run>, shift: u32) {
    runs.dedup_by(|next, run| {
        let joined = run.page + run.pages == next.page && run.end(shift) == next.start;
        if joined {
            run.pages += next.pages;
        }
        joined
    });
}

/// Splits a run by a property of its pages.
pub(crate) fn split(run: &Run, shift: u32, is: impl Fn(usize) -> bool, yes: &mut Vec<Run>, no: &mut Vec<Run>) {
    let mut at = 0;
    while at < run.pages {
        let kind = is(run.page + at);
        let len = (at..run.pages)
            .take_while(|&index| is(run.page + index) == kind)
            .count()
            .max(1);
        let part = Run {
            start: run.start + ((at as u64) << shift),
            page: run.page + at,
            pages: len,
        };
        if kind {
            yes.push(part)
        } else {
            no.push(part)
        }
        at += len;
    }
}

/// Takes the first page off a list of runs.
pub(crate) fn cut_first(runs: &mut Vec<Run>, shift: u32) -> Option<Run> {
    let first = *runs.first()?;
    match runs.first_mut() {
        Some(run) if run.pages > 1 => {
            *run = Run {
                start: run.start + (1 << shift),
                page: run.page + 1,
                pages: run.pages - 1,
            };
        }
        _ => drop(runs.remove(0)),
    }
    Some(Run { pages: 1, ..first })
}
