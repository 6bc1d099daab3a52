//! Memory of real programs, recorded once, with damage anywhere, through decoding and analysis to the report.
//!
//! A recording is a zlib stream of a few lines of text (release, load address of each variable) and the captured
//! stretches. `cargo test --test fuzz -- --ignored record` makes them anew.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use gomemscan::goruntime::capture::Summary;
use gomemscan::goruntime::globals::Globals;
use gomemscan::goruntime::layout::Layout;
use gomemscan::goruntime::locate::Runtime;
use gomemscan::goruntime::marks::{Marks, MarksPlan, RunningMemory};
use gomemscan::goruntime::provenance::{AddressesFrom, Certainty, LayoutFrom, Provenance};
use gomemscan::goruntime::snapshot::Snapshot;
use gomemscan::goruntime::variants::Variant;
use gomemscan::image::embedded::Releases;
use gomemscan::image::types::TypeSource;
use gomemscan::image::{Arch, DebugInfo, GoVersion, Image};
use gomemscan::memory::{Addr, Gather, Memory, Planner, Range, Request};
use gomemscan::target::{CaptureOptions, Captured, DEFAULT_BYTE_BUDGET, LiveProcess, Stop};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::damage::Damageable;
use super::harness::Target;
use super::report::report;
use crate::support::fixtures::{self, Build, fixture};
use crate::support::process::Running;
use crate::synth::{Space, structures};

/// What was recorded.
const RECORDED: [(fixtures::GoVersion, Build); 2] = [
    (fixtures::GoVersion::V1_21, Build::Pie),
    (fixtures::GoVersion::V1_27, Build::Exe),
];

fn path(version: fixtures::GoVersion) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/recordings");
    dir.join(format!("churn-go{}.z", version.release()))
}

#[test]
fn captured() {
    let mut heaps = RECORDED.map(|(version, _)| load(&fs::read(path(version)).unwrap()));
    for (runtime, heap) in &mut heaps {
        // What was recorded is whole: a fuzzer of unreadable structures would find nothing.
        heap.hit(&[], |space| {
            let report = report(runtime, space);
            assert_eq!(
                report.capture.anomalies, 0,
                "{:?} {:?}",
                report.capture.checks, report.warnings
            );
            assert!(report.unavailable.is_empty(), "{:?}", report.unavailable);
        });
    }
    let target = Target {
        name: "captured",
        runs: 200,
        longest: 1024,
    };
    target.run(|input| {
        let Some((&which, rest)) = input.split_first() else {
            return;
        };
        let count = heaps.len();
        let (runtime, heap) = &mut heaps[usize::from(which) % count];
        heap.hit(rest, |space| drop(report(runtime, space)));
    });
}

fn load(recording: &[u8]) -> (Rc<Runtime>, Damageable) {
    let mut bytes = Vec::new();
    ZlibDecoder::new(recording).read_to_end(&mut bytes).unwrap();
    let end = memchr::memmem::find(&bytes, b"\n\n").unwrap();
    let (text, mut rest) = (std::str::from_utf8(&bytes[..end]).unwrap(), &bytes[end + 2..]);
    let (release, names) = text.split_once('\n').unwrap();
    let globals = names.lines().map(|line| {
        let (name, addr) = line.split_once(' ').unwrap();
        (name.to_owned(), addr.parse().unwrap())
    });
    let version = GoVersion::parse(release).unwrap();
    let layout = Releases::load().exact(&version, Arch::Amd64, &[]).unwrap();
    let types = layout.types().with_globals(globals);
    let runtime = Runtime {
        layout: Layout::resolve(&types).unwrap(),
        variant: Variant::of(version.minor, Arch::Amd64, &types),
        globals: Globals::resolve(&types, 0).unwrap(),
        bias: 0,
        version: Some(version),
        arch: Arch::Amd64,
        provenance: Provenance {
            layout: LayoutFrom::Table,
            addresses: AddressesFrom::Symtab,
            release: Some(release.to_owned()),
            certainty: Certainty::Exact,
        },
        warnings: Vec::new(),
    };
    let mut space = Space::default();
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
        let (start, len) = (word(0), word(8));
        let (content, tail) = tail.split_at(len as usize);
        space.map(start, len);
        space.write(start, content);
        rest = tail;
    }
    let l = &runtime.layout;
    let g = &runtime.globals;
    let variables = [
        Range::new(g.mheap, l.mheap.size),
        Range::new(g.sched, l.sched.size),
        Range::new(g.memstats, l.mstats.size),
        Range::new(g.gc_controller, l.gc_controller.size),
        Range::new(g.work, l.work.size),
        Range::new(g.allgs, 24),
        Range::new(g.allp, 24),
        Range::new(g.gomaxprocs, 8),
        Range::new(g.firstmoduledata, l.moduledata.size),
        Range::new(g.stackpool, l.stackpool.size),
        Range::new(g.stack_large, l.stack_large.size),
    ];
    (Rc::new(runtime), Damageable::new(space, &variables))
}

