//! Goroutines (runtime/runtime2.go `g`, runtime/proc.go): every g structure, its status and wait reason, where it was
//! created, and which are dead and kept for reuse. Stacks are not read here.

use std::collections::HashMap;

use super::capture::WHOLE_SLICE;
use super::cursor::{DecodeError, Fields, Record, View, words};
use super::globals::Globals;
use super::layout::Layout;
use super::processors::Processors;
use super::repeats::{Repeats, UNSUSPECTED};
use super::variants::{FinalizerGoroutine, Variant};
use crate::memory::{Addr, Memory};

/// More goroutines than any process has.
const MOST_GS: u64 = 1 << 27;

/// One g structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goroutine {
    /// Where it lies.
    pub addr: Addr,
    /// `goid`.
    pub id: u64,
    /// Status without the scan bit.
    pub status: u32,
    /// Index into the wait reasons; meaningful while waiting.
    pub wait_reason: u8,
    /// CLOCK_MONOTONIC of the GC cycle that first saw it waiting; 0 when none did.
    pub wait_since: i64,
    /// Return address of the `go` statement.
    pub gopc: u64,
    /// Entry of its function.
    pub startpc: u64,
    /// Bytes of its stack; 0 when it has none.
    pub stack_bytes: u64,
    /// Lowest address of its stack.
    pub stack_lo: u64,
    /// Next on the list that holds it.
    pub schedlink: Addr,
    /// Wired to a thread by LockOSThread.
    pub locked: bool,
    /// A cleanup goroutine that is running user code.
    pub running_cleanups: bool,
}

/// Dead goroutines kept for reuse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreeGoroutines {
    /// On `sched.gFree.stack`.
    pub with_stack: u64,
    /// On `sched.gFree.noStack`.
    pub without_stack: u64,
    /// On the Ps' lists.
    pub in_processors: u64,
    /// Bytes of the stacks they keep.
    pub stack_bytes: u64,
    /// What the runtime's own counters of these lists say.
    pub by_counters: u64,
    /// Lists that could not be followed to their end.
    pub broken_lists: u64,
}

impl FreeGoroutines {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.with_stack + self.without_stack + self.in_processors
    }
}

/// All goroutines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goroutines {
    /// Every g in `allgs`, dead ones included.
    pub all: Vec<Goroutine>,
    /// Dead ones on the free lists.
    pub free: FreeGoroutines,
    /// `sched.ngsys`: system goroutines by the runtime's count.
    pub ngsys: i64,
    /// Whether the finalizer goroutine is running user code.
    pub finalizer_running: bool,
    /// Structures that could not be read.
    pub unreadable: u64,
    /// Structures whose status is none that the runtime has.
    pub impossible: u64,
    /// The first error met.
    pub first_error: Option<DecodeError>,
    /// `sched.runqsize`: goroutines on the global run queue.
    pub global_run_queue: u64,
    /// `sched.mnext - sched.nmfreed`: Ms alive.
    pub threads_by_sched: i64,
}

impl Goroutines {
    /// Reads every g and the lists of dead ones; those of the Ps are missing where there are no `processors`.
    pub fn decode(
        memory: &dyn Memory,
        layout: &Layout,
        variant: &Variant,
        globals: &Globals,
        processors: Option<&Processors>,
    ) -> Result<Goroutines, DecodeError> {
        let header = View::new(memory, "allgs", globals.allgs);
        let allgs = header.slice(WHOLE_SLICE)?;
        if allgs.len > MOST_GS {
            return Err(header.invalid("it has an impossible length"));
        }
        let sched = View::new(memory, "sched", globals.sched);
        let mut gs = Goroutines {
            ngsys: sched.int(layout.sched.ngsys)?,
            finalizer_running: finalizer_running(memory, variant, globals),
            global_run_queue: sched.uint(layout.sched.runq_size)?,
            threads_by_sched: sched
                .int(layout.sched.mnext)?
                .saturating_sub(sched.int(layout.sched.nmfreed)?),
            ..Goroutines::default()
        };
        let pointers = words(memory, "allgs", allgs.ptr, allgs.len)?;
        gs.all.reserve(pointers.len().min(UNSUSPECTED));
        let mut repeats = Repeats::default();
        for pointer in pointers {
            match Goroutine::decode(memory, layout, variant, Addr(pointer)) {
                Ok(g) => {
                    gs.all.push(g);
                    repeats.drop_from(&mut gs.all, |g| g.addr);
                }
                Err(error) => {
                    match error {
                        DecodeError::Missing { .. } => gs.unreadable += 1,
                        DecodeError::Invalid { .. } => gs.impossible += 1,
                    }
                    gs.first_error.get_or_insert(error);
                }
            }
        }
        gs.impossible = gs.impossible.saturating_add(repeats.dropped);
        gs.free = gs.free_lists(layout, variant, &sched, processors)?;
        Ok(gs)
    }

