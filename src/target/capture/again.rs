//! Copies what the rehearsal found once more, now that the target stands still: which pages, in which calls and into
//! which buffers was settled before the stop, so that two threads can share the work and neither needs to know anything.

use std::io::IoSliceMut;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::deadline::Deadline;
use super::gather::{self, GatherCall, GatherPlan};
use super::reader::{Copier, ReadError};
use super::region::{Header, Parts};
use super::second::Second;
use super::store::{RecordArea, Run, mark_captured};
use crate::memory::{Addr, MOST_LISTS, Range, RecordShape};
use crate::spare::{self, Cpus};

/// With less to copy than this a second thread is not worth waking.
const WORTH_SHARING: usize = 512 << 10;
/// Records of a short list, bytes.
const SHORT_LIST: usize = 256 << 10;
/// How long a helper may take to start.
const HELPER_START: Duration = Duration::from_millis(1);
/// How often the end of a call that the helper makes is looked for before a helper that waits on this CPU is let go on.
const SPINS: u32 = 2000;
/// How often before one that something has driven from its CPU can come to this one: the kernel moves a thread to where
/// nobody runs that is as important. Some milliseconds.
const YIELDS: u32 = 20_000;
/// How long this thread sleeps for that.
const NAP: Duration = Duration::from_micros(50);

/// One call: the pages, where they lie in the target, and their places in the region.
struct Call {
    runs: Vec<Run>,
    from: Vec<Range>,
    into: Vec<IoSliceMut<'static>>,
}

/// One call that gathers, and where its records go.
struct Gathering {
    call: GatherCall,
    list: usize,
    shape: Arc<RecordShape>,
    into: &'static mut [u8],
}

enum Job {
    Copy(Call),
    Gather(Gathering),
}

/// What became of a call.
#[derive(Default)]
struct Outcome {
    /// Whether somebody has it: whoever sets this is the only one.
    taken: AtomicBool,
    finished: AtomicBool,
    bytes: AtomicUsize,
}

/// The calls to make, shared by the threads that make them.
struct Work {
    copier: Copier,
    /// First those that copy, then those that gather.
    calls: Vec<Mutex<Job>>,
    copies: usize,
    /// How many of those that gather are for short lists.
    short: usize,
    outcomes: Vec<Outcome>,
    deadline: OnceLock<Deadline>,
    pass: u8,
    states: &'static [AtomicU8],
    header: &'static Header,
    shift: u32,
}

/// Calls that are ready to be made, and perhaps a second thread that waits to help.
pub(crate) struct Again {
    work: Arc<Work>,
    helper: Option<Helper>,
    buffer: Vec<u8>,
}

/// Whether and how a second thread may help.
#[derive(Debug)]
pub(crate) enum Help {
    /// It may not: the first one does not run before all others, and could end up waiting for it.
    No,
    /// It is on another CPU, where it has been started already or will be.
    Beside(Option<Second>),
    /// All CPUs are in use until the target stands still: it is started on that of the first one, and may run where the
    /// first one may.
    Here(Box<Cpus>),
}

/// The second thread, that will help.
struct Helper {
    second: Second,
    start: Arc<Start>,
    /// Where it may run from then on, if it has been started on this CPU.
    here: Option<Box<Cpus>>,
}

/// What it waits for.
#[derive(Default)]
struct Start {
    /// Whether it does.
    ready: AtomicBool,
    begun: AtomicBool,
    /// Whether there is nothing to do any more.
    over: AtomicBool,
    work: OnceLock<Arc<Work>>,
}

impl Again {
    /// Prepares `calls`, each sorted by its place in the region, no page in two of them, and what the plans of
    /// `gathering` have planned for their areas. No page of them may be reached through the region before [`Again::copy`] has returned.
    pub(crate) fn prepare(
        calls: &[Vec<Run>],
        gathering: Vec<(&mut GatherPlan, RecordArea)>,
        parts: Parts,
        (shift, pass): (u32, u8),
        copier: Copier,
        help: Help,
    ) -> Again {
        let mut bytes = calls.iter().flatten().map(|run| run.pages << shift).sum::<usize>();
        let mut gathers = Vec::new();
        for (plan, area) in gathering {
            let shape = Arc::new(plan.shape.clone());
            let planned = plan.calls.drain(..).map(|call| Records {
                at: area.bytes(call.records()),
                call,
                list: plan.list,
                shape: shape.clone(),
            });
            gathers.extend(planned);
        }
        for Records { call, shape, .. } in &gathers {
            bytes += call.records().len() * shape.size();
        }
        let scratch = gather::scratch_bytes(gathers.iter().map(|records| &records.call));
        let helper = match bytes >= WORTH_SHARING {
            true => Helper::of(help, scratch),
            false => None,
        };
        let buffer = gather::scratch(scratch);
        let (jobs, short) = deal(calls, gathers, parts.data, shift);
        let work = Arc::new(Work {
            copier,
            outcomes: jobs.iter().map(|_| Outcome::default()).collect(),
            calls: jobs,
            copies: calls.len(),
            short,
            deadline: OnceLock::new(),
            pass,
            states: parts.states,
            header: parts.header,
            shift,
        });
        if let Some(helper) = &helper {
            let _ = helper.start.work.set(work.clone());
            helper.await_ready();
        }
        Again { work, helper, buffer }
    }

