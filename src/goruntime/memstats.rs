//! What `runtime.ReadMemStats` would answer at this instant (runtime/mstats.go `readmemstats_m`), computed from
//! outside: the three generations of `heapStats` are summed and the flush of every mcache is replayed.

use super::cursor::{DecodeError, Fields, Record, View, words};
use super::globals::Globals;
use super::layout::{ArrayField, HeapStatsDeltaLayout, Layout};
use super::processors::Processors;
use super::spans::Spans;
use super::variants::{CLASS_TO_SIZE, SIZE_CLASSES};
use crate::memory::{Addr, Memory};

/// `heapStatsDelta` summed over its generations. Signed counters are sums of signed deltas.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields carry the runtime's own names")]
pub struct HeapStats {
    pub committed: i64,
    pub released: i64,
    pub in_heap: i64,
    pub in_stacks: i64,
    pub in_work_bufs: i64,
    pub in_ptr_scalar_bits: i64,
    pub tiny_alloc_count: u64,
    pub large_alloc: u64,
    pub large_alloc_count: u64,
    pub small_alloc_count: [u64; SIZE_CLASSES],
    pub large_free: u64,
    pub large_free_count: u64,
    pub small_free_count: [u64; SIZE_CLASSES],
}

impl HeapStats {
    fn zero() -> HeapStats {
        HeapStats {
            committed: 0,
            released: 0,
            in_heap: 0,
            in_stacks: 0,
            in_work_bufs: 0,
            in_ptr_scalar_bits: 0,
            tiny_alloc_count: 0,
            large_alloc: 0,
            large_alloc_count: 0,
            small_alloc_count: [0; SIZE_CLASSES],
            large_free: 0,
            large_free_count: 0,
            small_free_count: [0; SIZE_CLASSES],
        }
    }

    fn decode(memory: &dyn Memory, layout: &Layout, memstats: Addr) -> Result<HeapStats, DecodeError> {
        let view = View::new(memory, "memstats", memstats);
        let mut sum = HeapStats::zero();
        for generation in 0..layout.mstats.heap_stats.len.min(3) {
            let at = view.element_addr(layout.mstats.heap_stats, generation)?;
            sum.add(memory, &layout.heap_stats_delta, at)?;
        }
        Ok(sum)
    }

    fn add(&mut self, memory: &dyn Memory, l: &HeapStatsDeltaLayout, at: Addr) -> Result<(), DecodeError> {
        let r = Record::read(memory, "heapStatsDelta", at, l.size)?;
        let signed = |total: &mut i64, field| r.int(field).map(|value| *total = total.wrapping_add(value));
        signed(&mut self.committed, l.committed)?;
        signed(&mut self.released, l.released)?;
        signed(&mut self.in_heap, l.in_heap)?;
        signed(&mut self.in_stacks, l.in_stacks)?;
        signed(&mut self.in_work_bufs, l.in_work_bufs)?;
        if let Some(field) = l.in_ptr_scalar_bits {
            signed(&mut self.in_ptr_scalar_bits, field)?;
        }
        let plain = |total: &mut u64, field| r.uint(field).map(|value| *total = total.wrapping_add(value));
        plain(&mut self.tiny_alloc_count, l.tiny_alloc_count)?;
        plain(&mut self.large_alloc, l.large_alloc)?;
        plain(&mut self.large_alloc_count, l.large_alloc_count)?;
        plain(&mut self.large_free, l.large_free)?;
        plain(&mut self.large_free_count, l.large_free_count)?;
        add_array(memory, at, l.small_alloc_count, &mut self.small_alloc_count)?;
        add_array(memory, at, l.small_free_count, &mut self.small_free_count)
    }

    /// Allocated minus freed bytes of small and large objects.
    fn allocated(&self) -> (u64, u64) {
        let small = |counts: &[u64; SIZE_CLASSES]| {
            counts
                .iter()
                .zip(CLASS_TO_SIZE)
                .fold(0u64, |sum, (n, size)| sum.wrapping_add(n.wrapping_mul(size)))
        };
        (
            self.large_alloc.wrapping_add(small(&self.small_alloc_count)),
            self.large_free.wrapping_add(small(&self.small_free_count)),
        )
    }
}

fn add_array(
    memory: &dyn Memory,
    base: Addr,
    array: ArrayField,
    into: &mut [u64; SIZE_CLASSES],
) -> Result<(), DecodeError> {
    let first = View::new(memory, "heapStatsDelta", base).element_addr(array, 0)?;
    for (total, value) in into.iter_mut().zip(words(memory, "heapStatsDelta", first, array.len)?) {
        *total = total.wrapping_add(value);
    }
    Ok(())
}

/// The scalar fields of `runtime.MemStats`, and the counters they come from.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields carry the names of runtime.MemStats")]
pub struct MemStats {
    pub heap_alloc: u64,
    pub total_alloc: u64,
    pub sys: u64,
    pub mallocs: u64,
    pub frees: u64,
    pub heap_sys: u64,
    pub heap_idle: u64,
    pub heap_inuse: u64,
    pub heap_released: u64,
    pub heap_objects: u64,
    pub stack_inuse: u64,
    pub stack_sys: u64,
    pub mspan_inuse: u64,
    pub mspan_sys: u64,
    pub mcache_inuse: u64,
    pub mcache_sys: u64,
    pub buckhash_sys: u64,
    pub gc_sys: u64,
    pub other_sys: u64,
    pub last_gc: u64,
    pub pause_total_ns: u64,
    pub num_gc: u32,
    pub num_forced_gc: u32,
    pub gc_cpu_fraction: f64,
    /// `gcController.heapFree`: idle and not returned.
    pub heap_free: u64,
    /// `memstats.heapStats`, summed, before the mcache flush is replayed.
    pub heap_stats: HeapStats,
    /// `memstats.last_gc_nanotime`, CLOCK_MONOTONIC of the last mark termination.
    pub last_gc_nanotime: u64,
    /// `memstats.lastHeapInUse`.
    pub last_heap_in_use: u64,
    /// Newest pauses first, ns; at most 256.
    pub pauses_ns: Vec<u64>,
}

