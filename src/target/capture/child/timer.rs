//! The end of a pause that nothing else has ended.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use super::{Failed, Failure};
use crate::target::sys;

/// A timer that kills this process: the second belt, for when the parent is slow or stopped.
pub(super) enum KillTimer {
    /// Sends SIGKILL.
    Posix(Timer),
    /// Sends SIGALRM, whose default action is as deadly while nobody changes it; for when the user's queue of signals
    /// is full, from which the first kind takes an entry.
    Alarm,
}

impl KillTimer {
    pub(super) fn make() -> Result<KillTimer, Failed> {
        let kill = SigevNotify::SigevSignal {
            signal: Signal::SIGKILL,
            si_value: 0,
        };
        match Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(kill)) {
            Ok(timer) => Ok(KillTimer::Posix(timer)),
            Err(Errno::EAGAIN) => Ok(KillTimer::Alarm),
            Err(errno) => Err(timer_failed(errno)),
        }
    }

    pub(super) fn arm(&mut self, after: Duration) -> Result<(), Failed> {
        match self {
            KillTimer::Posix(timer) => timer.set(
                Expiration::OneShot(TimeSpec::from_duration(after)),
                TimerSetTimeFlags::empty(),
            ),
            KillTimer::Alarm => sys::alarm_after(after),
        }
        .map_err(timer_failed)
    }

    /// From now on it kills nobody.
    pub(super) fn disarm(&mut self) {
        match self {
            KillTimer::Posix(timer) => drop(timer.set(
                Expiration::OneShot(TimeSpec::from_duration(Duration::ZERO)),
                TimerSetTimeFlags::empty(),
            )),
            KillTimer::Alarm => drop(nix::unistd::alarm::cancel()),
        }
    }
}

fn timer_failed(errno: Errno) -> Failed {
    Failed::new(Failure::Internal, format!("timer: {errno}"))
}
