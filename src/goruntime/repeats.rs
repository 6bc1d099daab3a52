//! Long lists of structures. In a damaged or hostile target an array of pointers can name the same few structures many
//! millions of times: what is made of them must not take more memory than the structures do.

use std::collections::HashSet;

use crate::memory::Addr;

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
