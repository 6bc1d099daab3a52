//! The same live targets under gomemscan and under other tools: `cargo bench --bench peers`. Runs each tool that is
//! installed (`grf`, `dlv`, `gcore` and `viewcore` in PATH) and the target's own pprof endpoint in turn, and prints side by
//! side how long each took, how long the target's own heartbeat was held up, and how much memory it took.
//!
//! `-- --markdown` adds all targets side by side as Markdown, `--runs N` sets the runs of the fast tools (the slow ones
//! have a seventh of them), `--limit SECONDS` what a run may take, `--only NAME` and `--tool NAME` choose, `--go VERSION`
//! names the release that targets are built with. A core file is as large as the address space in use: some GB in TMPDIR.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails loudly"
)]

mod command;
mod run;
mod table;
mod tools;
mod watched;

#[path = "../figures.rs"]
#[allow(dead_code, reason = "each bench uses a part")]
mod figures;
#[path = "../../support/mod.rs"]
mod support;

use std::time::Duration;

use run::{Bench, Run};
use support::fixtures::{Build, GoVersion, fixture};
use table::Table;
use tools::{TOOLS, Tool, installed};

/// A target: name, arguments of the fixture `watched`, how it is built.
const TARGETS: [(&str, &[&str], Build); 5] = [
    ("empty", &[], Build::Exe),
    ("empty, stripped", &[], Build::Stripped),
    ("256 MiB linked", &["-linked", "256"], Build::Exe),
    ("1 GiB linked", &["-linked", "1024"], Build::Exe),
    ("100k goroutines", &["-goroutines", "100000"], Build::Exe),
];

struct Options {
    runs: usize,
    limit: Duration,
    only: Option<String>,
    tool: Option<String>,
    markdown: bool,
    go: GoVersion,
}

fn main() {
    if let Some(code) = command::as_runner() {
        std::process::exit(code);
    }
    let options = options();
    let chosen = |name: &str, choice: &Option<String>| choice.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let (tools, missing): (Vec<&Tool>, Vec<&Tool>) = TOOLS
        .iter()
        .filter(|tool| chosen(tool.name, &options.tool))
        .partition(|tool| tool.is_there());
    println!("{}", conditions(&options));
    println!("{}\n", installed());
    let mut tables = Vec::new();
    for (name, arguments, build) in TARGETS {
        if chosen(name, &options.only) {
            let program = fixture("watched", options.go, build);
            let mut bench = Bench::start(&program, arguments, options.limit);
            let runs = rounds(&mut bench, &tools, options.runs);
            let mut table = Table::of(name);
            for (tool, runs) in tools.iter().zip(&runs) {
                table.row(tool, runs);
            }
            for tool in &missing {
                table.missing(tool);
            }
            println!("{}", table.text());
            tables.push(table);
        }
    }
    if options.markdown {
        println!("{}", table::markdown(&tables));
    }
    println!("{}", conditions(&options));
}

/// All runs of every tool on one target, the tools taking turns.
fn rounds(bench: &mut Bench, tools: &[&Tool], rounds: usize) -> Vec<Vec<Run>> {
    let mut runs: Vec<Vec<Run>> = tools.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (tool, runs) in tools.iter().zip(&mut runs) {
            let share = tool.runs(rounds);
            // Spread evenly over the rounds.
            if round * share % rounds < share {
                runs.push(bench.run(tool));
            }
        }
        bench.end_of_round();
    }
    runs
}

/// What the figures were measured under.
fn conditions(options: &Options) -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} CPUs, load {}, Linux {}, targets built with Go {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        load.split(' ').next().unwrap_or_default(),
        kernel.trim(),
        options.go.release()
    )
}

fn options() -> Options {
    let mut options = Options {
        runs: 20,
        limit: Duration::from_secs(180),
        only: None,
        tool: None,
        markdown: false,
        go: GoVersion::V1_26,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().unwrap_or_else(|| panic!("{argument} takes a value"));
        match argument.as_str() {
            "--runs" => options.runs = next().parse().ok().filter(|runs| *runs > 0).expect("--runs N"),
            "--limit" => options.limit = Duration::from_secs(next().parse().expect("--limit SECONDS")),
            "--only" => options.only = Some(next()),
            "--tool" => options.tool = Some(next()),
            "--go" => options.go = next().parse().expect("--go VERSION"),
            "--markdown" => options.markdown = true,
            // What cargo adds.
            "--bench" => {}
            other => panic!(
                "{other} is none of --runs N, --limit SECONDS, --only TARGET, --tool NAME, --go VERSION, --markdown"
            ),
        }
    }
    options
}
