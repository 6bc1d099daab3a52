//! What the end of a capture's child means for the scan: a result, a part of one, or an error with its cause.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::child::{Failure, Mode, Phase};
use super::engine::End;
use super::region::Header;
use super::watchdog::Ended;
use super::{Incomplete, PauseParts};
use crate::error::{Error, Result};
use crate::target::permissions::Access;
use crate::target::process::{LiveProcess, gone};
use crate::target::sys::io_error;

impl LiveProcess {
    /// What the end of the child means.
    pub(super) fn verdict(
        &self,
        header: &Header,
        ended: Ended,
        mode: Mode,
    ) -> Result<std::result::Result<(), Incomplete>> {
        let pid = self.pid();
        match Failure::of(header) {
            Failure::None => {}
            Failure::Internal => {
                return Err(Error::Internal {
                    what: format!("capture: {}", header.message()),
                });
            }
            Failure::Gone => {
                let what = header.message();
                return Err(match self.recheck() {
                    _ if !what.is_empty() => Error::TargetGone { what },
                    Err(error) => error,
                    Ok(()) => gone(pid, "was exiting while it was read"),
                });
            }
            failure @ (Failure::PtraceRefused | Failure::ReadRefused) => {
                let access = if failure == Failure::PtraceRefused {
                    Access::Ptrace
                } else {
                    Access::Memory
                };
                let errno = Errno::from_raw(header.errno.load(Ordering::Relaxed));
                return Err(self.refused(access, &io_error(errno)));
            }
            Failure::Short => {
                let errno = Errno::from_raw(header.errno.load(Ordering::Relaxed));
                return Err(Error::io(format!("reading process {pid}"), io_error(errno)));
            }
            Failure::CannotFit => {
                let floor = Duration::from_nanos(header.message().parse().unwrap_or(0));
                let threads = header.threads.load(Ordering::Relaxed);
                let takes = format!(
                    "stopping the {threads} threads of process {pid} and letting them go takes about {floor:?}"
                );
                return Err(match quota_of(header) {
                    None => self.too_slow(format!("{takes}, more than the pause budget")),
                    Some(quota) => Error::PauseBudget {
                        what: format!(
                            "{takes}; gomemscan's own cgroup has CPU time for {quota:?} at a time, and the target would \
                             wait with it for more"
                        ),
                        remedy: Some(
                            "run it outside of that cgroup or with a larger CPU limit, or read without a stop \
                             (--no-pause)"
                                .to_owned(),
                        ),
                    },
                });
            }
            Failure::TooSlow => {
                let thread = header.thread.load(Ordering::Relaxed);
                return Err(self.too_slow(format!(
                    "thread {thread} of process {pid} did not stop within the pause budget"
                )));
            }
        }
        let phase = Phase::of(header);
        match ended {
            Ended::Interrupted(signal) => {
                let interrupted = std::io::Error::new(std::io::ErrorKind::Interrupted, signal.as_str());
                Err(Error::io("the capture was called off", interrupted))
            }
            Ended::Exited | Ended::Killed(_) | Ended::Overdue if phase == Phase::Released => Ok(completeness(header, mode)),
            // Reading was over, and what was left of letting go the kernel has done.
            Ended::Exited | Ended::Killed(_) | Ended::Overdue if phase == Phase::Releasing => {
                Ok(completeness(header, mode).and(Err(Incomplete::Unchecked)))
            }
            // A filter kills for the call that a refusal of would be an answer to.
            Ended::Killed(Signal::SIGSYS) => Err(self.refused(Access::Ptrace, &io_error(Errno::ENOSYS))),
            Ended::Killed(_) | Ended::Overdue if phase == Phase::Stopped => Ok(Err(Incomplete::PauseSpent)),
            Ended::Killed(_) | Ended::Overdue if phase == Phase::Stopping => {
                Err(self.too_slow(format!("process {pid} did not stop within the pause budget")))
            }
            Ended::Overdue => Err(Error::Internal {
                what: "reading the running target came to no end".to_owned(),
            }),
            // It has volunteered to be the first.
            Ended::Killed(Signal::SIGKILL) => Err(Error::Internal {
                what: "the capturing child was killed by SIGKILL, as the kernel does where memory is short: run gomemscan \
                       outside of the target's cgroup, or when there is more"
                    .to_owned(),
            }),
            Ended::Killed(signal) => Err(Error::Internal {
                what: format!("the capturing child was killed by {}", signal.as_str()),
            }),
            Ended::Exited => Err(Error::Internal {
                what: "the capturing child ended without a result".to_owned(),
            }),
        }
    }

    fn too_slow(&self, what: String) -> Error {
        let remedy = Some("read it without a stop (--no-pause), or allow a longer one (--max-pause)".to_owned());
        Error::PauseBudget { what, remedy }
    }
}

/// Whether the pass that counts came to its own end.
fn completeness(header: &Header, mode: Mode) -> std::result::Result<(), Incomplete> {
    match header.end.load(Ordering::Acquire) {
        end if end == End::Time as u32 && matches!(mode, Mode::Pause(_)) => Err(Incomplete::PauseSpent),
        end if end == End::Time as u32 => Err(Incomplete::TimeSpent),
        end if end == End::Bytes as u32 => Err(Incomplete::BytesSpent),
        end if end == End::Waves as u32 => Err(Incomplete::Endless),
        _ => Ok(()),
    }
}

/// From the first interrupt to the last release, which is the death of the child when it could not release by itself.
pub(super) fn pause_of(header: &Header, ended_ns: u64) -> Duration {
    let begin = header.interrupt_ns.load(Ordering::Acquire);
    let released = header.released_ns.load(Ordering::Acquire);
    let by_exit = released == 0 || header.held_in_kernel.load(Ordering::Acquire) > 0;
    let end = if by_exit { ended_ns } else { released };
    if begin == 0 {
        Duration::ZERO
    } else {
        Duration::from_nanos(end.saturating_sub(begin))
    }
}

/// How long the stop could last by the CPU time of the tool's cgroup, where that was less than allowed.
pub(super) fn quota_of(header: &Header) -> Option<Duration> {
    match header.quota_ns.load(Ordering::Acquire) {
        0 => None,
        ns => Some(Duration::from_nanos(ns)),
    }
}

/// The parts of a pause that went through all of them.
pub(super) fn parts_of(header: &Header, pause: Duration) -> PauseParts {
    let begin = header.interrupt_ns.load(Ordering::Acquire);
    let stopped = header.stopped_ns.load(Ordering::Relaxed);
    let copied = header.copied_ns.load(Ordering::Acquire);
    if begin == 0 || stopped < begin || copied < stopped {
        return PauseParts::default();
    }
    let (stop, copy) = (
        Duration::from_nanos(stopped - begin),
        Duration::from_nanos(copied - stopped),
    );
    PauseParts {
        stop,
        copy,
        release: pause.saturating_sub(stop).saturating_sub(copy),
    }
}
