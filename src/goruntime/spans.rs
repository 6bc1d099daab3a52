//! All spans (runtime/mheap.go `mheap.allspans`): every span structure that the runtime ever made, in the order in which
//! it made them. Only records of them are here; a span is put together when somebody looks at it.

use std::ops::Range as Indices;

use super::cursor::{DecodeError, Fields, GoSlice, View};
use super::layout::Layout;
use super::mspan::{self, Span, SpanState};
use super::repeats::names_few;
use super::variants::PAGE_BYTES;
use crate::memory::{Addr, Gathered, Memory, MemoryError, Missing};

/// More span structures than any real heap has (a span for each 8 KiB of 1 TiB).
const MOST_SPANS: u64 = 1 << 27;
/// Fewer than this are not worth a second thread.
const WORTH_SHARING: usize = 16 << 10;

/// What a record is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No span: a structure that is dead, could not be read, or is impossible.
    None,
    InUse,
    Manual,
}

/// Structures in a row, each behind the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    start: u64,
    end: u64,
    first: usize,
}

/// All spans, in the order of `mheap_.allspans`.
#[derive(Clone, Debug)]
pub struct Spans {
    records: Gathered,
    addrs: Vec<u64>,
    kinds: Vec<Kind>,
    rows: Vec<Row>,
    /// Bytes of a span structure.
    size: u64,
    /// Live spans: in use and manual.
    pub live: u64,
    /// Structures of state dead.
    pub dead: u64,
    /// Structures that could not be read.
    pub unreadable: u64,
    /// Structures whose content is impossible.
    pub impossible: u64,
    /// The first error met.
    pub first_error: Option<DecodeError>,
    /// Live spans whose first page lies in another live span.
    pub overlapping: u64,
}

impl Spans {
    /// Looks at every span; single bad ones are counted, not fatal.
    pub fn decode(memory: &dyn Memory, layout: &Layout, mheap: Addr) -> Result<Spans, DecodeError> {
        let all = all_spans(memory, layout, mheap)?;
        let view = View::new(memory, "mheap_", mheap);
        let gather = mspan::gather(&layout.mspan, all.ptr, all.len)
            .ok_or_else(|| view.invalid("its spans have fields of impossible sizes"))?;
        let what = "allspans";
        let pointers = match usize::try_from(all.len.saturating_mul(8)) {
            Ok(0) => Ok(&[][..]),
            Ok(bytes) => memory.bytes(all.ptr, bytes),
            Err(_) => return Err(view.invalid("allspans has an impossible length")),
        };
        let pointers = pointers.map_err(|source| DecodeError::Missing { what, source })?;
        let (pointers, _) = pointers.as_chunks::<8>();
        let records = match memory.gathered(&gather) {
            Some(records) => records,
            None => {
                let pointers = pointers.iter().map(|word| u64::from_le_bytes(*word));
                Gathered::from_structures(memory, &gather, pointers)
            }
        };
        let size = layout.mspan.size;
        let mut parts = in_parts(pointers.len(), 1, |part| Part::of(&records, pointers, size, part)).into_iter();
        let mut whole = parts.next().unwrap_or_default();
        parts.for_each(|part| whole.join(part));
        Ok(Spans {
            overlapping: overlapping(&whole.places),
            rows: sorted(whole.rows),
            records,
            addrs: pointers.iter().map(|w| u64::from_le_bytes(*w)).collect(),
            kinds: whole.kinds,
            size,
            live: whole.live,
            dead: whole.dead,
            unreadable: whole.unreadable,
            impossible: whole.impossible,
            first_error: whole.first_error,
        })
    }

    /// How many structures there are; a span's index is below it.
    pub fn count(&self) -> usize {
        self.kinds.len()
    }

    /// The live span of this index.
    pub fn get(&self, index: usize) -> Option<Span> {
        match self.kinds.get(index)? {
            Kind::None => None,
            Kind::InUse | Kind::Manual => {
                Span::unchecked(Addr(*self.addrs.get(index)?), self.records.record(index).ok()?)
            }
        }
    }

