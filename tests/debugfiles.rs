//! Debug information in a file of its own, as `objcopy` and distributions split it off: found by build id and by link,
//! given by hand, and refused when it is of another build.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::fixtures::{Build, GoVersion, fixture};
use support::process::{Running, copy_program};
use support::scan::{Scan, scan};
use tempfile::TempDir;

/// A stripped program and its debug file, in a directory of their own.
struct Split {
    folder: TempDir,
    program: PathBuf,
    debug: PathBuf,
}

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let out = Command::new(program).args(arguments).current_dir(folder).output();
    let out = out.unwrap_or_else(|error| panic!("cannot run {program} (it comes with a C compiler): {error}"));
    assert!(out.status.success(), "{program} {arguments:?}: {}", text(&out.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Splits `shapes` as a distribution does; `link` also names the debug file in the program.
fn split(version: GoVersion, build: Build, link: bool) -> Split {
    let folder = tempfile::tempdir().unwrap();
    let (program, debug) = (folder.path().join("shapes"), folder.path().join("shapes.debug"));
    copy_program(&fixture("shapes", version, build), &program);
    run(
        "objcopy",
        &["--only-keep-debug", "shapes", "shapes.debug"],
        folder.path(),
    );
    run("strip", &["--strip-all", "shapes"], folder.path());
    if link {
        run(
            "objcopy",
            &["--add-gnu-debuglink=shapes.debug", "shapes"],
            folder.path(),
        );
    }
    Split { folder, program, debug }
}

fn attach(pid: u32, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(["attach", &pid.to_string(), "--json", "--max-pause", "20s"])
        .args(arguments)
        .output()
        .unwrap();
    // What is told in the report when there is one, else on standard error.
    let told = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), told)
}

/// The report is from the debug file, whole, and equal to the program's own account.
fn reads_exactly(running: &mut Running, arguments: &[&str], context: &str) {
    let (own, scanned) = running.undisturbed(|pid| scan(pid, arguments));
    let scanned: Scan = scanned;
    assert_eq!(scanned.code, 0, "{context}: {}", scanned.stderr);
    assert_eq!(scanned.at("/capture/layout/source"), "debug-file", "{context}");
    assert!(
        scanned.failed_checks().is_empty(),
        "{context}: {:#?}",
        scanned.failed_checks()
    );
    assert_eq!(scanned.at("/warnings").to_string(), "[]", "{context}");
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

#[test]
fn a_link_is_followed_beside_the_program_and_below_it() {
    for (version, build) in [
        (GoVersion::V1_19, Build::Exe),
        (GoVersion::V1_23, Build::Pie),
        (GoVersion::V1_27, Build::Cgo),
    ] {
        let split = split(version, build, true);
        let mut shapes = Running::start(&split.program, &[]);
        let context = format!("Go {version}, {build}");
        reads_exactly(&mut shapes, &[], &context);
        let below = split.folder.path().join(".debug");
        fs::create_dir(&below).unwrap();
        fs::rename(&split.debug, below.join("shapes.debug")).unwrap();
        reads_exactly(&mut shapes, &[], &format!("{context}, .debug"));
    }
}

#[test]
fn a_debug_file_can_be_given() {
    let split = split(GoVersion::V1_25, Build::Exe, false);
    let mut shapes = Running::start(&split.program, &[]);
    reads_exactly(&mut shapes, &["--debug-file", split.debug.to_str().unwrap()], "given");
    // The unstripped program itself will do, and it is preferred to what the target has.
    let whole = fixture("shapes", GoVersion::V1_25, Build::Exe);
    let given = ["--debug-file", whole.to_str().unwrap()];
    reads_exactly(&mut shapes, &given, "unstripped program");
    reads_exactly(&mut Running::start(&whole, &[]), &given, "unstripped target");
}

/// In the target's root directory, which is not the host's.
#[test]
fn a_build_id_is_looked_up_in_the_targets_root() {
    let split = split(GoVersion::V1_26, Build::Exe, false);
    let notes = Command::new("readelf")
        .args(["-n", split.program.to_str().unwrap()])
        .output()
        .unwrap();
    let notes = text(&notes.stdout);
    let id = notes.split("Build ID: ").nth(1).expect("Go 1.26 writes a build id");
    let (first, rest) = id.split_whitespace().next().unwrap().split_at(2);
    let folder = split.folder.path().join("usr/lib/debug/.build-id").join(first);
    fs::create_dir_all(&folder).unwrap();
    fs::rename(&split.debug, folder.join(format!("{rest}.debug"))).unwrap();
    let root = split.folder.path().to_str().unwrap();
    let mut shapes = match nix::unistd::geteuid().is_root() {
        true => Running::start(Path::new("chroot"), &[root, "/shapes"]),
        false => Running::start(Path::new("unshare"), &["--map-root-user", "chroot", root, "/shapes"]),
    };
    reads_exactly(&mut shapes, &[], "build id");
}

#[test]
fn a_file_of_another_build_is_refused_when_given_and_passed_over_when_found() {
    let ours = split(GoVersion::V1_22, Build::Exe, true);
    let other = split(GoVersion::V1_21, Build::Exe, false);
    let shapes = Running::start(&ours.program, &[]);
    let (code, told) = attach(shapes.pid(), &["--debug-file", other.debug.to_str().unwrap()]);
    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains("not of the same build") && told.contains("build id"),
        "{told}"
    );
    for useless in [ours.program.as_path(), Path::new("/dev/null"), Path::new("Cargo.toml")] {
        let (code, told) = attach(shapes.pid(), &["--debug-file", useless.to_str().unwrap()]);
        assert_eq!(code, 2, "{}: {told}", useless.display());
    }
    let (code, told) = attach(shapes.pid(), &["--debug-file", "/nowhere/shapes.debug"]);
    assert_eq!(code, 7, "{told}");

    // Beside the program lies what is left of another build.
    fs::copy(&other.debug, &ours.debug).unwrap();
    let (_, told) = attach(shapes.pid(), &[]);
    assert!(
        told.contains("a debug file is not used") && told.contains("not of the same build"),
        "{told}"
    );
    assert!(!told.contains("debug-file\""), "{told}");
}
