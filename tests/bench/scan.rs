//! What a scan costs: `cargo bench --bench scan`. Starts targets of several sizes, scans each again and again with the
//! command that is shipped, and prints medians beside what they should be at most. `-- --full` adds the largest
//! targets, `--runs N` and `--only NAME` choose.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails loudly"
)]

mod figures;
mod startup;

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use figures::{Scan, Target, percentile};
use support::fixtures::{Build, GoVersion, fixture};
use support::process::Running;

/// A target: name, arguments of the fixture `spans`, whether it takes `--full`.
const QUIET: [(&str, &[&str], bool); 8] = [
    ("empty", &[], false),
    ("threads", &["-threads", "300"], false),
    ("goroutines", &["-goroutines", "100000"], false),
    ("100k spans", &["-spans", "100000"], false),
    ("200k spans", &["-spans", "200000"], false),
    ("mixed 512 MiB", &["-mixed", "512"], false),
    ("1M spans", &["-spans", "1000000"], true),
    ("mixed 4 GiB", &["-mixed", "4096"], true),
];

/// The same of the fixture `busy`: one P that never rests, so that nobody comes to sweep. It needs a CPU, which of two leaves
/// the tool one.
const BUSY: [(&str, &[&str], bool); 2] = [
    (
        "busy, 200k unswept spans",
        &["-procs", "1", "-loops", "spin", "-spans", "200000"],
        false,
    ),
    (
        "busy, 1M unswept spans",
        &["-procs", "1", "-loops", "spin", "-spans", "1000000"],
        true,
    ),
];

struct Options {
    runs: usize,
    full: bool,
    only: Option<String>,
}

fn main() {
    let options = options();
    println!(
        "ms unless told otherwise; median (fastest, 90th percentile) of {} scans",
        options.runs
    );
    for (program, targets) in [("spans", &QUIET[..]), ("busy", &BUSY)] {
        for (name, arguments, full) in targets {
            let chosen = options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
            if chosen && (options.full || !full) {
                target(name, program, arguments, options.runs);
            }
        }
    }
    if options.only.is_none() {
        startup::print(options.runs);
    }
}

fn options() -> Options {
    let mut options = Options {
        runs: 20,
        full: false,
        only: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => options.runs = arguments.next().and_then(|runs| runs.parse().ok()).expect("--runs N"),
            "--full" => options.full = true,
            "--only" => options.only = arguments.next(),
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is none of --runs N, --full, --only NAME"),
        }
    }
    options
}

fn target(name: &str, program: &str, arguments: &[&str], runs: usize) {
    let program = fixture(program, GoVersion::V1_26, Build::Exe);
    let running = Running::start(&program, arguments);
    let before = Target::read(running.pid());
    let scans: Vec<Scan> = (0..runs).map(|_| scan(running.pid(), &[])).collect();
    let after = Target::read(running.pid());
    let first = &scans[0];
    println!(
        "\n{name}: {} spans, {} threads, {} goroutines, {:.1} MiB copied",
        first.spans,
        first.threads,
        first.goroutines,
        first.bytes_read as f64 / f64::from(1 << 20)
    );
    let most = [
        ("pause", first.pause_formula()),
        ("after start-up", first.wall_limit()),
        ("own peak, MiB", first.memory_limit()),
    ];
    for (what, _) in &first.figures {
        let mut values: Vec<f64> = scans.iter().map(|scan| scan.figure(what)).collect();
        values.sort_by(f64::total_cmp);
        let limit = most.iter().find(|(name, _)| name == what).map(|(_, limit)| *limit);
        let median = percentile(&values, 50);
        let beside = limit.map_or(String::new(), |limit| {
            format!("  aim {limit:.2}, {:.2} of it", median / limit)
        });
        let line = format!(
            "  {what:<16} {median:>9.3}  ({:.3}, {:.3}){beside}",
            values[0],
            percentile(&values, 90)
        );
        println!("{line}");
    }
    let mut copy: Vec<f64> = scans.iter().map(|scan| scan.figure("  copy")).collect();
    copy.sort_by(f64::total_cmp);
    let mut held: Vec<f64> = scans
        .iter()
        .map(|scan| scan.figure("  stop") + scan.figure("  release"))
        .collect();
    held.sort_by(f64::total_cmp);
    println!(
        "  per thread {:.1} us stop and release; per span {:.1} ns, per goroutine {:.1} ns of copying",
        percentile(&held, 50) * 1e3 / first.threads.max(1) as f64,
        percentile(&copy, 50) * 1e6 / first.spans.max(1) as f64,
        percentile(&copy, 50) * 1e6 / first.goroutines.max(1) as f64,
    );
    println!(
        "  the target: anonymous memory {:+} KiB, page tables {:+} KiB over all scans",
        after.anonymous_kib - before.anonymous_kib,
        after.page_tables_kib - before.page_tables_kib
    );
}

/// One scan by the command as it is shipped.
fn scan(pid: u32, arguments: &[&str]) -> Scan {
    let output = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(["attach", &pid.to_string(), "--json", "--max-pause", "5s"])
        .args(arguments)
        .output()
        .expect("gomemscan starts");
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    Scan::of(&json)
}
