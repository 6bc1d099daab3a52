//! A live process, pinned: a pidfd, its `/proc/PID` directory, its memory and its executable are held open, so that
//! nothing read later can come from a successor with the same number. [`LiveProcess::recheck`] tells whether it is
//! still the one that was opened.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use super::maps::{Backing, Mapping, Maps};
use super::modules::{FileId, Module};
use super::pages::{Method, PageMap};
use super::permissions::{self, Access};
use super::procdir::{ProcDir, Stat, kb_field, status_field};
use super::sys;
use crate::error::{Error, Result};

/// Who the process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its number as the tool sees it.
    pub pid: i32,
    /// Its number in its own PID namespace.
    pub ns_pid: i32,
    /// Inode of its PID namespace; `None` when it may not be read.
    pub pid_ns: Option<u64>,
    /// Clock ticks from boot to its start: with host, boot and `pid` a name that is never reused.
    pub start_ticks: u64,
    /// When it started, to the precision of a clock tick.
    pub started_at: SystemTime,
    /// Path of its executable in its mount namespace, without the kernel's " (deleted)".
    pub exe_path: PathBuf,
    /// Whether the executable has been unlinked since (a package upgrade, for one).
    pub exe_deleted: bool,
    /// Its name, at most 15 bytes; chosen by the process.
    pub comm: String,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Its cgroup as the tool sees it: the memory controller's on v1, else the unified one.
    pub cgroup_path: Option<String>,
    /// Threads at the time of opening.
    pub threads: usize,
    /// Which namespaces it shares with the tool.
    pub shares: SharedNamespaces,
}

/// Which namespaces a process has in common with the tool; `None` when that may not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedNamespaces {
    /// The same file system tree.
    pub mount: Option<bool>,
    /// The same process numbers.
    pub pid: Option<bool>,
    /// The same users and capabilities.
    pub user: Option<bool>,
    /// The same CLOCK_MONOTONIC.
    pub time: Option<bool>,
    /// The same root of cgroup paths.
    pub cgroup: Option<bool>,
}

/// An open live process.
#[derive(Debug)]
pub struct LiveProcess {
    info: ProcessInfo,
    pidfd: Option<OwnedFd>,
    proc: ProcDir,
    exe: File,
    /// Dev and inode of `exe`.
    exe_id: (u64, u64),
    /// `/proc/PID/mem`, bound to the address space of this moment; absent when reading memory is not permitted.
    memory: Option<File>,
    /// The file that pages of data come from while they are absent, when it is not the executable.
    image: OnceLock<(FileId, File)>,
}

impl LiveProcess {
    /// Makes sure that `/proc` can be trusted: that a number means the same process there and to every system call.
    pub fn check_proc() -> Result<()> {
        own_proc()
    }

