//! Which bytes of a process are in memory and which are swapped out, page by page, and the several figures the kernel
//! has for the sum. The page-level sum is the truth; statm is kept beside it because it is what people see in `top`.

use std::io;

use super::maps::{Backing, Maps};
use super::pages::{Ask, Method, PageMap, PageRun};
use super::procdir::kb_field;
use super::process::LiveProcess;
use crate::error::Result;
use crate::memory::{Addr, Range};
use crate::spare::in_parts;

/// How far residency figures can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidencyGrade {
    /// Looked up page by page, the shared zero page left out.
    Exact,
    /// Looked up page by page; mapped but never written pages may be counted though they cost nothing.
    WithZeroPages,
    /// Only sums per mapping could be had; parts of a mapping are taken in proportion.
    PerMapping,
}

/// Which pages of a set of ranges are present or swapped.
#[derive(Clone, Debug)]
pub struct Residency {
    grade: ResidencyGrade,
    resident: Intervals,
    swapped: Intervals,
    huge: Intervals,
    /// Start, end, resident and swapped bytes of whole mappings, where nothing better can be had.
    mappings: Vec<(u64, u64, u64, u64)>,
}

impl Residency {
    /// Looks up the pages of all mappings that count towards RSS.
    pub fn of_process(process: &LiveProcess, maps: &Maps) -> Result<Residency> {
        // [vvar] pages are mapped and belong to the kernel; no figure counts them.
        let counted = |backing: &Backing| !matches!(backing, Backing::Other(name) if name != "[uprobes]");
        let ranges: Vec<Range> = maps.iter().filter(|m| counted(&m.backing)).map(|m| m.range()).collect();
        Residency::of(process, &ranges)
    }

