//! Lists that run in circles, into each other, or nowhere: followed once, counted as broken, never for ever.

use crate::books::assert_exact;
use crate::synth::{FreeList, G, P, Release, Span, Synth, SynthTarget};

#[test]
fn a_circle_of_work_buffers_is_broken_and_counted_once() {
    let buffers = (0..4).map(|_| Span::work_buffer(true));
    let mut target = Synth::release(Release::Go126).spans(buffers).build();
    target.put_span(3, "next", target.spans[1].addr);
    let manual = target.scan().snapshot.manual.unwrap();
    assert_eq!(
        (manual.work_buffer_bytes, manual.broken_lists),
        (target.truth.work_buffers, 1)
    );
}

#[test]
fn a_large_stack_on_two_lists_is_free_once() {
    let mut target = Synth::release(Release::Go122)
        .spans([
            Span::large_stack(4, true),
            Span::large_stack(8, true),
            Span::large_stack(16, true),
        ])
        .build();
    target.put_span(0, "next", target.spans[1].addr);
    target.put_span(2, "next", target.spans[2].addr);
    let manual = target.scan().snapshot.manual.unwrap();
    assert_eq!(manual.large_free_bytes, target.truth.stacks);
    assert_eq!(manual.broken_lists, 2);
}

#[test]
fn a_list_that_leads_to_a_heap_span_or_nowhere_is_broken() {
    for next in [8, u64::MAX, 0x7f10_0000_0003] {
        let mut target = Synth::release(Release::Go126)
            .spans([Span::work_buffer(false), Span::large(2)])
            .build();
        target.put_span(0, "next", next);
        assert_eq!(target.scan().snapshot.manual.unwrap().broken_lists, 1);
        target.put_span(0, "next", target.spans[1].addr);
        assert_eq!(target.scan().snapshot.manual.unwrap().broken_lists, 1);
    }
}

fn dead(release: Release) -> SynthTarget {
    let lists = [
        FreeList::P(0),
        FreeList::P(0),
        FreeList::SchedStack,
        FreeList::SchedStack,
        FreeList::SchedNoStack,
    ];
    Synth::release(release)
        .goroutines(lists.map(|list| G::dead(list, 2048)))
        .build()
}

#[test]
fn dead_goroutines_are_found_on_their_lists() {
    for release in Release::ALL {
        let target = dead(release);
        assert_exact(&target);
        let free = target.scan().snapshot.goroutines.unwrap().free;
        assert_eq!((free.in_processors, free.with_stack, free.without_stack), (2, 2, 1));
        assert_eq!(
            (free.by_counters, free.broken_lists, free.stack_bytes),
            (5, 0, 5 * 2048)
        );
    }
}

#[test]
fn a_circle_of_dead_goroutines_is_broken_and_counted_once() {
    let mut target = dead(Release::Go126);
    target.put("runtime.g", target.gs[1], "schedlink", target.gs[0]);
    target.put("runtime.g", target.gs[3], "schedlink", target.gs[3]);
    let free = target.scan().snapshot.goroutines.unwrap().free;
    assert_eq!((free.total(), free.broken_lists), (5, 2));
}

#[test]
fn lists_that_run_into_each_other_count_nobody_twice() {
    let mut target = dead(Release::Go122);
    target.put("runtime.g", target.gs[1], "schedlink", target.gs[2]);
    let free = target.scan().snapshot.goroutines.unwrap().free;
    assert_eq!((free.total(), free.broken_lists), (5, 1));
}

#[test]
fn a_living_goroutine_on_a_free_list_breaks_it() {
    let mut target = dead(Release::Go126);
    target.put("runtime.g", target.gs[1], "atomicstatus", 4);
    let free = target.scan().snapshot.goroutines.unwrap().free;
    assert_eq!((free.in_processors, free.broken_lists), (1, 1));
}

#[test]
fn free_mcaches_are_counted_however_many_there_are() {
    for free in [0, 1, 3, 255] {
        let target = Synth::release(Release::Go126)
            .ps([P::default()])
            .retired(free, free)
            .build();
        assert_exact(&target);
        assert_eq!(target.scan().snapshot.processors.unwrap().free_mcaches, Some(free));
    }
}

#[test]
fn a_circle_of_free_mcaches_has_no_length() {
    let mut target = Synth::release(Release::Go126).retired(3, 3).build();
    target
        .w
        .put_word(target.processors.free_mcaches[2], target.processors.free_mcaches[0]);
    let scan = target.scan();
    assert_eq!(scan.snapshot.processors.unwrap().free_mcaches, None);
    assert!(scan.waves < 10);
}

#[test]
fn a_wild_link_costs_one_wave_of_the_pause() {
    for link in [8, 0x1234_5678_9abc, u64::MAX, u64::MAX - 7] {
        let mut target = Synth::release(Release::Go126).retired(3, 3).build();
        target.w.put_word(target.processors.free_mcaches[2], link);
        target.put(
            "runtime.moduledata",
            target.w.global("firstmoduledata"),
            "next",
            link ^ 0x1000,
        );
        let scan = target.scan();
        assert_eq!(scan.snapshot.processors.unwrap().free_mcaches, None);
        assert!(scan.waves < 12, "{} waves", scan.waves);
    }
}

#[test]
fn a_circle_of_modules_ends() {
    let mut target = Synth::release(Release::Go126).build();
    let module = target.w.global("firstmoduledata");
    target.put("runtime.moduledata", module, "next", module);
    assert!(target.scan().waves < 10);
}