    /// Opens process `pid` and pins its identity. Needs the right to read its `/proc` entry, not yet the right to
    /// read its memory.
    pub fn open(pid: i32) -> Result<LiveProcess> {
        if pid <= 0 {
            return Err(no_target(format!("{pid} is not a process id"), None));
        }
        own_proc()?;
        let pidfd = sys::pidfd_open(pid).ok();
        let proc = ProcDir::open(pid).map_err(|error| absent(pid, &error))?;
        let stat = read_stat(&proc).map_err(|error| unreadable(pid, &error))?;
        let status = proc.text("status").map_err(|error| unreadable(pid, &error))?;
        let comm = comm_of(&proc);
        if let Some(leader) = status_field(&status, "Tgid").and_then(|tgid| tgid.parse::<i32>().ok())
            && leader != pid
        {
            let name = ProcDir::open(leader).map(|proc| comm_of(&proc)).unwrap_or_default();
            let what = format!("{pid} is a thread of process {leader} ({name}), not a process");
            return Err(no_target(what, Some(format!("gomemscan attach {leader}"))));
        }
        if stat.is_kernel_thread() {
            return Err(no_target(format!("process {pid} is a kernel thread ({comm})"), None));
        }
        if stat.is_dead() {
            let parent = status_field(&status, "PPid").unwrap_or("?");
            let what = match stat.threads {
                0 | 1 => {
                    format!("process {pid} ({comm}) has exited and is a zombie until its parent {parent} reaps it")
                }
                // The kernel then shows neither executable nor mappings; no Go program does this.
                _ => format!(
                    "the main thread of process {pid} ({comm}) has exited; without it the process cannot be read"
                ),
            };
            return Err(no_target(what, None));
        }
        let exe_error = |error: io::Error| access_error(pid, Access::Executable, &error);
        let link = proc.link("exe").map_err(exe_error)?;
        let exe = proc.file("exe").map_err(exe_error)?;
        let exe_stat = nix::sys::stat::fstat(&exe).map_err(|errno| exe_error(sys::io_error(errno)))?;
        let (exe_path, exe_deleted) = exe_path(link, exe_stat.st_nlink == 0);
        // Only now is it certain that the pidfd and the directory are of one process: it has not exited in between.
        if pidfd.as_ref().is_some_and(exited) {
            return Err(gone(pid, "exited while it was opened"));
        }
        let info = ProcessInfo {
            pid,
            ns_pid: status_field(&status, "NSpid").and_then(last_number).unwrap_or(pid),
            pid_ns: namespace(&proc, "pid"),
            start_ticks: stat.start_ticks,
            started_at: started_at(stat.start_ticks),
            exe_path,
            exe_deleted,
            comm,
            uid: effective_id(&status, "Uid"),
            gid: effective_id(&status, "Gid"),
            cgroup_path: proc.text("cgroup").ok().and_then(|text| cgroup_path(&text)),
            threads: stat.threads as usize,
            shares: SharedNamespaces::of(&proc),
        };
        let exe_id = (exe_stat.st_dev, exe_stat.st_ino);
        let memory = proc.file("mem").ok();
        Ok(LiveProcess {
            info,
            pidfd,
            proc,
            exe,
            exe_id,
            memory,
            image: OnceLock::new(),
        })
    }

    /// Who it is.
    pub fn info(&self) -> &ProcessInfo {
        &self.info
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.info.pid
    }

    /// Its executable, open for reading: the very file it runs, whatever lies at its path now.
    pub fn exe(&self) -> &File {
        &self.exe
    }

    /// Its command line. Arguments can hold secrets: ask only when told to.
    pub fn command_line(&self) -> Result<Vec<OsString>> {
        let bytes = self
            .proc
            .read("cmdline")
            .map_err(|error| self.lost("cmdline", &error))?;
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        Ok(bytes
            .split(|&byte| byte == 0)
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect())
    }

    /// Its mappings now.
    pub fn maps(&self) -> Result<Maps> {
        let text = self.proc.read("maps").map_err(|error| self.lost("maps", &error))?;
        let (maps, _) = Maps::parse(&text);
        if maps.is_empty() {
            self.recheck()?;
            return Err(gone(self.pid(), "has no memory any more: it is exiting"));
        }
        Ok(maps)
    }

