//! Work on very many things by two threads, where the second would have a CPU to itself: each takes a part and, done with
//! it, the next one, so that neither waits long for the other.

use std::ops::Range as Indices;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{beside, cpu};

/// Fewer things than this are not worth a second thread.
const WORTH_SHARING: usize = 16 << 10;
/// Parts that many things are cut into.
const PARTS: usize = 16;

/// Does something with the indices below `count`, each of which stands for `weight` things, part by part: on one thread,
/// on two where there are many and a CPU to spare. What a thread begins with, and adds to, is its own; all that were made come back.
pub fn in_parts<S: Send>(
    count: usize,
    weight: usize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Indices<usize>) + Sync,
) -> Vec<S> {
    if count.saturating_mul(weight) < WORTH_SHARING {
        let mut state = begin();
        work(&mut state, 0..count);
        return vec![state];
    }
    let len = count.div_ceil(PARTS);
    let taken = AtomicUsize::new(0);
    let by_one = || {
        let mut state = begin();
        loop {
            let start = taken.fetch_add(1, Ordering::Relaxed).saturating_mul(len);
            if start >= count {
                return state;
            }
            work(&mut state, start..start.saturating_add(len).min(count));
        }
    };
    match cpu() {
        true => <[S; 2]>::from(beside(by_one, by_one)).into(),
        false => vec![by_one()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for (count, weight) in [
            (0, 1),
            (1, 1),
            (WORTH_SHARING - 1, 1),
            (WORTH_SHARING, 1),
            (2 * WORTH_SHARING + 1, 1),
            (1, usize::MAX),
            (3, WORTH_SHARING),
            (0, WORTH_SHARING),
        ] {
            let states = in_parts(count, weight, Vec::new, |taken, part| taken.push(part));
            let mut parts: Vec<Indices<usize>> = states.into_iter().flatten().collect();
            parts.sort_unstable_by_key(|part| part.start);
            assert!(parts.into_iter().flatten().eq(0..count), "{count} of {weight}");
        }
    }
}
