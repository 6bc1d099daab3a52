//! The store filled by hand.

use super::*;
use crate::memory::MOST_LISTS;

const PAGE: u64 = 4096;

fn store(readable: &[(u64, u64)]) -> Store {
    Store::new(readable, 1 << 20).unwrap()
}

fn queue(store: &mut Store, start: u64, end: u64, list: &mut Vec<Run>) -> bool {
    store.queue((start, end), (start, end), list)
}

/// Captures `start..end` with bytes that name their page.
fn fill(store: &mut Store, start: u64, end: u64) -> Vec<Run> {
    let mut runs = Vec::new();
    assert!(queue(store, start, end, &mut runs));
    for run in &runs {
        for index in 0..run.pages {
            let at = (run.page + index) << store.shift;
            let number = (run.start >> store.shift) as u8 + index as u8;
            store.region.data_mut()[at..at + PAGE as usize].fill(number);
        }
        store.set_captured(*run);
    }
    runs
}

#[test]
fn a_structure_across_two_waves_is_one_slice() {
    let mut store = store(&[(0x10000, 0x20000)]);
    fill(&mut store, 0x11000, 0x12000);
    fill(&mut store, 0x10000, 0x11000);
    let bytes = store.bytes(Addr(0x10ff8), 16).unwrap();
    assert_eq!(bytes, [[0x10u8; 8], [0x11; 8]].concat());
}

#[test]
fn a_page_is_never_queued_twice() {
    let mut store = store(&[(0x10000, 0x20000)]);
    assert_eq!(fill(&mut store, 0x10000, 0x13000).len(), 1);
    let mut runs = Vec::new();
    queue(&mut store, 0x12000, 0x14000, &mut runs);
    queue(&mut store, 0x13000, 0x15000, &mut runs);
    assert_eq!(
        runs.iter().map(|run| (run.start, run.pages)).collect::<Vec<_>>(),
        [(0x13000, 2)]
    );
}

#[test]
fn every_reason_survives() {
    let mut store = store(&[(0x10000, 0x20000)]);
    let reasons = [
        Missing::NotMapped,
        Missing::NotPresent,
        Missing::Swapped,
        Missing::Unreadable,
        Missing::BudgetSpent,
    ];
    for pass in [1, 2] {
        for why in reasons {
            let mut runs = Vec::new();
            queue(&mut store, 0x10000, 0x11000, &mut runs);
            let run = runs.pop().unwrap_or(Run {
                start: 0x10000,
                page: 0x10000 >> 12,
                pages: 1,
            });
            store.set_missing(run, why);
            assert_eq!(store.bytes(Addr(0x10004), 4).unwrap_err().why, why, "pass {pass}");
        }
        store.begin_second_pass();
    }
}

#[test]
fn the_second_pass_forgets_bytes_but_not_presence() {
    let mut store = store(&[(0x10000, 0x20000)]);
    let run = fill(&mut store, 0x10000, 0x11000)[0];
    store.begin_second_pass();
    assert_eq!(store.bytes(Addr(0x10000), 1).unwrap_err().why, Missing::NotCaptured);
    assert_eq!(store.state(run.page), PageState::KnownPresent);
    let mut runs = Vec::new();
    queue(&mut store, 0x10000, 0x11000, &mut runs);
    assert_eq!(store.state(run.page), PageState::KnownPresent);
    assert_eq!(store.bytes(Addr(0x10000), 1).unwrap_err().why, Missing::BudgetSpent);
    store.set_captured(run);
    assert_eq!(store.bytes(Addr(0x10000), 1).unwrap(), [0x10]);
}

#[test]
fn growth_stays_readable_across_the_old_edge() {
    let mut store = store(&[(0x4000_0000, 0x4001_0000)]);
    fill(&mut store, 0x4000_f000, 0x4001_0000);
    store.set_readable(&[(0x4000_0000, 0x4004_0000), (0x7f00_0000_0000, 0x7f00_0000_1000)]);
    fill(&mut store, 0x4001_0000, 0x4001_1000);
    fill(&mut store, 0x7f00_0000_0000, 0x7f00_0000_1000);
    assert!(store.bytes(Addr(0x4000_fffc), 8).is_ok());
    assert_eq!(
        store
            .segments()
            .map(|(range, bytes)| (range.start.0, bytes.len()))
            .collect::<Vec<_>>(),
        [(0x4000_f000, 0x2000), (0x7f00_0000_0000, 0x1000)]
    );
}

#[test]
fn a_heap_of_a_hundred_gigabytes_is_one_window() {
    let (heap, gigabyte) = (0xc0_0000_0000, 1u64 << 30);
    let mut store = store(&[
        (0x40_0000, 0x80_0000),
        (heap, heap + 100 * gigabyte),
        (0x7f00_0000_0000, 0x7f00_1000_0000),
    ]);
    for start in [0x40_0000, 0x7f00_0000_0000, heap, heap + 99 * gigabyte] {
        fill(&mut store, start, start + PAGE);
    }
    assert_eq!(store.wide.len(), 3);
    assert!(queue(&mut store, heap, heap + 100 * gigabyte, &mut Vec::new()));
    assert_eq!(store.wide.len(), 3);
}

