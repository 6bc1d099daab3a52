//! `runtime.MemStats` as the program would see it.

use crate::goruntime::gc::Gc;
use crate::goruntime::memstats::MemStats as Decoded;
use crate::model::MemStats;

/// The contract's section from the decoded statistics.
pub fn memstats(stats: &Decoded, gc: Option<&Gc>) -> MemStats {
    let mut section = MemStats {
        alloc: Some(stats.heap_alloc),
        total_alloc: Some(stats.total_alloc),
        sys: Some(stats.sys),
        mallocs: Some(stats.mallocs),
        frees: Some(stats.frees),
        heap_alloc: Some(stats.heap_alloc),
        heap_sys: Some(stats.heap_sys),
        heap_idle: Some(stats.heap_idle),
        heap_inuse: Some(stats.heap_inuse),
        heap_released: Some(stats.heap_released),
        heap_objects: Some(stats.heap_objects),
        stack_inuse: Some(stats.stack_inuse),
        stack_sys: Some(stats.stack_sys),
        mspan_inuse: Some(stats.mspan_inuse),
        mspan_sys: Some(stats.mspan_sys),
        mcache_inuse: Some(stats.mcache_inuse),
        mcache_sys: Some(stats.mcache_sys),
        buck_hash_sys: Some(stats.buckhash_sys),
        gc_sys: Some(stats.gc_sys),
        other_sys: Some(stats.other_sys),
        next_gc: gc.map(|gc| gc.next_gc),
        last_gc: Some(stats.last_gc),
        pause_total_ns: Some(stats.pause_total_ns),
        num_gc: Some(u64::from(stats.num_gc)),
        num_forced_gc: Some(u64::from(stats.num_forced_gc)),
        gc_cpu_fraction: stats.gc_cpu_fraction.is_finite().then_some(stats.gc_cpu_fraction),
        ..MemStats::default()
    };
    section.set_string_twins();
    section
}
