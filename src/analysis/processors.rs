//! The Ps and what each keeps for itself.

use super::SpanSums;
use crate::goruntime::processors::{PStatus as Decoded, Processors};
use crate::goruntime::variants::{PAGE_BYTES, TINY_BLOCK_BYTES};
use crate::model::{Mcache, PStatus, Processor};

/// One entry per P of `allp[:GOMAXPROCS]`; what an mcache's spans hold is 0 where spans were not read.
pub fn processors(all: &Processors, spans: Option<&SpanSums>, sweepgen: Option<u32>) -> Vec<Processor> {
    let held = spans.iter().flat_map(|sums| sums.mcaches.iter().cloned());
    let held = held.chain(std::iter::repeat_with(Mcache::default));
    (all.live.iter().zip(held))
        .map(|(p, held)| Processor {
            id: p.id.max(0) as u64,
            status: match p.status {
                Decoded::Idle => PStatus::Idle,
                Decoded::Running => PStatus::Running,
                Decoded::Syscall => PStatus::Syscall,
                Decoded::GcStop => PStatus::Gcstop,
                Decoded::Dead => PStatus::Dead,
            },
            mcache: (p.mcache.as_ref().zip(sweepgen)).map(|(mcache, sweepgen)| Mcache {
                tiny_free_bytes: match mcache.tiny.is_nil() {
                    true => 0,
                    false => TINY_BLOCK_BYTES.saturating_sub(mcache.tiny_offset),
                },
                stack_cache_bytes: Some(mcache.stack_cache_bytes()),
                flushed: mcache.flush_gen == sweepgen,
                ..held
            }),
            page_cache_bytes: Some(
                u64::from((p.page_cache.cache & !p.page_cache.scav).count_ones()).saturating_mul(PAGE_BYTES),
            ),
            cached_spans: Some(p.cached_spans),
            dead_goroutines: Some(p.dead_goroutines),
            sudogs: Some(p.sudogs),
            defers: Some(p.defers),
            timers: Some(p.timers),
            run_queue: Some(p.run_queue),
        })
        .collect()
}
