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
use support::fixtures::{Build, GoVersion, all_versions, fixture};
use support::host::loading_host;
use support::process::{Running, Stats};
use support::scan::{Scan, scan};

/// Fields of MemStats that the report has.
const FIELDS: [&str; 25] = [
    "Alloc",
    "TotalAlloc",
    "Sys",
    "Mallocs",
    "Frees",
    "HeapAlloc",
    "HeapSys",
    "HeapIdle",
    "HeapInuse",
    "HeapReleased",
    "HeapObjects",
    "StackInuse",
    "StackSys",
    "MSpanInuse",
    "MSpanSys",
    "MCacheInuse",
    "MCacheSys",
    "BuckHashSys",
    "GCSys",
    "OtherSys",
    "NextGC",
    "LastGC",
    "PauseTotalNs",
    "NumGC",
    "NumForcedGC",
];

fn memstats_equal(scanned: &Scan, own: &Stats, context: &str) {
    fields_equal(scanned, own, &FIELDS, context);
}

/// ReadMemStats first empties the mcaches' lists of free stacks, which can give whole spans of stacks back to the heap:
/// what it then reports is not what was there before it was asked. All else is as it was.
fn memstats_equal_but_for_freed_stacks(scanned: &Scan, own: &Stats, context: &str) {
    const MOVED: [&str; 4] = ["HeapSys", "HeapIdle", "StackInuse", "StackSys"];
    let others: Vec<&str> = FIELDS.into_iter().filter(|field| !MOVED.contains(field)).collect();
    fields_equal(scanned, own, &others, context);
    let seen = |field: &str| scanned.int(&format!("/memstats/{field}"));
    let given_back = seen("StackInuse") - own.mem("StackInuse");
    assert_eq!(given_back % (32 << 10), 0, "{context}: a span of stacks has 32 KiB");
    for (field, change) in [("StackSys", -1i64), ("HeapSys", 1), ("HeapIdle", 1)] {
        assert_eq!(
            seen(field) as i64 + change * given_back as i64,
            own.mem(field) as i64,
            "{context}: {field}"
        );
    }
}

fn fields_equal(scanned: &Scan, own: &Stats, fields: &[&str], context: &str) {
    let mut wrong = Vec::new();
    for field in fields {
        let (seen, told) = (scanned.int(&format!("/memstats/{field}")), own.mem(field));
        if seen != told {
            wrong.push(format!("{field}: scan {seen}, program {told}"));
        }
    }
    let fraction = scanned.at("/memstats/GCCPUFraction").as_f64();
    if fraction != own.memstats()["GCCPUFraction"].as_f64() {
        wrong.push(format!("GCCPUFraction: scan {fraction:?}"));
    }
    assert!(wrong.is_empty(), "{context}: {wrong:#?}");
}

/// Every identity without a difference. The mark bits are compared with a counter in which the runtime has objects
/// with finalizers twice (each of `shapes` has one of 24 bytes) and so may have a little more.
fn identities_hold(scanned: &Scan, context: &str) {
    let off: Vec<_> = scanned
        .differences()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("mark bits"))
        .collect();
    assert!(off.is_empty(), "{context}: {off:?}");
    assert!(
        scanned.failed_checks().is_empty(),
        "{context}: {:?}",
        scanned.failed_checks()
    );
    assert_eq!(scanned.at("/capture/consistent"), &Value::Bool(true), "{context}");
    assert_eq!(scanned.list("/unavailable"), &[] as &[Value], "{context}");
    assert_eq!(scanned.code, 0, "{context}: {}", scanned.stderr);
}

/// The profile of user goroutines equals the report's groups, but for the runtime's own and the one that asks.
fn goroutines_equal(scanned: &Scan, own: &Stats, context: &str) {
    let mut told: BTreeMap<_, u64> = BTreeMap::new();
    for group in own.goroutines() {
        let asking = group.created_by.is_empty() && group.status == "running";
        let status = if asking { "syscall".to_owned() } else { group.status };
        *told
            .entry((status, group.created_by, group.file, u64::from(group.line)))
            .or_default() += group.count;
    }
    assert_eq!(scanned.groups(), told, "{context}");
    assert_eq!(scanned.int("/goroutines/user"), own.num_goroutine(), "{context}");
    let by_status = scanned.at("/goroutines/by_status").as_object().unwrap();
    let total: u64 = by_status.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(total, scanned.int("/goroutines/total"), "{context}");
}

