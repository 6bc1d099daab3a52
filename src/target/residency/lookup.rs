//! Pages of many ranges, looked up in pieces by one thread or two.

use std::io;

use super::intervals::Intervals;
use crate::memory::Range;
use crate::spare::in_parts;
use crate::target::pages::{Ask, PageMap, PageRun, page_size};

/// Looks up the pages of `ranges`, which may overlap and come in any order, with a second thread where that is worth it.
pub fn look_up(pages: &PageMap, ranges: &[Range]) -> io::Result<ByCost> {
    let stretches = joined(ranges);
    let bytes = bytes_of(&stretches);
    let pieces = pieces(&stretches, bytes);
    let weight = (bytes / BYTES_OF_THING) as usize / pieces.len().max(1);
    let begin = || Looking {
        pages: pages.another(),
        runs: Vec::new(),
        found: Vec::new(),
    };
    let parts = in_parts(pieces.len(), weight, begin, |looking, part| {
        let list = pieces.get(part.clone()).unwrap_or_default();
        let found = list.iter().try_fold(ByCost::default(), |mut found, piece| {
            looking.look_up(*piece, &mut found).map(|()| found)
        });
        looking.found.push((part.start, found));
    });
    let mut parts: Vec<_> = parts.into_iter().flat_map(|looking| looking.found).collect();
    parts.sort_unstable_by_key(|(start, _)| *start);
    let mut all = ByCost::default();
    for (_, found) in parts {
        all.join(found?);
    }
    Ok(all)
}

/// No sum of what a kernel says comes near the end; one of what is made up may.
fn bytes_of(stretches: &[(u64, u64)]) -> u64 {
    let lengths = stretches.iter().map(|(start, end)| end - start);
    lengths.fold(0, u64::saturating_add)
}

/// Pages by what they cost.
#[derive(Clone, Debug, Default)]
pub struct ByCost {
    /// Those in memory.
    pub resident: Intervals,
    /// Those swapped out.
    pub swapped: Intervals,
    /// Those in memory in huge pages.
    pub huge: Intervals,
}

impl ByCost {
    fn add(&mut self, run: &PageRun) {
        if run.swapped {
            self.swapped.push(run.start, run.end);
        } else if run.present && !run.zero {
            self.resident.push(run.start, run.end);
            if run.huge {
                self.huge.push(run.start, run.end);
            }
        }
    }

    /// Adds those of higher addresses.
    fn join(&mut self, next: ByCost) {
        self.resident.join(next.resident);
        self.swapped.join(next.swapped);
        self.huge.join(next.huge);
    }
}

/// A thread that looks pages up, and what it found, each part with the number of its first piece.
struct Looking {
    pages: PageMap,
    runs: Vec<PageRun>,
    found: Vec<(usize, io::Result<ByCost>)>,
}

impl Looking {
    fn look_up(&mut self, (start, end): (u64, u64), found: &mut ByCost) -> io::Result<()> {
        self.pages.scan(start, end, Ask::Presence, &mut self.runs)?;
        self.runs.drain(..).for_each(|run| found.add(&run));
        Ok(())
    }
}

/// What is looked up in one go, bytes of address space; more where there are terabytes of it.
const PIECE: u64 = 64 << 20;
/// Pieces that stretches are cut into, about.
const MOST_PIECES: u64 = 1024;
/// What is one thing of very many, bytes of address space: with a GiB a second thread is worth it.
const BYTES_OF_THING: u64 = 64 << 10;

/// The same stretches, of so many bytes, none of them longer than a piece.
fn pieces(stretches: &[(u64, u64)], bytes: u64) -> Vec<(u64, u64)> {
    let piece = (bytes / MOST_PIECES / PIECE + 1) * PIECE;
    let cut = |&(start, end): &(u64, u64)| {
        let starts = std::iter::successors(Some(start), move |from| from.checked_add(piece));
        let starts = starts.take_while(move |from| *from < end);
        starts.map(move |from| (from, end.min(from.saturating_add(piece))))
    };
    stretches.iter().flat_map(cut).collect()
}

/// The ranges as page-aligned, sorted stretches without overlaps.
fn joined(ranges: &[Range]) -> Vec<(u64, u64)> {
    let page = page_size();
    let mut sorted: Vec<(u64, u64)> = ranges
        .iter()
        .filter(|range| range.len > 0)
        .map(|range| {
            let end = range
                .end()
                .0
                .checked_next_multiple_of(page)
                .unwrap_or(u64::MAX / page * page);
            (range.start.0 / page * page, end)
        })
        .collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
    for (start, end) in sorted {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_cut_into_few_pieces_however_long_they_are() {
        let all = [
            (0x1000, 0x3000),
            (PIECE, 5 * PIECE + 0x1000),
            (1 << 40, 1 << 46),
            (1 << 50, !0xfff),
        ];
        for count in 0..=all.len() {
            let stretches = &all[..count];
            let pieces = pieces(stretches, bytes_of(stretches));
            assert!(pieces.len() as u64 <= 2 * MOST_PIECES, "{}", pieces.len());
            assert!(pieces.iter().all(|(start, end)| start < end && end % 0x1000 == 0));
            let mut joined: Vec<(u64, u64)> = Vec::new();
            for piece in pieces {
                match joined.last_mut().filter(|last| last.1 == piece.0) {
                    Some(last) => last.1 = piece.1,
                    None => joined.push(piece),
                }
            }
            assert_eq!(joined, stretches);
        }
    }
}