    /// Looks up the pages of `ranges`, which may overlap and come in any order.
    pub fn of(process: &LiveProcess, ranges: &[Range]) -> Result<Residency> {
        match process.proc().file("pagemap") {
            Ok(file) => Residency::by_page(process, PageMap::new(file), ranges),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::ENOENT)) => {
                process.recheck()?;
                let smaps = process
                    .proc()
                    .read("smaps")
                    .map_err(|error| process.lost("smaps", &error))?;
                Ok(Residency::by_mapping(&String::from_utf8_lossy(&smaps)))
            }
            Err(error) => Err(process.lost("pagemap", &error)),
        }
    }

    fn by_page(process: &LiveProcess, pages: PageMap, ranges: &[Range]) -> Result<Residency> {
        let grade = match pages.method() {
            Method::Scan => ResidencyGrade::Exact,
            Method::Read => ResidencyGrade::WithZeroPages,
        };
        let stretches = joined(ranges);
        let bytes = sum(stretches.iter().map(|(start, end)| end - start));
        let pieces = pieces(&stretches);
        let weight = (bytes / BYTES_OF_THING) as usize / pieces.len().max(1);
        let pages = &pages;
        let begin = || Looking {
            pages: pages.another(),
            runs: Vec::new(),
            found: Vec::new(),
        };
        let parts = in_parts(pieces.len(), weight, begin, |looking, part| {
            let list = pieces.get(part.clone()).unwrap_or_default();
            let found = list.iter().try_fold(Pages::default(), |mut found, piece| {
                looking.look_up(*piece, &mut found).map(|()| found)
            });
            looking.found.push((part.start, found));
        });
        let mut parts: Vec<_> = parts.into_iter().flat_map(|looking| looking.found).collect();
        parts.sort_unstable_by_key(|(start, _)| *start);
        let mut all = Pages::default();
        for (_, found) in parts {
            all.join(found.map_err(|error| process.lost("pagemap", &error))?);
        }
        let Pages {
            resident,
            swapped,
            huge,
        } = all;
        Ok(Residency {
            grade,
            resident,
            swapped,
            huge,
            mappings: Vec::new(),
        })
    }

    /// From the sums of `/proc/PID/smaps`, where pages cannot be looked up one by one.
    pub fn by_mapping(smaps: &str) -> Residency {
        let mut mappings: Vec<(u64, u64, u64, u64)> = Vec::new();
        for line in smaps.lines() {
            let first = line.split_ascii_whitespace().next().unwrap_or("");
            let addresses = first.split_once('-').and_then(|(start, end)| {
                Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
            });
            match (addresses, mappings.last_mut()) {
                (Some((start, end)), _) if start < end => mappings.push((start, end, 0, 0)),
                (None, Some(mapping)) => {
                    mapping.2 = kb_field(line, "Rss").unwrap_or(mapping.2);
                    mapping.3 = kb_field(line, "Swap").unwrap_or(mapping.3);
                }
                _ => {}
            }
        }
        let none = Intervals::default;
        Residency {
            grade: ResidencyGrade::PerMapping,
            resident: none(),
            swapped: none(),
            huge: none(),
            mappings,
        }
    }

    /// How far the figures can be trusted.
    pub fn grade(&self) -> ResidencyGrade {
        self.grade
    }

    /// Bytes of `range` that are in memory.
    pub fn resident_bytes(&self, range: Range) -> u64 {
        self.resident
            .bytes_in(range)
            .saturating_add(self.share(range, |mapping| mapping.2))
    }

    /// The same, found sooner where the range lies near the one before: `near` is where that one was.
    #[inline]
    pub fn resident_bytes_near(&self, range: Range, near: &mut usize) -> u64 {
        self.resident
            .bytes_in_near(range, near)
            .saturating_add(self.share(range, |mapping| mapping.2))
    }

    /// The stretch around `addr` that is resident as a whole, or not at all, and whether it is; of no bytes where it is
    /// not found `near`, or not known page by page.
    pub fn stretch(&self, addr: Addr, near: usize) -> ((u64, u64), bool) {
        let next = self.resident.list.get(near + 1).map_or(u64::MAX, |next| next.0);
        match self.resident.list.get(near) {
            Some(&(start, end, _)) if (start..end).contains(&addr.0) => ((start, end), true),
            Some(&(_, end, _)) if (end..next).contains(&addr.0) => ((end, next), false),
            _ => ((0, 0), false),
        }
    }

    /// Bytes of `range` that are swapped out.
    pub fn swapped_bytes(&self, range: Range) -> u64 {
        self.swapped
            .bytes_in(range)
            .saturating_add(self.share(range, |mapping| mapping.3))
    }

    /// Bytes of `range` that are in huge pages; 0 when the kernel does not tell.
    pub fn huge_bytes(&self, range: Range) -> u64 {
        self.huge.bytes_in(range)
    }

    /// Bytes in memory of all ranges looked up.
    pub fn total_resident_bytes(&self) -> u64 {
        sum(self.mappings.iter().map(|mapping| mapping.2)).saturating_add(self.resident.total())
    }

    /// Bytes swapped out of all ranges looked up.
    pub fn total_swapped_bytes(&self) -> u64 {
        sum(self.mappings.iter().map(|mapping| mapping.3)).saturating_add(self.swapped.total())
    }

    /// The resident intervals, in address order.
    pub fn resident_ranges(&self) -> impl Iterator<Item = Range> {
        self.resident.iter()
    }

    #[inline]
    fn share(&self, range: Range, of: impl Fn(&(u64, u64, u64, u64)) -> u64) -> u64 {
        if self.mappings.is_empty() {
            return 0;
        }
        let first = self.mappings.partition_point(|mapping| mapping.1 <= range.start.0);
        let overlapping = self
            .mappings
            .iter()
            .skip(first)
            .take_while(|mapping| mapping.0 < range.end().0);
        let part = |mapping: &(u64, u64, u64, u64)| {
            let overlap = mapping
                .1
                .min(range.end().0)
                .saturating_sub(mapping.0.max(range.start.0));
            let len = mapping.1.saturating_sub(mapping.0).max(1);
            (u128::from(of(mapping)) * u128::from(overlap) / u128::from(len)) as u64
        };
        sum(overlapping.map(part))
    }
}

/// Pages by what they cost.
#[derive(Debug, Default)]
struct Pages {
    resident: Intervals,
    swapped: Intervals,
    huge: Intervals,
}

impl Pages {
    fn add(&mut self, run: &PageRun) {
        if run.swapped {
            self.swapped.push(run.start, run.end);
        } else if run.present && !run.zero {
            self.resident.push(run.start, run.end);
            if run.huge {
                self.huge.push(run.start, run.end);
            }
        }
    }

    /// Adds those of higher addresses.
    fn join(&mut self, next: Pages) {
        self.resident.join(next.resident);
        self.swapped.join(next.swapped);
        self.huge.join(next.huge);
    }
}

/// A thread that looks pages up, and what it found, each part with the number of its first piece.
struct Looking {
    pages: PageMap,
    runs: Vec<PageRun>,
    found: Vec<(usize, io::Result<Pages>)>,
}

