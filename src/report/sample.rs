//! Reports built by hand, for the tests of the renderers: a small healthy program, a large sick one, one of which
//! nothing could be read, and one whose names attack the terminal.

use crate::model::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000_000_000;

/// Every sample under its name.
pub fn all() -> Vec<(&'static str, AttachReport)> {
    vec![
        ("small_healthy", small_healthy()),
        ("large_sick", large_sick()),
        ("partly_read", partly_read()),
        ("unavailable", unavailable()),
        ("hostile", hostile()),
        ("huge_numbers", huge_numbers()),
        ("empty", AttachReport::new()),
    ]
}

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

/// The large program, with a figure missing here and there.
pub fn partly_read() -> AttachReport {
    let mut report = large_sick();
    let pagemap = "/proc/21734/pagemap: permission denied";
    let budget = "left out: the pause budget of 20 ms was spent";
    let mut missing = |pointer: &str, reason: &str| {
        report.unavailable.push(Unavailable {
            pointer: pointer.into(),
            reason: reason.into(),
        });
    };
    missing("/idle/unreturned_resident_bytes", pagemap);
    missing("/idle/returnable_after_gc", pagemap);
    missing("/idle/page_cache_bytes", budget);
    missing("/processors/1/mcache", budget);
    missing("/goroutines/groups", budget);
    missing("/gc/gogc", "runtime.gcController.gcPercent: no such field");
    missing("/gc/scavenger", "runtime.scavenge: no such symbol");
    missing("/ledger/rows/5/resident_bytes", pagemap);
    missing("/cgroup/working_set_bytes", "memory.stat: permission denied");
    report.idle.unreturned_resident_bytes = None;
    report.idle.returnable_after_gc = None;
    report.idle.page_cache_bytes = None;
    report.goroutines.groups = None;
    report.gc.gogc = None;
    report.gc.scavenger = None;
    for processor in report.processors.iter_mut().flatten().skip(1).take(1) {
        processor.mcache = None;
    }
    for row in report.ledger.rows.iter_mut().skip(5).take(1) {
        row.resident_bytes = None;
    }
    if let Some(cgroup) = &mut report.cgroup {
        cgroup.working_set_bytes = None;
        cgroup.headroom_bytes = None;
    }
    report
}

/// A target of which hardly anything could be read.
pub fn unavailable() -> AttachReport {
    let mut report = AttachReport::new();
    report.captured_at = "2026-01-02T03:04:05.678Z".into();
    report.tool = Tool {
        name: "gomemscan".into(),
        version: "0.1.0".into(),
        peak_rss_bytes: None,
    };
    report.process.pid = 7;
    report.capture.incomplete = Some("the pause budget of 500 ms was spent".into());
    let no_layout = "no layout for a stripped go1.99 on riscv64";
    for (pointer, reason) in [
        ("/process/exe", "/proc/7/exe: permission denied"),
        ("/process/go_version", "/proc/7/exe: permission denied"),
        ("/capture/layout", no_layout),
        (
            "/ledger",
            "/proc/7/pagemap: permission denied; it needs CAP_SYS_PTRACE in the user namespace of the target",
        ),
        ("/verdict", "the heap could not be read"),
        ("/memstats", no_layout),
        ("/idle", no_layout),
        ("/size_classes", no_layout),
        ("/large_objects", no_layout),
        ("/processors", no_layout),
        ("/free_goroutines", no_layout),
        ("/goroutines", no_layout),
        ("/gc", no_layout),
        ("/cgroup", "/proc/7/cgroup: permission denied"),
    ] {
        report.unavailable.push(Unavailable {
            pointer: pointer.into(),
            reason: reason.into(),
        });
    }
    report
}

/// A target that tries to draw on the terminal of whoever looks at it.
pub fn hostile() -> AttachReport {
    let mut report = large_sick();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{200b}/x\r\n\t世界";
    report.process.exe = Some(evil.into());
    report.process.go_version = Some(evil.into());
    report.process.args = Some(vec![evil.into()]);
    report.verdict = Some(verdict(Severity::Info, evil));
    report.findings = vec![finding(evil, Severity::Warning, evil, evil, &[(When::Now, evil)])];
    report.goroutines.groups = Some(vec![group(1, evil, evil, evil, 1, None)]);
    report.goroutines.by_status = Some([(evil.to_owned(), 1)].into());
    report.large_objects.top = Some(vec![large(1, 1, Some(evil))]);
    report.capture.checks = vec![check(evil, 1, 2, 0, false)];
    report.warnings = vec![Warning {
        section: evil.into(),
        message: evil.into(),
    }];
    report.unavailable = vec![Unavailable {
        pointer: format!("/idle/{evil}"),
        reason: evil.into(),
    }];
    report
}

