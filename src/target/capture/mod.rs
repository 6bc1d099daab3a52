//! One capture: a planner says which bytes a scan needs, a child process stops the target for a moment and copies
//! them, its parent sees to it that the moment stays short. The result is plain [`Memory`].

mod again;
mod child;
mod cost;
mod deadline;
mod engine;
mod gather;
mod reader;
mod region;
mod room;
mod runs;
mod second;
mod store;
mod tracer;
mod verdict;
mod watchdog;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::child::{Mode, Parent, Task};
pub use self::cost::PauseLoad;
use self::reader::{ProcessReader, RangeReader, ReadError};
use self::region::{Header, RecordsHeader};
pub use self::room::Room;
use self::store::Store;
use self::verdict::{parts_of, pause_of, quota_of};
use self::watchdog::{Ended, Leaving};
use super::own::OwnMeans;
use super::pages::PageMap;
use super::permissions::Access;
use super::process::{LiveProcess, gone};
use super::sys::{self, monotonic_ns};
use crate::error::{Error, Result};
use crate::memory::{Addr, Gather, Gathered, Memory, MemoryError, Missing, Planner, Range, Records, Request};

/// Missing wishes listed one by one; more are counted.
const MAX_MISSING: usize = 1000;
/// How long one pass over a running target may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The byte budget unless told otherwise.
pub const DEFAULT_BYTE_BUDGET: u64 = 1 << 30;

/// Whether and how long a target may be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Stopped for at most this long, from the first interrupt to the last release.
    Pause {
        /// The budget.
        max: Duration,
    },
    /// Not at all: read while it runs, twice, and compared.
    NoPause,
}

/// How to capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureOptions {
    /// Whether and how long to stop it.
    pub stop: Stop,
    /// At most so many bytes are copied.
    pub byte_budget: u64,
}

/// How the target was held while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// Stopped by this tool.
    Paused,
    /// Already standing still in a frozen cgroup.
    Frozen,
    /// Not held.
    None,
}

/// Why a capture is not all that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// The pause budget ended before the reading did.
    #[error("the pause budget was spent before everything was read")]
    PauseSpent,
    /// Reading the running target took too long.
    #[error("reading the running target took too long")]
    TimeSpent,
    /// The process that captures was killed before it had looked at the mappings again, or could not do that.
    #[error("whether everything that was read was still mapped could not be checked")]
    Unchecked,
    /// The byte budget was used up.
    #[error("the byte budget was spent before everything was read")]
    BytesSpent,
    /// The planner went in circles.
    #[error("the structures asked for led to no end")]
    Endless,
}

/// What differed between two readings of a running target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Pages read twice.
    pub compared_pages: u64,
    /// Those that differed.
    pub changed_pages: u64,
    /// Bytes that differed, in words of eight.
    pub changed_bytes: u64,
}

/// What a pause was spent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseParts {
    /// From the first interrupt until every thread stood still.
    pub stop: Duration,
    /// Reading.
    pub copy: Duration,
    /// Letting every thread go.
    pub release: Duration,
}

/// The bytes of a capture.
#[derive(Debug)]
pub struct Captured {
    store: Arc<Store>,
    readable: Vec<(u64, u64)>,
    leaving: Leaving,
}

/// A capture.
#[derive(Debug)]
pub struct Capture {
    /// The bytes.
    pub memory: Captured,
    /// How the target was held.
    pub stop: StopKind,
    /// From the first interrupt to the last release; zero when it was not stopped by this tool.
    pub pause: Duration,
    /// The pause in its parts; all zero when it was not stopped by this tool, or its end came before theirs.
    pub pause_parts: PauseParts,
    /// All of it, rehearsal and fork included, and what was done when the target ran on.
    pub wall: Duration,
    /// Bytes copied in the pass that counts.
    pub bytes_read: u64,
    /// Waves of the pass that counts.
    pub waves: usize,
    /// Threads held.
    pub threads: usize,
    /// Threads that appeared while the others were being stopped.
    pub late_threads: usize,
    /// Threads that exited while they were being stopped.
    pub gone_threads: usize,
    /// CLOCK_MONOTONIC of the tool when the target stood still, or when the pass that counts began.
    pub at_monotonic_ns: u64,
    /// The same moment as a date.
    pub at_realtime: SystemTime,
    /// Whether everything that could be read was.
    pub complete: std::result::Result<(), Incomplete>,
    /// Wishes that could not be met in full, with the reason of the first byte missing; the first thousand.
    pub missing: Vec<(Request, Missing)>,
    /// How many there were in all.
    pub missing_count: usize,
    /// Two readings of a target that was not stopped, compared.
    pub changes: Option<Changes>,
    /// What the reader of the result should know.
    pub warnings: Vec<String>,
}