impl Looking {
    fn look_up(&mut self, (start, end): (u64, u64), found: &mut Pages) -> io::Result<()> {
        self.pages.scan(start, end, Ask::Presence, &mut self.runs)?;
        self.runs.drain(..).for_each(|run| found.add(&run));
        Ok(())
    }
}

/// What is looked up in one go, bytes of address space; more where there are terabytes of it.
const PIECE: u64 = 64 << 20;
/// Pieces that stretches are cut into, about.
const MOST_PIECES: u64 = 1024;
/// What is one thing of very many, bytes of address space: with a GiB a second thread is worth it.
const BYTES_OF_THING: u64 = 64 << 10;

/// The same stretches, none of them longer than a piece.
fn pieces(stretches: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let total = sum(stretches.iter().map(|(start, end)| end - start));
    let piece = (total / MOST_PIECES / PIECE + 1) * PIECE;
    let cut = |&(start, end): &(u64, u64)| {
        let starts = std::iter::successors(Some(start), move |from| from.checked_add(piece));
        let starts = starts.take_while(move |from| *from < end);
        starts.map(move |from| (from, end.min(from.saturating_add(piece))))
    };
    stretches.iter().flat_map(cut).collect()
}

/// No sum of what a kernel says comes near the end; one of what a damaged file says may.
fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

