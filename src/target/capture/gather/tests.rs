//! Gathering from a target made of a map of pages.

use std::collections::BTreeMap;

use super::*;
use crate::memory::{Gathered, Place, Planner};
use crate::target::capture::deadline::Deadline;
use crate::target::capture::engine::{End, Engine, Limits};
use crate::target::capture::reader::{Pages, RangeReader};
use crate::target::capture::store::Store;
use crate::target::pages::{Ask, PageRun};

const PAGE: u64 = 4096;
const SIZE: u64 = 48;
const POINTERS: u64 = 0x10_0000;

/// Words whose value is their address, but for the array of pointers.
#[derive(Default)]
struct Words {
    readable: Vec<Readable>,
    swapped: Vec<u64>,
    absent: Vec<u64>,
    bad: Vec<u64>,
    written: BTreeMap<u64, u64>,
    calls: usize,
    /// Looking up structures takes until then.
    slow: Option<Deadline>,
}

impl Words {
    fn with(pointers: &[u64]) -> Words {
        let stretch = |start, pages: u64, kind| Readable {
            start,
            end: start + pages * PAGE,
            pages: kind,
        };
        let readable = vec![
            stretch(POINTERS, 64, Pages::Present),
            stretch(0x20_0000, 1024, Pages::OrZero),
            stretch(0x70_0000, 16, Pages::OwnOnly),
        ];
        let written = (0..).map(|index| POINTERS + 8 * index).zip(pointers.iter().copied());
        Words {
            readable,
            written: written.collect(),
            ..Words::default()
        }
    }

    fn word(&self, at: u64) -> u64 {
        self.written.get(&at).copied().unwrap_or(at)
    }

    /// Gathers; what became of each structure, by the word at its offset 16.
    fn gather(&mut self, count: u64, bytes: u64) -> (Result<End, ReadError>, Vec<Result<u64, Missing>>) {
        let ranges: Vec<(u64, u64)> = self.readable.iter().map(|range| (range.start, range.end)).collect();
        let mut store = Store::new(&ranges, 1 << 20).unwrap();
        let limits = Limits {
            bytes,
            deadline: self.slow.unwrap_or(Deadline::at(u64::MAX)),
        };
        let end = Engine::new(self, &mut store, limits, false).run(&mut Wish(count));
        let wish = wish(count);
        let found = match store.records(wish.list) {
            Some((at, len)) => {
                assert_eq!(len, wish.shape.record_bytes());
                let records = store.region().data()[at].to_vec();
                let gathered = Gathered::new(std::sync::Arc::new(records), &wish.shape, store.pass());
                let value = |record: &[u8]| u64::from_le_bytes(record[8..16].try_into().unwrap());
                gathered.iter().map(|record| record.map(value)).collect()
            }
            None => Vec::new(),
        };
        (end, found)
    }
}

impl RangeReader for Words {
    fn readable(&mut self) -> Result<Vec<Readable>, ReadError> {
        Ok(self.readable.clone())
    }

    fn barred(&mut self) -> Result<Vec<(u64, u64)>, ReadError> {
        Ok(Vec::new())
    }

    fn presence(&mut self, start: u64, end: u64, ask: Ask, out: &mut Vec<PageRun>) -> Result<(), ReadError> {
        while start >= 0x20_0000 && self.slow.is_some_and(|slow| !slow.has_passed()) {
            std::hint::spin_loop();
        }
        for at in (start..end)
            .step_by(PAGE as usize)
            .filter(|at| !self.absent.contains(at))
        {
            let swapped = self.swapped.contains(&at);
            out.push(PageRun {
                start: at,
                end: at + PAGE,
                present: !swapped,
                swapped,
                file: ask == Ask::Owner && at >= 0x70_0000,
                zero: false,
                huge: false,
            });
        }
        Ok(())
    }

