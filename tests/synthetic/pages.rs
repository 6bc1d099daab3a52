//! Pages that belong to no span: idle, released, in page caches, padding.

use gomemscan::goruntime::pagealloc::{PageAlloc, PageState};
use gomemscan::memory::Range;

use crate::books::assert_exact;
use crate::synth::{P, PAGE, Release, Span, Synth, SynthTarget};

fn pages(target: &SynthTarget) -> PageAlloc {
    target.scan().snapshot.pages.unwrap()
}

fn run_bytes(pages: &PageAlloc, wanted: PageState) -> u64 {
    pages
        .runs
        .iter()
        .filter(|(state, _)| *state == wanted)
        .map(|(_, run)| run.len)
        .sum()
}

#[test]
fn padding_is_released_and_in_no_span() {
    for padding in [1, 330, 511] {
        let target = Synth::release(Release::Go126)
            .padding(padding)
            .span(Span::large(3))
            .idle(2)
            .build();
        assert_exact(&target);
        let pages = pages(&target);
        assert_eq!((pages.padding, pages.pages_in_spans()), (padding, Some(3)));
        assert_eq!(run_bytes(&pages, PageState::Padding), padding * PAGE);
    }
}

#[test]
fn a_page_cache_counts_what_it_has_not_handed_out() {
    for (free, scavenged) in [
        (u64::MAX, 0),
        (u64::MAX, u64::MAX),
        (0x0f0f_1234_0000_00ff, 0x0f00_1000_0000_000f),
        (1 << 63, 1 << 63),
        (0, 0),
    ] {
        for release in Release::ALL {
            let p = P {
                page_cache: Some((free, scavenged)),
                ..P::default()
            };
            let target = Synth::release(release)
                .ps([p.clone(), P::default(), p])
                .span(Span::large(7))
                .build();
            assert_exact(&target);
            let pages = pages(&target);
            let (idle, released) = (
                2 * (free & !scavenged).count_ones(),
                2 * (free & scavenged).count_ones(),
            );
            assert_eq!(
                (pages.cached_idle, pages.cached_released),
                (idle.into(), released.into())
            );
            assert_eq!(run_bytes(&pages, PageState::CachedIdle), u64::from(idle) * PAGE);
        }
    }
}

#[test]
fn a_page_cache_at_the_end_of_memory_has_no_runs() {
    let p = P {
        page_cache: Some((u64::MAX, 0)),
        ..P::default()
    };
    let mut target = Synth::release(Release::Go126).ps([p]).build();
    for base in [u64::MAX, u64::MAX - 63, !(64 * PAGE - 1), 8192, 1] {
        target.put("runtime.p", target.processors.ps[0], "pcache.base", base);
        let pages = pages(&target);
        assert_eq!(
            (pages.cached_idle, run_bytes(&pages, PageState::CachedIdle)),
            (64, 0),
            "{base:#x}"
        );
    }
}

#[test]
fn runs_cover_exactly_the_pages_that_are_counted() {
    for release in Release::ALL {
        let target = crate::lively::lively(release).build();
        let pages = pages(&target);
        for (state, count) in [
            (PageState::Idle, pages.idle),
            (PageState::Released, pages.released),
            (PageState::Padding, pages.padding),
            (PageState::CachedIdle, pages.cached_idle),
            (PageState::CachedReleased, pages.cached_released),
        ] {
            assert_eq!(run_bytes(&pages, state), count * PAGE, "{state:?}");
        }
        let mut runs: Vec<Range> = pages.runs.iter().map(|(_, run)| *run).collect();
        runs.extend(
            target
                .spans
                .iter()
                .filter(|span| span.spec.pages > 0)
                .map(|span| Range::new(gomemscan::memory::Addr(span.start), span.spec.bytes())),
        );
        runs.sort_unstable();
        assert!(
            runs.windows(2).all(|pair| pair[0].end() <= pair[1].start),
            "a page is in two places"
        );
        let owned: u64 = pages.in_use.iter().map(|range| range.len).sum();
        assert_eq!(runs.iter().map(|run| run.len).sum::<u64>(), owned);
    }
}

#[test]
fn a_heap_over_several_address_ranges_is_read_whole() {
    // The second range has another first-level entry of the chunk map, far from the first.
    for base in [0x1c0_0000_0000, 0x7000_0000_0000] {
        let target = Synth::release(Release::Go122)
            .span(Span::large(700))
            .second_region(base, 5000)
            .build();
        assert_exact(&target);
        assert_eq!(pages(&target).in_use.len(), 2);
    }
}

#[test]
fn impossible_address_ranges_are_refused_at_once() {
    let target = || {
        Synth::release(Release::Go126)
            .span(Span::large(7))
            .second_region(0x7000_0000_0000, 9)
            .build()
    };
    let mheap = target().w.global("mheap_");
    for (len, cap) in [(u64::MAX, u64::MAX), (1 << 40, 1 << 40), (3, 2), (1 << 20, 1 << 20)] {
        let mut target = target();
        let array = target.w.get("runtime.mheap", mheap, "pages.inUse.ranges");
        target
            .w
            .put_slice("runtime.mheap", mheap, "pages.inUse.ranges", (array, len, cap));
        let scan = target.scan();
        assert!(scan.snapshot.pages.is_err() && scan.snapshot.arenas.is_err());
        assert!(scan.captured.len() < 64 << 20);
    }
    for (word, value) in [
        (0, 1),
        (0, u64::MAX),
        (1, 0),
        (1, u64::MAX),
        (1, !0x3f_ffff),
        (2, 0),
        (2, 0xc0_0000_0000),
        (3, 0x8000_0000_0000_0000),
    ] {
        let mut target = target();
        let array = target.w.get("runtime.mheap", mheap, "pages.inUse.ranges");
        target.w.put_word(array + word * 8, value);
        assert!(target.scan().snapshot.pages.is_err(), "word {word} = {value:#x}");
    }
}

#[test]
fn a_chunk_whose_bitmap_is_lost_is_counted() {
    let mut target = Synth::release(Release::Go126).span(Span::large(700)).build();
    let mheap = target.w.global("mheap_");
    let l1 = ((target.spans[0].start + (1 << 47)) / (4 << 20)) >> 13;
    target.w.put_word(
        target.w.at("runtime.mheap", mheap, "pages.chunks") + l1 * 8,
        u64::MAX - 64,
    );
    let pages = pages(&target);
    assert_eq!((pages.unreadable_chunks, pages.allocated), (2, 0));
}
