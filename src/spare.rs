//! Which CPUs the tool may use, and when. A target that is busy, and whatever else runs on the machine, comes first: where
//! all other CPUs are in use, what two threads could share is done by one, and a scan takes longer instead of taking more
//! from others. Of the moment in which the target stands still this says nothing: its CPUs are free then.

mod cpus;
mod parts;
mod scheduling;
mod second;

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};

pub use cpus::{Cpus, is_filtered};
pub use parts::in_parts;
pub use scheduling::{Scheduling, give_way, may_run_first, run_first, run_often};
pub use second::{awake, beside, prepare, spin_until};

/// What the last look found.
static FOUND: AtomicU8 = AtomicU8::new(NOT_LOOKED);
const NOT_LOOKED: u8 = 0;
const NONE: u8 = 1;
const SOME: u8 = 2;

/// What runs for a moment only, like a worker of the kernel's or the end of a process, does not take a CPU: one of so many
/// looks must find it free.
const LOOKS: usize = 8;
/// From one look to the next.
const BETWEEN_LOOKS: Duration = Duration::from_micros(50);
/// Whoever lets others go first and waits for longer than this has no CPU to itself.
const SHARED: Duration = Duration::from_micros(300);

/// Looks how many CPUs are in use; for what is done from now on. To be called while only one thread of the tool is at work.
pub fn look() {
    let mut alone = true;
    let once_more = |look: usize| {
        let before = Instant::now();
        if look > 0 {
            while before.elapsed() < BETWEEN_LOOKS {
                std::hint::spin_loop();
            }
        }
        // A thread that has gone to sleep on this CPU counts among those that run until the next one is chosen here
        // (kernel: kernel/sched/fair.c, `DELAY_DEQUEUE`). Where others do want the CPU, that costs a turn of theirs.
        if alone {
            std::thread::yield_now();
            alone = before.elapsed() < BETWEEN_LOOKS + SHARED;
        }
        is_any_free()
    };
    let found = match has_two_cpus() && (0..LOOKS).any(once_more) {
        true => SOME,
        false => NONE,
    };
    FOUND.store(found, Ordering::Relaxed);
}

/// Whether a second thread would have a CPU to itself, as far as the last [`look`] could tell; before the first, whether
/// there are two CPUs at all.
pub fn cpu() -> bool {
    match FOUND.load(Ordering::Relaxed) {
        NOT_LOOKED => has_two_cpus(),
        found => found == SOME,
    }
}

/// Whether this thread may use two CPUs, in use or not.
pub fn has_two_cpus() -> bool {
    available_parallelism().is_ok_and(|cpus| cpus.get() > 1)
}

/// Whether fewer threads than CPUs run at this moment, this one counted. Where the kernel does not say, there may be
/// one.
fn is_any_free() -> bool {
    let cpus = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    let mut text = [0; 128];
    let read = File::open("/proc/loadavg").and_then(|mut file| file.read(&mut text));
    let running = read
        .ok()
        .and_then(|len| running(std::str::from_utf8(text.get(..len)?).ok()?));
    cpus.zip(running)
        .is_none_or(|(cpus, running)| u64::try_from(cpus).is_ok_and(|cpus| running < cpus))
}

/// Threads that run or wait for a CPU, of `/proc/loadavg` (kernel: fs/proc/loadavg.c, `nr_running`).
fn running(loadavg: &str) -> Option<u64> {
    let (running, _) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    running.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_many_threads_run() {
        assert_eq!(running("2.00 1.01 0.41 2/180 5868\n"), Some(2));
        assert_eq!(running("0.00 0.01 0.05 17/4096 1\n"), Some(17));
        for nonsense in ["", "2.00 1.01 0.41", "a b c d e", "0 0 0 x/1 1"] {
            assert_eq!(running(nonsense), None, "{nonsense:?}");
        }
        let here = std::fs::read_to_string("/proc/loadavg").unwrap();
        assert!(running(&here).is_some_and(|running| running > 0), "{here}");
    }
}
