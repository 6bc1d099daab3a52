//! The runtime's own books, kept by the builder's arithmetic from what it was told to build: every identity between
//! them and the structures holds with a difference of zero.

use super::pages::{PageTotals, Region};
use super::spans::Placed;
use super::spec::{Gc, Manual, P, PAGE, State};
use super::tables::CLASS_BYTES;
use super::writer::Writer;

/// What is true of the program that was built. Bytes unless named otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub heap_in_use: u64,
    pub heap_idle_unreturned: u64,
    pub heap_released: u64,
    pub allocated: u64,
    pub objects: u64,
    pub stacks: u64,
    pub work_buffers: u64,
    pub spans_in_use: u64,
    pub marked: u64,
    pub sys: u64,
    pub mapped_ready: u64,
    pub mallocs: u64,
    pub total_alloc: u64,
    pub dead_mspans: u64,
}

const STACKS_SYS: u64 = 64 << 10;
const MSPAN_SYS: u64 = 512 << 10;
const MCACHE_SYS: u64 = 16 << 10;
const BUCKHASH_SYS: u64 = 1_439_992;
const GC_MISC_SYS: u64 = 3 << 20;
/// Objects freed so far, per size class; large objects freed so far with their bytes.
const FREED_SMALL: u64 = 17;
const FREED_LARGE: (u64, u64) = (5, 40 << 20);
const FREED_TINY: u64 = 1234;

/// Writes every counter and says what is true.
pub fn write(w: &mut Writer, spans: &[Placed], regions: &[Region], ps: &[P], gc: &Gc) -> Truth {
    let mut truth = of_spans(spans);
    pages(&mut truth, regions, ps);
    let pinned = truth.stacks + truth.work_buffers;
    let other = STACKS_SYS + MSPAN_SYS + MCACHE_SYS + BUCKHASH_SYS + GC_MISC_SYS + gc.other_sys;
    truth.sys = truth.heap_in_use + truth.heap_idle_unreturned + truth.heap_released + pinned + other;
    truth.mapped_ready = truth.sys - truth.heap_released;
    let counted = Counted::of(spans);
    let tiny: u64 = ps.iter().map(|p| p.tiny_allocs).sum();
    truth.mallocs = counted.small.iter().sum::<u64>() + counted.large.0 + counted.unflushed + FREED_TINY + tiny;
    truth.total_alloc = counted.bytes() + counted.unflushed_bytes;
    heap_stats(w, &truth, &counted);
    memstats(w, gc);
    controller(w, &truth, gc);
    fixallocs(w, spans, ps);
    let mheap = w.global("mheap_");
    w.put("runtime.mheap", mheap, "sweepgen", gc.sweepgen);
    w.put("runtime.mheap", mheap, "pagesInUse", truth.heap_in_use / PAGE);
    truth
}

fn of_spans(spans: &[Placed]) -> Truth {
    let mut truth = Truth::default();
    for span in spans {
        let bytes = span.spec.bytes();
        match span.spec.state {
            State::Dead => truth.dead_mspans += 1,
            State::InUse => {
                truth.spans_in_use += 1;
                truth.heap_in_use += bytes;
                truth.allocated += span.spec.allocated * span.spec.elem;
                truth.objects += span.spec.allocated;
                truth.marked += span.live_slots() * span.spec.elem;
            }
            State::Manual(Manual::WorkBuffer { .. }) => truth.work_buffers += bytes,
            State::Manual(_) => truth.stacks += bytes,
        }
    }
    truth
}

fn pages(truth: &mut Truth, regions: &[Region], ps: &[P]) {
    for PageTotals {
        idle,
        released,
        padding,
    } in regions.iter().map(Region::totals)
    {
        truth.heap_idle_unreturned += idle * PAGE;
        truth.heap_released += (released + padding) * PAGE;
    }
    for (free, scavenged) in ps.iter().filter_map(|p| p.page_cache) {
        truth.heap_idle_unreturned += u64::from((free & !scavenged).count_ones()) * PAGE;
        truth.heap_released += u64::from((free & scavenged).count_ones()) * PAGE;
    }
}

/// Allocations that the counters know: those of cached spans are missing.
struct Counted {
    small: [u64; 68],
    /// Objects and bytes.
    large: (u64, u64),
    unflushed: u64,
    unflushed_bytes: u64,
}

impl Counted {
    fn of(spans: &[Placed]) -> Counted {
        let mut counted = Counted {
            small: [0; 68],
            large: FREED_LARGE,
            unflushed: 0,
            unflushed_bytes: 0,
        };
        for count in &mut counted.small[1..] {
            *count = FREED_SMALL;
        }
        for span in spans
            .iter()
            .filter(|span| span.spec.state == State::InUse)
            .map(|span| &span.spec)
        {
            match span.class >> 1 {
                0 => {
                    counted.large.0 += span.allocated;
                    counted.large.1 += span.allocated * span.elem;
                }
                class => {
                    counted.small[usize::from(class)] += span.allocated - span.unflushed;
                    counted.unflushed += span.unflushed;
                    counted.unflushed_bytes += span.unflushed * span.elem;
                }
            }
        }
        counted
    }

