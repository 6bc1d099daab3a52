//! The child that captures. It rehearses on the running target, stops it, reads, lets it go and exits; it writes
//! nothing but the shared region, and closes a pipe when it is done. Whatever goes wrong it ends, and its end frees the
//! target.
#![allow(unsafe_code)]

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid, gettid};

use self::failure::Failed;
pub(crate) use self::failure::Failure;
use self::timer::KillTimer;
use self::turn::Turn;
use super::again::Again;
use super::cost::PauseLoad;
use super::deadline::Deadline;
use super::engine::{End, Engine, Learned, Limits};
use super::gather::{GatherCall, GatherPlan, Planned};
use super::reader::RangeReader;
use super::region::Header;
use super::store::{Run, Store};
use super::tracer::{StopError, Tracer};
use crate::error::Error;
use crate::memory::{Missing, Planner};
use crate::spare;
use crate::target::cgroup::quota::CpuQuota;
use crate::target::host::volunteer_for_oom;
use crate::target::process::LiveProcess;
use crate::target::sys::{self, monotonic_ns};

/// How far the child has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Phase {
    /// Setting itself up, or reading a target that is not stopped.
    Running = 0,
    /// Interrupts are out.
    Stopping = 1,
    /// The target stands still; pages are being read.
    Stopped = 2,
    /// All is read; threads are let go.
    Releasing = 3,
    /// All threads are let go, or there was nothing to let go.
    Released = 4,
}

impl Phase {
    pub(crate) fn of(header: &Header) -> Phase {
        match header.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            2 => Phase::Stopped,
            3 => Phase::Releasing,
            _ => Phase::Released,
        }
    }
}

/// How the target is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Rehearse, stop for at most this long, read.
    Pause(Duration),
    /// Read twice without a stop: a frozen target stands still anyway, a running one is compared with itself.
    Twice {
        /// Whether to compare.
        compare: bool,
    },
    /// Read once, without a stop.
    Once,
}

/// What the child is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// How to read.
    pub mode: Mode,
    /// Bytes per pass.
    pub bytes: u64,
    /// How long a pass on the running target may take.
    pub patience: Duration,
    /// Who waits for this process.
    pub parent: Parent,
}

/// A thread that waits for a child of its process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parent {
    process: Pid,
    thread: Pid,
}

impl Parent {
    /// This thread.
    pub fn this() -> Parent {
        Parent {
            process: getpid(),
            thread: gettid(),
        }
    }

    /// In the child: has it run on these CPUs from now on, if it is there still.
    pub fn send_to(&self, cpus: &CpuSet) {
        if getppid() == self.process {
            let _ = sched_setaffinity(self.thread, cpus);
        }
    }
}

/// Set in the child: its panics are reported through the header, at once and without a backtrace.
static QUIET: AtomicBool = AtomicBool::new(false);

/// To be called before the fork: the hook is behind a lock that another thread could hold at that moment.
pub(crate) fn prepare_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.load(Ordering::Relaxed) {
                usual(info);
            }
        }));
    });
}

/// The body of the child. `tell`: a pipe that is closed when all is done, and, where the parent has a CPU to itself, written
/// to when the target has been let go.
pub(crate) fn run(
    process: &LiveProcess,
    reader: &mut dyn RangeReader,
    store: &mut Store,
    make_planner: &mut dyn FnMut() -> Box<dyn Planner>,
    task: Task,
    tell: Option<OwnedFd>,
) -> ! {
    let done = catch_unwind(AssertUnwindSafe(|| {
        set_up(task.parent)?;
        capture(process, reader, store, make_planner, task, tell.as_ref())
    }));
    let header = store.region().header();
    let failed = match done {
        Ok(Ok(())) => None,
        Ok(Err(failed)) => Some(failed),
        Err(panic) => Some(Failed::of_panic(&*panic)),
    };
    if let Some(failed) = failed {
        failed.tell(header);
    }
    // The parent need not wait until this process's memory is given back, unless that takes the CPU that it is to have.
    match spare::cpu() {
        true => drop(tell),
        false => std::mem::forget(tell),
    }
    sys::exit_now(0)
}

