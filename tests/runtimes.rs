//! Which of a process's files holds the Go runtime: libraries in programs of other languages, several runtimes at once,
//! plugins, and files that are gone from where they were.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::fixtures::{Build, GoVersion, fixture};
use support::host::{linked_host, loading_host};
use support::process::{Running, Stats};
use support::scan::{Scan, scan};

fn library(version: GoVersion) -> String {
    text(&fixture("shapes", version, Build::CShared))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What the report says of runtimes: index, count and file.
fn runtime(scanned: &Scan) -> (u64, u64, String) {
    let module = scanned.at("/process/runtime/module").as_str().unwrap();
    (
        scanned.int("/process/runtime/index"),
        scanned.int("/process/runtime/count"),
        module.to_owned(),
    )
}

fn is_whole(scanned: &Scan, context: &str) {
    assert_eq!(scanned.code, 0, "{context}: {}", scanned.stderr);
    assert!(
        scanned.failed_checks().is_empty(),
        "{context}: {:#?}",
        scanned.failed_checks()
    );
}

fn memory_equals(scanned: &Scan, own: &Stats, context: &str) {
    for field in [
        "Sys",
        "HeapAlloc",
        "Mallocs",
        "HeapIdle",
        "HeapReleased",
        "OtherSys",
        "NumGC",
    ] {
        assert_eq!(
            scanned.int(&format!("/memstats/{field}")),
            own.mem(field),
            "{context}: {field}"
        );
    }
}

fn warnings(scanned: &Scan) -> String {
    scanned.at("/warnings").to_string()
}

#[test]
fn an_executable_is_its_own_only_runtime() {
    for build in [Build::Exe, Build::Cgo] {
        let program = fixture("shapes", GoVersion::V1_26, build);
        let shapes = Running::start(&program, &[]);
        let scanned = scan(shapes.pid(), &[]);
        assert_eq!(runtime(&scanned), (0, 1, text(&program)));
        assert_eq!(warnings(&scanned), "[]");
    }
}

#[test]
fn a_library_that_was_linked_is_found_as_one_that_was_loaded() {
    for version in [GoVersion::V1_19, GoVersion::V1_27] {
        let library = library(version);
        let host = linked_host(Path::new(&library));
        let mut shapes = Running::start(&host, &[]);
        let (own, scanned) = shapes.undisturbed(|pid| scan(pid, &[]));
        is_whole(&scanned, &library);
        memory_equals(&scanned, &own, &library);
        assert_eq!(runtime(&scanned), (0, 1, library));
        assert_eq!(scanned.at("/process/exe"), &text(&host));
    }
}

#[test]
fn each_of_two_libraries_is_read_when_it_is_asked_for() {
    let (first, second) = (library(GoVersion::V1_25), library(GoVersion::V1_26));
    let mut shapes = Running::start(&loading_host(), &[&first, &second]);
    let (own, scans) = shapes.undisturbed(|pid| ["0", "1"].map(|index| scan(pid, &["--runtime", index])));
    let mut seen = scans.iter().map(runtime).collect::<Vec<_>>();
    for scanned in &scans {
        let (index, count, module) = runtime(scanned);
        is_whole(scanned, &module);
        assert_eq!(count, 2);
        let version = if module == first { "go1.25" } else { "go1.26" };
        assert!(scanned.at("/process/go_version").as_str().unwrap().starts_with(version));
        let (other, option) = if module == first {
            (&second, 1 - index)
        } else {
            (&first, 1 - index)
        };
        let told = format!("{other} (--runtime {option})");
        assert!(warnings(scanned).contains(&told), "{}", warnings(scanned));
        // Only the first was told to build something; the other one is as it was loaded.
        match module == first {
            true => memory_equals(scanned, &own, &module),
            false => assert!(scanned.int("/memstats/HeapAlloc") < 1 << 20),
        }
    }
    seen.sort_by_key(|(_, _, module)| *module != first);
    assert_eq!(
        seen.into_iter().map(|(_, _, module)| module).collect::<Vec<_>>(),
        [first, second]
    );
    let refused = attach(shapes.pid(), &["--runtime", "2"]);
    assert_eq!(refused.0, 2, "{}", refused.1);
    assert!(refused.1.contains("--runtime 1)"), "{}", refused.1);
}

#[test]
fn a_go_program_comes_before_the_libraries_it_loads_and_plugins_do_not_count() {
    for version in [GoVersion::V1_19, GoVersion::V1_24, GoVersion::V1_27] {
        let program = fixture("loader", version, Build::Cgo);
        let (library, addon) = (library(version), text(&fixture("addon", version, Build::Plugin)));
        let mut loader = Running::start(&program, &["-library", &library, "-plugin", &addon]);
        let context = format!("Go {version}");
        let (own, scanned) = loader.undisturbed(|pid| scan(pid, &[]));
        is_whole(&scanned, &context);
        memory_equals(&scanned, &own, &context);
        // What the plugin keeps is in its host's heap.
        assert!(own.mem("HeapAlloc") > 4 << 20, "{context}");
        assert_eq!(runtime(&scanned), (0, 2, text(&program)), "{context}");
        let scanned = scan(loader.pid(), &["--runtime", "1"]);
        is_whole(&scanned, &context);
        assert_eq!(runtime(&scanned), (1, 2, library), "{context}");

        let loader = Running::start(&program, &["-plugin", &addon]);
        assert_eq!(runtime(&scan(loader.pid(), &[])), (0, 1, text(&program)), "{context}");
    }
}

/// An upgrade of a package replaces libraries under running programs. Only `/proc/PID/map_files` leads to the old one,
/// and it asks for a capability.
#[test]
fn a_library_that_was_replaced_is_not_mistaken_for_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.so");
    fs::copy(library(GoVersion::V1_26), &path).unwrap();
    let mut shapes = Running::start(&loading_host(), &[path.to_str().unwrap()]);
    let successor = folder.path().join("successor");
    fs::copy(library(GoVersion::V1_19), &successor).unwrap();
    fs::rename(&successor, &path).unwrap();
    let (code, stderr) = attach(shapes.pid(), &[]);
    if code == 4 {
        assert!(stderr.contains("CAP_CHECKPOINT_RESTORE"), "{stderr}");
        assert!(stderr.contains("library.so"), "{stderr}");
        return;
    }
    let (own, scanned) = shapes.undisturbed(|pid| scan(pid, &[]));
    is_whole(&scanned, "replaced library");
    memory_equals(&scanned, &own, "replaced library");
    assert!(
        scanned
            .at("/process/go_version")
            .as_str()
            .unwrap()
            .starts_with("go1.26")
    );
}

fn attach(pid: u32, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(["attach", &pid.to_string(), "-q", "--max-pause", "20s"])
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), stderr)
}