    fn free_lists(
        &self,
        layout: &Layout,
        variant: &Variant,
        sched: &View<'_>,
        processors: Option<&Processors>,
    ) -> Result<FreeGoroutines, DecodeError> {
        let dead = variant.status.dead;
        // Each dead g is on one list: it leaves the map when it is met, so no list is followed in circles.
        let mut free: HashMap<Addr, &Goroutine> = self
            .all
            .iter()
            .filter(|g| g.status == dead)
            .map(|g| (g.addr, g))
            .collect();
        let mut lists = FreeGoroutines::default();
        let mut broken = 0;
        let mut stack_bytes: u64 = 0;
        let mut follow = |head: Addr| {
            let (mut link, mut count) = (head, 0);
            while !link.is_nil() {
                match free.remove(&link) {
                    Some(g) => {
                        count += 1;
                        stack_bytes = stack_bytes.saturating_add(g.stack_bytes);
                        link = g.schedlink;
                    }
                    None => {
                        broken += 1;
                        break;
                    }
                }
            }
            count
        };
        let l = &layout.sched;
        lists.with_stack = follow(sched.addr(l.free_stack_head)?);
        lists.without_stack = follow(sched.addr(l.free_no_stack_head)?);
        for p in processors.iter().flat_map(|ps| &ps.live) {
            lists.in_processors += follow(p.free_g_head);
            lists.by_counters = lists.by_counters.saturating_add(p.dead_goroutines);
        }
        for count in [l.free_count, l.free_stack_count, l.free_no_stack_count]
            .into_iter()
            .flatten()
        {
            lists.by_counters = lists.by_counters.saturating_add(sched.uint(count)?);
        }
        broken += u64::from(processors.is_none());
        (lists.broken_lists, lists.stack_bytes) = (broken, stack_bytes);
        Ok(lists)
    }

    /// Goroutines that exist for the program or the runtime: not dead, not spare.
    pub fn alive<'a>(&'a self, variant: &'a Variant) -> impl Iterator<Item = &'a Goroutine> {
        self.all.iter().filter(|g| variant.status.is_alive(g.status))
    }

    /// g structures whose status is dead (spare ones of foreign threads included).
    pub fn dead(&self, variant: &Variant) -> u64 {
        self.all.iter().filter(|g| !variant.status.is_alive(g.status)).count() as u64
    }
}

impl Goroutine {
    fn decode(memory: &dyn Memory, layout: &Layout, variant: &Variant, addr: Addr) -> Result<Goroutine, DecodeError> {
        let l = &layout.g;
        let r = Record::read(memory, "g", addr, l.size)?;
        let status = r.u32(l.atomicstatus)? & !variant.status.scan_bit;
        if variant.status.name(status).is_none() {
            return Err(r.invalid("its status is none that the runtime has"));
        }
        let (lo, hi) = (r.uint(l.stack_lo)?, r.uint(l.stack_hi)?);
        Ok(Goroutine {
            addr,
            id: r.uint(l.goid)?,
            status,
            wait_reason: r.uint(l.waitreason)? as u8,
            wait_since: r.int(l.waitsince)?,
            gopc: r.uint(l.gopc)?,
            startpc: r.uint(l.startpc)?,
            stack_bytes: hi.saturating_sub(lo),
            stack_lo: lo,
            schedlink: r.addr(l.schedlink)?,
            locked: !r.addr(l.lockedm)?.is_nil(),
            running_cleanups: l.running_cleanups.map(|field| r.uint(field)).transpose()?.unwrap_or(0) != 0,
        })
    }
}

/// Whether user code runs on the finalizer goroutine, which then counts as a user goroutine.
fn finalizer_running(memory: &dyn Memory, variant: &Variant, globals: &Globals) -> bool {
    let read = |addr: Option<Addr>, size| {
        addr.and_then(|addr| {
            View::new(memory, "finalizer status", addr)
                .uint(super::layout::Field { offset: 0, size })
                .ok()
        })
    };
    match variant.finalizer {
        FinalizerGoroutine::Flag => read(globals.fing_running, 1).is_some_and(|flag| flag != 0),
        FinalizerGoroutine::Bit(bit) => read(globals.fing_status, 4).is_some_and(|bits| bits & u64::from(bit) != 0),
    }
}

/// The runtime's wait reasons in order, as (address of the text, length); read from `waitReasonStrings`.
pub fn wait_reason_headers(
    memory: &dyn Memory,
    layout: &Layout,
    globals: &Globals,
) -> Result<Vec<(Addr, u64)>, DecodeError> {
    let shape = layout.wait_reason_strings;
    let mut headers = Vec::new();
    for index in 0..shape.len.min(256) {
        let at = Addr(
            globals
                .wait_reason_strings
                .0
                .wrapping_add(index.wrapping_mul(shape.stride)),
        );
        let mut header = words(memory, "waitReasonStrings", at, 2)?;
        let (text, len) = (header.next().unwrap_or(0), header.next().unwrap_or(0));
        headers.push((Addr(text), len.min(128)));
    }
    Ok(headers)
}
