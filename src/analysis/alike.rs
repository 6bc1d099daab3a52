//! In-use spans that differ in nothing but how many of their slots are allocated and marked: of a large heap nearly all are
//! alike with very many others, and what is summed over them is worked out once for all.

use crate::goruntime::mcentral::Place;
use crate::goruntime::mspan::{Record, Span, Sweep};
use crate::goruntime::variants::SPAN_CLASSES;

/// Some in-use spans that are alike: one, or any number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alike {
    /// One of them.
    pub(super) span: Span,
    /// What holds each.
    pub(super) place: Option<Place>,
    /// Whether they await their sweep; not where the heap's sweepgen is not known.
    pub(super) unswept: bool,
    /// Resident bytes of each, where that is known; of several that is nothing or the whole span.
    pub(super) resident: Option<u64>,
    /// Whether their mark bits are known.
    pub(super) marks_known: bool,
    /// How many they are.
    pub(super) spans: u64,
    /// Their allocated slots.
    pub(super) objects: u64,
    /// Slots with a mark.
    pub(super) marked: u64,
    /// The same of each span, but no more than it has allocated slots.
    pub(super) marked_objects: u64,
    /// Those without any mark.
    pub(super) unmarked_spans: u64,
    /// By the tenth that their occupancy is in.
    pub(super) tenths: [u64; 10],
}

impl Alike {
    /// A single span; `marked` slots of it have a mark, where that is known.
    pub(super) fn one(
        span: Span,
        place: Option<Place>,
        unswept: bool,
        marked: Option<u32>,
        resident: Option<u64>,
    ) -> Alike {
        let mut one = Alike {
            span,
            place,
            unswept,
            resident,
            marks_known: marked.is_some(),
            spans: 0,
            objects: 0,
            marked: 0,
            marked_objects: 0,
            unmarked_spans: 0,
            tenths: [0; 10],
        };
        one.add(span.alloc_count, marked);
        one
    }

    /// One more, with so many allocated and marked slots.
    #[inline]
    fn add(&mut self, alloc_count: u32, marked: Option<u32>) {
        let slots = marked.unwrap_or(0);
        self.spans += 1;
        self.objects += u64::from(alloc_count);
        self.marked += u64::from(slots);
        self.marked_objects += u64::from(slots.min(alloc_count));
        self.unmarked_spans += u64::from(marked == Some(0));
        if let Some(entry) = self.tenths.get_mut(tenth(alloc_count, self.span.nelems)) {
            *entry += 1;
        }
    }

    /// Bytes of so many slots.
    pub(super) fn slot_bytes(&self, slots: u64) -> u64 {
        slots.saturating_mul(self.span.elemsize)
    }

    /// Bytes of their pages.
    pub(super) fn bytes(&self) -> u64 {
        self.spans.saturating_mul(self.span.bytes())
    }

    /// Slots not handed out.
    pub(super) fn free_slots(&self) -> u64 {
        let slots = self.spans.saturating_mul(u64::from(self.span.nelems));
        slots.saturating_sub(self.objects)
    }
}

/// In which tenth its occupancy is, from 0.
#[inline]
fn tenth(alloc_count: u32, nelems: u32) -> usize {
    // Most are full, and a division takes longer than all the rest.
    match alloc_count < nelems {
        true => (u64::from(alloc_count) * 10 / u64::from(nelems)) as usize,
        false => 9,
    }
}

/// Spans being sorted into groups of those that are alike.
pub(super) struct Groups {
    /// For each kind the number of its group; `NONE` where it has none yet.
    of_kind: [u16; KINDS],
    groups: Vec<Alike>,
}

/// Kinds that are told apart: span class, set of the mcentral, whether unswept, whether resident.
const KINDS: usize = SPAN_CLASSES * 4 * 2 * 2;
const NONE: u16 = u16::MAX;

impl Groups {
    pub(super) fn new() -> Groups {
        Groups {
            of_kind: [NONE; KINDS],
            groups: Vec::new(),
        }
    }

    /// Adds a span; false if it is alike with none: a large object, one in an mcache, partly resident, or of another
    /// shape than others of its class.
    #[inline]
    pub(super) fn add(
        &mut self,
        span: Record<'_>,
        place: Option<Place>,
        unswept: bool,
        marked: Option<u32>,
        resident: Option<u64>,
    ) -> bool {
        let set = match place {
            Some(Place::PartialSwept) => 0,
            Some(Place::PartialUnswept) => 1,
            Some(Place::FullSwept) => 2,
            Some(Place::FullUnswept) => 3,
            Some(Place::Mcache(_)) | None => return false,
        };
        let whole = match resident {
            Some(0) => 0,
            None => 1,
            Some(bytes) if bytes == span.page_bytes() => 1,
            Some(_) => return false,
        };
        let kind = ((usize::from(span.spanclass()) * 4 + set) * 2 + usize::from(unswept)) * 2 + whole;
        let Some(number) = self.of_kind.get_mut(kind).filter(|_| span.size_class() != 0) else {
            return false;
        };
        let Some(group) = self.groups.get_mut(usize::from(*number)) else {
            *number = self.groups.len() as u16;
            self.groups
                .push(Alike::one(span.span(), place, unswept, marked, resident));
            return true;
        };
        let of = &group.span;
        let shape = (of.npages, of.elemsize, of.nelems, of.user_arena);
        if shape != (span.npages(), span.elemsize(), span.nelems(), span.user_arena())
            || group.marks_known != marked.is_some()
        {
            return false;
        }
        group.add(span.alloc_count(), marked);
        true
    }

    /// The groups.
    pub(super) fn into_groups(self) -> Vec<Alike> {
        self.groups
    }
}

/// Whether a span awaits its sweep, in a heap of this sweepgen.
#[inline]
pub(super) fn is_unswept(span: Record<'_>, sweepgen: Option<u32>) -> bool {
    sweepgen.is_some_and(|heap| Sweep::of(span.sweepgen(), heap).is_unswept())
}
