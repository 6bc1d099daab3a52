//! Memory that is free inside the runtime but not returned to the OS, by where it sits, and what would return it.

use super::heap::{HeapKinds, Near, Resident};
use super::{SpanSums, sum};
use crate::goruntime::goroutines::FreeGoroutines;
use crate::goruntime::pagealloc::{PageAlloc, PageState};
use crate::goruntime::processors::Processors;
use crate::goruntime::stacks::ManualSpans;
use crate::goruntime::variants::PAGE_BYTES;
use crate::model::{ByteBounds, Idle};

/// Everything the section is computed from; what was not decoded is `None`.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each is the decoded section it is named after")]
pub struct IdleFacts<'a> {
    pub pages: Option<&'a PageAlloc>,
    /// Only where the places of spans are known, their sums tell what mcaches and mcentrals hold.
    pub spans: Option<&'a SpanSums>,
    pub placed: bool,
    pub heap: Option<&'a HeapKinds>,
    pub manual: Option<&'a ManualSpans>,
    pub processors: Option<&'a Processors>,
    pub free_goroutines: Option<&'a FreeGoroutines>,
    pub marks_known: bool,
}

/// Resident bytes of the free, unreturned pages: (outside page caches, in page caches).
fn resident_idle(pages: &PageAlloc, resident: &Resident<'_>) -> (u64, u64) {
    let mut near = Near::default();
    let mut of = |wanted: PageState| {
        let runs = pages.runs.iter().filter(|(state, _)| *state == wanted);
        sum(runs.map(|(_, run)| near.bytes_of(*run, resident)))
    };
    (of(PageState::Idle), of(PageState::CachedIdle))
}

/// The section.
pub fn idle(facts: &IdleFacts<'_>, resident: Option<&Resident<'_>>) -> Idle {
    let resident_pages = facts
        .pages
        .zip(resident)
        .map(|(pages, resident)| resident_idle(pages, resident));
    let held = facts.spans.filter(|_| facts.placed);
    Idle {
        unreturned_bytes: facts.pages.map(PageAlloc::unreturned_bytes),
        unreturned_resident_bytes: resident_pages.map(|(free, cached)| free.saturating_add(cached)),
        page_cache_bytes: facts.pages.map(|pages| pages.cached_idle * PAGE_BYTES),
        span_free_bytes: facts.heap.map(|heap| heap.bytes.free),
        unswept_garbage_bytes: facts.heap.filter(|_| facts.marks_known).map(|heap| heap.bytes.garbage),
        mcache_free_bytes: held.map(|sums| sums.mcache_free),
        mcentral_free_bytes: held.map(|sums| sums.mcentral_free),
        free_stack_bytes: free_stacks(facts),
        returnable_now_bytes: resident_pages.map(|(free, _)| free),
        returnable_after_gc: resident_pages.map(|(free, cached)| ByteBounds {
            at_least_bytes: sum([free, cached, facts.heap.map_or(0, |heap| heap.dead_spans_resident)].into_iter()),
            // Anything alive at the last mark may be dead by now, so a GC may free any part of the heap.
            at_most_bytes: None,
        }),
    }
}

/// Stacks that no goroutine uses: free in the pools, in mcaches, large ones, and those that dead goroutines keep.
pub(super) fn free_stacks(facts: &IdleFacts<'_>) -> Option<u64> {
    let (manual, processors, dead) = (facts.manual?, facts.processors?, facts.free_goroutines?);
    let cached = sum(processors.mcaches().map(|mcache| mcache.stack_cache_bytes()));
    let parts = [
        manual.pool_free_bytes,
        manual.large_free_bytes,
        cached,
        dead.stack_bytes,
    ];
    Some(sum(parts.into_iter()))
}
