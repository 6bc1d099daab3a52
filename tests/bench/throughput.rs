//! What scans cost the work of a busy target: `cargo bench --bench throughput`. Three kinds of windows take turns: without
//! scans, with scans of the target, and with scans of its twin, a process like it that stands still. Printed is how much
//! less was done for each scan, in time, beside the scan's pause: against windows without scans, which includes what any
//! use of the machine's CPUs and memory takes, and against those with scans of the twin, which is what being scanned takes.
//! `-- --rounds N` and `--seconds N` choose how often and how long, `--every MS` how often is scanned, `--apart` that target
//! and scans run on a CPU each.

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

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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
    paused: f64,
    scans: f64,
}

/// How the scans are run.
#[derive(Clone, Copy)]
struct Scans {
    pid: u32,
    every: Duration,
    apart: bool,
}

impl Done {
    fn rate(self) -> f64 {
        self.rounds / self.wall
    }
}

fn main() {
    let (mut rounds, mut seconds, mut every, mut apart) = (7, 3, 150, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .and_then(|number| number.parse().ok())
                .expect("a number")
        };
        match argument.as_str() {
            "--rounds" => rounds = number(),
            "--seconds" => seconds = number(),
            "--every" => every = number(),
            "--apart" => apart = true,
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is none of --rounds N, --seconds N, --every MS, --apart"),
        }
    }
    let apart_text = if apart { ", target and scans on a CPU each" } else { "" };
    println!("medians over {rounds} rounds of windows of {seconds} s, a scan each {every} ms{apart_text}");
    for (name, arguments) in WORK {
        let program = fixture("busy", GoVersion::V1_26, Build::Exe);
        let twin = Running::start(&program, arguments);
        let twin_pid = Pid::from_raw(twin.pid() as i32);
        kill(twin_pid, Signal::SIGSTOP).unwrap();
        let mut target = Running::start(&program, arguments);
        if apart {
            pin(target.pid(), 0);
        }
        let of = |pid| {
            Some(Scans {
                pid,
                every: Duration::from_millis(every),
                apart,
            })
        };
        let (own, others) = (of(target.pid()), of(twin.pid()));
        let mut window = |scans| window(&mut target, name, Duration::from_secs(seconds), scans);
        window(own);
        let (mut lost, mut lost_alone, mut pauses, mut noise) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            // What lies between the first and the last of a kind is the machine's own.
            let [without, twin, scanned, twin_again, without_again] =
                [None, others, own, others, None].map(&mut window);
            let per_scan = 1e3 * scanned.wall / scanned.scans;
            let less_than =
                |one: Done, other: Done| per_scan * (1.0 - scanned.rate() * 2.0 / (one.rate() + other.rate()));
            lost.push(less_than(without, without_again));
            lost_alone.push(less_than(twin, twin_again));
            pauses.push(1e3 * scanned.paused / scanned.scans);
            noise.push(per_scan * (1.0 - twin_again.rate() / twin.rate()).abs());
        }
        println!(
            "{name:<10} a scan pauses {:.2} ms and costs {:+.2} ms of work, {:+.2} ms of them by being scanned; two windows of \
             a kind differ by {:.2} ms per scan",
            median(pauses),
            median(lost),
            median(lost_alone),
            median(noise)
        );
        kill(twin_pid, Signal::SIGCONT).unwrap();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Lets the target work for so long.
fn window(target: &mut Running, name: &str, length: Duration, scans: Option<Scans>) -> Done {
    let (begun, rounds) = (Instant::now(), rounds(target, name));
    let (mut paused, mut count) = (0.0, 0.0);
    let mut next = begun;
    while begun.elapsed() < length {
        if let Some(scans) = scans.filter(|_| Instant::now() >= next) {
            paused += scan(scans);
            count += 1.0;
            next += scans.every;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Done {
        rounds: self::rounds(target, name) - rounds,
        wall: begun.elapsed().as_secs_f64(),
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

/// One scan by the command as it is shipped; seconds of its pause.
fn scan(Scans { pid, apart, .. }: Scans) -> f64 {
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
