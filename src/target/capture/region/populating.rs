//! Pages that are given their memory ahead of time, by the second thread where a CPU is to spare for it.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Region, Stretch};
use crate::spare::{self, Cpus};
use crate::target::capture::second::Second;

/// What still waits for its memory.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<Stretch>,
    /// Nothing comes after these.
    closed: bool,
    /// The second thread is at it.
    helped: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was added, or the second thread has left.
    changed: Condvar,
}

/// Pages of one region on their way to their memory.
#[derive(Default)]
pub(in super::super) struct Populating {
    shared: Arc<Shared>,
    second: Option<Second>,
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
        self.shared.lock().pieces.extend(pieces);
        self.shared.changed.notify_all();
        if self.second.is_none() && spare::cpu() {
            self.second = Second::start(Cpus::of_this_thread());
            if let Some(second) = &self.second {
                let shared = self.shared.clone();
                second.give(move || shared.help());
            }
        }
    }

    /// Sees to it that all of them have it. Gives back the second thread, if there is one.
    pub(in super::super) fn finish(&mut self) -> Option<Second> {
        let shared = &self.shared;
        shared.lock().closed = true;
        shared.changed.notify_all();
        let mut queue = shared.work(shared.lock());
        while queue.helped {
            queue = shared.wait(queue);
        }
        self.second.take()
    }
}

impl Drop for Populating {
    /// What still waits for its memory goes without.
    fn drop(&mut self) {
        self.shared.lock().pieces.clear();
        self.finish();
    }
}

type Locked<'a> = std::sync::MutexGuard<'a, Queue>;

impl Shared {
    fn lock(&self) -> Locked<'_> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, queue: Locked<'a>) -> Locked<'a> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    fn help(&self) {
        let mut queue = self.lock();
        queue.helped = true;
        self.work(queue).helped = false;
        self.changed.notify_all();
    }

    /// Goes on until nothing is left and nothing comes any more.
    fn work<'a>(&'a self, mut queue: Locked<'a>) -> Locked<'a> {
        loop {
            match queue.pieces.pop_front() {
                Some(piece) => {
                    drop(queue);
                    piece.populate();
                    queue = self.lock();
                }
                None if queue.closed => return queue,
                None => queue = self.wait(queue),
            }
        }
    }
}
