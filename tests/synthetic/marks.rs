//! Which slots the last mark found alive: bitmaps, inline marks, and spans that change before they are read.

use gomemscan::analysis::MarkCounts;
use gomemscan::goruntime::marks::{Mark, Marks};
use gomemscan::memory::{Addr, Memory};

use crate::books::assert_exact;
use crate::synth::{Release, Scan, Span, Sweep, Synth, SynthTarget, has_inline_marks};

/// The marked slots of the first `N` spans, where they are known.
fn slots<const N: usize>(scan: &Scan, marks: &Marks) -> [Option<u32>; N] {
    let spans = scan.snapshot.spans.as_ref().unwrap();
    let mut reader = marks.reader(spans);
    std::array::from_fn(|index| {
        let span = spans.part(index..index + 1).next()?.1;
        let rule = marks.rule(span);
        match reader.of(index, span, &rule) {
            Mark::Known(slots) => Some(slots),
            Mark::Changed | Mark::Unreadable => None,
        }
    })
}

/// The same of a program that does not change meanwhile.
fn slots_of<const N: usize>(target: &SynthTarget) -> [Option<u32>; N] {
    let scan = target.scan();
    slots(&scan, &target.marks(&scan).unwrap())
}

/// How many spans' bits were accepted, had changed, and could not be read.
fn counts(scan: &Scan, marks: &Marks) -> (u64, u64, u64) {
    let sums = Scan::sums(&scan.snapshot, Some(marks), None).unwrap();
    let MarkCounts {
        accepted,
        changed,
        unreadable,
    } = sums.marks.unwrap();
    (accepted, changed, unreadable)
}

fn one(release: Release, span: Span) -> SynthTarget {
    Synth::release(release).span(span).build()
}

#[test]
fn an_unswept_span_shows_its_mark_bits_and_a_swept_one_its_alloc_bits() {
    // The builder fills whichever bitmap does not count with ones.
    for release in Release::ALL {
        for sweep in Sweep::ALL {
            let target = one(release, Span::small(release, 74, 8).marks([0, 3, 7]).sweep(sweep));
            assert_eq!(slots_of(&target), [Some(3)], "{release:?} {sweep:?}");
            assert_exact(&target);
        }
    }
}

#[test]
fn inline_marks_are_or_ed_with_the_bitmap() {
    let span = Span::small(Release::Go126, 11, 60)
        .sweep(Sweep::Needed)
        .marks([1, 2, 3])
        .inline_marks([3, 4, 55]);
    let target = one(Release::Go126, span);
    assert_eq!(slots_of(&target), [Some(5)]);
    assert_exact(&target);
}

#[test]
fn all_marks_may_be_inline() {
    for class in (4..=53).filter(|class| has_inline_marks(Release::Go126, crate::synth::CLASS_BYTES[class >> 1])) {
        let span = Span::small(Release::Go126, class as u8, 9)
            .sweep(Sweep::Needed)
            .marks([]);
        let last = span.slots - 1;
        let target = one(Release::Go126, span.inline_marks([0, last]));
        assert_eq!(slots_of(&target), [Some(2)], "span class {class}");
    }
}

#[test]
fn objects_of_8_bytes_and_above_512_have_no_inline_marks() {
    for class in [2, 3, 54, 55, 75] {
        let target = one(
            Release::Go126,
            Span::small(Release::Go126, class, 4).sweep(Sweep::Needed).marks([1]),
        );
        assert_eq!(slots_of(&target), [Some(1)], "span class {class}");
        assert_exact(&target);
    }
}

#[test]
fn bits_behind_the_last_slot_are_no_objects() {
    // The builder sets them all, in the bitmap and in the span.
    for release in Release::ALL {
        for class in 2..136 {
            let target = one(release, Span::small(release, class, 1).sweep(Sweep::Needed).marks([]));
            assert_eq!(slots_of(&target), [Some(0)], "{release:?} span class {class}");
        }
    }
}