    fn read(&mut self, from: &[Range], into: &mut [IoSliceMut<'_>]) -> Result<usize, ReadError> {
        assert!(from.len() <= MAX_IOVECS);
        self.calls += 1;
        let total: u64 = from.iter().map(|range| range.len).sum();
        assert_eq!(total, into.iter().map(|buffer| buffer.len() as u64).sum::<u64>());
        let mut places = into.iter_mut().flat_map(|buffer| buffer.iter_mut());
        let mut done = 0;
        for at in from.iter().flat_map(|range| range.start.0..range.end().0) {
            let page = at & !(PAGE - 1);
            assert!(!self.swapped.contains(&page) && !self.absent.contains(&page), "{at:#x}");
            if self.bad.contains(&page) {
                return if done == 0 { Err(ReadError::Fault) } else { Ok(done) };
            }
            *places.next().unwrap() = self.word(at & !7).to_le_bytes()[(at & 7) as usize];
            done += 1;
        }
        Ok(done)
    }

    fn read_image(&mut self, _: u64, _: &mut [u8]) -> bool {
        false
    }
}

struct Wish(u64);

impl Planner for Wish {
    fn wave(&mut self, wave: usize, _: &dyn crate::memory::Memory) -> Vec<crate::memory::Request> {
        let range = Range::new(Addr(POINTERS), self.0 * 8);
        match wave {
            0 => vec![crate::memory::Request {
                range,
                what: "pointers",
            }],
            _ => Vec::new(),
        }
    }

    fn gather(&mut self, _: &dyn crate::memory::Memory) -> Vec<Gather> {
        vec![wish(self.0)]
    }
}

fn wish(count: u64) -> Gather {
    let field = Place {
        from: 16,
        to: 8,
        bytes: 8,
        late: false,
    };
    Gather {
        what: "test",
        list: 2,
        pointers: Addr(POINTERS),
        count,
        shape: RecordShape::new(SIZE, 16, 0, &[field], &[]).unwrap(),
    }
}

#[test]
fn structures_come_out_in_the_order_of_their_pointers() {
    // In rows, in reverse, apart, twice, and across pages.
    let mut pointers: Vec<u64> = (0..3000).map(|index| 0x20_0000 + index * SIZE).collect();
    pointers.extend((0..100).rev().map(|index| 0x40_0000 + index * 1000));
    pointers.extend([0x20_0000, 0x20_0000, 0x20_0ff0, 0x20_0ff8]);
    let mut target = Words::with(&pointers);
    let (end, found) = target.gather(pointers.len() as u64, 1 << 30);
    assert_eq!(end, Ok(End::Complete));
    let expected: Vec<_> = pointers.iter().map(|pointer| Ok(pointer + 16)).collect();
    assert_eq!(found, expected);
    assert!(target.calls < 10, "{} calls", target.calls);
}

#[test]
fn what_is_not_there_is_named_and_not_touched() {
    let pointers = [
        (0x20_0010, Ok(0x20_0020)),
        (0x20_1000, Err(Missing::Swapped)),
        (0x20_0ff0, Err(Missing::Swapped)), // its end is on the page that is swapped out
        (0x20_2100, Ok(0)),                 // never written
        (0x20_3000 - 8, Err(Missing::Unreadable)),
        (0x20_5000 - 24, Ok(0x20_4ff8)), // its end never written
        (0x20_6000 - 8, Ok(0x20_6008)),  // its beginning
        (0x20_3000, Err(Missing::Unreadable)),
        (0x20_4000, Ok(0x20_4010)),
        (0x70_1000, Err(Missing::NotPresent)),
        (0x70_0000, Err(Missing::NotPresent)), // of a file, where only the process's own pages are read
        (0, Err(Missing::NotMapped)),
        (0x50_0000_0000, Err(Missing::NotMapped)),
        (u64::MAX, Err(Missing::NotMapped)),
        (u64::MAX - 100, Err(Missing::NotMapped)),
    ];
    let addrs: Vec<u64> = pointers.iter().map(|(addr, _)| *addr).collect();
    let mut target = Words::with(&addrs);
    target.swapped = vec![0x20_1000];
    target.absent = vec![0x20_2000, 0x20_5000, 0x70_1000];
    target.bad = vec![0x20_3000];
    let (end, found) = target.gather(addrs.len() as u64, 1 << 30);
    assert_eq!(end, Ok(End::Complete));
    let expected: Vec<_> = pointers.into_iter().map(|(_, expected)| expected).collect();
    assert_eq!(found, expected);
}

#[test]
fn unreadable_pages_cost_their_structures_only() {
    let pointers: Vec<u64> = (0..5000).map(|index| 0x20_0000 + index * SIZE).collect();
    let mut target = Words::with(&pointers);
    target.bad = vec![0x20_0000, 0x20_5000];
    let (_, found) = target.gather(pointers.len() as u64, 1 << 30);
    for (pointer, found) in pointers.iter().zip(found) {
        let pages = [pointer & !(PAGE - 1), (pointer + SIZE - 1) & !(PAGE - 1)];
        match pages.iter().any(|page| target.bad.contains(page)) {
            true => assert_eq!(found, Err(Missing::Unreadable), "{pointer:#x}"),
            // What is read together with a bad page may be lost up to the end of its stretch.
            false => assert!(matches!(found, Ok(value) if value == pointer + 16) || found == Err(Missing::Unreadable)),
        }
    }
}

#[test]
fn the_byte_budget_bounds_the_records() {
    let pointers: Vec<u64> = vec![0x20_0000; 4096];
    let mut target = Words::with(&pointers);
    let budget = 4096 * 8 + 100 * 16;
    let (end, found) = target.gather(pointers.len() as u64, budget);
    assert_eq!(end, Ok(End::Bytes));
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(Result::is_ok));
}

