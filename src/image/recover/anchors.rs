//! What is known about the runtime's code: which functions name which variables. Pure data, in names of functions and
//! paths of fields, so that it holds for every release whose fields have these names; a function that a release or a
//! build lacks gives no evidence. Each statement was checked against the symbol tables of binaries of Go 1.19 to 1.27
//! for amd64 and arm64, built in every way that moves code (position independent, linked by the system's linker, with
//! the race detector, without optimisation, with a profile, with experiments).
//!
//! In a path, "a|b" stands for whichever the release has, and "" for the variable's start.

/// What is known about one variable.
#[derive(Debug)]
pub(super) struct Anchors {
    /// Its name in the linker's terms.
    pub(super) name: &'static str,
    /// The root of its paths, as [`TypeSource::field`](crate::image::types::TypeSource::field) takes it.
    pub(super) root: &'static str,
    /// A constant of the runtime that releases with this variable have, or lack.
    pub(super) constant: Option<(&'static str, bool)>,
    /// Whether one function is enough, when it names nothing else: in some builds there is no other.
    pub(super) alone: bool,
    /// Methods that are only called on it, or on one field of it: start of the name, field.
    pub(super) receivers: &'static [(&'static str, &'static str)],
    /// The `n`-th variable that a function names is this field; from 0, or from -1 backwards.
    pub(super) nth: &'static [(&'static str, isize, &'static str)],
    /// A function names all these fields, in any order.
    pub(super) among: &'static [(&'static str, &'static [&'static str])],
}

impl Anchors {
    /// Every path in it, as it is written.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> {
        let receivers = self.receivers.iter().map(|(_, path)| *path);
        let nth = self.nth.iter().map(|(_, _, path)| *path);
        let among = self.among.iter().flat_map(|(_, paths)| paths.iter().copied());
        receivers.chain(nth).chain(among)
    }
}

const NONE: Anchors = Anchors {
    name: "",
    root: "",
    constant: None,
    alone: false,
    receivers: &[],
    nth: &[],
    among: &[],
};