    /// Copies and gathers until all is done or the deadline has come.
    pub(crate) fn copy(mut self, deadline: Deadline) -> Result<Brought, ReadError> {
        let work = &self.work;
        // Given back with the end of this process, as the second thread is: the target is not to wait for it.
        std::mem::forget(work.clone());
        let _ = work.deadline.set(deadline);
        if let Some(Helper { second, start, .. }) = &self.helper {
            start.begun.store(true, Ordering::Release);
            second.unpark();
        }
        // Should the time not be enough for all, it is for what there is little of.
        let behind_short = work.copies + work.short;
        let order = (work.copies..behind_short).chain(0..work.copies);
        let result = work.run(order.chain(behind_short..work.calls.len()), &mut self.buffer);
        // What nobody has taken by now stays undone; what the helper is at, it finishes.
        for outcome in work
            .outcomes
            .iter()
            .filter(|outcome| outcome.taken.swap(true, Ordering::AcqRel))
        {
            let mut looked = 0;
            while !outcome.finished.load(Ordering::Acquire) {
                looked += 1;
                match looked {
                    ..SPINS => std::hint::spin_loop(),
                    SPINS..YIELDS => thread::yield_now(),
                    YIELDS.. => thread::sleep(NAP),
                }
            }
        }
        if let Some(Helper { start, .. }) = &self.helper {
            start.over.store(true, Ordering::Release);
        }
        result?;
        let bytes = |outcome: &Outcome| outcome.bytes.load(Ordering::Relaxed);
        let (copies, gathers) = work.outcomes.split_at_checked(work.copies).unwrap_or_default();
        let undone = gathers.iter().zip(work.calls.iter().skip(work.copies));
        let undone = undone.filter(|(outcome, _)| !outcome.finished.load(Ordering::Acquire));
        Ok(Brought {
            copied: copies.iter().map(bytes).collect(),
            gathered_bytes: gathers.iter().map(|outcome| bytes(outcome) as u64).sum(),
            left: undone.filter_map(|(_, job)| take_gather(job)).collect(),
            second: self.helper.map(|Helper { second, .. }| second),
        })
    }
}

/// What the copying brought.
pub(crate) struct Brought {
    /// How many bytes each call that copies.
    pub copied: Vec<usize>,
    /// How many bytes those that gather read.
    pub gathered_bytes: u64,
    /// Calls that gather whose turn did not come, each with its list.
    pub left: Vec<(usize, GatherCall)>,
    /// The second thread, if it was to help; it has nothing to do any more.
    pub second: Option<Second>,
}

fn take_gather(job: &Mutex<Job>) -> Option<(usize, GatherCall)> {
    match &mut *job.lock().ok()? {
        Job::Gather(gathering) => Some((gathering.list, std::mem::take(&mut gathering.call))),
        Job::Copy(_) => None,
    }
}

impl Helper {
    /// Has the second thread wait for the start, if it can be had with the right to run before others: without that right
    /// the first thread could end up waiting for it. `scratch`: the bytes of its buffer.
    fn of(help: Help, scratch: usize) -> Option<Helper> {
        let (second, here) = match help {
            Help::No => return None,
            Help::Beside(second) => (second.or_else(|| Second::start(Cpus::of_this_thread()))?, None),
            Help::Here(cpus) => {
                // Woken up by the other, this thread would be moved to a CPU of the target's for its sake.
                cpus.stay();
                let Some(second) = Second::start_here() else {
                    cpus.use_all();
                    return None;
                };
                (second, Some(cpus))
            }
        };
        let start = Arc::new(Start::default());
        let (waits, first, own) = (start.clone(), thread::current(), here.clone());
        second.give(move || {
            if waits.over.load(Ordering::Acquire) || !spare::run_first() {
                return;
            }
            let mut buffer = gather::scratch(scratch);
            waits.ready.store(true, Ordering::Release);
            first.unpark();
            while !waits.begun.load(Ordering::Acquire) {
                thread::park();
            }
            // It may have come up too late to be sent away.
            own.inspect(|cpus| cpus.use_all());
            if let Some(work) = waits.work.get() {
                // The first thread meets the same errors.
                // What is gathered it takes from the end: pages that are neighbours share a lock of the target's.
                let order = (0..work.copies).chain((work.copies..work.calls.len()).rev());
                let _ = work.run(order, &mut buffer);
            }
            // To give it back would take a CPU from the target, which may be about to run on.
            std::mem::forget(buffer);
        });
        Some(Helper { second, start, here })
    }

