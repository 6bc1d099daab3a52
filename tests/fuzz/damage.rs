//! Damage to a made-up or recorded address space: an input is a list of hits, each on a mapping or a variable. It is
//! undone afterwards, which is quicker than a copy of everything.

use std::rc::Rc;

use gomemscan::memory::{Addr, Memory, Range};

use crate::synth::Space;

/// Bytes of one hit: where (mapping, offset), what, a value.
const HIT: usize = 16;
/// Hits of one input at most.
const MOST_HITS: usize = 64;

/// A memory that can be hit.
pub struct Damageable {
    space: Option<Rc<Space>>,
    /// Places to hit, small ones as often as large ones.
    places: Vec<Range>,
}

impl Damageable {
    /// Every mapping of `space` can be hit, and `also` is hit as often as all of those together.
    pub fn new(space: Space, also: &[Range]) -> Damageable {
        let mut places: Vec<Range> = space.mappings().collect();
        let also: Vec<Range> = also.iter().copied().filter(|range| range.len > 0).collect();
        if !also.is_empty() {
            let whole = places.len();
            places.extend(also.iter().cycle().take(whole.max(also.len())));
        }
        Damageable {
            space: Some(Rc::new(space)),
            places,
        }
    }

    /// Shows `body` the memory after the hits of `input`.
    pub fn hit(&mut self, input: &[u8], body: impl FnOnce(&Rc<Space>)) {
        let shared = self.space.take().unwrap();
        let mut space = Rc::try_unwrap(shared).unwrap();
        let mut undo = Vec::new();
        let mut lost = Vec::new();
        for hit in input.chunks_exact(HIT).take(MOST_HITS) {
            self.apply(hit, &mut space, &mut undo, &mut lost);
        }
        let whole = (!lost.is_empty()).then(|| space.clone());
        lost.sort_unstable();
        lost.dedup();
        for range in lost {
            space.unmap(range.start.0, range.len);
        }
        let shared = Rc::new(space);
        body(&shared);
        let mut space = match whole {
            Some(whole) => whole,
            None => Rc::try_unwrap(shared).unwrap(),
        };
        for (at, bytes) in undo.iter().rev() {
            space.write(*at, bytes);
        }
        self.space = Some(Rc::new(space));
    }

    fn apply(&self, hit: &[u8], space: &mut Space, undo: &mut Vec<(u64, Vec<u8>)>, lost: &mut Vec<Range>) {
        let place = |bytes: &[u8]| {
            let index = u16::from_le_bytes([bytes[0], bytes[1]]);
            self.places[usize::from(index) % self.places.len()]
        };
        let range = place(hit);
        let op = hit[2];
        let offset = u64::from(u32::from_le_bytes(hit[3..7].try_into().unwrap()));
        let value = u64::from_le_bytes(hit[8..16].try_into().unwrap());
        let at = range.start.0 + offset % range.len;
        let word = (at & !7).max(range.start.0);
        let old = |at: u64, len: usize| space.bytes(Addr(at), len).ok().map(<[u8]>::to_vec);
        let (at, bytes) = match op % 12 {
            0 => (at, vec![value as u8]),
            1 => (at & !3, (value as u32).to_le_bytes().to_vec()),
            2..=4 => (word, value.to_le_bytes().to_vec()),
            5 | 6 => {
                // So that pointers lead to structures of another kind.
                let other = place(&hit[8..10]);
                let inside = ((value >> 32) % other.len.max(1)) & !7;
                (word, (other.start.0 + inside).to_le_bytes().to_vec())
            }
            7 | 8 => {
                let Some(now) = old(word, 8) else { return };
                let now = u64::from_le_bytes(now.try_into().unwrap());
                (word, now.wrapping_add(value as i16 as u64).to_le_bytes().to_vec())
            }
            9 => {
                // What stands elsewhere.
                let other = place(&hit[8..10]);
                let from = other.start.0 + (value >> 32) % other.len.max(1);
                let len = (value >> 16) as u16 % 256;
                let Some(bytes) = old(from, usize::from(len)) else {
                    return;
                };
                (word, bytes)
            }
            10 => (word, vec![value as u8; (value >> 8) as usize % 256]),
            _ => {
                if hit[7] == 1 && space.mappings().any(|mapping| mapping == range) {
                    lost.push(range);
                }
                return;
            }
        };
        if let Some(before) = old(at, bytes.len()) {
            undo.push((at, before));
            space.write(at, &bytes);
        }
    }
}
