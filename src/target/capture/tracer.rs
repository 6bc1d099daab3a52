//! Stops every thread of a process and lets it go again, by SEIZE and INTERRUPT. Stops are only ever peeked at, never
//! consumed, so that at every instant the death of the tracer leaves each thread running and each signal delivered.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use nix::errno::Errno;

use super::cost::{PATIENCE_NS, SHORT_PATIENCE_NS};
use super::deadline::Deadline;
use crate::error::Error;
use crate::target::procdir::Stat;
use crate::target::process::LiveProcess;
use crate::target::sys::{self, Peek};

/// Listing threads again and again ends at some point, even for a fork bomb.
const MAX_LISTINGS: usize = 1000;

/// How long to sleep, at most, until a thread is looked at again.
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_micros(200);
/// How long to sleep for each thread that has not been looked at, whatever news there is meanwhile: each that stops is
/// some, and would be kept waiting for the tool to take note of the one before it.
const NAP_PER_THREAD: Duration = Duration::from_micros(2);
/// A shorter sleep than this is not worth one.
const SHORTEST_NAP: Duration = Duration::from_micros(20);
/// How often in a row a thread that a signal has stopped may refuse to run on.
const MOST_REFUSALS: u32 = 50;

/// Why a process could not be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopError {
    /// The kernel refuses to attach to this thread.
    Refused(Errno, i32),
    /// No thread is left.
    Gone,
    /// Not all threads stopped in time; this one did not.
    TooSlow(i32),
    /// The tool has no more descriptors or memory.
    Short(Errno),
}

impl StopError {
    /// What became of listing the threads.
    pub(crate) fn of_listing(error: &io::Error) -> StopError {
        sys::shortage(error).map_or(StopError::Gone, StopError::Short)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
    /// Blocked in the kernel (vfork, a disk): the interrupt is pending and no user code runs before it.
    InKernel,
    Gone,
}

/// A process whose threads are attached.
pub(crate) struct Tracer<'a> {
    process: &'a LiveProcess,
    threads: Vec<(i32, State)>,
    known: HashSet<i32>,
    /// Threads that were born after the first listing.
    pub late: usize,
    /// Whether a thread was found that a signal had stopped on its way to it, perhaps before it was interrupted.
    pub met_signals: bool,
}

