//! All that a scan does with bytes of a target's memory: the planners that ask for them, the probe, decoding, the
//! analyses, and the report as text and as JSON.

use std::rc::Rc;

use gomemscan::analysis::RssFacts;
use gomemscan::cli::attach::{HostSide, Scanned, Surroundings, assemble, span_sums};
use gomemscan::goruntime::capture::Summary;
use gomemscan::goruntime::frames::{FrameTable, Position, Symbolizer};
use gomemscan::goruntime::locate::Runtime;
use gomemscan::goruntime::marks::{Marks, MarksPlan, RunningMemory};
use gomemscan::goruntime::modules::module_tables;
use gomemscan::goruntime::probe::{ProbePlanner, mismatches};
use gomemscan::goruntime::snapshot::Snapshot;
use gomemscan::memory::{Planner, Request};
use gomemscan::model::AttachReport;
use gomemscan::report::sections::Selection;
use gomemscan::report::table::{TableOptions, Verbosity};
use gomemscan::report::{json, table};
use gomemscan::target::{Maps, Residency};

use crate::synth::{Captured, Space, structures};

/// More waves than any planner may take.
const MOST_WAVES: usize = 400;
/// More wishes than one wave of so small a memory can be worth.
const MOST_REQUESTS: usize = 1 << 22;

/// Scans `space`, and makes a report of it.
pub fn report(runtime: &Rc<Runtime>, space: &Rc<Space>) -> AttachReport {
    let probed = captured(space, &mut ProbePlanner::new(runtime.clone()));
    mismatches(runtime, &probed);
    let captured = captured(space, &mut Summary::new(runtime.clone()));
    let Runtime {
        layout,
        variant,
        globals,
        ..
    } = runtime.as_ref();
    let snapshot = Snapshot::decode(&captured, layout, variant, globals);
    snapshot.nonsense();
    let marks = match (&snapshot.spans, &snapshot.gc) {
        (Ok(spans), Ok(_)) => {
            let mut read = |mut plan: MarksPlan| -> RunningMemory { Box::new(space.read_planned(&mut plan)) };
            Marks::read(&mut read, layout, globals.mheap, spans)
        }
        _ => None,
    };
    let _ = module_tables(&captured, runtime);
    let frames = match &snapshot.goroutines {
        Ok(goroutines) => FrameTable::resolve(goroutines, &Names),
        Err(_) => FrameTable::default(),
    };
    let host = host(space, &snapshot);
    let mut report = AttachReport::new();
    report.captured_monotonic_ns = Some(100_000_000_000);
    host.fill(&mut report);
    let sums = span_sums(&snapshot, marks.as_ref(), &host);
    let scanned = Scanned {
        runtime: runtime.clone(),
        snapshot,
        sums,
        marks_missing: marks.is_none().then(|| "not read".to_owned()),
        marks,
        frames,
        symbols_missing: None,
        wait_reasons: vec!["chan receive".to_owned(); 8],
        wait_reasons_missing: None,
    };
    assemble(&mut report, &scanned, &host, &|span| {
        Some(format!("{:?}", span.large_type))
    });
    shown(&report);
    report
}

/// What a planner gets to see in the end.
fn captured(space: &Rc<Space>, planner: &mut dyn Planner) -> Captured {
    let mut captured = Captured::nothing(space.clone());
    for wave in 0..MOST_WAVES {
        let requests = planner.wave(wave, &captured);
        if requests.is_empty() {
            gathered(&mut captured, planner);
            return captured;
        }
        assert!(requests.len() < MOST_REQUESTS, "{} wishes in one wave", requests.len());
        captured.take(&requests);
    }
    panic!("the planner does not come to an end");
}

/// The structures of which a scan gathers fields; here they are captured whole.
fn gathered(captured: &mut Captured, planner: &mut dyn Planner) {
    for gather in planner.gather(captured) {
        let what = gather.what;
        let structures = structures(captured, &gather).into_iter();
        let requests: Vec<Request> = structures.map(|range| Request { range, what }).collect();
        captured.take(&requests);
    }
}

/// The kernel's account of the same memory.
fn host(space: &Space, snapshot: &Snapshot) -> HostSide {
    let mut maps = String::new();
    let mut smaps = String::new();
    for range in space.mappings() {
        let line = format!("{:x}-{:x} rw-p 00000000 00:00 0\n", range.start.0, range.end().0);
        maps.push_str(&line);
        smaps.push_str(&line);
        smaps.push_str("Rss:                  40 kB\nSwap:                  4 kB\n");
    }
    let rss = RssFacts {
        page_level: Some(64 << 20),
        statm: Some(64 << 20),
        swap: Some(4096),
    };
    let (maps, _) = Maps::parse(maps.as_bytes());
    let mut host = HostSide::of(
        Some(maps),
        Ok(Residency::by_mapping(&smaps)),
        rss,
        &Surroundings::machine(),
    );
    host.sort_mappings(snapshot);
    host
}

/// Renders it in every way.
fn shown(report: &AttachReport) {
    for (width, verbosity) in [(40, Verbosity::Verbose), (100, Verbosity::Normal)] {
        let options = TableOptions {
            width,
            verbosity,
            ..TableOptions::default()
        };
        let text = table::render(report, &options);
        assert!(text.len() < 1 << 20, "{} bytes of table", text.len());
    }
    let text = json::render(report, &Selection::everything()).unwrap();
    let back: AttachReport = serde_json::from_str(&text).unwrap();
    assert_eq!(back.capture.anomalies, report.capture.anomalies);
}

/// Every address is in some function.
struct Names;

impl Symbolizer for Names {
    fn creation(&self, gopc: u64) -> Option<Position> {
        Some(Position {
            function: self.function(gopc)?,
            file: "main.go".into(),
            line: gopc as u32,
        })
    }

    fn function(&self, pc: u64) -> Option<String> {
        let names = [
            "main.worker",
            "runtime.main",
            "runtime.bgsweep",
            "runtime.runfinq",
            "net.\u{1b}[2J",
        ];
        names.get((pc >> 4) as usize % 7).map(|name| (*name).to_owned())
    }
}
