//! The command as scripts see it: exit codes, streams, pipes. Nothing here needs a target.

#![allow(clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

fn gomemscan(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn schema_prints_the_committed_schema() {
    let output = gomemscan(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        include_str!("../src/report/schema/attach.schema.json")
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn each_command_has_its_schema() {
    let doctor = gomemscan(&["schema", "doctor"]);
    assert_eq!(
        text(&doctor.stdout),
        include_str!("../src/report/schema/doctor.schema.json")
    );
    assert_eq!(gomemscan(&["schema", "attach"]).stdout, gomemscan(&["schema"]).stdout);
}

#[test]
fn wrong_usage_is_2_on_standard_error_only() {
    for arguments in [
        &[][..],
        &["attach"],
        &["attach", "hub"],
        &["attach", "0"],
        &["attach", "-1"],
        &["attach", "1", "-p", "1"],
        &["attach", "1", "--json", "--format", "table"],
        &["attach", "1", "--no-pause", "--max-pause", "1s"],
        &["attach", "1", "--max-pause", "20"],
        &["attach", "1", "-o", "-"],
        &["doctor"],
        &["doctor", "0"],
        &["doctor", "1", "-p", "1"],
        &["doctor", "1", "--no-pause", "--max-pause", "1s"],
        &["doctor", "1", "-o", "x"],
        &["schema", "frobnicate"],
        &["frobnicate"],
        &["1234"],
    ] {
        let output = gomemscan(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    assert!(text(&gomemscan(&["1234"]).stderr).contains("gomemscan attach 1234"));
    assert!(text(&gomemscan(&["attach", "hub"]).stderr).contains("pgrep"));
}

#[test]
fn help_and_version_are_not_errors_and_help_names_the_exit_codes() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["attach", "--help"],
        &["attach", "-h"],
        &["doctor", "--help"],
    ] {
        let output = gomemscan(arguments);
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        assert!(
            help.contains("Exit codes:") && help.contains("8  the target went away"),
            "{help}"
        );
    }
    let version = gomemscan(&["--version"]);
    assert_eq!(
        text(&version.stdout),
        concat!("gomemscan ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_reader_who_leaves_is_not_an_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_full_disk_is_7() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let output = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .arg("schema")
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(text(&output.stderr).starts_with("gomemscan: cannot write standard output: "));
}

#[test]
fn closed_streams_do_not_make_it_panic() {
    let script = format!("{} schema >&- 2>&-; echo $?", env!("CARGO_BIN_EXE_gomemscan"));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stdout), "0\n");
}
