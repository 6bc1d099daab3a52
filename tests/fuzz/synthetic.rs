//! Made-up heaps with damage anywhere, through decoding and analysis to the report.

use gomemscan::memory::{Addr, Range};

use super::damage::Damageable;
use super::harness::Target;
use super::report::report;
use crate::lively::lively;
use crate::synth::Release;

/// The variables that a scan starts from.
const VARIABLES: [&str; 9] = [
    "mheap_",
    "sched",
    "memstats",
    "allgs",
    "allp",
    "work",
    "stackLarge",
    "gcController",
    "firstmoduledata",
];

#[test]
fn synthetic() {
    let mut heaps = Release::ALL.map(|release| {
        let target = lively(release).build();
        let of_variable = |name: &&str| Range::new(Addr(target.w.global(name)), target.w.types.global_size(name));
        let variables: Vec<Range> = VARIABLES.iter().map(of_variable).collect();
        (target.runtime(), Damageable::new(target.w.space, &variables))
    });
    let target = Target {
        name: "synthetic",
        runs: 1000,
        longest: 1024,
    };
    target.run(|input| {
        let Some((&which, rest)) = input.split_first() else {
            return;
        };
        let count = heaps.len();
        let (runtime, heap) = &mut heaps[usize::from(which) % count];
        heap.hit(rest, |space| drop(report(runtime, space)));
    });
}
