//! A made-up program with something of everything.

use crate::synth::{FreeList, G, Held, P, Release, Span, Sweep, Synth};

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
