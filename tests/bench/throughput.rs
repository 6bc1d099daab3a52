//! What scans cost the work of a busy target: `cargo bench --bench throughput`. Windows with a scan each second and
//! windows without take turns; printed is how much less was done, beside the share of the time that the pauses took.
//! `-- --pairs N` and `--seconds N` choose how many windows of each kind and how long.

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
    let (mut pairs, mut seconds) = (10, 5);
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
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is none of --pairs N, --seconds N"),
        }
    }
    println!("medians over {pairs} pairs of windows of {seconds} s, one scan each second in every other one");
    for (name, arguments) in WORK {
        let program = fixture("busy", GoVersion::V1_26, Build::Exe);
        let mut target = Running::start(&program, arguments);
        let length = Duration::from_secs(seconds);
        window(&mut target, name, Duration::from_secs(1), true);
        let (mut slower, mut dearer, mut shares, mut noise) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..pairs {
            // Without before and after: what lies between the two is the machine's own.
            let before = window(&mut target, name, length, false);
            let scanned = window(&mut target, name, length, true);
            let after = window(&mut target, name, length, false);
            let rate = (before.rate() + after.rate()) / 2.0;
            let cpu = (before.cpu_per_round() + after.cpu_per_round()) / 2.0;
            slower.push(100.0 * (1.0 - scanned.rate() / rate));
            dearer.push(100.0 * (scanned.cpu_per_round() / cpu - 1.0));
            shares.push(100.0 * scanned.paused / scanned.wall);
            noise.push(100.0 * (1.0 - after.rate() / before.rate()).abs());
        }
        println!(
            "{name:<10} {:+.2} % of the rounds per second lost, {:+.2} % more CPU for each; paused {:.2} % of the time; \
             two windows without scans differ by {:.2} %",
            median(slower),
            median(dearer),
            median(shares),
            median(noise)
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Lets the target work for so long.
fn window(target: &mut Running, name: &str, length: Duration, scans: bool) -> Done {
    let (begun, rounds, cpu) = (Instant::now(), rounds(target, name), cpu_of(target.pid()));
    let mut paused = 0.0;
    let mut next = begun + Duration::from_millis(500);
    while begun.elapsed() < length {
        if scans && Instant::now() >= next {
            paused += scan(target.pid());
            next += Duration::from_secs(1);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Done {
        rounds: self::rounds(target, name) - rounds,
        wall: begun.elapsed().as_secs_f64(),
        cpu: cpu_of(target.pid()) - cpu,
        paused,
    }
}

fn rounds(target: &mut Running, name: &str) -> f64 {
    target.send("progress")["loops"][name].as_f64().unwrap()
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
fn scan(pid: u32) -> f64 {
    let output = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(["attach", &pid.to_string(), "--json", "--max-pause", "5s"])
        .output()
        .expect("gomemscan starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    report["capture"]["pause_ns"].as_f64().unwrap() / 1e9
}