    /// A mapping of the executable.
    pub(crate) fn exe_mapping<'a>(&self, maps: &'a Maps) -> Option<&'a Mapping> {
        let device = (
            nix::sys::stat::major(self.exe_id.0) as u32,
            nix::sys::stat::minor(self.exe_id.0) as u32,
        );
        let found = maps.lowest_of_file((device, self.exe_id.1));
        found.or_else(|| {
            // On overlayfs and btrfs the device in maps is not the one stat gives; the path then decides.
            let same_path =
                |backing: &Backing| matches!(backing, Backing::File { path, .. } if *path == self.info.exe_path);
            let mapping = maps.iter().find(|mapping| same_path(&mapping.backing))?;
            maps.lowest_of_file(mapping.file_id())
        })
    }

    /// From now on, absent pages of writable mappings of `module` are what its file holds. At first this is so for the
    /// executable; once another is named, it stays that one.
    pub fn read_data_of(&self, module: &Module, file: File) {
        let _ = self.image.set((module.id, file));
    }

    /// The file whose data pages may be taken from disk, and what its mappings show.
    pub(crate) fn image(&self, maps: &Maps) -> Option<FileId> {
        match self.image.get() {
            Some((id, _)) => Some(*id),
            None => self.exe_mapping(maps).map(Mapping::file_id),
        }
    }

    /// The file that [`image`](LiveProcess::image) names.
    pub(crate) fn image_file(&self) -> &File {
        self.image.get().map_or(&self.exe, |(_, file)| file)
    }

    /// Makes sure that it is still the process that was opened, running the same program in the same memory.
    pub fn recheck(&self) -> Result<()> {
        let pid = self.pid();
        if self.pidfd.as_ref().is_some_and(exited) {
            return Err(gone(pid, "exited"));
        }
        match read_stat(&self.proc) {
            Ok(stat) if stat.is_dead() => return Err(gone(pid, "exited")),
            Ok(stat) if stat.start_ticks != self.info.start_ticks => {
                return Err(gone(pid, "exited and its number was given to another process"));
            }
            Ok(_) => {}
            // It says nothing of the process.
            Err(error) if sys::shortage(&error).is_some() => {
                return Err(Error::io(format!("reading /proc/{pid}/stat"), error));
            }
            Err(_) => return Err(gone(pid, "exited")),
        }
        // The descriptor is bound to one address space. Nothing is mapped at 0, so a live one refuses the read and a
        // dead one, left by exec, ends it; no page is touched either way.
        if let Some(memory) = &self.memory
            && matches!(memory.read_at(&mut [0; 8], 0), Ok(0))
        {
            // A process on its way out has given up its memory and has no executable either.
            let how = match self.proc.stat("exe") {
                Ok(_) => "was replaced by exec",
                Err(_) => "exited",
            };
            return Err(gone(pid, how));
        }
        match self.proc.stat("exe") {
            Ok(stat) if (stat.st_dev, stat.st_ino) != self.exe_id => Err(gone(pid, "was replaced by exec")),
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => Ok(()),
            Err(_) => Err(gone(pid, "exited")),
        }
    }

    /// The same for a process whose threads stand still, in as few calls as will do: it cannot have exited while its
    /// pidfd says it has not and its executable is there, and cannot have called exec while the address space that was
    /// opened is in use.
    pub(crate) fn recheck_stopped(&self) -> Result<()> {
        let same_program = || {
            let stat = self.proc.stat("exe");
            stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.exe_id)
        };
        match (&self.pidfd, &self.memory) {
            (Some(pidfd), Some(memory))
                if !exited(pidfd) && !matches!(memory.read_at(&mut [0; 8], 0), Ok(0)) && same_program() =>
            {
                Ok(())
            }
            _ => self.recheck(),
        }
    }

    /// Makes sure that its memory may be read, or says who refuses and what helps.
    pub fn check_access(&self) -> Result<()> {
        if self.pid() == std::process::id() as i32 {
            return Err(permissions::own_process());
        }
        match &self.memory {
            Some(_) => Ok(()),
            None => match self.proc.file("mem") {
                Ok(_) => Ok(()),
                Err(error) => Err(self.refused(Access::Memory, &error)),
            },
        }
    }

    /// Bytes of it in memory, by the kernel's own quick count; `None` where that may not be read.
    pub fn resident_bytes(&self) -> Option<u64> {
        kb_field(&self.proc.text("status").ok()?, "VmRSS")
    }

    /// The second field of its statm, bytes: from counters that drift by some pages per CPU.
    pub fn statm_bytes(&self) -> Option<u64> {
        let statm = self.proc.text("statm").ok()?;
        let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(super::pages::page_size())
    }

    /// Bytes of it that are swapped out, by the kernel's own quick count; `None` where that may not be read.
    pub fn swapped_bytes(&self) -> Option<u64> {
        kb_field(&self.proc.text("status").ok()?, "VmSwap")
    }

    /// Whether its pages can be looked up with `PAGEMAP_SCAN` (else page by page); `None` where its page map may not
    /// be opened.
    pub fn scans_pages(&self) -> Option<bool> {
        let pages = PageMap::new(self.proc.file("pagemap").ok()?);
        Some(pages.method() == Method::Scan)
    }

    /// Its `/proc` directory.
    pub(crate) fn proc(&self) -> &ProcDir {
        &self.proc
    }

    /// A refused or failed access to `name` in `/proc/PID` as an error: the target may simply be gone.
    pub(crate) fn lost(&self, name: &str, error: &io::Error) -> Error {
        if let Err(gone) = self.recheck() {
            return gone;
        }
        match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => self.refused(Access::Memory, error),
            _ => Error::io(format!("reading /proc/{}/{name}", self.pid()), clone_error(error)),
        }
    }

    /// The diagnosis of a refusal.
    pub(crate) fn refused(&self, access: Access, error: &io::Error) -> Error {
        access_error(self.pid(), access, error)
    }
}

