//! The books balance: on a sane heap every check holds with a difference of exactly zero.

use gomemscan::model::Check;

use crate::lively::lively;
use crate::synth::{PAGE, Release, Synth, SynthTarget};

/// Runs a scan of which nothing was forgotten and every check holds to the byte.
pub fn assert_exact(target: &SynthTarget) {
    let scan = target.scan();
    let wrong: Vec<Check> = target
        .checks(&scan)
        .into_iter()
        .filter(|check| check.difference != 0)
        .collect();
    assert!(wrong.is_empty(), "{:?}: {wrong:#?}", target.w.types.release);
    let forgotten = scan.captured.forgotten.borrow();
    assert!(forgotten.is_empty(), "planners forgot {forgotten:?}");
    let read = &scan.snapshot;
    let sections = [
        read.spans.as_ref().err(),
        read.pages.as_ref().err(),
        read.arenas.as_ref().err(),
        read.processors.as_ref().err(),
        read.places.as_ref().err(),
        read.manual.as_ref().err(),
        read.memstats.as_ref().err(),
        read.goroutines.as_ref().err(),
        read.gc.as_ref().err(),
    ];
    assert_eq!(sections.into_iter().flatten().next(), None);
}

#[test]
fn every_check_holds_exactly_on_a_sane_heap() {
    for release in Release::ALL {
        assert_exact(&lively(release).build());
    }
}

#[test]
fn a_heap_without_a_single_span_is_a_heap() {
    for release in Release::ALL {
        let target = Synth::release(release).ps([]).build();
        assert_exact(&target);
        let scan = target.scan();
        assert_eq!(scan.snapshot.spans.unwrap().live, 0);
        assert_eq!(scan.snapshot.memstats.unwrap().heap_alloc, 0);
    }
    assert_eq!(PAGE, 8192);
}
