//! What scans cost the work of a busy target: `cargo bench --bench throughput`. Windows with scans and windows without
//! take turns; printed is how much less was done for each scan, in time, beside the scan's pause. `-- --pairs N` and
//! `--seconds N` choose how many windows of each kind and how long, `--every MS` how often is scanned, `--apart` that
//! target and scans run on a CPU each, so that what is lost is not lost to the tool's use of the target's CPU.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails loudly"
)]

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::fixtures::{Build, GoVersion, fixture};
use support::process::Running;

/// Work that uses one CPU, so that the command has another: loop of the fixture `busy`, arguments.
const WORK: [(&str, &[&str]); 3] = [
    ("spin", &["-procs", "1", "-spans", "100000", "-loops", "spin"]),
    ("tcp", &["-procs", "1", "-spans", "100000", "-loops", "tcp"]),
    ("raw-pipe", &["-procs", "1", "-spans", "100000", "-loops", "raw-pipe"]),
];

/// What was done in a window.
#[derive(Clone, Copy, Default)]
struct Done {
    rounds: f64,
    wall: f64,
    cpu: f64,
    paused: f64,
    scans: f64,
}

/// How the scans are run.
#[derive(Clone, Copy)]
struct Scans {
    every: Duration,
    apart: bool,
}

impl Done {
    fn rate(self) -> f64 {
        self.rounds / self.wall
    }

    fn cpu_per_round(self) -> f64 {
        self.cpu / self.rounds
    }
}

fn main() {
    let (mut pairs, mut seconds, mut every, mut apart) = (10, 5, 1000, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .and_then(|number| number.parse().ok())
                .expect("a number")
        };
        match argument.as_str() {
            "--pairs" => pairs = number(),
            "--seconds" => seconds = number(),
            "--every" => every = number(),
            "--apart" => apart = true,
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is none of --pairs N, --seconds N, --every MS, --apart"),
        }
    }
    let apart_text = if apart { ", target and scans on a CPU each" } else { "" };
    println!(
        "medians over {pairs} pairs of windows of {seconds} s, a scan each {every} ms in every other one{apart_text}"
    );
    let scans = Scans {
        every: Duration::from_millis(every),
        apart,
    };
    for (name, arguments) in WORK {
        let program = fixture("busy", GoVersion::V1_26, Build::Exe);
        let mut target = Running::start(&program, arguments);
        if apart {
            pin(target.pid(), 0);
        }
        let length = Duration::from_secs(seconds);
        window(&mut target, name, Duration::from_secs(1), Some(scans));
        let (mut lost, mut dearer, mut pauses, mut noise) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..pairs {
            // Without before and after: what lies between the two is the machine's own.
            let before = window(&mut target, name, length, None);
            let scanned = window(&mut target, name, length, Some(scans));
            let after = window(&mut target, name, length, None);
            let rate = (before.rate() + after.rate()) / 2.0;
            let cpu = (before.cpu_per_round() + after.cpu_per_round()) / 2.0;
            let per_scan = 1e3 * scanned.wall / scanned.scans;
            lost.push(per_scan * (1.0 - scanned.rate() / rate));
            dearer.push(100.0 * (scanned.cpu_per_round() / cpu - 1.0));
            pauses.push(1e3 * scanned.paused / scanned.scans);
            noise.push(per_scan * (1.0 - after.rate() / before.rate()).abs());
        }
        println!(
            "{name:<10} each scan costs {:+.2} ms of work and pauses {:.2} ms; {:+.2} % more CPU for each round; two windows \
             without scans differ by {:.2} ms per scan",
            median(lost),
            median(pauses),
            median(dearer),
            median(noise)
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Lets the target work for so long.
fn window(target: &mut Running, name: &str, length: Duration, scans: Option<Scans>) -> Done {
    let (begun, rounds, cpu) = (Instant::now(), rounds(target, name), cpu_of(target.pid()));
    let (mut paused, mut count) = (0.0, 0.0);
    let mut next = begun;
    while begun.elapsed() < length {
        if let Some(scans) = scans.filter(|_| Instant::now() >= next) {
            paused += scan(target.pid(), scans.apart);
            count += 1.0;
            next += scans.every;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Done {
        rounds: self::rounds(target, name) - rounds,
        wall: begun.elapsed().as_secs_f64(),
        cpu: cpu_of(target.pid()) - cpu,
        paused,
        scans: count,
    }
}

fn rounds(target: &mut Running, name: &str) -> f64 {
    target.send("progress")["loops"][name].as_f64().unwrap()
}

/// Keeps a process, threads that it has and threads that it will have, on one CPU.
fn pin(pid: u32, cpu: usize) {
    let status = Command::new("taskset")
        .args(["-a", "-c", "-p", &cpu.to_string(), &pid.to_string()])
        .output()
        .expect("taskset, of util-linux")
        .status;
    assert!(status.success());
}

/// Seconds of CPU of all its threads.
fn cpu_of(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let spent = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<f64>().ok()
    });
    spent.sum::<f64>() / 1e9
}

/// One scan by the command as it is shipped; seconds of its pause.
fn scan(pid: u32, apart: bool) -> f64 {
    let tool = env!("CARGO_BIN_EXE_gomemscan");
    let mut command = match apart {
        true => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", "1", tool]);
            taskset
        }
        false => Command::new(tool),
    };
    let output = command
        .args(["attach", &pid.to_string(), "--json", "--max-pause", "5s"])
        .output()
        .expect("gomemscan starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    report["capture"]["pause_ns"].as_f64().unwrap() / 1e9
}
