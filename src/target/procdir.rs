//! Files below `/proc/PID`, always reached through one descriptor of that directory: once the process is gone every
//! access fails with ESRCH, whoever has its number now.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::sys::io_error;

/// The longest file read into memory in one go; the largest honest one, `maps`, is far below.
const READ_LIMIT: u64 = 256 << 20;

/// An open `/proc/PID`.
#[derive(Debug)]
pub(crate) struct ProcDir {
    fd: OwnedFd,
}

impl ProcDir {
    /// Opens `/proc/PID`.
    pub(crate) fn open(pid: i32) -> io::Result<ProcDir> {
        ProcDir::open_below(Path::new("/proc"), pid)
    }

    /// Opens the directory of `pid` below `proc`, which is `/proc` but for tests.
    pub(crate) fn open_below(proc: &Path, pid: i32) -> io::Result<ProcDir> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(&proc.join(pid.to_string()), flags, Mode::empty()).map_err(io_error)?;
        Ok(ProcDir { fd })
    }

    /// Opens a file for reading.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        // O_NONBLOCK: `exe` and `root/...` lead to files of the target's choice; none may block the open.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        openat(&self.fd, name, flags, Mode::empty())
            .map(File::from)
            .map_err(io_error)
    }

    /// Opens a directory, as an anchor for further lookups.
    pub(crate) fn directory(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&self.fd, name, flags, Mode::empty()).map_err(io_error)
    }

    /// The whole content of a file.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file(name)?.take(READ_LIMIT).read_to_end(&mut content)?;
        Ok(content)
    }

    /// The whole content as text; bytes that are not UTF-8 (a `comm`, a path) are replaced.
    pub(crate) fn text(&self, name: &str) -> io::Result<String> {
        self.read(name)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The target of a symbolic link.
    pub(crate) fn link(&self, name: &str) -> io::Result<OsString> {
        readlinkat(&self.fd, name).map_err(io_error)
    }

    /// `stat` of an entry, following links.
    pub(crate) fn stat(&self, name: &str) -> io::Result<FileStat> {
        fstatat(&self.fd, name, nix::fcntl::AtFlags::empty()).map_err(io_error)
    }

    /// The numeric entries of a subdirectory: thread ids of `task`.
    pub(crate) fn numbers(&self, name: &str) -> io::Result<Vec<i32>> {
        // The magic link leads to the directory that is held, not to whoever has the number now.
        let path = format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd());
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(path)? {
            if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }
}

/// What `/proc/PID/stat` says, as far as it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// R, S, D, T, t, Z, X, I.
    pub state: u8,
    /// Field 9; bit 0x0020_0000 marks a kernel thread.
    pub flags: u64,
    /// Field 20.
    pub threads: u64,
    /// Field 22: clock ticks from boot to the start of the process.
    pub start_ticks: u64,
}

impl Stat {
    /// `PF_KTHREAD`.
    const KERNEL_THREAD: u64 = 0x0020_0000;

    /// Parses the line; the name in parentheses may hold spaces and parentheses itself.
    pub fn parse(line: &[u8]) -> Option<Stat> {
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field 3, the state, is the first one behind the name.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Stat {
            state: *fields.first()?.as_bytes().first()?,
            flags: number(9)?,
            threads: number(20)?,
            start_ticks: number(22)?,
        })
    }

    /// Whether this is a thread of the kernel.
    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.flags & Stat::KERNEL_THREAD != 0
    }

    /// Whether the process has exited and only waits to be reaped.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The value of `key` in the `Key:\tvalue` lines of a status file.
pub(crate) fn status_field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .map(str::trim)
}

/// The value of `key`, in bytes, in lines like `Rss:   123 kB`.
pub(crate) fn kb_field(text: &str, key: &str) -> Option<u64> {
    let value = status_field(text, key)?;
    value
        .split_ascii_whitespace()
        .next()?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = b"7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 11 0 4242 1000 200 18446744073709551615 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(
            stat,
            Stat {
                state: b'S',
                flags: 4194560,
                threads: 11,
                start_ticks: 4242
            }
        );
        assert!(!stat.is_kernel_thread());
    }

    #[test]
    fn broken_stat_lines_are_refused() {
        for line in [&b""[..], b"1 (x)", b"1 (x) S 1", b"1 x S 1 2 3"] {
            assert_eq!(Stat::parse(line), None);
        }
    }

    #[test]
    fn status_fields_are_found_by_their_whole_name() {
        let status = "Name:\tx\nNSpid:\t12\t1\nPid:\t12\nRss:     8 kB\n";
        assert_eq!(status_field(status, "Pid"), Some("12"));
        assert_eq!(status_field(status, "NSpid"), Some("12\t1"));
        assert_eq!(kb_field(status, "Rss"), Some(8192));
        assert_eq!(status_field(status, "NS"), None);
    }
}
