//! Collects the wishes of a wave, merging neighbours as they come: spans lie clustered in fixalloc chunks, so a
//! million of them become a few thousand ranges without a sort in the pause.

use crate::goruntime::globals::Globals;
use crate::goruntime::layout::Layout;
use crate::memory::{Addr, Range, Request};

/// Ranges closer than this are read as one, bytes.
const MERGE_GAP: u64 = 4096;

/// Requests of one wave at most. Each has a page of its own, so that they are more than any budget reads.
const MOST_REQUESTS: usize = 1 << 22;
/// With so many, those that repeat each other are looked for.
const MANY: usize = 1 << 20;

/// How many of the latest requests may still grow.
const LOOK_BACK: usize = 4;

/// The requests of one wave.
#[derive(Debug, Default)]
pub struct Requests {
    list: Vec<Request>,
    /// How long the list was after it was last made short.
    short: usize,
}

impl Requests {
    /// Asks for `len` bytes of a `what` at `addr`; nil pointers, empty and impossible ranges are dropped.
    pub fn push(&mut self, what: &'static str, addr: Addr, len: u64) {
        let Some(end) = addr.checked_add(len) else { return };
        if addr.is_nil() || len == 0 {
            return;
        }
        // Structures made on several Ps come from as many places in turn.
        for last in self
            .list
            .iter_mut()
            .rev()
            .take(LOOK_BACK)
            .take_while(|last| last.what == what)
        {
            let (start, last_end) = (last.range.start.0, last.range.end().0);
            if addr.0 <= last_end.saturating_add(MERGE_GAP) && end.0.saturating_add(MERGE_GAP) >= start {
                let (from, to) = (start.min(addr.0), last_end.max(end.0));
                last.range = Range::new(Addr(from), to - from);
                return;
            }
        }
        if self.list.len() >= MANY.max(self.short.saturating_mul(2)) {
            self.shorten();
        }
        if self.list.len() < MOST_REQUESTS {
            self.list.push(Request {
                range: Range::new(addr, len),
                what,
            });
        }
    }

    /// Merges neighbours and repetitions wherever they stand: pointers that lead to and fro between a few places must
    /// not take memory for each time.
    fn shorten(&mut self) {
        self.list
            .sort_by_key(|request| (request.what, request.range.start, request.range.len));
        self.list.dedup_by(|next, last| {
            let joins = next.what == last.what && next.range.start.0 <= last.range.end().0.saturating_add(MERGE_GAP);
            if joins {
                let end = last.range.end().max(next.range.end());
                last.range.len = end.0 - last.range.start.0;
            }
            joins
        });
        self.short = self.list.len();
    }

    /// Asks for `len` bytes of a `what` at each of `addrs`. As [`push`](Requests::push), and quick where they come in
    /// clusters.
    pub fn push_all(&mut self, what: &'static str, addrs: impl Iterator<Item = u64>, len: u64) {
        let (mut start, mut end) = (0u64, 0u64);
        for addr in addrs {
            let Some(behind) = addr.checked_add(len) else { continue };
            if end != 0 && addr >= start && addr <= end.saturating_add(MERGE_GAP) {
                end = end.max(behind);
                continue;
            }
            self.push(what, Addr(start), end - start);
            (start, end) = if addr == 0 { (0, 0) } else { (addr, behind) };
        }
        self.push(what, Addr(start), end - start);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Asks for every global that a scan starts from.
    pub fn push_globals(&mut self, l: &Layout, g: &Globals) {
        self.push("mheap_", g.mheap, l.mheap.size);
        self.push("memstats", g.memstats, l.mstats.size);
        self.push("gcController", g.gc_controller, l.gc_controller.size);
        self.push("sched", g.sched, l.sched.size);
        self.push("work", g.work, l.work.size);
        self.push("sweep", g.sweep, l.sweep.size);
        self.push("scavenge", g.scavenge, l.scavenge.size);
        self.push("scavenger", g.scavenger, l.scavenger.size);
        self.push("debug", g.debug, l.debug.size);
        self.push("stackpool", g.stackpool, l.stackpool.size);
        self.push("stackLarge", g.stack_large, l.stack_large.size);
        self.push("firstmoduledata", g.firstmoduledata, l.moduledata.size);
        let strings = l.wait_reason_strings;
        self.push(
            "waitReasonStrings",
            g.wait_reason_strings,
            strings.len.saturating_mul(strings.stride),
        );
        for header in [g.allgs, g.allp] {
            self.push("slice header", header, 24);
        }
        for scalar in [Some(g.gomaxprocs), Some(g.gcphase), g.fing_running, g.fing_status] {
            self.push("runtime global", scalar.unwrap_or_default(), 8);
        }
    }

    /// The requests, in the order of their first mention.
    pub fn into_list(self) -> Vec<Request> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge_in_either_direction() {
        let mut requests = Requests::default();
        requests.push("mspan", Addr(0x10000), 160);
        requests.push("mspan", Addr(0x100a0), 160);
        requests.push("mspan", Addr(0xff60), 160);
        requests.push("mspan", Addr(0x90000), 160);
        let list = requests.into_list();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].range, Range::new(Addr(0xff60), 0x140 + 0xa0));
    }

    #[test]
    fn many_at_once_ask_for_the_same_as_one_by_one() {
        for addrs in [
            vec![0x10000, 0x100a0, 0x10140, 0x90000, 0, u64::MAX - 8, 0x900a0, 0x10000],
            vec![],
            vec![0],
        ] {
            let (mut one_by_one, mut at_once) = (Requests::default(), Requests::default());
            addrs.iter().for_each(|&addr| one_by_one.push("mspan", Addr(addr), 160));
            at_once.push_all("mspan", addrs.into_iter(), 160);
            assert_eq!(one_by_one.into_list(), at_once.into_list());
        }
    }

    #[test]
    fn pointers_that_lead_to_and_fro_do_not_pile_up() {
        let mut requests = Requests::default();
        for n in 0..3 * MANY as u64 {
            requests.push("mspan", Addr(0x10_0000 * (1 + n % 6)), 160);
        }
        let list = requests.into_list();
        assert!(list.len() <= MANY, "{}", list.len());
        assert!(list.iter().all(|request| request.range.len == 160));
    }

    #[test]
    fn impossible_ranges_are_dropped() {
        let mut requests = Requests::default();
        requests.push("mspan", Addr::NIL, 160);
        requests.push("mspan", Addr(u64::MAX - 8), 160);
        requests.push("mspan", Addr(0x1000), 0);
        assert!(requests.into_list().is_empty());
    }
}