#[test]
fn a_fully_marked_span_counts_every_slot() {
    for release in Release::ALL {
        for class in 2..136 {
            let span = Span::small(release, class, u64::MAX);
            let all = span.slots;
            let target = one(release, span.sweep(Sweep::CachedStale));
            assert_eq!(slots_of(&target), [Some(all as u32)], "{release:?} span class {class}");
        }
    }
}

/// Three unswept spans, which are most of those that there are or few of many.
fn three_unswept() -> [SynthTarget; 2] {
    [0, 300].map(|others| {
        let unswept = (0..3).map(|_| Span::small(Release::Go126, 74, 8).sweep(Sweep::Needed).marks([0, 1]));
        let swept = (0..others).map(|_| Span::small(Release::Go126, 74, 8).marks([0]));
        Synth::release(Release::Go126).spans(unswept.chain(swept)).build()
    })
}

#[test]
fn a_span_swept_between_the_stop_and_the_read_is_not_believed() {
    for target in three_unswept() {
        let scan = target.scan();
        let swept = target.w.at("runtime.mspan", target.spans[1].addr, "sweepgen");
        let marks = target
            .marks_with(&scan, |mut space| {
                space.write(swept, &10u32.to_le_bytes());
                space
            })
            .unwrap();
        assert_eq!(slots(&scan, &marks), [Some(2), None, Some(2)]);
        assert_eq!(counts(&scan, &marks), (target.spans.len() as u64 - 1, 1, 0));
    }
}

#[test]
fn spans_are_found_again_when_the_array_of_them_has_grown_and_moved() {
    for target in three_unswept() {
        let scan = target.scan();
        let header = target.w.at("runtime.mheap", scan.mheap.0, "allspans");
        let swept = target.w.at("runtime.mspan", target.spans[1].addr, "sweepgen");
        let marks = target
            .marks_with(&scan, |mut space| {
                let word = |at: u64| u64::from_le_bytes(*space.bytes(Addr(at), 8).unwrap().first_chunk().unwrap());
                let (old, len) = (word(header), word(header + 8));
                let pointers = space.bytes(Addr(old), len as usize * 8).unwrap().to_vec();
                let moved = 0x7fff_0000_0000u64;
                space.unmap(old, len * 8);
                space.map(moved, (len + 1) * 8);
                space.write(moved, &pointers);
                for (at, value) in [(header, moved), (header + 8, len + 1), (header + 16, len + 1)] {
                    space.write(at, &value.to_le_bytes());
                }
                space.write(swept, &10u32.to_le_bytes());
                space
            })
            .unwrap();
        assert_eq!(slots(&scan, &marks), [Some(2), None, Some(2)]);
    }
}

#[test]
fn without_the_array_of_spans_those_that_nothing_else_vouches_for_are_unknown() {
    let unswept = Span::small(Release::Go126, 74, 8).sweep(Sweep::Needed).marks([0, 1]);
    let swept = Span::small(Release::Go126, 74, 8).marks([0]);
    let target = Synth::release(Release::Go126).spans([unswept, swept]).build();
    let scan = target.scan();
    let header = target.w.at("runtime.mheap", scan.mheap.0, "allspans");
    for (len, cycle) in [(0u64, 10u32), (0, 12), (1 << 40, 10), (1 << 40, 12)] {
        let heap = target.w.at("runtime.mheap", scan.mheap.0, "sweepgen");
        let marks = target
            .marks_with(&scan, |mut space| {
                space.write(header + 8, &len.to_le_bytes());
                space.write(header + 16, &len.to_le_bytes());
                space.write(heap, &cycle.to_le_bytes());
                space
            })
            .unwrap();
        // Of more spans than before the first ones are still those that were.
        let all = [Some(2), Some(1)];
        let known = match (len, cycle) {
            (0, 10) => [None, Some(1)],
            (0, _) => [None, None],
            _ => all,
        };
        assert_eq!(slots(&scan, &marks), known, "{len} spans, generation {cycle}");
    }
}