fn set_up(parent: Parent) -> Result<(), Failed> {
    let setup = |what: &'static str| move |errno: Errno| Failed::new(Failure::Internal, format!("{what}: {errno}"));
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(setup("prctl"))?;
    // The parent may have died before the line above.
    if getppid() != parent.process {
        sys::exit_now(1);
    }
    // Out of the terminal's reach: Ctrl-C, Ctrl-Z and Ctrl-S are for the parent.
    nix::unistd::setsid().map_err(setup("setsid"))?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    if let Ok(null) = null {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
    volunteer_for_oom();
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGCHLD,
        Signal::SIGPIPE,
        Signal::SIGALRM,
        Signal::SIGABRT,
    ] {
        sys::reset_signal(signal);
    }
    // SIGCHLD announces stops and is waited for; the parent's other blocks are not for here.
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGCHLD);
    blocked.thread_set_mask().map_err(setup("sigprocmask"))?;
    QUIET.store(true, Ordering::Relaxed);
    Ok(())
}

fn capture(
    process: &LiveProcess,
    reader: &mut dyn RangeReader,
    store: &mut Store,
    make_planner: &mut dyn FnMut() -> Box<dyn Planner>,
    task: Task,
    tell: Option<&OwnedFd>,
) -> Result<(), Failed> {
    let patience = || Limits {
        bytes: task.bytes,
        deadline: Deadline::at(u64::MAX).or_in(task.patience.as_nanos() as u64),
    };
    store.region().header().generation.store(1, Ordering::Release);
    stamp(store.region().header());
    sys::keep_freed_memory();
    let mut rehearsal = match task.mode {
        Mode::Pause(_) => Engine::rehearsing(reader, store, patience()),
        Mode::Once | Mode::Twice { .. } => Engine::new(reader, store, patience(), false),
    };
    let end = rehearsal.run(&mut *make_planner())?;
    match task.mode {
        Mode::Once => {}
        Mode::Twice { compare } => {
            // A pass cut short stays the only one: the next would be no longer.
            if end != End::Time {
                store.begin_second_pass();
                stamp(store.region().header());
                Engine::new(reader, store, patience(), compare).run(&mut *make_planner())?;
            }
        }
        Mode::Pause(max) => {
            // Made before the clock starts, like everything else that can be.
            let mut planner = make_planner();
            let learned = rehearsal.learned()?;
            let limits = (task.bytes, max, task.parent);
            // A target that was stopped has been checked then, and may do what it likes now.
            if paused(process, reader, store, learned, &mut *planner, limits, tell)? {
                enter(store.region().header(), Phase::Released);
            }
            return Ok(());
        }
    }
    process.recheck()?;
    enter(store.region().header(), Phase::Released);
    Ok(())
}

