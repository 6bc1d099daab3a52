//! The target's mappings sorted for the ledger: files, the Go runtime's own tables, everything else. The Go heap's
//! own address ranges are cut out; they have rows of their own.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::analysis::{MappingKind, MappingRow};
use crate::goruntime::snapshot::Snapshot;
use crate::memory::{Addr, Range};
use crate::target::{Backing, Mapping, Maps};

/// Every mapping that can be resident, outside the heap's address ranges.
pub fn mapping_rows(maps: &Maps, snapshot: &Snapshot) -> Vec<MappingRow> {
    let heap = snapshot
        .pages
        .as_ref()
        .map(|pages| pages.in_use.as_slice())
        .unwrap_or_default();
    let tables = runtime_tables(maps, snapshot);
    let programs = programs(maps);
    let mut rows = Vec::new();
    let mut before: Option<(&Mapping, MappingKind)> = None;
    for (mapping, holds_tables) in maps.iter().zip(tables) {
        let range = mapping.range();
        let kind = match &mapping.backing {
            Backing::File { .. } if programs.contains(&(mapping.device, mapping.inode)) => MappingKind::Binary,
            Backing::File { .. } => MappingKind::MappedFile,
            // The zero-filled end of a program's data segment follows it without a gap.
            Backing::Anonymous { .. } if follows_data(before, range) => MappingKind::Binary,
            Backing::Anonymous { .. } if holds_tables => MappingKind::GoMetadata,
            _ => MappingKind::Other,
        };
        before = Some((mapping, kind));
        if !mapping.read && !mapping.write {
            continue; // a reservation: nothing of it is resident
        }
        rows.extend(outside(range, heap).into_iter().map(|range| MappingRow { range, kind }));
    }
    rows
}

/// The mapped file with the most resident bytes that is no program: its path and these bytes.
pub fn largest_mapped_file(maps: &Maps, resident: &dyn Fn(Range) -> u64) -> Option<(String, u64)> {
    let programs = programs(maps);
    let mut files: HashMap<&Path, u64> = HashMap::new();
    for mapping in maps.iter() {
        if let Backing::File { path, .. } = &mapping.backing
            && !programs.contains(&(mapping.device, mapping.inode))
        {
            let bytes = files.entry(path).or_default();
            *bytes = bytes.saturating_add(resident(mapping.range()));
        }
    }
    let (path, bytes) = files.into_iter().max_by_key(|(path, bytes)| (*bytes, *path))?;
    Some((path.to_string_lossy().into_owned(), bytes))
}

/// Device and inode of every file of which a part is mapped to be executed.
fn programs(maps: &Maps) -> HashSet<((u32, u32), u64)> {
    let executable = maps.iter().filter(|mapping| mapping.execute && mapping.inode != 0);
    executable.map(|mapping| (mapping.device, mapping.inode)).collect()
}

fn follows_data(before: Option<(&Mapping, MappingKind)>, range: Range) -> bool {
    before.is_some_and(|(mapping, kind)| {
        kind == MappingKind::Binary && mapping.inode != 0 && mapping.write && mapping.range().end() == range.start
    })
}

/// For each mapping, whether it holds tables of the runtime's own.
fn runtime_tables(maps: &Maps, snapshot: &Snapshot) -> Vec<bool> {
    let mappings = maps.iter().as_slice();
    let mut tables = Tables::new(mappings);
    for addr in snapshot.arenas.iter().flat_map(|arenas| &arenas.metadata) {
        tables.note(0, *addr);
    }
    for mcache in snapshot.processors.iter().flat_map(|ps| ps.mcaches()) {
        tables.note(0, mcache.addr);
    }
    let parts = snapshot.spans.iter().flat_map(|spans| {
        spans.in_parts(|part| {
            let mut tables = Tables::new(mappings);
            for (_, span) in spans.part(part) {
                tables.note(1, span.addr);
                tables.note(2, span.alloc_bits);
                tables.note(3, span.gcmark_bits);
            }
            tables.holds
        })
    });
    for part in parts {
        tables
            .holds
            .iter_mut()
            .zip(part)
            .for_each(|(holds, more)| *holds |= more);
    }
    tables.holds
}

/// Which mappings hold tables, found out address by address.
struct Tables<'a> {
    mappings: &'a [Mapping],
    holds: Vec<bool>,
    /// There are millions of tables in a few mappings: the one that held the last of its kind is tried first.
    last: [Range; 4],
}

impl<'a> Tables<'a> {
    fn new(mappings: &'a [Mapping]) -> Tables<'a> {
        Tables {
            mappings,
            holds: vec![false; mappings.len()],
            last: [Range::new(Addr::NIL, 0); 4],
        }
    }

    fn note(&mut self, kind: usize, addr: Addr) {
        let Some(last) = self.last.get_mut(kind) else { return };
        if addr.0.wrapping_sub(last.start.0) < last.len {
            return;
        }
        let at = self.mappings.partition_point(|mapping| mapping.end <= addr.0);
        let found = self.mappings.get(at).map(Mapping::range);
        if let (Some(range), Some(holds)) = (found, self.holds.get_mut(at))
            && range.start <= addr
        {
            *holds = true;
            *last = range;
        }
    }
}

/// The parts of `range` outside the ascending, disjoint ranges `heap`.
fn outside(range: Range, heap: &[Range]) -> Vec<Range> {
    let mut parts = Vec::new();
    let mut from = range.start;
    let first = heap.partition_point(|cut| cut.end() <= range.start);
    let cuts = heap.iter().skip(first).take_while(|cut| cut.start < range.end());
    for cut in cuts {
        if cut.start > from {
            parts.push(Range::new(from, cut.start.0 - from.0));
        }
        from = from.max(cut.end());
    }
    if from < range.end() {
        parts.push(Range::new(from, range.end().0 - from.0));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_ranges_are_cut_out_of_a_mapping() {
        let range = |start, len| Range::new(Addr(start), len);
        let heap = [range(0x2000, 0x1000), range(0x5000, 0x1000)];
        assert_eq!(
            outside(range(0x1000, 0x6000), &heap),
            vec![range(0x1000, 0x1000), range(0x3000, 0x2000), range(0x6000, 0x1000)]
        );
        assert_eq!(outside(range(0x2000, 0x1000), &heap), vec![]);
        assert_eq!(outside(range(0x2800, 0x1000), &heap), vec![range(0x3000, 0x800)]);
        assert_eq!(outside(range(0x9000, 0x10), &heap), vec![range(0x9000, 0x10)]);
    }
}
