//! Pacing: the heap goal by percent and by memory limit, computed by hand here, and the statistics.

use crate::books::assert_exact;
use crate::synth::{Gc, Held, P, Release, Span, Sweep, Synth, SynthTarget};

const MIB: u64 = 1 << 20;

fn goal(target: &SynthTarget) -> u64 {
    target.scan().snapshot.gc.unwrap().next_gc
}

/// A heap of 1000 pages in one object, marked, and nothing else; what is mapped is set by hand.
fn paced(release: Release, gc: Gc) -> SynthTarget {
    let mut target = Synth::release(release).span(Span::large(1000)).gc(gc).build();
    for (field, value) in [
        ("mappedReady", 300 * MIB),
        ("heapFree", 20 * MIB),
        ("heapMarked", 50 * MIB),
    ] {
        target.put(
            "runtime.gcControllerState",
            target.w.global("gcController"),
            field,
            value,
        );
    }
    target
}

/// 100 MiB allocated and not freed: what is not heap is 300 - 20 - 100 = 180 MiB.
fn gc() -> Gc {
    Gc {
        total_alloc: 150 * MIB,
        total_free: 50 * MIB,
        percent_goal: 120 * MIB,
        ..Gc::default()
    }
}

#[test]
fn without_a_limit_the_percent_goal_holds() {
    for release in Release::ALL {
        assert_eq!(goal(&paced(release, gc())), 120 * MIB);
        let gc = Gc {
            min_trigger: 130 * MIB,
            ..gc()
        };
        assert_eq!(goal(&paced(release, gc)), 130 * MIB);
    }
}

#[test]
fn a_cycle_that_was_triggered_late_moves_the_goal() {
    for release in Release::ALL {
        let late = Gc {
            triggered: 140 * MIB,
            ..gc()
        };
        assert_eq!(goal(&paced(release, late)), 140 * MIB + 65536);
        let early = Gc {
            triggered: 90 * MIB,
            ..gc()
        };
        assert_eq!(goal(&paced(release, early)), 120 * MIB);
    }
}

#[test]
fn the_limit_leaves_what_is_not_heap_and_a_headroom() {
    // 300 MiB mapped under a limit of 400: 400 - 180 = 220 MiB for the heap, above the percent goal.
    for release in Release::ALL {
        let gc = Gc {
            limit: 400 * MIB,
            ..gc()
        };
        assert_eq!(goal(&paced(release, gc)), 120 * MIB);
    }
    // A limit of 290: 10 over; 290 - (180 + 10) = 100 MiB. The headroom is 1 MiB up to 1.19, then 3 % in whole parts.
    let gc = Gc {
        limit: 290 * MIB,
        ..gc()
    };
    assert_eq!(goal(&paced(Release::Go119, gc.clone())), 99 * MIB);
    let headroom = 100 * MIB / 100 * 3;
    assert_eq!(headroom, 3_145_728);
    for release in [Release::Go122, Release::Go126] {
        assert_eq!(goal(&paced(release, gc.clone())), 100 * MIB - headroom);
    }
}

#[test]
fn with_gogc_off_the_limit_alone_sets_the_goal() {
    // 3 % of 220 MiB.
    let off = Gc {
        percent: -1,
        percent_goal: u64::MAX,
        limit: 400 * MIB,
        ..gc()
    };
    let target = paced(Release::Go126, off.clone());
    assert_eq!(goal(&target), 220 * MIB - 220 * MIB / 100 * 3);
    assert_eq!(target.scan().snapshot.gc.unwrap().gogc, None);
    let target = paced(Release::Go119, off);
    assert_eq!(goal(&target), 219 * MIB);
}

#[test]
fn a_limit_below_everything_leaves_the_marked_heap() {
    for release in Release::ALL {
        for limit in [0, MIB, 180 * MIB, 200 * MIB] {
            let gc = Gc { limit, ..gc() };
            assert_eq!(goal(&paced(release, gc)), 50 * MIB, "limit {limit}");
        }
    }
}

#[test]
fn without_gogc_and_without_limit_there_is_no_goal() {
    for release in Release::ALL {
        let off = Gc {
            percent: -1,
            percent_goal: u64::MAX,
            total_alloc: 0,
            total_free: 0,
            ..Gc::default()
        };
        let gc = Synth::release(release).gc(off).build().scan().snapshot.gc.unwrap();
        assert_eq!((gc.gogc, gc.memory_limit), (None, None));
    }
}

