//! What the collector's, the scavenger's and the accounts' globals always look like.

use super::*;

impl Probe<'_> {
    pub(super) fn memstats(&self) -> Answer {
        let l = &self.runtime.layout.mstats;
        let m = self.view("memstats", self.runtime.globals.memstats);
        for (name, field) in [
            ("stacks_sys", l.stacks_sys),
            ("mspan_sys", l.mspan_sys),
            ("mcache_sys", l.mcache_sys),
            ("buckhash_sys", l.buckhash_sys),
            ("gcMiscSys", l.gc_misc_sys),
            ("other_sys", l.other_sys),
        ] {
            self.at_most(&m, name, field, 1 << 47)?;
        }
        let (all, forced) = (read(m.uint(l.numgc))?, read(m.uint(l.numforcedgc))?);
        // A forced cycle may be counted between the two reads.
        holds(forced <= all.saturating_add(1), || {
            format!("{forced} of {all} collections were forced")
        })?;
        // Fixed-size structures come from chunks whose bytes are counted here (runtime/mfixalloc.go).
        let mheap = self.view("mheap_", self.runtime.globals.mheap);
        let (spans, caches) = (
            self.runtime.layout.mheap.spanalloc,
            self.runtime.layout.mheap.cachealloc,
        );
        for (name, field, alloc) in [("mspan_sys", l.mspan_sys, spans), ("mcache_sys", l.mcache_sys, caches)] {
            let bytes = read(m.uint(field))?;
            let inuse = read(mheap.inner("fixalloc", alloc).uint(self.runtime.layout.fixalloc.inuse))?;
            holds(bytes >= inuse, || {
                format!("{name} is {bytes} when {inuse} bytes are in use")
            })?;
        }
        // Nanoseconds since 1970, set before the cycle is counted; 0 before the first.
        let last = read(m.uint(l.last_gc_unix))?;
        holds(YEARS.contains(&last) || (last == 0 && all == 0), || {
            format!("the last of {all} collections was {last} ns after 1970")
        })
    }

    pub(super) fn gc_controller(&self) -> Answer {
        let l = &self.runtime.layout.gc_controller;
        let c = self.view("gcController", self.runtime.globals.gc_controller);
        let percent = read(c.int(l.gc_percent))?;
        let limit = read(c.int(l.memory_limit))?;
        holds(percent >= -1 && limit >= 0, || {
            format!("gcPercent is {percent} and memoryLimit {limit}")
        })?;
        for (name, field) in [
            ("heapLive", l.heap_live),
            ("heapMarked", l.heap_marked),
            ("heapInUse", l.heap_in_use),
            ("heapReleased", l.heap_released),
            ("heapFree", l.heap_free),
            ("mappedReady", l.mapped_ready),
        ] {
            self.at_most(&c, name, field, 1 << 47)?;
        }
        let ready = read(c.uint(l.mapped_ready))?;
        holds(ready > 0, || "mappedReady is 0".into())
    }

    /// `work.cycles` counts a cycle when it begins, `memstats.numgc` when it has ended (runtime/mgc.go).
    pub(super) fn work(&self) -> Answer {
        let l = &self.runtime.layout;
        let work = self.view("work", self.runtime.globals.work);
        let cycles = read(work.u32(l.work.cycles))?;
        let ended = read(self.view("memstats", self.runtime.globals.memstats).u32(l.mstats.numgc))?;
        let between = cycles.wrapping_sub(ended);
        // One may begin or end between the two reads.
        holds(between.wrapping_add(1) <= 3, || {
            format!("cycles is {cycles} when {ended} collections have ended")
        })?;
        let mode = read(work.uint(l.work.mode))?;
        holds(mode <= 2, || format!("mode is {mode}"))?;
        for list in [l.work.wbuf_free, l.work.wbuf_busy] {
            self.head_of_spans(read(work.addr(list))?)?;
        }
        Ok(())
    }

    pub(super) fn gcphase(&self) -> Answer {
        let phase = self.view("gcphase", self.runtime.globals.gcphase);
        self.at_most(&phase, "it", Field { offset: 0, size: 4 }, 2)
    }

    /// The state holds the number of sweepers and, in its top bit, whether all is swept.
    pub(super) fn sweep(&self) -> Answer {
        let sweep = self.view("sweep", self.runtime.globals.sweep);
        let state = read(sweep.u32(self.runtime.layout.sweep.active_state))?;
        let sweepers = state & 0x7fff_ffff;
        holds(sweepers < 1 << 20, || format!("{sweepers} sweepers are active"))
    }

    pub(super) fn scavenge(&self) -> Answer {
        let l = &self.runtime.layout;
        let scavenge = self.view("scavenge", self.runtime.globals.scavenge);
        // ^uint64(0) stands for "never"; otherwise bytes.
        for (name, field) in [
            ("gcPercentGoal", l.scavenge.gc_percent_goal),
            ("memoryLimitGoal", l.scavenge.memory_limit_goal),
        ] {
            let goal = read(scavenge.uint(field))?;
            holds(goal == u64::MAX || goal < 1 << 63, || format!("{name} is {goal:#x}"))?;
        }
        let parked = self.view("scavenger", self.runtime.globals.scavenger);
        self.at_most(&parked, "scavenger.parked", l.scavenger.parked, 1)
    }

    pub(super) fn debug(&self) -> Answer {
        let l = &self.runtime.layout.debug;
        let debug = self.view("debug", self.runtime.globals.debug);
        let switches = [
            ("harddecommit", l.harddecommit),
            ("efence", l.efence),
            ("sbrk", l.sbrk),
            ("asyncpreemptoff", l.asyncpreemptoff),
            ("gcshrinkstackoff", l.gcshrinkstackoff),
            ("madvdontneed", l.madvdontneed),
        ];
        for (name, field) in switches.into_iter().filter_map(|(name, field)| Some((name, field?))) {
            let value = read(debug.int(field))?;
            holds((-1..=1 << 16).contains(&value), || format!("{name} is {value}"))?;
        }
        Ok(())
    }
}
