//! The memory shared by the tool and the child that captures: a header of atomics, a table of windows, one state byte
//! per page, and the pages themselves. It is reserved large and costs only what is touched, so captured pages can lie
//! as they do in the target: neighbours there are neighbours here.
#![allow(unsafe_code)]

mod backing;
pub(super) mod populating;

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use nix::sys::mman::{MmapAdvise, madvise, munmap};

use self::backing::Backing;
pub(crate) use self::backing::HUGE_PAGE;
use crate::memory::MOST_LISTS;
use crate::target::pages::page_size;
use crate::target::sys::io_error;

/// How many windows of the target's address space a capture can hold.
pub(crate) const MAX_WINDOWS: usize = 16 * 1024;

/// Bytes given their memory in one call.
const POPULATED_AT_ONCE: usize = HUGE_PAGE;

/// More than all that a capture holds without gaps, bytes. The rest is for what lies as in the target.
const MOST_DENSE: usize = 4 << 30;

/// Longest message a failing child can leave.
const MESSAGE_BYTES: usize = 512;

/// What the child tells its parent. All of it starts as zero.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Header {
    /// How far the child has come: a `child::Phase`.
    pub phase: AtomicU32,
    /// What ended it early: a `child::Failure`.
    pub failure: AtomicU32,
    /// The errno that goes with `failure`.
    pub errno: AtomicI32,
    /// The thread that goes with `failure`.
    pub thread: AtomicI32,
    /// How many entries of the window table are valid.
    pub windows: AtomicU32,
    /// The pass whose pages count: 1 rehearsal, 2 capture.
    pub generation: AtomicU32,
    /// Why the pass ended: a `engine::End`.
    pub end: AtomicU32,
    /// Waves of the last pass.
    pub waves: AtomicU32,
    /// Bytes copied in the last pass.
    pub bytes_read: AtomicU64,
    /// CLOCK_MONOTONIC before the first interrupt, or, where a signal met an attached thread, before the first attachment;
    /// 0 before that.
    pub interrupt_ns: AtomicU64,
    /// CLOCK_MONOTONIC when every thread stood still.
    pub stopped_ns: AtomicU64,
    /// CLOCK_MONOTONIC when all was read, before the first release.
    pub copied_ns: AtomicU64,
    /// CLOCK_MONOTONIC after the last release.
    pub released_ns: AtomicU64,
    /// Nanoseconds since 1970 at the moment the pass took place.
    pub realtime_ns: AtomicU64,
    /// Threads held.
    pub threads: AtomicU32,
    /// Threads born between listing and stop.
    pub late_threads: AtomicU32,
    /// Threads that exited in between.
    pub gone_threads: AtomicU32,
    /// Threads blocked in the kernel that could only be released by the child's exit.
    pub held_in_kernel: AtomicU32,
    /// How long the stop may last by the quota of CPU time that holds for the child; 0: none does.
    pub quota_ns: AtomicU64,
    /// Whether a group with a quota had used it up by the end of the stop.
    pub throttled: AtomicU64,
    /// Pages read in both passes, of a target that was not stopped.
    pub compared_pages: AtomicU64,
    /// Those of them that differed.
    pub changed_pages: AtomicU64,
    /// The bytes that differed, in words of eight.
    pub changed_bytes: AtomicU64,
    /// Whether any wish of the last pass may not have been met in full; records aside.
    pub unmet: AtomicBool,
    /// The lists of records.
    pub records: [RecordsHeader; MOST_LISTS],
    message_len: AtomicU32,
    message: [AtomicU8; MESSAGE_BYTES],
}

/// What the child tells of one list of records.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RecordsHeader {
    /// First page of the records; 0 while there are none.
    pub page: AtomicU64,
    /// How many records there are.
    pub count: AtomicU64,
    /// Bytes of one record.
    pub bytes: AtomicU64,
    /// Whether the turn of each structure has come.
    pub done: AtomicBool,
    /// Whether any could not be had.
    pub lost: AtomicBool,
}

impl Header {
    /// What is told of the list of this number; of the last for one beyond them.
    pub(crate) fn list(&self, list: usize) -> &RecordsHeader {
        let [rest @ .., last] = &self.records;
        rest.get(list).unwrap_or(last)
    }

    /// Leaves a message (cut to what fits) for the parent.
    pub(crate) fn set_message(&self, text: &str) {
        for (slot, byte) in self.message.iter().zip(text.bytes()) {
            slot.store(byte, Ordering::Relaxed);
        }
        self.message_len
            .store(text.len().min(MESSAGE_BYTES) as u32, Ordering::Release);
    }

