//! The engine against a target made of a map of pages.

use std::collections::BTreeMap;
use std::io::IoSliceMut;

use super::super::region::MAX_WINDOWS;
use super::super::runs::MAX_IOVECS;
use super::*;
use crate::memory::{Addr, Gather, Memory, MemoryError, Place, Range, RecordShape};
use crate::target::capture::reader::Pages;
use crate::target::pages::{Ask, PageRun};

const PAGE: u64 = 4096;

#[derive(Default)]
struct Synthetic {
    readable: Vec<Readable>,
    pages: BTreeMap<u64, u8>,
    swapped: Vec<u64>,
    of_file: Vec<u64>,
    bad: Vec<u64>,
    /// Mapped once the mappings have been looked up.
    grows: Option<Readable>,
    reads: Vec<Range>,
    lookups: usize,
}

impl Synthetic {
    /// One readable stretch; every page is present and filled with its number.
    fn with(start: u64, pages: u64) -> Synthetic {
        let readable = vec![Readable {
            start,
            end: start + pages * PAGE,
            pages: Pages::Present,
        }];
        let pages = (0..pages)
            .map(|index| (start + index * PAGE, (start / PAGE + index) as u8))
            .collect();
        Synthetic {
            readable,
            pages,
            ..Synthetic::default()
        }
    }

    fn store(&self) -> Store {
        let ranges: Vec<(u64, u64)> = self.readable.iter().map(|range| (range.start, range.end)).collect();
        Store::new(&ranges, 1 << 20).unwrap()
    }

    /// A page at `start`, filled with 7, is mapped once the mappings have been looked up.
    fn grow_by(&mut self, start: u64) {
        self.pages.insert(start, 7);
        self.grows = Some(Readable {
            start,
            end: start + PAGE,
            pages: Pages::Present,
        });
    }

    /// Every page that was read, as often as it was.
    fn pages_read(&self) -> Vec<u64> {
        let pages = |range: &Range| (range.start.0..range.end().0).step_by(PAGE as usize);
        let mut read: Vec<u64> = self.reads.iter().flat_map(pages).collect();
        read.sort_unstable();
        read
    }

    fn run(&mut self, store: &mut Store, waves: &[&[(u64, u64)]]) -> Result<End, ReadError> {
        Engine::new(self, store, limits(), false).run(&mut Waves(waves))
    }
}

impl RangeReader for Synthetic {
    fn readable(&mut self) -> Result<Vec<Readable>, ReadError> {
        let now = self.readable.clone();
        self.readable.extend(self.grows.take());
        Ok(now)
    }

    fn barred(&mut self) -> Result<Vec<(u64, u64)>, ReadError> {
        Ok(Vec::new())
    }

    fn presence(&mut self, start: u64, end: u64, ask: Ask, out: &mut Vec<PageRun>) -> Result<(), ReadError> {
        self.lookups += 1;
        for (&start, _) in self.pages.range(start..end) {
            let swapped = self.swapped.contains(&start);
            let file = ask == Ask::Owner && self.of_file.contains(&start);
            let end = start + PAGE;
            out.push(PageRun {
                start,
                end,
                present: !swapped,
                swapped,
                file,
                zero: false,
                huge: false,
            });
        }
        Ok(())
    }

