//! Rows that add up: whatever part of each page is resident, the ledger's rows and the idle section cover all of it.

use gomemscan::analysis::{MappingKind, MappingRow};
use gomemscan::memory::{Addr, Range};
use gomemscan::model::LedgerId;

use crate::analyse;
use crate::lively::lively;
use crate::synth::{PAGE, Release};

/// Every third 4 KiB page is not resident.
fn two_thirds(range: Range) -> u64 {
    let (first, last) = (range.start.0 / 4096, range.end().0.div_ceil(4096));
    (first..last).filter(|page| page % 3 != 0).count() as u64 * 4096
}

#[test]
fn the_rows_add_up_to_rss() {
    for release in Release::ALL {
        let target = lively(release).build();
        let scan = target.scan();
        let outside = |start: u64, kind| MappingRow {
            range: Range::new(Addr(start), 30 * 4096),
            kind,
        };
        let mappings = [
            outside(0x40_0000, MappingKind::Binary),
            outside(0x7f00_0000_0000, MappingKind::GoMetadata),
            outside(0x7e00_0000_0000, MappingKind::Other),
        ];
        let heap: u64 = scan
            .snapshot
            .pages
            .as_ref()
            .unwrap()
            .in_use
            .iter()
            .map(|range| two_thirds(*range))
            .sum();
        let rest: u64 = mappings.iter().map(|mapping| two_thirds(mapping.range)).sum();
        let sections = analyse::with(&target, &scan, &two_thirds, &mappings);
        let rows = &sections.ledger.rows;
        assert_eq!(
            rows.iter().map(|row| row.resident_bytes.unwrap()).sum::<u64>(),
            heap + rest
        );
        let unexplained = (1i64 << 30) - (heap + rest) as i64;
        assert_eq!(sections.ledger.unexplained_bytes, Some(unexplained));
        let (go, other) = (sections.ledger.go_resident_bytes, sections.ledger.other_resident_bytes);
        assert_eq!(go.unwrap() + other.unwrap(), heap + rest);
    }
}

#[test]
fn the_heap_rows_add_up_to_the_runtimes_books() {
    for release in Release::ALL {
        let target = lively(release).build();
        let scan = target.scan();
        let sections = analyse::everything(&target, &scan);
        let bytes = |id: LedgerId| {
            sections
                .ledger
                .rows
                .iter()
                .find(|row| row.id == id)
                .unwrap()
                .bytes
                .unwrap()
        };
        let in_use = [
            LedgerId::HeapMarked,
            LedgerId::HeapAllocatedSinceGc,
            LedgerId::HeapGarbageUnswept,
            LedgerId::HeapFreeSlots,
            LedgerId::HeapSpanTails,
        ];
        assert_eq!(in_use.map(bytes).iter().sum::<u64>(), target.truth.heap_in_use);
        assert_eq!(bytes(LedgerId::HeapMarked), target.truth.marked);
        assert_eq!(bytes(LedgerId::HeapIdleUnreturned), target.truth.heap_idle_unreturned);
        assert_eq!(bytes(LedgerId::HeapReleased), target.truth.heap_released);
        assert_eq!(
            bytes(LedgerId::GoroutineStacks) + bytes(LedgerId::FreeStacks),
            target.truth.stacks
        );
    }
}

#[test]
fn idle_memory_is_named_by_where_it_sits() {
    let target = lively(Release::Go126).build();
    let scan = target.scan();
    let idle = analyse::with(&target, &scan, &two_thirds, &[]).idle;
    assert_eq!(idle.unreturned_bytes, Some(target.truth.heap_idle_unreturned));
    let cached = (0xff00_ff00_1234_5678u64 & !0x0f00_0000_1200_5000).count_ones();
    assert_eq!(idle.page_cache_bytes, Some(u64::from(cached) * PAGE));
    assert_eq!(
        idle.span_free_bytes.unwrap(),
        idle.mcache_free_bytes.unwrap() + idle.mcentral_free_bytes.unwrap()
    );
    assert!(idle.unreturned_resident_bytes < idle.unreturned_bytes);
    assert!(idle.returnable_now_bytes < idle.unreturned_resident_bytes);
    // 13 free stacks of order 1, one large stack, two order caches, four stacks of dead goroutines.
    assert_eq!(idle.free_stack_bytes, Some(5 * 4096 + 8 * PAGE + 20480 + 4 * 2048));
}

#[test]
fn a_heap_of_which_nothing_is_resident_explains_nothing() {
    let target = lively(Release::Go122).build();
    let scan = target.scan();
    let ledger = analyse::with(&target, &scan, &|_| 0, &[]).ledger;
    assert_eq!(ledger.go_resident_bytes, Some(0));
    assert_eq!(ledger.unexplained_bytes, Some(1 << 30));
}