impl SharedNamespaces {
    fn of(proc: &ProcDir) -> SharedNamespaces {
        let own = ProcDir::open(std::process::id() as i32).ok();
        let shared = |name| {
            let theirs = namespace(proc, name)?;
            Some(theirs == namespace(own.as_ref()?, name)?)
        };
        SharedNamespaces {
            mount: shared("mnt"),
            pid: shared("pid"),
            user: shared("user"),
            time: shared("time"),
            cgroup: shared("cgroup"),
        }
    }
}

/// From `/proc/PID/cgroup`: lines of `id:controllers:path`.
fn cgroup_path(text: &str) -> Option<String> {
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let memory = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    memory
        .or_else(|| lines().find(|(controllers, _)| controllers.is_empty()))
        .map(|(_, path)| path.to_owned())
}

/// The inode of a namespace, from links like `pid:[4026531836]`.
fn namespace(proc: &ProcDir, name: &str) -> Option<u64> {
    let link = proc.link(&format!("ns/{name}")).ok()?;
    link.to_str()?.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

fn read_stat(proc: &ProcDir) -> io::Result<Stat> {
    let line = proc.read("stat")?;
    Stat::parse(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected format of /proc/PID/stat"))
}

pub(crate) fn comm_of(proc: &ProcDir) -> String {
    proc.text("comm")
        .map(|comm| comm.trim_end_matches('\n').to_owned())
        .unwrap_or_default()
}

/// Whether a pidfd's process has exited: then, and only then, it is readable.
fn exited(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
}

fn exe_path(link: OsString, unlinked: bool) -> (PathBuf, bool) {
    // A file may really be called "x (deleted)": only when it has no name left is the suffix the kernel's.
    match link.as_bytes().strip_suffix(b" (deleted)") {
        Some(path) if unlinked => (PathBuf::from(OsString::from_vec(path.to_vec())), true),
        _ => (PathBuf::from(link), unlinked),
    }
}

/// The second of the four ids in a `Uid:` or `Gid:` line.
fn effective_id(status: &str, key: &str) -> u32 {
    status_field(status, key)
        .and_then(|ids| ids.split_ascii_whitespace().nth(1))
        .and_then(|id| id.parse().ok())
        .unwrap_or(u32::MAX)
}

fn last_number(list: &str) -> Option<i32> {
    list.split_ascii_whitespace().last()?.parse().ok()
}

fn started_at(ticks: u64) -> SystemTime {
    let since_boot = || {
        let hz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()? as u64;
        let start = Duration::from_nanos(ticks.checked_mul(1_000_000_000u64.checked_div(hz)?)?);
        let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
        Some(Duration::from(up).saturating_sub(start))
    };
    since_boot()
        .and_then(|age| SystemTime::now().checked_sub(age))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Makes sure that `/proc` is of the PID namespace the tool lives in. Otherwise a number means one process there and
/// another one, or none, to every system call, and the wrong one would be stopped.
fn own_proc() -> Result<()> {
    let own = std::process::id();
    let ours = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| status_field(&status, "NSpid").map(|numbers| numbers.trim() == own.to_string()));
    match ours {
        Some(true) => Ok(()),
        Some(false) => Err(Error::NotPermitted {
            cause: "/proc belongs to another PID namespace than gomemscan: the same number is another process there"
                .to_owned(),
            remedy: Some(
                "run it in that PID namespace (`docker run --pid=host`, hostPID: true, `nsenter -t PID -p`), or mount \
                 /proc of its own (`unshare --mount-proc`)"
                    .to_owned(),
            ),
        }),
        None => Err(Error::NotPermitted {
            cause: "/proc is not mounted, or not of the PID namespace gomemscan runs in".to_owned(),
            remedy: Some("mount -t proc proc /proc".to_owned()),
        }),
    }
}

fn no_target(what: String, remedy: Option<String>) -> Error {
    Error::NoTarget { what, remedy }
}

/// The number that a process has in its own PID namespace, where that shows: it shows to everybody, unless /proc is
/// mounted otherwise.
pub fn ns_pid(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status_field(&status, "NSpid").and_then(last_number)
}

pub(crate) fn gone(pid: i32, what: &str) -> Error {
    Error::TargetGone {
        what: format!("process {pid} {what}"),
    }
}

/// `/proc/PID` cannot be opened.
fn absent(pid: i32, error: &io::Error) -> Error {
    if !Path::new("/proc/self/stat").exists() {
        let what = "/proc is not mounted here, so no process can be seen".to_owned();
        return no_target(what, Some("mount -t proc proc /proc".to_owned()));
    }
    // Where it is the tool that has no more descriptors, that says nothing of /proc.
    if sys::shortage(error).is_none() && sys::process_exists(pid) {
        return permissions::hidden(pid);
    }
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => no_target(format!("there is no process {pid}"), None),
        _ => Error::io(format!("opening /proc/{pid}"), clone_error(error)),
    }
}

/// A file in `/proc/PID` that everybody may read cannot be read.
fn unreadable(pid: i32, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => gone(pid, "exited while it was opened"),
        Some(libc::EACCES | libc::EPERM) => permissions::hidden(pid),
        _ => Error::io(format!("reading /proc/{pid}"), clone_error(error)),
    }
}

