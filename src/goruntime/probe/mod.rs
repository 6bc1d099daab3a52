//! Before a scan trusts addresses that were recovered from code, or a layout that comes from a table, it looks whether
//! the running target really has at each place what should be there. A few pages, read without a stop; what is asked
//! holds at every moment of a running program.

mod checks;

use std::rc::Rc;

use super::capture::{Requests, WHOLE_SLICE};
use super::cursor::{DecodeError, Fields, GoSlice, View, words};
use super::locate::Runtime;
use super::processors::MOST_PS;
use crate::memory::{Addr, Memory, Planner, Request};

pub use self::checks::{Mismatch, mismatches};

/// Structures of each kind that are looked at: enough that none passes by chance.
const SAMPLES: u64 = 64;

/// Captures the globals and a sample of what they point to.
pub struct ProbePlanner {
    runtime: Rc<Runtime>,
}

impl ProbePlanner {
    /// A planner for `runtime`.
    pub fn new(runtime: Rc<Runtime>) -> ProbePlanner {
        ProbePlanner { runtime }
    }

    fn globals(&self, out: &mut Requests) {
        let (l, g) = (&self.runtime.layout, &self.runtime.globals);
        out.push_globals(l, g);
        out.push("emptymspan", g.emptymspan, l.mspan.size);
    }

    fn arrays(&self, memory: &dyn Memory, out: &mut Requests) {
        for sampled in self.sampled(memory) {
            let (first, len) = sampled.window();
            out.push(sampled.what, first, len.saturating_mul(8));
        }
        for first in self.lists(memory).into_iter().flatten() {
            out.push("mspan", first, self.runtime.layout.mspan.size);
        }
    }

    /// First spans of the lists that hang on globals.
    fn lists(&self, memory: &dyn Memory) -> Vec<std::result::Result<Addr, DecodeError>> {
        let (l, g) = (&self.runtime.layout, &self.runtime.globals);
        let work = View::new(memory, "work", g.work);
        let mut heads = vec![work.addr(l.work.wbuf_free), work.addr(l.work.wbuf_busy)];
        for order in 0..l.stackpool_shape.len.min(SAMPLES) {
            let at = g.stackpool.0.wrapping_add(order.wrapping_mul(l.stackpool_shape.stride));
            heads.push(View::new(memory, "stackpool", Addr(at)).addr(l.stackpool.first));
        }
        let large = View::new(memory, "stackLarge", g.stack_large);
        for index in 0..l.stack_large.free.len.min(SAMPLES) {
            let list = large.element("mSpanList", l.stack_large.free, index);
            heads.push(list.and_then(|list| list.addr(l.mspan_list.first)));
        }
        heads
    }

    fn structures(&self, memory: &dyn Memory, out: &mut Requests) {
        for sampled in self.sampled(memory) {
            for pointer in sampled.pointers(memory) {
                out.push(sampled.element, pointer, sampled.size);
            }
        }
    }

    fn mcaches(&self, memory: &dyn Memory, out: &mut Requests) {
        let l = &self.runtime.layout;
        for sampled in self.sampled(memory).into_iter().filter(|s| s.element == "p") {
            for p in sampled.pointers(memory) {
                if let Ok(mcache) = View::new(memory, "p", p).addr(l.p.mcache) {
                    out.push("mcache", mcache, l.mcache.size);
                }
            }
        }
    }

    fn sampled(&self, memory: &dyn Memory) -> Vec<Sampled> {
        sampled(&self.runtime, memory)
    }
}

impl Planner for ProbePlanner {
    fn wave(&mut self, wave: usize, captured: &dyn Memory) -> Vec<Request> {
        let mut out = Requests::default();
        match wave {
            0 => self.globals(&mut out),
            1 => self.arrays(captured, &mut out),
            2 => self.structures(captured, &mut out),
            3 => self.mcaches(captured, &mut out),
            _ => {}
        }
        out.into_list()
    }
}

/// A slice of pointers to structures, of which the last ones are looked at: they are the youngest, so the least likely
/// to be swapped out.
struct Sampled {
    what: &'static str,
    element: &'static str,
    size: u64,
    slice: GoSlice,
}

impl Sampled {
    /// Address of the first pointer looked at, and how many.
    fn window(&self) -> (Addr, u64) {
        let len = self.slice.len.min(SAMPLES);
        let skipped = (self.slice.len - len).saturating_mul(8);
        (Addr(self.slice.ptr.0.wrapping_add(skipped)), len)
    }

    /// The pointers; none when they are not here.
    fn pointers(&self, memory: &dyn Memory) -> Vec<Addr> {
        let (first, len) = self.window();
        let pointers = words(memory, self.what, first, len);
        pointers.into_iter().flatten().map(Addr).collect()
    }
}

/// The slices whose headers make sense.
fn sampled(runtime: &Runtime, memory: &dyn Memory) -> Vec<Sampled> {
    let (l, g) = (&runtime.layout, &runtime.globals);
    let slice = |what, at, field| View::new(memory, what, at).slice(field).ok();
    let all = [
        (
            "allspans",
            "mspan",
            l.mspan.size,
            slice("mheap_", g.mheap, l.mheap.allspans),
        ),
        ("allgs", "g", l.g.size, slice("allgs", g.allgs, WHOLE_SLICE)),
        (
            "allp",
            "p",
            l.p.size,
            slice("allp", g.allp, WHOLE_SLICE).filter(|allp| allp.len <= MOST_PS),
        ),
    ];
    let found = all.into_iter().filter_map(|(what, element, size, slice)| {
        slice.map(|slice| Sampled {
            what,
            element,
            size,
            slice,
        })
    });
    found.collect()
}
