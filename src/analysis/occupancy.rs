//! How full the spans of each span class are, where they are held, and the large objects.

use std::cmp::Reverse;

use super::SpanSums;
use super::alike::Alike;
use crate::goruntime::mcentral::Place;
use crate::goruntime::mspan::Span;
use crate::goruntime::spans::Spans;
use crate::goruntime::variants::{CLASS_TO_SIZE, SPAN_CLASSES};
use crate::model::{HexAddr, LargeObject, LargeObjects, SizeClass};

/// Large objects named one by one at most; `--top` chooses among them.
const LARGEST_KEPT: usize = 100;

/// Span classes being summed up.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    list: Vec<SizeClass>,
}

impl Default for Classes {
    fn default() -> Classes {
        Classes {
            list: (0..SPAN_CLASSES).map(empty).collect(),
        }
    }
}

impl Classes {
    /// Adds in-use spans; large objects are no part of it.
    pub(super) fn add(&mut self, alike: &Alike) {
        if alike.span.size_class() == 0 {
            return;
        }
        let Some(class) = self.list.get_mut(usize::from(alike.span.spanclass)) else {
            return;
        };
        class.spans += alike.spans;
        class.span_bytes = class.span_bytes.saturating_add(alike.bytes());
        class.objects += alike.objects;
        class.free_objects += alike.free_slots();
        class.free_bytes = class.free_bytes.saturating_add(alike.slot_bytes(alike.free_slots()));
        for (entry, more) in class.occupancy_histogram.iter_mut().zip(alike.tenths) {
            *entry += more;
        }
        if alike.unswept {
            class.garbage_objects = match (class.garbage_objects, alike.marks_known) {
                (Some(sum), true) => Some(sum + alike.objects.saturating_sub(alike.marked_objects)),
                _ => None,
            };
        }
        let counter = match alike.place {
            Some(Place::Mcache(_)) => &mut class.mcache_spans,
            Some(Place::PartialSwept) => &mut class.partial_swept_spans,
            Some(Place::PartialUnswept) => &mut class.partial_unswept_spans,
            Some(Place::FullSwept) => &mut class.full_swept_spans,
            Some(Place::FullUnswept) => &mut class.full_unswept_spans,
            None => return,
        };
        *counter = counter.map(|count| count + alike.spans);
    }

    pub(super) fn join(&mut self, other: &Classes) {
        let both = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        for (class, part) in self.list.iter_mut().zip(&other.list) {
            class.spans += part.spans;
            class.span_bytes = class.span_bytes.saturating_add(part.span_bytes);
            class.objects += part.objects;
            class.free_objects += part.free_objects;
            class.free_bytes = class.free_bytes.saturating_add(part.free_bytes);
            for (entry, more) in class.occupancy_histogram.iter_mut().zip(part.occupancy_histogram) {
                *entry += more;
            }
            class.garbage_objects = both(class.garbage_objects, part.garbage_objects);
            class.mcache_spans = both(class.mcache_spans, part.mcache_spans);
            class.partial_swept_spans = both(class.partial_swept_spans, part.partial_swept_spans);
            class.partial_unswept_spans = both(class.partial_unswept_spans, part.partial_unswept_spans);
            class.full_swept_spans = both(class.full_swept_spans, part.full_swept_spans);
            class.full_unswept_spans = both(class.full_unswept_spans, part.full_unswept_spans);
        }
    }
}

/// One entry per span class that has in-use spans, classes ascending, scan before noscan. Where spans are held is
/// `None` unless it was `placed`, that is, found out.
pub fn size_classes(sums: &SpanSums, placed: bool) -> Vec<SizeClass> {
    let used = sums.classes.list.iter().filter(|class| class.spans > 0);
    let place = |class: &SizeClass| SizeClass {
        mcache_spans: class.mcache_spans.filter(|_| placed),
        partial_swept_spans: class.partial_swept_spans.filter(|_| placed),
        partial_unswept_spans: class.partial_unswept_spans.filter(|_| placed),
        full_swept_spans: class.full_swept_spans.filter(|_| placed),
        full_unswept_spans: class.full_unswept_spans.filter(|_| placed),
        ..class.clone()
    };
    used.map(place).collect()
}

fn empty(spanclass: usize) -> SizeClass {
    let zero = Some(0);
    SizeClass {
        class: (spanclass >> 1) as u64,
        object_bytes: CLASS_TO_SIZE.get(spanclass >> 1).copied().unwrap_or(0),
        noscan: spanclass & 1 == 1,
        garbage_objects: zero,
        mcache_spans: zero,
        partial_swept_spans: zero,
        partial_unswept_spans: zero,
        full_swept_spans: zero,
        full_unswept_spans: zero,
        ..SizeClass::default()
    }
}

/// Objects with a span of their own, being summed up.
#[derive(Clone, Debug, Default)]
pub(super) struct Large {
    count: u64,
    bytes: u64,
    /// Bytes, first address, and index, of the largest at least.
    top: Vec<(Reverse<u64>, u64, usize)>,
}

impl Large {
    pub(super) fn add(&mut self, index: usize, span: &Span) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(span.bytes());
        self.top.push((Reverse(span.bytes()), span.start, index));
        self.cut(100 * LARGEST_KEPT);
    }

    /// Bytes of the largest of those remembered that is no larger than `bytes`; 0 where none is.
    pub(super) fn largest_within(&self, bytes: u64) -> u64 {
        let sizes = self.top.iter().map(|(Reverse(size), ..)| *size);
        sizes.filter(|size| *size <= bytes).max().unwrap_or(0)
    }

    pub(super) fn join(&mut self, other: Large) {
        self.count += other.count;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.top.extend(other.top);
        self.cut(LARGEST_KEPT);
    }

    /// Forgets the smallest once there are more than `most`.
    fn cut(&mut self, most: usize) {
        if self.top.len() > most {
            self.top.sort_unstable();
            self.top.truncate(LARGEST_KEPT);
        }
    }
}

/// Objects with a span of their own, largest first. `type_name` names a type from its descriptor's address.
pub fn large_objects(sums: &SpanSums, spans: &Spans, type_name: &dyn Fn(&Span) -> Option<String>) -> LargeObjects {
    let mut top = sums.large.top.clone();
    top.sort_unstable();
    let object = |(_, _, index): (Reverse<u64>, u64, usize)| {
        let span = spans.get(index)?;
        Some(LargeObject {
            address: HexAddr(span.start),
            bytes: span.elemsize,
            type_name: type_name(&span),
        })
    };
    LargeObjects {
        spans: Some(sums.large.count),
        bytes: Some(sums.large.bytes),
        top: Some(top.into_iter().take(LARGEST_KEPT).filter_map(object).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_explains_no_less_than_its_size() {
        let sizes = [900u64, 40, 500];
        let large = Large {
            top: sizes.iter().map(|size| (Reverse(*size), 0, 0)).collect(),
            ..Large::default()
        };
        for (bytes, within) in [(0, 0), (39, 0), (40, 40), (499, 40), (899, 500), (u64::MAX, 900)] {
            assert_eq!(large.largest_within(bytes), within, "{bytes}");
        }
        assert_eq!(Large::default().largest_within(u64::MAX), 0);
    }
}
