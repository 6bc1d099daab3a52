//! How the kernel schedules the threads of the tool: behind all others that want a CPU, but for the moment in which the
//! target stands still.
#![allow(unsafe_code)]

use nix::unistd::Pid;

use super::is_filtered;

/// As the scheduler's calls name the thread that makes them.
const THIS_THREAD: Pid = Pid::from_raw(0);
/// What a thread that gives way asks to have a CPU for at a time, ns; others ask for three milliseconds. Of two threads
/// with equal shares the kernel runs that one first whose time will be up first (kernel: kernel/sched/fair.c `pick_eevdf`,
/// since 6.12 `custom_slice`). A longer time is no larger share, but where all CPUs are in use each turn is waited for
/// as much longer.
const SLICE_NS: u64 = 5_000_000;

/// The scheduling of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Scheduling(libc::sched_attr);

impl Scheduling {
    /// Of this thread.
    pub fn of_this_thread() -> Scheduling {
        let asked = if is_filtered() { None } else { get() };
        Scheduling(asked.unwrap_or_else(|| libc::sched_attr {
            // SAFETY: no memory is passed. -1 is also what a failure returns: next to nothing more than others have.
            sched_nice: unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) },
            ..attributes(libc::SCHED_OTHER)
        }))
    }

    /// Gives it to a thread of this process.
    pub fn give_to(&self, thread: Pid) {
        let Scheduling(attributes) = self;
        if !is_filtered() && set(thread, attributes) {
            return;
        }
        set_policy(thread, attributes.sched_policy as i32, attributes.sched_priority as i32);
        // SAFETY: no memory is passed.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.as_raw() as _, attributes.sched_nice) };
    }

    /// Gives it back to this thread, after [`run_first`] or [`run_often`].
    pub fn restore(&self) {
        self.give_to(THIS_THREAD);
    }
}

/// Has this thread, and those that it makes from now on, give way: a thread that wakes up on their CPU need not wait for
/// its turn, and they wait for theirs when they wake up. The share of CPU time is not changed by that. Does nothing where the
/// user has chosen the scheduling of the tool.
pub fn give_way() {
    if is_filtered() {
        return;
    }
    let ordinary = get().filter(|attributes| attributes.sched_policy == libc::SCHED_OTHER as u32);
    if let Some(attributes) = ordinary {
        let giving_way = libc::sched_attr {
            sched_policy: libc::SCHED_BATCH as u32,
            sched_runtime: SLICE_NS,
            ..attributes
        };
        set(THIS_THREAD, &giving_way);
    }
}

/// Puts this thread ahead of all ordinary ones, where that is permitted; whether it is. A quota of CPU time does not
/// hold for it then.
pub fn run_first() -> bool {
    set_policy(THIS_THREAD, libc::SCHED_RR, 1)
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

/// Has this thread take its turn at once when it wakes up, and gives it the largest share that an ordinary one can have,
/// where that is permitted.
pub fn run_often() {
    set_policy(THIS_THREAD, libc::SCHED_OTHER, 0);
    // SAFETY: no memory is passed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
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

fn get() -> Option<libc::sched_attr> {
    let mut attributes = attributes(libc::SCHED_OTHER);
    // SAFETY: the kernel fills the structure, of the size that is said; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, attributes.size, 0) };
    (result == 0).then_some(attributes)
}

fn set(thread: Pid, attributes: &libc::sched_attr) -> bool {
    // SAFETY: the kernel reads the structure, of the size that it says.
    unsafe { libc::syscall(libc::SYS_sched_setattr, thread.as_raw(), attributes, 0) == 0 }
}

fn set_policy(thread: Pid, policy: i32, priority: i32) -> bool {
    let priority = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameter is a live value of the type the call expects.
    unsafe { libc::sched_setscheduler(thread.as_raw(), policy, &priority) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_gives_way_does_so_again_after_it_ran_first() {
        let usual = get().unwrap();
        assert_eq!(usual.sched_policy, libc::SCHED_OTHER as u32);
        give_way();
        let giving_way = || {
            let now = get().unwrap();
            assert_eq!(now.sched_policy, libc::SCHED_BATCH as u32);
            assert_eq!(now.sched_nice, usual.sched_nice);
            // Kernels before 6.12 know no such wish.
            assert!([SLICE_NS, 0].contains(&now.sched_runtime), "{now:?}");
        };
        giving_way();
        std::thread::scope(|scope| scope.spawn(giving_way).join().unwrap());
        let before = Scheduling::of_this_thread();
        for step_ahead in [|| assert!(run_first() || !nix::unistd::geteuid().is_root()), run_often] {
            step_ahead();
            assert_ne!(get().unwrap().sched_policy, libc::SCHED_BATCH as u32);
            before.restore();
            giving_way();
        }
        may_run_first();
        giving_way();
    }

    #[test]
    fn the_scheduling_that_the_user_chose_stays() {
        assert!(set_policy(THIS_THREAD, libc::SCHED_IDLE, 0));
        give_way();
        assert_eq!(get().unwrap().sched_policy, libc::SCHED_IDLE as u32);
    }
}