fn metrics_equal(scanned: &Scan, own: &Stats, context: &str) {
    // The program asks for these after its MemStats; a span of stacks may come and go in between, but only among them.
    let moving = ["released", "free", "stacks"].map(|name| own.metric(&format!("/memory/classes/heap/{name}:bytes")));
    let told: u64 = moving
        .into_iter()
        .map(|bytes| bytes.expect("every version has it"))
        .sum();
    let seen = [
        "/memstats/HeapReleased",
        "/idle/unreturned_bytes",
        "/memstats/StackInuse",
    ];
    let seen: u64 = seen.into_iter().map(|pointer| scanned.int(pointer)).sum();
    assert_eq!(seen, told, "{context}: heap not in use, and stacks");
    for (metric, pointer) in [
        ("/memory/classes/metadata/mspan/inuse:bytes", "/memstats/MSpanInuse"),
        ("/memory/classes/metadata/mcache/inuse:bytes", "/memstats/MCacheInuse"),
        ("/memory/classes/metadata/other:bytes", "/memstats/GCSys"),
        ("/memory/classes/other:bytes", "/memstats/OtherSys"),
        ("/memory/classes/profiling/buckets:bytes", "/memstats/BuckHashSys"),
        ("/memory/classes/total:bytes", "/memstats/Sys"),
        ("/gc/heap/goal:bytes", "/gc/heap_goal_bytes"),
        ("/gc/heap/live:bytes", "/gc/heap_marked_bytes"),
        ("/gc/gogc:percent", "/gc/gogc"),
        ("/gc/cycles/total:gc-cycles", "/gc/cycles"),
        ("/sched/gomaxprocs:threads", "/process/gomaxprocs"),
    ] {
        if let Some(told) = own.metric(metric) {
            assert_eq!(scanned.int(pointer), told, "{context}: {metric}");
        }
    }
}

/// What the fixture did to its Ps and goroutines on purpose.
fn caches_as_built(scanned: &Scan, own: &Stats, context: &str) {
    let shape = own.shape();
    assert_eq!(scanned.int("/process/gomaxprocs"), own.gomaxprocs(), "{context}");
    assert_eq!(scanned.list("/processors").len() as u64, own.gomaxprocs(), "{context}");
    assert_eq!(
        scanned.int("/retired_count"),
        shape["retired_procs"].as_u64().unwrap(),
        "{context}"
    );
    // A retired P gives its mcache back.
    assert_eq!(scanned.int("/free_mcaches"), scanned.int("/retired_count"), "{context}");
    let free = ["with_stack", "without_stack", "in_processors"];
    let dead: u64 = free
        .iter()
        .map(|name| scanned.int(&format!("/free_goroutines/{name}")))
        .sum();
    assert!(
        dead * 10 >= shape["dead_goroutines"].as_u64().unwrap() * 9,
        "{context}: {dead} dead goroutines"
    );
    let timers: u64 = scanned
        .list("/processors")
        .iter()
        .map(|p| p["timers"].as_u64().unwrap())
        .sum();
    assert!(
        timers >= shape["timers"]["functions"].as_u64().unwrap(),
        "{context}: {timers} timers"
    );
    let large: Vec<u64> = scanned
        .list("/large_objects/top")
        .iter()
        .map(|o| o["bytes"].as_u64().unwrap())
        .collect();
    for built in shape["large"].as_array().unwrap() {
        let bytes = built["bytes"].as_u64().unwrap().next_multiple_of(8192);
        assert!(
            large.contains(&bytes),
            "{context}: no large object of {bytes} bytes in {large:?}"
        );
    }
}

/// The ledger's rows and what they do not explain add up to RSS, and little stays unexplained.
fn ledger_adds_up(scanned: &Scan, context: &str) {
    let rows: i64 = scanned
        .list("/ledger/rows")
        .iter()
        .map(|row| row["resident_bytes"].as_i64().unwrap())
        .sum();
    let rss = scanned.int("/ledger/rss_bytes") as i64;
    let unexplained = scanned.at("/ledger/unexplained_bytes").as_i64().unwrap();
    assert_eq!(rows + unexplained, rss, "{context}");
    assert!(
        unexplained.abs() * 100 <= rss,
        "{context}: {unexplained} of {rss} bytes unexplained"
    );
}

/// A library runs in a program that has no Go in it.
fn start_shapes(version: GoVersion, build: Build) -> Running {
    let built = fixture("shapes", version, build);
    match build {
        Build::CShared => Running::start(&loading_host(), &[built.to_str().unwrap()]),
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
    memstats_equal_but_for_freed_stacks(&scanned, &own, &format!("{context}, unflushed"));
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
    let mut shapes = Running::start(&fixture("shapes", version, build), &[]);
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
            assert_eq!(scanned.code, 0, "{context}, scan {round}: {}", scanned.stderr);
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
