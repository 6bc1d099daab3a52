//! The target's mappings sorted for the ledger: files, the Go runtime's own tables, everything else. The Go heap's
//! own address ranges are cut out; they have rows of their own.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::analysis::{MappingKind, MappingRow};
use crate::goruntime::snapshot::Snapshot;
use crate::memory::Range;
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
    let mut tables = Tables {
        mappings: maps.iter().as_slice(),
        holds: vec![false; maps.iter().len()],
    };
    for addr in snapshot.arenas.iter().flat_map(|arenas| &arenas.metadata) {
        tables.note(Range::new(*addr, 1));
    }
    for mcache in snapshot.processors.iter().flat_map(|ps| ps.mcaches()) {
        tables.note(Range::new(mcache.addr, 1));
    }
    if let Ok(spans) = &snapshot.spans {
        spans.structures().for_each(|structures| tables.note(structures));
        spans.bitmaps().into_iter().for_each(|bitmaps| tables.note(bitmaps));
    }
    tables.holds
}

/// Which mappings hold tables.
struct Tables<'a> {
    mappings: &'a [Mapping],
    holds: Vec<bool>,
}

impl Tables<'_> {
    fn note(&mut self, range: Range) {
        let first = self.mappings.partition_point(|mapping| mapping.end <= range.start.0);
        let these = self.mappings.iter().zip(&mut self.holds).skip(first);
        for (_, holds) in these.take_while(|(mapping, _)| mapping.start < range.end().0) {
            *holds = true;
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
    use crate::memory::Addr;

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

    #[test]
    fn every_mapping_that_a_table_touches_holds_tables() {
        let lines: String = ["1000-2000", "2000-3000", "5000-6000", "8000-9000"]
            .map(|range| format!("{range} rw-p 00000000 00:00 0\n"))
            .concat();
        let (maps, _) = Maps::parse(lines.as_bytes());
        let holding = |start, len| {
            let mut tables = Tables {
                mappings: maps.iter().as_slice(),
                holds: vec![false; 4],
            };
            tables.note(Range::new(Addr(start), len));
            tables.holds
        };
        assert_eq!(holding(0x1fff, 1), [true, false, false, false]);
        assert_eq!(holding(0x1fff, 2), [true, true, false, false]);
        assert_eq!(holding(0x3000, 0x2000), [false; 4]);
        assert_eq!(holding(0x2800, 0x5801), [false, true, true, true]);
        assert_eq!(holding(u64::MAX, 8), [false; 4]);
    }
}