#[test]
fn a_swept_span_that_moves_into_an_mcache_keeps_its_bits() {
    let target = one(Release::Go126, Span::small(Release::Go126, 74, 8).marks([0, 1]));
    let scan = target.scan();
    let at = target.w.at("runtime.mspan", target.spans[0].addr, "sweepgen");
    let marks = target
        .marks_with(&scan, |mut space| {
            space.write(at, &13u32.to_le_bytes());
            space
        })
        .unwrap();
    assert_eq!(slots(&scan, &marks), [Some(2)]);
}

#[test]
fn bits_that_cannot_be_read_leave_their_span_unknown() {
    let spans = (0..3).map(|_| Span::small(Release::Go126, 11, 8).sweep(Sweep::Needed).marks([0, 1]));
    let mut target = Synth::release(Release::Go126).spans(spans).build();
    target.lose(target.spans[0].start + 8192 - 64);
    target.put_span(1, "gcmarkBits", u64::MAX - 3);
    let scan = target.scan();
    let marks = target.marks(&scan).unwrap();
    assert_eq!(slots(&scan, &marks), [None, None, Some(2)]);
    assert_eq!(counts(&scan, &marks), (1, 0, 2));
}

#[test]
fn a_span_cannot_make_the_reader_fetch_a_gigabyte_of_bits() {
    let release = Release::Go119;
    let mut target = one(release, Span::large(1 << 20));
    target.put_span(0, "elemsize", 1);
    target.put_span(0, "nelems", 1 << 32);
    assert_eq!(target.scan().snapshot.spans.unwrap().impossible, 1);
    target.put_span(0, "nelems", 1 << 17);
    assert_eq!(target.scan().snapshot.spans.unwrap().impossible, 1);
}

#[test]
fn marked_garbage_and_free_slots_fill_the_span() {
    let span = Span::small(Release::Go126, 74, 8).sweep(Sweep::Needed).marks([0, 3, 7]);
    let (elem, slots, bytes) = (span.elem, span.slots, span.bytes());
    let target = Synth::release(Release::Go126)
        .span(span)
        .span(Span::small(Release::Go126, 75, 8).marks([0]))
        .build();
    let scan = target.scan();
    let marks = target.marks(&scan).unwrap();
    let heap = Scan::sums(&scan.snapshot, Some(&marks), None).unwrap().heap.unwrap();
    assert_eq!(heap.bytes.marked, 3 * elem + elem);
    assert_eq!(heap.bytes.garbage, 5 * elem);
    assert_eq!(heap.bytes.since, 7 * elem);
    assert_eq!(heap.bytes.free, 2 * (slots - 8) * elem);
    let sum = heap.bytes.marked + heap.bytes.garbage + heap.bytes.since + heap.bytes.free + heap.bytes.tails;
    assert_eq!(sum, 2 * bytes);
}

#[test]
fn swept_spans_are_looked_at_again_when_another_cycle_has_begun() {
    let spans = (0..3).map(|_| Span::small(Release::Go126, 74, 8).marks([0, 1]));
    let target = Synth::release(Release::Go126).spans(spans).build();
    let scan = target.scan();
    let heap = target.w.at("runtime.mheap", scan.mheap.0, "sweepgen");
    let bits = target.w.at("runtime.mspan", target.spans[1].addr, "allocBits");
    let marks = target
        .marks_with(&scan, |mut space| {
            space.write(heap, &12u32.to_le_bytes());
            space.write(bits, &target.spans[1].start.to_le_bytes());
            space
        })
        .unwrap();
    assert_eq!(slots(&scan, &marks), [Some(2), None, Some(2)]);
    assert_eq!(counts(&scan, &marks), (2, 1, 0));
}
