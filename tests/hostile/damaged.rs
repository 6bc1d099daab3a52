//! A Go program that damages what the scan of it reads.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use gomemscan::goruntime::capture::Summary;
use gomemscan::goruntime::locate::Runtime;
use gomemscan::image::Image;
use gomemscan::memory::{Memory, Planner};
use gomemscan::target::{CaptureOptions, DEFAULT_BYTE_BUDGET, LiveProcess, Stop};

use crate::scans::{Endings, at_large};
use crate::support::fixtures::{Build, GoVersion, fixture};
use crate::support::process::Running;

/// Ways to scan.
const WAYS: [&[&str]; 4] = [
    &["--json"],
    &["--json", "--no-pause"],
    &["-v", "--max-pause", "2s"],
    &["--json", "--max-pause", "3ms"],
];

/// How many scans each test makes; `GOMEMSCAN_HOSTILE_SCANS` asks for more.
fn scans() -> usize {
    std::env::var("GOMEMSCAN_HOSTILE_SCANS").map_or(60, |count| count.parse().unwrap())
}

/// What a scan of the program reads and may be damaged: all but the kinds `spared`.
fn places(process: &LiveProcess, runtime: &Rc<Runtime>, spared: &[&str]) -> String {
    let maps = process.maps().unwrap();
    let mut planner = || -> Box<dyn Planner> { Box::new(Summary::new(runtime.clone())) };
    let options = CaptureOptions {
        stop: Stop::Pause {
            max: Duration::from_secs(20),
        },
        byte_budget: DEFAULT_BYTE_BUDGET,
    };
    let capture = process.capture(&mut planner, &options).unwrap();
    let mut planner = Summary::new(runtime.clone());
    let (mut text, mut kinds) = (String::new(), Vec::new());
    for wave in 0..capture.waves {
        for request in planner.wave(wave, &capture.memory) {
            let writable = maps.at(request.range.start).is_some_and(|mapping| mapping.write);
            if writable && !spared.contains(&request.what) {
                kinds.push(request.what);
                writeln!(text, "{} {}", request.range.start.0, request.range.len).unwrap();
            }
        }
    }
    for gather in planner.gather(&capture.memory) {
        let pointers = capture
            .memory
            .bytes(gather.pointers, gather.count as usize * 8)
            .unwrap();
        for word in pointers.chunks_exact(8).filter(|_| !spared.contains(&gather.what)) {
            kinds.push(gather.what);
            let addr = u64::from_le_bytes(word.try_into().unwrap());
            writeln!(text, "{addr} {}", gather.shape.size()).unwrap();
        }
    }
    for kind in [
        "mheap_",
        "allspans",
        "allgs",
        "slice header",
        "firstmoduledata",
        "mspan",
        "g",
        "p",
    ] {
        assert!(
            spared.contains(&kind) || kinds.contains(&kind),
            "no {kind} among {kinds:?}"
        );
    }
    text
}

/// Where the runtime of the program is; of a stripped one the likeliest answer.
fn located(process: &LiveProcess) -> Rc<Runtime> {
    let module = process.modules(&process.maps().unwrap()).remove(0);
    let image = Image::open(process.open_module(&module).unwrap(), PathBuf::from("hostile")).unwrap();
    Rc::new(Runtime::locate(&image, module.anchor).unwrap().remove(0))
}

/// Starts the program, tells it the places that `places` names, and gives `command`; its answer.
fn told(
    (version, build): (GoVersion, Build),
    command: &str,
    places: impl Fn(&LiveProcess, &Rc<Runtime>) -> String,
) -> (Running, serde_json::Value) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let arguments = ["-places", file.path().to_str().unwrap()];
    let mut running = Running::start(&fixture("hostile", version, build), &arguments);
    let process = LiveProcess::open(running.pid() as i32).unwrap();
    std::fs::write(file.path(), places(&process, &located(&process))).unwrap();
    let answer = running.send(command);
    (running, answer)
}

