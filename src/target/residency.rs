//! Which bytes of a process are in memory and which are swapped out, page by page, and the several figures the kernel
//! has for the sum. The page-level sum is the truth; statm is kept beside it because it is what people see in `top`.

mod intervals;
mod lookup;

use self::lookup::{ByCost, look_up};
use super::maps::{Backing, Maps};
use super::pages::{Method, PageMap};
use super::procdir::kb_field;
use super::process::LiveProcess;
use crate::error::Result;
use crate::memory::{Addr, Range};

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
    pages: ByCost,
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
            Ok(file) => Residency::by_page(process, &PageMap::new(file), ranges),
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

    fn by_page(process: &LiveProcess, pages: &PageMap, ranges: &[Range]) -> Result<Residency> {
        let grade = match pages.method() {
            Method::Scan => ResidencyGrade::Exact,
            Method::Read => ResidencyGrade::WithZeroPages,
        };
        let pages = look_up(pages, ranges).map_err(|error| process.lost("pagemap", &error))?;
        Ok(Residency {
            grade,
            pages,
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
        Residency {
            grade: ResidencyGrade::PerMapping,
            pages: ByCost::default(),
            mappings,
        }
    }

    /// How far the figures can be trusted.
    pub fn grade(&self) -> ResidencyGrade {
        self.grade
    }

    /// Bytes of `range` that are in memory.
    pub fn resident_bytes(&self, range: Range) -> u64 {
        self.pages
            .resident
            .bytes_in(range)
            .saturating_add(self.share(range, |mapping| mapping.2))
    }

    /// The same, found sooner where the range lies near the one before: `near` is where that one was.
    #[inline]
    pub fn resident_bytes_near(&self, range: Range, near: &mut usize) -> u64 {
        self.pages
            .resident
            .bytes_in_near(range, near)
            .saturating_add(self.share(range, |mapping| mapping.2))
    }

    /// The stretch around `addr` that is resident as a whole, or not at all, and whether it is; of no bytes where it is
    /// not found `near`, or not known page by page.
    pub fn stretch(&self, addr: Addr, near: usize) -> ((u64, u64), bool) {
        self.pages.resident.stretch(addr.0, near)
    }

    /// Bytes of `range` that are swapped out.
    pub fn swapped_bytes(&self, range: Range) -> u64 {
        self.pages
            .swapped
            .bytes_in(range)
            .saturating_add(self.share(range, |mapping| mapping.3))
    }

    /// Bytes of `range` that are in huge pages; 0 when the kernel does not tell.
    pub fn huge_bytes(&self, range: Range) -> u64 {
        self.pages.huge.bytes_in(range)
    }

    /// Bytes in memory of all ranges looked up.
    pub fn total_resident_bytes(&self) -> u64 {
        sum(self.mappings.iter().map(|mapping| mapping.2)).saturating_add(self.pages.resident.total())
    }

    /// Bytes swapped out of all ranges looked up.
    pub fn total_swapped_bytes(&self) -> u64 {
        sum(self.mappings.iter().map(|mapping| mapping.3)).saturating_add(self.pages.swapped.total())
    }

    /// The resident intervals, in address order.
    pub fn resident_ranges(&self) -> impl Iterator<Item = Range> {
        self.pages.resident.iter()
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

/// No sum of what a kernel says comes near the end; one of what a damaged file says may.
fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let residency = Residency::by_page(&process, &pages, &[range]).unwrap();
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