    /// The message left, if any.
    pub(crate) fn message(&self) -> String {
        let len = self.message_len.load(Ordering::Acquire) as usize;
        let bytes: Vec<u8> = self
            .message
            .iter()
            .take(len)
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// One window: target address, length, first page of the region.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct WindowSlot {
    /// First address in the target.
    pub start: AtomicU64,
    /// Bytes.
    pub len: AtomicU64,
    /// Index of its first page in the region.
    pub page: AtomicU64,
}

/// The parts of a region, side by side.
pub(crate) struct Parts {
    /// The header.
    pub header: &'static Header,
    /// The state of every page.
    pub states: &'static [AtomicU8],
    /// The pages.
    pub data: &'static mut [u8],
}

/// The shared mapping.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    map_len: usize,
    states_at: usize,
    pages_at: usize,
    pages: usize,
    dense: usize,
    page_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, is never unmapped before it is dropped, and everything that is
// changed through a shared reference is atomic.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves room for `wanted` bytes of pages, or, where address space is short, for less, down to `at_least`.
    pub(crate) fn new(wanted: u64, at_least: u64) -> io::Result<Region> {
        // Where address space is short there is none for parts that are filled without gaps.
        if let Ok(region) = Region::reserve(wanted, true) {
            return Ok(region);
        }
        let mut bytes = wanted;
        loop {
            match Region::reserve(bytes, false) {
                Ok(region) => return Ok(region),
                Err(error) if bytes / 2 < at_least => return Err(error),
                Err(_) => bytes /= 2,
            }
        }
    }

    fn reserve(bytes: u64, huge: bool) -> io::Result<Region> {
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let page_bytes = page_size() as usize;
        let pages = usize::try_from(bytes)
            .map_err(|_| too_large())?
            .div_ceil(page_bytes)
            .max(1);
        let states_at = (size_of::<Header>() + MAX_WINDOWS * size_of::<WindowSlot>()).next_multiple_of(page_bytes);
        let pages_at = states_at
            .checked_add(pages)
            .ok_or_else(too_large)?
            .next_multiple_of(page_bytes);
        let map_len = pages
            .checked_mul(page_bytes)
            .and_then(|len| len.checked_add(pages_at))
            .and_then(NonZeroUsize::new)
            .ok_or_else(too_large)?;
        let backing = Backing::new(map_len, huge)?;
        let base = backing.base.cast();
        let dense = match backing.huge {
            true => dense_from(pages_at, pages, page_bytes),
            false => pages,
        };
        // What is captured here and there would cost 2 MiB for each page.
        let sparse = pages_at + dense * page_bytes;
        // SAFETY: the range is part of the mapping just made; the advice changes no content.
        let advised = unsafe { madvise(base.cast(), sparse, MmapAdvise::MADV_NOHUGEPAGE) };
        let region = Region {
            base,
            map_len: map_len.get(),
            states_at,
            pages_at,
            pages,
            dense,
            page_bytes,
        };
        match (advised, backing.huge) {
            (Err(errno), true) => Err(io_error(errno)),
            _ => Ok(region),
        }
    }

    /// The first page of the part for what is filled without gaps, which may lie in huge pages; it starts with one. The
    /// number of all pages where there is no such part.
    pub(crate) fn dense(&self) -> usize {
        self.dense
    }

    /// How many pages are a huge page.
    pub(crate) fn huge_pages(&self) -> usize {
        (HUGE_PAGE / self.page_bytes).max(1)
    }

    /// How many pages it has room for.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// Bytes of one page.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// The header.
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the mapping starts page aligned, is longer than a Header, starts as zeroes, and a Header is made of
        // atomics only, for which every bit pattern is valid.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// The table of windows.
    pub(crate) fn windows(&self) -> &[WindowSlot] {
        // SAFETY: the table lies behind the header, inside the mapping, aligned to eight because the header is;
        // it is made of atomics only.
        unsafe {
            let first = self.base.byte_add(size_of::<Header>()).cast::<WindowSlot>();
            std::slice::from_raw_parts(first.as_ptr(), MAX_WINDOWS)
        }
    }

    /// The state of every page.
    pub(crate) fn states(&self) -> &[AtomicU8] {
        // SAFETY: `states_at..states_at + pages` lies inside the mapping and holds nothing but these atomics.
        unsafe {
            std::slice::from_raw_parts(
                self.base.byte_add(self.states_at).cast::<AtomicU8>().as_ptr(),
                self.pages,
            )
        }
    }

