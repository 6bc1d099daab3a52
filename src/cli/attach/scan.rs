//! One scan of a live process, from its PID to the report: identify, locate, capture, decode, analyse.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::assemble::{assemble, span_sums};
use super::choose::agreed;
use super::find::Found;
use super::head::{head, tool};
use super::host::{HostSide, Surroundings};
use super::names::Names;
use crate::analysis::SpanSums;
use crate::error::{Error, Result};
use crate::goruntime::capture::Summary;
use crate::goruntime::frames::FrameTable;
use crate::goruntime::gc::Gc;
use crate::goruntime::globals::Globals;
use crate::goruntime::layout::Layout as StructLayout;
use crate::goruntime::locate::Runtime;
use crate::goruntime::marks::{Marks, MarksPlan, RunningMemory};
use crate::goruntime::modules::TypeNames;
use crate::goruntime::snapshot::{Section, Snapshot};
use crate::goruntime::spans::Spans;
use crate::memory::Memory;
use crate::model::{AttachReport, Step};
use crate::spare;
use crate::target::{Capture, CaptureOptions, LiveProcess, OwnMeans, Room};

/// How to scan.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// Whether and how long the target may be stopped.
    pub capture: CaptureOptions,
    /// Which of the process's Go runtimes to read, from 0; the first unless told.
    pub runtime: Option<u32>,
    /// The file with the binary's debug information, when it was given.
    pub debug_file: Option<PathBuf>,
    /// Whether to put the command line into the report.
    pub with_args: bool,
}

/// What a scan decoded, before analysis.
pub struct Scanned {
    /// The located runtime.
    pub runtime: Rc<Runtime>,
    /// The decoded sections.
    pub snapshot: Snapshot,
    /// Mark bits, read after the release.
    pub marks: Option<Marks>,
    /// Why there are none.
    pub marks_missing: Option<String>,
    /// What all spans come to, where there are any.
    pub sums: Option<SpanSums>,
    /// Positions of goroutine creation.
    pub frames: FrameTable,
    /// Why there are none.
    pub symbols_missing: Option<String>,
    /// Texts of wait reasons.
    pub wait_reasons: Vec<String>,
    /// Why there are none.
    pub wait_reasons_missing: Option<String>,
}

/// What a scan comes to.
pub struct Finished {
    /// The report.
    pub report: AttachReport,
    /// All that was read. Of a large heap it takes a while to give back, for which no reader of the report need wait.
    pub rest: Box<dyn std::any::Any>,
}

/// Wall time per step.
struct Steps<'a> {
    list: Vec<Step>,
    since: Instant,
    progress: &'a mut dyn FnMut(&str),
}

impl Steps<'_> {
    fn begin(&mut self, what: &str) {
        (self.progress)(what);
    }

    fn end(&mut self, name: &str) {
        self.end_as(name, |took| took);
    }

    /// The same of a step that did something for another one, or the other way round.
    fn end_as(&mut self, name: &str, of: impl FnOnce(Duration) -> Duration) {
        self.list.push(Step::took(name, of(self.since.elapsed())));
        self.since = Instant::now();
    }
}

/// Scans process `pid`. `progress` is told what is being done.
pub fn scan(pid: i32, options: &ScanOptions, progress: &mut dyn FnMut(&str)) -> Result<Finished> {
    let begun = Instant::now();
    spare::look();
    prepare_second();
    let mut steps = Steps {
        list: Vec::new(),
        since: begun,
        progress,
    };

    steps.begin("opening the process");
    let process = LiveProcess::open(pid)?;
    steps.end("open");

    steps.begin("reading the binary");
    let prepare = || {
        let room = spare::cpu().then(|| Room::prepare(&process, options.capture.byte_budget));
        (Surroundings::of(&process), room.flatten())
    };
    let find = || Found::of(&process, options.runtime, options.debug_file.as_deref());
    let ((around, room), found) = spare::beside(prepare, find);
    // What is wrong with a process that has gone, or has become another program, is that.
    let explained = |error| process.recheck().err().unwrap_or(error);
    let found = found.map_err(explained)?;
    let runtime = found.runtime.map_err(explained)?;
    let found = Found {
        runtime: Ok(runtime.clone()),
        ..found
    };
    steps.end("binary");

    steps.begin("copying the runtime's structures");
    spare::look();
    let mut planner = || -> Box<dyn crate::memory::Planner> { Box::new(Summary::new(runtime.clone())) };
    let mut host = None;
    let mut released = || {
        let begun = Instant::now();
        host = Some((HostSide::read(&process, &around), begun.elapsed()));
    };
    let mut capture = process.capture_in(room, &mut planner, &options.capture, &mut released)?;
    // What the child still has to do, giving its memory back, would take a CPU that others need.
    if !spare::cpu() {
        capture.end_child();
    }
    let (host, looked) = host.unzip();
    let looked = looked.unwrap_or_default();
    steps.end_as("capture", |took| took.saturating_sub(looked));

    // It could not be had before if no CPU was free then.
    prepare_second();
    let known = (capture, host, (&around, looked));
    let (mut report, rest) = spare::awake(|| think(&process, found, known, options, &mut steps))?;
    report.capture.steps = steps.list;
    report.capture.wall_ns = u64::try_from(begun.elapsed().as_nanos()).ok();
    report.tool = tool();
    Ok(Finished { report, rest })
}

