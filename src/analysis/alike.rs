//! In-use spans that differ in nothing but how many of their slots are allocated and marked: of a large heap nearly all are
//! alike with very many others, and what is summed over them is worked out once for all.

use crate::goruntime::marks::{BitRule, Marks};
use crate::goruntime::mcentral::Place;
use crate::goruntime::mspan::{LastKinds, Record, Span, Sweep};
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
        let mut one = Alike::none(span, place, unswept, marked.is_some(), resident);
        one.add(span.alloc_count, marked);
        one
    }

    /// None yet of those that are alike with this one.
    fn none(span: Span, place: Option<Place>, unswept: bool, marks_known: bool, resident: Option<u64>) -> Alike {
        Alike {
            span,
            place,
            unswept,
            resident,
            marks_known,
            spans: 0,
            objects: 0,
            marked: 0,
            marked_objects: 0,
            unmarked_spans: 0,
            tenths: [0; 10],
        }
    }

    fn is_shaped_as(&self, span: Record<'_>) -> bool {
        let Span {
            npages,
            elemsize,
            nelems,
            user_arena,
            ..
        } = self.span;
        (npages, elemsize, nelems, user_arena) == (span.npages(), span.elemsize(), span.nelems(), span.user_arena())
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
    /// What is known of the kinds of spans that came last.
    last: LastKinds<Known>,
}

/// What holds for all spans of a kind.
pub(super) struct Known {
    unswept: bool,
    /// Where their bits are, if these are here.
    pub(super) rule: Option<BitRule>,
    /// The number of the group, by the set of the mcentral and whether resident; `NONE` where that was not asked yet.
    groups: [[u16; 2]; SETS],
}

/// Sets of an mcentral.
const SETS: usize = Place::IN_SETS.len();
/// Kinds that are told apart: span class, set of the mcentral, whether unswept, whether resident.
const KINDS: usize = SPAN_CLASSES * SETS * 2 * 2;
const NONE: u16 = u16::MAX;

impl Known {
    /// Of spans of this one's kind, in a heap of this sweepgen.
    pub(super) fn of(span: Record<'_>, sweepgen: Option<u32>, marks: Option<&Marks>) -> Known {
        let sweep = sweepgen.map(|heap| Sweep::of(span.sweepgen(), heap));
        Known {
            unswept: sweep.is_some_and(Sweep::is_unswept),
            rule: marks.map(|marks| marks.rule(span)),
            groups: [[NONE; 2]; SETS],
        }
    }
}

impl Groups {
    pub(super) fn new() -> Groups {
        Groups {
            of_kind: [NONE; KINDS],
            groups: Vec::new(),
            last: LastKinds::default(),
        }
    }

    /// Adds a span in this set of the mcentral. Where it is alike with none, a large object, one in an mcache, partly
    /// resident, or of another shape than others of its class, gives it back as a group of its own. `marked` is asked how many
    /// of its slots are marked.
    #[inline]
    pub(super) fn add(
        &mut self,
        span: Record<'_>,
        set: Option<usize>,
        resident: Option<u64>,
        work_out: impl FnOnce() -> Known,
        marked: impl FnOnce(&Known) -> Option<u32>,
    ) -> Option<Alike> {
        // There is room for every kind.
        let known = self.last.of(span, || Some(work_out()))?;
        let marked = marked(known);
        let one = |known: &Known| Alike::one(span.span(), None, known.unswept, marked, resident);
        let whole = match resident {
            Some(0) => 0,
            None => 1,
            Some(bytes) if bytes == span.page_bytes() => 1,
            Some(_) => return Some(one(known)),
        };
        let Some((number, set)) = set.and_then(|set| Some((known.groups.get_mut(set)?.get_mut(whole)?, set))) else {
            return Some(one(known));
        };
        if *number == NONE {
            let kind = ((usize::from(span.spanclass()) * SETS + set) * 2 + usize::from(known.unswept)) * 2 + whole;
            let Some(of_kind) = self.of_kind.get_mut(kind).filter(|_| span.size_class() != 0) else {
                return Some(one(known));
            };
            if *of_kind == NONE {
                *of_kind = self.groups.len() as u16;
                let place = Place::IN_SETS.get(set).copied();
                let group = Alike::none(span.span(), place, known.unswept, marked.is_some(), resident);
                self.groups.push(group);
            }
            match self.groups.get(usize::from(*of_kind)) {
                Some(group) if group.is_shaped_as(span) => *number = *of_kind,
                _ => return Some(one(known)),
            }
        }
        match self.groups.get_mut(usize::from(*number)) {
            Some(group) if group.marks_known == marked.is_some() => {
                group.add(span.alloc_count(), marked);
                None
            }
            _ => Some(one(known)),
        }
    }

    /// The groups.
    pub(super) fn into_groups(self) -> Vec<Alike> {
        self.groups
    }
}
