//! One walk over all spans for everything that is summed over them: of a large heap the walk is what costs.

use std::ops::Range as Indices;

use super::alike::{Alike, Groups, Known};
use super::checks::Totals;
use super::heap::{HeapKinds, Near, Resident};
use super::occupancy::{Classes, Large};
use super::sum;
use crate::goruntime::marks::{Mark, Marks};
use crate::goruntime::mcentral::{Place, Places};
use crate::goruntime::mspan::{Span, SpanState};
use crate::goruntime::spans::Spans;
use crate::goruntime::stacks::ManualSpans;
use crate::model::Mcache;

/// What the walk looks at; what was not decoded is `None`.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each is the decoded section it is named after")]
pub struct SpanFacts<'a> {
    pub spans: &'a Spans,
    pub places: Option<&'a Places>,
    pub manual: Option<&'a ManualSpans>,
    pub marks: Option<&'a Marks>,
    pub sweepgen: Option<u32>,
    pub resident: Option<&'a Resident<'a>>,
}

/// What it adds up to.
#[derive(Clone, Debug, Default)]
pub struct SpanSums {
    /// What spans hold; `None` where the heap's sweepgen is not known.
    pub heap: Option<HeapKinds>,
    pub(super) totals: Totals,
    pub(super) classes: Classes,
    pub(super) large: Large,
    /// How many spans' mark bits were had; `None` where none were read.
    pub marks: Option<MarkCounts>,
    /// Slots that the last mark found alive, bytes.
    pub(super) marked_bytes: u64,
    /// Free slots of spans in mcaches, and in mcentrals, bytes.
    pub(super) mcache_free: u64,
    pub(super) mcentral_free: u64,
    /// What the mcache of each P holds.
    pub(super) mcaches: Vec<Mcache>,
    /// Resident bytes of spans with stacks, and of work buffers; 0 where residency or the lists are not known.
    pub(super) stacks_resident: u64,
    pub(super) work_buffers_resident: u64,
}

/// In-use spans by what became of their mark bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkCounts {
    /// Spans whose bits were accepted.
    pub accepted: u64,
    /// Spans that were swept, freed or reused between the stop and the read.
    pub changed: u64,
    /// Spans whose bits could not be read.
    pub unreadable: u64,
}

impl MarkCounts {
    /// Counts one more; gives back the number of marked slots where that is known.
    fn add(&mut self, mark: Mark) -> Option<u32> {
        match mark {
            Mark::Known(slots) => {
                self.accepted += 1;
                return Some(slots);
            }
            Mark::Changed => self.changed += 1,
            Mark::Unreadable => self.unreadable += 1,
        }
        None
    }

    /// Spans whose marks are not known.
    pub fn missing(&self) -> u64 {
        self.changed + self.unreadable
    }
}

/// Ps that an mcache is believed to belong to.
const MOST_PS: usize = 1 << 16;

impl SpanSums {
    /// Walks.
    pub fn of(facts: &SpanFacts<'_>) -> SpanSums {
        let begin = || SpanSums {
            heap: facts.sweepgen.map(|_| HeapKinds::new(facts.resident.is_some())),
            marks: facts.marks.map(|_| MarkCounts::default()),
            ..SpanSums::default()
        };
        let mut parts = facts.spans.in_parts(begin, |sums, part| sums.walk(facts, part));
        let rest = parts.split_off(1.min(parts.len()));
        let mut sums = parts.pop().unwrap_or_default();
        rest.into_iter().for_each(|part| sums.join(part));
        sums
    }

