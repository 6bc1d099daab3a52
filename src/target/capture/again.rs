//! Copies what the rehearsal found once more, now that the target stands still: which pages, in which calls and into
//! which buffers was settled before the stop, so that two threads can share the work and neither needs to know anything.

use std::io::IoSliceMut;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;

use super::deadline::Deadline;
use super::reader::{Copier, ReadError};
use super::region::{Header, Parts};
use super::store::{Run, mark_captured};
use crate::memory::{Addr, Range};
use crate::target::sys::{self, monotonic_ns};

/// With less to copy than this a second thread is not worth waking.
const WORTH_SHARING: usize = 2 << 20;
/// How long a helper may take to start.
const HELPER_START_NS: u64 = 1_000_000;
/// How often the end of a call that the helper makes is looked for before it is given this CPU, should it need it.
const SPINS: u32 = 2000;

/// One call: the pages, where they lie in the target, and their places in the region.
struct Call {
    runs: Vec<Run>,
    from: Vec<Range>,
    into: Vec<IoSliceMut<'static>>,
}

/// What became of a call.
#[derive(Default)]
struct Outcome {
    finished: AtomicBool,
    bytes: AtomicUsize,
}

/// The calls to make, shared by the threads that make them.
struct Work {
    copier: Copier,
    calls: Vec<Mutex<Call>>,
    outcomes: Vec<Outcome>,
    /// The first call that nobody has taken.
    next: AtomicUsize,
    deadline: OnceLock<Deadline>,
    begun: AtomicBool,
    /// Whether the helper waits for the start.
    ready: AtomicBool,
    states: &'static [AtomicU8],
    header: &'static Header,
    shift: u32,
}

/// Calls that are ready to be made, and perhaps a second thread that waits to help.
pub(crate) struct Again {
    work: Arc<Work>,
    helper: Option<Thread>,
}

impl Again {
    /// Prepares `calls`, each sorted by its place in the region, no page in two of them. No page of them may be
    /// reached through the region before [`Again::copy`] has returned. `ahead`: this thread runs before all others.
    pub(crate) fn prepare(calls: &[Vec<Run>], parts: Parts, shift: u32, copier: Copier, ahead: bool) -> Again {
        let bytes = calls.iter().flatten().map(|run| run.pages << shift).sum::<usize>();
        let work = Arc::new(Work {
            copier,
            calls: buffers(calls, parts.data, shift),
            outcomes: calls.iter().map(|_| Outcome::default()).collect(),
            next: AtomicUsize::new(0),
            deadline: OnceLock::new(),
            begun: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            states: parts.states,
            header: parts.header,
            shift,
        });
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let helper = (ahead && bytes >= WORTH_SHARING && cpus > 1)
            .then(|| helper(&work))
            .flatten();
        // Up and waiting before the target is stopped, or left to come when it can.
        let patience = monotonic_ns().saturating_add(HELPER_START_NS);
        while helper.is_some() && !work.ready.load(Ordering::Acquire) && monotonic_ns() < patience {
            std::hint::spin_loop();
        }
        Again { work, helper }
    }

    /// Copies until all is copied or the deadline has come; how many bytes each call brought.
    pub(crate) fn copy(&self, deadline: Deadline) -> Result<Vec<usize>, ReadError> {
        let work = &self.work;
        let _ = work.deadline.set(deadline);
        work.begun.store(true, Ordering::Release);
        if let Some(helper) = &self.helper {
            helper.unpark();
        }
        let result = work.run();
        // What nobody has taken by now stays undone; what the helper is at, it finishes.
        let taken = work.next.swap(work.calls.len(), Ordering::AcqRel);
        for outcome in work.outcomes.iter().take(taken) {
            let mut looked = 0;
            while !outcome.finished.load(Ordering::Acquire) {
                looked += 1;
                match looked < SPINS {
                    true => std::hint::spin_loop(),
                    false => std::thread::yield_now(),
                }
            }
        }
        result?;
        let bytes = work
            .outcomes
            .iter()
            .map(|outcome| outcome.bytes.load(Ordering::Relaxed));
        Ok(bytes.collect())
    }
}

/// A thread that waits for the start, if it can be had with the right to run before others: without that right the
/// first thread could end up waiting for it.
fn helper(work: &Arc<Work>) -> Option<Thread> {
    let work = work.clone();
    let body = move || {
        if sys::run_first() {
            work.ready.store(true, Ordering::Release);
            while !work.begun.load(Ordering::Acquire) {
                std::thread::park();
            }
            // The first thread meets the same errors.
            let _ = work.run();
        }
    };
    let spawned = std::thread::Builder::new().stack_size(256 << 10).spawn(body);
    spawned.ok().map(|handle| handle.thread().clone())
}

impl Work {
    fn run(&self) -> Result<(), ReadError> {
        while self.deadline.get().is_some_and(|deadline| !deadline.has_passed()) {
            let index = self.next.fetch_add(1, Ordering::AcqRel);
            let (Some(call), Some(outcome)) = (self.calls.get(index), self.outcomes.get(index)) else {
                break;
            };
            let result = self.call(call);
            if let Ok(bytes) = result {
                outcome.bytes.store(bytes, Ordering::Relaxed);
            }
            outcome.finished.store(true, Ordering::Release);
            result?;
        }
        Ok(())
    }

    fn call(&self, call: &Mutex<Call>) -> Result<usize, ReadError> {
        // Each is taken by one thread only: nobody waits here.
        let Ok(mut call) = call.lock() else { return Ok(0) };
        let Call { runs, from, into } = &mut *call;
        let bytes = match self.copier.read(from, into) {
            Ok(bytes) => bytes,
            Err(ReadError::Fault) => 0,
            Err(error) => return Err(error),
        };
        self.header.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
        // At once: should this process be killed, what was copied counts.
        let mut pages = bytes >> self.shift;
        for run in runs.iter() {
            let whole = run.pages.min(pages);
            pages -= whole;
            mark_captured(self.states, Run { pages: whole, ..*run });
        }
        Ok(bytes)
    }
}

/// Cuts the buffers of all calls from the region, in its own order, and deals them out.
fn buffers(calls: &[Vec<Run>], data: &'static mut [u8], shift: u32) -> Vec<Mutex<Call>> {
    let mut order: Vec<(Run, usize)> = Vec::new();
    for (index, runs) in calls.iter().enumerate() {
        order.extend(runs.iter().map(|run| (*run, index)));
    }
    order.sort_unstable_by_key(|(run, _)| run.page);
    let mut cut: Vec<Call> = calls
        .iter()
        .map(|runs| Call {
            runs: Vec::with_capacity(runs.len()),
            from: Vec::with_capacity(runs.len()),
            into: Vec::with_capacity(runs.len()),
        })
        .collect();
    let (mut rest, mut skipped) = (data, 0usize);
    for (run, index) in order {
        let Some(gap) = (run.page << shift).checked_sub(skipped) else {
            continue;
        };
        let Some((_, tail)) = std::mem::take(&mut rest).split_at_mut_checked(gap) else {
            break;
        };
        let Some((piece, tail)) = tail.split_at_mut_checked(run.pages << shift) else {
            break;
        };
        (rest, skipped) = (tail, skipped + gap + piece.len());
        if let Some(call) = cut.get_mut(index) {
            call.runs.push(run);
            call.from.push(Range::new(Addr(run.start), piece.len() as u64));
            call.into.push(IoSliceMut::new(piece));
        }
    }
    cut.into_iter().map(Mutex::new).collect()
}
