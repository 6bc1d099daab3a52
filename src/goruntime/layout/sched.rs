//! Layout of the scheduler's structures: runtime/runtime2.go, stack.go, symtab.go.

use super::field::{ArrayField, Field, runtime_structs};

runtime_structs! {
    /// runtime/runtime2.go `schedt`.
    SchedLayout = "&runtime.sched" {
        ngsys: Field = "ngsys",
        npidle: Field = "npidle",
        mnext: Field = "mnext",
        nmfreed: Field = "nmfreed",
        free_stack_head: Field = "gFree.stack.head",
        free_no_stack_head: Field = "gFree.noStack.head",
        /// Up to 1.24; 1.25 moved the counts into each list.
        free_count: Option<Field> = "gFree.n",
        free_stack_count: Option<Field> = "gFree.stack.size",
        free_no_stack_count: Option<Field> = "gFree.noStack.size",
        /// Up to 1.24 `runqsize`, later the queue's own size.
        runq_size: Field = "runqsize|runq.size",
    }
    /// runtime/runtime2.go `p`.
    PLayout = "runtime.p" {
        id: Field = "id",
        status: Field = "status",
        mcache: Field = "mcache",
        pcache_base: Field = "pcache.base",
        pcache_cache: Field = "pcache.cache",
        pcache_scav: Field = "pcache.scav",
        deferpool: Field = "deferpool",
        runqhead: Field = "runqhead",
        runqtail: Field = "runqtail",
        runnext: Field = "runnext",
        g_free_head: Field = "gFree.gList.head|gFree.head",
        g_free_count: Field = "gFree.n|gFree.size",
        sudogcache: Field = "sudogcache",
        mspancache_len: Field = "mspancache.len",
        stats_seq: Field = "statsSeq",
        /// 1.23 and later; before, a plain counter.
        timers_len: Field = "timers.len|numTimers",
    }
    /// runtime/runtime2.go `g`.
    GLayout = "runtime.g" {
        stack_lo: Field = "stack.lo",
        stack_hi: Field = "stack.hi",
        atomicstatus: Field = "atomicstatus",
        goid: Field = "goid",
        schedlink: Field = "schedlink",
        waitsince: Field = "waitsince",
        waitreason: Field = "waitreason",
        lockedm: Field = "lockedm",
        gopc: Field = "gopc",
        startpc: Field = "startpc",
        running_cleanups: Option<Field> = "runningCleanups",
    }
    /// runtime/symtab.go `moduledata`.
    ModuledataLayout = "runtime.moduledata" {
        pc_header: Field = "pcHeader",
        funcnametab: Field = "funcnametab",
        cutab: Field = "cutab",
        filetab: Field = "filetab",
        pctab: Field = "pctab",
        pclntable: Field = "pclntable",
        ftab: Field = "ftab",
        minpc: Field = "minpc",
        maxpc: Field = "maxpc",
        text: Field = "text",
        etext: Field = "etext",
        types: Field = "types",
        etypes: Field = "etypes",
        gofunc: Field = "gofunc",
        textsectmap: Field = "textsectmap",
        next: Field = "next",
    }
    /// runtime/symtab.go `textsect`.
    TextsectLayout = "runtime.textsect" {
        vaddr: Field = "vaddr",
        end: Field = "end",
        baseaddr: Field = "baseaddr",
    }
    /// runtime/stack.go, the variable `stackpool`: one list of spans per stack order.
    StackpoolLayout = "&runtime.stackpool" {
        first: Field = "[].item.span.first",
    }
    /// runtime/stack.go, the variable `stackLarge`.
    StackLargeLayout = "&runtime.stackLarge" {
        free: ArrayField = "free",
    }
}

/// Array shape of a whole global, such as `stackpool` or `waitReasonStrings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalArray {
    /// Number of elements.
    pub len: u64,
    /// Bytes per element.
    pub stride: u64,
}
