//! Ps live and retired, and what each keeps.

use gomemscan::analysis;
use gomemscan::memory::{Addr, Memory};

use crate::books::assert_exact;
use crate::synth::{Held, P, PAGE, Release, Scan, Span, Sweep, Synth};

#[test]
fn retired_ps_stay_behind_the_length_of_allp() {
    for release in Release::ALL {
        let target = Synth::release(release)
            .ps((0..3).map(|_| P::default()))
            .retired(5, 5)
            .build();
        assert_exact(&target);
        let ps = target.scan().snapshot.processors.unwrap();
        assert_eq!(
            (ps.live.len(), ps.retired, ps.free_mcaches, ps.gomaxprocs),
            (3, 5, Some(5), 3)
        );
        assert_eq!((ps.unreadable, ps.idle_by_sched), (0, 3));
    }
}

#[test]
fn a_p_that_is_listed_twice_counts_once() {
    for release in Release::ALL {
        let mut target = Synth::release(release).ps((0..3).map(|_| P::default())).build();
        let allp = target.w.space.bytes(Addr(target.w.global("allp")), 8).unwrap();
        let array = u64::from_le_bytes(allp.try_into().unwrap());
        target.w.put_word(array + 8, target.processors.ps[0]);
        let ps = target.scan().snapshot.processors.unwrap();
        assert_eq!((ps.live.len(), ps.unreadable), (2, 1));
    }
}

#[test]
fn each_p_shows_what_it_keeps() {
    for release in Release::ALL {
        let p = P {
            status: 1,
            sudogs: 9,
            defers: 4,
            timers: 77,
            queued: 200,
            run_next: true,
            free_mspans: 60,
            stack_cache: [2048, 0, 8192, 16384],
            page_cache: Some((0b1111, 0b1000)),
            ..P::default()
        };
        let target = Synth::release(release)
            .ps([P::default(), p])
            .span(
                Span::small(release, 20, 9)
                    .sweep(Sweep::Cached)
                    .unflushed(1)
                    .held([Held::Mcache(1)]),
            )
            .build();
        assert_exact(&target);
        let scan = target.scan();
        let sums = Scan::sums(&scan.snapshot, None, None);
        let rows = analysis::processors(&scan.snapshot.processors.unwrap(), sums.as_ref(), Some(10));
        let row = &rows[1];
        assert_eq!(
            (row.sudogs, row.defers, row.timers, row.run_queue),
            (Some(9), Some(4), Some(77), Some(201))
        );
        assert_eq!((row.cached_spans, row.page_cache_bytes), (Some(60), Some(3 * PAGE)));
        let mcache = row.mcache.as_ref().unwrap();
        assert_eq!((mcache.spans, mcache.span_bytes, mcache.flushed), (1, PAGE, true));
        assert_eq!(mcache.stack_cache_bytes, Some(26624));
        assert_eq!(rows[0].mcache.as_ref().unwrap().spans, 0);
    }
}

#[test]
fn a_p_inside_an_update_of_the_statistics_says_so() {
    let target = Synth::release(Release::Go126)
        .ps([
            P::default(),
            P {
                updating_stats: true,
                ..P::default()
            },
        ])
        .build();
    let ps = target.scan().snapshot.processors.unwrap();
    assert_eq!(
        ps.live.iter().map(|p| p.updating_stats).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn impossible_ps_are_counted_and_the_others_read() {
    for (field, value) in [
        ("status", 5),
        ("status", 0xffff_ffff),
        ("mcache", 8),
        ("mcache", u64::MAX),
    ] {
        let mut target = Synth::release(Release::Go126).ps((0..3).map(|_| P::default())).build();
        target.put("runtime.p", target.processors.ps[1], field, value);
        let ps = target.scan().snapshot.processors.unwrap();
        assert_eq!((ps.live.len(), ps.unreadable), (2, 1), "{field} = {value:#x}");
        assert!(ps.first_error.is_some());
    }
}

#[test]
fn allp_of_impossible_capacity_is_an_error_at_once() {
    for (len, cap) in [(3, u64::MAX), (3, 1 << 17), (4, 3), (u64::MAX, u64::MAX)] {
        let mut target = Synth::release(Release::Go126).ps((0..3).map(|_| P::default())).build();
        let array = target.w.global("allp");
        target.w.put_slice_at(array, (array, len, cap));
        let scan = target.scan();
        assert!(scan.snapshot.processors.is_err());
        assert!(scan.captured.len() < 64 << 20);
    }
}
