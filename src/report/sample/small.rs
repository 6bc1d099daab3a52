//! A small healthy program.

use super::parts::{KIB, MIB, SECOND, class, gc, group, head, ledger, memstats, processor, verdict};
use crate::model::*;

/// A small program just started.
pub fn small_healthy() -> AttachReport {
    let mut report = head(812, "/usr/local/bin/hello", 14 * SECOND, 5, 2);
    report.host.thp = None;
    report.capture.pause_ns = Some(412_000);
    report.capture.wall_ns = Some(9_300_000);
    report.verdict = Some(verdict(
        Severity::Info,
        "Nothing stands out: 252 KiB of 6.8 MiB RSS is idle Go heap.",
    ));
    report.ledger = ledger(
        &[
            (LedgerId::HeapMarked, 212 * KIB, 212 * KIB),
            (LedgerId::HeapAllocatedSinceGc, 48 * KIB, 48 * KIB),
            (LedgerId::HeapGarbageUnswept, 0, 0),
            (LedgerId::HeapFreeSlots, 96 * KIB, 80 * KIB),
            (LedgerId::HeapSpanTails, 4 * KIB, 4 * KIB),
            (LedgerId::HeapIdleUnreturned, 252 * KIB, 252 * KIB),
            (LedgerId::HeapReleased, 3 * MIB, 0),
            (LedgerId::GoroutineStacks, 288 * KIB, 192 * KIB),
            (LedgerId::FreeStacks, 32 * KIB, 0),
            (LedgerId::RuntimeMetadata, 2 * MIB, 1_900 * KIB),
            (LedgerId::BinaryAndLibraries, 5 * MIB, 4_200 * KIB),
            (LedgerId::OtherMappings, 132 * KIB, 12 * KIB),
        ],
        0,
    );
    report.idle = Idle {
        unreturned_bytes: Some(252 * KIB),
        unreturned_resident_bytes: Some(252 * KIB),
        page_cache_bytes: Some(200 * KIB),
        span_free_bytes: Some(96 * KIB),
        unswept_garbage_bytes: Some(0),
        mcache_free_bytes: Some(40 * KIB),
        mcentral_free_bytes: Some(56 * KIB),
        free_stack_bytes: Some(32 * KIB),
        returnable_now_bytes: Some(52 * KIB),
        returnable_after_gc: Some(ByteBounds {
            at_least_bytes: 252 * KIB,
            at_most_bytes: Some(300 * KIB),
        }),
    };
    report.size_classes = Some(vec![class(2, 16, true, 3, 480, 0), class(8, 96, false, 2, 100, 0)]);
    report.large_objects = LargeObjects {
        spans: Some(0),
        bytes: Some(0),
        top: Some(Vec::new()),
    };
    report.processors = Some(vec![processor(0, PStatus::Running), processor(1, PStatus::Idle)]);
    report.idle_count = Some(1);
    report.retired_count = Some(0);
    report.free_mcaches = Some(0);
    report.free_goroutines = FreeGoroutines {
        with_stack: Some(0),
        without_stack: Some(0),
        in_processors: Some(1),
        bytes: Some(440),
        stack_bytes: Some(2 * KIB),
    };
    report.goroutines = Goroutines {
        total: Some(7),
        user: Some(2),
        system: Some(5),
        by_status: Some([("waiting".to_owned(), 6), ("running".to_owned(), 1)].into()),
        by_wait_reason: Some(vec![ByWaitReason {
            reason: "sleep".into(),
            count: 1,
            oldest_wait_ns: None,
        }]),
        by_creator: Some(Vec::new()),
        groups: Some(vec![group(
            1,
            "sleep",
            "runtime.main",
            "/usr/local/go/src/runtime/proc.go",
            152,
            None,
        )]),
        age_histogram: Some(AgeHistogram {
            edges_ns: vec![0],
            counts: vec![0],
            unstamped: Some(6),
        }),
    };
    report.gc = gc();
    report.gc.cycles = Some(0);
    report.gc.last_gc_at = None;
    report.gc.last_gc_age_ns = None;
    report.gc.pause_summary = None;
    report.gc.pauses_ns = Some(Vec::new());
    report.memstats = memstats();
    report
}
