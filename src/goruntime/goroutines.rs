//! Goroutines (runtime/runtime2.go `g`, runtime/proc.go): every g structure, its status and wait reason, where it was
//! created, and which are dead and kept for reuse. Stacks are not read here.

use std::collections::HashMap;

use super::capture::WHOLE_SLICE;
use super::cursor::{DecodeError, Fields, GoSlice, View, words};
use super::globals::Globals;
use super::layout::{Field, GLayout, Layout};
use super::processors::Processors;
use super::repeats::{Repeats, UNSUSPECTED, names_few};
use super::variants::{FinalizerGoroutine, Variant};
use crate::memory::{Addr, Gather, Gathered, Memory, MemoryError, Place, RecordShape};

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
        let allgs = all_goroutines(memory, globals)?;
        let gather = gather(&layout.g, allgs.ptr, allgs.len)
            .ok_or_else(|| header.invalid("its goroutines have fields of impossible sizes"))?;
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
        let pointers = || words(memory, "allgs", allgs.ptr, allgs.len);
        let what = "allgs";
        let records = Gathered::of(memory, &gather).map_err(|source| DecodeError::Missing { what, source })?;
        gs.all.reserve(records.count().min(UNSUSPECTED));
        let mut repeats = Repeats::default();
        for (index, pointer) in pointers()?.enumerate() {
            let addr = Addr(pointer);
            let decoded = match records.record(index) {
                Ok(record) => Goroutine::of(addr, record, variant),
                Err(why) => {
                    let (what, len) = ("g", layout.g.size);
                    let source = MemoryError { addr, len, why };
                    Err(DecodeError::Missing { what, source })
                }
            };
            match decoded {
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
    /// Makes sense of a record.
    fn of(addr: Addr, record: &[u8], variant: &Variant) -> Result<Goroutine, DecodeError> {
        let word = |at: usize| record.get(at..).and_then(|rest| rest.first_chunk::<8>());
        let word = |at: usize| word(at).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let byte = |at: usize| record.get(at).copied().unwrap_or(0);
        let status = record.get(ATOMICSTATUS..).and_then(|rest| rest.first_chunk::<4>());
        let status = status.map_or(0, |bytes| u32::from_le_bytes(*bytes)) & !variant.status.scan_bit;
        if variant.status.name(status).is_none() {
            let (what, why) = ("g", "its status is none that the runtime has");
            return Err(DecodeError::Invalid { what, addr, why });
        }
        let (lo, hi) = (word(STACK_LO), word(STACK_HI));
        Ok(Goroutine {
            addr,
            id: word(GOID),
            status,
            wait_reason: byte(WAITREASON),
            wait_since: word(WAITSINCE) as i64,
            gopc: word(GOPC),
            startpc: word(STARTPC),
            stack_bytes: hi.saturating_sub(lo),
            stack_lo: lo,
            schedlink: Addr(word(SCHEDLINK)),
            locked: word(LOCKEDM) != 0,
            running_cleanups: byte(RUNNING_CLEANUPS) != 0,
        })
    }
}

/// Where the fields are in the record of a g; `0` is the status of the record.
const WAITREASON: usize = 1;
const RUNNING_CLEANUPS: usize = 2;
const ATOMICSTATUS: usize = 4;
const STACK_LO: usize = 8;
const STACK_HI: usize = 16;
const GOID: usize = 24;
const WAITSINCE: usize = 32;
const GOPC: usize = 40;
const STARTPC: usize = 48;
const SCHEDLINK: usize = 56;
const LOCKEDM: usize = 64;
const RECORD_BYTES: usize = 72;
/// The list of a capture that the records of goroutines are in.
const LIST: usize = 0;

/// What a scan keeps of `count` goroutines, whose structures an array of pointers leads to. `None` for a layout with
/// fields of sizes that they have in no release.
pub fn gather(l: &GLayout, pointers: Addr, count: u64) -> Option<Gather> {
    let fields = [
        Some((l.waitreason, WAITREASON, 1)),
        l.running_cleanups.map(|field| (field, RUNNING_CLEANUPS, 1)),
        Some((l.atomicstatus, ATOMICSTATUS, 4)),
        Some((l.stack_lo, STACK_LO, 8)),
        Some((l.stack_hi, STACK_HI, 8)),
        Some((l.goid, GOID, 8)),
        Some((l.waitsince, WAITSINCE, 8)),
        Some((l.gopc, GOPC, 8)),
        Some((l.startpc, STARTPC, 8)),
        Some((l.schedlink, SCHEDLINK, 8)),
        Some((l.lockedm, LOCKEDM, 8)),
    ];
    let fits = |(field, to, bytes): (Field, usize, u64)| {
        (field.size == bytes).then_some(Place {
            from: field.offset,
            to,
            bytes,
            late: false,
        })
    };
    let fields: Option<Vec<Place>> = fields.into_iter().flatten().map(fits).collect();
    let empty: &[usize] = match l.running_cleanups {
        Some(_) => &[],
        None => &[RUNNING_CLEANUPS],
    };
    Some(Gather {
        what: "g",
        list: LIST,
        pointers,
        count,
        shape: RecordShape::new(l.size, RECORD_BYTES, 0, &fields?, empty)?,
    })
}

/// `allgs`, of a length that can be.
pub(super) fn all_goroutines(memory: &dyn Memory, globals: &Globals) -> Result<GoSlice, DecodeError> {
    let header = View::new(memory, "allgs", globals.allgs);
    let allgs = header.slice(WHOLE_SLICE)?;
    if allgs.len > MOST_GS {
        return Err(header.invalid("it has an impossible length"));
    }
    if names_few(memory, &allgs) {
        return Err(header.invalid("it names few goroutines again and again"));
    }
    Ok(allgs)
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