impl<'a> Tracer<'a> {
    /// Attaches to all threads, stopping none but those that a signal reaches from now on.
    pub(crate) fn seize(process: &'a LiveProcess) -> Result<Tracer<'a>, StopError> {
        let mut tracer = Tracer {
            process,
            threads: Vec::new(),
            known: HashSet::new(),
            late: 0,
            met_signals: false,
        };
        for _ in 0..MAX_LISTINGS {
            if tracer.seize_new()? == 0 {
                break;
            }
        }
        if tracer.threads.is_empty() {
            Err(StopError::Gone)
        } else {
            Ok(tracer)
        }
    }

    /// How many threads are attached and not known to be gone.
    pub(crate) fn threads(&self) -> usize {
        self.count(|state| state != State::Gone)
    }

    /// How many threads exited while attached.
    pub(crate) fn gone(&self) -> usize {
        self.count(|state| state == State::Gone)
    }

    fn count(&self, is: impl Fn(State) -> bool) -> usize {
        self.threads.iter().filter(|(_, state)| is(*state)).count()
    }

    /// Attaches to the threads that are listed and not attached yet; how many.
    fn seize_new(&mut self) -> Result<usize, StopError> {
        let tids = self.process.proc().numbers("task");
        let tids = tids.map_err(|error| StopError::of_listing(&error))?;
        let before = self.threads.len();
        for tid in tids {
            if self.known.contains(&tid) {
                continue;
            }
            match self.attach(tid) {
                Ok(()) => {
                    self.known.insert(tid);
                    self.threads.push((tid, State::Running));
                }
                Err(Errno::ESRCH) => {}
                // A main thread that has exited before the others stays listed as a zombie.
                Err(Errno::EPERM) if matches!(self.kernel_state(tid), Ok(None | Some(b'Z' | b'X'))) => {}
                Err(_) if matches!(self.process.recheck(), Err(Error::TargetGone { .. })) => {
                    return Err(StopError::Gone);
                }
                Err(errno) => return Err(StopError::Refused(errno, tid)),
            }
        }
        Ok(self.threads.len() - before)
    }

    /// Attaches to a thread. In the middle of an exec the main thread is dead for a moment, until the one that called
    /// exec has taken its number: it was dead when it was refused, and alive when asked.
    fn attach(&self, tid: i32) -> Result<(), Errno> {
        match sys::ptrace_seize(tid) {
            Err(Errno::EPERM) if !matches!(self.kernel_state(tid), Ok(None | Some(b'Z' | b'X'))) => {
                sys::ptrace_seize(tid)
            }
            result => result,
        }
    }

    /// `None` if there is no such thread any more.
    fn kernel_state(&self, tid: i32) -> Result<Option<u8>, StopError> {
        match self.process.proc().read(&format!("task/{tid}/stat")) {
            Ok(line) => Ok(Stat::parse(&line).map(|stat| stat.state)),
            Err(error) => sys::shortage(&error).map_or(Ok(None), |errno| Err(StopError::Short(errno))),
        }
    }

    /// Stops all threads, those born meanwhile too. On an error the caller must exit: that is what frees the target.
    pub(crate) fn stop(&mut self, deadline: Deadline) -> Result<(), StopError> {
        let mut first = 0;
        for _ in 0..MAX_LISTINGS {
            for (tid, state) in self.threads.iter_mut().skip(first) {
                if sys::ptrace_interrupt(*tid).is_err() {
                    *state = State::Gone;
                }
            }
            self.wait_from(first, deadline)?;
            first = self.threads.len();
            // With everything known at rest only threads born before that can still appear.
            if self.all_are_known() || self.seize_new()? == 0 {
                return if self.threads() == 0 {
                    Err(StopError::Gone)
                } else {
                    Ok(())
                };
            }
            self.late += self.threads.len() - first;
        }
        Err(StopError::TooSlow(self.process.pid()))
    }

    /// Whether the kernel counts as many threads as are held, which spares listing them: the link count of `task` is
    /// two plus the number of threads.
    fn all_are_known(&self) -> bool {
        let held = self.threads();
        self.process
            .proc()
            .stat("task")
            .is_ok_and(|stat| stat.st_nlink as usize == held + 2)
    }

    fn wait_from(&mut self, first: usize, deadline: Deadline) -> Result<(), StopError> {
        let mut slow = Vec::new();
        let mut patience = PATIENCE_NS;
        for index in first..self.threads.len() {
            let Some(&(tid, State::Running)) = self.threads.get(index) else {
                continue;
            };
            let unseen = self.threads.len() - index;
            match wait_one(tid, deadline.or_in(patience), unseen, &mut self.met_signals)? {
                Some(state) => self.set(index, state),
                None => {
                    slow.push(index);
                    patience = SHORT_PATIENCE_NS;
                }
            }
        }
        // Thousands need their turn on a CPU; what the kernel does with each is asked only when no more come.
        let mut stuck = false;
        while !slow.is_empty() {
            let before = slow.len();
            let mut left = Vec::new();
            for index in slow {
                let Some(&(tid, _)) = self.threads.get(index) else {
                    continue;
                };
                let state = match wait_one(tid, Deadline::at(0), 1, &mut self.met_signals)? {
                    None if stuck => match self.kernel_state(tid)? {
                        None | Some(b'Z' | b'X') => Some(State::Gone),
                        Some(b'D') => Some(State::InKernel),
                        Some(_) => None,
                    },
                    seen => seen,
                };
                match state {
                    Some(state) => self.set(index, state),
                    None if deadline.has_passed() => return Err(StopError::TooSlow(tid)),
                    None => left.push(index),
                }
            }
            if !left.is_empty() {
                // Where none has stopped, a short look is one more that finds none.
                await_news(if left.len() < before { left.len() } else { 1 });
            }
            stuck = left.len() == before;
            slow = left;
        }
        Ok(())
    }

    fn set(&mut self, index: usize, state: State) {
        if let Some(thread) = self.threads.get_mut(index) {
            thread.1 = state;
        }
    }

    /// Lets all threads go. Returns how many must wait for the tracer's exit: those blocked in the kernel, which
    /// cannot be detached.
    pub(crate) fn release(&mut self) -> usize {
        let mut left = 0;
        for (tid, state) in &mut self.threads {
            match state {
                State::Stopped => {
                    // ESRCH: killed while it was held. Nothing is left to release.
                    let _ = sys::ptrace_detach(*tid);
                }
                State::InKernel | State::Running if sys::peek_stop(*tid) == Peek::EventStop => {
                    let _ = sys::ptrace_detach(*tid);
                }
                State::InKernel | State::Running => left += 1,
                State::Gone => {}
            }
        }
        left
    }
}

/// Waits until the thread, one of `unseen` that have not been looked at, is in an event stop, passing on whatever signal
/// comes first. `None` at the deadline.
fn wait_one(
    tid: i32,
    deadline: Deadline,
    mut unseen: usize,
    met_signals: &mut bool,
) -> Result<Option<State>, StopError> {
    let mut refused = 0;
    loop {
        match sys::peek_stop(tid) {
            Peek::EventStop => return Ok(Some(State::Stopped)),
            Peek::Gone => return Ok(Some(State::Gone)),
            // Entering any stop takes back a pending interrupt. Asked again while it stands here, the thread takes
            // the signal (enters its handler, stops, or dies) and traps before it runs on.
            Peek::Signal(signal) => {
                *met_signals = true;
                let _ = sys::ptrace_interrupt(tid);
                // It fails for a thread that was killed while it stood, which is gone in a moment. If it is not, only the
                // end of the tracer lets it run on.
                match sys::ptrace_cont(tid, signal) {
                    // It alone is waited for now.
                    Ok(()) => (refused, unseen) = (0, 1),
                    Err(errno) if refused == MOST_REFUSALS => return Err(StopError::Refused(errno, tid)),
                    Err(_) => refused += 1,
                }
                if refused > 0 {
                    sys::wait_sigchld(PAUSE_BETWEEN_LOOKS);
                }
            }
            Peek::Running if deadline.has_passed() => return Ok(None),
            Peek::Running => await_news(unseen),
        }
    }
}

/// Sleeps until a thread stops, or until many of so many may have.
fn await_news(unseen: usize) {
    match NAP_PER_THREAD.saturating_mul(u32::try_from(unseen).unwrap_or(u32::MAX)) {
        nap if nap < SHORTEST_NAP => sys::wait_sigchld(PAUSE_BETWEEN_LOOKS),
        nap => std::thread::sleep(nap.min(PAUSE_BETWEEN_LOOKS)),
    }
}
