//! Windows in the order of their addresses, none of which share an address.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A stretch of the target's address space with a place in the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// Its first page in the region.
    pub page: usize,
}

impl Window {
    /// First address behind it.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }

    /// The page in the region of an address that is not before it.
    pub(super) fn page_of(&self, addr: u64, shift: u32) -> usize {
        self.page + ((addr - self.start) >> shift) as usize
    }

    fn holds(&self, addr: u64) -> bool {
        addr.wrapping_sub(self.start) < self.len
    }
}

/// Windows.
#[derive(Debug, Default)]
pub(super) struct Windows {
    sorted: Vec<Window>,
    /// Which of them was found last.
    last: AtomicUsize,
}

impl Windows {
    /// These windows; of any that share addresses, the first ones.
    pub(super) fn of(mut windows: Vec<Window>) -> Windows {
        windows.sort_by_key(|window| window.start);
        let mut reached = 0;
        windows.retain(|window| {
            let apart = window.start >= reached;
            reached = if apart { window.end() } else { reached };
            apart
        });
        Windows {
            sorted: windows,
            last: AtomicUsize::new(0),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Window> {
        self.sorted.iter()
    }

    /// Adds one that shares no address with another.
    pub(super) fn insert(&mut self, window: Window) {
        debug_assert!(!self.meets(window.start, window.end()), "{window:x?}");
        let at = self.after(window.start);
        self.sorted.insert(at, window);
    }

    /// The one that holds `addr`. Most lookups hit the one of the lookup before.
    pub(super) fn find(&self, addr: u64) -> Option<Window> {
        let holds = |window: &&Window| window.holds(addr);
        if let Some(window) = self.sorted.get(self.last.load(Ordering::Relaxed)).filter(holds) {
            return Some(*window);
        }
        let index = self.after(addr).checked_sub(1)?;
        let window = self.sorted.get(index).filter(holds)?;
        self.last.store(index, Ordering::Relaxed);
        Some(*window)
    }

    /// The one that holds all of `len` bytes at `addr`.
    pub(super) fn holding(&self, addr: u64, len: u64) -> Option<Window> {
        let window = self.find(addr)?;
        (len <= window.len - (addr - window.start)).then_some(window)
    }

    /// Whether any shares an address with `start..end`.
    pub(super) fn meets(&self, start: u64, end: u64) -> bool {
        self.find(start).is_some() || self.next_from(start) < end
    }

    /// Where the next one begins that does not begin before `addr`.
    pub(super) fn next_from(&self, addr: u64) -> u64 {
        let at = self.sorted.partition_point(|window| window.start < addr);
        self.sorted.get(at).map_or(u64::MAX, |window| window.start)
    }

    /// What of `low..high` is free around `addr`, which is in none.
    pub(super) fn gap_at(&self, addr: u64, low: u64, high: u64) -> (u64, u64) {
        let after = self.after(addr);
        let before = after.checked_sub(1).and_then(|index| self.sorted.get(index));
        let next = self.sorted.get(after);
        (
            before.map_or(low, |window| low.max(window.end())),
            next.map_or(high, |window| high.min(window.start)),
        )
    }

    /// How many begin at `addr` or before.
    fn after(&self, addr: u64) -> usize {
        self.sorted.partition_point(|window| window.start <= addr)
    }
}
