//! Spans of every class and of absurd sizes, and span structures that make no sense.

use std::collections::BTreeMap;

use gomemscan::analysis::{self, Kinds, Near};
use gomemscan::memory::Range;

use crate::books::assert_exact;
use crate::synth::{CLASS_BYTES, CLASS_PAGES, PAGE, Release, Scan, Span, Sweep, Synth, SynthTarget};

#[test]
fn the_class_tables_add_up_to_what_an_mcache_can_hold() {
    assert_eq!(CLASS_PAGES.iter().sum::<u64>() * PAGE, 1_376_256);
    assert_eq!(CLASS_BYTES[67], 32768);
}

#[test]
fn one_span_of_each_class_is_counted_under_its_class() {
    for release in Release::ALL {
        let spans = (2..136).map(|class| Span::small(release, class, 1));
        let target = Synth::release(release).spans(spans).build();
        assert_exact(&target);
        let scan = target.scan();
        let sums = Scan::sums(&scan.snapshot, None, None).unwrap();
        let classes = analysis::size_classes(&sums, true);
        assert_eq!(classes.len(), 134);
        for (row, class) in classes.iter().zip(2u64..) {
            let size = class >> 1;
            assert_eq!((row.class, row.noscan), (size, class & 1 == 1));
            assert_eq!(row.object_bytes, CLASS_BYTES[size as usize]);
            assert_eq!(row.span_bytes, CLASS_PAGES[size as usize] * PAGE);
            assert_eq!(row.objects, 1);
        }
    }
}

/// What the spans of a target add up to: kinds of bytes, whole and resident, and everything of each class.
fn added_up(target: &SynthTarget, resident: &(dyn Fn(u64) -> u64 + Sync)) -> BTreeMap<String, u64> {
    let scan = target.scan();
    let marks = target.marks(&scan);
    let resident = |range: Range, _: &mut Near| resident(range.len);
    let sums = Scan::sums(&scan.snapshot, marks.as_ref(), Some(&resident)).unwrap();
    let heap = sums.heap.unwrap();
    let mut all = BTreeMap::new();
    let mut add = |name: String, value: u64| *all.entry(name).or_insert(0) += value;
    for (what, kinds) in [("all", heap.bytes), ("resident", heap.resident.unwrap())] {
        let Kinds {
            marked,
            since,
            garbage,
            free,
            tails,
        } = kinds;
        for (kind, bytes) in [
            ("marked", marked),
            ("since", since),
            ("garbage", garbage),
            ("free", free),
            ("tails", tails),
        ] {
            add(format!("{what} {kind}"), bytes);
        }
    }
    add("dead".to_owned(), heap.dead_spans_resident);
    for class in analysis::size_classes(&sums, true) {
        let name = format!("class {} {}", class.class, class.noscan);
        let row = serde_json::to_value(&class).unwrap();
        for (key, value) in row.as_object().unwrap() {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            for (at, value) in values
                .iter()
                .filter(|_| !matches!(key.as_str(), "class" | "noscan" | "object_bytes"))
                .enumerate()
            {
                add(format!("{name} {key} {at}"), value.as_u64().unwrap_or(0));
            }
        }
    }
    all
}

#[test]
fn spans_that_are_alike_add_up_to_what_each_alone_comes_to() {
    for release in Release::ALL {
        let spans: Vec<Span> = (0..120u64)
            .map(|n| {
                let class = [5, 5, 20, 39, 75][(n % 5) as usize];
                let slots = Span::small(release, class, u64::MAX).slots;
                let span = Span::small(release, class, n * n * 31 % (slots + 1));
                let marked = (0..slots).filter(|slot| (slot * 7 + n) % 5 < n % 4);
                let sweep = [Sweep::Needed, Sweep::Done, Sweep::Underway][(n % 3) as usize];
                match n % 7 {
                    0 => span.marks([]).sweep(sweep),
                    1 => span,
                    _ => span.marks(marked).sweep(sweep),
                }
            })
            .collect();
        let policies: [&(dyn Fn(u64) -> u64 + Sync); 4] =
            [&|_| 0, &|len| len, &|len| len / 2 + 4096, &|len| match len > PAGE {
                true => len,
                false => 0,
            }];
        for resident in policies {
            let together = added_up(&Synth::release(release).spans(spans.clone()).build(), resident);
            let mut alone = BTreeMap::new();
            for span in &spans {
                for (name, value) in added_up(&Synth::release(release).span(span.clone()).build(), resident) {
                    *alone.entry(name).or_insert(0) += value;
                }
            }
            assert_eq!(together, alone, "{release:?}");
        }
    }
}

