//! Program counters: from address to text offset and back, and the tables of values that change along the code.

use super::{SymbolTable, TextSection};

/// Longest pc-value table walked; the largest functions have some ten thousand entries.
const MAX_PAIRS: usize = 1 << 20;

impl SymbolTable {
    /// Value at `pc` of the pc-value table at `offset` in pctab, for a function that starts at `entry`.
    pub(super) fn pc_value(&self, offset: u32, entry: u64, pc: u64) -> Option<i32> {
        if offset == 0 {
            return None;
        }
        let mut cursor = self.pc_values.cursor(offset.into());
        let (mut value, mut at) = (-1i32, entry);
        for pair in 0..MAX_PAIRS {
            let delta = cursor.varint()?;
            if delta == 0 && pair > 0 {
                return None;
            }
            // Zigzag: the lowest bit is the sign.
            let step = (delta >> 1).cast_signed();
            value = value.wrapping_add(if delta & 1 == 0 { step } else { !step });
            let run = u64::from(cursor.varint()?) * u64::from(self.header.quantum);
            at = at.checked_add(run)?;
            if pc < at {
                return Some(value);
            }
        }
        None
    }

    /// Address of text offset `offset` (`moduledata.textAddr`).
    pub(super) fn address(&self, offset: u32) -> Option<u64> {
        let offset = u64::from(offset);
        let sections = &self.at.textsectmap;
        if sections.len() > 1 {
            for (i, s) in sections.iter().enumerate() {
                let last = i + 1 == sections.len();
                if offset >= s.vaddr && (offset < s.end || (last && offset == s.end)) {
                    return s.baseaddr.checked_add(offset - s.vaddr);
                }
            }
        }
        self.at.text.checked_add(offset)
    }

    /// Text offset of `pc` (`moduledata.textOff`).
    pub(super) fn text_offset(&self, pc: u64) -> Option<u32> {
        let sections = &self.at.textsectmap;
        let mut offset = pc.checked_sub(self.at.text);
        if sections.len() > 1 {
            let inside = |s: &&TextSection| {
                let into = pc.checked_sub(s.baseaddr);
                into.is_some_and(|into| into <= s.end.saturating_sub(s.vaddr))
            };
            // The end of one section may be the start of the next: the later one wins.
            let s = sections.iter().rev().find(inside)?;
            offset = pc.checked_sub(s.baseaddr)?.checked_add(s.vaddr);
        }
        u32::try_from(offset?).ok()
    }
}
