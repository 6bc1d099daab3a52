//! The Ps (runtime/runtime2.go `p`, runtime/proc.go `procresize`) and what each keeps for itself: mcache, free pages,
//! free mspans, dead goroutines, sudogs, defers, timers, its run queue. Ps beyond GOMAXPROCS stay in `allp`'s array.

use std::collections::HashSet;

use super::capture::{MOST_FREE_MCACHES, WHOLE_SLICE};
use super::cursor::{DecodeError, Fields, GoSlice, Record, View, word, words};
use super::globals::Globals;
use super::layout::Layout;
use super::mcache::Mcache;
use super::pagealloc::PageCache;
use crate::memory::{Addr, Memory};

/// More Ps than Go allows (`_MaxGomaxprocs` is 1024 up to some releases; later bounded by memory).
pub(super) const MOST_PS: u64 = 1 << 16;

/// `p.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PStatus {
    /// Not used by any M.
    Idle,
    /// Owned by an M that runs Go code or the scheduler.
    Running,
    /// Its M is in a system call (not used from Go 1.26 on, where such a P stays running).
    Syscall,
    /// Stopped for the garbage collector.
    GcStop,
    /// Beyond GOMAXPROCS.
    Dead,
}

impl PStatus {
    fn of(value: u64) -> Option<PStatus> {
        Some(match value {
            0 => PStatus::Idle,
            1 => PStatus::Running,
            2 => PStatus::Syscall,
            3 => PStatus::GcStop,
            4 => PStatus::Dead,
            _ => return None,
        })
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            PStatus::Idle => "idle",
            PStatus::Running => "running",
            PStatus::Syscall => "syscall",
            PStatus::GcStop => "gcstop",
            PStatus::Dead => "dead",
        }
    }
}

/// One P.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processor {
    /// `p.id`.
    pub id: i64,
    /// `p.status`.
    pub status: PStatus,
    /// Its mcache; none for a retired P.
    pub mcache: Option<Mcache>,
    /// Its page cache.
    pub page_cache: PageCache,
    /// Free mspan structures it keeps.
    pub cached_spans: u64,
    /// First dead goroutine on its list.
    pub free_g_head: Addr,
    /// Length of that list by the runtime's own count.
    pub dead_goroutines: u64,
    /// sudogs kept for reuse.
    pub sudogs: u64,
    /// Defer records kept for reuse.
    pub defers: u64,
    /// Timers in its heap.
    pub timers: u64,
    /// Runnable goroutines queued on it, `runnext` included.
    pub run_queue: u64,
    /// Whether it was inside an update of the heap statistics.
    pub updating_stats: bool,
}

/// All Ps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processors {
    /// `gomaxprocs`.
    pub gomaxprocs: u64,
    /// `allp[:len]`.
    pub live: Vec<Processor>,
    /// Ps beyond GOMAXPROCS that wait in `allp`'s array to be used again.
    pub retired: u64,
    /// `sched.npidle`.
    pub idle_by_sched: u64,
    /// mcache structures on `mheap_.cachealloc`'s free list; `None` when the chain could not be followed to its end.
    pub free_mcaches: Option<u64>,
    /// Ps that could not be read.
    pub unreadable: u64,
    /// The first error met.
    pub first_error: Option<DecodeError>,
}

impl Processors {
    /// Reads every P.
    pub fn decode(memory: &dyn Memory, layout: &Layout, globals: &Globals) -> Result<Processors, DecodeError> {
        let header = View::new(memory, "allp", globals.allp);
        let allp: GoSlice = header.slice(WHOLE_SLICE)?;
        if allp.cap > MOST_PS {
            return Err(header.invalid("it has an impossible capacity"));
        }
        let sched = View::new(memory, "sched", globals.sched);
        let gomaxprocs =
            View::new(memory, "gomaxprocs", globals.gomaxprocs).uint(super::layout::Field { offset: 0, size: 4 })?;
        let mut all = Processors {
            gomaxprocs,
            idle_by_sched: sched.uint(layout.sched.npidle)?,
            free_mcaches: free_mcaches(memory, layout, globals.mheap),
            ..Processors::default()
        };
        let mut seen = HashSet::new();
        for (index, pointer) in words(memory, "allp", allp.ptr, allp.cap)?.enumerate() {
            let beyond = index as u64 >= allp.len;
            if beyond && pointer == 0 {
                continue;
            }
            let decoded = match seen.insert(pointer) {
                true => Processor::decode(memory, layout, Addr(pointer), globals.emptymspan),
                false => Err(header.invalid("it names a P twice")),
            };
            match decoded {
                Ok(p) if beyond => all.retired += u64::from(p.status == PStatus::Dead),
                Ok(p) => all.live.push(p),
                Err(error) => {
                    all.unreadable += 1;
                    all.first_error.get_or_insert(error);
                }
            }
        }
        Ok(all)
    }

    /// The mcaches of all live Ps.
    pub fn mcaches(&self) -> impl Iterator<Item = &Mcache> {
        self.live.iter().filter_map(|p| p.mcache.as_ref())
    }

    /// Ps that may have had an operation in flight when they were read.
    pub fn busy(&self) -> u64 {
        self.live
            .iter()
            .filter(|p| matches!(p.status, PStatus::Running | PStatus::Syscall))
            .count() as u64
    }
}

impl Processor {
    fn decode(memory: &dyn Memory, layout: &Layout, addr: Addr, emptymspan: Addr) -> Result<Processor, DecodeError> {
        let l = &layout.p;
        let r = Record::read(memory, "p", addr, l.size)?;
        let status = PStatus::of(r.uint(l.status)?).ok_or_else(|| r.invalid("its status is none of the runtime's"))?;
        let mcache = match r.addr(l.mcache)? {
            nil if nil.is_nil() => None,
            at => Some(Mcache::decode(memory, layout, at, emptymspan)?),
        };
        let queued = r.u32(l.runqtail)?.wrapping_sub(r.u32(l.runqhead)?);
        Ok(Processor {
            id: r.int(l.id)?,
            status,
            mcache,
            page_cache: PageCache {
                base: r.uint(l.pcache_base)?,
                cache: r.uint(l.pcache_cache)?,
                scav: r.uint(l.pcache_scav)?,
            },
            cached_spans: r.uint(l.mspancache_len)?,
            free_g_head: r.addr(l.g_free_head)?,
            dead_goroutines: r.uint(l.g_free_count)?,
            sudogs: r.slice(l.sudogcache)?.len,
            defers: r.slice(l.deferpool)?.len,
            timers: r.uint(l.timers_len)?,
            run_queue: u64::from(queued) + u64::from(!r.addr(l.runnext)?.is_nil()),
            updating_stats: r.uint(l.stats_seq)? % 2 == 1,
        })
    }
}

/// Length of the free list of mcache structures: one per P that was retired and not started again.
fn free_mcaches(memory: &dyn Memory, layout: &Layout, mheap: Addr) -> Option<u64> {
    let cachealloc = View::new(memory, "mheap_", mheap).inner("fixalloc", layout.mheap.cachealloc);
    let mut link = cachealloc.addr(layout.fixalloc.list).ok()?;
    for count in 0..MOST_FREE_MCACHES as u64 {
        if link.is_nil() {
            return Some(count);
        }
        link = Addr(word(memory, "free mcache", link).ok()?);
    }
    None
}
