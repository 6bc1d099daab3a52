//! The second thread of the child that captures. It is started once and given one job after the other: on a virtual
//! machine a new thread can wait some milliseconds behind the one that made it.
#![allow(unsafe_code)]

use std::os::unix::thread::JoinHandleExt;
use std::sync::mpsc::{Sender, channel};
use std::thread::Thread;

use crate::spare::Cpus;

/// The stack of a thread that only copies and touches memory.
const STACK: usize = 256 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does what it is given, in that order, until this is dropped.
#[derive(Debug)]
pub(super) struct Second {
    give: Sender<Job>,
    thread: Thread,
}

impl Second {
    /// Starts it, on another CPU than this thread's where that can be had.
    pub(super) fn start() -> Option<Second> {
        let (give, jobs) = channel::<Job>();
        let cpus = Cpus::of_this_thread();
        let body = move || {
            // The first comes once the thread has been told where to start.
            let mut cpus = cpus;
            for job in jobs {
                if let Some(cpus) = cpus.take() {
                    cpus.use_all();
                }
                job();
            }
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(body).ok()?;
        if let Some(Cpus { others, .. }) = cpus {
            // SAFETY: a thread that has been neither joined nor detached, and a set of CPUs of the size that is said.
            let _ = unsafe {
                libc::pthread_setaffinity_np(
                    thread.as_pthread_t() as _,
                    size_of_val(&others),
                    std::ptr::from_ref(&others).cast(),
                )
            };
        }
        let thread = thread.thread().clone();
        Some(Second { give, thread })
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
        let second = Second::start().unwrap();
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
