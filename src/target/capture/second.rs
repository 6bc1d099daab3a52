//! The second thread of the child that captures. It is started once and given one job after the other: on a virtual
//! machine a new thread can wait some milliseconds behind the one that made it.
#![allow(unsafe_code)]

use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, Thread};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, gettid};

use crate::spare::{Cpus, Scheduling};

/// The stack of a thread that only copies and touches memory.
const STACK: usize = 256 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does what it is given, in that order, until this is dropped.
#[derive(Debug)]
pub(super) struct Second {
    give: Sender<Job>,
    thread: Thread,
    /// As the kernel names it; 0 until it has come up.
    tid: Arc<AtomicI32>,
}

impl Second {
    /// Starts it, on another CPU than that of the thread that `cpus` are of.
    pub(super) fn start(cpus: Option<Cpus>) -> Option<Second> {
        let (second, handle) = Second::spawn(move || {
            // The thread has been told where to start by now.
            if let Some(cpus) = cpus {
                cpus.use_all();
            }
        })?;
        if let Some(Cpus { others, .. }) = cpus {
            // SAFETY: a thread that has been neither joined nor detached, and a set of CPUs of the size that is said.
            let _ = unsafe {
                libc::pthread_setaffinity_np(
                    handle.as_pthread_t() as _,
                    size_of_val(&others),
                    std::ptr::from_ref(&others).cast(),
                )
            };
        }
        Some(second)
    }

    /// Starts it on the CPU on which this thread is to stay: it comes up when this one sleeps.
    pub(super) fn start_here() -> Option<Second> {
        Second::spawn(|| ()).map(|(second, _)| second)
    }

    /// `before`: what it does before its first job.
    fn spawn(before: impl FnOnce() + Send + 'static) -> Option<(Second, JoinHandle<()>)> {
        let (give, jobs) = channel::<Job>();
        let tid = Arc::new(AtomicI32::new(0));
        let own = tid.clone();
        let body = move || {
            own.store(gettid().as_raw(), Ordering::Release);
            let mut before = Some(before);
            for job in jobs {
                if let Some(before) = before.take() {
                    before();
                }
                job();
            }
        };
        let handle = std::thread::Builder::new().stack_size(STACK).spawn(body).ok()?;
        let thread = handle.thread().clone();
        Some((Second { give, thread, tid }, handle))
    }

    /// It runs on these CPUs, if it sleeps from its next waking on.
    pub(super) fn send_to(&self, cpus: &CpuSet) {
        if let Some(tid) = self.tid() {
            let _ = sched_setaffinity(tid, cpus);
        }
    }

    /// It is scheduled like this.
    pub(super) fn schedule(&self, scheduling: &Scheduling) {
        if let Some(tid) = self.tid() {
            scheduling.give_to(tid);
        }
    }

    fn tid(&self) -> Option<Pid> {
        let tid = self.tid.load(Ordering::Acquire);
        (tid > 0).then_some(Pid::from_raw(tid))
    }

    /// Gives it one more job.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        // It does not end before this.
        let _ = self.give.send(Box::new(job));
    }

    /// Wakes it, if it is parked; else its next parking ends at once.
    pub(super) fn unpark(&self) {
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn jobs_are_done_in_their_order_by_another_thread() {
        let second = Second::start(Cpus::of_this_thread()).unwrap();
        let (tell, told) = channel();
        for job in 0..100 {
            let tell = tell.clone();
            second.give(move || tell.send((job, std::thread::current().id())).unwrap());
        }
        drop((tell, second));
        let done: Vec<_> = told.iter().collect();
        assert!(done.iter().map(|(job, _)| *job).eq(0..100));
        assert!(done.iter().all(|(_, thread)| *thread == done[0].1));
        assert_ne!(done[0].1, std::thread::current().id());
    }
}
