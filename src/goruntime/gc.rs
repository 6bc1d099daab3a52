//! The collector's state and pacing (runtime/mgc.go, mgcpacer.go, mgcscavenge.go): phase, goals, limits, the
//! scavenger's targets and the GODEBUG knobs that change what memory figures mean.

use super::cursor::{DecodeError, Fields, View};
use super::globals::Globals;
use super::layout::{Field, Layout};
use super::variants::{LimitHeadroom, TRIGGER_SLACK_BYTES, Variant};
use crate::memory::Memory;

/// `sweep.active.state` when sweeping is complete: drained and no sweeper active.
const SWEEP_DRAINED: u64 = 1 << 31;

/// `gcphase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No cycle, or sweeping.
    Off,
    /// Concurrent mark.
    Mark,
    /// Mark termination.
    MarkTermination,
}

impl Phase {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Off => "off",
            Phase::Mark => "mark",
            Phase::MarkTermination => "mark termination",
        }
    }
}

/// The collector as it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gc {
    /// The phase.
    pub phase: Phase,
    /// `GOGC`; `None` when off.
    pub gogc: Option<u32>,
    /// `GOMEMLIMIT` in bytes; `None` when there is none.
    pub memory_limit: Option<u64>,
    /// The heap size at which the current cycle means to end, or the next to begin; `None` when there is none.
    pub heap_goal: Option<u64>,
    /// The same as `runtime.MemStats.NextGC` says it: all ones when there is none.
    pub next_gc: u64,
    /// `gcController.heapLive`, an over-estimate that counts cached spans whole.
    pub heap_live: u64,
    /// Bytes marked by the last finished mark.
    pub heap_marked: u64,
    /// `mheap_.sweepgen`.
    pub sweepgen: u32,
    /// Whether every span has been swept since the last mark.
    pub sweep_done: bool,
    /// Cycles begun.
    pub cycles: u64,
    /// `gcController.mappedReady`: bytes in state ready.
    pub mapped_ready: u64,
    /// Scavenger: retain at most this much for the GOGC goal; `None` when it has nothing to do.
    pub scavenge_percent_goal: Option<u64>,
    /// The same for the memory limit.
    pub scavenge_limit_goal: Option<u64>,
    /// Time spent scavenging in the allocation path and in the background, ns, since start.
    pub scavenge_assist_ns: Option<u64>,
    /// See `scavenge_assist_ns`.
    pub scavenge_background_ns: Option<u64>,
    /// Whether the background scavenger sleeps until it is woken.
    pub scavenger_parked: bool,
    /// Bytes released in the background since the last scavenge trace line.
    pub released_background: Option<u64>,
    /// Bytes released eagerly since the last scavenge trace line.
    pub released_eager: Option<u64>,
    /// GODEBUG knobs of this runtime that matter for memory, with their values.
    pub debug: Vec<(&'static str, i64)>,
    /// Pages in in-use spans by `mheap_.pagesInUse`.
    pub pages_in_use: u64,
}

impl Gc {
    /// Reads the collector's state.
    pub fn decode(
        memory: &dyn Memory,
        layout: &Layout,
        variant: &Variant,
        globals: &Globals,
    ) -> Result<Gc, DecodeError> {
        let mheap = View::new(memory, "mheap_", globals.mheap);
        let l = &layout.gc_controller;
        let controller = View::new(memory, "gcController", globals.gc_controller);
        let scavenge = View::new(memory, "scavenge", globals.scavenge);
        let optional = |view: &View<'_>, field: Option<Field>| field.map(|field| view.uint(field)).transpose();
        let goal = |field| scavenge.uint(field).map(|goal| (goal != u64::MAX).then_some(goal));
        let phase_view = View::new(memory, "gcphase", globals.gcphase);
        let phase = match phase_view.uint(Field { offset: 0, size: 4 })? {
            0 => Phase::Off,
            1 => Phase::Mark,
            2 => Phase::MarkTermination,
            _ => return Err(phase_view.invalid("it is none of the runtime's phases")),
        };
        let limit = controller.uint(l.memory_limit)?;
        let next_gc = heap_goal(&controller, layout, variant)?;
        let sweep_state = View::new(memory, "sweep", globals.sweep).uint(layout.sweep.active_state)?;
        Ok(Gc {
            phase,
            gogc: u32::try_from(controller.int(l.gc_percent)?).ok(),
            memory_limit: (limit != i64::MAX as u64).then_some(limit),
            heap_goal: (next_gc != u64::MAX).then_some(next_gc),
            next_gc,
            heap_live: controller.uint(l.heap_live)?,
            heap_marked: controller.uint(l.heap_marked)?,
            sweepgen: mheap.u32(layout.mheap.sweepgen)?,
            sweep_done: sweep_state == SWEEP_DRAINED,
            cycles: View::new(memory, "work", globals.work).uint(layout.work.cycles)?,
            mapped_ready: controller.uint(l.mapped_ready)?,
            scavenge_percent_goal: goal(layout.scavenge.gc_percent_goal)?,
            scavenge_limit_goal: goal(layout.scavenge.memory_limit_goal)?,
            scavenge_assist_ns: optional(&scavenge, layout.scavenge.assist_time)?,
            scavenge_background_ns: optional(&scavenge, layout.scavenge.background_time)?,
            scavenger_parked: View::new(memory, "scavenger", globals.scavenger).uint(layout.scavenger.parked)? != 0,
            released_background: optional(&mheap, layout.mheap.released_background)?,
            released_eager: optional(&mheap, layout.mheap.released_eager)?,
            debug: debug_knobs(memory, layout, globals)?,
            pages_in_use: mheap.uint(layout.mheap.pages_in_use)?,
        })
    }
}

