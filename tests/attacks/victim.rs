//! The busy program, and what it says after an attack.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::fixtures::{Build, GoVersion, fixture};
use crate::support::process::Running;

/// Waits until `condition` holds; how long that took.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
    begun.elapsed()
}

/// State letter and tracer of every thread.
pub fn threads_of(pid: u32) -> Vec<(char, u32)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let status = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    status.map(|status| state_and_tracer(&status)).collect()
}

fn state_and_tracer(status: &str) -> (char, u32) {
    let field = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or("").trim()
    };
    (
        field("State:").chars().next().unwrap_or('?'),
        field("TracerPid:").parse().unwrap_or(0),
    )
}

/// Waits until no thread is traced or stopped; how long that took.
pub fn until_free(pid: u32) -> Duration {
    until("no thread is traced or stopped", || {
        let threads = threads_of(pid);
        !threads.is_empty()
            && threads
                .iter()
                .all(|(state, tracer)| *tracer == 0 && !matches!(state, 't' | 'T'))
    })
}

/// Whether each loop, and the heartbeat, has come round from beginning to end between two accounts; the round that was
/// under way at the first does not count.
pub fn came_round(before: &Value, after: &Value) -> bool {
    let further = |before: &Value, after: &Value| after.as_u64() >= before.as_u64().map(|rounds| rounds + 2);
    let mut loops = before["loops"].as_object().unwrap().iter();
    further(&before["beats"], &after["beats"]) && loops.all(|(name, rounds)| further(rounds, &after["loops"][name]))
}

/// How long this machine lets a thread wait that nobody attacks: what a heartbeat's gaps are to be compared with.
pub struct Pulse {
    longest_ns: Arc<AtomicU64>,
}

impl Pulse {
    pub fn start() -> Pulse {
        let longest_ns = Arc::new(AtomicU64::new(0));
        let shared = Arc::downgrade(&longest_ns);
        std::thread::spawn(move || {
            let mut last = Instant::now();
            while let Some(longest) = shared.upgrade() {
                std::thread::sleep(Duration::from_millis(1));
                longest.fetch_max(last.elapsed().as_nanos() as u64, Ordering::Relaxed);
                last = Instant::now();
            }
        });
        Pulse { longest_ns }
    }

    /// The longest gap since this was last asked.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_ns.swap(0, Ordering::Relaxed))
    }
}

/// A running `busy`.
pub struct Victim {
    running: Running,
    main_thread: File,
    /// The longest time its heartbeat was late since this was last set to zero.
    pub gap: Duration,
}

impl Victim {
    /// With all of its loops.
    pub fn start() -> Victim {
        Victim::with(&["-spans", "60000", "-threads", "40"])
    }

    pub fn with(arguments: &[&str]) -> Victim {
        Victim::of(Running::start(
            &fixture("busy", GoVersion::V1_26, Build::Exe),
            arguments,
        ))
    }

    /// One whose memory belongs to a cgroup: it is put there before it has much.
    pub fn in_group(arguments: &[&str], join: impl FnOnce(u32)) -> Victim {
        let arguments = [arguments, &["-wait"]].concat();
        let mut running = Running::start(&fixture("busy", GoVersion::V1_26, Build::Exe), &arguments);
        join(running.pid());
        running.send("go");
        Victim::of(running)
    }

    fn of(running: Running) -> Victim {
        let pid = running.pid();
        let main_thread = File::open(format!("/proc/{pid}/task/{pid}/status")).unwrap();
        Victim {
            running,
            main_thread,
            gap: Duration::ZERO,
        }
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub fn send(&mut self, command: &str) -> Value {
        self.running.send(command)
    }

    /// State and tracer of the main thread, which is traced as long as any is.
    pub fn main_thread(&self) -> (char, u32) {
        let mut status = [0; 4096];
        let len = self.main_thread.read_at(&mut status, 0).unwrap_or(0);
        state_and_tracer(&String::from_utf8_lossy(&status[..len]))
    }

    /// What it counted; fails on any error it met.
    pub fn progress(&mut self) -> Value {
        let progress = self.send("progress");
        assert_eq!(progress["failed"], 0, "{:#}", progress["errors"]);
        let gap = Duration::from_nanos(progress["max_gap_ns"].as_u64().unwrap());
        self.gap = self.gap.max(gap);
        progress
    }

    /// Expects that it is free and that each of its loops, from now on, comes round from beginning to end; the longest
    /// it was held after this was asked.
    pub fn runs_on(&mut self) -> Duration {
        let held = until_free(self.pid());
        let before = self.progress();
        until("every loop has come round", || came_round(&before, &self.progress()));
        held
    }
}
