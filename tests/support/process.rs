//! A running fixture: started, waited for, talked to over its pipes and killed on drop. Nothing here sleeps; each wait
//! ends with an answer, with the process, or with a deadline whose message carries what the process said on stderr.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

/// Copies a program that is to be run. By `cp`: what this process had open for writing, a process that another test
/// starts at that moment holds open until its exec, and nobody can run it so long.
pub fn copy_program(from: &Path, to: &Path) {
    let done = Command::new("cp").arg(from).arg(to).status();
    assert!(done.expect("cp is there").success(), "cannot copy {}", from.display());
}

/// How long a fixture may take for anything.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A fixture that said it is ready. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    what: String,
}

impl Running {
    /// Starts the program and waits until it is ready.
    pub fn start(program: &Path, args: &[&str]) -> Self {
        Self::start_with(program, args, &[])
    }

    /// Like [`Running::start`], with additional environment variables. Those that steer a Go runtime are not inherited.
    pub fn start_with(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.args(args);
        for name in ["GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK"] {
            command.env_remove(name);
        }
        command.envs(env.iter().copied());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let what = program.display().to_string();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {what}: {e}"));
        let (stdout, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let stdin = child.stdin.take();
        let mut running = Self {
            child,
            stdin,
            lines,
            stderr: Some(stderr),
            what,
        };
        let first = running.line("be ready");
        if first != format!("ready {}", running.pid()) {
            running.fail(&format!("said {first:?} instead of ready and its pid"));
        }
        running
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command and returns the answer.
    pub fn send(&mut self, command: &str) -> Value {
        match self.try_send(command) {
            Ok(answer) => answer,
            Err(why) => self.fail(&why),
        }
    }

    /// Like [`Running::send`], with an error where the program does not answer or does not know the command.
    pub fn try_send(&mut self, command: &str) -> Result<Value, String> {
        let line = format!("{command}\n");
        let sent = self.stdin.as_mut().map(|stdin| stdin.write_all(line.as_bytes()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(format!("does not take {command:?}"));
        }
        let answer = self.try_line(command)?;
        match serde_json::from_str::<Value>(&answer) {
            Ok(value) if value.get("error").is_none() => Ok(value),
            _ => Err(format!("answered {command:?} with {answer}")),
        }
    }

    /// Sends a command after which the program must be settled.
    pub fn settle(&mut self, command: &str) -> Value {
        let answer = self.send(command);
        if answer.get("quiet") != Some(&Value::Bool(true)) {
            self.fail(&format!("is not quiet after {command:?}: {answer}"));
        }
        answer
    }

    /// The program's own account of itself.
    pub fn stats(&mut self) -> Stats {
        Stats(self.send("stats"))
    }

    /// Runs `scan` with the process id between two accounts of a settled program and returns the account with the
    /// result. If the two accounts differ, the runtime did move in between (a goroutine's stack grew, the two-minute GC
    /// was due) and the scan is repeated. Taking an account flushes the mcaches; to scan unflushed ones, call
    /// [`Running::stats`] after the scan only.
    pub fn undisturbed<T>(&mut self, mut scan: impl FnMut(u32) -> T) -> (Stats, T) {
        let mut before = self.stats();
        for _ in 0..5 {
            let result = scan(self.pid());
            let after = self.stats();
            if before.memstats() == after.memstats() && before.goroutines() == after.goroutines() {
                return (after, result);
            }
            before = after;
        }
        self.fail("does not stay as it is from one account to the next")
    }

    /// Closes its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn line(&mut self, what: &str) -> String {
        match self.try_line(what) {
            Ok(line) => line,
            Err(why) => self.fail(&why),
        }
    }

    fn try_line(&mut self, what: &str) -> Result<String, String> {
        self.lines.recv_timeout(DEADLINE).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("did not {what} within {DEADLINE:?}"),
            RecvTimeoutError::Disconnected => format!("ended instead of: {what}"),
        })
    }

    fn fail(&mut self, why: &str) -> ! {
        self.stop();
        let stderr = self.stderr.take().and_then(|t| t.join().ok()).unwrap_or_default();
        panic!("{} {why}; its stderr:\n{stderr}", self.what)
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A `stats` answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats(pub Value);

/// Goroutines in one state, started by one statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// As in a goroutine dump: `running`, `chan receive`, without the minutes.
    pub status: String,
    /// The function with the `go` statement; empty for the main goroutine.
    pub created_by: String,
    /// Its file, empty where unknown.
    #[serde(default)]
    pub file: String,
    /// The line of the `go` statement.
    #[serde(default)]
    pub line: u32,
    /// How many.
    pub count: u64,
}

impl Stats {
    /// A scalar field of `runtime.MemStats`.
    pub fn mem(&self, field: &str) -> u64 {
        self.0["memstats"][field]
            .as_u64()
            .unwrap_or_else(|| panic!("no MemStats.{field} in the answer"))
    }

    /// All of `runtime.MemStats`.
    pub fn memstats(&self) -> &serde_json::Map<String, Value> {
        self.0["memstats"].as_object().expect("memstats is an object")
    }

    /// An integer sample of `runtime/metrics` (for a histogram the number of its observations), if this version has it.
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.0["metrics"].get(name).and_then(Value::as_u64)
    }

    /// The goroutines `runtime.NumGoroutine` counts.
    pub fn goroutines(&self) -> Vec<Group> {
        serde_json::from_value(self.0["goroutines"].clone()).expect("goroutines were counted")
    }

    /// `runtime.NumGoroutine`.
    pub fn num_goroutine(&self) -> u64 {
        self.0["num_goroutine"].as_u64().expect("num_goroutine is a number")
    }

    /// `runtime.GOMAXPROCS`.
    pub fn gomaxprocs(&self) -> u64 {
        self.0["gomaxprocs"].as_u64().expect("gomaxprocs is a number")
    }

    /// What the fixture built on purpose.
    pub fn shape(&self) -> &Value {
        &self.0["shape"]
    }

    /// The goroutines the fixture blocked on purpose, as groups without file and line.
    pub fn blocked(&self) -> Vec<Group> {
        serde_json::from_value(self.shape()["blocked"].clone()).expect("shape.blocked is a list of groups")
    }
}