/// Figures at the end of their range.
pub fn huge_numbers() -> AttachReport {
    let mut report = large_sick();
    report.process.pid = 4_194_304;
    report.process.uptime_ns = Some(u64::MAX);
    report.process.threads = Some(u64::MAX);
    report.capture.pause_ns = Some(u64::MAX);
    for row in &mut report.ledger.rows {
        row.bytes = Some(u64::MAX);
        row.resident_bytes = Some(u64::MAX);
    }
    report.ledger.rss_bytes = Some(u64::MAX);
    report.ledger.unexplained_bytes = Some(i64::MIN);
    for class in report.size_classes.iter_mut().flatten() {
        class.spans = u64::MAX;
        class.objects = u64::MAX;
        class.free_objects = u64::MAX;
        class.free_bytes = u64::MAX;
        class.occupancy_histogram = [u64::MAX; 10];
        class.garbage_objects = Some(u64::MAX);
    }
    for processor in report.processors.iter_mut().flatten() {
        processor.dead_goroutines = Some(u64::MAX);
        processor.run_queue = Some(u64::MAX);
    }
    for group in report.goroutines.groups.iter_mut().flatten() {
        group.count = u64::MAX;
        group.oldest_wait_ns = Some(u64::MAX);
    }
    report.capture.checks = vec![check("spans in use = heapInUse", u64::MAX, 0, u64::MAX, false)];
    report.memstats.next_gc = Some(u64::MAX);
    report.memstats.set_string_twins();
    report
}

fn head(pid: u64, exe: &str, uptime_ns: u64, threads: u64, gomaxprocs: u64) -> AttachReport {
    let mut report = AttachReport::new();
    report.captured_at = "2026-01-02T03:04:05.678Z".into();
    report.captured_monotonic_ns = Some(900_000 * SECOND);
    report.tool = Tool {
        name: "gomemscan".into(),
        version: "0.1.0".into(),
        peak_rss_bytes: Some(19 * MIB),
    };
    report.host = Host {
        name: Some("node-7".into()),
        boot_id: Some("6f8c0f3e-0d5b-4b0c-9a55-3c1f0a6b7d10".into()),
        kernel: Some("6.8.0-45-generic".into()),
        page_bytes: Some(4096),
        cpus: Some(16),
        thp: Some(Thp {
            enabled: Some("madvise".into()),
            defrag: Some("madvise".into()),
            use_zero_page: Some(true),
            khugepaged_defrag: Some(true),
        }),
    };
    report.process = Process {
        pid,
        ns_pid: Some(1),
        pid_ns: Some(4_026_532_201),
        start_ticks: Some(123_456),
        started_at: Some("2025-12-29T23:00:00Z".into()),
        uptime_ns: Some(uptime_ns),
        exe: Some(exe.into()),
        build_id: Some("Zf3l-YkV2s9mS9i1".into()),
        go_version: Some("go1.26.6".into()),
        goarch: Some("amd64".into()),
        main_module: None,
        experiments: vec!["greenteagc".into()],
        threads: Some(threads),
        gomaxprocs: Some(gomaxprocs),
        cgroup_path: Some("/kubepods.slice".into()),
        runtime: Some(RuntimeInstance {
            index: 0,
            count: 1,
            module: Some(exe.into()),
        }),
        args: None,
    };
    report.capture = Capture {
        source: Source::Live,
        stop: Stop::Paused,
        consistent: true,
        anomalies: 0,
        pause_ns: Some(2_100_000),
        pause_steps: Vec::new(),
        wall_ns: Some(41_000_000),
        bytes_read: Some(11_400_000),
        threads_stopped: Some(threads),
        incomplete: None,
        layout: Some(Layout {
            source: LayoutSource::Dwarf,
            release: Some("go1.26.6".into()),
            confidence: Confidence::High,
        }),
        symbols: Some(Symbols::Symtab),
        checks: vec![
            check("spans in use = heapInUse", 1_098_907_648, 1_098_907_648, 65_536, true),
            check("free pages = heapFree", 249_037, 249_040, 4, true),
        ],
        steps: vec![
            Step {
                name: "read DWARF".into(),
                wall_ns: 21_000_000,
            },
            Step {
                name: "decode".into(),
                wall_ns: 8_000_000,
            },
        ],
    };
    report
}

