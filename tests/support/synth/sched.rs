//! Ps with their mcaches, and goroutines with the lists of dead ones.

use std::collections::BTreeMap;

use super::pages::Region;
use super::spans::{Placed, usual_places};
use super::spec::{FreeList, G, Held, P};
use super::writer::Writer;

/// Addresses of what was written.
#[derive(Clone, Debug, Default)]
pub struct Processors {
    pub ps: Vec<u64>,
    pub mcaches: Vec<u64>,
    pub retired: Vec<u64>,
    pub free_mcaches: Vec<u64>,
}

/// Writes `allp[:len:cap]` with retired Ps behind `len`, each live P's mcache, and the list of free mcaches.
pub fn write_ps(
    w: &mut Writer,
    region: &mut Region,
    specs: &[P],
    retired: u64,
    free_mcaches: u64,
    spans: &[Placed],
    sweepgen: u64,
) -> Processors {
    let mut out = Processors::default();
    let (p_size, mcache_size) = (w.types.size("runtime.p"), w.types.size("runtime.mcache"));
    for (id, spec) in specs.iter().enumerate() {
        let mcache = w.alloc(mcache_size);
        write_mcache(w, mcache, id, spec, spans, sweepgen);
        let p = w.alloc(p_size);
        write_p(w, region, p, spec);
        w.put("runtime.p", p, "id", id as u64);
        w.put("runtime.p", p, "mcache", mcache);
        out.ps.push(p);
        out.mcaches.push(mcache);
    }
    for index in 0..retired {
        let p = w.alloc(p_size);
        w.put("runtime.p", p, "id", specs.len() as u64 + index);
        w.put("runtime.p", p, "status", 4);
        out.retired.push(p);
    }
    let mut array = out.ps.clone();
    array.extend(&out.retired);
    array.push(0);
    let at = w.words(&array);
    w.put_slice_at(w.global("allp"), (at, specs.len() as u64, array.len() as u64));
    w.put_word(w.global("gomaxprocs"), 0xdead_beef << 32 | specs.len() as u64);
    let idle = specs.iter().filter(|p| p.status == 0).count() as u64;
    w.put("sched", w.global("sched"), "npidle", idle);
    let block = w.table(free_mcaches * mcache_size);
    out.free_mcaches = (0..free_mcaches).map(|index| block + index * mcache_size).collect();
    let mut next = 0;
    for mcache in out.free_mcaches.iter().rev() {
        w.put_word(*mcache, next);
        next = *mcache;
    }
    w.put("runtime.mheap", w.global("mheap_"), "cachealloc.list", next);
    out
}

fn write_mcache(w: &mut Writer, at: u64, id: usize, spec: &P, spans: &[Placed], sweepgen: u64) {
    let t = "runtime.mcache";
    let alloc = w.at(t, at, "alloc");
    let empty = w.global("emptymspan");
    for class in 0..136 {
        w.put_word(alloc + class * 8, empty);
    }
    for span in spans {
        let mut held = span
            .spec
            .held
            .clone()
            .unwrap_or_else(|| usual_places(&span.spec))
            .into_iter();
        if held.any(|place| place == Held::Mcache(id)) {
            w.put_word(alloc + u64::from(span.spec.class) * 8, span.addr);
        }
    }
    w.put(t, at, "tinyAllocs", spec.tiny_allocs);
    for (order, bytes) in spec.stack_cache.iter().enumerate() {
        let list = w.at(t, at, "stackcache") + order as u64 * 16;
        w.put("runtime.stackfreelist", list, "size", *bytes);
    }
    w.put(t, at, "flushGen", sweepgen);
}

fn write_p(w: &mut Writer, region: &mut Region, at: u64, spec: &P) {
    let t = "runtime.p";
    w.put(t, at, "status", spec.status);
    if let Some((free, scavenged)) = spec.page_cache {
        let base = region.claim_cache(free);
        w.put(t, at, "pcache.base", base);
        w.put(t, at, "pcache.cache", free);
        w.put(t, at, "pcache.scav", scavenged);
    }
    w.put(t, at, "mspancache.len", spec.free_mspans);
    for (field, len, cap) in [("sudogcache", spec.sudogs, 128), ("deferpool", spec.defers, 32)] {
        w.put_slice(t, at, field, (at + 128, len, cap));
    }
    let timers = if w.types.has(t, "numTimers") {
        "numTimers"
    } else {
        "timers.len"
    };
    w.put(t, at, timers, spec.timers);
    // The queue's positions wrap around.
    w.put(t, at, "runqhead", 0xffff_fffe);
    w.put(t, at, "runqtail", (0xffff_fffe + spec.queued) & 0xffff_ffff);
    w.put(t, at, "runnext", if spec.run_next { at + 256 } else { 0 });
    w.put(t, at, "statsSeq", 6 + u64::from(spec.updating_stats));
}