    fn read(&mut self, from: &[Range], into: &mut [IoSliceMut<'_>]) -> Result<usize, ReadError> {
        assert!(from.len() <= MAX_IOVECS && from.len() == into.len());
        self.reads.extend_from_slice(from);
        let mut done = 0;
        for (range, buffer) in from.iter().zip(into) {
            assert_eq!(range.len, buffer.len() as u64);
            let (mut address, mut rest) = (range.start.0, &mut **buffer);
            while !rest.is_empty() {
                let page = address & !(PAGE - 1);
                let len = rest.len().min((page + PAGE - address) as usize);
                let (piece, behind) = rest.split_at_mut(len);
                match self.pages.get(&page).filter(|_| !self.bad.contains(&page)) {
                    Some(&byte) => piece.fill(byte),
                    None if done == 0 => return Err(ReadError::Fault),
                    None => return Ok(done),
                }
                done += len;
                (address, rest) = (address + len as u64, behind);
            }
        }
        Ok(done)
    }

    fn read_image(&mut self, offset: u64, page: &mut [u8]) -> bool {
        page.fill(offset as u8 / 16 + 100);
        true
    }
}

/// More than any test needs.
fn limits() -> Limits {
    Limits {
        bytes: 1 << 30,
        deadline: Deadline::at(u64::MAX),
    }
}

struct Waves<'a>(&'a [&'a [(u64, u64)]]);

impl Planner for Waves<'_> {
    fn wave(&mut self, wave: usize, _: &dyn Memory) -> Vec<Request> {
        let ranges = self.0.get(wave).copied().unwrap_or_default();
        ranges
            .iter()
            .map(|&(start, len)| Request {
                range: Range::new(Addr(start), len),
                what: "test",
            })
            .collect()
    }
}

fn why(store: &Store, addr: u64) -> Result<u8, Missing> {
    store
        .bytes(Addr(addr), 1)
        .map(|bytes| bytes[0])
        .map_err(|MemoryError { why, .. }| why)
}

#[test]
fn overlapping_and_repeated_wishes_read_each_page_once() {
    let mut target = Synthetic::with(0x100000, 16);
    let mut store = target.store();
    let wishes: &[(u64, u64)] = &[(0x101ff8, 0x1010), (0x100ff8, 16), (0x100000, 8), (0x101000, 8)];
    let waves: &[&[(u64, u64)]] = &[wishes, &[(0x100ff8, 16), (0x102000, 0x2000)], wishes];
    assert_eq!(target.run(&mut store, waves), Ok(End::Complete));
    assert_eq!(target.pages_read(), [0x100000, 0x101000, 0x102000, 0x103000]);
    assert_eq!(store.bytes(Addr(0x100fff), 0x1002).unwrap().len(), 0x1002);
}

#[test]
fn a_wish_that_reaches_beyond_what_an_earlier_wave_read_is_one_slice() {
    let mut target = Synthetic::with(0x100000, 200);
    let mut store = target.store();
    let waves: &[&[(u64, u64)]] = &[
        &[(0x102000, 0x2000), (0x140000, 100 * PAGE)],
        &[(0x103ff8, 16), (0x101000, 0x5000)],
        &[(0x140000, 101 * PAGE)],
    ];
    assert_eq!(target.run(&mut store, waves), Ok(End::Complete));
    for wave in waves {
        for &(start, len) in *wave {
            let bytes = store.bytes(Addr(start), len as usize).unwrap();
            let named = (start..).map(|addr| (addr / PAGE) as u8);
            assert!(bytes.iter().copied().eq(named.take(len as usize)), "{start:#x}");
        }
    }
    let again = |page: u64| target.pages_read().iter().filter(|read| **read == page).count();
    // In the room left behind an array that may grow.
    assert_eq!((again(0x140000), again(0x140000 + 100 * PAGE)), (1, 1));
    assert!(again(0x102000) <= 2);
}

#[test]
fn a_wish_across_two_mappings_is_one_slice_whatever_was_read_before() {
    for known in [&[(0x103000u64, 8u64)][..], &[(0x104000, 8)], &[(0x100000, 8)]] {
        let mut target = Synthetic::with(0x100000, 8);
        target.readable[0].end = 0x104000;
        target.readable.push(Readable {
            start: 0x104000,
            end: 0x108000,
            pages: Pages::Present,
        });
        let mut store = target.store();
        let waves: &[&[(u64, u64)]] = &[known, &[(0x103ff8, 16)], &[(0x104000, 8), (0x103ff8, 16)]];
        assert_eq!(target.run(&mut store, waves), Ok(End::Complete));
        assert_eq!(store.bytes(Addr(0x103ff8), 16).unwrap(), [[3; 8], [4; 8]].concat());
        let read = target.reads.len();
        store.begin_second_pass();
        target.run(&mut store, waves).unwrap();
        assert_eq!(store.bytes(Addr(0x103ff8), 16).unwrap(), [[3; 8], [4; 8]].concat());
        assert!(!store.region().header().unmet.load(Ordering::Relaxed));
        assert!(target.reads.len() - read <= read);
    }
}

/// Numbers that look random, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    /// A wish for bytes of `pages` pages from `START` on: mostly of few pages, some of many.
    fn wish(&mut self, pages: u64) -> (u64, u64) {
        let most = [1, 3, 20, 90][self.below(4) as usize];
        let start = self.below(pages * PAGE);
        let len = 1 + self.below(most * PAGE);
        (START + start, len.min(pages * PAGE - start))
    }
}