/// `gcControllerState.heapGoalInternal`: the GOGC goal unless the memory limit asks for less.
fn heap_goal(controller: &View<'_>, layout: &Layout, variant: &Variant) -> Result<u64, DecodeError> {
    let l = &layout.gc_controller;
    let percent_goal = controller.uint(l.gc_percent_heap_goal)?;
    let limit_goal = memory_limit_goal(controller, layout, variant)?;
    if limit_goal < percent_goal {
        return Ok(limit_goal);
    }
    let goal = percent_goal.max(controller.uint(l.sweep_dist_min_trigger)?);
    Ok(match controller.uint(l.triggered)? {
        u64::MAX => goal,
        triggered => goal.max(triggered.saturating_add(TRIGGER_SLACK_BYTES)),
    })
}

/// `gcControllerState.memoryLimitHeapGoal`: what the memory limit leaves for the heap.
fn memory_limit_goal(controller: &View<'_>, layout: &Layout, variant: &Variant) -> Result<u64, DecodeError> {
    let l = &layout.gc_controller;
    let mapped_ready = controller.uint(l.mapped_ready)?;
    let limit = controller.uint(l.memory_limit)?;
    let marked = controller.uint(l.heap_marked)?;
    let allocated = controller
        .uint(l.total_alloc)?
        .wrapping_sub(controller.uint(l.total_free)?);
    let non_heap = mapped_ready
        .wrapping_sub(controller.uint(l.heap_free)?)
        .wrapping_sub(allocated);
    let overage = mapped_ready.saturating_sub(limit);
    let taken = non_heap.wrapping_add(overage);
    if taken >= limit {
        return Ok(marked);
    }
    let goal = limit - taken;
    let headroom = match variant.limit_headroom {
        LimitHeadroom::Fixed(bytes) => bytes,
        LimitHeadroom::Percent(percent, least) => (goal / 100).wrapping_mul(percent).max(least),
    };
    let goal = if goal < headroom || goal - headroom < headroom {
        headroom
    } else {
        goal - headroom
    };
    Ok(goal.max(marked))
}

fn debug_knobs(
    memory: &dyn Memory,
    layout: &Layout,
    globals: &Globals,
) -> Result<Vec<(&'static str, i64)>, DecodeError> {
    let l = &layout.debug;
    let view = View::new(memory, "debug", globals.debug);
    let mut knobs = Vec::new();
    for (name, field) in [
        ("madvdontneed", l.madvdontneed),
        ("harddecommit", l.harddecommit),
        ("disablethp", l.disablethp),
        ("decoratemappings", l.decoratemappings),
        ("gctrace", l.gctrace),
        ("scavtrace", l.scavtrace),
        ("gcstoptheworld", l.gcstoptheworld),
        ("gcshrinkstackoff", l.gcshrinkstackoff),
        ("adaptivestackstart", l.adaptivestackstart),
        ("asyncpreemptoff", l.asyncpreemptoff),
        ("efence", l.efence),
        ("sbrk", l.sbrk),
    ] {
        if let Some(field) = field {
            knobs.push((name, view.int(field)?));
        }
    }
    Ok(knobs)
}
