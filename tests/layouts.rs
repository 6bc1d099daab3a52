//! The embedded tables of runtime layouts: whole for what the readers ask, and the same as the debug information of
//! programs they were not made from. If a test here fails after a change of a layout, run
//! `cargo run --release --example layouts`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use gomemscan::goruntime::variants::{NEWEST_MINOR, OLDEST_MINOR};
use gomemscan::image::embedded::{EmbeddedTypes, Releases};
use gomemscan::image::types::TypeSource;
use gomemscan::image::{Arch, Image, recover};
use support::fixtures::{Build, all_versions, fixture};
use support::recorder::{Question, read_all};
use support::symbols::function_table;

fn open(path: &Path) -> Image {
    Image::open(File::open(path).unwrap(), path.to_owned()).unwrap()
}

fn has_answer(types: &EmbeddedTypes, question: &Question) -> bool {
    match question {
        Question::Size(root) => types.has_answer(root, ""),
        Question::Field(root, path) => types.has_answer(root, path),
        Question::Constant(name) => types.has_answer_about_constant(name),
    }
}

#[test]
fn every_release_in_the_table_answers_all_that_the_readers_ask() {
    let table = Releases::load();
    let mut rows = 0;
    for release in table.known() {
        for arch in [Arch::Amd64, Arch::Arm64] {
            let experiments = table.experiments(release, arch).into_iter().map(Some);
            for experiment in [None].into_iter().chain(experiments) {
                let name = format!("go{release} {} {experiment:?}", arch.goarch());
                let types = table.row(release, arch, experiment).expect(&name);
                let (questions, read) = read_all(&types, release.minor, arch);
                let unknown: Vec<_> = questions.iter().filter(|q| !has_answer(&types, q)).collect();
                assert!(unknown.is_empty(), "{name}: the table has no answer to {unknown:?}");
                for (root, path) in recover::queries() {
                    assert!(
                        types.has_answer(root, path),
                        "{name}: the table has no answer to {root} {path}"
                    );
                }
                read.unwrap_or_else(|error| panic!("{name}: {error}"));
                rows += 1;
            }
        }
    }
    assert!(rows > 2 * table.known().len(), "{rows} rows");
}

#[test]
fn every_minor_release_is_there() {
    let known = Releases::load().known();
    for minor in OLDEST_MINOR..=NEWEST_MINOR {
        assert!(known.iter().any(|release| release.minor == minor), "1.{minor}");
    }
}

#[test]
fn the_table_says_what_the_debug_information_of_every_fixture_says() {
    for version in all_versions() {
        for build in [Build::Exe, Build::Cgo] {
            let image = open(&fixture("shapes", version, build));
            let (info, debug) = (image.build.unwrap(), image.debug.unwrap());
            let found = Releases::load().exact(&info.version.unwrap(), image.elf.arch, &info.experiments);
            let types = found.expect("a fixture's release is in the table").types();
            let read = |types: &dyn TypeSource| read_all(types, version.minor(), image.elf.arch);
            assert_eq!(read(&types), read(&debug), "Go {version} {build}");
            for (root, path) in types.questions() {
                let answer = |types: &dyn TypeSource| match path {
                    "" => types.size_of(root).map(|size| (size, None)),
                    path => types.field(root, path).map(|loc| (loc.offset, Some(loc))),
                };
                assert_eq!(answer(&types), answer(&debug), "Go {version} {build}: {root} {path}");
            }
        }
    }
}

#[test]
fn functions_tell_the_minor_release_of_every_fixture() {
    for version in all_versions() {
        for (program, build) in [
            ("shapes", Build::Exe),
            ("churn", Build::Cgo),
            ("shapes", Build::StrippedPie),
        ] {
            let image = open(&fixture(program, version, build));
            let symbols = function_table(&image).unwrap();
            let markers: HashSet<&[u8]> = Releases::load().markers().map(str::as_bytes).collect();
            let there = symbols.functions_where(|name| markers.contains(name));
            let there: HashSet<&str> = there.iter().map(|function| &*function.name).collect();
            let minors = Releases::load().fingerprint(&|name| there.contains(name), symbols.magic());
            assert_eq!(minors, [version.minor()], "{program} {build}");
        }
    }
}
