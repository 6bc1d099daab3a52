//! The tool in a cgroup that gives it little: CPU time that runs out in the middle of a pause, memory that it shares with
//! a target the kernel might kill for it.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::arena::alone;
use crate::chance::times;
use crate::tool::{Program, Tool, is_documented, word};
use crate::victim::{Victim, until};

/// A cgroup of our own, where this machine lets us make one; removed when dropped.
struct Group {
    directory: PathBuf,
    unified: bool,
}

impl Group {
    fn make(controller: &str, name: &str) -> Option<Group> {
        let name = format!("gomemscan-{name}-{}", std::process::id());
        let (v1, v2) = (
            PathBuf::from("/sys/fs/cgroup").join(controller),
            PathBuf::from("/sys/fs/cgroup"),
        );
        let (above, unified) = if v1.is_dir() { (v1, false) } else { (v2, true) };
        let enabled = |file: &str| {
            let text = std::fs::read_to_string(above.join(file)).unwrap_or_default();
            text.split_ascii_whitespace().any(|word| word == controller)
        };
        let directory = above.join(name);
        if unified && !enabled("cgroup.subtree_control") || std::fs::create_dir(&directory).is_err() {
            println!("no cgroup for {controller} can be made here");
            return None;
        }
        Some(Group { directory, unified })
    }

    fn set(&self, file: &str, value: impl ToString) {
        std::fs::write(self.directory.join(file), value.to_string()).unwrap();
    }

    fn number(&self, file: &str) -> u64 {
        std::fs::read_to_string(self.directory.join(file))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    /// Microseconds of CPU in each 100 ms.
    fn allow_cpu(&self, runtime: u64) {
        if self.unified {
            self.set("cpu.max", format!("{runtime} 100000"));
        } else {
            self.set("cpu.cfs_period_us", 100_000);
            self.set("cpu.cfs_quota_us", runtime);
        }
    }

    /// Bytes of memory beyond what is in use.
    fn allow_memory(&self, beyond: u64) {
        let (used, limit) = match self.unified {
            true => ("memory.current", "memory.max"),
            false => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
        };
        self.set(limit, self.number(used) + beyond);
    }

    /// Has the command start in the group.
    fn join(&self, command: &mut Command) {
        let processes = File::options()
            .write(true)
            .open(self.directory.join("cgroup.procs"))
            .unwrap();
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(move || (&processes).write_all(b"0")) };
    }

    fn take(&self, pid: u32) {
        self.set("cgroup.procs", pid);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        until("the group is empty", || std::fs::remove_dir(&self.directory).is_ok());
    }
}

/// A scan from inside the group: exit code, pause in ms, and what was said.
fn scan(program: &Program, group: &Group, pid: u32, more: &[&str]) -> (i32, f64, String) {
    let pid = pid.to_string();
    let mut command = program.command(&[&["attach", &pid, "--json"], more].concat());
    group.join(&mut command);
    let status = Tool::start(command).end();
    let said = program.said("stderr");
    assert!(is_documented(status) || word(status) == "SIGKILL", "{status}: {said}");
    let report: serde_json::Value = serde_json::from_str(&program.said("stdout")).unwrap_or_default();
    let pause = report["capture"]["pause_ns"].as_u64().unwrap_or(0) as f64 / 1e6;
    let warned = report["warnings"].to_string();
    (status.code().unwrap_or(-1), pause, format!("{said}{warned}"))
}

#[test]
fn a_tool_without_cpu_time_holds_nobody() {
    let _alone = alone();
    let Some(group) = Group::make("cpu", "cpu") else { return };
    let program = Program::copy();
    for (runtime, threads) in [(20_000, 10), (5_000, 10), (1_000, 10), (5_000, 400)] {
        group.allow_cpu(runtime);
        let mut victim = Victim::with(&[
            "-spans",
            "30000",
            "-loops",
            "tcp,file,timer",
            "-threads",
            &threads.to_string(),
        ]);
        let mut seen = Vec::new();
        for _ in 0..times(3, 30) {
            let (code, pause, said) = scan(&program, &group, victim.pid(), &["--max-pause", "200ms"]);
            victim.runs_on();
            // The kernel cannot end a throttled process before its next period: one more of these.
            assert!(pause < 320.0, "{pause} ms: {said}");
            if pause > 60.0 {
                println!("a long pause, {pause} ms: {said}");
            }
            let refused = runtime == 1_000 || threads == 400;
            let told = said.contains("CPU limit");
            assert!(!refused || told && code == 7, "{code}: {said}");
            seen.push((code, pause));
        }
        seen.sort_by(|a, b| a.1.total_cmp(&b.1));
        let whole = seen.iter().filter(|(code, _)| *code == 0).count();
        println!(
            "{runtime} us in 100 ms, {} threads: {} scans, {whole} whole, pause {:.1} ms, {:.1} at most",
            threads + 10,
            seen.len(),
            seen[seen.len() / 2].1,
            seen[seen.len() - 1].1
        );
    }
}

#[test]
fn a_target_that_shares_its_cpu_time_with_the_tool_runs_on() {
    let _alone = alone();
    let Some(group) = Group::make("cpu", "shared") else {
        return;
    };
    group.allow_cpu(20_000);
    let program = Program::copy();
    let mut victim = Victim::with(&["-spans", "30000", "-loops", "spin,tcp,file,timer,signals"]);
    group.take(victim.pid());
    let mut pauses = Vec::new();
    for _ in 0..times(3, 30) {
        pauses.push(scan(&program, &group, victim.pid(), &["--max-pause", "200ms"]));
        victim.runs_on();
    }
    pauses.sort_by(|a, b| a.1.total_cmp(&b.1));
    let last = &pauses[pauses.len() - 1];
    assert!(last.1 < 320.0, "{last:?}");
    println!(
        "20 ms in 100 ms for both: pause {:.1} ms, {:.1} at most",
        pauses[pauses.len() / 2].1,
        last.1
    );
}

#[test]
fn a_target_that_shares_little_memory_with_the_tool_survives() {
    let _alone = alone();
    let Some(group) = Group::make("memory", "memory") else {
        return;
    };
    let program = Program::copy();
    let limit = |bytes: &str| {
        if group.unified {
            group.set("memory.max", bytes)
        } else {
            group.set("memory.limit_in_bytes", bytes)
        }
    };
    // With less left, starting any process can be the target's end: before the tool can say that it is the one to go.
    for mib in [4, 6, 8, 12, 16, 32, 64] {
        limit(if group.unified { "max" } else { "-1" });
        // It stands still: what it allocates itself would be its own end.
        let mut victim = Victim::in_group(&["-spans", "30000", "-touched", "200", "-loops", "-"], |pid| {
            group.take(pid)
        });
        group.allow_memory(mib << 20);
        let mut codes = Vec::new();
        for _ in 0..times(2, 20) {
            let (code, _, said) = scan(&program, &group, victim.pid(), &["--max-pause", "5s"]);
            victim.runs_on();
            // Killed by the kernel, mostly before it has come to say anything, or refusing by itself.
            let refused = code == -1 || code == 7 && said.contains("memory limit");
            assert!(code != 7 || refused, "{code}: {said}");
            codes.push(code);
        }
        println!("{mib} MiB left: exit codes {codes:?}");
    }
}