    /// Adds the spans with indices in `part`.
    fn walk(&mut self, facts: &SpanFacts<'_>, part: Indices<usize>) {
        let mut near = Near::default();
        let mut marks = facts.marks.map(|marks| marks.reader(facts.spans));
        let mut groups = Groups::new();
        for (index, span) in facts.spans.part(part) {
            let resident = facts.resident.map(|resident| near.bytes_of(span.range(), resident));
            if span.state() != SpanState::InUse {
                self.add_manual(facts.manual, index, &span.span(), resident);
                continue;
            }
            let set = facts.places.and_then(|places| places.set_of(index));
            let work_out = || Known::of(span, facts.sweepgen, facts.marks);
            let marked = |known: &Known| {
                let (marks, counts) = marks.as_mut().zip(self.marks.as_mut())?;
                counts.add(marks.of(index, span, known.rule.as_ref()?))
            };
            if let Some(one) = groups.add(span, set, resident, work_out, marked) {
                let place = facts.places.and_then(|places| places.of(index));
                self.add_one(index, &Alike { place, ..one });
            }
        }
        for group in groups.into_groups() {
            self.add(&group);
        }
    }

    fn add_manual(&mut self, manual: Option<&ManualSpans>, index: usize, span: &Span, resident: Option<u64>) {
        self.totals.add_manual(span);
        if let (Some(manual), Some(resident)) = (manual, resident) {
            let total = match manual.is_work_buffer(index) {
                true => &mut self.work_buffers_resident,
                false => &mut self.stacks_resident,
            };
            *total = total.saturating_add(resident);
        }
    }

    fn add_one(&mut self, index: usize, one: &Alike) {
        self.add(one);
        if one.span.size_class() == 0 {
            self.large.add(index, &one.span);
        }
        if let Some(Place::Mcache(p)) = one.place {
            self.mcache_free = self.mcache_free.saturating_add(one.span.free_bytes());
            self.hold(p as usize, &one.span);
        }
    }

    fn add(&mut self, alike: &Alike) {
        self.totals.add(alike);
        self.marked_bytes = self.marked_bytes.saturating_add(alike.slot_bytes(alike.marked));
        if let Some(heap) = &mut self.heap {
            heap.add(alike);
            self.classes.add(alike);
        }
        if alike.place.is_some_and(|place| !matches!(place, Place::Mcache(_))) {
            let free = alike.slot_bytes(alike.free_slots());
            self.mcentral_free = self.mcentral_free.saturating_add(free);
        }
    }

    fn hold(&mut self, p: usize, span: &Span) {
        if p >= MOST_PS {
            return;
        }
        if self.mcaches.len() <= p {
            self.mcaches.resize_with(p + 1, Mcache::default);
        }
        if let Some(mcache) = self.mcaches.get_mut(p) {
            mcache.spans += 1;
            mcache.span_bytes = mcache.span_bytes.saturating_add(span.bytes());
            mcache.free_bytes = mcache.free_bytes.saturating_add(span.free_bytes());
        }
    }

    fn join(&mut self, other: SpanSums) {
        if let (Some(heap), Some(other)) = (&mut self.heap, &other.heap) {
            heap.join(other);
        }
        if let (Some(marks), Some(other)) = (&mut self.marks, &other.marks) {
            marks.accepted += other.accepted;
            marks.changed += other.changed;
            marks.unreadable += other.unreadable;
        }
        self.totals.join(&other.totals);
        self.classes.join(&other.classes);
        self.large.join(other.large);
        for (total, part) in [
            (&mut self.marked_bytes, other.marked_bytes),
            (&mut self.mcache_free, other.mcache_free),
            (&mut self.mcentral_free, other.mcentral_free),
            (&mut self.stacks_resident, other.stacks_resident),
            (&mut self.work_buffers_resident, other.work_buffers_resident),
        ] {
            *total = sum([*total, part].into_iter());
        }
        if self.mcaches.len() < other.mcaches.len() {
            self.mcaches.resize_with(other.mcaches.len(), Mcache::default);
        }
        for (mcache, part) in self.mcaches.iter_mut().zip(other.mcaches) {
            mcache.spans += part.spans;
            mcache.span_bytes = mcache.span_bytes.saturating_add(part.span_bytes);
            mcache.free_bytes = mcache.free_bytes.saturating_add(part.free_bytes);
        }
    }
}
