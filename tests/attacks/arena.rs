//! One kind of attack, many times: the tool is started, something happens at a random instant of its run, and the
//! target is asked how it feels.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::tool::{Program, Tool, word};
use crate::victim::{Pulse, Victim, until};

/// A gap that is worth a line of its own.
const LONG: Duration = Duration::from_secs(1);

/// One attack at a time: two would be each other's noise.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An instant of a run.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// So long after its start.
    After(Duration),
    /// So long after the target was seen traced.
    Traced(Duration),
    /// So long after the target was seen standing still.
    Standing(Duration),
}

/// A busy target, the tool, and what came of the attacks so far.
pub struct Arena {
    pub victim: Victim,
    pub program: Program,
    pub chance: Chance,
    name: String,
    /// How long a scan takes when nothing happens to it, and the pause.
    usual: Duration,
    pause: Duration,
    ends: BTreeMap<String, usize>,
    attacks: usize,
    in_trace: usize,
    standing: usize,
    longest_held: Duration,
    longest_gap: Duration,
    longest_pulse: Duration,
    pulse: Pulse,
    _alone: MutexGuard<'static, ()>,
}

impl Arena {
    pub fn new(name: &str) -> Arena {
        Arena::with(name, Victim::start())
    }

    pub fn with(name: &str, victim: Victim) -> Arena {
        let alone = alone();
        let mut arena = Arena {
            victim,
            program: Program::copy(),
            chance: Chance::new(name),
            name: name.to_owned(),
            usual: Duration::ZERO,
            pause: Duration::ZERO,
            ends: BTreeMap::new(),
            attacks: 0,
            in_trace: 0,
            standing: 0,
            longest_held: Duration::ZERO,
            longest_gap: Duration::ZERO,
            longest_pulse: Duration::ZERO,
            pulse: Pulse::start(),
            _alone: alone,
        };
        let mut runs: Vec<(Duration, u64)> = (0..5).map(|_| arena.undisturbed()).collect();
        runs.sort();
        (arena.usual, arena.pause) = (runs[2].0, Duration::from_nanos(runs[2].1));
        arena
    }

    /// A scan that nothing happens to: its length and its pause.
    fn undisturbed(&mut self) -> (Duration, u64) {
        let begun = Instant::now();
        let status = self.start(&[]).end();
        let took = begun.elapsed();
        let (out, errors) = (self.program.said("stdout"), self.program.said("stderr"));
        let report: serde_json::Value = serde_json::from_str(&out).unwrap_or_default();
        let partial = (
            &report["capture"]["incomplete"],
            &report["unavailable"],
            &report["warnings"],
        );
        assert_eq!(word(status), "exit 0", "{errors} {partial:?}");
        (took, report["capture"]["pause_ns"].as_u64().unwrap())
    }

    /// The words of a scan's command line; the budget is one that nobody on a busy machine misses.
    pub fn words<'a>(&self, pid: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let budget: &[&str] = if more.contains(&"--max-pause") {
            &[]
        } else {
            &["--max-pause", "5s"]
        };
        ["attach", pid, "--json"]
            .iter()
            .chain(budget)
            .chain(more)
            .copied()
            .collect()
    }

    /// Starts a scan with its output in files.
    pub fn start(&self, more: &[&str]) -> Tool {
        let pid = self.victim.pid().to_string();
        Tool::start(self.program.command(&self.words(&pid, more)))
    }

    /// An instant: a quarter of them anywhere between start and end, the others around the stop.
    pub fn instant(&mut self) -> When {
        let choice = self.chance.below(4);
        let mut up_to = |longest: Duration| Duration::from_nanos(self.chance.below(longest.as_nanos() as u64));
        match choice {
            0 => When::After(up_to(self.usual * 11 / 10)),
            1 => When::Traced(up_to(self.pause * 3)),
            2 => When::Traced(up_to(Duration::from_micros(500))),
            _ => When::Standing(up_to(self.pause * 3 / 2)),
        }
    }

    /// Waits for an instant of a run, without sleeping; whether the tool still ran.
    pub fn wait(&mut self, tool: &mut Tool, when: When) -> bool {
        let patience = self.usual * 5 + Duration::from_secs(2);
        let begun = tool.begun;
        let mut looked = 0u32;
        let mut ended = || {
            looked += 1;
            looked.is_multiple_of(16) && tool.has_ended()
        };
        let from = match when {
            When::After(_) => Some(begun),
            When::Traced(_) | When::Standing(_) => loop {
                let (state, tracer) = self.victim.main_thread();
                if state == 't' || tracer != 0 && matches!(when, When::Traced(_)) {
                    break Some(Instant::now());
                }
                // The moment may be missed, and the tool may wait for something that is to happen to it.
                if ended() || begun.elapsed() > patience {
                    break None;
                }
            },
        };
        let (When::After(delay) | When::Traced(delay) | When::Standing(delay)) = when;
        while from.is_some_and(|from| from.elapsed() < delay) {
            std::hint::spin_loop();
        }
        !tool.has_ended()
    }

    /// Starts a scan, waits for a random instant of it, does something to it, and takes note of its end.
    pub fn attack(&mut self, act: impl FnOnce(&mut Arena, &mut Tool)) -> ExitStatus {
        let when = self.instant();
        self.attack_at(when, &[], act)
    }

    pub fn attack_at(&mut self, when: When, more: &[&str], act: impl FnOnce(&mut Arena, &mut Tool)) -> ExitStatus {
        let tool = self.start(more);
        self.attack_on(tool, when, act)
    }

    pub fn attack_on(&mut self, mut tool: Tool, when: When, act: impl FnOnce(&mut Arena, &mut Tool)) -> ExitStatus {
        if self.wait(&mut tool, when) {
            let (state, tracer) = self.victim.main_thread();
            self.in_trace += usize::from(tracer != 0);
            self.standing += usize::from(state == 't');
            act(self, &mut tool);
        }
        let status = tool.end();
        self.after(&word(status));
        status
    }

    /// Expects after an attack that nothing of the tool is left and that the target runs on.
    pub fn after(&mut self, end: &str) {
        self.after_doing(end, "");
    }

    /// The same; `what` says which attack it was, should it show.
    pub fn after_doing(&mut self, end: &str, what: &str) {
        self.attacks += 1;
        *self.ends.entry(end.to_owned()).or_default() += 1;
        until("no process of the tool is left", || self.program.processes().is_empty());
        self.longest_held = self.longest_held.max(self.victim.runs_on());
        let (gap, pulse) = (std::mem::take(&mut self.victim.gap), self.pulse.longest());
        if gap > LONG {
            println!(
                "attack {} ({end}{what}): gap of {gap:?} in the heartbeat, of {pulse:?} in the pulse",
                self.attacks
            );
        }
        self.longest_gap = self.longest_gap.max(gap);
        self.longest_pulse = self.longest_pulse.max(pulse);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let mut ends = String::new();
        for (end, count) in &self.ends {
            let _ = write!(ends, ", {end}: {count}");
        }
        println!(
            "{}: {} attacks, {} while traced, {} while standing{ends}; free after {:?} at most, longest gap in the \
             heartbeat {:?} (of a thread that nobody attacks, {:?}); a scan takes {:?}, its pause {:?}",
            self.name,
            self.attacks,
            self.in_trace,
            self.standing,
            self.longest_held,
            self.longest_gap,
            self.longest_pulse,
            self.usual,
            self.pause
        );
    }
}