    fn bytes(&self) -> u64 {
        let small: u64 = self
            .small
            .iter()
            .zip(CLASS_BYTES)
            .map(|(count, bytes)| count * bytes)
            .sum();
        small + self.large.1
    }
}

/// Three generations whose sums are the truth; single ones are negative or wrap.
fn heap_stats(w: &mut Writer, truth: &Truth, counted: &Counted) {
    let pinned = truth.stacks + truth.work_buffers;
    let stats = w.at("runtime.mstats", w.global("memstats"), "heapStats.stats");
    let size = w.types.size("runtime.heapStatsDelta");
    let mut put = |path: &str, index: u64, value: u64| {
        let parts = [
            value.wrapping_add(1 << 40),
            (5u64 << 20).wrapping_neg(),
            (5u64 << 20).wrapping_sub(1 << 40),
        ];
        for (generation, part) in parts.into_iter().enumerate() {
            let at = w.at("runtime.heapStatsDelta", stats + generation as u64 * size, path) + index * 8;
            w.put_word(at, part);
        }
    };
    put("committed", 0, truth.heap_in_use + truth.heap_idle_unreturned + pinned);
    put("released", 0, truth.heap_released);
    put("inHeap", 0, truth.heap_in_use);
    put("inStacks", 0, truth.stacks);
    put("inWorkBufs", 0, truth.work_buffers);
    put("tinyAllocCount", 0, FREED_TINY);
    put("largeAlloc", 0, counted.large.1);
    put("largeAllocCount", 0, counted.large.0);
    put("largeFree", 0, FREED_LARGE.1);
    put("largeFreeCount", 0, FREED_LARGE.0);
    for class in 1..68 {
        put("smallAllocCount", class, counted.small[class as usize]);
        put("smallFreeCount", class, FREED_SMALL);
    }
}

fn memstats(w: &mut Writer, gc: &Gc) {
    let (t, at) = ("runtime.mstats", w.global("memstats"));
    for (field, value) in [
        ("stacks_sys", STACKS_SYS),
        ("mspan_sys", MSPAN_SYS),
        ("mcache_sys", MCACHE_SYS),
        ("buckhash_sys", BUCKHASH_SYS),
        ("gcMiscSys", GC_MISC_SYS),
        ("other_sys", gc.other_sys),
        ("last_gc_unix", 1_700_000_000_000_000_000),
        ("last_gc_nanotime", 50_000_000_000),
        ("pause_total_ns", 600),
        ("numgc", 3),
        ("numforcedgc", 1),
        ("gc_cpu_fraction", 0.25f64.to_bits()),
    ] {
        w.put(t, at, field, value);
    }
    for (cycle, pause) in [100, 200, 300].into_iter().enumerate() {
        w.put_word(w.at(t, at, "pause_ns") + cycle as u64 * 8, pause);
    }
}

fn controller(w: &mut Writer, truth: &Truth, gc: &Gc) {
    let (t, at) = ("runtime.gcControllerState", w.global("gcController"));
    for (field, value) in [
        ("gcPercent", gc.percent as u64 & 0xffff_ffff),
        ("memoryLimit", gc.limit),
        ("gcPercentHeapGoal", gc.percent_goal),
        ("sweepDistMinTrigger", gc.min_trigger),
        ("triggered", gc.triggered),
        ("heapLive", truth.heap_in_use),
        ("heapMarked", gc.heap_marked.unwrap_or(truth.marked)),
        ("heapInUse", truth.heap_in_use),
        ("heapReleased", truth.heap_released),
        ("heapFree", truth.heap_idle_unreturned),
        ("totalAlloc", gc.total_alloc),
        ("totalFree", gc.total_free),
        ("mappedReady", truth.mapped_ready),
    ] {
        w.put(t, at, field, value);
    }
    w.space.write(w.global("gcphase"), &(gc.phase as u32).to_le_bytes());
    w.put("work", w.global("work"), "cycles", 4);
    w.put("sweep", w.global("sweep"), "active.state", 0x8000_0000);
    w.put("scavenge", w.global("scavenge"), "gcPercentGoal", u64::MAX);
    w.put("scavenge", w.global("scavenge"), "memoryLimitGoal", 7 << 20);
    w.put("scavenger", w.global("scavenger"), "parked", 1);
    w.put("debug", w.global("debug"), "madvdontneed", 1);
}

fn fixallocs(w: &mut Writer, spans: &[Placed], ps: &[P]) {
    let mheap = w.global("mheap_");
    let live = spans.iter().filter(|span| span.spec.state != State::Dead).count() as u64;
    let cached: u64 = ps.iter().map(|p| p.free_mspans).sum();
    for (alloc, of, count) in [
        ("spanalloc", "runtime.mspan", live + cached),
        ("cachealloc", "runtime.mcache", ps.len() as u64),
    ] {
        let size = w.types.size(of);
        w.put("runtime.mheap", mheap, &format!("{alloc}.size"), size);
        w.put("runtime.mheap", mheap, &format!("{alloc}.inuse"), size * count);
    }
}
