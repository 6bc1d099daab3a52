//! What a scan costs its target, and what it tells when it may not cost what it needs: memory the target does not
//! grow by, a pause budget that is kept, and figures of a target that is not stopped at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

use support::fixtures::{Build, GoVersion, fixture};
use support::process::Running;
use support::scan::{Scan, scan};

/// Memory of a process in KiB: anonymous, resident text, page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    anonymous: u64,
    text: u64,
    page_tables: u64,
}

impl Memory {
    fn of(pid: u32) -> Memory {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let kib = |text: &str, key: &str| -> u64 {
            let value = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            value.split_ascii_whitespace().next().unwrap().parse().unwrap()
        };
        let (mut text, mut executable) = (0, false);
        for line in read("smaps").lines() {
            if line.split(' ').next().unwrap().contains('-') {
                executable = line.contains(" r-xp ") && line.contains('/');
            } else if executable && line.starts_with("Rss:") {
                text += kib(line, "Rss:");
            }
        }
        Memory {
            anonymous: kib(&read("smaps_rollup"), "Anonymous:"),
            text,
            page_tables: kib(&read("status"), "VmPTE:"),
        }
    }
}

#[test]
fn twenty_scans_leave_the_target_as_large_as_it_was() {
    let target = Running::start(
        &fixture("spans", GoVersion::V1_26, Build::Exe),
        &["-spans", "20000", "-goroutines", "2000", "-threads", "5"],
    );
    // A Go process at rest still wakes now and then and may touch a page of its own: what 20 scans cost shows every
    // time, what it does itself does not.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let before = Memory::of(target.pid());
        for _ in 0..20 {
            assert_eq!(scan(target.pid(), &[]).code, 0);
        }
        let after = Memory::of(target.pid());
        if after.anonymous == before.anonymous
            && after.text == before.text
            && after.page_tables <= before.page_tables + 64
        {
            return;
        }
        seen.push((before, after));
    }
    panic!("the target grew with each 20 scans: {seen:#?}");
}

#[test]
fn a_heap_too_large_for_the_pause_is_reported_in_part() {
    let target = Running::start(&fixture("spans", GoVersion::V1_26, Build::Exe), &["-spans", "1000000"]);
    let whole = scan(target.pid(), &[]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    // On a busy machine the stop alone may use up so short a pause.
    let mut last = None;
    for _ in 0..50 {
        let part = last.insert(scan_or_refusal(target.pid(), "5ms"));
        let Some(part) = part.as_ref().filter(|part| part.code == 6) else {
            continue;
        };
        let incomplete = part.at("/capture/incomplete").as_str().unwrap_or_default().to_owned();
        assert!(incomplete.contains("pause budget"), "{incomplete}");
        assert!(part.int("/capture/bytes_read") < whole.int("/capture/bytes_read"));
        let missing = part.list("/unavailable").iter();
        let named = missing
            .filter(|entry| entry["reason"].as_str().unwrap().contains("budget"))
            .count();
        assert!(named > 0, "what is missing is named: {}", part.at("/unavailable"));
        // What little there is of everything but spans is read first.
        if part.at("/processors").is_array() && part.at("/goroutines/total") == whole.at("/goroutines/total") {
            return;
        }
    }
    panic!("no scan with 5 ms was partial: {last:?}");
}

/// A scan that may also be refused.
fn scan_or_refusal(pid: u32, budget: &str) -> Option<Scan> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(["attach", &pid.to_string(), "--json", "--max-pause", budget])
        .output()
        .unwrap();
    Some(Scan {
        json: serde_json::from_slice(&output.stdout).ok()?,
        code: output.status.code()?,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[test]
fn more_threads_than_a_pause_has_room_for_are_refused_before_any_is_stopped() {
    let mut target = Running::start(&fixture("spans", GoVersion::V1_26, Build::Exe), &["-threads", "1500"]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(["attach", &target.pid().to_string(), "--max-pause", "5ms"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{stderr}");
    assert!(stderr.contains("threads") && stderr.contains("--no-pause"), "{stderr}");
    target.send("settle");
}

#[test]
fn totals_of_a_busy_target_that_is_not_stopped_are_within_a_hundredth() {
    let arguments = ["-mixed", "128", "-churn", "1000"];
    let mut target = Running::start(&fixture("spans", GoVersion::V1_26, Build::Exe), &arguments);
    for _ in 0..5 {
        let before = target.stats();
        let scanned = scan(target.pid(), &["--no-pause"]);
        let after = target.stats();
        assert_eq!(scanned.at("/capture/stop"), "none");
        assert_eq!(scanned.at("/capture/pause_ns"), 0);
        assert!(scanned.at("/capture/anomalies").is_u64());
        let told = scanned.list("/warnings").iter().any(|warning| {
            let message = warning["message"].as_str().unwrap();
            message.contains("read while it ran")
        });
        assert!(told, "{}", scanned.at("/warnings"));
        assert!(after.mem("TotalAlloc") > before.mem("TotalAlloc"), "it is busy");
        for field in ["Sys", "HeapSys", "TotalAlloc", "Mallocs", "MSpanSys", "NumGC"] {
            let value = scanned.int(&format!("/memstats/{field}"));
            let (low, high) = (
                before.mem(field).min(after.mem(field)),
                before.mem(field).max(after.mem(field)),
            );
            assert!(
                value + value / 100 >= low && value <= high + high / 100,
                "{field}: {value}, the target says {low} to {high}"
            );
        }
    }
}