fn access_error(pid: i32, access: Access, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => gone(pid, "exited"),
        code => permissions::diagnose(pid, access, code.map_or(Errno::UnknownErrno, Errno::from_raw)),
    }
}

fn clone_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deleted_suffix_is_the_kernels_only_when_the_file_is_unlinked() {
        assert_eq!(
            exe_path("/bin/a (deleted)".into(), true),
            (PathBuf::from("/bin/a"), true)
        );
        assert_eq!(
            exe_path("/bin/a (deleted)".into(), false),
            (PathBuf::from("/bin/a (deleted)"), false)
        );
        assert_eq!(exe_path("/bin/a".into(), false), (PathBuf::from("/bin/a"), false));
    }

    #[test]
    fn ids_are_the_effective_ones() {
        assert_eq!(effective_id("Uid:\t1000\t0\t3\t4\n", "Uid"), 0);
        assert_eq!(last_number("812\t7\t1"), Some(1));
    }

    #[test]
    fn a_process_that_is_there_is_hidden_by_proc_and_not_by_a_shortage_of_descriptors() {
        let pid = std::process::id() as i32;
        let why = |errno| absent(pid, &io::Error::from_raw_os_error(errno));
        assert!(matches!(why(libc::ENOENT), Error::NotPermitted { .. }));
        assert!(matches!(why(libc::EMFILE), Error::Io { .. }));
    }

    #[test]
    fn a_number_that_cannot_be_a_process_is_refused() {
        for pid in [0, -1, i32::MAX] {
            assert!(matches!(LiveProcess::open(pid), Err(Error::NoTarget { .. })));
        }
    }

    #[test]
    fn a_process_knows_its_start() {
        let process = LiveProcess::open(std::process::id() as i32).unwrap();
        let age = SystemTime::now().duration_since(process.info().started_at).unwrap();
        assert!(age < Duration::from_secs(24 * 3600), "{age:?}");
        process.recheck().unwrap();
        assert_eq!(process.info().shares.pid, Some(true));
        assert!(process.exe_mapping(&process.maps().unwrap()).is_some());
    }
}
