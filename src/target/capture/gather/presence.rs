//! Which of the pages that structures lie on are there, found out with few looks.

use super::rows::Row;
use crate::memory::{Addr, Missing, Range};
use crate::target::capture::reader::{Pages, ReadError, Readable};
use crate::target::pages::{Ask, PageRun};

/// Structures no further apart than this are looked up in one go.
const LOOKUP_GAP: u64 = 64 << 10;
/// Looked up between two looks at the clock, bytes of address space.
const LOOKUP_BYTES: u64 = 1 << 30;

/// Says which pages of a stretch are there, or nothing when the time is over.
pub(crate) type LookUp<'a> = dyn FnMut(u64, u64, Ask) -> Result<Option<Vec<PageRun>>, ReadError> + 'a;

/// Which pages that structures lie on are there.
pub(super) struct Presence<'a> {
    /// Present stretches and swapped ones, sorted: start, end, whether swapped.
    found: Vec<(u64, u64, bool)>,
    readable: &'a [Readable],
    /// Beyond here nobody has looked.
    cut: Option<u64>,
}

impl<'a> Presence<'a> {
    pub(super) fn of(
        rows: &[Row],
        size: u64,
        readable: &'a [Readable],
        look_up: &mut LookUp<'_>,
    ) -> Result<Presence<'a>, ReadError> {
        let mut presence = Presence {
            found: Vec::new(),
            readable,
            cut: None,
        };
        'groups: for (start, end) in groups(rows, size) {
            let first = readable.partition_point(|range| range.end <= start);
            for range in readable.iter().skip(first).take_while(|range| range.start < end) {
                let (mut at, to) = (start.max(range.start), end.min(range.end));
                while at < to {
                    let stop = to.min(at.saturating_add(LOOKUP_BYTES));
                    let Some(pages) = look_up(at, stop, range.pages.ask())? else {
                        presence.cut = Some(at);
                        break 'groups;
                    };
                    for run in &pages {
                        presence.note(run, range.pages);
                    }
                    at = stop;
                }
            }
        }
        Ok(presence)
    }

    pub(super) fn note(&mut self, run: &PageRun, kind: Pages) {
        if !run.swapped && (!run.present || (kind == Pages::OwnOnly && run.file)) {
            return;
        }
        match self.found.last_mut() {
            Some(last) if last.1 == run.start && last.2 == run.swapped => last.1 = run.end,
            _ => self.found.push((run.start, run.end, run.swapped)),
        }
    }

    /// How many of the first structures of a row are wholly there. `hint` is the stretch of the row before.
    pub(super) fn whole(&self, row: &Row, size: u64, hint: &mut usize) -> usize {
        let Some(end) = row.addr.checked_add(size) else {
            return 0;
        };
        let holds = |at: usize| {
            let stretch = self.found.get(at);
            let stretch = stretch.filter(|(from, to, swapped)| *from <= row.addr && end <= *to && !swapped);
            stretch.map(|(_, to, _)| *to)
        };
        let stretch = holds(*hint).or_else(|| {
            let after = self.found.partition_point(|(from, _, _)| *from <= row.addr);
            *hint = after.saturating_sub(1);
            holds(*hint)
        });
        match stretch.map(|to| (to - end) / row.stride.max(1)) {
            Some(more) => usize::try_from(more).map_or(row.count, |more| row.count.min(more.saturating_add(1))),
            None => 0,
        }
    }

    /// The parts of a structure that are there, where the others are pages that nobody has written; else why it
    /// cannot be had.
    pub(super) fn parts(&self, addr: u64, size: u64) -> Result<Vec<Range>, Missing> {
        let end = addr.checked_add(size).ok_or(Missing::NotMapped)?;
        if self.cut.is_some_and(|cut| end > cut) {
            return Err(Missing::BudgetSpent);
        }
        let (mut parts, mut at) = (Vec::new(), addr);
        while at < end {
            let range = self.readable.partition_point(|range| range.end <= at);
            let range = self.readable.get(range).filter(|range| range.start <= at);
            let range = range.ok_or(Missing::NotMapped)?;
            let next = self.found.partition_point(|(_, to, _)| *to <= at);
            let stop = match self.found.get(next) {
                Some((from, _, true)) if *from <= at => return Err(Missing::Swapped),
                Some((from, to, false)) if *from <= at => {
                    let stop = end.min(*to);
                    parts.push(Range::new(Addr(at), stop - at));
                    stop
                }
                _ if range.pages != Pages::OrZero => return Err(Missing::NotPresent),
                Some((from, _, _)) => end.min(*from).min(range.end),
                None => end.min(range.end),
            };
            at = stop;
        }
        Ok(parts)
    }
}

/// Stretches of address space that hold all the structures, sorted, none near another, whole pages.
pub(super) fn groups(rows: &[Row], size: u64) -> Vec<(u64, u64)> {
    let page = crate::target::pages::page_size();
    let mut groups: Vec<(u64, u64)> = Vec::new();
    for row in rows {
        let end = row.end(size).and_then(|end| end.checked_next_multiple_of(page));
        let end = end.unwrap_or(!(page - 1));
        let start = row.addr & !(page - 1);
        match groups.last_mut() {
            Some(last) if start >= last.0 && start <= last.1.saturating_add(LOOKUP_GAP) => last.1 = last.1.max(end),
            _ if row.addr == 0 => {}
            _ => groups.push((start, end)),
        }
    }
    groups.sort_unstable();
    groups.dedup_by(|next, last| {
        let near = next.0 <= last.1.saturating_add(LOOKUP_GAP);
        if near {
            last.1 = last.1.max(next.1);
        }
        near
    });
    groups
}
