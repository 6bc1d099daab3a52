//! How full the spans of each span class are, where they are held, and the large objects.

use super::sum;
use crate::goruntime::marks::Marks;
use crate::goruntime::mcentral::{Place, Places};
use crate::goruntime::mspan::{Span, SpanState, Spans, Sweep};
use crate::goruntime::variants::{CLASS_TO_SIZE, SPAN_CLASSES};
use crate::model::{HexAddr, LargeObject, LargeObjects, SizeClass};

/// Large objects named one by one at most; `--top` chooses among them.
const LARGEST_KEPT: usize = 100;

/// One entry per span class that has in-use spans, classes ascending, scan before noscan.
pub fn size_classes(spans: &Spans, places: Option<&Places>, marks: Option<&Marks>, sweepgen: u32) -> Vec<SizeClass> {
    let mut classes: Vec<SizeClass> = (0..SPAN_CLASSES).map(|class| empty(class, places.is_some())).collect();
    for (index, span) in spans.live.iter().enumerate() {
        if span.state != SpanState::InUse || span.size_class() == 0 {
            continue;
        }
        let Some(class) = classes.get_mut(usize::from(span.spanclass)) else {
            continue;
        };
        class.spans += 1;
        class.span_bytes = class.span_bytes.saturating_add(span.bytes());
        class.objects += u64::from(span.alloc_count);
        class.free_objects += u64::from(span.free_slots());
        class.free_bytes = class.free_bytes.saturating_add(span.free_bytes());
        let tenth = (u64::from(span.alloc_count) * 10 / u64::from(span.nelems.max(1))).min(9);
        if let Some(entry) = class.occupancy_histogram.get_mut(tenth as usize) {
            *entry += 1;
        }
        if Sweep::of(span.sweepgen, sweepgen).is_unswept() {
            let marked = marks.and_then(|marks| marks.of_span.get(index).copied().flatten());
            class.garbage_objects = match (class.garbage_objects, marked) {
                (Some(sum), Some(marked)) => Some(sum + u64::from(span.alloc_count.saturating_sub(marked))),
                _ => None,
            };
        }
        let place = places.and_then(|places| places.of_span.get(index).copied().flatten());
        let counter = match place {
            Some(Place::Mcache(_)) => &mut class.mcache_spans,
            Some(Place::PartialSwept) => &mut class.partial_swept_spans,
            Some(Place::PartialUnswept) => &mut class.partial_unswept_spans,
            Some(Place::FullSwept) => &mut class.full_swept_spans,
            Some(Place::FullUnswept) => &mut class.full_unswept_spans,
            None => continue,
        };
        *counter = counter.map(|count| count + 1);
    }
    classes.retain(|class| class.spans > 0);
    classes
}

fn empty(spanclass: usize, placed: bool) -> SizeClass {
    let zero = placed.then_some(0);
    SizeClass {
        class: (spanclass >> 1) as u64,
        object_bytes: CLASS_TO_SIZE.get(spanclass >> 1).copied().unwrap_or(0),
        noscan: spanclass & 1 == 1,
        garbage_objects: Some(0),
        mcache_spans: zero,
        partial_swept_spans: zero,
        partial_unswept_spans: zero,
        full_swept_spans: zero,
        full_unswept_spans: zero,
        ..SizeClass::default()
    }
}

/// Objects with a span of their own, largest first. `type_name` names a type from its descriptor's address.
pub fn large_objects(spans: &Spans, type_name: &dyn Fn(&Span) -> Option<String>) -> LargeObjects {
    let mut large: Vec<&Span> = spans.in_use().filter(|span| span.size_class() == 0).collect();
    let (count, bytes) = (large.len() as u64, sum(large.iter().map(|span| span.bytes())));
    large.sort_unstable_by_key(|span| (std::cmp::Reverse(span.bytes()), span.start));
    let top = large.iter().take(LARGEST_KEPT).map(|span| LargeObject {
        address: HexAddr(span.start),
        bytes: span.elemsize,
        type_name: type_name(span),
    });
    LargeObjects {
        spans: Some(count),
        bytes: Some(bytes),
        top: Some(top.collect()),
    }
}