const START: u64 = 0x100000;

/// Looks at all of each wish, and at a part of it: what of it is there must be here as one slice.
fn expect_met(target: &Synthetic, store: &Store, wishes: &[(u64, u64)], dice: &mut Dice) {
    let mut all_met = true;
    for &(start, len) in wishes {
        let from = dice.below(len);
        let part = (start + from, 1 + dice.below(len - from));
        for (start, len) in [(start, len), part] {
            let pages = start / PAGE..=(start + len - 1) / PAGE;
            let readable = |page: u64| {
                let holds = |range: &Readable| (range.start..range.end).contains(&(page * PAGE));
                target.readable.iter().any(holds) && target.pages.contains_key(&(page * PAGE))
            };
            let bytes = store.bytes(Addr(start), len as usize);
            assert_eq!(bytes.is_ok(), pages.clone().all(readable), "{start:#x}+{len:#x}");
            for page in bytes.iter().flat_map(|_| pages.clone()) {
                let (from, to) = ((page * PAGE).max(start), ((page + 1) * PAGE).min(start + len));
                let piece = &bytes.unwrap()[(from - start) as usize..(to - start) as usize];
                let filled = target.pages.get(&(page * PAGE));
                assert!(piece.first() == filled && piece.last() == filled, "{from:#x}");
            }
            all_met &= bytes.is_ok();
        }
    }
    assert!(all_met || store.region().header().unmet.load(Ordering::Relaxed));
}

#[test]
fn whatever_was_wished_for_before_each_wish_is_one_slice() {
    const PAGES: u64 = 300;
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut target = Synthetic::with(START, PAGES);
        if dice.below(2) == 0 {
            let cut = START + (1 + dice.below(PAGES - 1)) * PAGE;
            target.readable[0].end = cut;
            let pages = Pages::Present;
            let (start, end) = (cut + dice.below(2) * PAGE, START + PAGES * PAGE);
            target.readable.push(Readable { start, end, pages });
        }
        for _ in 0..dice.below(8) {
            let (first, count) = (dice.below(PAGES), 1 + dice.below(12));
            for page in first..first + count {
                target.pages.remove(&(START + page * PAGE));
            }
        }
        let wish_lists = |dice: &mut Dice| -> Vec<Vec<(u64, u64)>> {
            let list = |dice: &mut Dice| (0..=dice.below(6)).map(|_| dice.wish(PAGES)).collect();
            (0..=dice.below(4)).map(|_| list(dice)).collect()
        };
        let of = |lists: &[Vec<(u64, u64)>]| lists.concat();
        let mut lists = wish_lists(&mut dice);
        let mut store = target.store();
        let waves: Vec<&[(u64, u64)]> = lists.iter().map(Vec::as_slice).collect();
        let mut rehearsal = Engine::rehearsing(&mut target, &mut store, limits());
        assert_eq!(rehearsal.run(&mut Waves(&waves)), Ok(End::Complete));
        let learned = rehearsal.learned().unwrap();
        expect_met(&target, &store, &of(&lists), &mut dice);
        // By the second pass the target has moved on.
        for wish in lists.iter_mut().flatten() {
            let more = [0, 0, dice.below(4 * PAGE)][dice.below(3) as usize];
            wish.1 = (wish.1 + more).min(START + PAGES * PAGE - wish.0);
        }
        lists.extend(wish_lists(&mut dice));
        target.pages.values_mut().for_each(|byte| *byte = byte.wrapping_add(50));
        let waves: Vec<&[(u64, u64)]> = lists.iter().map(Vec::as_slice).collect();
        store.begin_second_pass();
        let end = match dice.below(2) {
            0 => Engine::continuing(&mut target, &mut store, limits(), learned).run(&mut Waves(&waves)),
            _ => target.run(&mut store, &waves),
        };
        assert_eq!(end, Ok(End::Complete));
        expect_met(&target, &store, &of(&lists), &mut dice);
        // And as the parent sees it.
        store.adopt();
        expect_met(&target, &store, &of(&lists), &mut dice);
    }
}