/// The ranges as page-aligned, sorted stretches without overlaps.
fn joined(ranges: &[Range]) -> Vec<(u64, u64)> {
    let page = super::pages::page_size();
    let mut sorted: Vec<(u64, u64)> = ranges
        .iter()
        .filter(|range| range.len > 0)
        .map(|range| {
            let end = range
                .end()
                .0
                .checked_next_multiple_of(page)
                .unwrap_or(u64::MAX / page * page);
            (range.start.0 / page * page, end)
        })
        .collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
    for (start, end) in sorted {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Sorted, disjoint intervals that know how many bytes lie before each.
#[derive(Clone, Debug, Default)]
struct Intervals {
    /// Start, end, bytes in all intervals before.
    list: Vec<(u64, u64, u64)>,
}

impl Intervals {
    /// Appends an interval that lies behind all others.
    fn push(&mut self, start: u64, end: u64) {
        let before = self.total();
        match self.list.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            Some(last) if last.1 > start => {}
            _ => self.list.push((start, end, before)),
        }
    }

    /// Appends those of another one, which lie behind all of these.
    fn join(&mut self, next: Intervals) {
        if self.list.is_empty() {
            *self = next;
            return;
        }
        let rest = next.list.into_iter();
        self.list.reserve(rest.len());
        rest.for_each(|(start, end, _)| self.push(start, end));
    }

    fn total(&self) -> u64 {
        self.list
            .last()
            .map_or(0, |(start, end, before)| before + (end - start))
    }

    fn iter(&self) -> impl Iterator<Item = Range> {
        self.list
            .iter()
            .map(|&(start, end, _)| Range::new(Addr(start), end - start))
    }

    fn bytes_in(&self, range: Range) -> u64 {
        self.bytes_below(range.end().0) - self.bytes_below(range.start.0)
    }

    /// The same; `near` is the last interval that begins before the range.
    #[inline]
    fn bytes_in_near(&self, range: Range, near: &mut usize) -> u64 {
        let (start, end) = (range.start.0, range.end().0);
        match self.list.get(*near) {
            Some((from, to, _)) if *from <= start && end <= *to => end - start,
            Some((_, to, _)) if *to <= start && self.list.get(*near + 1).is_none_or(|next| end <= next.0) => 0,
            _ => self.bytes_in_somewhere((start, end), near),
        }
    }

    fn bytes_in_somewhere(&self, (start, end): (u64, u64), near: &mut usize) -> u64 {
        let is_last_before = |index: usize, addr: u64| {
            self.list.get(index).is_some_and(|interval| interval.0 < addr)
                && self.list.get(index + 1).is_none_or(|next| next.0 >= addr)
        };
        if !is_last_before(*near, start) {
            *near = match is_last_before(*near + 1, start) {
                true => *near + 1,
                false => self
                    .list
                    .partition_point(|interval| interval.0 < start)
                    .saturating_sub(1),
            };
        }
        let below = |index: usize, addr: u64| match self.list.get(index) {
            Some((from, to, before)) if *from < addr => before + (addr.min(*to) - from),
            _ => 0,
        };
        let last = match is_last_before(*near, end) {
            true => *near,
            false if is_last_before(*near + 1, end) => *near + 1,
            false => return self.bytes_below(end) - below(*near, start),
        };
        below(last, end) - below(*near, start)
    }

    /// How many bytes of the intervals lie below `addr`.
    fn bytes_below(&self, addr: u64) -> u64 {
        let after = self.list.partition_point(|(start, _, _)| *start < addr);
        let last = after.checked_sub(1).and_then(|index| self.list.get(index));
        last.map_or(0, |(start, end, before)| before + (addr.min(*end) - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_count_exactly_what_lies_inside() {
        let mut intervals = Intervals::default();
        intervals.push(100, 200);
        intervals.push(200, 250);
        intervals.push(400, 500);
        let bytes = |start, len| intervals.bytes_in(Range::new(Addr(start), len));
        assert_eq!(intervals.total(), 250);
        assert_eq!(bytes(0, u64::MAX), 250);
        assert_eq!(bytes(150, 300), 150);
        assert_eq!(bytes(250, 150), 0);
        assert_eq!(bytes(499, 1), 1);
        assert_eq!(bytes(500, 1), 0);
        assert_eq!(bytes(120, 0), 0);
        for at in 0..8 {
            for (start, len) in (0..60).flat_map(|start| (0..60).map(move |len| (start * 10, len * 10))) {
                let mut near = at;
                let range = Range::new(Addr(start), len);
                assert_eq!(
                    intervals.bytes_in_near(range, &mut near),
                    bytes(start, len),
                    "{start} {len} {at}"
                );
                assert_eq!(
                    intervals.bytes_in_near(range, &mut near),
                    bytes(start, len),
                    "{start} {len} {at}"
                );
            }
        }
    }

    #[test]
    fn stretches_are_cut_into_few_pieces_however_long_they_are() {
        let all = [
            (0x1000, 0x3000),
            (PIECE, 5 * PIECE + 0x1000),
            (1 << 40, 1 << 46),
            (1 << 50, !0xfff),
        ];
        for count in 0..=all.len() {
            let stretches = &all[..count];
            let pieces = pieces(stretches);
            assert!(pieces.len() as u64 <= 2 * MOST_PIECES, "{}", pieces.len());
            assert!(pieces.iter().all(|(start, end)| start < end && end % 0x1000 == 0));
            let mut joined: Vec<(u64, u64)> = Vec::new();
            for piece in pieces {
                match joined.last_mut().filter(|last| last.1 == piece.0) {
                    Some(last) => last.1 = piece.1,
                    None => joined.push(piece),
                }
            }
            assert_eq!(joined, stretches);
        }
    }

    #[test]
    fn sums_per_mapping_are_shared_out() {
        let text = "1000-5000 rw-p 00000000 00:00 0 \nSize: 16 kB\nRss:    8 kB\nSwap:   4 kB\n\
                    6000-7000 rw-p 0 0:0 0 [x y]\nRss: 4 kB\nSwap: 0 kB\nVmFlags: rd wr\n";
        let residency = Residency::by_mapping(text);
        assert_eq!(residency.grade(), ResidencyGrade::PerMapping);
        assert_eq!(residency.total_resident_bytes(), 12288);
        assert_eq!(residency.resident_bytes(Range::new(Addr(0x1000), 0x2000)), 4096);
        assert_eq!(residency.swapped_bytes(Range::new(Addr(0), 0x10000)), 4096);
        assert_eq!(residency.resident_bytes(Range::new(Addr(0x5000), 0x1000)), 0);
    }

    #[test]
    fn both_ways_to_look_up_pages_agree_with_what_was_touched() {
        let process = LiveProcess::open(std::process::id() as i32).unwrap();
        let page = super::super::pages::page_size();
        let len = 64 * page;
        let memory = super::super::capture::test_region(len);
        let start = memory.as_ptr() as u64;
        for index in [0usize, 1, 5, 63] {
            memory[index * page as usize] = 1;
        }
        let range = Range::new(Addr(start), len);
        for plain in [false, true] {
            let file = process.proc().file("pagemap").unwrap();
            let pages = if plain {
                PageMap::plain(file)
            } else {
                PageMap::new(file)
            };
            let residency = Residency::by_page(&process, pages, &[range]).unwrap();
            assert_eq!(residency.total_resident_bytes(), 4 * page);
            assert_eq!(residency.resident_bytes(Range::new(Addr(start + page), page)), page);
            assert_eq!(
                residency.resident_bytes(Range::new(Addr(start + 2 * page), 3 * page)),
                0
            );
            assert_eq!(residency.resident_ranges().count(), 3);
        }
    }
}
