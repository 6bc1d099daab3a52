//! Where spans are listed: once each, in the right set or in one mcache.

use gomemscan::goruntime::mcentral::{Place, Places};
use gomemscan::model::Check;

use crate::books::assert_exact;
use crate::synth::{Held, P, Release, Span, Sweep, Synth, SynthTarget};

fn places(target: &SynthTarget) -> Places {
    target.scan().snapshot.places.unwrap()
}

fn failed(target: &SynthTarget) -> Vec<Check> {
    target
        .checks(&target.scan())
        .into_iter()
        .filter(|check| !check.ok)
        .collect()
}

/// The span comes third, so that nothing is right by being first.
fn three(release: Release, change: impl Fn(Span) -> Span) -> Synth {
    let spans = (0..3).map(|_| Span::small(release, 20, 9));
    Synth::release(release)
        .spans(spans.take(2))
        .span(change(Span::small(release, 20, 9)))
}

#[test]
fn each_set_and_each_mcache_is_a_place_of_its_own() {
    for release in Release::ALL {
        for (full, swept, place) in [
            (false, true, Place::PartialSwept),
            (true, true, Place::FullSwept),
            (false, false, Place::PartialUnswept),
            (true, false, Place::FullUnswept),
        ] {
            let sweep = if swept { Sweep::Done } else { Sweep::Needed };
            let target = three(release, |span| span.sweep(sweep).held([Held::Set { full, swept }])).build();
            assert_exact(&target);
            assert_eq!(places(&target).of(2), Some(place));
        }
        let target = three(release, |span| span.sweep(Sweep::Cached).held([Held::Mcache(1)]))
            .ps([P::default(), P::default()])
            .build();
        assert_exact(&target);
        assert_eq!(places(&target).of(2), Some(Place::Mcache(1)));
    }
}

#[test]
fn the_sets_swap_roles_with_every_cycle() {
    for sweepgen in [2, 4, 1002, 0x7fff_fffe] {
        let gc = crate::synth::Gc {
            sweepgen,
            ..crate::synth::Gc::default()
        };
        let target = three(Release::Go126, |span| span.sweep(Sweep::Needed)).gc(gc).build();
        assert_exact(&target);
        assert_eq!(places(&target).of(2), Some(Place::PartialUnswept));
    }
}

#[test]
fn a_swept_span_still_listed_as_unswept_counts_once() {
    let both = [
        Held::Set {
            full: false,
            swept: true,
        },
        Held::Set {
            full: false,
            swept: false,
        },
    ];
    let target = three(Release::Go126, |span| span.held(both)).build();
    assert_exact(&target);
    let places = places(&target);
    assert_eq!((places.of(2), places.twice), (Some(Place::PartialSwept), 0));
}

#[test]
fn a_stale_entry_for_a_span_freed_early_is_no_stranger() {
    let mut target = three(Release::Go126, |span| span.sweep(Sweep::Needed)).build();
    target.put_span(2, "state", 0);
    let places = places(&target);
    assert_eq!((places.strangers, places.nowhere), (0, 0));
}

#[test]
fn a_span_found_twice_is_reported() {
    for also in [
        Held::Mcache(0),
        Held::Set {
            full: true,
            swept: true,
        },
    ] {
        let target = three(Release::Go126, |span| {
            span.held([
                Held::Set {
                    full: false,
                    swept: true,
                },
                also,
            ])
        })
        .build();
        assert_eq!(places(&target).twice, 1);
        assert!(failed(&target).iter().any(|check| check.name.contains("exactly once")));
    }
}

#[test]
fn a_span_found_nowhere_is_reported() {
    let target = three(Release::Go126, |span| span.held([])).build();
    let places = places(&target);
    assert_eq!((places.nowhere, places.of(2)), (1, None));
    assert!(failed(&target).iter().any(|check| check.name.contains("exactly once")));
}

#[test]
fn a_user_arena_chunk_belongs_to_no_set() {
    for release in [Release::Go122, Release::Go126] {
        let target = three(release, |span| Span {
            user_arena: true,
            ..span
        })
        .build();
        assert_exact(&target);
    }
}

#[test]
fn a_span_in_a_set_of_another_class_is_reported() {
    let target = three(Release::Go126, |span| span.held([Held::OtherClass(77)])).build();
    assert_eq!(places(&target).wrong_class, 1);
    assert!(
        failed(&target)
            .iter()
            .any(|check| check.name.contains("own span class"))
    );
}

#[test]
fn entries_that_point_nowhere_are_strangers() {
    for pointer in [8, u64::MAX, 0x7f10_0000_0008] {
        let mut target = three(Release::Go126, |span| span.sweep(Sweep::Cached).held([Held::Mcache(0)])).build();
        let slot = target.w.at("runtime.mcache", target.processors.mcaches[0], "alloc") + 20 * 8;
        target.w.put_word(slot, pointer);
        let places = places(&target);
        assert_eq!((places.strangers, places.nowhere), (1, 1));
    }
}

#[test]
fn blocks_that_were_popped_whole_are_passed_over() {
    for release in Release::ALL {
        for popped in [0, 511, 512, 513, 1500] {
            let spans = (0..600).map(|_| Span::small(release, 20, 9));
            assert_exact(&Synth::release(release).spans(spans).popped(popped).build());
        }
    }
}

#[test]
fn a_set_with_an_impossible_index_is_counted_and_the_others_read() {
    for index in [u64::MAX >> 32, 1 << 31, (5 << 32) | 0xffff_fff0] {
        let mut target = three(Release::Go126, |span| span).build();
        let central = target.w.at("runtime.mheap", target.w.global("mheap_"), "central") + 100 * 192;
        let set = target.w.at("runtime.mcentral", central, "partial");
        target.put("runtime.spanSet", set, "index", index);
        let places = places(&target);
        assert_eq!((places.unreadable_sets, places.nowhere), (1, 0));
    }
}

#[test]
fn sets_that_share_one_block_a_million_times_come_to_an_end() {
    let spans = (0..512).map(|_| Span::small(Release::Go126, 20, 9));
    let mut target = Synth::release(Release::Go126).spans(spans).popped(0).build();
    let mheap = target.w.global("mheap_");
    let set_of = |target: &SynthTarget, class: u64, which: &str, index: u64| {
        let central = target.w.at("runtime.mheap", mheap, "central") + class * 192;
        target.w.at("runtime.mcentral", central, which) + index * 40
    };
    let real = set_of(&target, 20, "partial", 1);
    let block = u64::from_le_bytes(bytes(&target, target.w.get("runtime.spanSet", real, "spine")));
    let blocks = 1 << 18;
    let spine = target.w.words(&vec![block; blocks]);
    for class in 0..136 {
        for (which, index) in [("partial", 0), ("partial", 1), ("full", 0), ("full", 1)] {
            let set = set_of(&target, class, which, index);
            for (field, value) in [
                ("spine", spine),
                ("spineLen", blocks as u64),
                ("index", blocks as u64 * 512),
            ] {
                target.put("runtime.spanSet", set, field, value);
            }
        }
    }
    assert!(places(&target).unreadable_sets > 500);
}

fn bytes(target: &SynthTarget, at: u64) -> [u8; 8] {
    use gomemscan::memory::{Addr, Memory};
    target.w.space.bytes(Addr(at), 8).unwrap().try_into().unwrap()
}
