//! What the kernel answers when it is asked, by a child of the tool: a filter that kills for a call kills the child, and
//! what is allowed to the tool's children is what counts, for such a child makes the capture.
//!
//! No process is touched. Whether a call gets past the filters is asked about a process that cannot exist; whether a
//! process may be read is asked of address 0, where nothing is mapped: the permission is checked first, and it is the
//! one that attaching needs (`PTRACE_MODE_ATTACH_REALCREDS`, in `mm/process_vm_access.c` and `kernel/ptrace.c`).

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, pipe};

use crate::target::sys;

/// No process has this number: the kernel's limit is far below.
const NOBODY: i32 = i32::MAX;
/// A filter can leave the answer to another process, which may never give it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of one answer on the pipe.
const ANSWER: usize = 4;

/// Whether a system call reaches the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passage {
    /// It does.
    Passes,
    /// It is answered with this error before it gets there.
    Refused(i32),
    /// Making it is deadly.
    Kills,
    /// That was not found out.
    #[default]
    Unknown,
}

/// The kernel's answer to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nobody asked.
    #[default]
    Unasked,
    /// It would do it.
    Granted,
    /// It answers with this error.
    Refused(i32),
}

/// All answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Whether a child could be made at all; the error when not.
    pub helper: Answer,
    /// `process_vm_readv`.
    pub readv: Passage,
    /// `ptrace`.
    pub ptrace: Passage,
    /// Reading the memory of the process: refused when it is for any of its threads.
    pub memory: Answer,
}

/// Asks about the threads of a process.
pub(crate) fn probe(threads: &[i32]) -> Probes {
    let mut probes = Probes::default();
    let (answers, death) = match ask(threads) {
        Ok(answered) => {
            probes.helper = Answer::Granted;
            answered
        }
        Err(errno) => {
            probes.helper = Answer::Refused(errno as i32);
            return probes;
        }
    };
    let passage = |index: usize| match answers.get(index) {
        // Past all filters, the kernel looks for the process and finds none.
        Some(&answer) if answer == Errno::ESRCH as i32 => Passage::Passes,
        Some(&answer) => Passage::Refused(answer),
        None if index == answers.len() && death == Some(Signal::SIGSYS) => Passage::Kills,
        None => Passage::Unknown,
    };
    (probes.readv, probes.ptrace) = (passage(0), passage(1));
    let granted = |answer: i32| answer == 0 || answer == Errno::EFAULT as i32;
    let mut asked = answers
        .iter()
        .skip(2)
        .copied()
        .filter(|&answer| answer != Errno::ESRCH as i32)
        .peekable();
    if asked.peek().is_some() {
        probes.memory = asked
            .find(|&answer| !granted(answer))
            .map_or(Answer::Granted, Answer::Refused);
    }
    probes
}

/// The error numbers that the child got, in the order of its questions, and the signal that ended it early.
fn ask(threads: &[i32]) -> Result<(Vec<i32>, Option<Signal>), Errno> {
    let (read, write) = pipe()?;
    match sys::fork()? {
        ForkResult::Child => {
            drop(read);
            answer(threads, &write);
            sys::exit_now(0)
        }
        ForkResult::Parent { child } => {
            drop(write);
            let bytes = read_patiently(read);
            if bytes.is_none() {
                let _ = kill(child, Signal::SIGKILL);
            }
            let death = loop {
                match waitpid(child, None) {
                    Ok(WaitStatus::Signaled(_, signal, _)) => break Some(signal),
                    Err(Errno::EINTR) => {}
                    _ => break None,
                }
            };
            let bytes = bytes.unwrap_or_default();
            let answers = bytes.chunks_exact(ANSWER).filter_map(|answer| answer.try_into().ok());
            Ok((answers.map(i32::from_ne_bytes).collect(), death))
        }
    }
}

/// The child: asks, and writes down each answer before it asks on.
fn answer(threads: &[i32], to: &OwnedFd) {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let say = |answer: Result<(), Errno>| {
        let number = answer.err().map_or(0, |errno| errno as i32);
        let _ = nix::unistd::write(to, &number.to_ne_bytes());
    };
    say(read_nothing(NOBODY));
    say(sys::ptrace_seize(NOBODY));
    threads.iter().for_each(|&tid| say(read_nothing(tid)));
}

/// Reads address 0.
fn read_nothing(pid: i32) -> Result<(), Errno> {
    let mut word = [0; 8];
    let remote = RemoteIoVec {
        base: 0,
        len: word.len(),
    };
    process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut word)], &[remote]).map(drop)
}

/// Everything up to the end of the pipe; `None` when that takes too long.
fn read_patiently(from: OwnedFd) -> Option<Vec<u8>> {
    let mut file = File::from(from);
    let end = Instant::now() + PATIENCE;
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return None,
            Ok(_) => match file.read(&mut part) {
                Ok(0) => return Some(all),
                Ok(got) => all.extend_from_slice(part.get(..got)?),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Some(all),
            },
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_there_has_an_answer_and_one_that_is_not_has_none() {
        let own = probe(&[std::process::id() as i32]);
        assert_eq!((own.readv, own.ptrace), (Passage::Passes, Passage::Passes));
        // Yama may forbid it: a child is no parent.
        assert!(
            own.helper == Answer::Granted && own.memory != Answer::Unasked,
            "{own:?}"
        );
        assert_eq!(probe(&[NOBODY]).memory, Answer::Unasked);
        assert_eq!(probe(&[]).memory, Answer::Unasked);
    }
}
