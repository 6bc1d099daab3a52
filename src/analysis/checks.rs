//! The accounting identities: the runtime keeps the same quantity in several places, and every scan compares them. On
//! a process at rest the difference is 0; a running P may have one operation in flight, which is the tolerance.

use super::alike::Alike;
use super::{SpanSums, sum};
use crate::goruntime::frames::FrameTable;
use crate::goruntime::layout::Layout;
use crate::goruntime::mspan::Span;
use crate::goruntime::snapshot::Snapshot;
use crate::goruntime::variants::{CHUNK_BYTES, PAGE_BYTES, Variant};
use crate::model::Check;

/// What one operation in flight on one P can move at least: the largest span of a size class, bytes. An allocation of a
/// large object moves a span of its size.
const IN_FLIGHT_BYTES: u64 = 64 << 10;
/// Slots of a span of the smallest class: what one refill in flight can move, objects.
const IN_FLIGHT_OBJECTS: u64 = PAGE_BYTES / 8;
/// Objects with finalizers that a small heap may hold, bytes.
const COUNTED_TWICE_BYTES: u64 = 64 << 10;
/// Dead goroutines that a P moves to the global list at once (runtime/proc.go `gfput`), and one being made or ended.
const IN_FLIGHT_GOROUTINES: u64 = 33 + 1;

/// One comparison; it holds when the difference is within `tolerance`.
pub fn check(name: &str, unit: &str, expected: u64, actual: u64, tolerance: u64) -> Check {
    let difference = (actual as i64).wrapping_sub(expected as i64);
    Check {
        name: name.to_owned(),
        unit: unit.to_owned(),
        expected,
        actual,
        difference,
        tolerance,
        ok: difference.unsigned_abs() <= tolerance,
    }
}