fn ledger(rows: &[(LedgerId, u64, u64)], unexplained: i64) -> Ledger {
    let resident: u64 = rows.iter().map(|(_, _, resident)| resident).sum();
    let rss = resident.saturating_add_signed(unexplained);
    let other: u64 = rows.iter().rev().take(2).map(|(_, _, resident)| resident).sum();
    Ledger {
        rss_bytes: Some(rss),
        statm_rss_bytes: Some(rss - 200 * KIB),
        swap_bytes: Some(0),
        go_resident_bytes: Some(resident - other),
        other_resident_bytes: Some(other),
        rows: rows
            .iter()
            .map(|(id, bytes, resident)| LedgerRow::new(*id, Some(*bytes), Some(*resident), Grade::Exact))
            .collect(),
        unexplained_bytes: Some(unexplained),
    }
}

fn class(class: u64, object_bytes: u64, noscan: bool, spans: u64, objects: u64, garbage: u64) -> SizeClass {
    let slots = spans * (8 * KIB / object_bytes).max(1);
    let free = slots.saturating_sub(objects);
    SizeClass {
        class,
        object_bytes,
        noscan,
        spans,
        span_bytes: spans * (8 * KIB).max(object_bytes),
        objects,
        free_objects: free,
        free_bytes: free * object_bytes,
        garbage_objects: Some(garbage),
        occupancy_histogram: [spans / 2, spans / 4, spans / 8, spans / 16, 0, 0, 0, 0, 1, spans / 20],
        mcache_spans: Some(spans.min(8)),
        partial_swept_spans: Some(spans.saturating_sub(8)),
        partial_unswept_spans: Some(0),
        full_swept_spans: Some(0),
        full_unswept_spans: Some(0),
    }
}

fn large(address: u64, bytes: u64, type_name: Option<&str>) -> LargeObject {
    LargeObject {
        address: HexAddr(address),
        bytes,
        type_name: type_name.map(str::to_owned),
    }
}

fn processor(id: u64, status: PStatus) -> Processor {
    let running = status == PStatus::Running;
    Processor {
        id,
        status,
        mcache: Some(Mcache {
            tiny_free_bytes: 9,
            spans: if running { 41 } else { 0 },
            span_bytes: if running { 344_064 } else { 0 },
            free_bytes: if running { 215_040 + id * 1_000 } else { 0 },
            stack_cache_bytes: Some(if running { 98_304 } else { 0 }),
            flushed: id != 2,
        }),
        page_cache_bytes: Some(if running { 458_752 } else { 0 }),
        cached_spans: Some(37),
        dead_goroutines: Some(12 + id),
        sudogs: Some(8),
        defers: Some(3),
        timers: Some(140),
        run_queue: Some(0),
    }
}

fn group(count: u64, reason: &str, function: &str, file: &str, line: u64, wait: Option<u64>) -> GoroutineGroup {
    GoroutineGroup {
        system: false,
        status: "waiting".into(),
        reason: Some(reason.into()),
        function: Some(function.into()),
        file: Some(file.into()),
        line: Some(line),
        count,
        oldest_wait_ns: wait,
    }
}

fn check(name: &str, expected: u64, actual: u64, tolerance: u64, ok: bool) -> Check {
    let difference = i64::try_from(i128::from(actual) - i128::from(expected)).unwrap_or(i64::MIN);
    Check {
        name: name.into(),
        unit: "count".into(),
        expected,
        actual,
        difference,
        tolerance,
        ok,
    }
}

fn verdict(severity: Severity, text: &str) -> Verdict {
    Verdict {
        severity,
        text: text.into(),
    }
}

fn finding(id: &str, severity: Severity, title: &str, detail: &str, advice: &[(When, &str)]) -> Finding {
    Finding {
        id: id.into(),
        severity,
        title: title.into(),
        detail: detail.into(),
        bytes: Some(GIB),
        evidence: vec![
            "/idle/unreturned_resident_bytes".into(),
            "/gc/scavenger/gc_percent_goal_bytes".into(),
        ],
        advice: advice
            .iter()
            .map(|(when, text)| Advice {
                text: (*text).into(),
                when: *when,
            })
            .collect(),
    }
}