#[test]
fn more_wishes_than_windows_are_met_all_the_same() {
    let count = MAX_WINDOWS as u64 + 1000;
    let mut target = Synthetic::with(START, 2 * count + 10);
    let mut store = target.store();
    let scattered: Vec<(u64, u64)> = (0..count).map(|index| (START + 2 * index * PAGE, 8)).collect();
    let waves: &[&[(u64, u64)]] = &[&scattered, &[(START + PAGE, 8), (START + 7 * PAGE, 3 * PAGE)]];
    assert_eq!(target.run(&mut store, waves), Ok(End::Complete));
    store.adopt();
    let met = |(start, len): &(u64, u64)| store.bytes(Addr(*start), *len as usize).is_ok();
    assert!(waves.concat().iter().all(met));
}

#[test]
fn whether_a_wish_was_not_met_is_known_without_a_look() {
    let unmet = |change: &dyn Fn(&mut Synthetic), wishes: &[(u64, u64)]| {
        let mut target = Synthetic::with(0x100000, 8);
        change(&mut target);
        let mut store = target.store();
        target.run(&mut store, &[wishes]).unwrap();
        let met = |(start, len): &(u64, u64)| store.bytes(Addr(*start), *len as usize).is_ok();
        let unmet = store.region().header().unmet.load(Ordering::Relaxed);
        assert_eq!(unmet, !wishes.iter().all(met), "{wishes:x?}");
        unmet
    };
    let zeros = |target: &mut Synthetic| {
        target.readable[0].pages = Pages::OrZero;
        target.pages.remove(&0x102000);
    };
    let wishes: &[(u64, u64)] = &[(0x100000, 8), (0x102000, 0x2000)];
    assert!(!unmet(&|_| {}, wishes));
    assert!(!unmet(&zeros, wishes));
    assert!(unmet(
        &|target| {
            target.pages.remove(&0x103000);
        },
        wishes
    ));
    assert!(unmet(&|target| target.swapped = vec![0x102000], wishes));
    assert!(unmet(&|target| target.bad = vec![0x103000], wishes));
    assert!(unmet(&|_| {}, &[(0x107000, 0x1001)]));
    assert!(unmet(&|_| {}, &[(0x200000, 8)]));
    assert!(unmet(&|_| {}, &[(u64::MAX - 0xff7, 8)]));
}

#[test]
fn what_is_mostly_there_lies_side_by_side_and_the_rest_as_in_the_target() {
    let mut target = Synthetic::with(0x100000, 1000);
    for page in (100..900).filter(|page| page % 10 != 0) {
        target.pages.remove(&(0x100000 + page * PAGE));
    }
    let mut store = target.store();
    let waves: &[&[(u64, u64)]] = &[&[
        (0x100000, 2 * PAGE),
        (0x100000 + 10 * PAGE, 2 * PAGE),
        (0x100000 + 100 * PAGE, 900 * PAGE),
    ]];
    assert_eq!(target.run(&mut store, waves), Ok(End::Complete));
    let (first, second) = (store.bytes(Addr(0x101000), 1), store.bytes(Addr(0x10a000), 1));
    let apart = second.unwrap().as_ptr().addr() - first.unwrap().as_ptr().addr();
    let dense = store.region().dense() < store.region().pages();
    assert_eq!(apart as u64, if dense { PAGE } else { 9 * PAGE });
    assert_eq!(why(&store, 0x100000 + 110 * PAGE), Ok(((0x100000 / PAGE) + 110) as u8));
    assert_eq!(why(&store, 0x100000 + 111 * PAGE), Err(Missing::NotPresent));
}