/// Runs every identity whose sections were decoded.
pub fn checks(
    snapshot: &Snapshot,
    layout: &Layout,
    variant: &Variant,
    frames: &FrameTable,
    sums: Option<&SpanSums>,
) -> Vec<Check> {
    let busy = snapshot.processors.as_ref().map_or(1, |ps| ps.busy());
    let totals = sums.map(|sums| sums.totals).unwrap_or_default();
    let span_bytes = totals.largest_bytes.max(IN_FLIGHT_BYTES);
    let mut list = Checks {
        list: Vec::new(),
        busy,
        span_bytes,
    };
    if let (Ok(spans), Ok(stats)) = (&snapshot.spans, &snapshot.memstats) {
        let (in_use, manual) = (totals.in_use_bytes, totals.manual_bytes);
        let held = &stats.heap_stats;
        let manual_expected = held
            .in_stacks
            .wrapping_add(held.in_work_bufs)
            .wrapping_add(held.in_ptr_scalar_bits);
        list.bytes("in-use spans = gcController.heapInUse", stats.heap_inuse, in_use);
        list.bytes(
            "stack and work buffer spans = heapStats",
            manual_expected as u64,
            manual,
        );
        list.bytes("allocated slots = HeapAlloc", stats.heap_alloc, totals.allocated_bytes);
        list.count(
            "allocated slots = HeapObjects",
            "objects",
            stats.heap_objects,
            totals.objects,
            IN_FLIGHT_OBJECTS,
        );
        if let Ok(gc) = &snapshot.gc {
            list.bytes(
                "in-use spans = mheap_.pagesInUse",
                gc.pages_in_use.wrapping_mul(PAGE_BYTES),
                in_use,
            );
            let ready = stats.sys.wrapping_sub(stats.heap_released);
            list.grown("Sys - HeapReleased = gcController.mappedReady", gc.mapped_ready, ready);
        }
        let committed = held.committed.wrapping_sub(manual_expected) as u64;
        list.bytes(
            "heapStats.committed = in use + idle",
            stats.heap_inuse.wrapping_add(stats.heap_free),
            committed,
        );
        list.grown(
            "heapStats.released = HeapReleased",
            stats.heap_released,
            held.released as u64,
        );
        list.bytes("heapStats.inHeap = HeapInuse", stats.heap_inuse, held.in_heap as u64);
        // Without the Ps, the free pages in their caches are not known.
        if let (Ok(pages), Ok(_)) = (&snapshot.pages, &snapshot.processors) {
            list.bytes(
                "free pages = gcController.heapFree",
                stats.heap_free,
                pages.unreturned_bytes(),
            );
            list.grown(
                "scavenged pages = gcController.heapReleased",
                stats.heap_released,
                pages.returned_bytes(),
            );
            let in_spans = pages.pages_in_spans().unwrap_or(0).wrapping_mul(PAGE_BYTES);
            list.bytes(
                "allocated pages = pages of spans",
                in_use.wrapping_add(manual),
                in_spans,
            );
            let owned = sum(pages.in_use.iter().map(|range| range.len));
            list.grown(
                "heap address ranges = pages.inUse.totalBytes",
                pages.in_use_bytes,
                owned,
            );
        }
        if let Ok(ps) = &snapshot.processors {
            let cached = sum(ps.live.iter().map(|p| p.cached_spans));
            let structures = spans.live.wrapping_add(cached).wrapping_mul(layout.mspan.size);
            list.bytes("mspan structures = MSpanInuse", stats.mspan_inuse, structures);
            let mcaches = (ps.mcaches().count() as u64).wrapping_mul(layout.mcache.size);
            list.bytes("mcaches of Ps = MCacheInuse", stats.mcache_inuse, mcaches);
        }
        if let Ok(manual) = &snapshot.manual {
            list.bytes(
                "work buffer lists = heapStats.inWorkBufs",
                held.in_work_bufs as u64,
                manual.work_buffer_bytes,
            );
        }
    }
    if let (Ok(_), Ok(places)) = (&snapshot.spans, &snapshot.places) {
        let in_use = totals.in_use - totals.user_arenas;
        let once = in_use.saturating_sub(places.nowhere).saturating_sub(places.twice);
        list.count(
            "in-use spans found exactly once in mcaches and mcentrals",
            "spans",
            in_use,
            once,
            2,
        );
        list.count(
            "spans held under their own span class",
            "spans",
            0,
            places.wrong_class + places.strangers,
            2,
        );
    }
    if let (Ok(_), Ok(arenas)) = (&snapshot.spans, &snapshot.arenas)
        && arenas.unreadable == 0
    {
        let in_use = totals.in_use;
        list.count(
            "heapArena.pageInUse = in-use spans",
            "spans",
            in_use,
            arenas.spans_in_use,
            1,
        );
    }
    if let Ok(spans) = &snapshot.spans {
        list.count(
            "spans that overlap or are impossible",
            "spans",
            0,
            spans.overlapping + spans.impossible,
            1,
        );
    }
    // Dead goroutines also lie on the lists of Ps, so the Ps must be there for any sum of them.
    if let (Ok(gs), Ok(_)) = (&snapshot.goroutines, &snapshot.processors) {
        let alive = gs.alive(variant).count() as u64;
        let system = gs.alive(variant).filter(|g| frames.counts_as_system(g)).count() as u64;
        let by_runtime = (gs.all.len() as i64)
            .wrapping_sub(gs.free.by_counters as i64)
            .wrapping_sub(gs.ngsys);
        // A negative count is beyond any operation in flight.
        let (by_runtime, in_flight) = match u64::try_from(by_runtime) {
            Ok(count) => (count, IN_FLIGHT_GOROUTINES),
            Err(_) => (0, 0),
        };
        // Without a name of any start function there are no user goroutines to compare, only goroutines.
        if frames.is_known() || gs.all.is_empty() {
            let user = alive.saturating_sub(system);
            list.count(
                "user goroutines = runtime.NumGoroutine",
                "goroutines",
                by_runtime,
                user,
                in_flight,
            );
        }
        list.count(
            "dead goroutines on lists = their counters",
            "goroutines",
            gs.free.by_counters,
            gs.free.total(),
            IN_FLIGHT_GOROUTINES,
        );
    }
    if let (Some(sums), Ok(gc)) = (sums, &snapshot.gc)
        && sums.marks.is_some_and(|marks| marks.missing() == 0)
    {
        // The runtime adds objects with finalizers to heapMarked a second time (runtime/mgcmark.go markrootSpans); even a
        // heap of 1 MiB can hold some hundred of them, open files and connections. And two workers that come to an object
        // at the same time both count it (`greyobject` looks whether it is marked, and only then marks it): where there is a
        // large object of just the size that is too much.
        let too_much = gc.heap_marked.saturating_sub(sums.marked_bytes);
        let tolerance = (gc.heap_marked / 100)
            .max(COUNTED_TWICE_BYTES)
            .saturating_add(sums.large.largest_within(too_much));
        list.list.push(check(
            "mark bits = gcController.heapMarked",
            "bytes",
            gc.heap_marked,
            sums.marked_bytes,
            tolerance,
        ));
    }
    list.list
}

