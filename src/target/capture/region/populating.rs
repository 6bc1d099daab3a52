//! Pages that are given their memory ahead of time, by a thread of its own where a CPU is to spare for it.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::{Region, Stretch};
use crate::spare::{self, Cpus};

/// The stack of a thread that only touches memory.
const STACK: usize = 256 << 10;

/// What still waits for its memory.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<Stretch>,
    /// Nothing comes after these.
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

/// Pages of one region on their way to their memory.
#[derive(Default)]
pub(in super::super) struct Populating {
    shared: Arc<Shared>,
    helper: Option<JoinHandle<()>>,
}

impl Populating {
    /// Adds pages of `region`, given as the first and how many. They have their memory once [`Populating::finish`] has
    /// returned.
    ///
    /// # Safety
    ///
    /// It must be finished or dropped before the region is.
    pub(in super::super) unsafe fn add(&mut self, region: &Region, runs: impl Iterator<Item = (usize, usize)>) {
        let stretches = runs.filter_map(|(page, pages)| region.stretch(page, pages));
        let pieces = stretches.flat_map(Stretch::pieces);
        let mut queue = self.shared.lock();
        queue.pieces.extend(pieces);
        self.shared.more.notify_one();
        if self.helper.is_none() && spare::cpu() {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().stack_size(STACK);
            let cpus = Cpus::of_this_thread();
            let body = move || {
                // Once it has been told where to start.
                drop(shared.lock());
                if let Some(cpus) = cpus {
                    cpus.use_all();
                }
                shared.work();
            };
            self.helper = thread.spawn(body).ok();
            // While the queue is locked.
            if let Some((helper, Cpus { others, .. })) = self.helper.as_ref().zip(cpus) {
                // SAFETY: a thread that has not been joined, and a set of CPUs of the size that is said.
                let _ = unsafe {
                    libc::pthread_setaffinity_np(
                        helper.as_pthread_t() as _,
                        size_of_val(&others),
                        std::ptr::from_ref(&others).cast(),
                    )
                };
            }
        }
    }

    /// Sees to it that all of them have it.
    pub(in super::super) fn finish(&mut self) {
        self.shared.lock().closed = true;
        self.shared.more.notify_all();
        self.shared.work();
        if let Some(helper) = self.helper.take() {
            // It does not panic.
            let _ = helper.join();
        }
    }
}

impl Drop for Populating {
    /// What still waits for its memory goes without.
    fn drop(&mut self) {
        self.shared.lock().pieces.clear();
        self.finish();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on until nothing is left and nothing comes any more.
    fn work(&self) {
        let mut queue = self.lock();
        loop {
            match queue.pieces.pop_front() {
                Some(piece) => {
                    drop(queue);
                    piece.populate();
                    queue = self.lock();
                }
                None if queue.closed => return,
                None => queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
