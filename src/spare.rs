//! Whether a second thread of the tool would have a CPU to itself. A target that is busy, and whatever else runs on the
//! machine, comes first: where all other CPUs are in use, what two threads could share is done by one, and a scan takes
//! longer instead of taking more from others. Of the moment in which the target stands still this says nothing: its CPUs are
//! free then.

use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{Pid, SysconfVar, gettid, sysconf};

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

/// Looks how many CPUs are in use; for threads begun from now on. To be called while only one thread of the tool runs.
pub fn look() {
    let once_more = |look: usize| {
        if look > 0 {
            let before = Instant::now();
            while before.elapsed() < BETWEEN_LOOKS {
                std::hint::spin_loop();
            }
        }
        // A thread that has gone to sleep on this CPU counts among those that run until the next one is chosen here
        // (kernel: kernel/sched/fair.c, `DELAY_DEQUEUE`).
        std::thread::yield_now();
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

fn has_two_cpus() -> bool {
    available_parallelism().is_ok_and(|cpus| cpus.get() > 1)
}

/// Makes the second thread, for work of the calling one; where it cannot be had all is done by one. Only the first call
/// of a process does that. To be called once the target runs on: whoever forks to stop it is to be alone.
pub fn prepare() {
    if !cpu() {
        return;
    }
    // They are for the first thread, which may have to hold them back.
    let held: SigSet = [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ]
    .into_iter()
    .collect();
    let Ok(before) = held.thread_swap_mask(SigmaskHow::SIG_BLOCK) else {
        return;
    };
    // The other error is that it is there already.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .use_current_thread()
        .start_handler(|_| SECOND.store(gettid().as_raw(), Ordering::Release))
        .build_global();
    let _ = before.thread_set_mask();
    // Should it have been put behind this one.
    std::thread::yield_now();
}

/// The second thread; 0 while there is none.
static SECOND: AtomicI32 = AtomicI32::new(0);

/// Sends the second thread, if there is one, to a CPU that is not the calling one's. Gives back where it may run once it
/// is there.
fn keep_apart() -> Option<Cpus> {
    let second = SECOND.load(Ordering::Acquire);
    let cpus = Cpus::of_this_thread().filter(|_| second > 0)?;
    let _ = sched_setaffinity(Pid::from_raw(second), &cpus.others);
    Some(cpus)
}

/// Where threads may run.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// Where this thread may.
    pub all: CpuSet,
    /// The same without the CPU that it is on: where a thread may start that is to run beside it. The scheduler of a
    /// virtual machine takes a CPU that is idle for one that is away, and lets the other thread wait behind this one for
    /// some milliseconds.
    pub others: CpuSet,
}

impl Cpus {
    /// Those of this thread; `None` where there is only one, or a filter may kill for being told to use them.
    pub fn of_this_thread() -> Option<Cpus> {
        if is_filtered() {
            return None;
        }
        let all = sched_getaffinity(THIS_THREAD).ok()?;
        let mut others = all;
        others.unset(sched_getcpu().ok()?).ok()?;
        let any = (0..CpuSet::count()).any(|cpu| others.is_set(cpu).unwrap_or(false));
        any.then_some(Cpus { all, others })
    }

    /// This thread has started, and may run wherever the scheduler finds best.
    pub fn use_all(&self) {
        let _ = sched_setaffinity(THIS_THREAD, &self.all);
    }
}

/// Whether a seccomp filter watches this process.
fn is_filtered() -> bool {
    static FILTERED: OnceLock<bool> = OnceLock::new();
    let look = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        mode.is_some_and(|mode| mode.trim() != "0")
    };
    *FILTERED.get_or_init(look)
}

/// As the scheduler's calls name the thread that makes them.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Whether what is done now may be done by two threads.
fn shared() -> bool {
    cpu() && rayon::current_thread_index().is_some()
}