/// Every variable that is looked for.
pub(super) const ANCHORS: &[Anchors] = &[
    Anchors {
        name: "runtime.mheap_",
        root: "runtime.mheap",
        receivers: &[
            ("runtime.(*mheap).", ""),
            ("runtime.(*pageAlloc).", "pages"),
            ("runtime.(*scavengeIndex).", "pages.scav.index"),
        ],
        nth: &[
            ("runtime.(*mcache).allocLarge", 0, ""),
            ("runtime.(*mcentral).uncacheSpan", 0, "sweepgen"),
            ("runtime.(*mcache).prepareForSweep", 0, "sweepgen"),
            ("runtime.(*pageAlloc).findMappedAddr", 0, "arenas"),
        ],
        among: &[
            ("runtime.getempty.func1", &[""]),
            ("runtime.setprofilebucket", &["speciallock", "specialprofilealloc"]),
            ("runtime.(*scavengerState).init.func2", &["pages"]),
            ("runtime.allocmcache.func1", &["", "cachealloc", "sweepgen"]),
            ("runtime.finishsweep_m", &["central", "sweepgen"]),
            ("runtime.(*mcentral).cacheSpan", &["sweepgen"]),
            ("runtime.(*p).destroy.func1", &["", "pages", "spanalloc"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.allgs",
        root: "&runtime.allgs",
        nth: &[("runtime.forEachG", 1, "")],
        among: &[
            ("runtime.allgadd", &["", "len", "cap"]),
            ("runtime.allGsSnapshotSortedForGC", &["", "len"]),
            ("runtime.gcMarkRootPrepare", &[""]),
            ("runtime.gcPrepareMarkRoots", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.allp",
        root: "&runtime.allp",
        nth: &[
            ("runtime.preemptall", 0, ""),
            ("runtime.gcMarkTinyAllocs", 0, ""),
            ("runtime.timeSleepUntil", 1, ""),
            ("runtime.(*gcControllerState).startCycle", 1, ""),
        ],
        among: &[
            ("runtime.preemptall", &["", "len"]),
            ("runtime.gcMarkTinyAllocs", &["", "len"]),
            ("runtime.timeSleepUntil", &["", "len"]),
            ("runtime.(*gcCPULimiterState).updateLocked", &["", "len"]),
            ("runtime.(*gcControllerState).enlistWorker", &["", "len"]),
            ("runtime.gcComputeStartingStackSize", &["", "len"]),
            ("runtime.retake", &["", "len"]),
            ("runtime.procresize", &["", "len", "cap"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.gomaxprocs",
        root: "&runtime.gomaxprocs",
        nth: &[("runtime.(*scavengerState).init.func4", 0, "")],
        among: &[
            ("runtime.procresize", &[""]),
            ("runtime.gcBgMarkStartWorkers", &[""]),
            ("runtime.(*gcControllerState).enlistWorker", &[""]),
            ("runtime.startTheWorldWithSema", &[""]),
            ("runtime.stopTheWorldWithSema", &[""]),
            ("runtime.sysmon", &[""]),
            ("runtime.handoffp", &[""]),
            ("runtime.globrunqgetbatch", &[""]),
            ("runtime.(*cleanupQueue).wake", &[""]),
            ("runtime.flushallmcaches", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.sched",
        root: "&runtime.sched",
        nth: &[
            ("runtime.gfget", 0, "gFree.lock"),
            ("runtime.gfpurge", 0, "gFree.lock"),
            ("runtime.incidlelocked", 0, "lock"),
        ],
        among: &[
            ("runtime.newproc1", &["goidgen"]),
            ("runtime.oneNewExtraM", &["goidgen", "ngsys"]),
            ("runtime.mReserveID", &["mnext", "lock"]),
            ("runtime.stopm", &["lock"]),
            ("runtime.checkRunqsNoP", &["lock"]),
            ("runtime.resetspinning", &["nmspinning"]),
            ("runtime.wakeNetPoller", &["pollUntil", "lastpoll"]),
            ("runtime.incidlelocked", &["nmidlelocked", "lock"]),
            ("runtime.mput", &["midle", "nmidle"]),
            ("runtime.acquireSudog", &["sudoglock", "sudogcache"]),
            ("runtime.releaseSudog", &["sudoglock", "sudogcache"]),
            ("runtime.reentersyscall", &["sysmonwait", "gcwaiting"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.memstats",
        root: "runtime.mstats",
        receivers: &[("runtime.(*consistentHeapStats).", "heapStats")],
        nth: &[
            ("runtime.(*gcCPULimiterState).accumulate", 0, "numgc"),
            ("runtime.recordspan", 0, "other_sys"),
            ("runtime.newBucket", 0, "buckhash_sys"),
        ],
        among: &[
            ("runtime.progToPointerMask", &["buckhash_sys"]),
            ("runtime.(*gcCPULimiterState).resetCapacity", &["numgc"]),
            ("runtime.(*spanSet).push", &["gcMiscSys"]),
            (
                "runtime.(*mheap).init",
                &["gcMiscSys", "other_sys", "mspan_sys", "mcache_sys"],
            ),
            ("runtime.stkbucket", &["buckhash_sys"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.gcController",
        root: "runtime.gcControllerState",
        receivers: &[("runtime.(*gcControllerState).", "")],
        nth: &[("runtime.pollFractionalWorkerExit", 0, "markStartTime")],
        among: &[
            ("runtime.sysAlloc", &["mappedReady"]),
            ("runtime.sysFree", &["mappedReady"]),
            ("runtime.copystack", &["maxStackScan"]),
            (
                "runtime.pollFractionalWorkerExit",
                &["fractionalUtilizationGoal", "markStartTime"],
            ),
            ("runtime.(*gcControllerState).update", &["heapLive", "heapScan"]),
            ("runtime.(*mheap).freeSpanLocked", &["heapInUse", "heapFree"]),
            ("runtime.(*mheap).grow", &["heapInUse", "heapReleased", "heapFree"]),
            ("runtime.printScavTrace", &["heapInUse", "heapReleased"]),
            ("runtime.(*pageAlloc).scavengeOne", &["heapReleased", "heapFree"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.work",
        root: "&runtime.work",
        receivers: &[("runtime.(*cpuStats).", "cpuStats")],
        nth: &[
            ("runtime.freeSomeWbufs", 0, "wbufSpans.lock"),
            ("runtime.gcMarkRootCheck", 0, "markrootNext"),
        ],
        among: &[
            ("runtime.putempty", &["empty"]),
            ("runtime.putfull", &["full"]),
            ("runtime.trygetfull", &["full"]),
            ("runtime.freeSomeWbufs.func1", &["wbufSpans.free"]),
            ("runtime.gcWakeAllAssists", &["assistQueue.lock", "assistQueue.q"]),
            (
                "runtime.getempty",
                &["empty", "wbufSpans.lock", "wbufSpans.free", "wbufSpans.busy"],
            ),
            ("runtime.gcParkAssist", &["assistQueue.lock", "assistQueue.q"]),
            ("runtime.gcMarkRootCheck.func1", &["nStackRoots"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.gcphase",
        root: "&runtime.gcphase",
        nth: &[
            ("runtime.freeSomeWbufs", 1, ""),
            ("runtime.stackpoolfree", 2, ""),
            ("runtime.gcMarkTermination", 0, ""),
        ],
        among: &[
            ("runtime.(*gcWork).balance", &[""]),
            ("runtime.(*gcWork).put", &[""]),
            ("runtime.(*gcWork).putBatch", &[""]),
            ("runtime.(*gcWork).putObj", &[""]),
            ("runtime.(*gcWork).putObjBatch", &[""]),
            ("runtime.freeSomeWbufs", &[""]),
            ("runtime.stackpoolfree", &[""]),
            ("runtime.(*p).destroy", &[""]),
            ("runtime.gcControllerCommit", &[""]),
            ("runtime.gcTrigger.test", &[""]),
            ("runtime.stackfree", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.sweep",
        root: "&runtime.sweep",
        receivers: &[("runtime.(*activeSweep).", "active")],
        nth: &[("runtime.(*mheap).alloc.func1", 0, "active.state")],
        among: &[
            ("runtime.(*mspan).ensureSwept", &["active.state"]),
            ("runtime.(*mheap).reclaimChunk", &["active.state"]),
            ("runtime.bgsweep", &["lock", "parked", "g"]),
            (
                "runtime.gcSweep",
                &["lock", "parked", "g", "centralIndex", "active.state"],
            ),
            ("runtime.(*mheap).nextSpanForSweep", &["centralIndex"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.scavenge",
        root: "&runtime.scavenge",
        nth: &[("runtime.gcPaceScavenger", 1, "memoryLimitGoal")],
        among: &[
            (
                "runtime.(*scavengerState).init.func3",
                &["gcPercentGoal", "memoryLimitGoal"],
            ),
            ("runtime.gcPaceScavenger", &["gcPercentGoal", "memoryLimitGoal"]),
            ("runtime.(*mheap).allocSpan", &["gcPercentGoal"]),
            ("runtime.(*scavengerState).init.func2", &["backgroundTime"]),
            ("runtime.gcMarkTermination", &["assistTime", "backgroundTime"]),
            ("runtime.(*cpuStats).accumulate", &["assistTime", "backgroundTime"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.scavenger",
        root: "&runtime.scavenger",
        receivers: &[("runtime.(*scavengerState).", "")],
        among: &[
            ("runtime.bgscavenge", &[""]),
            ("runtime.finishsweep_m", &[""]),
            ("runtime.sysmon", &["", "sysmonWake"]),
            ("runtime.printScavTrace", &["printControllerReset"]),
            ("runtime.sweepone", &["sysmonWake"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.debug",
        root: "&runtime.debug",
        nth: &[
            ("runtime.preemptone", 0, "asyncpreemptoff"),
            ("runtime.adjustpointers", 0, "invalidptr"),
        ],
        among: &[
            ("runtime.parsedebugvars", &["cgocheck", "adaptivestackstart"]),
            ("runtime.parseRuntimeDebugVars", &["cgocheck", "adaptivestackstart"]),
            ("runtime.sysUsedOS", &["harddecommit"]),
            ("runtime.sysUnusedOS", &["harddecommit", "madvdontneed"]),
            ("runtime.sigtrampgo", &["asyncpreemptoff"]),
            ("runtime.suspendG", &["asyncpreemptoff"]),
            ("runtime.shrinkstack", &["gcshrinkstackoff"]),
            ("runtime.findObject", &["invalidptr"]),
            ("runtime.saveAncestors", &["tracebackancestors"]),
            (
                "runtime.(*gcControllerState).startCycle",
                &["gcstoptheworld", "gcpacertrace"],
            ),
            ("runtime.forcegchelper", &["gctrace"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.emptymspan",
        root: "&runtime.emptymspan",
        nth: &[
            ("runtime.(*mcache).refill", 0, ""),
            ("runtime.(*mcache).releaseAll", 1, ""),
            ("runtime.allocmcache", 0, ""),
        ],
        among: &[
            ("runtime.allocmcache", &[""]),
            ("runtime.(*mcache).refill", &[""]),
            ("runtime.(*mcache).releaseAll", &[""]),
            ("runtime.(*mcache).nextFree", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.waitReasonStrings",
        root: "&runtime.waitReasonStrings",
        // Without inlining, everything else calls the method.
        alone: true,
        nth: &[
            ("runtime.waitReason.String", 0, ""),
            ("runtime.(*waitReason).String", 0, ""),
            ("runtime.schedtrace.func1", 0, ""),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.stackpool",
        root: "&runtime.stackpool",
        nth: &[
            ("runtime.stackcache_clear", 0, ""),
            ("runtime.stackcacherelease", 0, ""),
            ("runtime.stackcacherefill", 0, ""),
        ],
        among: &[
            ("runtime.stackpoolalloc", &[""]),
            ("runtime.stackpoolfree", &[""]),
            ("runtime.freeStackSpans", &[""]),
            ("runtime.stackalloc", &[""]),
            ("runtime.stackfree", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.stackLarge",
        root: "&runtime.stackLarge",
        among: &[
            ("runtime.freeStackSpans", &["lock", "free"]),
            ("runtime.stackalloc", &["lock", "free"]),
            ("runtime.stackfree", &["lock", "free"]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.firstmoduledata",
        root: "runtime.moduledata",
        nth: &[("runtime.findfunc", 0, ""), ("runtime.modulesinit", 0, "")],
        among: &[
            ("runtime.resolveNameOff", &[""]),
            ("runtime.resolveTypeOff", &[""]),
            ("runtime.stkobjinit", &[""]),
            ("runtime.adjustframe", &[""]),
        ],
        ..NONE
    },
    // A flag up to Go 1.19, later bits of `fingStatus`. Small programs have no finalizer goroutine.
    Anchors {
        name: "runtime.fingRunning",
        root: "&runtime.fingRunning",
        constant: Some(("runtime.fingRunningFinalizer", false)),
        alone: true,
        nth: &[("runtime.isSystemGoroutine", 0, "")],
        among: &[("runtime.runfinq", &[""]), ("runtime.isSystemGoroutine", &[""])],
        ..NONE
    },
    Anchors {
        name: "runtime.fingStatus",
        root: "&runtime.fingStatus",
        constant: Some(("runtime.fingRunningFinalizer", true)),
        nth: &[("runtime.isSystemGoroutine", 0, "")],
        among: &[
            ("runtime.isSystemGoroutine", &[""]),
            ("runtime.createfing", &[""]),
            ("runtime.finalizercommit", &[""]),
            ("runtime.queuefinalizer", &[""]),
            ("runtime.findRunnable", &[""]),
            ("runtime.runFinalizers", &[""]),
            ("runtime.runfinq", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.allm",
        root: "&runtime.allm",
        nth: &[("runtime.mexit", 3, "")],
        among: &[
            ("runtime.mcommoninit", &[""]),
            ("runtime.mexit", &[""]),
            ("runtime.schedtrace", &[""]),
            ("runtime.traceAdvance", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.allglen",
        root: "&runtime.allglen",
        nth: &[
            ("runtime.forEachGRace", 0, ""),
            ("runtime.allgadd", -2, ""),
            ("runtime.atomicAllG", 0, ""),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.modulesSlice",
        root: "&runtime.modulesSlice",
        nth: &[("runtime.activeModules", 0, "")],
        among: &[
            ("runtime.modulesinit", &[""]),
            ("runtime.bulkBarrierPreWrite", &[""]),
            ("runtime.gcMarkRootPrepare", &[""]),
            ("runtime.gcPrepareMarkRoots", &[""]),
        ],
        ..NONE
    },
];

/// Variables that stand beside those in the code: found so as not to be taken for them.
pub(super) const NEIGHBOURS: &[Anchors] = &[
    Anchors {
        name: "runtime.writeBarrier",
        root: "&runtime.writeBarrier",
        among: &[
            ("runtime.chanrecv", &[""]),
            ("runtime.chansend", &[""]),
            ("runtime.closechan", &[""]),
            ("runtime.makechan", &[""]),
            ("runtime.mapassign", &[""]),
            ("runtime.gcenable", &[""]),
            ("runtime.debugCallWrap1", &[""]),
            ("runtime.(*fixalloc).init", &[""]),
        ],
        ..NONE
    },
    Anchors {
        name: "runtime.allpLock",
        root: "&runtime.allpLock",
        nth: &[("runtime.timeSleepUntil", 0, ""), ("runtime.retake", 0, "")],
        among: &[("runtime.procresize", &[""])],
        ..NONE
    },
    Anchors {
        name: "runtime.allglock",
        root: "&runtime.allglock",
        nth: &[("runtime.forEachG", 0, ""), ("runtime.allgadd", 0, "")],
        ..NONE
    },
    Anchors {
        name: "runtime.arm64HasATOMICS",
        root: "&runtime.arm64HasATOMICS",
        among: &[
            ("runtime.(*lfstack).push", &[""]),
            ("runtime.notewakeup", &[""]),
            ("runtime.(*limiterEvent).consume", &[""]),
            ("runtime.(*sysMemStat).add", &[""]),
            ("runtime.casfrom_Gscanstatus", &[""]),
            ("runtime.runqdrain", &[""]),
        ],
        ..NONE
    },
];
