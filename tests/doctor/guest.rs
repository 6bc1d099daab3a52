//! Go programs to look at, started through other programs: as another user, in namespaces of their own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use crate::support::fixtures::{Build, all_versions, fixture};
use crate::support::process::copy_program;

/// The user that owns nothing.
pub const NOBODY: &str = "65534";

/// A program that runs until it is dropped.
pub struct Guest {
    child: Child,
    /// Its process id as the tests see it.
    pub pid: i32,
}

/// The newest `churn` that is stable, where every user can run it.
pub fn program() -> &'static Path {
    static COPY: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        let version = all_versions().last().unwrap();
        open_copy(&fixture("churn", version, Build::Exe), 0o755)
    });
    &COPY.1
}

/// A copy of a program with these rights, in a directory that every user may enter.
pub fn open_copy(program: &Path, mode: u32) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(directory.path(), 0o755);
    let copy = directory.path().join(program.file_name().unwrap());
    copy_program(program, &copy);
    set(&copy, mode);
    (directory, copy)
}

impl Guest {
    /// Starts `program` through `words`, and waits until it says that it is ready.
    pub fn start(words: &[&str], program: &Path) -> Guest {
        Guest::start_with(words, program, &[])
    }

    /// The same with arguments.
    pub fn start_with(words: &[&str], program: &Path, arguments: &[&str]) -> Guest {
        let mut words = words.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .args(arguments)
            .env_remove("GODEBUG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find(|line| line.as_ref().unwrap().contains("ready "));
        assert!(ready.is_some(), "{} ended before it was ready", program.display());
        // Programs like `unshare --fork` stay as its parent.
        let first = child.id() as i32;
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        let forked = children
            .split_ascii_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok());
        Guest {
            child,
            pid: forked.unwrap_or(first),
        }
    }

    /// An ordinary one.
    pub fn plain() -> Guest {
        Guest::start(&[], program())
    }

    /// One of another user than root.
    pub fn of_nobody() -> Guest {
        Guest::start(
            &["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"],
            program(),
        )
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
