//! Garbage that awaits its sweep, told from outside by mark bits (inline ones of the Green Tea collector too): the sum
//! of what the last mark found alive must be the runtime's own, however far the sweep has come.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

use std::process::Command;

use support::fixtures::{Build, GoVersion, fixture};
use support::process::Running;
use support::scan::{Scan, scan};

/// Stops a process for as long as the value lives.
struct Stopped(u32);

impl Stopped {
    fn new(pid: u32) -> Stopped {
        signal(pid, "-STOP");
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "-CONT");
    }
}

fn signal(pid: u32, name: &str) {
    assert!(
        Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn unswept_spans(scanned: &Scan) -> u64 {
    let count = |class: &serde_json::Value, set: &str| class[set].as_u64().unwrap();
    scanned
        .list("/size_classes")
        .iter()
        .map(|class| count(class, "partial_unswept_spans") + count(class, "full_unswept_spans"))
        .sum()
}

/// The difference between the marked slots and `heapMarked`, bytes. The runtime counts an object with a finalizer twice,
/// and marks one that nothing else keeps when it sweeps, after the counting.
fn off_by_finalizers(scanned: &Scan) -> u64 {
    let checks = scanned.list("/capture/checks");
    let check = checks
        .iter()
        .find(|check| check["name"].as_str().unwrap().starts_with("mark bits"));
    let difference = check.expect("the target stands still, so its marks can be read")["difference"]
        .as_i64()
        .unwrap();
    difference.unsigned_abs()
}

#[test]
fn garbage_in_unswept_spans_is_told_by_mark_bits() {
    for version in [
        GoVersion::V1_19,
        GoVersion::V1_24,
        GoVersion::V1_25,
        GoVersion::V1_26,
        GoVersion::V1_27,
    ] {
        let mut churn = Running::start(&fixture("churn", version, Build::Exe), &["-procs", "2"]);
        let mut seen = 0;
        for _ in 0..2000 {
            let stopped = Stopped::new(churn.pid());
            let scanned = scan(churn.pid(), &[]);
            drop(stopped);
            assert!(
                scanned.failed_checks().is_empty(),
                "Go {version}: {:#?}",
                scanned.failed_checks()
            );
            if scanned.at("/gc/phase") != "idle" || unswept_spans(&scanned) < 100 {
                continue;
            }
            // The loops open files, which have finalizers, a handful at a time.
            assert!(
                off_by_finalizers(&scanned) < 16 << 10,
                "Go {version}: {} bytes",
                off_by_finalizers(&scanned)
            );
            assert!(scanned.int("/idle/unswept_garbage_bytes") > 0, "Go {version}");
            seen += 1;
            if seen == 3 {
                break;
            }
        }
        assert_eq!(seen, 3, "Go {version}: the sweep was never caught in the middle");
        assert!(churn.is_alive());
    }
}