#[test]
fn a_million_spans_are_read_to_the_last() {
    let release = Release::Go126;
    let span = Span::small(release, 102, 1);
    let target = Synth::release(release)
        .spans((0..1_000_000).map(|_| span.clone()))
        .build();
    let scan = target.scan();
    assert_eq!(scan.snapshot.spans.as_ref().unwrap().live, 1_000_000);
    assert_eq!(scan.snapshot.places.as_ref().unwrap().nowhere, 0);
    let wrong = target.checks(&scan).into_iter().find(|check| check.difference != 0);
    assert_eq!(wrong, None);
}

#[test]
fn a_terabyte_object_is_one_large_object() {
    let pages = (1 << 40) / PAGE;
    for release in [Release::Go122, Release::Go126] {
        let target = Synth::release(release).span(Span::large(pages)).build();
        assert_exact(&target);
        let snapshot = target.scan().snapshot;
        let sums = Scan::sums(&snapshot, None, None).unwrap();
        let large = analysis::large_objects(&sums, &snapshot.spans.unwrap(), &|_| None);
        assert_eq!((large.spans, large.bytes), (Some(1), Some(1 << 40)));
    }
}

#[test]
fn sizes_near_overflow_are_impossible_or_saturate() {
    let spans = (0..3).map(|_| Span::large(2));
    for npages in [1 << 50, (1 << 51) - 1, u64::MAX / PAGE, u64::MAX, 1 << 63] {
        let mut target = Synth::release(Release::Go126).spans(spans.clone()).build();
        for index in 0..3 {
            target.put_span(index, "npages", npages);
            target.put_span(index, "elemsize", npages.wrapping_mul(PAGE));
        }
        let scan = target.scan();
        let read = scan.snapshot.spans.as_ref().unwrap();
        assert_eq!(read.impossible + read.live, 3);
        assert!(target.checks(&scan).iter().any(|check| !check.ok));
        crate::analyse::everything(&target, &scan);
    }
}

#[test]
fn impossible_spans_are_counted_and_the_others_still_read() {
    let broken = [
        ("state", 3),
        ("npages", 0),
        ("npages", u64::MAX),
        ("startAddr", 0),
        ("startAddr", 0xc0_0000_0001),
        ("startAddr", u64::MAX - PAGE + 1),
        ("spanclass", 136),
        ("spanclass", 255),
        ("nelems", 0),
        ("nelems", 0xffff),
        ("elemsize", 0),
        ("elemsize", u64::MAX),
        ("allocCount", 0xffff),
    ];
    for (field, value) in broken {
        let spans = (0..5).map(|_| Span::small(Release::Go122, 11, 7));
        let mut target = Synth::release(Release::Go122).spans(spans).build();
        target.put_span(2, field, value);
        let read = target.scan().snapshot.spans.unwrap();
        assert_eq!((read.live, read.impossible), (4, 1), "{field} = {value:#x}");
        assert!(read.first_error.is_some());
    }
}

#[test]
fn a_dead_span_may_hold_any_stale_words() {
    let mut target = Synth::release(Release::Go119)
        .spans([Span::small(Release::Go119, 11, 7), Span::dead()])
        .build();
    for field in ["npages", "nelems", "freeindex", "elemsize", "startAddr", "next"] {
        target.put_span(1, field, u64::MAX);
    }
    assert_exact(&target);
    assert_eq!(target.scan().snapshot.spans.unwrap().dead, target.truth.dead_mspans);
}