#[test]
fn absurd_pacing_wraps_as_the_runtime_does_and_never_panics() {
    let wild = [0, 1, u64::MAX, 1 << 63, i64::MAX as u64];
    for release in Release::ALL {
        for a in wild {
            for b in wild {
                let gc = Gc {
                    limit: a,
                    total_alloc: b,
                    total_free: a,
                    triggered: b,
                    percent_goal: u64::MAX,
                    ..gc()
                };
                let mut target = paced(release, gc);
                let at = target.w.global("gcController");
                for field in ["mappedReady", "heapFree", "heapMarked", "sweepDistMinTrigger"] {
                    target.put("runtime.gcControllerState", at, field, b);
                }
                let scan = target.scan();
                crate::analyse::everything(&target, &scan);
            }
        }
    }
}

#[test]
fn a_phase_that_the_runtime_does_not_have_spoils_the_collector_alone() {
    let mut target = Synth::release(Release::Go126).span(Span::large(3)).build();
    for (phase, known) in [(0u32, true), (1, true), (2, true), (3, false), (u32::MAX, false)] {
        target.w.space.write(target.w.global("gcphase"), &phase.to_le_bytes());
        let scan = target.scan();
        assert_eq!(scan.snapshot.gc.is_ok(), known);
        assert!(scan.snapshot.places.is_ok() && scan.snapshot.memstats.is_ok());
    }
}

#[test]
fn memstats_replay_the_flush_of_every_mcache() {
    for release in Release::ALL {
        let cached = |p: usize, class: u8, count: u64| {
            Span::small(release, class, count)
                .sweep(Sweep::Cached)
                .unflushed(count)
                .held([Held::Mcache(p)])
        };
        let target = Synth::release(release)
            .ps([
                P {
                    tiny_allocs: 40,
                    ..P::default()
                },
                P {
                    tiny_allocs: 2,
                    ..P::default()
                },
            ])
            .spans([cached(0, 5, 100), cached(1, 5, 7), cached(1, 90, 1), cached(0, 91, 0)])
            .span(Span::small(release, 20, 30))
            .build();
        assert_exact(&target);
        let stats = target.scan().snapshot.memstats.unwrap();
        assert_eq!(stats.heap_objects, 100 + 7 + 1 + 30);
        assert_eq!(stats.heap_alloc, target.truth.allocated);
        assert_eq!(
            (stats.mallocs, stats.total_alloc),
            (target.truth.mallocs, target.truth.total_alloc)
        );
        assert_eq!(stats.heap_stats.tiny_alloc_count, 1234);
        assert_eq!(
            (stats.sys, stats.heap_inuse),
            (target.truth.sys, target.truth.heap_in_use)
        );
        assert_eq!(stats.stack_inuse, target.truth.stacks);
        assert_eq!((stats.pauses_ns, stats.num_gc), (vec![300, 200, 100], 3));
    }
}

#[test]
fn one_generation_of_the_statistics_may_be_negative() {
    let target = Synth::release(Release::Go122).span(Span::large(3)).build();
    let stats = target
        .w
        .at("runtime.mstats", target.w.global("memstats"), "heapStats.stats");
    let released = target.w.get("runtime.heapStatsDelta", stats + 1176, "released");
    assert!((released as i64) < 0);
    let read = target.scan().snapshot.memstats.unwrap().heap_stats;
    assert_eq!(read.released as u64, target.truth.heap_released);
    assert_eq!(read.in_ptr_scalar_bits, 0);
}

#[test]
fn pauses_are_a_ring() {
    let mut target = Synth::release(Release::Go126).build();
    let at = target.w.global("memstats");
    for cycle in 0..300u64 {
        let slot = target.w.at("runtime.mstats", at, "pause_ns") + cycle % 256 * 8;
        target.w.put_word(slot, cycle);
    }
    target.put("runtime.mstats", at, "numgc", 300);
    let pauses = target.scan().snapshot.memstats.unwrap().pauses_ns;
    assert_eq!((pauses.len(), pauses[0], pauses[255]), (256, 299, 44));
}
