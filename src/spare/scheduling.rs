//! How the kernel schedules the threads of the tool: as those that wait for others to finish, but for the moment in which
//! the target stands still.
#![allow(unsafe_code)]

use nix::unistd::Pid;

use super::cpus::THIS_THREAD;
use super::is_filtered;

/// What a thread that gives way asks to have a CPU for at a time, ns; others ask for one to three milliseconds, by the
/// number of CPUs. Of two threads with equal shares the kernel runs that one first whose time will be up first (kernel:
/// kernel/sched/fair.c `pick_eevdf`, since 6.12 `custom_slice`). A longer time is no larger share, but where all CPUs are in
/// use each turn is waited for as much longer.
const LONG_SLICE_NS: u64 = 5_000_000;
/// The same for a thread that others wait for.
const SHORT_SLICE_NS: u64 = 1_000_000;

/// The scheduling of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Scheduling(libc::sched_attr);

impl Scheduling {
    /// Of this thread; where a filter may kill for the question, that of an ordinary one.
    pub fn of_this_thread() -> Scheduling {
        Scheduling(get().unwrap_or_else(|| libc::sched_attr {
            // SAFETY: no memory is passed. -1 is also what a failure returns: next to nothing more than others have.
            sched_nice: unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) },
            ..attributes(libc::SCHED_OTHER)
        }))
    }

    /// Gives it to a thread of this process.
    pub fn give_to(&self, thread: Pid) {
        let Scheduling(attributes) = self;
        if set(thread, attributes) {
            return;
        }
        set_policy(thread, attributes.sched_policy as i32, attributes.sched_priority as i32);
        set_nice(thread, attributes.sched_nice);
    }

    /// Gives it back to this thread, after [`run_first`] or [`run_often`].
    pub fn restore(&self) {
        self.give_to(THIS_THREAD);
    }
}

/// Has this thread, and those that it makes from now on, give way: when they wake up they wait until whoever has the CPU
/// has had its turn, and when another wakes up its turn comes first. Their share of CPU time stays the same. Does
/// nothing where the user has chosen the scheduling of the tool, or a filter may kill for it.
pub fn give_way() {
    let ordinary = get().filter(|attributes| attributes.sched_policy == libc::SCHED_OTHER as u32);
    if let Some(attributes) = ordinary {
        let giving_way = libc::sched_attr {
            sched_policy: libc::SCHED_BATCH as u32,
            sched_runtime: LONG_SLICE_NS,
            ..attributes
        };
        set(THIS_THREAD, &giving_way);
    }
}

/// Puts this thread ahead of all ordinary ones, where that is permitted; whether it is. A quota of CPU time does not
/// hold for it then.
pub fn run_first() -> bool {
    is_realtime() || set_policy(THIS_THREAD, libc::SCHED_RR, 1)
}

/// Whether [`run_first`] would be permitted. This thread is as it was afterwards.
pub fn may_run_first() -> bool {
    let before = Scheduling::of_this_thread();
    let permitted = run_first();
    if permitted {
        before.restore();
    }
    permitted
}

/// Has this thread take its turn soon when it wakes up, and gives it the largest share that an ordinary one of its group
/// can have, where that is permitted.
pub fn run_often() {
    if is_realtime() {
        return;
    }
    let Scheduling(before) = Scheduling::of_this_thread();
    let soon = |nice| libc::sched_attr {
        sched_nice: nice,
        sched_runtime: SHORT_SLICE_NS,
        ..attributes(libc::SCHED_OTHER)
    };
    if !set(THIS_THREAD, &soon(-20)) && !set(THIS_THREAD, &soon(before.sched_nice)) {
        set_policy(THIS_THREAD, libc::SCHED_OTHER, 0);
        set_nice(THIS_THREAD, -20);
    }
}

/// Whether the user has put this thread ahead of all ordinary ones.
fn is_realtime() -> bool {
    let policy = get().map(|attributes| attributes.sched_policy as i32);
    matches!(policy, Some(libc::SCHED_FIFO | libc::SCHED_RR))
}

const fn attributes(policy: i32) -> libc::sched_attr {
    libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: policy as u32,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    }
}

/// Those of this thread, unless a filter may kill for the question.
fn get() -> Option<libc::sched_attr> {
    if is_filtered() {
        return None;
    }
    let mut attributes = attributes(libc::SCHED_OTHER);
    // SAFETY: the kernel fills the structure, of the size that is said; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, attributes.size, 0) };
    (result == 0).then_some(attributes)
}

/// Whether it was done; never where a filter may kill for it.
fn set(thread: Pid, attributes: &libc::sched_attr) -> bool {
    // SAFETY: the kernel reads the structure, of the size that it says.
    !is_filtered() && unsafe { libc::syscall(libc::SYS_sched_setattr, thread.as_raw(), attributes, 0) == 0 }
}

fn set_policy(thread: Pid, policy: i32, priority: i32) -> bool {
    let priority = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameter is a live value of the type the call expects. Not every C library makes this call.
    unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            thread.as_raw(),
            policy,
            &raw const priority,
        ) == 0
    }
}

fn set_nice(thread: Pid, nice: i32) {
    // SAFETY: no memory is passed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.as_raw() as _, nice) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> i32 {
        get().unwrap().sched_policy as i32
    }

    #[test]
    fn a_thread_that_gives_way_does_so_again_after_it_ran_first() {
        // As it is where most tests run; else there is nothing to be changed.
        if get().is_none_or(|usual| usual.sched_policy != libc::SCHED_OTHER as u32) {
            return give_way();
        }
        let usual = get().unwrap();
        give_way();
        let giving_way = || {
            let now = get().unwrap();
            assert_eq!(policy(), libc::SCHED_BATCH);
            assert_eq!(now.sched_nice, usual.sched_nice);
            // Kernels before 6.12 know no such wish.
            assert!([LONG_SLICE_NS, 0].contains(&now.sched_runtime), "{now:?}");
        };
        giving_way();
        std::thread::scope(|scope| scope.spawn(giving_way).join().unwrap());
        let before = Scheduling::of_this_thread();
        if run_first() {
            assert_eq!(policy(), libc::SCHED_RR);
            before.restore();
        }
        giving_way();
        run_often();
        assert_eq!(policy(), libc::SCHED_OTHER);
        assert!([SHORT_SLICE_NS, 0].contains(&get().unwrap().sched_runtime));
        before.restore();
        giving_way();
        may_run_first();
        giving_way();
    }

    #[test]
    fn the_scheduling_that_the_user_chose_stays() {
        if get().is_none() {
            return;
        }
        let chosen = [(libc::SCHED_IDLE, 0), (libc::SCHED_FIFO, 7)];
        for (chosen, priority) in chosen {
            let run = move || {
                if !set_policy(THIS_THREAD, chosen, priority) {
                    return;
                }
                give_way();
                assert_eq!(policy(), chosen);
                if chosen == libc::SCHED_FIFO {
                    assert!(run_first());
                    run_often();
                    assert_eq!((policy(), get().unwrap().sched_priority), (chosen, priority as u32));
                }
            };
            std::thread::spawn(run).join().unwrap();
        }
    }
}