#[test]
fn a_bad_page_in_the_middle_costs_only_itself() {
    let mut target = Synthetic::with(0x100000, 300);
    target.bad = vec![0x100000, 0x110000, 0x111000, 0x180000, 0x22b000];
    let mut store = target.store();
    assert_eq!(target.run(&mut store, &[&[(0x100000, 300 * PAGE)]]), Ok(End::Complete));
    for index in 0..300 {
        let address = 0x100000 + index * PAGE;
        let expected = if target.bad.contains(&address) {
            Err(Missing::Unreadable)
        } else {
            Ok((address / PAGE) as u8)
        };
        assert_eq!(why(&store, address), expected, "{address:#x}");
    }
}

#[test]
fn a_range_of_bad_pages_is_given_up() {
    let mut target = Synthetic::with(0x100000, 1000);
    target.bad = (0..1000).map(|index| 0x100000 + index * PAGE).collect();
    let mut store = target.store();
    assert_eq!(target.run(&mut store, &[&[(0x100000, 1000 * PAGE)]]), Ok(End::Complete));
    assert!(target.reads.len() < 100_000);
    assert_eq!(why(&store, 0x100000 + 999 * PAGE), Err(Missing::Unreadable));
}

#[test]
fn absent_and_swapped_pages_are_named_and_left_alone() {
    let mut target = Synthetic::with(0x100000, 8);
    target.pages.remove(&0x102000);
    target.pages.remove(&0x107000);
    target.swapped = vec![0x103000];
    let mut store = target.store();
    target.run(&mut store, &[&[(0x100000, 8 * PAGE)]]).unwrap();
    assert_eq!(why(&store, 0x101000), Ok(1));
    assert_eq!(why(&store, 0x102000), Err(Missing::NotPresent));
    assert_eq!(why(&store, 0x103000), Err(Missing::Swapped));
    assert_eq!(why(&store, 0x107fff), Err(Missing::NotPresent));
    let touched = |address| target.reads.iter().any(|r| r.start.0 <= address && address < r.end().0);
    assert!(!touched(0x102000) && !touched(0x103000) && !touched(0x107000));
}

#[test]
fn pages_known_from_the_rehearsal_are_not_looked_up_again() {
    let mut target = Synthetic::with(0x100000, 8);
    let mut store = target.store();
    target.run(&mut store, &[&[(0x100000, 8 * PAGE)]]).unwrap();
    let lookups = target.lookups;
    store.begin_second_pass();
    target.pages.insert(0x101000, 77);
    target.run(&mut store, &[&[(0x100000, 8 * PAGE)]]).unwrap();
    assert_eq!(target.lookups, lookups);
    assert_eq!(why(&store, 0x101000), Ok(77));
}

#[test]
fn a_page_gone_since_the_rehearsal_is_unreadable_not_old() {
    let mut target = Synthetic::with(0x100000, 4);
    let mut store = target.store();
    target.run(&mut store, &[&[(0x100000, 4 * PAGE)]]).unwrap();
    store.begin_second_pass();
    target.pages.remove(&0x102000);
    target.run(&mut store, &[&[(0x100000, 4 * PAGE)]]).unwrap();
    assert_eq!(why(&store, 0x102000), Err(Missing::Unreadable));
    assert_eq!(why(&store, 0x103000), Ok(3));
}

