//! What a scan costs the work of a busy target: `cargo bench --bench throughput`. Slots of 100 ms take turns at random: one
//! without a scan, one with a neighbour, a process that uses as much CPU time as a scan and has nothing to do with the
//! target, and one with a scan. Printed is, in ms and per scan, against the slot in which nothing happened: the scan's pause;
//! the CPU time that the tool or the neighbour used; how much less was done; by how much that is more than the pause; and of
//! that how long the target was without a CPU, by its CPU clock, and how much longer it had one for the same work. The third
//! line is by how much the scan's figures are more than the neighbour's. Each figure is a median over all rounds, which need
//! not add up, and after it the distance to which its 95 % interval reaches. `-- --rounds N` chooses how many rounds; `--only
//! NAME` one kind of work; `--apart` that target and scans run on a CPU each, `--together` that they share one, so that none
//! is free.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails loudly"
)]

#[path = "../support/mod.rs"]
mod support;

use std::io::{IoSliceMut, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::time::ClockId;
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
const SLOT: Duration = Duration::from_millis(100);
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
    /// How long the target had a CPU.
    ran: f64,
}

/// What was lost in a slot, ms, against one in which nothing happened.
#[derive(Clone, Copy)]
struct Loss {
    pause: f64,
    cpu: f64,
    work: f64,
    /// Work beyond the pause, which is the sum of the two that follow.
    beyond: f64,
    without_cpu: f64,
    slower: f64,
}

impl Loss {
    fn of(slot: Slot, nothing: Slot) -> Loss {
        let share = slot.rounds / nothing.rounds;
        let work = slot.wall - share * nothing.wall;
        Loss {
            pause: slot.paused,
            cpu: slot.cpu,
            work,
            beyond: work - slot.paused,
            without_cpu: slot.wall - slot.ran - slot.paused - share * (nothing.wall - nothing.ran),
            slower: slot.ran - share * nothing.ran,
        }
    }

    /// How much more was lost than in another slot; pause and CPU time are its own.
    fn beside(self, other: Loss) -> Loss {
        Loss {
            work: self.work - other.work,
            beyond: self.beyond - other.beyond,
            without_cpu: self.without_cpu - other.without_cpu,
            slower: self.slower - other.slower,
            ..self
        }
    }
}

/// Those of all rounds.
#[derive(Default)]
struct Losses(Vec<Loss>);

impl Losses {
    fn print(&self, name: &str, what: &str) {
        let column = |of: fn(&Loss) -> f64| median(self.0.iter().map(of).collect());
        println!(
            "{name:<10}{what:<28}{:>14}{:>16}{:>16}{:>16}{:>16}{:>16}",
            column(|loss| loss.pause),
            column(|loss| loss.cpu),
            column(|loss| loss.work),
            column(|loss| loss.beyond),
            column(|loss| loss.without_cpu),
            column(|loss| loss.slower)
        );
    }
}

/// What happens in a slot.
#[derive(Clone, Copy)]
enum Event {
    Nothing,
    /// A process that uses the CPU for so many ms.
    Neighbour(f64),
    Scan,
}

/// The argument with which this program is the neighbour.
const BURN: &str = "--burn";

fn main() {
    let (mut rounds, mut places, mut only) = (200, Places::Any, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--only" => only = Some(arguments.next().expect("the name of work")),
            "--apart" => places = Places::Apart,
            "--together" => places = Places::Together,
            BURN => return burn(arguments.next().and_then(|ms| ms.parse().ok()).expect("a number of ms")),
            // What cargo adds.
            "--bench" => {}
            other => panic!("{other} is none of --rounds N, --only NAME, --apart, --together"),
        }
    }
    let on = match places {
        Places::Any => "",
        Places::Apart => ", target and scans on a CPU each",
        Places::Together => ", target and scans on the same CPU",
    };
    println!("medians of {rounds} scans, ms{on}");
    println!(
        "{:<38}{:>14}{:>16}{:>16}{:>16}{:>16}{:>16}",
        "work", "pause", "CPU used", "work lost", "beyond pause", "without CPU", "slower"
    );
    let chosen = |(name, _): &(&str, &[&str])| only.as_ref().is_none_or(|only| only == name);
    assert!(WORK.iter().any(chosen), "no work is called {only:?}");
    for (name, arguments) in WORK.into_iter().filter(chosen) {
        let program = fixture("busy", GoVersion::V1_26, Build::Exe);
        let target = Running::start(&program, arguments);
        if places != Places::Any {
            pin(target.pid(), 0);
        }
        let mut work = Work::new(target, name, places);
        work.slot(Event::Nothing);
        let mut cpu_of_tool = work.slot(Event::Scan).cpu;
        let [mut by_scan, mut by_neighbour, mut beside_neighbour] = [(); 3].map(|()| Losses::default());
        for round in 0..rounds {
            let events = [Event::Nothing, Event::Neighbour(cpu_of_tool), Event::Scan];
            let mut slots = [Slot::default(); 3];
            for kind in ORDERS[round % ORDERS.len()] {
                slots[kind] = work.slot(events[kind]);
            }
            let [without, neighbour, scanned] = slots;
            cpu_of_tool = scanned.cpu;
            let (scan, neighbour) = (Loss::of(scanned, without), Loss::of(neighbour, without));
            by_scan.0.push(scan);
            by_neighbour.0.push(neighbour);
            beside_neighbour.0.push(scan.beside(neighbour));
        }
        by_scan.print(name, "scan");
        by_neighbour.print("", "neighbour");
        beside_neighbour.print("", "scan against neighbour");
    }
}