/// Functions get addresses in the order in which they are named.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    pub names: Vec<&'static str>,
}

impl Functions {
    pub const FROM: u64 = 0x5555_0040_0000;
    pub const BYTES: u64 = 0x100;

    fn entry(&mut self, name: &'static str) -> u64 {
        let index = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        Functions::FROM + index as u64 * Functions::BYTES
    }
}

/// Writes `allgs`, each g, and the lists of dead ones; gives back the addresses of the gs.
pub fn write_gs(w: &mut Writer, specs: &[G], ps: &Processors, functions: &mut Functions) -> Vec<u64> {
    let size = w.types.size("runtime.g");
    let t = "runtime.g";
    let mut gs = Vec::new();
    let mut lists: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let sched = w.global("sched");
    for (index, spec) in specs.iter().enumerate() {
        let at = w.alloc(size);
        gs.push(at);
        let (start, creator) = (functions.entry(spec.start), functions.entry(spec.creator));
        let stack = if spec.stack_bytes == 0 {
            0
        } else {
            0xc1_0000_0000 + index as u64 * 0x10_0000
        };
        for (field, value) in [
            ("goid", index as u64 + 1),
            ("atomicstatus", spec.status),
            ("waitreason", spec.reason),
            ("waitsince", spec.since),
            ("startpc", start),
            ("gopc", creator + 0x40),
            ("lockedm", if spec.locked { sched } else { 0 }),
            ("stack.lo", stack),
            ("stack.hi", stack + spec.stack_bytes),
        ] {
            w.put(t, at, field, value);
        }
        if let Some(list) = spec.free {
            let (head, count) = list_fields(w, list, ps);
            lists.entry(head).or_default().push(at);
            *counts.entry(count).or_default() += 1;
        }
    }
    for (head, list) in lists {
        w.put_word(head, list[0]);
        for pair in list.windows(2) {
            w.put(t, pair[0], "schedlink", pair[1]);
        }
    }
    for (at, count) in counts {
        w.space.write(at, &(count as u32).to_le_bytes());
    }
    let array = w.words(&gs);
    w.put_slice_at(w.global("allgs"), (array, gs.len() as u64, gs.len() as u64 + 5));
    let system = |g: &&G| g.free.is_none() && g.start.starts_with("runtime.") && g.start != "runtime.main";
    w.put("sched", sched, "ngsys", specs.iter().filter(system).count() as u64);
    w.put("sched", sched, "mnext", 9);
    w.put("sched", sched, "nmfreed", 2);
    gs
}

/// Addresses of a list's head and of the counter that covers it.
fn list_fields(w: &Writer, list: FreeList, ps: &Processors) -> (u64, u64) {
    let sched = w.global("sched");
    let per_list = w.types.has("sched", "gFree.stack.size");
    match list {
        FreeList::P(p) if per_list => (
            w.at("runtime.p", ps.ps[p], "gFree.head"),
            w.at("runtime.p", ps.ps[p], "gFree.size"),
        ),
        FreeList::P(p) => (
            w.at("runtime.p", ps.ps[p], "gFree.gList.head"),
            w.at("runtime.p", ps.ps[p], "gFree.n"),
        ),
        FreeList::SchedStack if per_list => (
            w.at("sched", sched, "gFree.stack.head"),
            w.at("sched", sched, "gFree.stack.size"),
        ),
        FreeList::SchedNoStack if per_list => (
            w.at("sched", sched, "gFree.noStack.head"),
            w.at("sched", sched, "gFree.noStack.size"),
        ),
        FreeList::SchedStack => (
            w.at("sched", sched, "gFree.stack.head"),
            w.at("sched", sched, "gFree.n"),
        ),
        FreeList::SchedNoStack => (
            w.at("sched", sched, "gFree.noStack.head"),
            w.at("sched", sched, "gFree.n"),
        ),
    }
}