    /// Up and waiting before the target is stopped, or left to come when it can.
    fn await_ready(&self) {
        let begun = Instant::now();
        while !self.start.ready.load(Ordering::Acquire) {
            let Some(left) = HELPER_START.checked_sub(begun.elapsed()) else {
                break;
            };
            match self.here {
                None => std::hint::spin_loop(),
                Some(_) => thread::park_timeout(left),
            }
        }
        if let Some(cpus) = &self.here {
            self.second.send_to(&cpus.all);
            cpus.use_all();
        }
    }
}

impl Work {
    /// Makes calls that nobody has taken, in this order.
    fn run(&self, order: impl Iterator<Item = usize>, buffer: &mut [u8]) -> Result<(), ReadError> {
        for index in order {
            let (Some(call), Some(outcome)) = (self.calls.get(index), self.outcomes.get(index)) else {
                break;
            };
            if outcome.taken.load(Ordering::Relaxed) {
                continue;
            }
            if self.deadline.get().is_none_or(Deadline::has_passed) {
                break;
            }
            if outcome.taken.swap(true, Ordering::AcqRel) {
                continue;
            }
            let result = self.call(call, buffer);
            if let Ok(bytes) = result {
                outcome.bytes.store(bytes, Ordering::Relaxed);
            }
            outcome.finished.store(true, Ordering::Release);
            result?;
        }
        Ok(())
    }

    fn call(&self, job: &Mutex<Job>, buffer: &mut [u8]) -> Result<usize, ReadError> {
        // Each is taken by one thread only: nobody waits here.
        let Ok(mut job) = job.lock() else { return Ok(0) };
        let Call { runs, from, into } = match &mut *job {
            Job::Copy(call) => call,
            Job::Gather(Gathering {
                call,
                list,
                shape,
                into,
            }) => {
                let mut read = |from: &[Range], into: &mut [IoSliceMut<'_>]| self.copier.read(from, into);
                let (bytes, whole) = call.run(&mut read, shape, buffer, into, self.pass)?;
                self.header.list(*list).lost.fetch_or(!whole, Ordering::Relaxed);
                self.header.bytes_read.fetch_add(bytes, Ordering::Relaxed);
                return Ok(bytes as usize);
            }
        };
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

/// What a part of the region is for.
enum Part {
    /// A run of a call that copies.
    Run(Run, usize),
    /// The records of a call that gathers.
    Records(Records),
}

/// A call that gathers, and where its records lie among the bytes of the pages.
struct Records {
    at: std::ops::Range<usize>,
    call: GatherCall,
    list: usize,
    shape: Arc<RecordShape>,
}

/// Cuts the buffers of all calls from the region, in its own order, and deals them out: those that copy, then those that
/// gather, short lists first. Also returns how many of them are for short lists.
fn deal(calls: &[Vec<Run>], gathers: Vec<Records>, data: &'static mut [u8], shift: u32) -> (Vec<Mutex<Job>>, usize) {
    let mut parts: Vec<(std::ops::Range<usize>, Part)> = Vec::new();
    for (index, runs) in calls.iter().enumerate() {
        let bytes = |run: &Run| run.page << shift..(run.page + run.pages) << shift;
        parts.extend(runs.iter().map(|run| (bytes(run), Part::Run(*run, index))));
    }
    let records = gathers.into_iter();
    parts.extend(records.map(|records| (records.at.clone(), Part::Records(records))));
    parts.sort_unstable_by_key(|(bytes, _)| bytes.start);
    let mut cut: Vec<Call> = calls
        .iter()
        .map(|runs| Call {
            runs: Vec::with_capacity(runs.len()),
            from: Vec::with_capacity(runs.len()),
            into: Vec::with_capacity(runs.len()),
        })
        .collect();
    let mut gathering = Vec::new();
    let (mut rest, mut skipped) = (data, 0usize);
    for (bytes, part) in parts {
        let Some(gap) = bytes.start.checked_sub(skipped) else {
            continue;
        };
        let Some((_, tail)) = std::mem::take(&mut rest).split_at_mut_checked(gap) else {
            break;
        };
        let Some((piece, tail)) = tail.split_at_mut_checked(bytes.len()) else {
            break;
        };
        (rest, skipped) = (tail, bytes.end);
        match part {
            Part::Run(run, index) => {
                if let Some(call) = cut.get_mut(index) {
                    call.runs.push(run);
                    call.from.push(Range::new(Addr(run.start), piece.len() as u64));
                    call.into.push(IoSliceMut::new(piece));
                }
            }
            Part::Records(Records { call, list, shape, .. }) => gathering.push(Gathering {
                call,
                list,
                shape,
                into: piece,
            }),
        }
    }
    let mut sizes = [0usize; MOST_LISTS];
    for gathering in &gathering {
        if let Some(size) = sizes.get_mut(gathering.list) {
            *size += gathering.into.len();
        }
    }
    let size = |gathering: &Gathering| sizes.get(gathering.list).copied();
    gathering.sort_by_key(size);
    let short = gathering.partition_point(|gathering| size(gathering).is_some_and(|size| size <= SHORT_LIST));
    let jobs = cut.into_iter().map(Job::Copy);
    let jobs = jobs.chain(gathering.into_iter().map(Job::Gather));
    (jobs.map(Mutex::new).collect(), short)
}
