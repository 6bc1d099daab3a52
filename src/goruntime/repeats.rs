//! Long lists of structures. In a damaged or hostile target an array of pointers can name the same few structures many
//! millions of times: what is made of them must not take more memory than the structures do.

use std::collections::HashSet;

use super::cursor::GoSlice;
use crate::memory::{Addr, Memory};

/// So many pointers are not believed unseen.
const MANY: u64 = 1 << 20;
/// How many of them are looked at, and how many of these may be the same.
const LOOKS: u64 = 1024;
const MOST_REPEATED: usize = 16;

/// Whether a slice of very many pointers, which has been captured, leads to few structures again and again.
pub fn names_few(memory: &dyn Memory, pointers: &GoSlice) -> bool {
    let bytes = usize::try_from(pointers.len.saturating_mul(8)).unwrap_or(usize::MAX);
    pointers.len >= MANY && memory.bytes(pointers.ptr, bytes).is_ok_and(repeats_itself)
}

/// Whether a long array of pointers leads to so few structures that a look here and there finds the same ones. No array
/// of the runtime does, and a record for each pointer would take far more memory than the target has.
fn repeats_itself(pointers: &[u8]) -> bool {
    let (pointers, _) = pointers.as_chunks::<8>();
    let looks = (0..LOOKS).map(|look| look.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (pointers.len() as u64).max(1));
    let mut seen: Vec<&[u8; 8]> = looks.filter_map(|index| pointers.get(index as usize)).collect();
    seen.sort_unstable();
    let before = seen.len();
    seen.dedup();
    before - seen.len() > MOST_REPEATED
}

/// Entries of a list that nobody looks at twice.
pub const UNSUSPECTED: usize = 1 << 21;

/// Keeps a growing list about as short as the number of different structures in it.
#[derive(Debug)]
pub struct Repeats {
    limit: usize,
    /// Entries dropped, because their structure was in the list already.
    pub dropped: u64,
}

impl Default for Repeats {
    fn default() -> Repeats {
        Repeats::looking_from(UNSUSPECTED)
    }
}

impl Repeats {
    fn looking_from(limit: usize) -> Repeats {
        Repeats { limit, dropped: 0 }
    }

    /// To be called after each addition. A list that has doubled since the last look and is half repetitions loses
    /// these; one of different structures costs a sort of their addresses each time it doubles.
    pub fn drop_from<T>(&mut self, list: &mut Vec<T>, addr: impl Fn(&T) -> Addr) {
        if list.len() < self.limit {
            return;
        }
        let mut different: Vec<Addr> = list.iter().map(&addr).collect();
        different.sort_unstable();
        different.dedup();
        let before = list.len();
        if different.len() <= before / 2 {
            let mut seen = HashSet::with_capacity(different.len());
            list.retain(|item| seen.insert(addr(item)));
            self.dropped = self.dropped.saturating_add((before - list.len()) as u64);
        }
        self.limit = self.limit.max(list.len().saturating_mul(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_structures_named_often_are_noticed() {
        let array = |of: u64| -> Vec<u8> { (0..1u64 << 20).flat_map(|n| (n % of * 160).to_le_bytes()).collect() };
        assert!(repeats_itself(&array(1)));
        assert!(repeats_itself(&array(1000)));
        assert!(!repeats_itself(&array(1 << 20)));
        assert!(!repeats_itself(&[]));
    }

    fn listed(pointers: impl Iterator<Item = u64>) -> (Vec<u64>, u64, usize) {
        let mut repeats = Repeats::looking_from(16);
        let (mut list, mut longest) = (Vec::new(), 0);
        for pointer in pointers {
            list.push(pointer);
            longest = longest.max(list.len());
            repeats.drop_from(&mut list, |&pointer| Addr(pointer));
        }
        (list, repeats.dropped, longest)
    }

    #[test]
    fn few_structures_named_often_stay_few() {
        let (list, dropped, longest) = listed((0..10_000).map(|n| n % 7));
        assert_eq!(list.len() as u64 + dropped, 10_000);
        assert_eq!(&list[..7], [0, 1, 2, 3, 4, 5, 6]);
        assert!(longest <= 16, "{longest}");
    }

    #[test]
    fn different_structures_all_stay() {
        let (list, dropped, _) = listed(0..10_000);
        assert_eq!((list.len(), dropped), (10_000, 0));
    }
}
