//! What is read of the running target for mark bits, and in which order: the bits, then what vouches for them.

use crate::goruntime::cursor::{Fields, View};
use crate::goruntime::layout::{Field, Layout};
use crate::goruntime::mspan;
use crate::goruntime::spans::Spans;
use crate::memory::{Addr, Gather, Gathered, Memory, Planner, Range, Request};

/// Lists of ranges, each read after all of the one before, and perhaps records of all spans after them.
#[derive(Clone, Debug)]
pub struct MarksPlan {
    lists: Vec<Vec<Range>>,
    all: Option<AllSpans>,
}

/// The spans that there were, in the order of `mheap_.allspans`: the runtime only adds to it, and moves it as it grows.
#[derive(Clone, Debug)]
struct AllSpans {
    mheap: Addr,
    header: Field,
    /// Of an array whose place is not known yet.
    gather: Gather,
}

impl MarksPlan {
    /// Reads `lists`.
    pub(super) fn new(lists: Vec<Vec<Range>>) -> MarksPlan {
        let lists = lists.into_iter().filter(|list| !list.is_empty()).collect();
        MarksPlan { lists, all: None }
    }

    /// The same, and then records of all of `spans`. `None` for a layout of spans that no release has.
    pub(super) fn and_all(mut self, layout: &Layout, mheap: Addr, spans: &Spans) -> Option<MarksPlan> {
        let header = layout.mheap.allspans;
        let header_at = Addr(mheap.0.wrapping_add(header.offset));
        self.lists.push(vec![Range::new(header_at, header.size)]);
        let gather = mspan::gather(&layout.mspan, Addr::NIL, spans.count() as u64)?;
        self.all = Some(AllSpans { mheap, header, gather });
        Some(self)
    }

    /// The records, of what was read. `None` where none were asked for, or their array could not be read.
    pub(super) fn records(&self, memory: &dyn Memory) -> Option<Gathered> {
        Gathered::of(memory, &self.all.as_ref()?.gather(memory)?).ok()
    }
}

impl AllSpans {
    fn gather(&self, memory: &dyn Memory) -> Option<Gather> {
        let header = View::new(memory, "mheap_", self.mheap).slice(self.header).ok()?;
        let gather = Gather {
            pointers: header.ptr,
            count: self.gather.count.min(header.len),
            ..self.gather.clone()
        };
        Some(gather).filter(|gather| gather.count > 0)
    }
}

impl Planner for MarksPlan {
    fn wave(&mut self, wave: usize, captured: &dyn Memory) -> Vec<Request> {
        if let Some(list) = self.lists.get(wave) {
            let request = |range: &Range| Request {
                range: *range,
                what: "",
            };
            return list.iter().map(request).collect();
        }
        let all = self.all.as_ref().filter(|_| wave == self.lists.len());
        let array = all.and_then(|all| all.gather(captured)).map(|gather| Request {
            range: Range::new(gather.pointers, gather.count.saturating_mul(8)),
            what: "allspans",
        });
        array.into_iter().collect()
    }

    fn gather(&mut self, captured: &dyn Memory) -> Vec<Gather> {
        let all = self.all.as_ref().and_then(|all| all.gather(captured));
        all.into_iter().collect()
    }
}
