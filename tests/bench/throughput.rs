//! What a scan costs the work of a busy target: `cargo bench --bench throughput`. Slots of 150 ms take turns at random: one
//! without a scan, one with a scan of the target, one with a scan of its twin, a process like it that stands still. Printed
//! is, in time and per scan, how much less was done in a slot with a scan, beside the scan's pause and the CPU time that the
//! tool used: less than in the slot without, which includes what any other use of the machine's CPUs and memory takes, and
//! less than in that with a scan of the twin, which is what being scanned takes. Each figure is a median over all rounds,
//! and after it the distance to which its 95 % interval reaches. `-- --rounds N` chooses how many rounds; `--apart` that target and scans
//! run on a CPU each, `--together` that they share one, so that none is free.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails loudly"
)]

#[path = "../support/mod.rs"]
mod support;

use std::io::IoSliceMut;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use support::fixtures::{Build, GoVersion, fixture};
use support::process::Running;

/// Work that uses one CPU, so that the command has another: loop of the fixture `busy`, arguments.
const WORK: [(&str, &[&str]); 3] = [
    ("spin", &["-procs", "1", "-spans", "100000", "-loops", "spin"]),
    ("tcp", &["-procs", "1", "-spans", "100000", "-loops", "tcp"]),
    ("raw-pipe", &["-procs", "1", "-spans", "100000", "-loops", "raw-pipe"]),
];
/// Length of a slot.
const SLOT: Duration = Duration::from_millis(150);
/// The orders of three slots, the one after the other.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0]];

/// On which CPUs target and scans run.
#[derive(Clone, Copy, PartialEq)]
enum Places {
    Any,
    Apart,
    Together,
}

/// What was done in a slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    rounds: f64,
    /// In ms, like all times here.
    wall: f64,
    paused: f64,
    cpu: f64,
}

fn main() {
    let (mut rounds, mut places) = (200, Places::Any);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--apart" => places = Places::Apart,
            "--together" => places = Places::Together,
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is none of --rounds N, --apart, --together"),
        }
    }
    let on = match places {
        Places::Any => "",
        Places::Apart => ", target and scans on a CPU each",
        Places::Together => ", target and scans on the same CPU",
    };
    println!("medians of {rounds} scans, ms{on}");
    println!(
        "{:<10}{:>14}{:>16}{:>16}{:>20}",
        "work", "pause", "CPU of tool", "work lost", "by being scanned"
    );
    for (name, arguments) in WORK {
        let program = fixture("busy", GoVersion::V1_26, Build::Exe);
        let twin = Running::start(&program, arguments);
        kill(Pid::from_raw(twin.pid() as i32), Signal::SIGSTOP).unwrap();
        let target = Running::start(&program, arguments);
        if places != Places::Any {
            pin(target.pid(), 0);
        }
        let scanned = [None, Some(twin.pid()), Some(target.pid())];
        let mut work = Work::new(target, name, places);
        for pid in scanned {
            work.slot(pid);
        }
        let [mut pause, mut cpu, mut lost, mut lost_alone] = [const { Vec::new() }; 4];
        for round in 0..rounds {
            let mut slots = [Slot::default(); 3];
            for kind in ORDERS[round % ORDERS.len()] {
                slots[kind] = work.slot(scanned[kind]);
            }
            let [without, twin, scanned] = slots;
            let less_than = |other: Slot| scanned.wall - scanned.rounds * other.wall / other.rounds;
            pause.push(scanned.paused);
            cpu.push(scanned.cpu);
            lost.push(less_than(without));
            lost_alone.push(less_than(twin));
        }
        println!(
            "{name:<10}{:>14}{:>16}{:>16}{:>20}",
            median(pause),
            median(cpu),
            median(lost),
            median(lost_alone)
        );
        kill(Pid::from_raw(twin.pid() as i32), Signal::SIGCONT).unwrap();
    }
}

/// The median, and how far its 95 % interval reaches, whatever the distribution (that of the sign test).
fn median(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (middle, reach) = (values.len() / 2, (values.len() as f64).sqrt() as usize);
    let at = |index: usize| values[index.min(values.len() - 1)];
    let (low, high) = (at(middle.saturating_sub(reach)), at(middle + reach));
    let value = at(middle);
    format!("{value:.2} ±{:.2}", (high - value).max(value - low))
}

struct Work {
    target: Running,
    name: &'static str,
    places: Places,
    /// Where the target counts the rounds of its work.
    counter: u64,
    /// How many there were at the last look, and when that was.
    before: (f64, Instant),
}

impl Work {
    fn new(mut target: Running, name: &'static str, places: Places) -> Work {
        let counter = target.send("counters")[name].as_u64().expect("a loop of this name");
        let mut work = Work {
            target,
            name,
            places,
            counter,
            before: (0.0, Instant::now()),
        };
        work.so_far();
        work
    }

    /// Lets the target work for the length of a slot, at the beginning of which `scanned` is scanned.
    fn slot(&mut self, scanned: Option<u32>) -> Slot {
        let (rounds, begun) = self.before;
        let (paused, cpu) = scanned.map_or((0.0, 0.0), |pid| self.scan(pid));
        std::thread::sleep(SLOT.saturating_sub(begun.elapsed()));
        let (rounds_now, ended) = self.so_far();
        Slot {
            rounds: rounds_now - rounds,
            wall: (ended - begun).as_secs_f64() * 1e3,
            paused,
            cpu,
        }
    }

    /// Looks how much the target has done, which it does not notice: being asked it would stand still for a while.
    fn so_far(&mut self) -> (f64, Instant) {
        let mut word = [0; 8];
        let from = RemoteIoVec {
            base: self.counter as usize,
            len: word.len(),
        };
        let pid = Pid::from_raw(self.target.pid() as i32);
        let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut word)], &[from]);
        assert_eq!(read, Ok(8), "the counter of {}", self.name);
        self.before = (u64::from_le_bytes(word) as f64, Instant::now());
        self.before
    }

    /// One scan by the command as it is shipped; its pause, and the CPU time of the tool.
    fn scan(&self, pid: u32) -> (f64, f64) {
        let tool = env!("CARGO_BIN_EXE_gomemscan");
        let cpu = match self.places {
            Places::Any => None,
            Places::Apart => Some("1"),
            Places::Together => Some("0"),
        };
        let mut command = Command::new(cpu.map_or(tool, |_| "taskset"));
        if let Some(cpu) = cpu {
            command.args(["-c", cpu, tool]);
        }
        let used = cpu_of_children();
        let output = command
            .args(["attach", &pid.to_string(), "--json", "--max-pause", "5s"])
            .output()
            .expect("gomemscan starts");
        let used = cpu_of_children() - used;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (report["capture"]["pause_ns"].as_f64().unwrap() / 1e6, used)
    }
}

fn cpu_of_children() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let ms = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    ms(used.user_time()) + ms(used.system_time())
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
