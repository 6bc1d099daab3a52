//! Goroutines by status, wait reason, creator and age; gs that make no sense.

use gomemscan::analysis;
use gomemscan::model::Goroutines;

use crate::books::assert_exact;
use crate::synth::{FreeList, G, Release, Synth, SynthTarget};

const SECOND: u64 = 1_000_000_000;

fn section(target: &SynthTarget, now: u64) -> Goroutines {
    let scan = target.scan();
    let reasons = ["", "GC assist marking", "IO wait", "chan receive"].map(str::to_owned);
    let gs = scan.snapshot.goroutines.as_ref().unwrap();
    analysis::goroutines(gs, &scan.variant, &target.frames(&scan), &reasons, Some(now))
}

#[test]
fn goroutines_group_by_status_reason_and_creator() {
    for release in Release::ALL {
        let made = |count: u64, creator: &'static str, reason: u64| {
            (0..count).map(move |n| G {
                creator,
                ..G::waiting("main.worker", reason, (n + 1) * SECOND)
            })
        };
        let target = Synth::release(release)
            .goroutine(G::status("runtime.main", 2))
            .goroutines(made(5, "main.accept", 2))
            .goroutines(made(3, "main.accept", 3))
            .goroutines(made(4, "main.poll", 2))
            .goroutine(G::status("runtime.bgsweep", 1))
            .build();
        assert_exact(&target);
        let section = section(&target, 100 * SECOND);
        assert_eq!(
            (section.total, section.user, section.system),
            (Some(14), Some(13), Some(1))
        );
        let groups = section.groups.unwrap();
        let top: Vec<_> = groups
            .iter()
            .take(3)
            .map(|group| {
                (
                    group.count,
                    group.reason.as_deref(),
                    group.function.as_deref(),
                    group.oldest_wait_ns,
                )
            })
            .collect();
        let accept = Some("main.accept");
        assert_eq!(
            top,
            [
                (5, Some("IO wait"), accept, Some(99 * SECOND)),
                (4, Some("IO wait"), Some("main.poll"), Some(99 * SECOND)),
                (3, Some("chan receive"), accept, Some(99 * SECOND)),
            ]
        );
        let statuses = section.by_status.unwrap();
        assert_eq!(
            (statuses["waiting"], statuses["running"], statuses["runnable"]),
            (12, 1, 1)
        );
    }
}

#[test]
fn ages_fall_into_their_bins() {
    let now = 200_000 * SECOND;
    let ages = [
        0,
        SECOND - 1,
        SECOND,
        9 * SECOND,
        10 * SECOND,
        59 * SECOND,
        3600 * SECOND,
        86_400 * SECOND,
    ];
    let target = Synth::release(Release::Go126)
        .goroutines(ages.map(|age| G::waiting("main.worker", 2, now - age)))
        .goroutines([0, now + 1, u64::MAX].map(|since| G::waiting("main.worker", 2, since)))
        .build();
    let histogram = section(&target, now).age_histogram.unwrap();
    assert_eq!(histogram.counts, [2, 2, 2, 0, 0, 1, 0, 1]);
    assert_eq!(histogram.unstamped, Some(3));
}

#[test]
fn the_scan_bit_is_no_status_of_its_own() {
    let target = Synth::release(Release::Go126)
        .goroutines([4 | 0x1000, 2 | 0x1000].map(|status| G::status("main.worker", status)))
        .build();
    let statuses = section(&target, 0).by_status.unwrap();
    assert_eq!((statuses["waiting"], statuses["running"]), (1, 1));
}

#[test]
fn statuses_that_the_runtime_does_not_have_are_impossible() {
    for status in [5, 7, 12, 0xfff, 0xffff_ffff] {
        let target = Synth::release(Release::Go126)
            .goroutines([4, status, 4].map(|status| G::status("main.worker", status)))
            .build();
        let gs = target.scan().snapshot.goroutines.unwrap();
        assert_eq!((gs.all.len(), gs.impossible), (2, 1), "{status:#x}");
    }
}

#[test]
fn leaked_and_foreign_goroutines_exist_from_1_26_on() {
    for (release, known) in [(Release::Go122, false), (Release::Go126, true)] {
        let target = Synth::release(release)
            .goroutines([10, 11].map(|status| G::status("main.worker", status)))
            .build();
        let scan = target.scan();
        let gs = scan.snapshot.goroutines.as_ref().unwrap();
        assert_eq!(gs.impossible, if known { 0 } else { 2 });
        assert_eq!(gs.alive(&scan.variant).count(), usize::from(known));
    }
}

#[test]
fn the_finalizer_goroutine_is_the_programs_while_it_runs_a_finalizer() {
    for release in Release::ALL {
        let mut target = Synth::release(release)
            .goroutine(G::waiting("runtime.runfinq", 2, 0))
            .build();
        assert_eq!(section(&target, 0).user, Some(0));
        let (name, value) = if release == Release::Go119 {
            ("fingRunning", 1)
        } else {
            ("fingStatus", 2 | 1)
        };
        target.w.put_word(target.w.global(name), value);
        assert_eq!(section(&target, 0).user, Some(1));
        assert_exact(&target);
    }
}

#[test]
fn allgs_of_impossible_length_is_an_error_at_once() {
    for (len, cap) in [(u64::MAX, u64::MAX), (1 << 60, 1 << 60), (1 << 28, 1 << 28), (9, 8)] {
        let mut target = Synth::release(Release::Go126)
            .goroutine(G::status("runtime.main", 2))
            .build();
        let header = target.w.global("allgs");
        let array = target.gs[0];
        target.w.put_slice_at(header, (array, len, cap));
        let scan = target.scan();
        assert!(scan.snapshot.goroutines.is_err());
        assert!(scan.snapshot.spans.is_ok() && scan.snapshot.processors.is_ok());
    }
}

#[test]
fn single_bad_gs_are_counted_and_the_others_read() {
    let gs = (0..5).map(|_| G::status("main.worker", 4));
    let mut target = Synth::release(Release::Go126)
        .goroutines(gs)
        .goroutine(G::dead(FreeList::SchedStack, 0))
        .build();
    target.lose(target.gs[1]);
    target.lose(target.gs[3] + 448);
    let gs = target.scan().snapshot.goroutines.unwrap();
    assert_eq!((gs.all.len(), gs.unreadable), (4, 2));
}
