//! The parent of a capture: starts the child, waits until it is done, and kills it when its time is over. Whatever happens
//! to either of them, the kernel lets the target run on.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, pipe2};

use super::child::{self, Mode, Phase, Task};
use super::reader::RangeReader;
use super::region::Header;
use super::store::Store;
use crate::error::{Error, Result};
use crate::memory::Planner;
use crate::spare::{self, Cpus};
use crate::target::cgroup::quota::KeptCpus;
use crate::target::procdir::status_field;
use crate::target::process::LiveProcess;
use crate::target::sys::{self, monotonic_ns};

/// How often the parent looks at the clock of the child.
const TICK_NS: u64 = 5_000_000;
/// Given beyond the pause budget before the kill: the child's own timer comes first.
const SLACK_NS: u64 = 2_000_000;
/// Beyond the patience of a child's passes: making planners, looking at the mappings again.
const EXTRA: Duration = Duration::from_secs(5);
/// A killed child is gone in an instant, unless the kernel is in trouble.
const DEATH: Duration = Duration::from_secs(30);

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exited,
    /// By a signal that was not ours: its own timer, the OOM killer, an administrator.
    Killed(Signal),
    /// Killed because its time was over.
    Overdue,
    /// Killed because the tool was told to end.
    Interrupted(Signal),
}

/// Runs the child until it has done its task: it may not have ended yet, and nothing of the target hangs on that.
/// `released` is called, at most once, when the target has been let go and the child has yet something to do.
pub(crate) fn run(
    process: &LiveProcess,
    reader: &mut dyn RangeReader,
    store: &mut Store,
    make_planner: &mut dyn FnMut() -> Box<dyn Planner>,
    task: Task,
    released: &mut dyn FnMut(),
) -> Result<(Ended, Leaving)> {
    child::prepare_panics();
    let signals = Signals::hold()?;
    // Only a child that stops a target takes any.
    let mut cpus = matches!(task.mode, Mode::Pause(_)).then(KeptCpus::now);
    // Without it the end of the child is waited for.
    let (told, tell) = pipe2(OFlag::O_CLOEXEC).ok().unzip();
    // Where the others are in use, the child starts on the CPU of this process, which is about to sleep.
    let stay = if spare::cpu() { None } else { Cpus::of_this_thread() };
    stay.inspect(Cpus::stay);
    let forked = sys::fork();
    stay.inspect(Cpus::use_all);
    let pid = match forked.map_err(|errno| failed("fork", errno))? {
        ForkResult::Child => child::run(process, reader, store, make_planner, task, tell),
        ForkResult::Parent { child } => child,
    };
    drop(tell);
    let mut child = Child {
        pid,
        pidfd: sys::pidfd_open(pid.as_raw()).ok(),
        told,
        released: false,
        status: None,
    };
    let started = monotonic_ns();
    let passes = if matches!(task.mode, Mode::Twice { .. }) { 2 } else { 1 };
    let patience = (task.patience * passes + EXTRA).as_nanos() as u64;
    let header = store.region().header();
    // The pause ends in the middle of a wait: this is not to be remembered.
    let limit = || match task.mode {
        Mode::Pause(max) if holds(header) => {
            let begin = header.interrupt_ns.load(Ordering::Acquire);
            begin.saturating_add(max.as_nanos() as u64).saturating_add(SLACK_NS)
        }
        _ => match header.released_ns.load(Ordering::Acquire) {
            0 => started.saturating_add(patience),
            released => released.saturating_add(EXTRA.as_nanos() as u64),
        },
    };
    loop {
        let left = limit().saturating_sub(monotonic_ns());
        if child.wait(Duration::from_nanos(left.min(TICK_NS)), Some(&signals))? {
            return Ok((child.ended(), Leaving(None)));
        }
        if std::mem::take(&mut child.released) {
            // The child has taken from this thread what it wanted.
            drop(cpus.take());
            signals.let_come(&mut *released);
            spare::spin_until(|| Phase::of(header) == Phase::Released);
        }
        if Phase::of(header) == Phase::Released && !holds(header) {
            return Ok((Ended::Exited, Leaving(Some(child))));
        }
        if let Some(signal) = signals.pending() {
            child.kill()?;
            return Ok((Ended::Interrupted(signal), Leaving(None)));
        }
        if monotonic_ns() >= limit() {
            child.kill()?;
            return Ok((Ended::Overdue, Leaving(None)));
        }
    }
}

/// Whether the child holds a thread of the target.
fn holds(header: &Header) -> bool {
    let released = header.released_ns.load(Ordering::Acquire) != 0;
    header.interrupt_ns.load(Ordering::Acquire) != 0 && (!released || header.held_in_kernel.load(Ordering::Acquire) > 0)
}

fn failed(what: &str, errno: Errno) -> Error {
    Error::io(what, sys::io_error(errno))
}

