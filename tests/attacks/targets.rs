//! Targets of every kind: with one thread and with thousands, with threads that come and go, that run other programs,
//! that stop being there in the middle of a scan, that stand still, that live in a container.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::arena::alone;
use crate::chance::{Chance, times};
use crate::support::fixtures::{Build, GoVersion, fixture};
use crate::tool::{Program, Tool, word};
use crate::victim::{Victim, came_round, threads_of, until, until_free};

/// A scan in which nothing happens: how it ended, its report, what it said.
fn scan(program: &Program, pid: u32, more: &[&str]) -> (String, Value, String) {
    let pid = pid.to_string();
    let status = Tool::start(program.command(&[&["attach", &pid, "--json"], more].concat())).end();
    let report = serde_json::from_str(&program.said("stdout")).unwrap_or_default();
    (word(status), report, program.said("stderr"))
}

fn pause_ms(report: &Value) -> f64 {
    report["capture"]["pause_ns"].as_u64().unwrap_or(0) as f64 / 1e6
}

/// Median and greatest.
fn spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() - 1])
}

#[test]
fn threads_from_a_handful_to_thousands() {
    let _alone = alone();
    let program = Program::copy();
    for threads in [0, 64, 500, 5000] {
        let arguments = ["-procs", "1", "-loops", "-", "-threads", &threads.to_string()];
        let mut victim = Victim::with(&arguments);
        let count = threads_of(victim.pid()).len();
        for options in [&[][..], &["--max-pause", "20s"]] {
            let mut pauses = Vec::new();
            for _ in 0..times(2, 20) {
                let (end, report, errors) = scan(&program, victim.pid(), options);
                // Without a longer pause allowed, a busy machine may not stop so many in time.
                let in_time = end == "exit 0" || options.is_empty() && ["exit 6", "exit 7"].contains(&end.as_str());
                assert!(in_time, "{end}: {errors}");
                victim.runs_on();
                if end == "exit 0" {
                    assert!(
                        report["capture"]["threads_stopped"].as_u64() >= Some(count as u64),
                        "{count} at least"
                    );
                    pauses.push(pause_ms(&report));
                }
            }
            if !pauses.is_empty() {
                let (whole, (median, most)) = (pauses.len(), spread(pauses));
                println!("{count} threads, {options:?}: {whole} whole, pause {median:.2} ms, {most:.2} at most");
            }
        }
        // 11 us for each thread do not fit: nothing is stopped for that.
        let short = format!("{}us", count * 8);
        let (end, _, errors) = scan(&program, victim.pid(), &["--max-pause", &short]);
        assert!(
            end == "exit 7" && errors.contains("letting them go takes about"),
            "{end}: {errors}"
        );
        victim.runs_on();
    }
}

#[test]
fn threads_that_are_born_and_die_in_the_stop() {
    let _alone = alone();
    let program = Program::copy();
    let mut victim = Victim::with(&["-loops", "births,spin,collect,thread-signals"]);
    let mut pauses = Vec::new();
    for _ in 0..times(10, 100) {
        let (end, report, errors) = scan(&program, victim.pid(), &["--max-pause", "20s"]);
        assert_eq!(end, "exit 0", "{errors}");
        pauses.push(pause_ms(&report));
        victim.runs_on();
    }
    println!("threads that come and go: pause (median, most) {:?} ms", spread(pauses));
}

#[test]
fn a_target_that_runs_other_programs_all_the_time() {
    let _alone = alone();
    let program = Program::copy();
    let mut victim = Victim::with(&["-loops", "child,spin,tcp"]);
    let mut pauses = Vec::new();
    for _ in 0..times(10, 100) {
        let (end, report, errors) = scan(&program, victim.pid(), &["--max-pause", "20s"]);
        assert_eq!(end, "exit 0", "{errors}");
        pauses.push(pause_ms(&report));
        victim.runs_on();
    }
    println!("vfork again and again: pause (median, most) {:?} ms", spread(pauses));
}

/// At a random instant of a scan `act` ends what is scanned; how the scan ended.
fn while_scanned(program: &Program, chance: &mut Chance, victim: &mut Victim, act: impl FnOnce(&mut Victim)) -> String {
    let pid = victim.pid().to_string();
    let mut tool = Tool::start(program.command(&["attach", &pid, "--json", "--max-pause", "20s"]));
    // Half of them in the time in which it is traced.
    let traced = chance.below(2) == 0;
    let delay = Duration::from_micros(chance.below(if traced { 3_000 } else { 100_000 }));
    until("the instant has come", || match traced {
        true => victim.main_thread().1 != 0 || tool.has_ended(),
        false => true,
    });
    let begun = std::time::Instant::now();
    while begun.elapsed() < delay {
        std::hint::spin_loop();
    }
    act(victim);
    let status = tool.end();
    let errors = program.said("stderr");
    let end = word(status);
    // 3: it was gone before the scan had begun; 6: when everything was copied, what else is told of it is missing.
    assert!(
        ["exit 0", "exit 3", "exit 6", "exit 8"].contains(&end.as_str()),
        "{end}: {errors}"
    );
    until("no process of the tool is left", || program.processes().is_empty());
    end
}

