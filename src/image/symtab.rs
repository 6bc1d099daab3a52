//! The ELF symbol table (`.symtab`, `.strtab`), asked for a few names. `go build -ldflags=-w` leaves it in place, and it
//! knows the runtime's globals even where debug information is gone.

use std::collections::{HashMap, HashSet};

use memchr::memmem;
use object::elf;

use super::bytes::{u32_at, u64_at};
use super::elf::{Elf, Section};
use super::file::ExeFile;
use crate::error::Result;

/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;
/// Bytes of one entry (`Elf64_Sym`).
const ENTRY: usize = 24;
/// What the names of the runtime's globals begin with.
const PACKAGE: &[u8] = b"runtime.";
/// Most bytes of each table read: offsets of names have 32 bits, and the largest programs have some tens of megabytes.
const MAX_TABLE: u64 = 1 << 30;
/// No global that is asked for has a longer name, bytes.
const LONGEST_NAME: usize = 128;

/// Link-time addresses of those of `names` ("runtime.mheap_") that the symbol table has; none without one. A name that
/// stands for two addresses is left out. Reads the tables piece by piece; fails with [`Io`](crate::error::Error::Io) or
/// [`Malformed`](crate::error::Error::Malformed).
pub fn addresses(elf: &Elf, file: &ExeFile, names: &HashSet<&str>) -> Result<HashMap<String, u64>> {
    let (Some(symbols), Some(strings)) = (elf.section(".symtab"), elf.section(".strtab")) else {
        return Ok(HashMap::new());
    };
    let wanted = name_offsets(file, strings, names)?;
    let mut found: HashMap<String, Option<u64>> = HashMap::new();
    let chunk = CHUNK - CHUNK % ENTRY as u64;
    let size = symbols.size.min(MAX_TABLE);
    let mut at = 0;
    while at < size && !wanted.is_empty() {
        let len = chunk.min(size - at);
        let bytes = file.read(symbols.offset.saturating_add(at), len)?;
        for entry in bytes.chunks_exact(ENTRY) {
            let (Some(name), Some(value)) = (u32_at(entry, 0), u64_at(entry, 8)) else {
                continue;
            };
            let defined = entry.get(6..8).is_some_and(|section| section != [0, 0]);
            let is_data = entry.get(4).is_some_and(|info| info & 0xf == elf::STT_OBJECT);
            if let Some(name) = wanted.get(&name).filter(|_| defined && is_data) {
                found
                    .entry(name.clone())
                    .and_modify(|known| *known = known.filter(|known| *known == value))
                    .or_insert(Some(value));
            }
        }
        at += len;
    }
    Ok(found
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

/// Offsets in the string table at which a wanted name stands, also as the end of a longer one: linkers merge those.
fn name_offsets(file: &ExeFile, strings: &Section, names: &HashSet<&str>) -> Result<HashMap<u32, String>> {
    let package = memmem::Finder::new(PACKAGE);
    let mut wanted = HashMap::new();
    let size = strings.size.min(MAX_TABLE);
    let mut at = 0;
    while at < size {
        // Overlapping, so that a name across the border is seen whole once.
        let len = (CHUNK + LONGEST_NAME as u64).min(size - at);
        let bytes = file.read(strings.offset.saturating_add(at), len)?;
        for start in package.find_iter(&bytes) {
            let rest = bytes.get(start..).unwrap_or_default();
            let rest = rest.get(..LONGEST_NAME).unwrap_or(rest);
            let name = memchr::memchr(0, rest).and_then(|end| std::str::from_utf8(rest.get(..end)?).ok());
            let offset = u32::try_from(at.saturating_add(start as u64)).ok();
            if let (Some(name), Some(offset)) = (name.filter(|name| names.contains(name)), offset) {
                wanted.insert(offset, name.to_owned());
            }
        }
        at = at.saturating_add(CHUNK);
    }
    Ok(wanted)
}
