//! A large program with findings.

use super::parts::{
    GIB, MIB, SECOND, check, class, finding, gc, group, head, large, ledger, memstats, processor, verdict,
};
use crate::model::*;

/// A large program with idle memory, sparse size classes, leaking goroutines and a check that fails.
pub fn large_sick() -> AttachReport {
    let mut report = head(21734, "/srv/bin/hub", 76 * 3600 * SECOND, 14, 8);
    report.process.main_module = Some("github.com/acme/hub".into());
    report.capture.checks.push(check(
        "mcentral and mcache spans = spans in use",
        33_120,
        33_117,
        2,
        false,
    ));
    report.verdict = Some(verdict(
        Severity::Critical,
        "1.90 GiB of the 3.10 GiB RSS is idle Go heap that the runtime has kept; 1.60 GiB of it could be returned at \
         once.",
    ));
    report.ledger = ledger(
        &[
            (LedgerId::HeapMarked, 751_199_846, 751_199_846),
            (LedgerId::HeapAllocatedSinceGc, 96 * MIB, 96 * MIB),
            (LedgerId::HeapGarbageUnswept, 4_300_000, 4_300_000),
            (LedgerId::HeapFreeSlots, 242_900_000, 242_900_000),
            (LedgerId::HeapSpanTails, 3_100_000, 3_100_000),
            (LedgerId::HeapIdleUnreturned, 2_040_109_466, 2_040_109_466),
            (LedgerId::HeapReleased, 640 * MIB, 0),
            (LedgerId::GoroutineStacks, 81 * MIB, 84_100_000),
            (LedgerId::FreeStacks, 25 * MIB, 25 * MIB),
            (LedgerId::RuntimeMetadata, 43_300_000, 41_800_000),
            (LedgerId::BinaryAndLibraries, 23_900_000, 14_800_000),
            (LedgerId::OtherMappings, 3_200_000, 3_000_000),
        ],
        420_000,
    );
    if let Some(row) = report.ledger.rows.last_mut() {
        row.grade = Grade::Estimated;
    }
    report.cgroup = Some(Cgroup {
        version: 2,
        path: "/kubepods.slice/kubepods-burstable.slice/cri-containerd-3f9c.scope".into(),
        limit_bytes: Some(4 * GIB),
        current_bytes: Some(3_500 * MIB),
        working_set_bytes: Some(3_277 * MIB),
        headroom_bytes: Some(819 * MIB),
    });
    report.idle = Idle {
        unreturned_bytes: Some(2_040_109_466),
        unreturned_resident_bytes: Some(2_040_109_466),
        page_cache_bytes: Some(2_310_000),
        span_free_bytes: Some(242_900_000),
        unswept_garbage_bytes: Some(4_300_000),
        mcache_free_bytes: Some(1_260_000),
        mcentral_free_bytes: Some(241_640_000),
        free_stack_bytes: Some(25 * MIB),
        returnable_now_bytes: Some(1_717_986_918),
        returnable_after_gc: Some(ByteBounds {
            at_least_bytes: 1_750_000_000,
            at_most_bytes: Some(2_200_000_000),
        }),
    };
    report.grades.push(Graded {
        pointer: "/idle/returnable_after_gc".into(),
        grade: Grade::Estimated,
    });
    let mut classes = vec![class(5, 64, false, 26_412, 473_000, 51_000)];
    for (number, object_bytes) in [
        (1, 8),
        (2, 16),
        (3, 24),
        (9, 112),
        (14, 224),
        (22, 512),
        (40, 4_096),
        (55, 16_384),
    ] {
        classes.push(class(
            number,
            object_bytes,
            number % 2 == 1,
            120 * number,
            900 * number,
            number,
        ));
    }
    for number in 56..68 {
        classes.push(class(number, 18_432, true, 2, 1, 0));
    }
    report.size_classes = Some(classes);
    report.large_objects = LargeObjects {
        spans: Some(1_204),
        bytes: Some(325_000_000),
        top: Some(vec![
            large(
                0xc012400000,
                64 * MIB,
                Some("github.com/acme/hub/internal/store.segment[go.shape.string]"),
            ),
            large(0xc016400000, 32 * MIB, None),
            large(0xc018400000, 9 * MIB, Some("uint8")),
        ]),
    };
    report.processors = Some(
        (0..8)
            .map(|id| processor(id, if id < 3 { PStatus::Running } else { PStatus::Idle }))
            .collect(),
    );
    report.idle_count = Some(5);
    report.retired_count = Some(2);
    report.free_mcaches = Some(2);
    report.free_goroutines = FreeGoroutines {
        with_stack: Some(3_120),
        without_stack: Some(188),
        in_processors: Some(103),
        bytes: Some(1_500_840),
        stack_bytes: Some(25 * MIB),
    };
    report.goroutines = Goroutines {
        total: Some(41_902),
        user: Some(41_884),
        system: Some(18),
        by_status: Some(
            [
                ("waiting".to_owned(), 41_889),
                ("running".to_owned(), 3),
                ("syscall".to_owned(), 10),
            ]
            .into(),
        ),
        by_wait_reason: Some(vec![
            ByWaitReason {
                reason: "chan receive".into(),
                count: 41_180,
                oldest_wait_ns: Some(7_860 * SECOND),
            },
            ByWaitReason {
                reason: "IO wait".into(),
                count: 512,
                oldest_wait_ns: Some(190 * SECOND),
            },
        ]),
        by_creator: Some(vec![ByCreator {
            function: Some("github.com/acme/hub/internal/feed.(*Hub).Subscribe".into()),
            file: Some("/build/internal/feed/hub.go".into()),
            line: Some(88),
            count: 41_180,
        }]),
        groups: Some(vec![
            group(
                41_180,
                "chan receive",
                "github.com/acme/hub/internal/feed.(*Hub).Subscribe",
                "/build/internal/feed/hub.go",
                88,
                Some(7_860 * SECOND),
            ),
            group(
                512,
                "IO wait",
                "net/http.(*Server).Serve",
                "/usr/local/go/src/net/http/server.go",
                3454,
                Some(190 * SECOND),
            ),
            group(
                120,
                "sync.WaitGroup.Wait (durable)",
                "github.com/acme/hub/internal/pipeline.Run[go.shape.struct { Key string; Value []uint8 }].func2.1",
                "/build/internal/pipeline/run.go",
                1204,
                None,
            ),
            GoroutineGroup {
                system: false,
                status: "syscall".into(),
                count: 10,
                ..GoroutineGroup::default()
            },
        ]),
        age_histogram: Some(AgeHistogram {
            edges_ns: vec![0, 60 * SECOND, 600 * SECOND, 3_600 * SECOND],
            counts: vec![69, 640, 0, 41_180],
            unstamped: Some(120),
        }),
    };
    report.gc = gc();
    report.memstats = memstats();
    report.findings = vec![
        finding(
            "goroutine-pileup",
            Severity::Info,
            "41,180 goroutines wait in \"chan receive\", created by feed.(*Hub).Subscribe, the oldest for ≥ 2h 11m",
            "They hold 80.4 MiB of stacks.",
            &[],
        ),
        finding(
            "idle-heap-kept",
            Severity::Critical,
            "The scavenger lets it stay: GOGC=100 plans for a 1.60 GiB heap plus 10 %, and no GOMEMLIMIT is set",
            "HeapIdle - HeapReleased is 1.90 GiB, all of it resident. The background scavenger aims at 1.76 GiB of \
             retained heap and sleeps below that.",
            &[
                (
                    When::Now,
                    "POST to the service's own debug.FreeOSMemory hook, if it has one",
                ),
                (
                    When::NextDeploy,
                    "GOMEMLIMIT=3GiB, which leaves 25 % of the cgroup's limit to everything else",
                ),
            ],
        ),
        finding(
            "sparse-size-class",
            Severity::Warning,
            "177 MiB of free slots sit in 26,412 spans of 64 B objects that are 14 % full",
            "",
            &[(
                When::NextDeploy,
                "let long-lived and short-lived objects of this size differ in size or in time",
            )],
        ),
    ];
    report.warnings = vec![Warning {
        section: "capture".into(),
        message: "the tool shares the target's cgroup".into(),
    }];
    report
}
