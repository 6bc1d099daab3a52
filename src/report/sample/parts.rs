//! What the samples are made of.

use crate::model::*;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
pub const SECOND: u64 = 1_000_000_000;

pub fn head(pid: u64, exe: &str, uptime_ns: u64, threads: u64, gomaxprocs: u64) -> AttachReport {
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

pub fn ledger(rows: &[(LedgerId, u64, u64)], unexplained: i64) -> Ledger {
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

pub fn class(class: u64, object_bytes: u64, noscan: bool, spans: u64, objects: u64, garbage: u64) -> SizeClass {
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

pub fn large(address: u64, bytes: u64, type_name: Option<&str>) -> LargeObject {
    LargeObject {
        address: HexAddr(address),
        bytes,
        type_name: type_name.map(str::to_owned),
    }
}

pub fn processor(id: u64, status: PStatus) -> Processor {
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

pub fn group(count: u64, reason: &str, function: &str, file: &str, line: u64, wait: Option<u64>) -> GoroutineGroup {
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

pub fn check(name: &str, expected: u64, actual: u64, tolerance: u64, ok: bool) -> Check {
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

pub fn verdict(severity: Severity, text: &str) -> Verdict {
    Verdict {
        severity,
        text: text.into(),
    }
}

pub fn finding(id: &str, severity: Severity, title: &str, detail: &str, advice: &[(When, &str)]) -> Finding {
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

pub fn gc() -> Gc {
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

pub fn memstats() -> MemStats {
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