impl LiveProcess {
    /// Captures what a planner asks for. `make_planner` is called in the child that captures, once for each pass, and
    /// once more here to find out what is missing; planners start from nothing each time.
    pub fn capture(
        &self,
        make_planner: &mut dyn FnMut() -> Box<dyn Planner>,
        options: &CaptureOptions,
    ) -> Result<Capture> {
        self.capture_in(None, make_planner, options, &mut || {})
    }

    /// As [`LiveProcess::capture`], in room that was made beforehand; `released` is called when a target that was stopped runs on, if something is still to
    /// be done for the capture then.
    pub fn capture_in(
        &self,
        room: Option<Room>,
        make_planner: &mut dyn FnMut() -> Box<dyn Planner>,
        options: &CaptureOptions,
        released: &mut dyn FnMut(),
    ) -> Result<Capture> {
        let (mode, kind) = match options.stop {
            Stop::Pause { max } => (Mode::Pause(max), StopKind::Paused),
            Stop::NoPause => (Mode::Twice { compare: true }, StopKind::None),
        };
        // Frozen, it stands still already, and a thread would not answer an interrupt.
        let frozen = self.is_frozen();
        let (mode, kind) = match kind {
            StopKind::Paused if frozen => (Mode::Twice { compare: true }, StopKind::Frozen),
            _ => (mode, kind),
        };
        let mut capture = self.run_child(room, make_planner, (mode, kind), options.byte_budget, released)?;
        if kind == StopKind::Frozen && !self.is_frozen() {
            capture.stop = StopKind::None;
            capture
                .warnings
                .push("the target's cgroup was thawed while it was read".to_owned());
        }
        if let Stop::Pause { max } = options.stop
            && capture.pause > max
        {
            capture.warnings.push(format!(
                "the pause took {:?}, longer than the budget of {max:?}",
                capture.pause
            ));
        }
        Ok(capture)
    }

    /// Reads ranges of the running target, for what need not be of one moment. Bounded and filtered as a capture is.
    pub fn read_running(&self, ranges: &[Range]) -> Result<Captured> {
        let requests = ranges.iter().map(|&range| Request { range, what: "" });
        let mut listed = Some(Listed(Some(requests.collect())));
        // Asked for once: there is one pass.
        self.read_running_planned(&mut || Box::new(listed.take().unwrap_or_default()))
    }

    /// Like [`read_running`](LiveProcess::read_running), for what only a planner can name.
    pub fn read_running_planned(&self, make_planner: &mut dyn FnMut() -> Box<dyn Planner>) -> Result<Captured> {
        let how = (Mode::Once, StopKind::None);
        let capture = self.run_child(None, make_planner, how, DEFAULT_BYTE_BUDGET, &mut || {})?;
        Ok(capture.memory)
    }