/// Has the second thread made, unless the child that captures could not be had then.
fn prepare_second() {
    if OwnMeans::get().may_have_thread() {
        spare::prepare();
    }
}

/// From what was copied to the report. Also returns all that was read.
fn think(
    process: &LiveProcess,
    found: Found,
    (mut capture, host, (around, looked)): (Capture, Option<HostSide>, (&Surroundings, Duration)),
    options: &ScanOptions,
    steps: &mut Steps<'_>,
) -> Result<(AttachReport, Box<dyn std::any::Any>)> {
    steps.begin("decoding");
    let (image, runtime) = (found.image, found.runtime?);
    let Runtime {
        layout,
        variant,
        globals,
        ..
    } = runtime.as_ref();
    let memory = &capture.memory;
    let mut decode = || {
        let decoded = Snapshot::decode_beside(memory, layout, variant, globals, |spans, gc| {
            read_marks(process, layout, globals, (spans, gc))
        });
        steps.end("decode");
        decoded
    };
    let (mut host, (snapshot, (marks, marks_missing))) = match host {
        Some(host) => (host, decode()),
        None => spare::beside(|| HostSide::read(process, around), decode),
    };
    if snapshot.is_blank() {
        return Err(not_started(process.pid(), &found.name));
    }
    host.sort_mappings(&snapshot);
    capture.end_child();
    steps.end_as("residency", |took| took.saturating_add(looked));

    let (of_runtime, plugins) = (runtime.as_ref(), &found.plugins);
    let (names, sums) = spare::beside(
        || Names::resolve(&capture.memory, &image, of_runtime, &snapshot, plugins),
        || span_sums(&snapshot, marks.as_ref(), &host),
    );
    let mut report = head(process, &image, &runtime, &capture, options);
    report.process.runtime = Some(found.instance);
    for message in found.warnings.into_iter().chain(names.unnamed) {
        report.warn("process", message);
    }
    host.fill(&mut report);
    let scanned = Scanned {
        runtime: runtime.clone(),
        snapshot,
        marks,
        marks_missing,
        sums,
        frames: names.frames,
        symbols_missing: names.symbols_missing,
        wait_reasons: names.wait_reasons,
        wait_reasons_missing: names.wait_reasons_missing,
    };
    let names = TypeNames::new(&capture.memory, &image, &runtime);
    let type_name = |span: &crate::goruntime::mspan::Span| names.as_ref().and_then(|names| names.name(span.large_type));
    assemble(&mut report, &scanned, &host, &type_name);
    agreed(&runtime, &found.name, &scanned.snapshot, &report.capture.checks)?;
    steps.end("analysis");
    Ok((report, Box::new((capture, scanned, image))))
}

/// Mark bits are read from the running target: they need not be of the stopped moment, only of unchanged spans.
fn read_marks(
    process: &LiveProcess,
    layout: &StructLayout,
    globals: &Globals,
    (spans, gc): (&Section<Spans>, &Section<Gc>),
) -> (Option<Marks>, Option<String>) {
    let spans = match (spans, gc) {
        (Ok(spans), Ok(_)) => spans,
        (Err(error), _) | (_, Err(error)) => return (None, Some(error.to_string())),
    };
    let mut failed = None;
    let mut read = |plan: MarksPlan| -> RunningMemory {
        match process.read_running_planned(&mut || Box::new(plan.clone())) {
            Ok(captured) => Box::new(captured),
            Err(error) => {
                failed = Some(error.to_string());
                Box::new(Nothing)
            }
        }
    };
    let marks = Marks::read(&mut read, layout, globals.mheap, spans);
    match failed {
        None => (marks, None),
        Some(why) => (None, Some(why)),
    }
}

/// There is a Go runtime in the file, and nobody has started it.
fn not_started(pid: i32, name: &str) -> Error {
    Error::NoTarget {
        what: format!(
            "the Go runtime of {name} has not started in process {pid}: it has no P, no goroutine and no span"
        ),
        remedy: Some("if the process was only just started, try again".to_owned()),
    }
}

/// Memory of which nothing could be read.
struct Nothing;

impl Memory for Nothing {
    fn bytes(&self, addr: crate::memory::Addr, len: usize) -> std::result::Result<&[u8], crate::memory::MemoryError> {
        let why = crate::memory::Missing::Unreadable;
        Err(crate::memory::MemoryError {
            addr,
            len: len as u64,
            why,
        })
    }
}
