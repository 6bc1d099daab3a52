//! A made-up address space: mappings of bytes with holes between them. A capture of it shows only what planners
//! asked for, so that a wish forgotten is a byte missing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use gomemscan::memory::{Addr, Gather, Memory, MemoryError, Missing, Planner, Range, Request};

/// Mappings by their first address; they never touch or overlap, so a read succeeds only inside one.
#[derive(Clone, Debug, Default)]
pub struct Space {
    mappings: BTreeMap<u64, Vec<u8>>,
}

impl Space {
    /// Maps `len` zero bytes; joins the mapping that ends where this one begins.
    pub fn map(&mut self, start: u64, len: u64) {
        assert!(
            self.mappings.range(start..start + len).next().is_none(),
            "{start:#x} is mapped twice"
        );
        if let Some((base, bytes)) = self.mappings.range_mut(..start).next_back() {
            let end = base + bytes.len() as u64;
            assert!(end <= start, "{start:#x} is mapped twice");
            if end == start {
                bytes.resize(bytes.len() + len as usize, 0);
                return;
            }
        }
        self.mappings.insert(start, vec![0; len as usize]);
    }

    /// Cuts a hole.
    pub fn unmap(&mut self, start: u64, len: u64) {
        let end = start.saturating_add(len);
        let (base, _) = self.mapping(start).expect("a hole lies in a mapping");
        let mut bytes = self.mappings.remove(&base).unwrap();
        let tail_at = (end - base).min(bytes.len() as u64) as usize;
        let tail = bytes.split_off(tail_at);
        bytes.truncate((start - base) as usize);
        for (at, part) in [(base, bytes), (end, tail)] {
            if !part.is_empty() {
                self.mappings.insert(at, part);
            }
        }
    }

    /// Writes bytes that must be mapped.
    pub fn write(&mut self, at: u64, data: &[u8]) {
        let (base, bytes) = self
            .mappings
            .range_mut(..=at)
            .next_back()
            .expect("a write needs a mapping");
        let start = (at - base) as usize;
        bytes[start..start + data.len()].copy_from_slice(data);
    }

    /// Every mapping.
    pub fn mappings(&self) -> impl Iterator<Item = Range> {
        self.mappings
            .iter()
            .map(|(start, bytes)| Range::new(Addr(*start), bytes.len() as u64))
    }

    fn mapping(&self, at: u64) -> Option<(u64, &Vec<u8>)> {
        let (base, bytes) = self.mappings.range(..=at).next_back()?;
        (at - base < bytes.len() as u64).then_some((*base, bytes))
    }

    /// The mapped parts of `range`.
    fn present(&self, range: Range) -> Vec<Range> {
        let (start, end) = (range.start.0, range.end().0);
        let first = self
            .mappings
            .range(..=start)
            .next_back()
            .map_or(start, |(base, _)| *base);
        let mapped = self
            .mappings
            .range(first..end.max(first))
            .map(|(base, bytes)| (*base, base + bytes.len() as u64));
        mapped
            .map(|(from, to)| (from.max(start), to.min(end)))
            .filter(|(from, to)| from < to)
            .map(|(from, to)| Range::new(Addr(from), to - from))
            .collect()
    }

    /// A copy of those parts of `ranges` that are mapped: what a read of the running target gives.
    pub fn copy(&self, ranges: &[Range]) -> Space {
        let mut copy = Space::default();
        let mut wanted: Vec<Range> = ranges.iter().flat_map(|range| self.present(*range)).collect();
        merge(&mut wanted);
        for range in wanted {
            let bytes = self.bytes(range.start, range.len as usize).unwrap();
            copy.mappings.insert(range.start.0, bytes.to_vec());
        }
        copy
    }

    /// A copy of all that `planner` asks for, structures that it would gather as a whole.
    pub fn read_planned(&self, planner: &mut dyn Planner) -> Space {
        let (mut ranges, mut copy) = (Vec::new(), Space::default());
        for wave in 0.. {
            let requests = planner.wave(wave, &copy);
            if requests.is_empty() {
                break;
            }
            ranges.extend(requests.iter().map(|request| request.range));
            copy = self.copy(&ranges);
        }
        for gather in planner.gather(&copy) {
            ranges.extend(structures(&copy, &gather));
        }
        self.copy(&ranges)
    }
}

/// Where the structures of a gather lie; a list that is not there has none.
pub fn structures(memory: &dyn Memory, gather: &Gather) -> Vec<Range> {
    let pointers = memory
        .bytes(gather.pointers, gather.count as usize * 8)
        .unwrap_or_default();
    let addr = |word: &[u8]| Addr(u64::from_le_bytes(word.try_into().unwrap()));
    let range = |word| Range::new(addr(word), gather.shape.size() as u64);
    pointers.chunks_exact(8).map(range).collect()
}

impl Memory for Space {
    fn bytes(&self, addr: Addr, len: usize) -> Result<&[u8], MemoryError> {
        let end = |start: usize| start.checked_add(len);
        self.mapping(addr.0)
            .and_then(|(base, bytes)| bytes.get((addr.0 - base) as usize..end((addr.0 - base) as usize)?))
            .ok_or(MemoryError {
                addr,
                len: len as u64,
                why: Missing::NotMapped,
            })
    }
}

fn merge(ranges: &mut Vec<Range>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let joins = next.start.0 <= last.end().0;
        if joins {
            last.len = last.len.max(next.end().0 - last.start.0);
        }
        joins
    });
}

/// What a capture has of a [`Space`]: the mapped bytes that were asked for.
#[derive(Clone, Debug)]
pub struct Captured {
    space: Rc<Space>,
    visible: Vec<Range>,
    /// Reads of bytes that are mapped and that no planner had asked for.
    pub forgotten: Rc<RefCell<Vec<Range>>>,
}

impl Captured {
    pub fn nothing(space: Rc<Space>) -> Captured {
        Captured {
            space,
            visible: Vec::new(),
            forgotten: Rc::default(),
        }
    }

    /// Adds what a wave asked for.
    pub fn take(&mut self, requests: &[Request]) {
        self.visible
            .extend(requests.iter().flat_map(|request| self.space.present(request.range)));
        merge(&mut self.visible);
    }

    /// Bytes that were copied.
    pub fn len(&self) -> u64 {
        self.visible.iter().map(|range| range.len).sum()
    }
}

impl Memory for Captured {
    fn bytes(&self, addr: Addr, len: usize) -> Result<&[u8], MemoryError> {
        let end = addr.0.checked_add(len as u64);
        let at = self.visible.partition_point(|range| range.start <= addr);
        let inside = at > 0 && end.is_some_and(|end| end <= self.visible[at - 1].end().0);
        let bytes = self.space.bytes(addr, len)?;
        if inside {
            return Ok(bytes);
        }
        self.forgotten.borrow_mut().push(Range::new(addr, len as u64));
        Err(MemoryError {
            addr,
            len: len as u64,
            why: Missing::NotCaptured,
        })
    }
}