    /// Live spans with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Span)> {
        self.part(0..self.count())
    }

    /// Those with indices in `part`.
    pub fn part(&self, part: Indices<usize>) -> impl Iterator<Item = (usize, Span)> {
        let kinds = self.kinds.get(part.clone()).unwrap_or_default();
        let records = self.records.range(part.clone());
        let of = move |((index, kind), record): ((usize, &Kind), Result<&[u8], Missing>)| match kind {
            Kind::None => None,
            Kind::InUse | Kind::Manual => Some((index, Span::unchecked(Addr(*self.addrs.get(index)?), record.ok()?)?)),
        };
        part.zip(kinds).zip(records).filter_map(of)
    }

    /// Spans that hold heap objects.
    pub fn in_use(&self) -> impl Iterator<Item = (usize, Span)> {
        self.of_kind(Kind::InUse)
    }

    /// Stacks and work buffers.
    pub fn manual(&self) -> impl Iterator<Item = (usize, Span)> {
        self.of_kind(Kind::Manual)
    }

    fn of_kind(&self, wanted: Kind) -> impl Iterator<Item = (usize, Span)> {
        let these = self.kinds.iter().enumerate().filter(move |(_, kind)| **kind == wanted);
        these.filter_map(|(index, _)| Some((index, self.get(index)?)))
    }

    /// Whether a structure is that of a span that holds heap objects.
    pub fn is_in_use(&self, index: usize) -> bool {
        self.kinds.get(index) == Some(&Kind::InUse)
    }

    /// Span class and sweepgen of a live span.
    pub(super) fn head(&self, index: usize) -> Option<(u8, u32)> {
        Span::head(self.records.record(index).ok()?)
    }

    /// Does something with all spans, on two threads where there are many: with each part of the indices by itself.
    pub fn in_parts<T: Send>(&self, work: impl Fn(Indices<usize>) -> T + Sync) -> Vec<T> {
        in_parts(self.count(), 1, work)
    }

    /// Finds spans by the address of their structure.
    pub fn finder(&self) -> Finder<'_> {
        Finder { spans: self, last: 0 }
    }
}

/// Finds spans by the address of their structure; neighbours of the one before are found at once.
pub struct Finder<'a> {
    spans: &'a Spans,
    last: usize,
}

impl Finder<'_> {
    /// The index of the span whose structure is at `addr`, dead ones included.
    pub fn find(&mut self, addr: Addr) -> Option<usize> {
        let rows = &self.spans.rows;
        let holds = |at: usize| rows.get(at).filter(|row| (row.start..row.end).contains(&addr.0));
        let row = match holds(self.last) {
            Some(row) => row,
            None => {
                self.last = rows.partition_point(|row| row.start <= addr.0).checked_sub(1)?;
                holds(self.last)?
            }
        };
        // Half as wide, a division takes half as long.
        let (distance, size) = (addr.0 - row.start, self.spans.size);
        let (count, rest) = match (u32::try_from(distance), u32::try_from(size)) {
            (Ok(distance), Ok(size)) => (u64::from(distance / size), u64::from(distance % size)),
            _ => (distance / size, distance % size),
        };
        (rest == 0).then_some(row.first + count as usize)
    }

    /// The live span whose structure is at `addr`, with its index.
    pub fn span(&mut self, addr: Addr) -> Option<(usize, Span)> {
        let index = self.find(addr)?;
        Some((index, self.spans.get(index)?))
    }
}

/// What one look at some of the records brings.
#[derive(Default)]
struct Part {
    kinds: Vec<Kind>,
    rows: Vec<Row>,
    /// First page and number of pages of each live span, sorted, of each part.
    places: Vec<Vec<u64>>,
    live: u64,
    dead: u64,
    unreadable: u64,
    impossible: u64,
    first_error: Option<DecodeError>,
}

/// Bits of a place that hold the number of pages. What lies behind the first 16 GiB of a span is not compared.
const PAGES_BITS: u32 = 21;

impl Part {
    fn of(records: &Gathered, pointers: &[[u8; 8]], size: u64, part: Indices<usize>) -> Part {
        let mut found = Part {
            kinds: Vec::with_capacity(part.len()),
            places: vec![Vec::with_capacity(part.len())],
            ..Part::default()
        };
        let pointers = pointers.get(part.clone()).unwrap_or_default();
        for (index, word) in part.zip(pointers) {
            let addr = u64::from_le_bytes(*word);
            let kind = match records.record(index) {
                Ok(record) => {
                    found.row(addr, size, index);
                    found.look(addr, record)
                }
                Err(why) => found.missing(addr, size, why),
            };
            found.kinds.push(kind);
        }
        found.places.iter_mut().for_each(|places| places.sort_unstable());
        found
    }

    /// Notes where a structure is. Those that are not here need no place: a list can name any number of them.
    fn row(&mut self, addr: u64, size: u64, index: usize) {
        let end = addr.saturating_add(size);
        match self.rows.last_mut() {
            Some(row) if row.end == addr && row.first as u64 + (addr - row.start) / size.max(1) == index as u64 => {
                row.end = end;
            }
            _ => self.rows.push(Row {
                start: addr,
                end,
                first: index,
            }),
        }
    }

