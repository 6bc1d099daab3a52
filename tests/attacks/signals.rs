//! Signals to the tool, to its capturing child, and to both.

use nix::sys::signal::{Signal, kill};

use crate::arena::{Arena, When};
use crate::chance::times;
use crate::tool::{Tool, is_documented, word};
use crate::victim::until;

#[test]
fn killed_at_any_instant() {
    let mut arena = Arena::new("SIGKILL");
    for _ in 0..times(25, 500) {
        let status = arena.attack(|_, tool| tool.signal(Signal::SIGKILL));
        assert!(["SIGKILL", "exit 0"].contains(&word(status).as_str()), "{status}");
    }
}

#[test]
fn told_to_end_at_any_instant() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut arena = Arena::new(signal.as_str());
        for _ in 0..times(5, 100) {
            let status = arena.attack(|_, tool| tool.signal(signal));
            assert!([signal.as_str(), "exit 0"].contains(&word(status).as_str()), "{status}");
        }
    }
}

#[test]
fn stopped_and_continued_at_any_instant() {
    for signal in [Signal::SIGTSTP, Signal::SIGTTOU, Signal::SIGSTOP] {
        let mut arena = Arena::new(&format!("{signal} and SIGCONT"));
        for _ in 0..times(5, 100) {
            let mut stood = false;
            let status = arena.attack(|arena, tool| {
                tool.signal(signal);
                until("the tool has stopped", || tool.is_stopped() || tool.has_ended());
                stood = tool.is_stopped();
                // As long as nobody continues it.
                arena.victim.runs_on();
                // What ended before the signal came has been reaped, and its number may be another's.
                if stood {
                    tool.signal(Signal::SIGCONT);
                }
            });
            assert_eq!(word(status), "exit 0", "{}", arena.program.said("stderr"));
            let report: serde_json::Value = serde_json::from_str(&arena.program.said("stdout")).unwrap();
            assert_eq!(report["process"]["pid"], arena.victim.pid());
            assert!(report["memstats"]["HeapSys"].as_u64().unwrap() > 0);
        }
    }
}

/// Sends a signal to the capturing child alone, or waits for the next one.
fn to_child(tool: &mut Tool, signal: Signal) {
    loop {
        if let Some(child) = tool.capturing() {
            // It may have ended meanwhile, and waits to be reaped then.
            let _ = kill(child, signal);
            return;
        }
        if tool.has_ended() {
            return;
        }
    }
}

#[test]
fn its_capturing_child_killed_alone() {
    let mut arena = Arena::new("SIGKILL of the capturing child");
    for _ in 0..times(10, 100) {
        let status = arena.attack(|_, tool| to_child(tool, Signal::SIGKILL));
        assert!(is_documented(status), "{status}: {}", arena.program.said("stderr"));
        let errors = arena.program.said("stderr");
        assert!(
            status.success() || status.code() == Some(6) || errors.contains("killed") || errors.contains("stop"),
            "{errors}"
        );
    }
}

#[test]
fn its_capturing_child_crashes() {
    let mut arena = Arena::new("SIGILL of the capturing child");
    for _ in 0..times(5, 100) {
        let status = arena.attack(|_, tool| to_child(tool, Signal::SIGILL));
        assert!(is_documented(status), "{status}: {}", arena.program.said("stderr"));
    }
}

#[test]
fn both_killed_in_one_go() {
    let mut arena = Arena::new("SIGKILL of both");
    for _ in 0..times(5, 100) {
        arena.attack(|_, tool| {
            let child = tool.capturing();
            tool.signal(Signal::SIGKILL);
            if let Some(child) = child {
                let _ = kill(child, Signal::SIGKILL);
            }
        });
    }
}

/// A child that is stopped in a pause holds the target; its timer and its parent end it when the budget is spent.
#[test]
fn its_capturing_child_stopped_in_the_pause() {
    let mut arena = Arena::new("SIGSTOP of the capturing child");
    let (mut held, mut longest) = (0, 0);
    for _ in 0..times(5, 100) {
        let (When::After(delay) | When::Traced(delay) | When::Standing(delay)) = arena.instant();
        let status = arena.attack_at(When::Standing(delay), &["--max-pause", "300ms"], |arena, tool| {
            // In the rehearsal nothing stands still and patience is long.
            if let Some(child) = tool.capturing()
                && arena.victim.main_thread().0 == 't'
            {
                held += 1;
                let _ = kill(child, Signal::SIGSTOP);
            }
        });
        assert!(is_documented(status), "{status}: {}", arena.program.said("stderr"));
        let report: serde_json::Value = serde_json::from_str(&arena.program.said("stdout")).unwrap_or_default();
        longest = longest.max(report["capture"]["pause_ns"].as_u64().unwrap_or(0));
    }
    println!(
        "{held} stopped while they held the target, 300 ms allowed; longest pause {} ms",
        longest / 1_000_000
    );
}