    fn run_child(
        &self,
        room: Option<Room>,
        make_planner: &mut dyn FnMut() -> Box<dyn Planner>,
        (mode, kind): (Mode, StopKind),
        byte_budget: u64,
        released: &mut dyn FnMut(),
    ) -> Result<Capture> {
        let start = Instant::now();
        self.check_access()?;
        self.recheck()?;
        let pagemap = self
            .proc()
            .file("pagemap")
            .map_err(|error| self.lost("pagemap", &error))?;
        let mut reader = ProcessReader::new(self, PageMap::new(pagemap));
        let readable: Vec<(u64, u64)> = match reader.readable() {
            Ok(ranges) => ranges.iter().map(|range| (range.start, range.end)).collect(),
            Err(ReadError::Short(errno)) => {
                return Err(Error::io(
                    format!("reading /proc/{}/maps", self.pid()),
                    sys::io_error(errno),
                ));
            }
            Err(ReadError::Refused(errno)) => return Err(self.refused(Access::Memory, &sys::io_error(errno))),
            Err(_) => return Err(self.recheck().err().unwrap_or_else(|| gone(self.pid(), "exited"))),
        };
        let store = room.map_or_else(|| Store::new(&readable, byte_budget), |room| Ok(room.store));
        let mut store = store.map_err(|error| Error::io("reserving memory for the capture", error))?;
        let bytes = byte_budget.min(OwnMeans::get().affordable_bytes());
        let task = Task {
            mode,
            bytes,
            patience: PATIENCE,
            parent: Parent::this(),
        };
        let (ended, leaving) = watchdog::run(self, &mut reader, &mut store, make_planner, task, released)?;
        let ended_ns = monotonic_ns();
        store.adopt();
        let header = store.region().header();
        let complete = self.verdict(header, ended, mode)?;
        let pause = pause_of(header, ended_ns);
        let changes = matches!(mode, Mode::Twice { compare: true }).then(|| Changes {
            compared_pages: header.compared_pages.load(Ordering::Relaxed),
            changed_pages: header.changed_pages.load(Ordering::Relaxed),
            changed_bytes: header.changed_bytes.load(Ordering::Relaxed),
        });
        let count = |value: &std::sync::atomic::AtomicU32| value.load(Ordering::Relaxed) as usize;
        let mut capture = Capture {
            stop: kind,
            pause,
            pause_parts: parts_of(header, pause),
            wall: Duration::ZERO,
            bytes_read: header.bytes_read.load(Ordering::Relaxed),
            waves: count(&header.waves),
            threads: count(&header.threads),
            late_threads: count(&header.late_threads),
            gone_threads: count(&header.gone_threads),
            at_monotonic_ns: header.stopped_ns.load(Ordering::Relaxed),
            at_realtime: UNIX_EPOCH + Duration::from_nanos(header.realtime_ns.load(Ordering::Relaxed)),
            complete,
            missing: Vec::new(),
            missing_count: 0,
            changes,
            warnings: Vec::new(),
            memory: Captured {
                store: Arc::new(store),
                readable,
                leaving,
            },
        };
        let header = capture.memory.store.region().header();
        capture
            .warnings
            .extend(quota_of(header).and_then(|quota| told_of(quota, header, pause, complete)));
        if bytes < byte_budget && complete == Err(Incomplete::BytesSpent) {
            capture.warnings.push(format!(
                "memory is short here: only {bytes} bytes were allowed for the capture"
            ));
        }
        // A planner that was cut off in the middle may never end; it is not asked again.
        if ended == Ended::Exited && !matches!(mode, Mode::Once) && capture.may_miss() {
            capture.find_missing(&mut *make_planner());
        }
        capture.wall = start.elapsed();
        Ok(capture)
    }
}

/// What a quota of CPU time did to a pause that it bounded.
fn told_of(
    quota: Duration,
    header: &Header,
    pause: Duration,
    complete: std::result::Result<(), Incomplete>,
) -> Option<String> {
    let what = if header.throttled.load(Ordering::Acquire) != 0 {
        format!("ran out of CPU time during the pause, which took {pause:?}")
    } else if complete == Err(Incomplete::PauseSpent) {
        format!("has CPU time for {quota:?} of a pause at most")
    } else {
        return None;
    };
    Some(format!(
        "gomemscan's own cgroup {what}; run it outside of that cgroup or with a larger CPU limit"
    ))
}

impl Capture {
    /// Waits for the end of the process that captured, if it has not been waited for: from then on its memory counts among
    /// that of the tool's children.
    pub fn end_child(&mut self) {
        if let Err(error) = self.memory.leaving.end() {
            self.warnings.push(error.to_string());
        }
    }

    /// Whether any wish may not have been met in full.
    fn may_miss(&self) -> bool {
        let header = self.memory.store.region().header();
        let lists = header
            .records
            .iter()
            .filter(|list| list.count.load(Ordering::Acquire) > 0);
        let all = |list: &RecordsHeader| list.done.load(Ordering::Acquire) && !list.lost.load(Ordering::Acquire);
        self.complete.is_err() || header.unmet.load(Ordering::Acquire) || !lists.into_iter().all(all)
    }