/// Uses the CPU for so many ms.
fn burn(ms: f64) {
    while cpu_of(UsageWho::RUSAGE_SELF) < ms {
        std::hint::spin_loop();
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
    /// How many there were at the last look, how long the target had had a CPU by then, and when that was.
    before: (f64, f64, Instant),
}

impl Work {
    fn new(mut target: Running, name: &'static str, places: Places) -> Work {
        let counter = target.send("counters")[name].as_u64().expect("a loop of this name");
        let mut work = Work {
            target,
            name,
            places,
            counter,
            before: (0.0, 0.0, Instant::now()),
        };
        work.so_far();
        work
    }

    /// Lets the target work for the length of a slot, at the beginning of which this happens.
    fn slot(&mut self, event: Event) -> Slot {
        let (rounds, ran, begun) = self.before;
        let (paused, cpu) = match event {
            Event::Nothing => (0.0, 0.0),
            Event::Neighbour(ms) => (0.0, self.neighbour(ms)),
            Event::Scan => self.scan(),
        };
        std::thread::sleep(SLOT.saturating_sub(begun.elapsed()));
        let (rounds_now, ran_now, ended) = self.so_far();
        Slot {
            rounds: rounds_now - rounds,
            wall: (ended - begun).as_secs_f64() * 1e3,
            paused,
            cpu,
            ran: ran_now - ran,
        }
    }

    /// Looks how much the target has done, which it does not notice: being asked it would stand still for a while.
    fn so_far(&mut self) -> (f64, f64, Instant) {
        let mut word = [0; 8];
        let from = RemoteIoVec {
            base: self.counter as usize,
            len: word.len(),
        };
        let pid = Pid::from_raw(self.target.pid() as i32);
        let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut word)], &[from]);
        assert_eq!(read, Ok(8), "the counter of {}", self.name);
        let ran = ClockId::pid_cpu_clock_id(pid)
            .and_then(ClockId::now)
            .expect("its CPU clock");
        self.before = (u64::from_le_bytes(word) as f64, ms(ran), Instant::now());
        self.before
    }

    /// One scan by the command as it is shipped; its pause, and the CPU time of the tool.
    fn scan(&self) -> (f64, f64) {
        let pid = self.target.pid().to_string();
        let arguments = ["attach", &pid, "--json", "--max-pause", "5s"];
        let mut written = tempfile::tempfile().expect("a file for the report");
        let output = written.try_clone().unwrap();
        let (status, used) = self.run(env!("CARGO_BIN_EXE_gomemscan"), &arguments, output.into());
        assert!(status.success(), "{status}");
        written.rewind().unwrap();
        let report: serde_json::Value = serde_json::from_reader(&written).expect("a report");
        (report["capture"]["pause_ns"].as_f64().unwrap() / 1e6, used)
    }

    /// The CPU time that the neighbour used.
    fn neighbour(&self, ms: f64) -> f64 {
        let program = std::env::current_exe().unwrap();
        let (status, used) = self.run(program.to_str().unwrap(), &[BURN, &ms.to_string()], Stdio::null());
        assert!(status.success());
        used
    }

    /// Runs a program where scans run; also returns the CPU time that it used. Its output is not a pipe: who reads from that
    /// takes a CPU too.
    fn run(&self, program: &str, arguments: &[&str], output: Stdio) -> (ExitStatus, f64) {
        let cpu = match self.places {
            Places::Any => None,
            Places::Apart => Some("1"),
            Places::Together => Some("0"),
        };
        let mut command = Command::new(cpu.map_or(program, |_| "taskset"));
        if let Some(cpu) = cpu {
            command.args(["-c", cpu, program]);
        }
        let used = cpu_of(UsageWho::RUSAGE_CHILDREN);
        command.args(arguments).stdin(Stdio::null()).stdout(output);
        let status = command.status().expect("it starts");
        (status, cpu_of(UsageWho::RUSAGE_CHILDREN) - used)
    }
}

fn cpu_of(who: UsageWho) -> f64 {
    let used = getrusage(who).unwrap();
    ms(used.user_time()) + ms(used.system_time())
}

fn ms(time: impl TimeValLike) -> f64 {
    time.num_nanoseconds() as f64 / 1e6
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
