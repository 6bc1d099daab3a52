//! What a pass does for a planner that gathers: a rehearsal makes room and plans, the others fill the records.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::{End, Engine};
use crate::memory::{Addr, Gather, Memory, Missing, Planner, RecordShape};
use crate::target::capture::gather::{self, GatherCall, GatherPlan};
use crate::target::capture::reader::ReadError;

/// Structures looked for once more in the stop: of each P's store of unused ones some were never written.
const MOST_LOOKED_AT_AGAIN: usize = 64 << 10;

/// Records that there is memory made for before the array of pointers is here.
const MOST_UNSEEN: u64 = 1 << 20;

impl Engine<'_> {
    /// Has the memory for records made while the rehearsal goes on: of a large heap it takes as long as all the rest.
    pub(super) fn prepare_records(&mut self, planner: &mut dyn Planner) {
        if !self.rehearsing {
            return;
        }
        for gather in planner.gather(self.store) {
            if self.store.record_area(gather.list).is_some() {
                continue;
            }
            // More are only believed once the planner has seen the array: in a damaged target it can have any length.
            let seen = || {
                usize::try_from(gather.count.saturating_mul(8))
                    .is_ok_and(|bytes| self.store.bytes(gather.pointers, bytes).is_ok())
            };
            if gather.count > MOST_UNSEEN && !seen() {
                continue;
            }
            let len = gather.shape.record_bytes();
            let count = usize::try_from(gather.count.min(self.bytes_left() / len as u64)).unwrap_or(0);
            let Some(area) = self.store.room_for_records(gather.list, count, len) else {
                continue;
            };
            let shift = self.store.page_shift();
            let (page, pages) = (area.start >> shift, (count.min(area.room) * len).div_ceil(1 << shift));
            self.populate_ahead(std::iter::once((page, pages)));
        }
    }

    /// Gathers what another pass did not, or, rehearsing, finds out how to.
    pub(super) fn gather(&mut self, gather: &Gather) -> Result<(), ReadError> {
        let (list, len) = (gather.list, gather.shape.record_bytes());
        let affordable = self.bytes_left() / len as u64;
        let wanted = usize::try_from(gather.count.min(affordable)).unwrap_or(0);
        let Some(area) = self.store.room_for_records(list, wanted, len) else {
            self.end = End::Bytes;
            return Ok(());
        };
        let count = wanted.min(area.room);
        if (count as u64) < gather.count && self.end == End::Running {
            self.end = End::Bytes;
        }
        let known = self.gathering.iter().position(|plan| plan.list == list);
        let known = known.map(|at| self.gathering.swap_remove(at));
        let settled = known.as_ref().map_or(0, |plan| plan.count).min(count);
        self.store.set_records(list, count);
        let mut again = self.doubtful(known.as_ref(), gather);
        let believed = known.as_ref().filter(|_| again.is_none());
        let again = again.get_or_insert_default();
        again.retain(|(record, _)| *record < count);
        self.filled = self.filled.saturating_add((count * len) as u64);
        let Some(mut plan) = self.plan_here(gather, again, settled..count)? else {
            return Ok(()); // those who look for the array will miss it too
        };
        // What there was no time to look up is missing for that reason.
        self.out_of_time();
        if self.rehearsing {
            plan.count = count;
            self.gathering.push(plan);
            return Ok(());
        }
        if let Some(known) = &known {
            if believed.is_some() {
                self.note_absent(known);
                self.patch(known)?;
            }
            self.make_records(&known.calls, gather)?;
        }
        self.carry_out(&plan, gather)?;
        let header = self.store.region().header().list(list);
        header.done.store(count as u64 == gather.count, Ordering::Release);
        Ok(())
    }

    /// Records that the stop has to find the structures of once more, each with the address that the array names now. What
    /// another pass did not find there may be there by now; of very much its word is taken: `None`. And the array that it
    /// saw may have been given up by then.
    fn doubtful(&mut self, known: Option<&GatherPlan>, gather: &Gather) -> Option<Vec<(usize, u64)>> {
        let unsettled = known.map(GatherPlan::unsettled).unwrap_or_default();
        if self.rehearsing || self.out_of_time() {
            return (unsettled.len() <= MOST_LOOKED_AT_AGAIN).then_some(unsettled);
        }
        let named = |record: usize| {
            let at = Addr(gather.pointers.0.wrapping_add((record as u64).wrapping_mul(8)));
            let word = self.store.bytes(at, 8).ok()?;
            Some((record, u64::from_le_bytes(*word.first_chunk::<8>()?)))
        };
        let few = unsettled.len().div_ceil(MOST_LOOKED_AT_AGAIN).max(1);
        let as_seen = |seen: &(usize, u64)| named(seen.0).is_none_or(|now| now == *seen);
        let planned = self.planned.iter().position(|planned| planned.list == gather.list);
        let wrong = planned.and_then(|at| Some(self.planned.get(at)?.wrong(self.store, gather)));
        let wrong = wrong.unwrap_or_default();
        if few > 1 && wrong.is_empty() && unsettled.iter().step_by(few).all(as_seen) {
            return None;
        }
        let again = unsettled.into_iter().filter_map(|(record, _)| named(record));
        let mut again: Vec<(usize, u64)> = again.chain(wrong.iter().copied()).collect();
        again.sort_unstable();
        if let Some(planned) = planned.and_then(|at| self.planned.get_mut(at)) {
            // Should the time end here, they are not taken for what they are not.
            for (record, _) in &wrong {
                self.store
                    .miss_record(gather.list, *record, &gather.shape, Missing::BudgetSpent);
            }
            planned.mend(wrong.into_iter().map(|(record, _)| record).collect());
        }
        Some(again)
    }

    /// As [`Engine::plan`]; structures in memory that was none before the stop are found there, if there is any by now.
    fn plan_here(
        &mut self,
        gather: &Gather,
        known: &[(usize, u64)],
        new: Range<usize>,
    ) -> Result<Option<GatherPlan>, ReadError> {
        let plan = self.plan(gather, known, new.clone())?;
        let unmapped = |plan: &GatherPlan| plan.absent.iter().any(|(_, _, why)| *why == Missing::NotMapped);
        if self.rehearsing || self.lookups == 0 || !plan.as_ref().is_some_and(unmapped) {
            return Ok(plan);
        }
        self.look_up_mappings()?;
        self.plan(gather, known, new)
    }

    fn carry_out(&mut self, plan: &GatherPlan, gather: &Gather) -> Result<(), ReadError> {
        self.note_absent(plan);
        self.patch(plan)?;
        self.make_records(&plan.calls, gather)
    }

    fn make_records(&mut self, calls: &[GatherCall], gather: &Gather) -> Result<(), ReadError> {
        let mut buffer = gather::scratch(gather::scratch_bytes(calls.iter()));
        for call in calls {
            self.gather_call(call, gather.list, &gather.shape, &mut buffer)?;
        }
        Ok(())
    }

    /// A plan for structures of which record and address are known, and for those that the array names in `new`. `None`
    /// where it is not here.
    fn plan(
        &mut self,
        gather: &Gather,
        known: &[(usize, u64)],
        new: Range<usize>,
    ) -> Result<Option<GatherPlan>, ReadError> {
        let Ok(pointers) = self.store.bytes(gather.pointers, new.end.saturating_mul(8)) else {
            return Ok(None);
        };
        let (pointers, _) = pointers.as_chunks::<8>();
        let named = (new.start, pointers.get(new.start..).unwrap_or_default());
        let (reader, deadline) = (&mut *self.reader, self.limits.deadline);
        let mut look_up = |start, end, ask| {
            if deadline.has_passed() {
                return Ok(None);
            }
            let mut found = Vec::new();
            reader.presence(start, end, ask, &mut found)?;
            Ok(Some(found))
        };
        GatherPlan::new(gather, known, named, &self.readable, &mut look_up).map(Some)
    }

    fn patch(&mut self, plan: &GatherPlan) -> Result<(), ReadError> {
        let (reader, store) = (&mut *self.reader, &mut *self.store);
        let pass = store.pass();
        let mut place =
            |record: usize, fill: &mut dyn FnMut(&mut [u8])| fill(store.records_mut(plan.list, record..record + 1));
        let (bytes, whole) = plan.patch(&mut |from, into| reader.read(from, into), &mut place, pass)?;
        store.note_lost(plan.list, !whole);
        self.gathered_bytes = self.gathered_bytes.saturating_add(bytes);
        self.count_bytes();
        Ok(())
    }

    fn note_absent(&mut self, plan: &GatherPlan) {
        for &(index, _, why) in &plan.absent {
            plan.shape
                .miss(why, self.store.records_mut(plan.list, index..index + 1));
        }
        self.store.note_lost(plan.list, !plan.absent.is_empty());
    }

    fn gather_call(
        &mut self,
        call: &GatherCall,
        list: usize,
        shape: &RecordShape,
        buffer: &mut [u8],
    ) -> Result<(), ReadError> {
        if self.out_of_time() {
            call.miss(
                Missing::BudgetSpent,
                shape,
                self.store.records_mut(list, call.records()),
            );
            self.store.note_lost(list, true);
            return Ok(());
        }
        let before = self
            .compare
            .is_some()
            .then(|| self.store.records_mut(list, call.records()).to_vec());
        let (pass, shift) = (self.store.pass(), self.store.page_shift());
        let reader = &mut *self.reader;
        let into = self.store.records_mut(list, call.records());
        let (bytes, whole) = call.run(&mut |from, into| reader.read(from, into), shape, buffer, into, pass)?;
        if let Some(before) = before {
            let (pages, changed, changed_bytes) = gather::compare(call, shape, (&before, into), shift);
            let header = self.store.region().header();
            header.compared_pages.fetch_add(pages, Ordering::Relaxed);
            header.changed_pages.fetch_add(changed, Ordering::Relaxed);
            header.changed_bytes.fetch_add(changed_bytes, Ordering::Relaxed);
        }
        self.store.note_lost(list, !whole);
        self.gathered_bytes = self.gathered_bytes.saturating_add(bytes);
        self.count_bytes();
        Ok(())
    }
}
