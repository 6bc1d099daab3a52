//! Targets, planners and waiting for conditions.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use gomemscan::memory::{Addr, Gather, Memory, Place, Planner, Range, RecordShape, Request};
use gomemscan::target::{CaptureOptions, LiveProcess, Stop};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// A child process in a role; killed when the test ends.
pub struct Target {
    child: Child,
    stdin: ChildStdin,
    out: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub ready: Vec<u64>,
}

impl Target {
    /// Starts `role` and waits until it is ready.
    pub fn start(role: &str, arguments: &[u64]) -> Target {
        let text: Vec<String> = arguments.iter().map(u64::to_string).collect();
        let mut command = Command::new(std::env::current_exe().unwrap());
        if role == "scanning" {
            // Signals to the tool find only the thread that plays the role, which unblocks them: as in the real tool,
            // where it is the only one.
            // Whoever runs the tests in the background may have had some of them ignored.
            let block = || {
                let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
                for signal in [
                    Signal::SIGINT,
                    Signal::SIGTERM,
                    Signal::SIGHUP,
                    Signal::SIGQUIT,
                    Signal::SIGTSTP,
                ] {
                    // SAFETY: no handler is installed.
                    unsafe { sigaction(signal, &default) }?;
                }
                Ok(SigSet::all().thread_block()?)
            };
            // SAFETY: a few system calls between fork and exec.
            unsafe { command.pre_exec(block) };
        }
        let mut child = command
            // A group of its own, whose parent is in another one: the kernel drops SIGTSTP in an orphaned group, which
            // that of the tests is under some CI systems.
            .process_group(0)
            .args(["roles::play", "--exact", "--ignored", "--nocapture"])
            .env("STOP_TEST_ROLE", role)
            .env("STOP_TEST_ARGUMENTS", text.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take().unwrap();
        let mut target = Target {
            child,
            stdin,
            out,
            ready: Vec::new(),
        };
        target.ready = target.answer("ready");
        target
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Its standard input, for a planner in the child of a capture.
    pub fn fd(&self) -> OwnedFd {
        self.stdin.as_fd().try_clone_to_owned().unwrap()
    }

    pub fn open(&self) -> LiveProcess {
        LiveProcess::open(self.pid()).unwrap()
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// The numbers behind the next line that has this word in it.
    pub fn answer(&mut self, word: &str) -> Vec<u64> {
        loop {
            let mut line = String::new();
            assert!(
                self.out.read_line(&mut line).unwrap() > 0,
                "the target ended before saying {word}"
            );
            if let Some((_, numbers)) = line.split_once(word) {
                return numbers
                    .split_ascii_whitespace()
                    .map(|number| number.parse().unwrap())
                    .collect();
            }
        }
    }

    /// Asks and hears the answer: only a running target gives one.
    pub fn ask(&mut self, word: &str) -> Vec<u64> {
        self.say(word);
        self.answer(word)
    }

    /// Kills and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// State letter and tracer of every thread.
    pub fn threads(&self) -> Vec<(i32, char, i32)> {
        threads_of(self.pid())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn threads_of(pid: i32) -> Vec<(i32, char, i32)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut threads = Vec::new();
    for task in tasks.flatten() {
        let Ok(status) = std::fs::read_to_string(task.path().join("status")) else {
            continue;
        };
        let field = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap_or("")
                .trim()
                .to_owned()
        };
        let tid = task.file_name().to_str().unwrap().parse().unwrap();
        threads.push((
            tid,
            field("State:").chars().next().unwrap_or('?'),
            field("TracerPid:").parse().unwrap_or(0),
        ));
    }
    threads
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < limit, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until nobody traces the process, then expects every thread to be on the run.
pub fn expect_free(pid: i32) {
    until("the tracer is gone", || {
        threads_of(pid).iter().all(|(_, _, tracer)| *tracer == 0)
    });
    until("no thread is stopped", || {
        threads_of(pid).iter().all(|(_, state, _)| !matches!(state, 't' | 'T'))
    });
}

/// A planner with fixed waves.
#[derive(Clone)]
pub struct Waves(pub Vec<Vec<Request>>);

impl Planner for Waves {
    fn wave(&mut self, wave: usize, _: &dyn Memory) -> Vec<Request> {
        self.0.get(wave).cloned().unwrap_or_default()
    }
}

/// A planner that is a function.
pub struct Does<F: FnMut(usize) -> Vec<Request>>(pub F);

impl<F: FnMut(usize) -> Vec<Request>> Planner for Does<F> {
    fn wave(&mut self, wave: usize, _: &dyn Memory) -> Vec<Request> {
        (self.0)(wave)
    }
}

/// A planner that gathers the second and the last word of structures of six words.
#[derive(Clone, Copy)]
pub struct Gathers {
    pub pointers: u64,
    pub count: u64,
}

impl Planner for Gathers {
    fn wave(&mut self, wave: usize, _: &dyn Memory) -> Vec<Request> {
        match wave {
            0 => vec![request(self.pointers, self.count * 8)],
            _ => Vec::new(),
        }
    }

    fn gather(&mut self, _: &dyn Memory) -> Vec<Gather> {
        vec![self.wish()]
    }
}

impl Gathers {
    /// The second and the last of the six words of each structure.
    pub fn wish(&self) -> Gather {
        let place = |from, to| Place {
            from,
            to,
            bytes: 8,
            late: false,
        };
        Gather {
            what: "test",
            list: 0,
            pointers: Addr(self.pointers),
            count: self.count,
            shape: RecordShape::new(48, 24, 0, &[place(8, 8), place(40, 16)], &[]).unwrap(),
        }
    }
}

pub fn request(start: u64, len: u64) -> Request {
    Request {
        range: Range::new(Addr(start), len),
        what: "test",
    }
}

/// A pause budget nobody on a busy machine misses.
pub fn pause() -> CaptureOptions {
    pause_of(Duration::from_secs(20))
}

pub fn pause_of(max: Duration) -> CaptureOptions {
    CaptureOptions {
        stop: Stop::Pause { max },
        byte_budget: 1 << 30,
    }
}