#[test]
fn overlapping_spans_are_noticed() {
    let mut target = Synth::release(Release::Go126)
        .spans([Span::large(50), Span::small(Release::Go126, 11, 7), Span::large(3)])
        .build();
    target.put_span(1, "startAddr", target.spans[0].start + PAGE);
    target.put_span(2, "startAddr", target.spans[0].start + 10 * PAGE);
    let scan = target.scan();
    assert_eq!(scan.snapshot.spans.as_ref().unwrap().overlapping, 2);
    let checks = target.checks(&scan);
    assert!(checks.iter().any(|check| check.name.contains("overlap") && !check.ok));
}

#[test]
fn each_span_that_overlaps_is_counted_among_very_many_that_do_not() {
    let span = Span::small(Release::Go126, 102, 1);
    let mut target = Synth::release(Release::Go126)
        .spans((0..40_000).map(|_| span.clone()))
        .build();
    assert_eq!(target.scan().snapshot.spans.unwrap().overlapping, 0);
    for (moved, onto) in [(5, 100), (20_000, 30), (39_999, 30)] {
        target.put_span(moved, "startAddr", target.spans[onto].start);
    }
    assert_eq!(target.scan().snapshot.spans.unwrap().overlapping, 3);
}

#[test]
fn the_structure_of_every_span_is_found_by_its_index() {
    let spans = [Span::large(2), Span::dead(), Span::small(Release::Go126, 11, 7)];
    let mut target = Synth::release(Release::Go126).spans(spans.clone()).spans(spans).build();
    let array = target.w.get("runtime.mheap", target.w.global("mheap_"), "allspans");
    let mut places: Vec<Option<u64>> = target.spans.iter().map(|span| Some(span.addr)).collect();
    (places[2], places[3]) = (places[4], None);
    target.w.put_word(array + 16, target.spans[4].addr);
    target.w.put_word(array + 24, 0x1234);
    let spans = target.scan().snapshot.spans.unwrap();
    let found: Vec<Option<u64>> = (0..spans.count()).map(|index| Some(spans.addr_of(index)?.0)).collect();
    assert_eq!(found, places);
    assert_eq!(spans.addr_of(spans.count()), None);
}

#[test]
fn a_span_listed_twice_in_allspans_overlaps_itself() {
    let mut target = Synth::release(Release::Go126)
        .spans([Span::large(5), Span::large(3)])
        .build();
    let array = target.w.get("runtime.mheap", target.w.global("mheap_"), "allspans");
    target.w.put_word(array + 8, target.spans[0].addr);
    assert_eq!(target.scan().snapshot.spans.unwrap().overlapping, 1);
}

#[test]
fn pointers_in_allspans_may_be_nil_wild_unaligned_or_at_the_end_of_memory() {
    for pointer in [
        0,
        8,
        0x1234_5678_9abc_def0,
        u64::MAX,
        u64::MAX - 7,
        u64::MAX - 200,
        1 << 63,
    ] {
        let spans = (0..3).map(|_| Span::small(Release::Go126, 11, 7));
        let mut target = Synth::release(Release::Go126).spans(spans).build();
        let array = target.w.get("runtime.mheap", target.w.global("mheap_"), "allspans");
        target.w.put_word(array + 8, pointer);
        let read = target.scan().snapshot.spans.unwrap();
        assert_eq!((read.live, read.unreadable), (2, 1), "{pointer:#x}");
    }
    // Unaligned, so that its fields are another structure's: read as nonsense or not at all, never believed whole.
    let mut target = Synth::release(Release::Go126)
        .spans((0..3).map(|_| Span::large(1)))
        .build();
    let array = target.w.get("runtime.mheap", target.w.global("mheap_"), "allspans");
    target.w.put_word(array + 8, target.spans[1].addr + 3);
    assert_eq!(target.scan().snapshot.spans.unwrap().impossible, 1);
}

#[test]
fn swept_and_unswept_spans_are_told_apart_in_every_sweep_state() {
    for sweep in Sweep::ALL {
        let target = Synth::release(Release::Go126)
            .span(Span::small(Release::Go126, 11, 7).sweep(sweep))
            .build();
        assert_exact(&target);
        let spans = target.scan().snapshot.spans.unwrap();
        let read = gomemscan::goruntime::mspan::Sweep::of(spans.get(0).unwrap().sweepgen, 10);
        assert_eq!(format!("{read:?}"), format!("{sweep:?}"));
        assert_eq!(read.is_unswept(), !sweep.swept());
    }
}