#[test]
fn no_time_to_look_structures_up_is_told_as_such() {
    // Two groups: the time is over with the first, of which nothing is to be read.
    let pointers = [0x20_0000, 0x50_0000];
    let mut target = Words::with(&pointers);
    target.absent = vec![0x20_0000];
    target.slow = Some(Deadline::at(u64::MAX).or_in(20_000_000));
    let (end, found) = target.gather(2, 1 << 30);
    assert_eq!(end, Ok(End::Time));
    assert_eq!(found, [Ok(0), Err(Missing::BudgetSpent)]);
}

/// Rehearses with an array, has it name others at some places, and gathers again. What became of each, by the word at its
/// offset 16.
fn renamed(pointers: &[u64], others: &[(u64, u64)]) -> Vec<Result<u64, Missing>> {
    let count = pointers.len() as u64;
    let mut target = Words::with(pointers);
    target.absent = vec![ABSENT];
    let ranges: Vec<(u64, u64)> = target.readable.iter().map(|range| (range.start, range.end)).collect();
    let mut store = Store::new(&ranges, 1 << 20).unwrap();
    let limits = Limits {
        bytes: 1 << 30,
        deadline: Deadline::at(u64::MAX),
    };
    let mut rehearsal = Engine::rehearsing(&mut target, &mut store, limits);
    rehearsal.run(&mut Wish(count)).unwrap();
    let learned = rehearsal.learned().unwrap();
    for (index, addr) in others {
        target.written.insert(POINTERS + 8 * index, *addr);
    }
    store.begin_second_pass();
    let mut engine = Engine::continuing(&mut target, &mut store, limits, learned);
    assert_eq!(engine.run(&mut Wish(count)), Ok(End::Complete));
    let (_, gathered, planned) = engine.into_done();
    planned
        .iter()
        .for_each(|planned| planned.drop_unnamed(&mut store, &gathered));
    let (at, _) = store.records(wish(count).list).unwrap();
    let records = std::sync::Arc::new(store.region().data()[at].to_vec());
    let gathered = Gathered::new(records, &wish(count).shape, store.pass());
    let value = |record: &[u8]| u64::from_le_bytes(record[8..16].try_into().unwrap());
    gathered.iter().map(|record| record.map(value)).collect()
}

/// A page that was never written, and one that is none.
const ABSENT: u64 = 0x5f_f000;
const UNMAPPED: u64 = 0x60_0000;

fn in_a_row(count: usize) -> Vec<u64> {
    (0..count as u64).map(|index| 0x20_0000 + index * SIZE).collect()
}

#[test]
fn what_the_array_names_in_the_stop_is_what_the_records_are_of() {
    let mut pointers = in_a_row(100);
    let mapped = 0x22_0000;
    pointers[10..13].copy_from_slice(&[0, UNMAPPED, ABSENT]);
    let others = [
        (10, mapped),
        (11, mapped + SIZE),
        (12, mapped + 2 * SIZE),
        (40, mapped + 3 * SIZE),
        (41, UNMAPPED),
        (42, ABSENT),
        (99, mapped + 4 * SIZE),
    ];
    let found = renamed(&pointers, &others);
    for (index, found) in found.into_iter().enumerate() {
        let other = others.iter().find(|(at, _)| *at == index as u64);
        let expected = match other.map_or(pointers[index], |(_, addr)| *addr) {
            UNMAPPED => Err(Missing::NotMapped),
            ABSENT => Ok(0),
            addr => Ok(addr + 16),
        };
        assert_eq!(found, expected, "{index}");
    }
}

