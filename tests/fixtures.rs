//! The fixtures themselves: they build with every version, settle, and tell the same truth twice. Tests that compare a
//! scan with the truth rest on what is shown here.

mod support;

use std::collections::BTreeMap;

use support::fixtures::{Build, GoVersion, all_versions, fixture};
use support::process::{Group, Running, Stats};

/// Every version's `shapes`, started one after the other.
fn with_each_shapes(build: Build, check: impl Fn(GoVersion, &mut Running)) {
    for version in all_versions() {
        let mut shapes = Running::start(&fixture("shapes", version, build), &[]);
        check(version, &mut shapes);
        shapes.send("quit");
    }
}

fn by_kind(groups: &[Group]) -> BTreeMap<(String, String), u64> {
    let mut kinds = BTreeMap::new();
    for group in groups {
        *kinds
            .entry((group.status.clone(), group.created_by.clone()))
            .or_default() += group.count;
    }
    kinds
}

#[test]
fn a_settled_program_tells_the_same_memstats_twice() {
    with_each_shapes(Build::Exe, |version, shapes| {
        let (stats, ()) = shapes.undisturbed(|_| ());
        assert!(
            stats.mem("HeapAlloc") > 0 && stats.mem("Sys") > stats.mem("HeapSys"),
            "Go {version}"
        );
    });
}

#[test]
fn a_settled_program_tells_the_same_memstats_after_every_command() {
    with_each_shapes(Build::Exe, |_, shapes| {
        for command in ["gc", "garbage 20", "settle", "spawn 100", "procs 6", "free-os"] {
            shapes.settle(command);
            shapes.undisturbed(|_| ());
        }
    });
}

#[test]
fn every_advertised_wait_reason_is_in_the_profile() {
    with_each_shapes(Build::Exe, |version, shapes| {
        let stats = shapes.stats();
        let mut expected = by_kind(&stats.blocked());
        expected.insert(("running".to_owned(), String::new()), 1);
        assert_eq!(by_kind(&stats.goroutines()), expected, "Go {version}");
        assert_eq!(stats.num_goroutine(), expected.values().sum::<u64>(), "Go {version}");
    });
}

#[test]
fn idle_and_released_memory_is_there_and_stays() {
    with_each_shapes(Build::Exe, |version, shapes| {
        let stats = shapes.stats();
        let (idle, released) = (
            stats.mem("HeapIdle") - stats.mem("HeapReleased"),
            stats.mem("HeapReleased"),
        );
        let shape = |name: &str| stats.shape()[name].as_u64().unwrap();
        // The scavenger rounds to pages of 64 KiB and the page caches keep a little.
        assert!(
            idle + (1 << 20) > shape("idle_bytes"),
            "Go {version}: {idle} bytes idle"
        );
        assert!(
            released >= shape("released_bytes"),
            "Go {version}: {released} bytes released"
        );
        assert_eq!(stats.gomaxprocs(), 4, "Go {version}");
    });
}

#[test]
fn commands_do_what_they_say() {
    with_each_shapes(Build::Exe, |version, shapes| {
        let before = shapes.stats();
        shapes.settle("spawn 1000");
        let spawned = shapes.stats();
        let by_spawn = |s: &Stats| {
            s.goroutines()
                .iter()
                .filter(|g| g.created_by.ends_with(".spawn"))
                .map(|g| g.count)
                .sum::<u64>()
        };
        assert_eq!((by_spawn(&before), by_spawn(&spawned)), (0, 1000), "Go {version}");
        shapes.settle("garbage 16");
        let garbage = shapes.stats();
        assert!(
            garbage.mem("HeapAlloc") >= spawned.mem("HeapAlloc") + (16 << 20),
            "Go {version}"
        );
        assert_eq!(garbage.mem("NumGC"), spawned.mem("NumGC"), "Go {version}");
        shapes.settle("gc");
        let collected = shapes.stats();
        assert!(
            collected.mem("HeapAlloc") + (16 << 20) <= garbage.mem("HeapAlloc"),
            "Go {version}"
        );
        shapes.settle("procs 2");
        assert_eq!(shapes.stats().gomaxprocs(), 2, "Go {version}");
        shapes.settle("free-os");
        let freed = shapes.stats();
        assert!(
            freed.mem("HeapReleased") > collected.mem("HeapReleased"),
            "Go {version}"
        );
    });
}

#[test]
fn position_independent_and_cgo_programs_settle_too() {
    for build in [Build::Pie, Build::Cgo] {
        with_each_shapes(build, |version, shapes| {
            let (stats, ()) = shapes.undisturbed(|_| ());
            let c_heap = stats.shape()["c_heap_bytes"].as_u64().unwrap();
            assert_eq!(c_heap > 0, build == Build::Cgo, "Go {version}");
            let mut expected = by_kind(&stats.blocked());
            expected.insert(("running".to_owned(), String::new()), 1);
            assert_eq!(by_kind(&stats.goroutines()), expected, "Go {version}, {build}");
        });
    }
}

#[test]
fn churn_makes_progress_in_every_loop() {
    for (version, build) in all_versions().zip(Build::MATRIX.into_iter().cycle()) {
        let mut churn = Running::start(&fixture("churn", version, build), &["-procs", "3"]);
        let loops = |churn: &mut Running| -> BTreeMap<String, u64> {
            serde_json::from_value(churn.send("progress")["loops"].clone()).unwrap()
        };
        let start = loops(&mut churn);
        assert_eq!(start.len(), 11, "Go {version}, {build}");
        let progressed = |now: &BTreeMap<String, u64>| start.iter().all(|(name, rounds)| now[name] > *rounds);
        // Each question is a round trip through the busy process; the bound is far above what it takes.
        assert!(
            (0..1_000_000).any(|_| progressed(&loops(&mut churn))),
            "Go {version}, {build}: {start:?}"
        );
        assert_eq!(churn.stats().gomaxprocs(), 3, "Go {version}, {build}");
    }
}

#[test]
fn hello_survives_the_end_of_its_input() {
    let mut hello = Running::start(&fixture("hello", GoVersion::V1_26, Build::Exe), &[]);
    hello.close_stdin();
    assert!(hello.is_alive());
}