/// Reads a target that stands still. Returns whether what was read has been checked since.
fn paused(
    process: &LiveProcess,
    reader: &mut dyn RangeReader,
    store: &mut Store,
    mut learned: Learned,
    planner: &mut dyn Planner,
    (bytes, max, parent): (u64, Duration, Parent),
    tell: Option<&OwnedFd>,
) -> Result<bool, Failed> {
    // Everything that can be done before threads are attached is: from then on a thread that a signal reaches stands
    // still until the stop is over.
    let listed = process.proc().numbers("task");
    let listed = listed.map_err(|error| StopError::of_listing(&error))?;
    let threads = listed.len() as u64;
    store.region().header().threads.store(threads as u32, Ordering::Relaxed);
    let load = PauseLoad {
        threads,
        ..PauseLoad::default()
    };
    let turn = Turn::take(max);
    let help = turn.help(learned.second.take());
    let quota = if turn.ahead { None } else { CpuQuota::own() };
    let by_quota = quota
        .as_ref()
        .map(CpuQuota::longest_stop)
        .filter(|longest| *longest < max);
    if let Some(longest) = by_quota {
        let header = store.region().header();
        header.quota_ns.store(longest.as_nanos() as u64, Ordering::Release);
    }
    if load.floor() > max || by_quota.is_some_and(|longest| load.least_cpu() > longest) {
        return Err(Failed::new(Failure::CannotFit, load.floor().as_nanos().to_string()));
    }
    let mut timer = KillTimer::make()?;
    store.begin_second_pass();
    let shift = store.page_shift();
    let copier = reader
        .copier()
        .ok_or_else(|| Failed::new(Failure::Internal, "nothing to copy with"))?;
    // SAFETY: this process ends without destructors, and between here and the end of `copy` nothing looks at pages.
    let parts = unsafe { store.region_mut().lend() };
    let areas = |plan: &GatherPlan| store.record_area(plan.list);
    let gathering = learned.gathering.iter_mut();
    let gathering = gathering
        .filter_map(|plan| areas(plan).map(|area| (plan, area)))
        .collect();
    let how = (shift, store.pass());
    let again = Again::prepare(&learned.calls, gathering, parts, how, copier, help);
    let throttled = quota.as_ref().and_then(|quota| {
        share_cpu_with(parent);
        quota.await_period();
        quota.throttled()
    });
    let budget = (max, by_quota, load);
    let (mut tracer, deadline) = stop(process, store.region().header(), &mut timer, budget)?;
    let mut brought = again.copy(deadline)?;
    let second = brought.second.take();
    learned.brought = brought.copied;
    learned.gathered_bytes = brought.gathered_bytes;
    for (list, call) in brought.left {
        if let Some(plan) = learned.gathering.iter_mut().find(|plan| plan.list == list) {
            plan.calls.push(call);
        }
    }
    let mut engine = Engine::continuing(reader, store, Limits { bytes, deadline }, learned);
    engine.run(planner)?;
    let (copied, gathered, planned) = engine.into_done();
    process.recheck_stopped()?;
    let header = store.region().header();
    header.copied_ns.store(monotonic_ns(), Ordering::Release);
    enter(header, Phase::Releasing);
    let left = tracer.release();
    header.held_in_kernel.store(left as u32, Ordering::Release);
    header.released_ns.store(monotonic_ns(), Ordering::Release);
    // Nobody waits for the rest, unless threads are held until the end of this process.
    if left == 0 {
        timer.disarm();
        turn.end(second.as_ref(), tell.map(|tell| (tell, parent)));
    }
    if quota.and_then(|quota| quota.throttled()) != throttled {
        header.throttled.store(1, Ordering::Release);
    }
    let checked = drop_what_moved(process, reader, store, &copied, &planned);
    planned
        .iter()
        .for_each(|planned| planned.drop_unnamed(store, &gathered));

    let header = store.region().header();
    header.threads.store(tracer.threads() as u32, Ordering::Relaxed);
    header.late_threads.store(tracer.late as u32, Ordering::Relaxed);
    header.gone_threads.store(tracer.gone() as u32, Ordering::Relaxed);
    // Threads that only the end of this process lets go are held until then: the timer goes on. The second thread is not
    // woken to end before the others.
    std::mem::forget((timer, second));
    Ok(checked)
}

/// Stops the target; from its first line to the release every line is part of what the budget is for. Also returns when
/// reading must end.
fn stop<'a>(
    process: &'a LiveProcess,
    header: &Header,
    timer: &mut KillTimer,
    (max, by_quota, load): (Duration, Option<Duration>, PauseLoad),
) -> Result<(Tracer<'a>, Deadline), Failed> {
    let begin_ns = monotonic_ns();
    header.interrupt_ns.store(begin_ns, Ordering::Release);
    enter(header, Phase::Stopping);
    timer.arm(max)?;
    let reading = |budget: Duration| (budget.as_nanos() as u64).saturating_sub(load.release_ns(budget));
    let mut deadline = Deadline::at(begin_ns.saturating_add(reading(max)));
    if let Some(longest) = by_quota {
        deadline = deadline.or_after_using(reading(longest));
    }
    let mut tracer = Tracer::seize(process)?;
    let interrupt_ns = monotonic_ns();
    tracer.stop(deadline)?;
    // Attaching stops nothing, unless a signal came.
    if !tracer.met_signals {
        header.interrupt_ns.store(interrupt_ns, Ordering::Release);
    }
    stamp(header);
    enter(header, Phase::Stopped);
    process.recheck_stopped()?;
    Ok((tracer, deadline))
}