/// Signals that must not stop or end the tool between the fork and the death of the child. What came is delivered
/// when this is dropped, or let come before.
struct Signals {
    before: SigSet,
    all: SigSet,
    ending: SigSet,
    fd: SignalFd,
}

/// Signals that whoever started the tool told it to ignore (`nohup`, a background job), as bits from the lowest.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status_field(&status, "SigIgn")
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

impl Signals {
    fn hold() -> Result<Signals> {
        let ignored = ignored_signals();
        let ending: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT]
            .into_iter()
            .filter(|signal| ignored & (1 << (*signal as u32 - 1)) == 0)
            .collect();
        let mut all: SigSet = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]
            .into_iter()
            .collect();
        all.extend(ending.iter());
        let before = SigSet::thread_get_mask().map_err(|errno| failed("sigprocmask", errno))?;
        let fd = SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|errno| failed("signalfd", errno))?;
        all.thread_block().map_err(|errno| failed("sigprocmask", errno))?;
        Ok(Signals {
            before,
            all,
            ending,
            fd,
        })
    }

    /// While `work` is done signals do what they always do: nothing of the target is held.
    fn let_come(&self, work: &mut dyn FnMut()) {
        let _ = self.before.thread_set_mask();
        work();
        let _ = self.all.thread_block();
    }

    /// An ending signal that waits to be delivered, and goes on waiting.
    fn pending(&self) -> Option<Signal> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..)) {
            return None;
        }
        let pending = sys::pending_signals();
        self.ending
            .iter()
            .find(|&signal| pending.contains(signal))
            .or(Some(Signal::SIGTERM))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

/// A child that has done its task, and may be giving its memory back.
#[derive(Debug)]
pub(crate) struct Leaving(Option<Child>);

impl Leaving {
    /// Waits until it has ended: only then its memory counts among that of children.
    pub(crate) fn end(&mut self) -> Result<()> {
        let Some(mut child) = self.0.take() else { return Ok(()) };
        let limit = monotonic_ns().saturating_add(DEATH.as_nanos() as u64);
        while monotonic_ns() < limit {
            if child.wait(Duration::from_millis(10), None)? {
                return Ok(());
            }
        }
        child.kill()
    }
}

/// The child; killed and reaped when dropped.
#[derive(Debug)]
struct Child {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    /// The end of a pipe whose other end the child writes to when it has let the target go, and closes when it has done
    /// its task.
    told: Option<OwnedFd>,
    /// It has just been written to.
    released: bool,
    status: Option<WaitStatus>,
}

impl Child {
    /// Waits at most this long, or until an ending signal; whether the child has ended.
    fn wait(&mut self, timeout: Duration, signals: Option<&Signals>) -> Result<bool> {
        let timeout = PollTimeout::try_from(timeout.as_millis() as u64 + 1).unwrap_or(PollTimeout::MAX);
        let mut fds: Vec<PollFd> = Vec::with_capacity(3);
        // While signals are looked for, the task is not known to be done.
        let told = self.told.as_ref().filter(|_| signals.is_some());
        fds.extend(told.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.pidfd.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(signals.map(|signals| PollFd::new(signals.fd.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed("poll", errno)),
        }
        let is_told = told.is_some() && fds.first().is_some_and(|fd| fd.any() != Some(false));
        drop(fds);
        if let Some(fd) = self.told.as_ref().filter(|_| is_told) {
            // Whoever has not done its task when it closes the pipe is about to end.
            match nix::unistd::read(fd, &mut [0]) {
                Ok(1..) => self.released = true,
                Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => self.told = None,
            }
        }
        self.reap()
    }

    fn reap(&mut self) -> Result<bool> {
        if self.status.is_some() {
            return Ok(true);
        }
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
            Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => {
                self.status = Some(status);
                Ok(true)
            }
            Ok(_) => Ok(false),
            // The caller ignores SIGCHLD: the kernel reaps by itself.
            Err(Errno::ECHILD) => {
                self.status = Some(WaitStatus::Exited(self.pid, 0));
                Ok(true)
            }
            Err(errno) => Err(failed("waitpid", errno)),
        }
    }

    /// Kills it and waits for its death, with which the target is free.
    fn kill(&mut self) -> Result<()> {
        let _ = kill(self.pid, Signal::SIGKILL);
        let limit = monotonic_ns().saturating_add(DEATH.as_nanos() as u64);
        while monotonic_ns() < limit {
            if self.wait(Duration::from_millis(10), None)? {
                return Ok(());
            }
        }
        Err(Error::Internal {
            what: format!("the capturing child {} does not die after SIGKILL", self.pid),
        })
    }

    fn ended(&self) -> Ended {
        match self.status {
            Some(WaitStatus::Signaled(_, signal, _)) => Ended::Killed(signal),
            _ => Ended::Exited,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.kill();
        }
    }
}
