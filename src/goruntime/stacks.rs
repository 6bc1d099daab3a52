//! Manually managed spans (runtime/stack.go, runtime/mgcwork.go): which hold goroutine stacks, which work buffers, and
//! how much of the stacks is free.

use super::cursor::{DecodeError, Fields, View};
use super::globals::Globals;
use super::layout::Layout;
use super::mspan::{Span, SpanState};
use super::spans::Spans;
use crate::memory::{Addr, Memory};

/// Bytes and spans of manual memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManualSpans {
    /// Bytes of spans on `work.wbufSpans`.
    pub work_buffer_bytes: u64,
    /// Bytes of all other manual spans: stacks (and, up to Go 1.24, unrolled bitmaps of huge types).
    pub stack_bytes: u64,
    /// Free slots of stack-pool spans, bytes.
    pub pool_free_bytes: u64,
    /// Large stacks on `stackLarge.free`, bytes.
    pub large_free_bytes: u64,
    /// Spans listed on `stackpool` (with free slots).
    pub pool_spans_listed: u64,
    /// For each span: whether it is a work buffer.
    pub is_work_buffer: Vec<bool>,
    /// Lists that could not be followed to their end.
    pub broken_lists: u64,
}

impl ManualSpans {
    /// Classifies every manual span.
    pub fn decode(
        memory: &dyn Memory,
        layout: &Layout,
        globals: &Globals,
        spans: &Spans,
    ) -> Result<ManualSpans, DecodeError> {
        let mut manual = ManualSpans {
            is_work_buffer: vec![false; spans.count()],
            ..ManualSpans::default()
        };
        let work = View::new(memory, "work", globals.work);
        let mut seen = vec![false; spans.count()];
        for head in [work.addr(layout.work.wbuf_free)?, work.addr(layout.work.wbuf_busy)?] {
            let complete = follow(spans, &mut seen, head, |at, _| {
                if let Some(flag) = manual.is_work_buffer.get_mut(at) {
                    *flag = true;
                }
            });
            manual.broken_lists += u64::from(!complete);
        }
        for (index, span) in spans.manual() {
            if manual.is_work_buffer(index) {
                add(&mut manual.work_buffer_bytes, span.bytes());
                continue;
            }
            add(&mut manual.stack_bytes, span.bytes());
            if is_pool_span(&span) {
                let free = span.bytes().saturating_sub(span.allocated_bytes());
                add(&mut manual.pool_free_bytes, free);
            }
        }
        let large = View::new(memory, "stackLarge", globals.stack_large);
        for order in 0..layout.stack_large.free.len {
            let head = large.element("stackLarge.free", layout.stack_large.free, order)?;
            let first = head.addr(layout.mspan_list.first)?;
            let free = &mut manual.large_free_bytes;
            let complete = follow(spans, &mut seen, first, |_, span| add(free, span.bytes()));
            manual.broken_lists += u64::from(!complete);
        }
        for order in 0..layout.stackpool_shape.len {
            let at = globals
                .stackpool
                .0
                .wrapping_add(order.wrapping_mul(layout.stackpool_shape.stride));
            let first = View::new(memory, "stackpool", Addr(at)).addr(layout.stackpool.first)?;
            let complete = follow(spans, &mut seen, first, |_, _| manual.pool_spans_listed += 1);
            manual.broken_lists += u64::from(!complete);
        }
        Ok(manual)
    }

    /// Whether a span is a work buffer.
    pub fn is_work_buffer(&self, index: usize) -> bool {
        self.is_work_buffer.get(index).copied().unwrap_or(false)
    }
}

/// A span that is cut into stacks of one order: its slots are smaller than itself.
fn is_pool_span(span: &Span) -> bool {
    span.elemsize > 0 && span.elemsize < span.bytes()
}

fn add(sum: &mut u64, bytes: u64) {
    *sum = sum.saturating_add(bytes);
}

/// Follows an mSpanList; whether its end was reached over live manual spans that no list held before.
fn follow(spans: &Spans, seen: &mut [bool], head: Addr, mut visit: impl FnMut(usize, &Span)) -> bool {
    let mut finder = spans.finder();
    let mut link = head;
    while !link.is_nil() {
        let Some((at, span)) = finder.span(link) else {
            return false;
        };
        match seen.get_mut(at) {
            Some(seen) if !*seen && span.state == SpanState::Manual => *seen = true,
            _ => return false,
        }
        visit(at, &span);
        link = span.next;
    }
    true
}
