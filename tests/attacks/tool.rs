//! The command under attack.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;

use crate::support::process::copy_program;
use crate::victim::until;

/// A copy of the command, so that its processes can be told from all others.
pub struct Program {
    directory: tempfile::TempDir,
    pub path: PathBuf,
}

impl Program {
    pub fn copy() -> Program {
        let built = std::env::var("GOMEMSCAN_TOOL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_gomemscan").to_owned());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gomemscan");
        copy_program(Path::new(&built), &path);
        Program { directory, path }
    }

    /// Where its output goes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The command with its output in files.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let file = |name: &str| Stdio::from(File::create(self.directory().join(name)).unwrap());
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        command
    }

    /// Processes of it that are there.
    pub fn processes(&self) -> Vec<i32> {
        let list = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = list.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.path))
            .collect()
    }

    pub fn said(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory().join(name)).unwrap_or_default()).into_owned()
    }
}

/// A running command.
pub struct Tool {
    child: Child,
    pub begun: Instant,
}

impl Tool {
    /// Starts it in a process group of its own, which can be stopped: its parent is in another one.
    pub fn start(mut command: Command) -> Tool {
        command.process_group(0);
        Tool::spawn(command)
    }

    /// Starts it with every signal's default action: whoever runs the tests may have had some ignored.
    pub fn spawn(mut command: Command) -> Tool {
        let reset = || {
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
            Ok(SigSet::empty().thread_set_mask()?)
        };
        // SAFETY: a few system calls between fork and exec.
        unsafe { command.pre_exec(reset) };
        Tool::as_it_is(command)
    }

    /// Starts it with nothing between fork and exec but what the command has.
    pub fn as_it_is(mut command: Command) -> Tool {
        let begun = Instant::now();
        Tool {
            child: command.spawn().unwrap(),
            begun,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The child of it that captures, while there is one.
    pub fn capturing(&self) -> Option<Pid> {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children
            .split_ascii_whitespace()
            .next()?
            .parse()
            .ok()
            .map(Pid::from_raw)
    }

    pub fn signal(&self, signal: Signal) {
        // Until it is reaped, its number is its own.
        kill(self.pid(), signal).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn is_stopped(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Waits until it has ended.
    pub fn end(mut self) -> ExitStatus {
        until("the tool has ended", || self.has_ended());
        self.child.wait().unwrap()
    }
}

/// How a process ended, in a word.
pub fn word(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => {
            Signal::try_from(signal).map_or(format!("signal {signal}"), |signal| signal.to_string())
        }
        (None, None) => "?".to_owned(),
    }
}

/// Whether it is one of the codes that the contract names for a scan with right arguments.
pub fn is_documented(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 3..=8))
}
