//! Binaries from which more was taken than their debug information, and releases that the tables do not have: real
//! programs, changed after they were linked, run and compared with what they say about themselves.

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

use serde_json::Value;
use support::figures::{goroutines_equal, identities_hold, ledger_adds_up, memstats_equal};
use support::fixtures::{Build, GoVersion, fixture};
use support::process::{Running, copy_program};
use support::scan::{Scan, scan};
use tempfile::TempDir;

/// A fixture's binary to be changed.
struct Changed {
    _folder: TempDir,
    path: PathBuf,
}

impl Changed {
    fn of(version: GoVersion, build: Build) -> Changed {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shapes");
        fs::copy(fixture("shapes", version, build), &path).unwrap();
        Changed { _folder: folder, path }
    }

    /// The changed program, to be run.
    fn program(&self) -> PathBuf {
        let program = self.path.with_extension("run");
        copy_program(&self.path, &program);
        program
    }

    fn bytes(self, change: impl FnOnce(&mut [u8])) -> Changed {
        let mut bytes = fs::read(&self.path).unwrap();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
        self
    }

    /// Every occurrence of `old` becomes `new`, which is as long.
    fn replace(self, old: &[u8], new: &[u8]) -> Changed {
        assert_eq!(old.len(), new.len());
        self.bytes(|bytes| {
            let places: Vec<usize> = memchr::memmem::find_iter(bytes, old).collect();
            assert!(
                !places.is_empty(),
                "{} is not in the binary",
                String::from_utf8_lossy(old)
            );
            for at in places {
                bytes[at..at + new.len()].copy_from_slice(new);
            }
        })
    }

    fn strip(self) -> Changed {
        let done = Command::new("strip").arg("--strip-all").arg(&self.path).output();
        let done = done.expect("binutils are installed, as part of a C compiler");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        self
    }

    /// Without the table of sections: e_shoff, e_shnum and e_shstrndx are zero.
    fn without_sections(self) -> Changed {
        self.bytes(|bytes| {
            bytes[0x28..0x30].fill(0);
            bytes[0x3c..0x40].fill(0);
        })
    }

    fn without_build_info(self) -> Changed {
        self.replace(b"\xff Go buildinf:", &[0; 14])
    }
}

/// Runs `program` and compares all that it says of itself with what a scan says.
fn as_exact_as_ever(program: &Path, context: &str) -> Scan {
    let mut shapes = Running::start(program, &[]);
    let (own, scanned) = shapes.undisturbed(|pid| scan(pid, &[]));
    memstats_equal(&scanned, &own, context);
    identities_hold(&scanned, context);
    goroutines_equal(&scanned, &own, context);
    ledger_adds_up(&scanned, context);
    shapes.send("quit");
    scanned
}

fn layout(scanned: &Scan) -> (&str, &str, &str) {
    let text = |pointer: &str| scanned.at(pointer).as_str().unwrap();
    let [source, release, confidence] =
        ["source", "release", "confidence"].map(|name| format!("/capture/layout/{name}"));
    // Leaked: each is a word that lives as long as the test.
    let [source, release, confidence] = [source, release, confidence].map(|p| &*p.leak());
    (text(source), text(release), text(confidence))
}

fn warnings(scanned: &Scan) -> Vec<&str> {
    let list = scanned.list("/warnings").iter();
    list.map(|warning| warning["message"].as_str().unwrap()).collect()
}

#[test]
fn stripped_after_linking() {
    for (version, build) in [
        (GoVersion::V1_19, Build::Exe),
        (GoVersion::V1_24, Build::Pie),
        (GoVersion::V1_27, Build::Cgo),
    ] {
        let changed = Changed::of(version, build).strip();
        let scanned = as_exact_as_ever(&changed.program(), &format!("Go {version}, {build}, strip"));
        let release = format!("go{}", version.release());
        assert_eq!(layout(&scanned), ("embedded", release.as_str(), "high"));
        assert_eq!(scanned.at("/capture/symbols"), "recovered");
    }
}

#[test]
fn without_section_headers() {
    for (version, build) in [
        (GoVersion::V1_19, Build::StrippedPie),
        (GoVersion::V1_22, Build::StrippedCgo),
        (GoVersion::V1_25, Build::StrippedPie),
        (GoVersion::V1_27, Build::StrippedPie),
        (GoVersion::V1_27, Build::Stripped),
    ] {
        let changed = Changed::of(version, build).without_sections();
        let scanned = as_exact_as_ever(&changed.program(), &format!("Go {version}, {build}, no sections"));
        let release = format!("go{}", version.release());
        assert_eq!(layout(&scanned), ("embedded", release.as_str(), "high"));
    }
}

