//! Live spans that begin inside others, which no two do in a heap that makes sense.

use super::super::mspan::Record;
use super::super::variants::PAGE_BYTES;

/// Bits of a place that hold the number of pages. What lies behind the first 16 GiB of a span is not compared.
const PAGES_BITS: u32 = 21;
const MOST_PAGES: u64 = (1 << PAGES_BITS) - 1;

/// First page and number of pages of a live span, in a number that sorts by the first.
pub(super) fn place(span: Record<'_>) -> u64 {
    ((span.start() / PAGE_BYTES) << PAGES_BITS) | span.npages().min(MOST_PAGES)
}

fn pages(place: u64) -> (u64, u64) {
    (place >> PAGES_BITS, place & MOST_PAGES)
}

/// Places of spans, those of exact neighbours as one: no span of such a run overlaps another of it, so where no runs
/// overlap no spans do.
#[derive(Default)]
pub(super) struct Runs {
    list: Vec<u64>,
    /// The one that was last made longer, and where it is in the list, which may hold it as it was.
    near: Option<u64>,
    at: usize,
}

impl Runs {
    /// Each P takes its spans from a piece of memory of its own, one behind the other, and gives them structures of a
    /// stack of its own, so that places come upwards or downwards (runtime/mheap.go `mspancache`).
    const LOOK_BACK: usize = 4;

    #[inline]
    pub(super) fn add(&mut self, place: u64) {
        if !self.near.as_mut().is_some_and(|run| prolong(run, place)) {
            self.put(place);
        }
    }

    #[cold]
    fn put(&mut self, place: u64) {
        self.put_back();
        let mut latest = self.list.iter_mut().enumerate().rev().take(Runs::LOOK_BACK);
        self.at = match latest.find_map(|(at, run)| prolong(run, place).then_some(at)) {
            Some(at) => at,
            None => {
                self.list.push(place);
                self.list.len() - 1
            }
        };
        self.near = self.list.get(self.at).copied();
    }

    fn put_back(&mut self) {
        if let Some((run, near)) = self.list.get_mut(self.at).zip(self.near) {
            *run = near;
        }
    }

    pub(super) fn sorted(mut self) -> Vec<u64> {
        self.put_back();
        self.list.sort_unstable();
        self.list
    }
}

/// Adds a place to a run that ends where it begins, or begins where it ends; whether there is such a one.
#[inline]
fn prolong(run: &mut u64, place: u64) -> bool {
    let ((start, count), (next, more)) = (pages(*run), pages(place));
    let first = match () {
        _ if start + count == next => start,
        _ if next + more == start => next,
        _ => return false,
    };
    let fits = count + more <= MOST_PAGES;
    if fits {
        *run = (first << PAGES_BITS) | (count + more);
    }
    fits
}

/// How many places begin inside one that begins before them.
pub(super) fn overlapping(mut places: Vec<u64>) -> u64 {
    // Makes use of the order in which they are already.
    places.sort();
    let (mut count, mut end) = (0, 0);
    for place in places {
        let (start, pages) = pages(place);
        count += u64::from(start < end);
        end = end.max(start + pages);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(page: u64, pages: u64) -> u64 {
        (page << PAGES_BITS) | pages
    }

    fn runs(places: &[u64]) -> Vec<u64> {
        let mut runs = Runs::default();
        places.iter().for_each(|place| runs.add(*place));
        runs.sorted()
    }

    #[test]
    fn spans_that_begin_inside_others_are_counted() {
        let places = [place(1, 2), place(3, 10), place(4, 1), place(12, 2), place(14, 1)];
        for cut in 0..=places.len() {
            let (one, other) = places.split_at(cut);
            assert_eq!(overlapping([other, one].concat()), 2);
        }
        assert_eq!(overlapping(Vec::new()), 0);
    }

    #[test]
    fn neighbours_become_one_run_also_where_several_grow_in_turn() {
        let places = [
            place(10, 2),
            place(100, 1),
            place(12, 1),
            place(101, 4),
            place(13, 7),
            place(7, 3),
        ];
        assert_eq!(runs(&places), [place(7, 13), place(100, 5)]);
        let long = [place(5, MOST_PAGES - 1), place(5 + MOST_PAGES - 1, 2)];
        assert_eq!(runs(&long), long);
    }

    #[test]
    fn runs_overlap_exactly_where_spans_do() {
        let mut seed = 1u64;
        let mut some = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut found = [0; 2];
        for round in 0..2000u64 {
            let room = 20 + round;
            let places: Vec<u64> = (0..6).map(|_| place(1 + some(room), 1 + some(4))).collect();
            let runs = runs(&places);
            let overlap = overlapping(places) > 0;
            assert_eq!(overlapping(runs) > 0, overlap, "round {round}");
            found[usize::from(overlap)] += 1;
        }
        assert!(found.iter().all(|count| *count > 100), "{found:?}");
    }
}