/// Keeps this thread and the one that waits for it on the CPU that this one is on. What a group may use is handed out to
/// CPUs in pieces: where little is left, a parent that only looks at the clock takes all of it to its CPU for that moment,
/// and who needs it on another one stands still until the next period (kernel/sched/fair.c `__assign_cfs_rq_runtime`).
fn share_cpu_with(parent: Parent) {
    let mut here = CpuSet::new();
    if sched_getcpu().and_then(|cpu| here.set(cpu)).is_err() {
        return;
    }
    // Where it may not be done the risk stays.
    parent.send_to(&here);
    let _ = sched_setaffinity(Pid::from_raw(0), &here);
}

fn enter(header: &Header, phase: Phase) {
    header.phase.store(phase as u32, Ordering::Release);
}

/// The mappings were looked up shortly before the stop. What is mapped as something that is not to be read by now may have
/// been when it was copied; what is not mapped any more was, as it could be copied, and the target has given it up since.
/// Returns whether that could be looked up.
fn drop_what_moved(
    process: &LiveProcess,
    reader: &mut dyn RangeReader,
    store: &mut Store,
    copied: &[Run],
    planned: &[Planned],
) -> bool {
    let barred = match reader.barred() {
        Ok(barred) if process.recheck_stopped().is_ok() => barred,
        // A target that has exited or called exec since was there while it was read.
        _ => return matches!(process.recheck(), Err(Error::TargetGone { .. })),
    };
    let shift = store.page_shift();
    for run in copied.iter().filter(|run| meets(&barred, run.start, run.end(shift))) {
        store.set_missing(*run, Missing::NotMapped);
    }
    for planned in planned {
        let Planned { list, shape, calls, .. } = planned;
        let moved = |start: u64, len: u64| meets(&barred, start, start.saturating_add(len));
        let moved_in = |call: &&GatherCall| call.ranges().iter().any(|range| moved(range.start.0, range.len));
        for (record, addr) in calls.iter().filter(moved_in).flat_map(GatherCall::structures) {
            if planned.stands(record) && moved(addr, shape.size() as u64) {
                store.miss_record(*list, record, shape, Missing::NotMapped);
            }
        }
    }
    true
}

/// Whether any of `ranges` (sorted, apart) has bytes between `start` and `end`.
fn meets(ranges: &[(u64, u64)], start: u64, end: u64) -> bool {
    let first = ranges.partition_point(|range| range.1 <= start);
    ranges.get(first).is_some_and(|range| range.0 < end)
}

/// Notes what time it is for the bytes about to be read.
fn stamp(header: &Header) {
    header.stopped_ns.store(monotonic_ns(), Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    header.realtime_ns.store(since.as_nanos() as u64, Ordering::Release);
}

mod failure;
mod timer;
mod turn;

#[cfg(test)]
mod tests {
    use super::meets;

    #[test]
    fn what_meets_a_range_has_bytes_of_it() {
        let ranges = [(10, 20), (20, 25), (40, u64::MAX)];
        for (start, end, expected) in [
            (0, 10, false),
            (0, 11, true),
            (19, 20, true),
            (24, 40, true),
            (25, 40, false),
            (25, 41, true),
            (12, 13, true),
            (u64::MAX - 1, u64::MAX, true),
        ] {
            assert_eq!(meets(&ranges, start, end), expected, "{start} {end}");
            assert!(!meets(&[], start, end));
        }
    }
}
