//! Where the resident memory is: rows that add up to the page-level RSS, with what no row explains shown beside them.

use super::heap::{HeapKinds, Near, Resident};
use super::idle::{IdleFacts, free_stacks};
use super::sum;
use crate::goruntime::memstats::MemStats;
use crate::goruntime::pagealloc::{PageAlloc, PageState};
use crate::memory::Range;
use crate::model::{Grade, Ledger, LedgerId, LedgerRow};

/// What a mapping outside the Go heap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingKind {
    /// The executable and libraries, with their data and bss.
    Binary,
    /// A file, or shared memory, mapped as data.
    MappedFile,
    /// Anonymous, and known to hold structures of the Go runtime.
    GoMetadata,
    /// Everything else: C heap, thread stacks, other anonymous and shared memory.
    Other,
}

/// One mapping, or the part of one that lies outside the Go heap's arenas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingRow {
    /// Its addresses.
    pub range: Range,
    /// What it is.
    pub kind: MappingKind,
}

/// Resident set sizes, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RssFacts {
    /// Sum over pages.
    pub page_level: Option<u64>,
    /// `/proc/PID/statm`.
    pub statm: Option<u64>,
    /// Swapped out.
    pub swap: Option<u64>,
}

/// The ledger.
pub fn ledger(
    facts: &IdleFacts<'_>,
    stats: Option<&MemStats>,
    mappings: &[MappingRow],
    rss: RssFacts,
    resident: Option<&Resident<'_>>,
) -> Ledger {
    let mut rows = Vec::new();
    heap_rows(&mut rows, facts.heap, facts.marks_known);
    page_rows(&mut rows, facts.pages, resident);
    let work_buffers = stack_rows(&mut rows, facts, resident.is_some());
    mapping_rows(
        &mut rows,
        stats,
        mappings,
        facts.pages.is_some(),
        work_buffers,
        resident,
    );
    let rows_sum = |go: Option<bool>| {
        let mut wanted = rows.iter().filter(|row| go.is_none_or(|go| go == is_go(row.id)));
        wanted.try_fold(0u64, |sum, row| Some(sum.saturating_add(row.resident_bytes?)))
    };
    let explained = rows_sum(None);
    Ledger {
        rss_bytes: rss.page_level,
        statm_rss_bytes: rss.statm,
        swap_bytes: rss.swap,
        go_resident_bytes: rows_sum(Some(true)),
        other_resident_bytes: rows_sum(Some(false)),
        unexplained_bytes: rss
            .page_level
            .zip(explained)
            .map(|(rss, rows)| (rss as i64).wrapping_sub(rows as i64)),
        rows,
    }
}

/// Whether a row is memory that the Go runtime manages.
fn is_go(id: LedgerId) -> bool {
    !matches!(
        id,
        LedgerId::BinaryAndLibraries | LedgerId::MappedFiles | LedgerId::OtherMappings
    )
}

fn heap_rows(rows: &mut Vec<LedgerRow>, heap: Option<&HeapKinds>, marks_known: bool) {
    let part = |kind: fn(&super::heap::Kinds) -> u64| {
        (
            heap.map(|heap| kind(&heap.bytes)),
            heap.and_then(|heap| heap.resident.as_ref()).map(kind),
        )
    };
    let exact = heap.is_some_and(|heap| heap.unknown_spans == 0);
    let marked_grade = if exact { Grade::Derived } else { Grade::Estimated };
    let known = |(bytes, resident): (Option<u64>, Option<u64>)| match marks_known {
        true => (bytes, resident),
        false => (None, resident),
    };
    for (id, (bytes, resident), grade) in [
        (LedgerId::HeapMarked, known(part(|kinds| kinds.marked)), marked_grade),
        (LedgerId::HeapAllocatedSinceGc, part(|kinds| kinds.since), marked_grade),
        (
            LedgerId::HeapGarbageUnswept,
            known(part(|kinds| kinds.garbage)),
            marked_grade,
        ),
        (LedgerId::HeapFreeSlots, part(|kinds| kinds.free), Grade::Derived),
        (LedgerId::HeapSpanTails, part(|kinds| kinds.tails), Grade::Derived),
    ] {
        rows.push(LedgerRow::new(id, bytes, resident, grade));
    }
}