#[test]
fn only_own_pages_of_read_only_data_and_the_file_behind_absent_data() {
    let mut target = Synthetic::with(0x100000, 4);
    target.readable[0].pages = Pages::OwnOnly;
    target.readable.push(Readable {
        start: 0x104000,
        end: 0x106000,
        pages: Pages::OrImage(0x10),
    });
    target.of_file = vec![0x101000];
    target.pages.insert(0x104000, 9);
    let mut store = target.store();
    target.run(&mut store, &[&[(0x100000, 6 * PAGE)]]).unwrap();
    assert_eq!(why(&store, 0x100000), Ok(0));
    assert_eq!(why(&store, 0x101000), Err(Missing::NotMapped));
    assert_eq!(why(&store, 0x104000), Ok(9));
    assert_eq!(why(&store, 0x105000), Ok(101));
    let bytes = store.bytes(Addr(0x104ffe), 4).unwrap();
    assert_eq!(bytes, [9, 9, 101, 101]);
}

#[test]
fn the_byte_budget_holds_and_what_is_over_it_is_named() {
    let mut target = Synthetic::with(0x100000, 8);
    let mut store = target.store();
    let limits = Limits {
        bytes: 3 * PAGE,
        deadline: Deadline::at(u64::MAX),
    };
    let waves: &[&[(u64, u64)]] = &[&[(0x100000, 8 * PAGE)], &[(0x100000, 8 * PAGE)]];
    let end = Engine::new(&mut target, &mut store, limits, false).run(&mut Waves(waves));
    assert_eq!(end, Ok(End::Bytes));
    assert_eq!(why(&store, 0x102000), Ok(2));
    assert_eq!(why(&store, 0x103000), Err(Missing::BudgetSpent));
}

#[test]
fn no_time_is_no_reads() {
    let mut target = Synthetic::with(0x100000, 8);
    let mut store = target.store();
    let limits = Limits {
        bytes: 1 << 30,
        deadline: Deadline::at(0),
    };
    let end = Engine::new(&mut target, &mut store, limits, false).run(&mut Waves(&[&[(0x100000, PAGE)]]));
    assert_eq!(end, Ok(End::Time));
    assert_eq!(why(&store, 0x100000), Err(Missing::BudgetSpent));
    assert!(target.reads.is_empty());
    store.begin_second_pass();
    target.run(&mut store, &[&[(0x100000, PAGE)]]).unwrap();
    assert_eq!(why(&store, 0x100000), Ok(0));
}

#[test]
fn wild_wishes_are_harmless() {
    let mut target = Synthetic::with(0x100000, 2);
    let mut store = target.store();
    let waves: &[&[(u64, u64)]] = &[&[
        (0, 0),
        (0, u64::MAX),
        (u64::MAX, u64::MAX),
        (u64::MAX - 1, 1),
        (1 << 60, 5),
    ]];
    assert_eq!(target.run(&mut store, waves), Ok(End::Complete));
    assert_eq!(why(&store, 0x101000), Ok(1));
}

#[test]
fn a_planner_in_circles_is_stopped() {
    struct Circles;
    impl Planner for Circles {
        fn wave(&mut self, _: usize, _: &dyn Memory) -> Vec<Request> {
            vec![Request {
                range: Range::new(Addr(0x100000), 8),
                what: "circle",
            }]
        }
    }
    let mut target = Synthetic::with(0x100000, 2);
    let mut store = target.store();
    let limits = Limits {
        bytes: 1 << 30,
        deadline: Deadline::at(u64::MAX),
    };
    assert_eq!(
        Engine::new(&mut target, &mut store, limits, false).run(&mut Circles),
        Ok(End::Waves)
    );
}

