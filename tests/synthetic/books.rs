//! The books balance: on a sane heap every check holds with a difference of exactly zero.

use gomemscan::model::Check;

use crate::synth::{FreeList, G, Held, P, PAGE, Release, Span, Sweep, Synth, SynthTarget};

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

/// Something of everything.
pub fn lively(release: Release) -> Synth {
    let small = (2..136).map(|class| {
        let sweep = Sweep::ALL[usize::from(class) % 3];
        Span::small(release, class, 3).sweep(sweep)
    });
    Synth::release(release)
        .spans(small)
        .span(Span::small(release, 10, 5).sweep(Sweep::Cached).unflushed(2))
        .span(
            Span::small(release, 11, 4)
                .sweep(Sweep::Cached)
                .unflushed(4)
                .held([Held::Mcache(1)]),
        )
        .span(Span::small(release, 12, 9).sweep(Sweep::CachedStale))
        .spans([Span::large(9), Span::large(1000).sweep(Sweep::Needed).marks([])])
        .spans([
            Span::stack_pool(0, 16),
            Span::stack_pool(1, 3),
            Span::large_stack(4, false),
            Span::large_stack(8, true),
        ])
        .spans([
            Span::work_buffer(true),
            Span::work_buffer(false),
            Span::work_buffer(true),
        ])
        .spans([Span::dead(), Span::dead()])
        .ps([
            P {
                page_cache: Some((0xff00_ff00_1234_5678, 0x0f00_0000_1200_5000)),
                free_mspans: 7,
                ..P::default()
            },
            P {
                status: 1,
                tiny_allocs: 12,
                stack_cache: [4096, 0, 16384, 0],
                timers: 3,
                queued: 5,
                ..P::default()
            },
        ])
        .retired(2, 3)
        .goroutine(G::status("runtime.main", 2))
        .goroutines((0..4).map(|_| G::waiting("runtime.gcBgMarkWorker", 3, 0)))
        .goroutines((0..20).map(|n| G::waiting("main.worker", n % 5, n * 1_000_000_000)))
        .goroutines(
            [FreeList::P(0), FreeList::P(1), FreeList::P(1), FreeList::SchedStack].map(|list| G::dead(list, 2048)),
        )
        .goroutine(G::dead(FreeList::SchedNoStack, 0))
        .padding(if release == Release::Go126 { 330 } else { 0 })
        .idle(100)
        .second_region(0x1c0_0000_0000, 77)
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