/// Does two things at a time, the first on the second thread, where a CPU is to spare for it; else one after the other.
pub fn beside<A: Send, B>(first: impl Fn() -> A + Sync, second: impl FnOnce() -> B) -> (A, B) {
    if !shared() {
        return (first(), second());
    }
    let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut done = None;
    let second = rayon::in_place_scope(|scope| {
        scope.spawn(|_| {
            begun.store(true, Ordering::Release);
            done = Some(first());
            ended.store(true, Ordering::Release);
        });
        let second = second();
        // If it has not begun, it is done here.
        spin_until(|| ended.load(Ordering::Acquire) || !begun.load(Ordering::Acquire));
        second
    });
    (done.unwrap_or_else(first), second)
}

/// How long a thread that waits for work, or for the end of another's, keeps its CPU: to wake up on a machine that is
/// virtual takes as long as much of the work.
const LONGEST_SPIN: Duration = Duration::from_millis(5);

fn spin_until(over: impl Fn() -> bool) {
    let begun = Instant::now();
    while !over() && begun.elapsed() < LONGEST_SPIN {
        std::hint::spin_loop();
    }
}

/// Does what will often be done [`beside`] something else: meanwhile the second thread does not fall asleep at once.
pub fn awake<T>(work: impl FnOnce() -> T) -> T {
    if !shared() {
        return work();
    }
    let cpus = keep_apart();
    let over = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        scope.spawn(|_| await_work(&over, cpus.as_ref()));
        let _over = SetAtEnd(&over);
        work()
    })
}

fn await_work(over: &AtomicBool, cpus: Option<&Cpus>) {
    // The thread that hands out the work has no time for this.
    if rayon::current_thread_index() == Some(0) {
        return;
    }
    if let Some(cpus) = cpus {
        cpus.use_all();
    }
    let mut idle = Instant::now();
    while !over.load(Ordering::Acquire) && idle.elapsed() < LONGEST_SPIN {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => idle = Instant::now(),
            _ => std::hint::spin_loop(),
        }
    }
}

/// However it ends.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
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
    fn two_things_are_done_wherever_they_are() {
        let both = || {
            awake(|| {
                let inner = || beside(|| 1, || 2);
                beside(inner, || beside(inner, || 3))
            })
        };
        let expected = ((1, 2), ((1, 2), 3));
        assert_eq!(both(), expected);
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for _ in 0..100 {
                assert_eq!(pool.install(both), expected);
            }
        }
    }

    #[test]
    fn signals_are_for_the_first_thread() {
        prepare();
        if rayon::current_thread_index() != Some(0) {
            return assert!(!has_two_cpus());
        }
        let begun = Instant::now();
        while SECOND.load(Ordering::Acquire) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        let status = format!("/proc/self/task/{}/status", SECOND.load(Ordering::Acquire));
        let status = std::fs::read_to_string(status).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        let ending = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
        let stopping = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
        for signal in ending.into_iter().chain(stopping) {
            assert!(blocked >> (signal as u32 - 1) & 1 == 1, "{signal}");
        }
        let own = SigSet::thread_get_mask().unwrap();
        assert!(!own.contains(Signal::SIGINT));
        // And what is done beside is done there.
        FOUND.store(SOME, Ordering::Relaxed);
        let taken = AtomicI32::new(0);
        let take = || taken.store(gettid().as_raw(), Ordering::Release);
        let wait = || {
            while taken.load(Ordering::Acquire) == 0 {
                assert!(begun.elapsed() < Duration::from_secs(60));
                std::thread::yield_now();
            }
        };
        awake(|| beside(take, wait));
        FOUND.store(NOT_LOOKED, Ordering::Relaxed);
        assert_eq!(taken.into_inner(), SECOND.load(Ordering::Acquire));
    }

    #[test]
    fn a_panic_of_either_comes_out() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let of = |first: bool, second: bool| {
            let work = move || {
                awake(|| beside(|| assert!(!first), || assert!(!second)));
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(work))).is_err()
        };
        assert_eq!(
            [of(false, false), of(true, false), of(false, true)],
            [false, true, true]
        );
    }

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