#[test]
fn another_array_is_noticed_by_a_few_of_its_places() {
    let pointers = in_a_row(2 * MOST_COMPARED);
    let others: Vec<(u64, u64)> = (0..).zip(pointers.iter().rev().copied()).collect();
    let found = renamed(&pointers, &others);
    for ((index, addr), found) in others.into_iter().zip(found) {
        assert_eq!(found, Ok(addr + 16), "{index}");
    }
}

#[test]
fn what_is_noticed_only_after_the_stop_has_no_record() {
    let pointers = in_a_row(2 * MOST_COMPARED);
    let found = renamed(&pointers, &[(40, 0x20_0000)]);
    for (index, found) in found.into_iter().enumerate() {
        let expected = match index {
            40 => Err(Missing::NotCaptured),
            _ => Ok(pointers[index] + 16),
        };
        assert_eq!(found, expected, "{index}");
    }
}

#[test]
fn very_many_that_were_not_there_are_looked_for_where_another_array_names_them() {
    let nowhere = vec![UNMAPPED; 30_000];
    let pointers = in_a_row(nowhere.len());
    let others: Vec<(u64, u64)> = (0..).zip(pointers.iter().copied()).collect();
    let found = renamed(&nowhere, &others);
    assert!(found.iter().zip(&pointers).all(|(found, addr)| *found == Ok(addr + 16)));
}

#[test]
fn changes_are_counted_by_page_and_word() {
    let record = |status: u8, value: u64| {
        let mut record = vec![status, 0, 0, 0, 0, 0, 0, 0];
        record.extend(value.to_le_bytes());
        record
    };
    let old = [record(1, 5), record(1, 5), record(1, 5), record(0x82, 5)].concat();
    let new = [record(2, 5), record(2, 6), record(2, 5), record(2, 6)].concat();
    let mut call = GatherCall::default();
    let structures = [0x1000u64, 0x1800, 0x2000, 0x3000].map(u64::to_le_bytes);
    for (index, row) in rows(&[], 0, &structures, SIZE).iter().enumerate() {
        assert_eq!((row.record, call.add(row, SIZE)), (index, 1));
    }
    assert_eq!(compare(&call, &wish(4).shape, (&old, &new), 12), (2, 1, 8));
}

#[test]
fn rows_hold_every_structure_once() {
    let lists: [&[u64]; 7] = [
        &[],
        &[0x1000, 0x1030, 0x1060, 0x1090],
        &[0x1000, 0x1040, 0x1080, 0x10b0, 0x1000],
        &[0x1000, 0x1000, 0xfd0, 0xfa0],
        &[0x1000, 0x1000 + 48 + PIECE_GAP, 0x9000, 0x9000 + 49 + PIECE_GAP],
        &[u64::MAX - 96, u64::MAX - 48, 0, 48],
        &[0, 0, 48, 96],
    ];
    for list in lists {
        // A gap in the numbers of the records ends a row.
        let known = (0..).zip(list.iter().copied());
        let known: Vec<(usize, u64)> = known.map(|(index, addr)| (index + index / 3, addr)).collect();
        let named: Vec<[u8; 8]> = list.iter().map(|addr| addr.to_le_bytes()).collect();
        let behind = (0..).zip(list.iter().copied()).map(|(index, addr)| (100 + index, addr));
        let made: Vec<(usize, u64)> = rows(&known, 100, &named, SIZE)
            .iter()
            .flat_map(|row| (0..row.count).map(|index| (row.record + index, row.addr + row.stride * index as u64)))
            .collect();
        assert!(made.into_iter().eq(known.iter().copied().chain(behind)), "{list:?}");
    }
    let named: Vec<[u8; 8]> = (0..1000).map(|index| (0x1000 + index * SIZE).to_le_bytes()).collect();
    assert_eq!(rows(&[], 7, &named, SIZE).len(), 1);
    // What is known goes on with what is named.
    assert_eq!(rows(&[(6, 0x1000 - SIZE)], 7, &named, SIZE).len(), 1);
}