/// What all spans add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    in_use: u64,
    user_arenas: u64,
    in_use_bytes: u64,
    manual_bytes: u64,
    allocated_bytes: u64,
    objects: u64,
    largest_bytes: u64,
}

impl Totals {
    pub(super) fn add(&mut self, alike: &Alike) {
        let add = |sum: &mut u64, part: u64| *sum = sum.saturating_add(part);
        self.largest_bytes = self.largest_bytes.max(alike.span.bytes());
        self.in_use += alike.spans;
        self.user_arenas += if alike.span.user_arena { alike.spans } else { 0 };
        add(&mut self.in_use_bytes, alike.bytes());
        add(&mut self.allocated_bytes, alike.slot_bytes(alike.objects));
        add(&mut self.objects, alike.objects);
    }

    pub(super) fn add_manual(&mut self, span: &Span) {
        self.largest_bytes = self.largest_bytes.max(span.bytes());
        self.manual_bytes = self.manual_bytes.saturating_add(span.bytes());
    }

    pub(super) fn join(&mut self, other: &Totals) {
        self.largest_bytes = self.largest_bytes.max(other.largest_bytes);
        for (total, part) in [
            (&mut self.in_use, other.in_use),
            (&mut self.user_arenas, other.user_arenas),
            (&mut self.in_use_bytes, other.in_use_bytes),
            (&mut self.manual_bytes, other.manual_bytes),
            (&mut self.allocated_bytes, other.allocated_bytes),
            (&mut self.objects, other.objects),
        ] {
            *total = total.saturating_add(part);
        }
    }
}

struct Checks {
    list: Vec<Check>,
    /// Ps that may have had an operation in flight.
    busy: u64,
    /// What one such operation can move, bytes.
    span_bytes: u64,
}

impl Checks {
    fn bytes(&mut self, name: &str, expected: u64, actual: u64) {
        self.count(name, "bytes", expected, actual, self.span_bytes);
    }

    /// A quantity that growing the heap changes in two steps: new address space comes in whole chunks, under a lock, so
    /// one growth at a time can be in flight.
    fn grown(&mut self, name: &str, expected: u64, actual: u64) {
        let growth = if self.busy == 0 {
            0
        } else {
            self.span_bytes.saturating_add(2 * CHUNK_BYTES)
        };
        let tolerance = self.span_bytes.saturating_mul(self.busy).saturating_add(growth);
        self.list.push(check(name, "bytes", expected, actual, tolerance));
    }

    fn count(&mut self, name: &str, unit: &str, expected: u64, actual: u64, per_p: u64) {
        self.list
            .push(check(name, unit, expected, actual, per_p.saturating_mul(self.busy)));
    }
}
