//! Data words of a position-independent executable as the loader leaves them: `R_*_RELATIVE` relocations applied, at
//! link-time addresses.
//!
//! Such a file may hold zeros where pointers will be; what they point to stands in `DT_RELA`. Packed relocations
//! (`DT_RELR`) need nothing done, because their addends are in place. The tables are found through `PT_DYNAMIC`, so
//! section headers are not needed. A large server has a million entries: they are passed over once, in pieces, and
//! after that only those near what is asked for are read.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use object::elf;

use super::bytes::u64_at;
use super::elf::{Arch, Elf};
use super::file::ExeFile;
use crate::error::Result;

/// Bytes of an `Elf64_Rela`.
const ENTRY: u64 = 24;
/// Entries of one block of the index.
const BLOCK: u64 = 4096;
const MAX_DYNAMIC: u64 = 1 << 16;
const MAX_TABLE: u64 = 1 << 30;
/// Most places returned by [`Relocations::places_of`].
const MAX_PLACES: usize = 1024;

/// The relative relocations of one file.
#[derive(Debug)]
pub struct Relocations {
    elf: Elf,
    file: ExeFile,
    /// `DT_RELA`: offset in the file and size in bytes.
    table: Option<(u64, u64)>,
    kind: u32,
    index: OnceLock<Vec<Block>>,
}

/// The addresses that one block of entries changes.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: u64,
    last: u64,
}

impl Relocations {
    /// Finds the table of `elf`. A file without one, or with a broken one, has no relocations.
    pub fn new(elf: &Elf, file: &ExeFile) -> Relocations {
        Relocations {
            table: rela_table(elf, file),
            kind: match elf.arch {
                Arch::Amd64 => elf::R_X86_64_RELATIVE,
                Arch::Arm64 => elf::R_AARCH64_RELATIVE,
            },
            elf: elf.clone(),
            file: file.clone(),
            index: OnceLock::new(),
        }
    }

    /// Number of entries.
    pub fn count(&self) -> u64 {
        self.table.map_or(0, |(_, size)| size / ENTRY)
    }

    /// `len` bytes at link-time address `vaddr` as the loader would leave them with a load bias of 0. Fails like
    /// [`Elf::read_vaddr`], and with [`Io`](crate::error::Error::Io) when the relocations cannot be read.
    pub fn read_vaddr(&self, vaddr: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = self.elf.read_vaddr(&self.file, vaddr, len)?;
        if self.table.is_none() {
            return Ok(bytes);
        }
        let end = vaddr.saturating_add(len);
        for (number, block) in self.index()?.iter().enumerate() {
            // An entry changes eight bytes.
            if block.last.saturating_add(8) <= vaddr || block.first >= end {
                continue;
            }
            let skip = (number as u64).saturating_mul(BLOCK);
            self.pass(skip, BLOCK, |place, addend| {
                let word = place
                    .checked_sub(vaddr)
                    .and_then(|at| usize::try_from(at).ok())
                    .and_then(|at| bytes.get_mut(at..at.checked_add(8)?));
                if let Some(word) = word {
                    word.copy_from_slice(&addend.to_le_bytes());
                }
            })?;
        }
        Ok(bytes)
    }

    /// The addresses at which the loader puts one of `values` (link-time addresses), with which one, in the table's
    /// order. One pass over all entries.
    pub fn places_of(&self, values: &[u64]) -> Result<Vec<(u64, u64)>> {
        let mut places = Vec::new();
        self.index_while(|place, addend| {
            if values.contains(&addend) && places.len() < MAX_PLACES {
                places.push((place, addend));
            }
        })?;
        Ok(places)
    }

    fn index(&self) -> Result<&[Block]> {
        if self.index.get().is_none() {
            self.index_while(|_, _| {})?;
        }
        Ok(self.index.get().map_or(&[], Vec::as_slice))
    }

    /// Shows every entry to `visit` and keeps what the pass tells about the blocks.
    fn index_while(&self, mut visit: impl FnMut(u64, u64)) -> Result<()> {
        let mut blocks = Vec::new();
        let mut from = 0;
        while from < self.count() {
            let (mut first, mut last) = (u64::MAX, 0);
            self.pass(from, BLOCK, |place, addend| {
                (first, last) = (first.min(place), last.max(place));
                visit(place, addend);
            })?;
            blocks.push(Block { first, last });
            from += BLOCK;
        }
        let _ = self.index.set(blocks);
        Ok(())
    }

    /// Shows up to `count` entries from number `from` on to `visit`: the address that is changed and its new value.
    fn pass(&self, from: u64, count: u64, mut visit: impl FnMut(u64, u64)) -> Result<()> {
        let Some((offset, size)) = self.table else {
            return Ok(());
        };
        let skip = from.saturating_mul(ENTRY).min(size);
        let len = count.saturating_mul(ENTRY).min(size - skip);
        // Below a megabyte: one piece.
        self.file.scan(offset.saturating_add(skip), len, 0, |_, bytes| {
            for entry in bytes.chunks_exact(ENTRY as usize) {
                if let (Some(place), Some(info), Some(addend)) = (u64_at(entry, 0), u64_at(entry, 8), u64_at(entry, 16))
                    && info == u64::from(self.kind)
                {
                    visit(place, addend);
                }
            }
            ControlFlow::<()>::Continue(())
        })?;
        Ok(())
    }
}

/// Where `DT_RELA` is in the file, and its size in bytes.
fn rela_table(elf: &Elf, file: &ExeFile) -> Option<(u64, u64)> {
    let (offset, size) = elf.dynamic?;
    let dynamic = file.read(offset, size.min(MAX_DYNAMIC)).ok()?;
    let value = |tag: u32| {
        let entry = |e: &&[u8]| u64_at(e, 0) == Some(tag.into());
        dynamic.chunks_exact(16).find(entry).and_then(|e| u64_at(e, 8))
    };
    if value(elf::DT_RELAENT).is_some_and(|entry| entry != ENTRY) {
        return None;
    }
    let (offset, left) = elf.vaddr_to_offset(value(elf::DT_RELA)?)?;
    let size = value(elf::DT_RELASZ)?.min(left).min(MAX_TABLE);
    (size >= ENTRY).then_some((offset, size / ENTRY * ENTRY))
}
