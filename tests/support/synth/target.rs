//! What a test gets: the made-up program, ways to break it, and the way from its bytes to a report's sections.

use std::rc::Rc;

use gomemscan::analysis;
use gomemscan::goruntime::capture::Summary;
use gomemscan::goruntime::frames::{FrameTable, Position, Symbolizer};
use gomemscan::goruntime::globals::Globals;
use gomemscan::goruntime::layout::Layout;
use gomemscan::goruntime::locate::Runtime;
use gomemscan::goruntime::marks::{Marks, MarksPlan, RunningMemory};
use gomemscan::goruntime::provenance::{AddressesFrom, Certainty, LayoutFrom, Provenance};
use gomemscan::goruntime::snapshot::Snapshot;
use gomemscan::goruntime::variants::{Arch, Variant};
use gomemscan::memory::{Addr, Planner, Request};
use gomemscan::model::Check;

use super::accounts::Truth;
use super::sched::{Functions, Processors};
use super::space::{Captured, Space, structures};
use super::spans::Placed;
use super::writer::{BIAS, Writer};

/// More waves than any planner may take.
const MOST_WAVES: usize = 1000;

/// A made-up program.
pub struct SynthTarget {
    pub w: Writer,
    pub truth: Truth,
    pub spans: Vec<Placed>,
    pub processors: Processors,
    pub gs: Vec<u64>,
    pub functions: Functions,
}

/// A scan of it.
pub struct Scan {
    pub mheap: Addr,
    pub layout: Layout,
    pub variant: Variant,
    pub captured: Captured,
    pub waves: usize,
    pub snapshot: Snapshot,
}

impl SynthTarget {
    /// Breaks one field of the `root` at `at`.
    pub fn put(&mut self, root: &str, at: u64, path: &str, value: u64) {
        self.w.put(root, at, path, value);
    }

    pub fn put_span(&mut self, index: usize, path: &str, value: u64) {
        self.w.put("runtime.mspan", self.spans[index].addr, path, value);
    }

    /// Makes the word at `at` unreadable.
    pub fn lose(&mut self, at: u64) {
        self.w.space.unmap(at, 8);
    }

    /// Where everything is, as debug information would say it.
    pub fn runtime(&self) -> Rc<Runtime> {
        let types = &self.w.types;
        Rc::new(Runtime {
            layout: Layout::resolve(types).unwrap(),
            variant: Variant::of(types.release.minor(), Arch::Amd64, types),
            globals: Globals::resolve(types, BIAS).unwrap(),
            bias: BIAS,
            version: None,
            arch: Arch::Amd64,
            provenance: Provenance {
                layout: LayoutFrom::Dwarf,
                addresses: AddressesFrom::Dwarf,
                release: None,
                certainty: Certainty::Exact,
            },
            warnings: Vec::new(),
        })
    }

    /// Captures as a scan does, wave by wave, and decodes what was captured.
    pub fn scan(&self) -> Scan {
        let runtime = self.runtime();
        let mut captured = Captured::nothing(Rc::new(self.w.space.clone()));
        let mut waves = 0;
        {
            let mut planner = Summary::new(runtime.clone());
            loop {
                let requests = planner.wave(waves, &captured);
                if requests.is_empty() {
                    break;
                }
                captured.take(&requests);
                waves += 1;
                assert!(waves < MOST_WAVES, "the planner does not come to an end");
            }
            for gather in planner.gather(&captured) {
                let what = gather.what;
                let structures = structures(&captured, &gather).into_iter();
                let requests: Vec<Request> = structures.map(|range| Request { range, what }).collect();
                captured.take(&requests);
            }
        }
        captured.forgotten.borrow_mut().clear();
        let snapshot = Snapshot::decode(&captured, &runtime.layout, &runtime.variant, &runtime.globals);
        Scan {
            mheap: runtime.globals.mheap,
            layout: runtime.layout.clone(),
            variant: runtime.variant.clone(),
            captured,
            waves,
            snapshot,
        }
    }

    /// The mark bits, read from the running program.
    pub fn marks(&self, scan: &Scan) -> Option<Marks> {
        self.marks_with(scan, |space| space)
    }

    /// The same, of a program that changes between the stop and the read.
    pub fn marks_with(&self, scan: &Scan, change: impl Fn(Space) -> Space) -> Option<Marks> {
        let (Ok(spans), Ok(_)) = (&scan.snapshot.spans, &scan.snapshot.gc) else {
            return None;
        };
        let running = change(self.w.space.clone());
        let mut read = |mut plan: MarksPlan| -> RunningMemory { Box::new(running.read_planned(&mut plan)) };
        Marks::read(&mut read, &scan.layout, scan.mheap, spans)
    }

    pub fn frames(&self, scan: &Scan) -> FrameTable {
        match &scan.snapshot.goroutines {
            Ok(gs) => FrameTable::resolve(gs, &Symbols(&self.functions)),
            Err(_) => FrameTable::default(),
        }
    }

    /// Every check of the scan, marks included.
    pub fn checks(&self, scan: &Scan) -> Vec<Check> {
        let marks = self.marks(scan);
        analysis::checks(
            &scan.snapshot,
            &scan.layout,
            &scan.variant,
            &self.frames(scan),
            Scan::sums(&scan.snapshot, marks.as_ref(), None).as_ref(),
        )
    }
}

impl Scan {
    /// What the spans of a snapshot add up to.
    pub fn sums(
        snapshot: &Snapshot,
        marks: Option<&Marks>,
        resident: Option<&analysis::Resident<'_>>,
    ) -> Option<analysis::SpanSums> {
        let spans = snapshot.spans.as_ref().ok()?;
        Some(analysis::SpanSums::of(&analysis::SpanFacts {
            spans,
            places: snapshot.places.as_ref().ok(),
            manual: snapshot.manual.as_ref().ok(),
            marks,
            sweepgen: snapshot.gc.as_ref().ok().map(|gc| gc.sweepgen),
            resident,
        }))
    }
}

/// Names by the addresses that the builder gave.
struct Symbols<'a>(&'a Functions);

impl Symbolizer for Symbols<'_> {
    fn creation(&self, gopc: u64) -> Option<Position> {
        let function = self.function(gopc)?;
        let line = gopc.wrapping_sub(Functions::FROM) as u32 / 16;
        Some(Position {
            function,
            file: "main.go".into(),
            line,
        })
    }

    fn function(&self, pc: u64) -> Option<String> {
        let index = pc.checked_sub(Functions::FROM)? / Functions::BYTES;
        self.0.names.get(index as usize).map(|name| (*name).to_owned())
    }
}