fn page_rows(rows: &mut Vec<LedgerRow>, pages: Option<&PageAlloc>, resident: Option<&Resident<'_>>) {
    let of = |wanted: &[PageState]| {
        pages.zip(resident).map(|(pages, resident)| {
            let runs = pages.runs.iter().filter(|(state, _)| wanted.contains(state));
            let mut near = Near::default();
            sum(runs.map(|(_, run)| near.bytes_of(*run, resident)))
        })
    };
    let idle = of(&[PageState::Idle, PageState::CachedIdle]);
    let released = of(&[PageState::Released, PageState::CachedReleased, PageState::Padding]);
    let bytes = pages.map(PageAlloc::unreturned_bytes);
    rows.push(LedgerRow::new(LedgerId::HeapIdleUnreturned, bytes, idle, Grade::Exact));
    rows.push(LedgerRow::new(
        LedgerId::HeapReleased,
        pages.map(PageAlloc::returned_bytes),
        released,
        Grade::Exact,
    ));
}

/// Adds the stack rows; gives back the resident bytes of work buffers, which are runtime metadata.
fn stack_rows(rows: &mut Vec<LedgerRow>, facts: &IdleFacts<'_>, resident: bool) -> Option<u64> {
    let free = free_stacks(facts);
    let known = facts.spans.filter(|_| resident && facts.manual.is_some());
    let present = known.map(|sums| (sums.stacks_resident, sums.work_buffers_resident));
    let bytes = facts.manual.map(|manual| manual.stack_bytes);
    let used = bytes.zip(free).map(|(bytes, free)| bytes.saturating_sub(free));
    // Free stacks are scattered over their spans; their share of what is resident is proportional.
    let split = bytes.zip(used).zip(present).map(|((bytes, used), (present, _))| {
        let used = (u128::from(present) * u128::from(used) / u128::from(bytes.max(1))) as u64;
        (used, present - used)
    });
    rows.push(LedgerRow::new(
        LedgerId::GoroutineStacks,
        used,
        split.map(|(used, _)| used),
        Grade::Estimated,
    ));
    rows.push(LedgerRow::new(
        LedgerId::FreeStacks,
        free,
        split.map(|(_, free)| free),
        Grade::Estimated,
    ));
    present.map(|(_, work_buffers)| work_buffers)
}

fn mapping_rows(
    rows: &mut Vec<LedgerRow>,
    stats: Option<&MemStats>,
    mappings: &[MappingRow],
    heap_known: bool,
    work_buffers: Option<u64>,
    resident: Option<&Resident<'_>>,
) {
    let of = |wanted: MappingKind| {
        let these = || mappings.iter().filter(|mapping| mapping.kind == wanted);
        let present =
            resident.map(|resident| sum(these().map(|mapping| resident(mapping.range, &mut Near::default()))));
        (sum(these().map(|mapping| mapping.range.len)), present)
    };
    let (_, metadata) = of(MappingKind::GoMetadata);
    let metadata = metadata
        .zip(work_buffers)
        .map(|(tables, buffers)| tables.saturating_add(buffers));
    let bytes = stats.map(|stats| {
        stats
            .sys
            .saturating_sub(stats.heap_sys)
            .saturating_sub(stats.stack_inuse)
    });
    rows.push(LedgerRow::new(
        LedgerId::RuntimeMetadata,
        bytes,
        metadata,
        Grade::Derived,
    ));
    let (bytes, present) = of(MappingKind::Binary);
    rows.push(LedgerRow::new(
        LedgerId::BinaryAndLibraries,
        Some(bytes),
        present,
        Grade::Exact,
    ));
    let (bytes, present) = of(MappingKind::MappedFile);
    rows.push(LedgerRow::new(
        LedgerId::MappedFiles,
        Some(bytes),
        present,
        Grade::Exact,
    ));
    // Without the heap's address ranges, its memory cannot be told from other anonymous memory.
    let (bytes, present) = of(MappingKind::Other);
    rows.push(LedgerRow::new(
        LedgerId::OtherMappings,
        heap_known.then_some(bytes),
        present.filter(|_| heap_known),
        Grade::Derived,
    ));
}