#[test]
fn two_readings_are_compared_word_by_word() {
    let mut target = Synthetic::with(0x100000, 4);
    let mut store = target.store();
    let limits = Limits {
        bytes: 1 << 30,
        deadline: Deadline::at(u64::MAX),
    };
    let waves: &[&[(u64, u64)]] = &[&[(0x100000, 4 * PAGE)]];
    Engine::new(&mut target, &mut store, limits, true)
        .run(&mut Waves(waves))
        .unwrap();
    store.begin_second_pass();
    target.pages.insert(0x102000, 200);
    Engine::new(&mut target, &mut store, limits, true)
        .run(&mut Waves(waves))
        .unwrap();
    let header = store.region().header();
    assert_eq!(header.compared_pages.load(Ordering::Relaxed), 4);
    assert_eq!(header.changed_pages.load(Ordering::Relaxed), 1);
    assert_eq!(header.changed_bytes.load(Ordering::Relaxed), PAGE);
    assert_eq!(why(&store, 0x102000), Ok(200));
}

/// One structure of eight bytes, to which the first word at `ARRAY` points.
struct Pointed;

impl Pointed {
    /// On a page that `Synthetic::with` fills with 0x41, so that this is where the pointer leads.
    const ARRAY: u64 = 0x41000;
    const STRUCTURE: u64 = 0x4141_4141_4141_4141;
}

impl Planner for Pointed {
    fn wave(&mut self, wave: usize, captured: &dyn Memory) -> Vec<Request> {
        Waves(&[&[(Pointed::ARRAY, 8)]]).wave(wave, captured)
    }

    fn gather(&mut self, _: &dyn Memory) -> Vec<Gather> {
        let place = Place {
            from: 0,
            to: 8,
            bytes: 8,
            late: false,
        };
        vec![Gather {
            what: "test",
            list: 0,
            pointers: Addr(Pointed::ARRAY),
            count: 1,
            shape: RecordShape::new(8, 16, 0, &[place], &[]).unwrap(),
        }]
    }
}

#[test]
fn a_structure_in_memory_mapped_after_the_rehearsal_is_found() {
    let mut target = Synthetic::with(Pointed::ARRAY, 1);
    let mut store = target.store();
    let mut rehearsal = Engine::rehearsing(&mut target, &mut store, limits());
    rehearsal.run(&mut Pointed).unwrap();
    let learned = rehearsal.learned().unwrap();

    let page = Pointed::STRUCTURE & !(PAGE - 1);
    target.pages.insert(page, 7);
    target.readable.push(Readable {
        start: page,
        end: page + PAGE,
        pages: Pages::Present,
    });
    store.begin_second_pass();
    Engine::continuing(&mut target, &mut store, limits(), learned)
        .run(&mut Pointed)
        .unwrap();
    let record = store.records_mut(0, 0..1);
    assert_eq!((record[0], &record[8..]), (2, &[7; 8][..]));
}

#[test]
fn memory_mapped_far_away_during_the_rehearsal_is_read() {
    const FAR: u64 = 0x7f00_0000_0000;
    let mut target = Synthetic::with(0x100000, 1);
    let mut store = target.store();
    target.grow_by(FAR);
    let mut rehearsal = Engine::rehearsing(&mut target, &mut store, limits());
    rehearsal.run(&mut Waves(&[&[(0x100000, 8)]])).unwrap();
    let learned = rehearsal.learned().unwrap();
    store.begin_second_pass();
    let waves: &[&[(u64, u64)]] = &[&[(0x100000, 8)], &[(FAR, 8)]];
    let end = Engine::continuing(&mut target, &mut store, limits(), learned).run(&mut Waves(waves));
    assert_eq!(end, Ok(End::Complete));
    assert_eq!(why(&store, FAR), Ok(7));
}

#[test]
fn memory_mapped_while_a_running_target_is_read_is_found() {
    const NEW: u64 = 0x7f00_0000_0000;
    let mut target = Synthetic::with(0x100000, 1);
    let mut store = target.store();
    target.grow_by(NEW);
    assert_eq!(
        target.run(&mut store, &[&[(0x100000, 8)], &[(NEW, 8)]]),
        Ok(End::Complete)
    );
    assert_eq!(why(&store, NEW), Ok(7));
}