#[test]
fn wild_addresses_are_answered_not_followed() {
    let mut store = store(&[(0x10000, 0x20000)]);
    fill(&mut store, 0x10000, 0x11000);
    for (addr, len) in [
        (0, 8),
        (u64::MAX, 8),
        (u64::MAX - 4, 8),
        (0x10fff, usize::MAX),
        (0x10fff, 2),
    ] {
        assert!(store.bytes(Addr(addr), len).is_err(), "{addr:#x}+{len:#x}");
    }
    assert!(store.bytes(Addr(7), 0).unwrap().is_empty());
    assert!(!queue(&mut store, 1 << 46, (1 << 46) + PAGE, &mut Vec::new()));
}

#[test]
fn what_the_child_left_is_adopted_by_bounds() {
    let mut store = store(&[(0x10000, 0x20000)]);
    fill(&mut store, 0x10000, 0x11000);
    let pages = store.region.pages() as u64;
    let slot = &store.region.windows()[1];
    slot.start.store(0x7000_0000, Ordering::Relaxed);
    slot.len.store(PAGE, Ordering::Relaxed);
    slot.page.store(pages, Ordering::Relaxed);
    store.region.header().windows.store(2, Ordering::Relaxed);
    store.adopt();
    assert_eq!(store.wide.len() + store.narrow.len(), 1);
    assert!(store.bytes(Addr(0x10000), 1).is_ok());
}

#[test]
fn records_are_adopted_by_bounds() {
    let mut store = store(&[(0x10000, 0x20000)]);
    assert!(store.records(0).is_none());
    fill(&mut store, 0x10000, 0x11000);
    let area = store.room_for_records(0, 10, 48).unwrap();
    assert!(area.room > 10 && store.room_for_records(0, 10, 40).is_none());
    store.records_mut(0, 9..10).fill(7);
    store.set_records(0, 10);
    let other = store.room_for_records(1, 5, 40).unwrap();
    assert!(other.start >= area.start + area.room * 48);
    assert!(store.room_for_records(MOST_LISTS, 1, 8).is_none() && store.records(MOST_LISTS).is_none());
    let (at, len) = store.records(0).unwrap();
    assert_eq!((at.len(), len), (480, 48));
    assert_eq!(store.region.data()[at][9 * 48..], [7; 48]);
    assert_eq!(store.records_mut(0, 0..area.room + 1).len(), 0);
    for (count, page) in [(u64::MAX, 1), (10, u64::MAX), (u64::MAX / 48, 1 << 40), (10, 0)] {
        let header = store.region.header().list(0);
        header.count.store(count, Ordering::Relaxed);
        header.page.store(page, Ordering::Relaxed);
        assert!(store.records(0).is_none(), "{count} {page}");
    }
}

#[test]
fn narrow_windows_lie_side_by_side_and_are_adopted_as_such() {
    let mut store = store(&[(0x10000, 0x2000_0000)]);
    let (dense, huge) = (store.region.dense(), store.region.huge_pages());
    if dense == store.region.pages() {
        assert_eq!(store.place((0x10000, 0x11000), u64::MAX), None);
        return;
    }
    let area = store.room_for_records(0, WORTH_DENSE / 8, 8).unwrap();
    let mut placed = Vec::new();
    for (start, pages) in [
        (0x30000, 3),
        (0x10000, 1),
        (0x100_0000, 200),
        (0x200_0000, huge),
        (0x34000, 1),
    ] {
        let end = start + pages as u64 * PAGE;
        assert!(store.is_new((start, end)));
        let run = store.place((start, end), u64::MAX).unwrap();
        assert!(!store.is_new((start, start + PAGE)));
        store.region.data_mut()[run.page << 12..(run.page + pages) << 12].fill(pages as u8);
        store.set_captured(run);
        placed.push(run);
    }
    assert_eq!(placed[1].page, placed[0].page + 3);
    // With room to grow.
    assert_eq!(placed[3].page, placed[2].page + 200 + 25);
    assert_eq!(placed[4].page, placed[3].page + huge + huge / 8);
    let mut list = Vec::new();
    assert!(queue(
        &mut store,
        0x100_0000 + 200 * PAGE,
        0x100_0000 + 202 * PAGE,
        &mut list
    ));
    assert_eq!(list[0].page, placed[2].page + 200);
    // Beyond them, where the target lies as it is.
    assert!(!store.is_new((0x32000, 0x35000)));
    assert!(queue(&mut store, 0x32000, 0x35000, &mut list));
    assert!(list[1].page < dense && list[1].pages == 3);
    let records = area.bytes(0..area.room);
    let apart = |run: &Run| (run.page + run.pages) << 12 <= records.start || run.page << 12 >= records.end;
    assert!(placed.iter().all(apart));
    store.adopt();
    assert_eq!(store.narrow.len(), 5);
    for (run, pages) in placed.iter().zip([3, 1, 200, huge, 1]) {
        assert_eq!(
            store.bytes(Addr(run.start), pages << 12).unwrap(),
            vec![pages as u8; pages << 12]
        );
    }
    assert!(store.bytes(Addr(0x30000), 0x3001).is_err());
}

#[test]
fn a_full_dense_part_is_answered() {
    let mut store = store(&[(0x10000, 0x20000)]);
    let end = 0x10000 + ((store.region.pages() as u64) << 12);
    assert_eq!(store.place((0x10000, end), u64::MAX), None);
    assert_eq!(store.place((0x10000, !0xfff), u64::MAX), None);
}