fn pid_of(answer: &serde_json::Value) -> u32 {
    answer["pid"].as_u64().unwrap() as u32
}

#[test]
fn a_program_that_damages_everything_the_scan_reads_is_survived() {
    let mut endings = Endings::default();
    for program in [
        (GoVersion::V1_27, Build::Exe),
        (GoVersion::V1_22, Build::Pie),
        (GoVersion::V1_26, Build::Stripped),
    ] {
        for words in [1, 12, 200] {
            let command = format!("fork {words}");
            let (_parent, answer) = told(program, &command, |process, runtime| places(process, runtime, &[]));
            let pid = pid_of(&answer);
            for scan in 0..scans() / 9 {
                endings.scan(pid, WAYS[scan % WAYS.len()]);
                assert!(at_large(pid), "left stopped by a scan that said {:?}", endings.said);
            }
        }
    }
    println!("{endings:?}");
    // It is alive all along, and mostly what it was.
    assert!(!endings.codes.contains_key(&8), "{endings:?}");
    assert!(
        endings.codes.contains_key(&6) || endings.codes.contains_key(&0),
        "{endings:?}"
    );
}

#[test]
fn a_program_that_damages_itself_while_it_runs_is_survived() {
    let mut endings = Endings::default();
    let mut deaths = 0;
    let mut left = scans() / 3;
    while left > 0 {
        let spared = ["sched", "allp", "p", "g", "slice header"];
        let program = (GoVersion::V1_26, Build::Exe);
        let (running, _) = told(program, "damage 3", |process, runtime| {
            places(process, runtime, &spared)
        });
        while left > 0 {
            left -= 1;
            let code = endings.scan(running.pid(), WAYS[left % WAYS.len()]);
            assert!(
                at_large(running.pid()),
                "left stopped by a scan that said {:?}",
                endings.said
            );
            if matches!(code, 3 | 8) {
                // By its own hand.
                deaths += 1;
                break;
            }
        }
    }
    println!("{deaths} deaths, {endings:?}");
}

#[test]
fn ten_million_entries_for_a_few_structures_take_little_memory() {
    let mut endings = Endings::default();
    for array in ["allspans", "allgs"] {
        let at = Cell::new(0);
        let header = |_: &LiveProcess, runtime: &Rc<Runtime>| {
            at.set(match array {
                "allgs" => runtime.globals.allgs.0,
                _ => runtime.globals.mheap.0 + runtime.layout.mheap.allspans.offset,
            });
            format!("{} 24\n", at.get())
        };
        let (_parent, answer) = told((GoVersion::V1_26, Build::Exe), "repeat 10000000", header);
        // The copy makes it so when it has its turn, perhaps after its parent has answered.
        let memory = File::open(format!("/proc/{}/mem", pid_of(&answer))).unwrap();
        let len = || {
            let mut word = [0; 8];
            memory.read_exact_at(&mut word, at.get() + 8).unwrap();
            u64::from_le_bytes(word)
        };
        while len() != 10_000_000 {
            std::thread::yield_now();
        }
        // A list that repeats itself is none.
        let code = 6;
        for way in [&["--json", "--max-pause", "10s"][..], &["--json", "--no-pause"]] {
            assert_eq!(endings.scan(pid_of(&answer), way), code, "{array}: {}", endings.said);
        }
        // Wherever the deadline strikes, the target is let go.
        let scan = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
            .args([
                "attach",
                &pid_of(&answer).to_string(),
                "--max-pause",
                "10s",
                "--deadline",
                "1s",
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&scan.stderr);
        let late = scan.status.code() == Some(7) && said.contains("did not end within 1s (--deadline)");
        assert!(late || scan.status.code() == Some(code), "{array}: {said}");
        // The tracer is killed as its parent ends, which may be a moment later.
        while !at_large(pid_of(&answer)) {
            std::thread::yield_now();
        }
        println!("{array}: {}", said.lines().next().unwrap_or("in time"));
    }
    println!("{endings:?}");
}
