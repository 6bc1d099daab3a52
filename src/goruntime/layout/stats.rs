//! Layout of the accounting and pacing structures: runtime/mstats.go, mgcpacer.go, mgc.go, mgcscavenge.go.

use super::field::{ArrayField, Field, runtime_structs};

runtime_structs! {
    /// runtime/mstats.go `mstats`.
    MstatsLayout = "runtime.mstats" {
        heap_stats: ArrayField = "heapStats.stats",
        stacks_sys: Field = "stacks_sys",
        mspan_sys: Field = "mspan_sys",
        mcache_sys: Field = "mcache_sys",
        buckhash_sys: Field = "buckhash_sys",
        gc_misc_sys: Field = "gcMiscSys",
        other_sys: Field = "other_sys",
        last_gc_unix: Field = "last_gc_unix",
        pause_total_ns: Field = "pause_total_ns",
        pause_ns: ArrayField = "pause_ns",
        numgc: Field = "numgc",
        numforcedgc: Field = "numforcedgc",
        gc_cpu_fraction: Field = "gc_cpu_fraction",
        last_gc_nanotime: Field = "last_gc_nanotime",
        last_heap_in_use: Field = "lastHeapInUse",
    }
    /// runtime/mstats.go `heapStatsDelta`.
    HeapStatsDeltaLayout = "runtime.heapStatsDelta" {
        committed: Field = "committed",
        released: Field = "released",
        in_heap: Field = "inHeap",
        in_stacks: Field = "inStacks",
        in_work_bufs: Field = "inWorkBufs",
        in_ptr_scalar_bits: Option<Field> = "inPtrScalarBits",
        tiny_alloc_count: Field = "tinyAllocCount",
        large_alloc: Field = "largeAlloc",
        large_alloc_count: Field = "largeAllocCount",
        small_alloc_count: ArrayField = "smallAllocCount",
        large_free: Field = "largeFree",
        large_free_count: Field = "largeFreeCount",
        small_free_count: ArrayField = "smallFreeCount",
    }
    /// runtime/mgcpacer.go `gcControllerState`.
    GcControllerLayout = "runtime.gcControllerState" {
        gc_percent: Field = "gcPercent",
        memory_limit: Field = "memoryLimit",
        gc_percent_heap_goal: Field = "gcPercentHeapGoal",
        sweep_dist_min_trigger: Field = "sweepDistMinTrigger",
        triggered: Field = "triggered",
        heap_live: Field = "heapLive",
        heap_marked: Field = "heapMarked",
        heap_in_use: Field = "heapInUse",
        heap_released: Field = "heapReleased",
        heap_free: Field = "heapFree",
        total_alloc: Field = "totalAlloc",
        total_free: Field = "totalFree",
        mapped_ready: Field = "mappedReady",
    }
    /// runtime/mgc.go `workType`.
    WorkLayout = "&runtime.work" {
        wbuf_free: Field = "wbufSpans.free.first",
        wbuf_busy: Field = "wbufSpans.busy.first",
        cycles: Field = "cycles",
        mode: Field = "mode",
    }
    /// runtime/mgcsweep.go `sweepdata`.
    SweepLayout = "&runtime.sweep" {
        active_state: Field = "active.state",
    }
    /// runtime/mgcscavenge.go, the variable `scavenge`.
    ScavengeLayout = "&runtime.scavenge" {
        gc_percent_goal: Field = "gcPercentGoal",
        memory_limit_goal: Field = "memoryLimitGoal",
        assist_time: Option<Field> = "assistTime",
        background_time: Option<Field> = "backgroundTime",
    }
    /// runtime/mgcscavenge.go `scavengerState`.
    ScavengerLayout = "&runtime.scavenger" {
        parked: Field = "parked",
    }
    /// runtime/runtime1.go, the variable `debug`: the GODEBUG knobs that matter for memory.
    DebugLayout = "&runtime.debug" {
        madvdontneed: Option<Field> = "madvdontneed",
        harddecommit: Option<Field> = "harddecommit",
        disablethp: Option<Field> = "disablethp",
        decoratemappings: Option<Field> = "decoratemappings",
        gctrace: Option<Field> = "gctrace",
        scavtrace: Option<Field> = "scavtrace",
        gcstoptheworld: Option<Field> = "gcstoptheworld",
        gcshrinkstackoff: Option<Field> = "gcshrinkstackoff",
        adaptivestackstart: Option<Field> = "adaptivestackstart",
        asyncpreemptoff: Option<Field> = "asyncpreemptoff",
        efence: Option<Field> = "efence",
        sbrk: Option<Field> = "sbrk",
    }
}
