//! The report against the program's own account of itself: `runtime.MemStats`, `runtime/metrics` and the goroutine
//! profile, figure by figure, in every supported version and build.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::figures::{
    caches_as_built, goroutines_equal, identities_hold, ledger_adds_up, memstats_equal,
    memstats_equal_but_for_the_flush, metrics_equal,
};
use support::fixtures::{Build, GoVersion, all_versions, fixture};
use support::host::loading_host;
use support::process::{Running, Stats};
use support::scan::{Scan, scan};

/// A library runs in a program that has no Go in it.
fn start_shapes(version: GoVersion, build: Build) -> Running {
    let built = fixture("shapes", version, build);
    match build {
        Build::CShared | Build::StrippedCShared => Running::start(&loading_host(), &[built.to_str().unwrap()]),
        _ => Running::start(&built, &[]),
    }
}

fn every_figure(version: GoVersion, build: Build) {
    let context = format!("Go {version}, {build}");
    let mut shapes = start_shapes(version, build);
    let (own, scanned) = shapes.undisturbed(|pid| scan(pid, &[]));
    memstats_equal(&scanned, &own, &context);
    identities_hold(&scanned, &context);
    goroutines_equal(&scanned, &own, &context);
    metrics_equal(&scanned, &own, &context);
    caches_as_built(&scanned, &own, &context);
    ledger_adds_up(&scanned, &context);

    // Mcaches that nobody flushed: the scan replays what ReadMemStats does to them. Once more if a goroutine of the
    // runtime grew its stack between the scan and the question.
    let grown = |scanned: &Scan, own: &Stats| own.mem("StackInuse") > scanned.int("/memstats/StackInuse");
    let mut unflushed = || {
        shapes.settle("garbage 20");
        (scan(shapes.pid(), &[]), shapes.stats())
    };
    let (scanned, own) = match unflushed() {
        (scanned, own) if grown(&scanned, &own) => unflushed(),
        pair => pair,
    };
    memstats_equal_but_for_the_flush(&scanned, &own, &format!("{context}, unflushed"));
    identities_hold(&scanned, &format!("{context}, unflushed"));

    // Without a stop the same figures, since nothing moves.
    let (own, scanned) = shapes.undisturbed(|pid| scan(pid, &["--no-pause"]));
    memstats_equal(&scanned, &own, &format!("{context}, not paused"));
    identities_hold(&scanned, &format!("{context}, not paused"));
    assert_eq!(scanned.at("/capture/stop"), "none");
    assert_eq!(scanned.int("/capture/pause_ns"), 0);
    shapes.send("quit");
}

#[test]
fn every_figure_equals_the_programs_own_exe() {
    all_versions().for_each(|version| every_figure(version, Build::Exe));
}

#[test]
fn every_figure_equals_the_programs_own_pie() {
    all_versions().for_each(|version| every_figure(version, Build::Pie));
}

#[test]
fn every_figure_equals_the_programs_own_cgo() {
    all_versions().for_each(|version| every_figure(version, Build::Cgo));
}

/// A stripped binary is read with the same exactness; the report says where the layout came from, and is sure of it.
fn every_figure_stripped(version: GoVersion, build: Build, symbols: &str) {
    let release = format!("go{}", version.release());
    let mut shapes = start_shapes(version, build);
    says_where_the_layout_is_from(&scan(shapes.pid(), &[]), &release, symbols);
    shapes.send("quit");
    every_figure(version, build);
}

fn says_where_the_layout_is_from(scanned: &Scan, release: &str, symbols: &str) {
    let expected = serde_json::json!({"source": "embedded", "release": release, "confidence": "high"});
    assert_eq!(scanned.at("/capture/layout"), &expected);
    assert_eq!(scanned.at("/capture/symbols"), symbols, "{release}");
    assert_eq!(scanned.list("/warnings"), &[] as &[Value], "{release}");
}

#[test]
fn every_figure_equals_the_programs_own_stripped_exe() {
    all_versions().for_each(|version| every_figure_stripped(version, Build::Stripped, "recovered"));
}

#[test]
fn every_figure_equals_the_programs_own_stripped_pie() {
    all_versions().for_each(|version| every_figure_stripped(version, Build::StrippedPie, "recovered"));
}

#[test]
fn every_figure_equals_the_programs_own_stripped_cgo() {
    all_versions().for_each(|version| every_figure_stripped(version, Build::StrippedCgo, "recovered"));
}

/// Builds that move the runtime's code or its structures.
#[test]
fn every_figure_equals_the_programs_own_in_other_stripped_builds() {
    use GoVersion::*;
    every_figure_stripped(V1_26, Build::StrippedRace, "recovered");
    every_figure_stripped(V1_26, Build::StrippedUnoptimised, "recovered");
    every_figure_stripped(V1_24, Build::WithoutDwarf, "symtab");
    for version in [V1_19, V1_27] {
        every_figure_stripped(version, Build::StrippedCShared, "recovered");
    }
    for version in [V1_25, V1_26, V1_27] {
        every_figure_stripped(version, Build::StrippedExperiment, "recovered");
    }
}

#[test]
fn every_figure_equals_the_programs_own_c_shared() {
    all_versions().for_each(|version| every_figure(version, Build::CShared));
}

/// On a busy program a scan may catch each P in one operation; the checks say how far figures may be apart, and the
/// program goes on as before.
#[test]
fn a_busy_program_stays_within_one_operation_per_p() {
    for (version, build) in all_versions().zip(Build::MATRIX.into_iter().cycle()) {
        let context = format!("Go {version}, {build}");
        let mut churn = Running::start(&fixture("churn", version, build), &["-procs", "3"]);
        for round in 0..20 {
            let scanned = scan(churn.pid(), &[]);
            assert_eq!(
                (
                    scanned.code,
                    scanned.at("/capture/incomplete"),
                    scanned.list("/unavailable")
                ),
                (0, &Value::Null, &[] as &[Value]),
                "{context}, scan {round}: {}",
                scanned.stderr
            );
            assert!(
                scanned.failed_checks().is_empty(),
                "{context}, scan {round}: {:#?}",
                scanned.failed_checks()
            );
            assert_eq!(scanned.at("/capture/stop"), "paused");
        }
        let loops = |churn: &mut Running| -> BTreeMap<String, u64> {
            serde_json::from_value(churn.send("progress")["loops"].clone()).unwrap()
        };
        let start = loops(&mut churn);
        let progressed = |now: &BTreeMap<String, u64>| start.iter().all(|(name, rounds)| now[name] > *rounds);
        assert!(
            (0..1_000_000).any(|_| progressed(&loops(&mut churn))),
            "{context}: {start:?}"
        );
    }
}