impl MemStats {
    /// Reads the statistics and replays the mcache flush.
    pub fn decode(
        memory: &dyn Memory,
        layout: &Layout,
        globals: &Globals,
        spans: &Spans,
        processors: &Processors,
    ) -> Result<MemStats, DecodeError> {
        let l = &layout.mstats;
        let stats = View::new(memory, "memstats", globals.memstats);
        let controller = View::new(memory, "gcController", globals.gc_controller);
        let mheap = View::new(memory, "mheap_", globals.mheap);
        let inuse = |alloc| mheap.inner("fixalloc", alloc).uint(layout.fixalloc.inuse);
        let heap_stats = HeapStats::decode(memory, layout, globals.memstats)?;
        let flushed = replay_flush(heap_stats.clone(), spans, processors);
        let (total_alloc, total_free) = flushed.allocated();
        let count = |large: u64, small: &[u64; SIZE_CLASSES]| {
            small
                .iter()
                .fold(large.wrapping_add(flushed.tiny_alloc_count), |sum, n| {
                    sum.wrapping_add(*n)
                })
        };
        let mallocs = count(flushed.large_alloc_count, &flushed.small_alloc_count);
        let frees = count(flushed.large_free_count, &flushed.small_free_count);
        let heap_inuse = controller.uint(layout.gc_controller.heap_in_use)?;
        let heap_released = controller.uint(layout.gc_controller.heap_released)?;
        let heap_free = controller.uint(layout.gc_controller.heap_free)?;
        let in_stacks = heap_stats.in_stacks as u64;
        let work = heap_stats.in_work_bufs.wrapping_add(heap_stats.in_ptr_scalar_bits) as u64;
        let stacks_sys = stats.uint(l.stacks_sys)?;
        let (mspan_sys, mcache_sys) = (stats.uint(l.mspan_sys)?, stats.uint(l.mcache_sys)?);
        let (buckhash_sys, other_sys) = (stats.uint(l.buckhash_sys)?, stats.uint(l.other_sys)?);
        let gc_misc_sys = stats.uint(l.gc_misc_sys)?;
        let heap_sys = heap_inuse.wrapping_add(heap_free).wrapping_add(heap_released);
        let sys = [
            stacks_sys,
            mspan_sys,
            mcache_sys,
            buckhash_sys,
            gc_misc_sys,
            other_sys,
            in_stacks,
            work,
        ]
        .iter()
        .fold(heap_sys, |sum, part| sum.wrapping_add(*part));
        Ok(MemStats {
            heap_alloc: total_alloc.wrapping_sub(total_free),
            total_alloc,
            sys,
            mallocs,
            frees,
            heap_sys,
            heap_idle: heap_free.wrapping_add(heap_released),
            heap_inuse,
            heap_released,
            heap_objects: mallocs.wrapping_sub(frees),
            stack_inuse: in_stacks,
            stack_sys: in_stacks.wrapping_add(stacks_sys),
            mspan_inuse: inuse(layout.mheap.spanalloc)?,
            mspan_sys,
            mcache_inuse: inuse(layout.mheap.cachealloc)?,
            mcache_sys,
            buckhash_sys,
            gc_sys: gc_misc_sys.wrapping_add(work),
            other_sys,
            last_gc: stats.uint(l.last_gc_unix)?,
            pause_total_ns: stats.uint(l.pause_total_ns)?,
            num_gc: stats.u32(l.numgc)?,
            num_forced_gc: stats.u32(l.numforcedgc)?,
            gc_cpu_fraction: f64::from_bits(stats.uint(l.gc_cpu_fraction)?),
            heap_free,
            last_gc_nanotime: stats.uint(l.last_gc_nanotime)?,
            last_heap_in_use: stats.uint(l.last_heap_in_use)?,
            pauses_ns: pauses(memory, &stats, layout)?,
            heap_stats,
        })
    }
}

/// What `flushallmcaches` adds: objects handed out from the cached spans since they were cached, and tiny allocations.
fn replay_flush(mut stats: HeapStats, spans: &Spans, processors: &Processors) -> HeapStats {
    let mut finder = spans.finder();
    for mcache in processors.mcaches() {
        stats.tiny_alloc_count = stats.tiny_alloc_count.wrapping_add(mcache.tiny_allocs);
        for &(class, addr) in &mcache.spans {
            if let (Some((_, span)), Some(count)) = (
                finder.span(addr),
                stats.small_alloc_count.get_mut(usize::from(class >> 1)),
            ) {
                let since = i64::from(span.alloc_count) - i64::from(span.alloc_count_before_cache);
                *count = count.wrapping_add_signed(since);
            }
        }
    }
    stats
}

/// `pause_ns` is a ring: the newest entry is at `(numgc + 255) % 256`.
fn pauses(memory: &dyn Memory, stats: &View<'_>, layout: &Layout) -> Result<Vec<u64>, DecodeError> {
    let ring = layout.mstats.pause_ns;
    let all: Vec<u64> = words(
        memory,
        "memstats.pause_ns",
        stats.element_addr(ring, 0)?,
        ring.len.min(256),
    )?
    .collect();
    let count = stats.uint(layout.mstats.numgc)?;
    let len = all.len() as u64;
    Ok((0..count.min(len))
        .filter_map(|back| all.get(((count + len - 1 - back) % len) as usize).copied())
        .collect())
}
