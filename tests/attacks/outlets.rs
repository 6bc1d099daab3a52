//! Where the output goes breaks: a terminal is closed, a pipe's reader leaves, a disk is full.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::arena::Arena;
use crate::chance::times;
use crate::tool::{Tool, is_documented, word};

/// Both ends of a new terminal.
fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut master, mut slave) = (-1, -1);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: the first two are live integers to be filled, the others may be null; on success both descriptors are new.
    unsafe {
        if libc::openpty(&mut master, &mut slave, name, settings, size) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
        Ok((OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)))
    }
}

#[test]
fn its_terminal_is_closed() {
    let mut arena = Arena::new("closed terminal");
    for _ in 0..times(5, 100) {
        let (master, slave) = terminal().unwrap();
        let pid = arena.victim.pid().to_string();
        let mut command = Command::new(&arena.program.path);
        let end = || Stdio::from(slave.try_clone().unwrap());
        command
            .args(["attach", &pid, "--max-pause", "5s"])
            .stdin(end())
            .stdout(end())
            .stderr(end());
        let lead = || {
            // SAFETY: two system calls between fork and exec; no memory is passed. Descriptor 0 is the terminal.
            let refused = unsafe { libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) != 0 };
            if refused {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            }
        };
        // SAFETY: as above.
        unsafe { command.pre_exec(lead) };
        let tool = Tool::spawn(command);
        // Nobody else has this end open.
        drop(slave);
        let when = arena.instant();
        // What is written meanwhile has room in the terminal's buffer or is read at the end.
        let mut master = Some(master);
        let status = arena.attack_on(tool, when, |_, _| drop(master.take()));
        let word = word(status);
        assert!(["SIGHUP", "exit 0", "exit 7"].contains(&word.as_str()), "{word}");
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
}

#[test]
fn the_readers_of_its_pipes_leave() {
    let mut arena = Arena::new("closed pipe");
    for round in 0..times(5, 100) {
        let pid = arena.victim.pid().to_string();
        let mut command = Command::new(&arena.program.path);
        let ((out, out_end), (errors, errors_end)) = (pipe(), pipe());
        let words = arena.words(&pid, &[]);
        command
            .args(&words)
            .stdin(Stdio::null())
            .stdout(out_end)
            .stderr(errors_end);
        let tool = Tool::start(command);
        let mut readers = Some((out, errors));
        // The report does not fit into a pipe: who stays and does not read holds the tool. Every other one leaves
        // before there is anything to read.
        let when = if round % 2 == 0 {
            arena.instant()
        } else {
            crate::arena::When::After(std::time::Duration::ZERO)
        };
        let status = arena.attack_on(tool, when, |_, _| drop(readers.take()));
        assert_eq!(word(status), "exit 0");
    }
}

/// A file system of 64 KiB, or none where it may not be mounted.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Small> {
        let directory = tempfile::tempdir().unwrap();
        let options = Some("size=64k,mode=700");
        mount(Some("none"), directory.path(), Some("tmpfs"), MsFlags::empty(), options).ok()?;
        Some(Small(directory))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = File::create(self.path("filling")).unwrap();
        while io::Write::write(&mut file, &[0; 4096]).is_ok_and(|written| written > 0) {}
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn its_disk_fills_up() {
    let mut arena = Arena::new("full disk");
    for _ in 0..times(5, 100) {
        let Some(disk) = Small::mount() else {
            println!("no file system can be mounted here");
            return;
        };
        let path = disk.path("report.json");
        let when = arena.instant();
        let status = arena.attack_at(when, &["-o", path.to_str().unwrap()], |_, _| disk.fill());
        let errors = arena.program.said("stderr");
        assert!(is_documented(status), "{status}: {errors}");
        // Whole or not at all, and nothing beside it.
        match std::fs::read(&path) {
            Ok(report) => drop(serde_json::from_slice::<serde_json::Value>(&report).unwrap()),
            Err(_) => assert_eq!(word(status), "exit 7", "{errors}"),
        }
        let names = std::fs::read_dir(disk.0.path()).unwrap().flatten();
        let mut left = names
            .map(|entry| entry.file_name())
            .filter(|name| name != "filling" && name != "report.json");
        assert_eq!(left.next(), None);
    }
}

#[test]
fn its_standard_output_is_full() {
    let mut arena = Arena::new("full standard output");
    let full = || File::options().write(true).open(Path::new("/dev/full")).unwrap();
    for _ in 0..times(3, 100) {
        let pid = arena.victim.pid().to_string();
        let mut command = arena.program.command(&arena.words(&pid, &[]));
        command.stdout(full()).stderr(full());
        let status = Tool::start(command).end();
        assert_eq!(word(status), "exit 7");
        arena.after(&word(status));
    }
}
