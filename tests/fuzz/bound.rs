//! The memory of the tool is bounded whatever it reads: an allocator that counts, and fails (which ends the test) when
//! more is asked for than any input here can be worth.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Live bytes at most. The inputs are a few megabytes, and so is what is made of them.
const MOST_BYTES: usize = 512 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);

pub struct Counting;

/// Notes the wish for so many bytes more; whether they may be had.
fn grow(bytes: usize) -> bool {
    let fits = LIVE.fetch_add(bytes, Relaxed).saturating_add(bytes) <= MOST_BYTES;
    if !fits {
        LIVE.fetch_sub(bytes, Relaxed);
    }
    fits
}

// SAFETY: every call is passed on to the system's allocator as it came; only the sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match grow(layout.size()) {
            // SAFETY: as the caller's.
            true => unsafe { System.alloc(layout) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match grow(layout.size()) {
            // SAFETY: as the caller's.
            true => unsafe { System.alloc_zeroed(layout) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !grow(size.saturating_sub(layout.size())) {
            return std::ptr::null_mut();
        }
        LIVE.fetch_sub(layout.size().saturating_sub(size), Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.realloc(ptr, layout, size) }
    }
}
