//! The collector, its pacing and the scavenger.

use std::time::{Duration, SystemTime};

use crate::goruntime::gc::{Gc as Decoded, Phase};
use crate::goruntime::memstats::MemStats;
use crate::model::{Gc, GcPhase, PauseSummary, Scavenger};

/// The target's clocks at the capture.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// CLOCK_MONOTONIC in its time namespace, ns.
    pub monotonic_ns: u64,
}

/// The section. `allocated_since` is what was allocated after the last mark.
pub fn gc(gc: &Decoded, stats: Option<&MemStats>, allocated_since: Option<u64>, clock: Option<Clock>) -> Gc {
    let last = stats.filter(|stats| stats.num_gc > 0);
    Gc {
        phase: Some(match gc.phase {
            Phase::Off => GcPhase::Idle,
            Phase::Mark => GcPhase::Mark,
            Phase::MarkTermination => GcPhase::MarkTermination,
        }),
        off: Some(gc.gogc.is_none()),
        gogc: gc.gogc.map(u64::from),
        memory_limit_bytes: gc.memory_limit,
        heap_goal_bytes: gc.heap_goal,
        heap_live_bytes: Some(gc.heap_live),
        heap_marked_bytes: Some(gc.heap_marked),
        allocated_since_gc_bytes: allocated_since,
        last_gc_at: last.map(|stats| rfc3339(stats.last_gc)),
        last_gc_age_ns: last
            .zip(clock)
            .and_then(|(stats, clock)| clock.monotonic_ns.checked_sub(stats.last_gc_nanotime)),
        cycles: stats.map(|stats| u64::from(stats.num_gc)),
        sweep_done: Some(gc.sweep_done),
        pauses_ns: stats.map(|stats| stats.pauses_ns.clone()),
        pause_summary: stats.and_then(|stats| summary(&stats.pauses_ns)),
        cpu_fraction_since_start: stats
            .map(|stats| stats.gc_cpu_fraction)
            .filter(|fraction| fraction.is_finite()),
        scavenger: Some(Scavenger {
            gc_percent_goal_bytes: gc.scavenge_percent_goal,
            memory_limit_goal_bytes: gc.scavenge_limit_goal,
            background_time_ns: gc.scavenge_background_ns,
            assist_time_ns: gc.scavenge_assist_ns,
            parked: Some(gc.scavenger_parked),
            released_background_bytes: gc.released_background,
            released_eager_bytes: gc.released_eager,
        }),
        debug: Some(
            gc.debug
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        ),
    }
}

fn summary(pauses: &[u64]) -> Option<PauseSummary> {
    let mut sorted = pauses.to_vec();
    sorted.sort_unstable();
    Some(PauseSummary {
        count: sorted.len() as u64,
        p50_ns: *sorted.get((sorted.len().checked_sub(1)?) / 2)?,
        max_ns: *sorted.last()?,
    })
}

fn rfc3339(unix_ns: u64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns);
    humantime::format_rfc3339_millis(at).to_string()
}