fn gc() -> Gc {
    Gc {
        phase: Some(GcPhase::Idle),
        off: Some(false),
        gogc: Some(100),
        memory_limit_bytes: None,
        heap_goal_bytes: Some(1_717_986_918),
        heap_live_bytes: Some(851_862_118),
        heap_marked_bytes: Some(751_199_846),
        allocated_since_gc_bytes: Some(96 * MIB),
        last_gc_at: Some("2026-01-02T03:03:27Z".into()),
        last_gc_age_ns: Some(38 * SECOND),
        cycles: Some(1_204),
        sweep_done: Some(true),
        pauses_ns: Some(vec![100_000, 1_300_000]),
        pause_summary: Some(PauseSummary {
            count: 256,
            p50_ns: 100_000,
            max_ns: 1_300_000,
        }),
        cpu_fraction_since_start: Some(0.008),
        scavenger: Some(Scavenger {
            gc_percent_goal_bytes: Some(1_889_785_610),
            memory_limit_goal_bytes: None,
            background_time_ns: Some(2_400_000_000),
            assist_time_ns: Some(0),
            parked: Some(true),
            released_background_bytes: Some(12 * MIB),
            released_eager_bytes: Some(0),
        }),
        debug: Some([("madvdontneed".to_owned(), 1), ("disablethp".to_owned(), 0)].into()),
    }
}

fn memstats() -> MemStats {
    let mut stats = MemStats {
        alloc: Some(851_862_118),
        heap_alloc: Some(851_862_118),
        total_alloc: Some(9_400_000_000_000),
        sys: Some(3_900_000_000),
        mallocs: Some(71_000_000_000),
        next_gc: Some(1_717_986_918),
        last_gc: Some(1_767_323_007_000_000_000),
        num_gc: Some(1_204),
        pause_total_ns: Some(240_000_000),
        gc_cpu_fraction: Some(0.008),
        ..MemStats::default()
    };
    stats.set_string_twins();
    stats
}

/// What `doctor` says of a process that can be scanned.
pub fn doctor_works() -> DoctorReport {
    let mut report = doctor(
        0,
        "a scan will work; expect about 1.2 ms of pause",
        &[
            (
                "process",
                CheckStatus::Ok,
                "812 (1 in its PID namespace) runs /usr/local/bin/hello",
            ),
            (
                "program",
                CheckStatus::Ok,
                "go1.26.6 on amd64; the runtime's structures are found",
            ),
            (
                "yama",
                CheckStatus::Ok,
                "kernel.yama.ptrace_scope is 1; CAP_SYS_PTRACE overrides it",
            ),
            ("swap", CheckStatus::Warn, "12.0 MiB of it are swapped out"),
            ("container", CheckStatus::Unknown, "its container does not show"),
        ],
    );
    report.checks[3].consequence =
        Some("what the runtime keeps there is named and not read; the result may be partial".into());
    report
}

/// What `doctor` says of a pod's process that belongs to somebody else and cannot be told from an attack.
pub fn doctor_refused() -> DoctorReport {
    let mut report = doctor(
        4,
        "a scan will not work: process 812 (a\u{1b}[31m) belongs to user 33, gomemscan runs as user 1000",
        &[
            (
                "process",
                CheckStatus::Unknown,
                "process 812 may not be looked at; the checks below say why",
            ),
            (
                "user",
                CheckStatus::Fail,
                "process 812 (a\u{1b}[31m) belongs to user 33, gomemscan runs as user 1000",
            ),
            (
                "access",
                CheckStatus::Unknown,
                "the kernel refuses access: Operation not permitted",
            ),
        ],
    );
    report.checks[1].exit_code = Some(4);
    report.checks[1].remedies = vec![
        Remedy::command("sudo gomemscan attach 812"),
        Remedy::noted(
            "or, for every user of this host",
            "sudo sysctl kernel.yama.ptrace_scope=0",
        ),
        Remedy::note("or ask an administrator"),
    ];
    report.container = Some(Container {
        runtime: Some("containerd".into()),
        commands: vec![Remedy::noted(
            "with the rights of kubectl alone; IMAGE is any that holds gomemscan",
            "kubectl debug -it -n shop hub-7d9f --target=server --profile=sysadmin --image=IMAGE -- gomemscan attach 1",
        )],
        ..Container::default()
    });
    report
}

fn doctor(exit_code: u8, text: &str, checks: &[(&str, CheckStatus, &str)]) -> DoctorReport {
    let mut report = DoctorReport::new();
    report.process.pid = 812;
    report.verdict = Forecast {
        works: exit_code == 0,
        exit_code,
        text: text.into(),
    };
    let check = |&(id, status, fact): &(&str, CheckStatus, &str)| DoctorCheck {
        id: id.into(),
        status,
        fact: fact.into(),
        ..DoctorCheck::default()
    };
    report.checks = checks.iter().map(check).collect();
    report
}
