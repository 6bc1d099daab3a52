//! What renderers must bear: figures that are missing, names that attack the terminal, numbers at the end of their range.

use super::large_sick;
use super::parts::{check, finding, group, large, verdict};
use crate::model::*;

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