#[test]
fn without_build_info_the_release_is_in_the_data() {
    for version in [GoVersion::V1_19, GoVersion::V1_26] {
        let changed = Changed::of(version, Build::StrippedPie).without_build_info();
        let scanned = as_exact_as_ever(&changed.program(), &format!("Go {version}, no build info"));
        let release = format!("go{}", version.release());
        assert_eq!(layout(&scanned), ("embedded", release.as_str(), "high"));
        assert_eq!(scanned.at("/process/go_version"), release.as_str());
    }
}

/// Neither build information nor `runtime.buildVersion`: the functions tell the minor release, the accounts the rest.
#[test]
fn a_release_that_is_not_named_is_recognised() {
    for version in [GoVersion::V1_19, GoVersion::V1_23, GoVersion::V1_27] {
        let release = format!("go{}", version.release());
        let changed = Changed::of(version, Build::Stripped)
            .without_build_info()
            .replace(release.as_bytes(), &b"x".repeat(release.len()));
        let scanned = as_exact_as_ever(&changed.program(), &format!("Go {version}, not named"));
        let (source, found, confidence) = layout(&scanned);
        assert_eq!((source, confidence), ("embedded", "low"));
        assert!(found.starts_with(&format!("go{version}")), "{found}");
        assert!(
            warnings(&scanned)
                .iter()
                .any(|text| text.contains("does not say which Go"))
        );
        assert_eq!(scanned.at("/process/go_version"), &Value::Null);
    }
}

#[test]
fn an_unknown_patch_release_is_read_by_its_neighbours() {
    let changed = Changed::of(GoVersion::V1_24, Build::Stripped).replace(b"go1.24.11", b"go1.24.99");
    let scanned = as_exact_as_ever(&changed.program(), "go1.24.99");
    let (source, release, confidence) = layout(&scanned);
    assert_eq!((source, confidence), ("embedded", "medium"));
    assert!(release.contains("1.24"), "{release}");
    assert!(warnings(&scanned).iter().any(|text| text.contains("1.24.99")));
}

#[test]
fn a_newer_release_is_read_with_a_warning_when_everything_agrees() {
    let changed = Changed::of(GoVersion::V1_27, Build::Stripped).replace(b"go1.27.3", b"go1.28.3");
    let scanned = as_exact_as_ever(&changed.program(), "go1.28.3");
    let (source, _, confidence) = layout(&scanned);
    assert_eq!((source, confidence), ("embedded", "low"));
    assert!(
        warnings(&scanned)
            .iter()
            .any(|text| text.contains("newer than Go 1.27"))
    );
}

#[test]
fn a_newer_release_that_differs_is_refused_with_what_does_not_fit() {
    let changed = Changed::of(GoVersion::V1_21, Build::Stripped).replace(b"go1.21.13", b"go1.28.13");
    let shapes = Running::start(&changed.program(), &[]);
    let output = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        .args(["attach", &shapes.pid().to_string()])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(stderr.contains("has no debug information"), "{stderr}");
    assert!(
        stderr.contains("does not fit") || stderr.contains("does not tell enough"),
        "{stderr}"
    );
    assert!(stderr.contains("--debug-file"), "{stderr}");
}

/// Debug information that cannot be read costs a warning, not the report.
#[test]
fn damaged_debug_information_is_done_without() {
    let changed = Changed::of(GoVersion::V1_26, Build::Exe).bytes(|bytes| {
        // The compressed content of .debug_info begins behind a header of 24 bytes that says "zlib".
        let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
        let section = object::Object::section_by_name(&elf, ".debug_info").unwrap();
        let (at, len) = object::ObjectSection::file_range(&section)
            .or_else(|| {
                object::ObjectSection::compressed_file_range(&section)
                    .ok()
                    .map(|r| (r.offset, r.uncompressed_size))
            })
            .unwrap();
        assert!(len > 0);
        bytes[at as usize + 24..at as usize + 64].fill(0xff);
    });
    let scanned = as_exact_as_ever(&changed.program(), "damaged .debug_info");
    assert_eq!(layout(&scanned), ("embedded", "go1.26.6", "high"));
    assert!(
        warnings(&scanned)
            .iter()
            .any(|text| text.contains("debug information cannot be read")),
        "{:?}",
        warnings(&scanned)
    );
}