#[test]
#[ignore = "makes the recordings anew"]
fn record() {
    for (version, build) in RECORDED {
        let churn = Running::start(&fixture("churn", version, build), &["-procs", "3"]);
        // Mark bits are read after the structures, and belong to them only if nothing moves in between.
        kill(Pid::from_raw(churn.pid() as i32), Signal::SIGSTOP).unwrap();
        let (types, bias, stretches) = recorded(churn.pid());
        let mut bytes = format!("go{}\n", version.release());
        for name in Globals::names() {
            if let Some(addr) = types.global(name) {
                writeln!(bytes, "{name} {}", addr.wrapping_add(bias)).unwrap();
            }
        }
        let mut bytes = (bytes + "\n").into_bytes();
        for (range, content) in stretches {
            bytes.extend(range.start.0.to_le_bytes());
            bytes.extend(range.len.to_le_bytes());
            bytes.extend(content);
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).unwrap();
        fs::create_dir_all(path(version).parent().unwrap()).unwrap();
        fs::write(path(version), encoder.finish().unwrap()).unwrap();
    }
}

type Stretch = (Range, Vec<u8>);

/// A scan of a process: its debug information, load bias, and all that was read of its memory.
fn recorded(pid: u32) -> (DebugInfo, u64, Vec<Stretch>) {
    let process = LiveProcess::open(pid as i32).unwrap();
    let module = process.modules(&process.maps().unwrap()).remove(0);
    let image = Image::open(process.open_module(&module).unwrap(), PathBuf::from("churn")).unwrap();
    let runtime = Rc::new(Runtime::locate(&image, module.anchor).unwrap().remove(0));
    let mut planner = || -> Box<dyn Planner> { Box::new(Whole(Some(Summary::new(runtime.clone())))) };
    let stop = Stop::Pause {
        max: std::time::Duration::from_secs(10),
    };
    let options = CaptureOptions {
        stop,
        byte_budget: DEFAULT_BYTE_BUDGET,
    };
    let capture = process.capture(&mut planner, &options).unwrap();
    assert_eq!(capture.complete, Ok(()));
    let mut stretches = stretches(&capture.memory);
    let Runtime {
        layout,
        variant,
        globals,
        ..
    } = runtime.as_ref();
    let snapshot = Snapshot::decode(&capture.memory, layout, variant, globals);
    let mut read = |plan: MarksPlan| -> RunningMemory {
        let read = process.read_running_planned(&mut || Box::new(plan.clone())).unwrap();
        stretches.extend(self::stretches(&read));
        Box::new(read)
    };
    Marks::read(&mut read, layout, globals.mheap, snapshot.spans.as_ref().unwrap()).unwrap();
    (image.debug.unwrap(), runtime.bias, disjoint(stretches))
}

/// A scan that copies structures as a whole: a recording has no place for records of some of their fields.
struct Whole(Option<Summary>);

impl Planner for Whole {
    fn wave(&mut self, wave: usize, captured: &dyn Memory) -> Vec<Request> {
        let Some(planner) = &mut self.0 else { return Vec::new() };
        let requests = planner.wave(wave, captured);
        if !requests.is_empty() {
            return requests;
        }
        let gathers = self
            .0
            .take()
            .map(|mut planner| planner.gather(captured))
            .unwrap_or_default();
        let of = |gather: &Gather| {
            let what = gather.what;
            let structures = structures(captured, gather).into_iter();
            structures.map(move |range| Request { range, what })
        };
        gathers.iter().flat_map(of).collect()
    }
}

fn stretches(memory: &Captured) -> Vec<Stretch> {
    memory
        .segments()
        .map(|(range, bytes)| (range, bytes.to_vec()))
        .collect()
}

/// Of what was read twice, the first counts: it is of the stop.
fn disjoint(stretches: Vec<Stretch>) -> Vec<Stretch> {
    let mut pages = std::collections::BTreeMap::new();
    for (range, bytes) in stretches {
        for (index, page) in bytes.chunks(4096).enumerate() {
            pages
                .entry(range.start.0 + index as u64 * 4096)
                .or_insert_with(|| page.to_vec());
        }
    }
    let mut joined: Vec<Stretch> = Vec::new();
    for (at, page) in pages {
        match joined.last_mut() {
            Some((range, bytes)) if range.end().0 == at => {
                range.len += page.len() as u64;
                bytes.extend(page);
            }
            _ => joined.push((Range::new(Addr(at), page.len() as u64), page)),
        }
    }
    joined
}