    fn look(&mut self, addr: u64, record: &[u8]) -> Kind {
        let span = match Span::of(Addr(addr), record) {
            Ok(span) => span,
            Err(why) => {
                self.impossible += 1;
                let (what, addr) = ("mspan", Addr(addr));
                self.first_error.get_or_insert(DecodeError::Invalid { what, addr, why });
                return Kind::None;
            }
        };
        let kind = match span.state {
            SpanState::InUse => Kind::InUse,
            SpanState::Manual => Kind::Manual,
            SpanState::Dead | SpanState::Odd => {
                self.dead += 1;
                return Kind::None;
            }
        };
        self.live += 1;
        let pages = span.npages.min((1 << PAGES_BITS) - 1);
        if let Some(places) = self.places.last_mut() {
            places.push((span.start / PAGE_BYTES) << PAGES_BITS | pages);
        }
        kind
    }

    fn missing(&mut self, addr: u64, len: u64, why: Missing) -> Kind {
        self.unreadable += 1;
        let (what, addr) = ("mspan", Addr(addr));
        let source = MemoryError { addr, len, why };
        self.first_error.get_or_insert(DecodeError::Missing { what, source });
        Kind::None
    }

    fn join(&mut self, next: Part) {
        self.kinds.extend(next.kinds);
        self.rows.extend(next.rows);
        self.places.extend(next.places);
        self.live += next.live;
        self.dead += next.dead;
        self.unreadable += next.unreadable;
        self.impossible += next.impossible;
        self.first_error = self.first_error.or(next.first_error);
    }
}

/// How many places begin inside one that begins before them, in one or two sorted parts.
fn overlapping(parts: &[Vec<u64>]) -> u64 {
    let (mut count, mut end) = (0, 0);
    let mut look = |place: u64| {
        let (start, pages) = (place >> PAGES_BITS, place & ((1 << PAGES_BITS) - 1));
        count += u64::from(start < end);
        end = end.max(start + pages);
    };
    let part = |index: usize| parts.get(index).map(Vec::as_slice).unwrap_or_default();
    let (mut one, mut other) = (part(0), part(1));
    while let (Some((a, behind_a)), Some((b, behind_b))) = (one.split_first(), other.split_first()) {
        if a <= b {
            look(*a);
            one = behind_a;
        } else {
            look(*b);
            other = behind_b;
        }
    }
    one.iter().chain(other).for_each(|place| look(*place));
    count
}

/// Rows by address. What a target claims twice is found once.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.start);
    rows
}

/// Does something with the indices below `count`, each of which stands for `weight` spans: in two parts on two threads
/// where there are many.
pub(super) fn in_parts<T: Send>(count: usize, weight: usize, work: impl Fn(Indices<usize>) -> T + Sync) -> Vec<T> {
    if count.saturating_mul(weight) < WORTH_SHARING {
        return vec![work(0..count)];
    }
    let half = count / 2;
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().spawn_scoped(scope, || work(half..count));
        let first = work(0..half);
        let second = match helper {
            Ok(helper) => helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => work(half..count),
        };
        vec![first, second]
    })
}

/// `mheap_.allspans`, of a length that can be.
pub(super) fn all_spans(memory: &dyn Memory, layout: &Layout, mheap: Addr) -> Result<GoSlice, DecodeError> {
    let view = View::new(memory, "mheap_", mheap);
    let all = view.slice(layout.mheap.allspans)?;
    if all.len > MOST_SPANS {
        return Err(view.invalid("allspans has an impossible length"));
    }
    if names_few(memory, &all) {
        return Err(view.invalid("allspans names few structures again and again"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(page: u64, pages: u64) -> u64 {
        page << PAGES_BITS | pages
    }

    #[test]
    fn spans_that_begin_inside_others_are_counted() {
        let places = [place(1, 2), place(3, 10), place(4, 1), place(12, 2), place(14, 1)];
        assert_eq!(overlapping(&[places.to_vec()]), 2);
        for cut in 0..=places.len() {
            let (one, other) = places.split_at(cut);
            assert_eq!(overlapping(&[one.to_vec(), other.to_vec()]), 2);
            assert_eq!(overlapping(&[other.to_vec(), one.to_vec()]), 2);
        }
        assert_eq!(overlapping(&[]), 0);
    }

    #[test]
    fn parts_cover_everything_once() {
        for count in [0, 1, WORTH_SHARING - 1, WORTH_SHARING, 2 * WORTH_SHARING + 1] {
            let parts = in_parts(count, 1, |part| part);
            let all: Vec<usize> = parts.into_iter().flatten().collect();
            assert!(all.into_iter().eq(0..count), "{count}");
        }
    }
}
