//! A second thread for what two can share. It is made once and sleeps while the target stands still; once that runs on, it
//! is kept on a CPU that is not the first one's, and does not fall asleep between one piece of work and the next.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{sched_getcpu, sched_setaffinity};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{Pid, gettid};

use super::{Cpus, cpu};

/// Makes the second thread, for work of the calling one; where it cannot be had all is done by one. Only the first call
/// of a process does that. To be called early: to come up on a machine that is virtual takes as long as much of the work.
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
        .start_handler(|_| {
            SECOND.store(gettid().as_raw(), Ordering::Release);
            note_cpu();
        })
        .build_global();
    let _ = before.thread_set_mask();
}

/// The second thread; 0 while there is none.
static SECOND: AtomicI32 = AtomicI32::new(0);
/// The CPU on which it last looked for work.
static SECOND_ON: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Sends the second thread, if there is one, to a CPU that is not the calling one's. Gives back where it may run once it
/// is there.
fn keep_apart() -> Option<Cpus> {
    let second = SECOND.load(Ordering::Acquire);
    let cpus = Cpus::of_this_thread().filter(|_| second > 0)?;
    let _ = sched_setaffinity(Pid::from_raw(second), &cpus.others);
    Some(cpus)
}

/// To be called by the second thread.
fn note_cpu() {
    SECOND_ON.store(sched_getcpu().unwrap_or(usize::MAX), Ordering::Relaxed);
}

fn is_first() -> bool {
    rayon::current_thread_index() == Some(0)
}

/// Whether the second thread waits for the CPU of the calling one, the first: the scheduler may have put it there when it
/// woke up, and leaves it there for some milliseconds.
fn is_behind_this() -> bool {
    is_first() && sched_getcpu().is_ok_and(|here| here == SECOND_ON.load(Ordering::Relaxed))
}

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
    // By the second thread.
    let taken = AtomicBool::new(false);
    let moved = is_behind_this().then(keep_apart).flatten();
    let mut done = None;
    let second = rayon::in_place_scope(|scope| {
        scope.spawn(|_| {
            begun.store(true, Ordering::Release);
            if !is_first() {
                taken.store(true, Ordering::Release);
                moved.inspect(Cpus::use_all);
            }
            done = Some(first());
            ended.store(true, Ordering::Release);
        });
        let second = second();
        // If it has not begun, it is done here.
        spin_until(|| ended.load(Ordering::Acquire) || !begun.load(Ordering::Acquire));
        second
    });
    if let Some(cpus) = moved.filter(|_| !taken.load(Ordering::Acquire)) {
        let _ = sched_setaffinity(Pid::from_raw(SECOND.load(Ordering::Acquire)), &cpus.all);
    }
    (done.unwrap_or_else(first), second)
}

/// How long a thread that waits for work, or for the end of another's, keeps its CPU: to wake up on a machine that is
/// virtual takes as long as much of the work.
const LONGEST_SPIN: Duration = Duration::from_millis(5);

/// Waits for what another thread or process is about to do, where a CPU is to spare for it; not for ever.
pub fn spin_until(over: impl Fn() -> bool) {
    if !cpu() {
        return;
    }
    let begun = Instant::now();
    while !over() && begun.elapsed() < LONGEST_SPIN {
        // Others that want this CPU are to have it.
        std::thread::yield_now();
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
    if is_first() {
        return;
    }
    cpus.inspect(|cpus| cpus.use_all());
    let mut idle = Instant::now();
    while !over.load(Ordering::Acquire) && idle.elapsed() < LONGEST_SPIN {
        note_cpu();
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => idle = Instant::now(),
            // Others that want this CPU are to have it.
            _ => std::thread::yield_now(),
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

#[cfg(test)]
mod tests {
    use super::super::{FOUND, NOT_LOOKED, SOME, has_two_cpus};
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
}
