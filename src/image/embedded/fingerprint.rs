//! The minor release of a program that does not name it, from the functions that are linked into every program.
//!
//! A marker is a function that every program of some consecutive minor releases has, and whose name no other release
//! declares. One that is there is strong evidence; one that is not may have been inlined away.

use super::table::Releases;
use crate::image::pclntab::MAGIC_GO118;

/// The minor release that changed the magic of `runtime.pcHeader`.
const FIRST_WITH_NEW_MAGIC: u32 = 20;

impl Releases {
    /// The functions that [`fingerprint`](Self::fingerprint) asks for.
    pub fn markers(&self) -> impl Iterator<Item = &'static str> {
        self.markers.iter().map(|marker| marker.function)
    }

    /// The minor releases whose markers agree best with the program, newest first; more than one when they cannot be
    /// told apart, none when the program has not a single marker. `linked` says whether a function is in the program's
    /// pclntab, `magic` is that of its header. A release newer than the table looks like the newest in it.
    pub fn fingerprint(&self, linked: &dyn Fn(&str) -> bool, magic: u32) -> Vec<u32> {
        let there: Vec<bool> = self.markers.iter().map(|marker| linked(marker.function)).collect();
        if !there.contains(&true) {
            return Vec::new();
        }
        let mut minors: Vec<u32> = self.rows.iter().map(|row| row.release.minor).collect();
        minors.sort_unstable_by(|a, b| b.cmp(a));
        minors.dedup();
        minors.retain(|minor| (magic == MAGIC_GO118) == (*minor < FIRST_WITH_NEW_MAGIC));
        // First by markers that contradict, then by markers that are missed.
        let against = |minor: u32| {
            let (mut foreign, mut missed) = (0u32, 0u32);
            for (marker, there) in self.markers.iter().zip(&there) {
                match ((marker.first..=marker.last).contains(&minor), *there) {
                    (false, true) => foreign += 1,
                    (true, false) => missed += 1,
                    _ => {}
                }
            }
            (foreign, missed)
        };
        let best = minors.iter().map(|minor| against(*minor)).min();
        minors.retain(|minor| Some(against(*minor)) == best);
        minors
    }
}
