//! A program run once and measured: by a process of its own, so that the memory the kernel accounts to it is not mixed
//! with that of other runs. This bench is that process too, when it is started with `--run`.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

const RUN: &str = "--run";

/// How a program ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    /// From before its start until it was gone.
    pub wall: Duration,
    /// The most memory that one of its processes had resident, in bytes.
    pub peak_bytes: u64,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
    code: Option<i32>,
    signal: Option<i32>,
    #[serde(skip)]
    errors: String,
    /// What it printed.
    #[serde(skip)]
    pub output: String,
}

impl Ended {
    /// Whether it says that all went well.
    pub fn well(&self) -> Result<(), String> {
        let how = match (self.code, self.signal) {
            _ if self.timed_out => return Err(format!("not done within {} s", self.wall.as_secs())),
            (Some(0), _) => return Ok(()),
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        Err(format!("{how}: {}", self.complaint()))
    }

    /// The line that most likely tells why it failed.
    pub fn complaint(&self) -> &str {
        let texts = [self.errors.as_str(), self.output.as_str()];
        let mut lines = texts.iter().flat_map(|text| text.lines());
        let fatal = lines.find(|line| line.starts_with("panic:") || line.starts_with("fatal error:"));
        let last = texts.into_iter().find_map(|text| text.trim().lines().last());
        fatal.or(last).unwrap_or("no message").trim()
    }
}

/// Runs the program with `input` as its standard input in `folder`, for no longer than `limit`.
pub fn run(program: &Path, arguments: &[&str], input: &str, folder: &Path, limit: Duration) -> Ended {
    let [typed, output, errors, measured] = ["in", "out", "err", "measured"].map(|name| folder.join(name));
    std::fs::write(&typed, input).expect("the folder can be written");
    let file = |path: &Path| Stdio::from(File::create(path).expect("the folder can be written"));
    let status = Command::new(std::env::current_exe().unwrap())
        .arg(RUN)
        .args([measured.as_os_str(), limit.as_secs().to_string().as_ref()])
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        // What debuggers would write into the home directory, and ask the network for.
        .env("XDG_CONFIG_HOME", folder)
        .env_remove("DEBUGINFOD_URLS")
        .stdin(File::open(&typed).unwrap())
        .stdout(file(&output))
        .stderr(file(&errors))
        .status();
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    assert!(status.unwrap().success(), "{}: {}", program.display(), text(&errors));
    let mut ended: Ended = serde_json::from_str(&text(&measured)).expect("the measuring process answers");
    ended.output = text(&output);
    ended.errors = text(&errors);
    ended
}

/// In the process of its own: runs what the arguments say and returns the exit code. `None` in the bench itself.
pub fn as_runner() -> Option<i32> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != RUN {
        return None;
    }
    let measured = arguments.next()?;
    let limit = Duration::from_secs(arguments.next()?.to_str()?.parse().ok()?);
    let program = arguments.next()?;

    let begun = Instant::now();
    let mut child = Command::new(&program)
        .args(arguments)
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let pid = Pid::from_raw(child.id() as i32);
    let (done, ends) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        let late = ends.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            let _ = killpg(pid, Signal::SIGKILL);
        }
        late
    });
    // Not reaped yet: the number stays its own until the guard is gone.
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("the child is there");
    let wall = begun.elapsed();
    drop(done);
    let timed_out = guard.join().unwrap();
    let status: ExitStatus = child.wait().unwrap();
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    let ended = Ended {
        wall,
        peak_bytes: peak as u64 * 1024,
        timed_out,
        code: status.code(),
        signal: status.signal(),
        errors: String::new(),
        output: String::new(),
    };
    std::fs::write(measured, serde_json::to_string(&ended).unwrap()).expect("the folder can be written");
    Some(0)
}