    /// The pages. The parent must not look before the child has ended, or has said that its task is done; the child
    /// writes them only through [`Region::data_mut`].
    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: `pages_at` and `pages` describe the rest of the mapping; it is readable and starts as zeroes.
        unsafe { std::slice::from_raw_parts(self.base.byte_add(self.pages_at).as_ptr(), self.pages * self.page_bytes) }
    }

    /// Header, states and pages, each by itself, for a thread that may outlive the borrow.
    ///
    /// # Safety
    ///
    /// The region must never be dropped (the child that captures ends without destructors). From now until whoever
    /// got a part of `data` is done with it, that part must not be reached through this region.
    pub(crate) unsafe fn lend(&mut self) -> Parts {
        // SAFETY: the same ranges as in `header`, `states` and `data_mut`, which do not overlap; the caller keeps other
        // views of the pages away, and the other two are atomics.
        unsafe {
            Parts {
                header: self.base.cast::<Header>().as_ref(),
                states: std::slice::from_raw_parts(
                    self.base.byte_add(self.states_at).cast::<AtomicU8>().as_ptr(),
                    self.pages,
                ),
                data: std::slice::from_raw_parts_mut(
                    self.base.byte_add(self.pages_at).as_ptr(),
                    self.pages * self.page_bytes,
                ),
            }
        }
    }

    /// Gives some pages their memory, so that writing them later does not stop for it. Their content stays.
    pub(crate) fn populate(&self, page: usize, pages: usize) {
        if let Some(stretch) = self.stretch(page, pages) {
            // Piece by piece: whoever needs more address space waits for the call that is under way.
            stretch.pieces().for_each(|piece| piece.populate());
        }
    }

    /// Some pages, to be given their memory by another thread.
    pub(super) fn stretch(&self, page: usize, pages: usize) -> Option<Stretch> {
        page.checked_add(pages).filter(|end| *end <= self.pages)?;
        let at = self.pages_at + page * self.page_bytes;
        Some(Stretch {
            // SAFETY: inside the mapping.
            at: unsafe { self.base.byte_add(at) },
            len: pages * self.page_bytes,
            page_bytes: self.page_bytes,
        })
    }

    /// The pages, to be filled.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `data`; the exclusive borrow keeps every other view of this process away.
        unsafe {
            std::slice::from_raw_parts_mut(self.base.byte_add(self.pages_at).as_ptr(), self.pages * self.page_bytes)
        }
    }
}

/// Pages of a region in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    at: NonNull<u8>,
    len: usize,
    page_bytes: usize,
}

// SAFETY: all that is done with its memory, by any thread, changes nothing of its content.
unsafe impl Send for Stretch {}

impl Stretch {
    /// The same, cut into pieces.
    fn pieces(self) -> impl Iterator<Item = Stretch> {
        (0..self.len).step_by(POPULATED_AT_ONCE).map(move |from| Stretch {
            // SAFETY: inside the stretch.
            at: unsafe { self.at.byte_add(from) },
            len: POPULATED_AT_ONCE.min(self.len - from),
            ..self
        })
    }

    /// Gives it its memory. The mapping must be there still.
    fn populate(self) {
        // SAFETY: a range of the mapping; its content does not change.
        let done = unsafe { libc::madvise(self.at.as_ptr().cast(), self.len, libc::MADV_POPULATE_WRITE) };
        if done != 0 {
            // Before Linux 5.14.
            self.touch();
        }
    }

    /// The same, page by page.
    fn touch(self) {
        for at in (0..self.len).step_by(self.page_bytes) {
            // SAFETY: inside the mapping and aligned; an atomic or with zero changes nothing, whoever else looks.
            let byte = unsafe { self.at.byte_add(at).cast::<AtomicU8>().as_ref() };
            // A plain zero would be known to change nothing, and left out.
            byte.fetch_or(std::hint::black_box(0), Ordering::Relaxed);
        }
    }
}

/// The first page of the last quarter, or what is enough of it, that starts a huge page.
fn dense_from(pages_at: usize, pages: usize, page_bytes: usize) -> usize {
    let dense = (pages / 4).min(MOST_DENSE / page_bytes);
    let start = (pages_at + (pages - dense) * page_bytes).next_multiple_of(HUGE_PAGE);
    ((start - pages_at) / page_bytes).min(pages)
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `reserve` with this length and nothing borrowed from it outlives `self`.
        let _ = unsafe { munmap(self.base.cast(), self.map_len) };
    }
}

const _: () = assert!(size_of::<Header>().is_multiple_of(8));

#[cfg(test)]
mod tests;
