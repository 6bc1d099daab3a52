//! The walk over the records of all spans, as it looks at some of them: which make sense, and all that later steps
//! would otherwise have to walk for.

use std::ops::Range as Indices;

use super::super::bits::{BitPlaces, BitRule, BitRules};
use super::super::cursor::DecodeError;
use super::super::mspan::{LastKinds, Record, SpanState, TOO_SHORT};
use super::overlap::{Runs, place};
use super::rows::Rows;
use super::{IN_USE, MANUAL, NO_SPAN};
use crate::memory::{Addr, Gathered, MemoryError, Missing, Range};
use crate::spare::in_parts;

/// What the walk goes over.
pub(super) struct Walk<'a> {
    pub(super) records: &'a Gathered,
    /// Where the structure of each record is.
    pub(super) pointers: &'a [[u8; 8]],
    /// Bytes of a structure.
    pub(super) size: u64,
    pub(super) rules: Option<BitRules>,
}

/// What it finds.
pub(super) struct Found {
    pub(super) kinds: Vec<u8>,
    pub(super) rows: Rows,
    /// Places of live spans, those of neighbours as one, those of each part sorted.
    pub(super) runs: Vec<u64>,
    pub(super) bits: BitPlaces,
    pub(super) live: u64,
    pub(super) dead: u64,
    pub(super) unreadable: u64,
    pub(super) impossible: u64,
    pub(super) first_error: Option<DecodeError>,
}

impl Walk<'_> {
    /// Looks at all records.
    pub(super) fn whole(&self) -> Found {
        let parts = in_parts(self.pointers.len(), 1, Vec::new, |parts, part| {
            parts.push((part.start, self.part(part)));
        });
        let mut parts: Vec<(usize, Found)> = parts.into_iter().flatten().collect();
        parts.sort_unstable_by_key(|(start, _)| *start);
        let mut parts = parts.into_iter().map(|(_, found)| found);
        let mut whole = parts.next().unwrap_or_else(|| self.part(0..0));
        whole.kinds.reserve_exact(self.pointers.len() - whole.kinds.len());
        parts.for_each(|part| whole.join(part));
        whole.rows.finish();
        whole
    }

    /// Looks at the records with indices in `part`.
    fn part(&self, part: Indices<usize>) -> Found {
        let mut found = Found {
            kinds: Vec::with_capacity(part.len()),
            rows: Rows::new(self.size),
            runs: Vec::new(),
            bits: BitPlaces::default(),
            live: 0,
            dead: 0,
            unreadable: 0,
            impossible: 0,
            first_error: None,
        };
        let mut looks = Looks {
            rules: self.rules,
            known: LastKinds::default(),
            runs: Runs::default(),
        };
        let pointers = self.pointers.get(part.clone()).unwrap_or_default();
        let mut records = records(self.records, part.clone());
        for (index, word) in part.zip(pointers) {
            let addr = u64::from_le_bytes(*word);
            let kind = match records.next().unwrap_or(Err(Missing::NotCaptured)) {
                Ok(record) => {
                    found.rows.add(addr, index);
                    found.look(Range::new(Addr(addr), self.size), record, &mut looks)
                }
                Err(why) => found.missing(addr, self.size, why),
            };
            found.kinds.push(kind);
        }
        found.runs = looks.runs.sorted();
        found
    }

    /// The places of all live spans, sorted in parts.
    pub(super) fn places(&self, kinds: &[u8]) -> Vec<u64> {
        let parts = in_parts(kinds.len(), 1, Vec::new, |places, part| {
            let from = places.len();
            let kinds = kinds.get(part.clone()).unwrap_or_default();
            let live = kinds.iter().zip(records(self.records, part));
            let live = live.filter(|(kind, _)| **kind != NO_SPAN);
            places.extend(live.filter_map(|(_, record)| Some(place(Record::of(record.ok()?)?))));
            places.get_mut(from..).unwrap_or_default().sort_unstable();
        });
        parts.concat()
    }
}

/// Those records of `part` that there are.
fn records(records: &Gathered, part: Indices<usize>) -> impl Iterator<Item = Result<&[u8], Missing>> {
    let end = part.end.min(records.count());
    records.range(part.start.min(end)..end)
}

/// What one look at a record leaves for the next.
struct Looks {
    rules: Option<BitRules>,
    known: LastKinds<Known>,
    runs: Runs,
}

/// What holds for all spans of a kind that is possible.
struct Known {
    kind: u8,
    rule: Option<BitRule>,
}

impl Looks {
    /// `None` for a kind that is not.
    #[inline]
    fn known(&mut self, span: Record<'_>) -> Option<&Known> {
        let rules = &self.rules;
        let known = self.known.of(span, || {
            span.possible_kind().ok()?;
            let in_use = span.state() == SpanState::InUse;
            Some(Known {
                kind: if in_use {
                    IN_USE.saturating_add(span.spanclass())
                } else {
                    MANUAL
                },
                rule: rules.as_ref().filter(|_| in_use).map(|rules| rules.of(span)),
            })
        });
        known.map(|known| &*known)
    }
}

impl Found {
    #[inline]
    fn look(&mut self, structure: Range, record: &[u8], looks: &mut Looks) -> u8 {
        let Some(span) = Record::of(record) else {
            return self.impossible(structure, TOO_SHORT);
        };
        if span.state() == SpanState::Dead {
            self.dead += 1;
            return NO_SPAN;
        }
        let place = place(span);
        if let (Some(Known { kind, rule }), Ok(())) = (looks.known(span), span.possible_in_kind()) {
            let kind = *kind;
            self.bits.note(rule.as_ref(), span, structure);
            looks.runs.add(place);
            self.live += 1;
            return kind;
        }
        self.impossible(structure, span.possible().err().unwrap_or(TOO_SHORT))
    }

    fn impossible(&mut self, structure: Range, why: &'static str) -> u8 {
        self.impossible += 1;
        let (what, addr) = ("mspan", structure.start);
        self.first_error.get_or_insert(DecodeError::Invalid { what, addr, why });
        NO_SPAN
    }

    fn missing(&mut self, addr: u64, len: u64, why: Missing) -> u8 {
        self.unreadable += 1;
        let (what, addr) = ("mspan", Addr(addr));
        let source = MemoryError { addr, len, why };
        self.first_error.get_or_insert(DecodeError::Missing { what, source });
        NO_SPAN
    }

    /// Adds what is found behind it.
    fn join(&mut self, next: Found) {
        self.kinds.extend(next.kinds);
        self.rows.join(next.rows);
        self.runs.extend(next.runs);
        self.bits.join(next.bits);
        self.live += next.live;
        self.dead += next.dead;
        self.unreadable += next.unreadable;
        self.impossible += next.impossible;
        self.first_error = self.first_error.or(next.first_error);
    }
}