    /// Asks once more, of the captured bytes, what was wished for, and notes what is not there.
    fn find_missing(&mut self, planner: &mut dyn Planner) {
        for wave in 0..=self.waves {
            let requests = planner.wave(wave, &self.memory);
            if requests.is_empty() {
                for gather in planner.gather(&self.memory) {
                    self.find_missing_records(&gather);
                }
                break;
            }
            for request in requests {
                let len = usize::try_from(request.range.len).unwrap_or(usize::MAX);
                if let Err(error) = self.memory.bytes(request.range.start, len) {
                    self.missing_count += 1;
                    if self.missing.len() < MAX_MISSING {
                        self.missing.push((request, error.why));
                    }
                }
            }
        }
    }
}

impl Capture {
    fn find_missing_records(&mut self, gather: &Gather) {
        let header = self.memory.store.region().header().list(gather.list);
        if header.done.load(Ordering::Acquire) && !header.lost.load(Ordering::Acquire) {
            return;
        }
        let gathered = self.memory.gathered(gather);
        let records = gathered.iter().flat_map(|gathered| gathered.iter().enumerate());
        let absent = records.filter_map(|(index, record)| Some((index as u64, record.err()?)));
        let there = gathered.as_ref().map_or(0, Gathered::count) as u64;
        let beyond = (there..gather.count).map(|index| (index, Missing::BudgetSpent));
        self.missing_count += gather.count.saturating_sub(there) as usize;
        for (index, why) in absent.chain(beyond.take(MAX_MISSING)) {
            self.missing_count += usize::from(index < there);
            if self.missing.len() < MAX_MISSING {
                let at = Addr(gather.pointers.0.wrapping_add(index.wrapping_mul(8)));
                let pointer = self.memory.bytes(at, 8).ok().and_then(|bytes| bytes.first_chunk::<8>());
                let addr = Addr(pointer.map_or(0, |bytes| u64::from_le_bytes(*bytes)));
                let range = Range::new(addr, gather.shape.size() as u64);
                let what = gather.what;
                self.missing.push((Request { range, what }, why));
            }
        }
    }
}

impl Captured {
    /// The captured pages, joined to stretches, in no order; some may come twice.
    pub fn segments(&self) -> impl Iterator<Item = (Range, &[u8])> {
        self.store.segments()
    }
}

impl Memory for Captured {
    fn bytes(&self, addr: Addr, len: usize) -> std::result::Result<&[u8], MemoryError> {
        self.store.bytes(addr, len).map_err(|error| {
            let after = self.readable.partition_point(|(start, _)| *start <= addr.0);
            let mapped = self.readable[..after].last().is_some_and(|(_, end)| addr.0 < *end);
            match error.why {
                Missing::NotCaptured if !mapped => MemoryError {
                    why: Missing::NotMapped,
                    ..error
                },
                _ => error,
            }
        })
    }

    fn gathered(&self, gather: &Gather) -> Option<Gathered> {
        let (at, len) = self.store.records(gather.list)?;
        let store = self.store.clone();
        let kept = || Gathered::new(Arc::new(Kept { store, at }), &gather.shape, self.store.pass());
        (len == gather.shape.record_bytes()).then(kept)
    }
}

/// The records in a store.
#[derive(Debug)]
struct Kept {
    store: Arc<Store>,
    at: std::ops::Range<usize>,
}

impl Records for Kept {
    fn bytes(&self) -> &[u8] {
        self.store.region().data().get(self.at.clone()).unwrap_or_default()
    }
}

/// A planner with one wave that is known beforehand.
#[derive(Default)]
struct Listed(Option<Vec<Request>>);

impl Planner for Listed {
    fn wave(&mut self, _wave: usize, _captured: &dyn Memory) -> Vec<Request> {
        self.0.take().unwrap_or_default()
    }
}

/// Fresh shared memory for tests that need to know which of its pages were touched.
#[cfg(test)]
pub(crate) fn test_region(bytes: u64) -> &'static mut [u8] {
    let region = Box::leak(Box::new(region::Region::new(bytes, bytes).unwrap()));
    &mut region.data_mut()[..bytes as usize]
}