#[test]
fn a_target_that_runs_another_program_in_the_middle() {
    let _alone = alone();
    let (program, mut chance) = (Program::copy(), Chance::new("exec"));
    let mut victim = Victim::with(&["-spans", "20000", "-loops", "tcp,spin,births"]);
    let (mut gone, mut partial) = (0, 0);
    let rounds = times(10, 100);
    for _ in 0..rounds {
        let end = while_scanned(&program, &mut chance, &mut victim, |victim| drop(victim.send("exec")));
        gone += usize::from(end == "exit 8");
        partial += usize::from(end == "exit 6");
        victim.runs_on();
    }
    println!("exec: {rounds} scans, {gone} in the middle of which it came, {partial} after the copying");
}

#[test]
fn a_target_that_ends_in_the_middle() {
    let _alone = alone();
    let (program, mut chance) = (Program::copy(), Chance::new("exit"));
    let (mut gone, mut partial) = (0, 0);
    let rounds = times(10, 100);
    for round in 0..rounds {
        let mut victim = Victim::with(&["-spans", "20000", "-loops", "tcp,spin"]);
        let end = while_scanned(&program, &mut chance, &mut victim, |victim| match round % 2 {
            0 => drop(victim.send("quit")),
            _ => kill(Pid::from_raw(victim.pid() as i32), Signal::SIGKILL).unwrap(),
        });
        gone += usize::from(end == "exit 8");
        partial += usize::from(end == "exit 6");
    }
    println!("exit: {rounds} scans, {gone} in the middle of which it came, {partial} after the copying");
}

#[test]
fn a_stopped_target_stays_stopped() {
    let _alone = alone();
    let program = Program::copy();
    let mut victim = Victim::start();
    let pid = Pid::from_raw(victim.pid() as i32);
    let stands = |pid: u32| threads_of(pid).iter().all(|thread| *thread == ('T', 0));
    // A few scans at a time: its loops would take a longer stop for a loss.
    for _ in 0..times(1, 20) {
        kill(pid, Signal::SIGSTOP).unwrap();
        until("all of it stands", || stands(victim.pid()));
        for _ in 0..5 {
            let (end, _, errors) = scan(&program, victim.pid(), &["--max-pause", "20s"]);
            assert_eq!(end, "exit 0", "{errors}");
            until("all of it stands again", || stands(victim.pid()));
        }
        kill(pid, Signal::SIGCONT).unwrap();
        victim.runs_on();
    }
}

/// A target in user, PID and mount namespaces of its own.
struct Contained {
    child: Child,
    stdin: ChildStdin,
    out: BufReader<ChildStdout>,
    pid: u32,
}

impl Contained {
    fn start(arguments: &[&str]) -> Contained {
        let mut child = Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--pid",
                "--mount",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .arg(fixture("busy", GoVersion::V1_26, Build::Exe))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready 1\n");
        let first = child.id();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        let pid = children.trim().parse().unwrap();
        Contained { child, stdin, out, pid }
    }

    fn progress(&mut self) -> Value {
        writeln!(self.stdin, "progress").unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        let progress: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(progress["failed"], 0, "{:#}", progress["errors"]);
        progress
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_target_in_a_container_from_outside_and_from_within() {
    let _alone = alone();
    let program = Program::copy();
    let mut contained = Contained::start(&["-spans", "20000"]);
    let pid = contained.pid.to_string();
    let target = format!("--target={pid}");
    let enter = ["--user", "--pid", "--mount", "--preserve-credentials", &target, "--"];
    let inside = |arguments: &[&str]| {
        let mut command = program.command(&[]);
        let tool = command.get_program().to_owned();
        let mut entered = Command::new("nsenter");
        entered.args(enter).arg(tool).args(arguments).stdin(Stdio::null());
        let file = |name: &str| Stdio::from(std::fs::File::create(program.directory().join(name)).unwrap());
        entered.stdout(file("stdout")).stderr(file("stderr"));
        command = entered;
        command
    };
    for (place, is_inside) in [("outside", false), ("within", true)] {
        let mut pauses = Vec::new();
        for _ in 0..times(5, 100) {
            let before = contained.progress();
            let own = if is_inside { "1" } else { pid.as_str() };
            let arguments = ["attach", own, "--json", "--max-pause", "20s"];
            let command = if is_inside {
                inside(&arguments)
            } else {
                program.command(&arguments)
            };
            let status = Tool::start(command).end();
            assert_eq!(word(status), "exit 0", "{}", program.said("stderr"));
            let report: Value = serde_json::from_str(&program.said("stdout")).unwrap();
            assert_eq!(
                (&report["process"]["ns_pid"], &report["process"]["pid"]),
                (&1.into(), &own.parse::<u32>().unwrap().into())
            );
            pauses.push(pause_ms(&report));
            until_free(contained.pid);
            until("every loop has come round", || {
                came_round(&before, &contained.progress())
            });
        }
        println!(
            "in a container, from {place}: pause (median, most) {:?} ms",
            spread(pauses)
        );
    }
}
