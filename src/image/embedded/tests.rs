//! A small table of two structures in four releases, and the table that is compiled in.

use super::*;
use crate::image::GoVersion;
use crate::image::elf::Arch::{Amd64, Arm64};
use crate::image::types::{FieldLoc, TypeSource};

const SMALL: &str = "\
# A comment.

structure runtime.a
fields one two
fields three
shape 32 0 8/4 16[2x8]
shape 40 8 - 24[2x8]
shape 48 8 16 32[2x8]
structure runtime.b
shape -
shape 16
constants runtime._Ga runtime._Gb
values 1 -2
values 1 -

layout 0 0 0
layout 1 0 0
layout 1 1 0
layout 2 1 1
layout 1 1 1
layout 2 0 0

built 1.20 amd64 - 0
built 1.20 amd64 x 1
between 1.20.1 amd64 - 0
built 1.20.2 amd64 - 0
built 1.20.3 amd64 - 1
built 1.20.4 amd64 - 2
built 1.21.0 amd64 - 3
built 1.21.0 amd64 nox 2
built 1.21.0 arm64 - 4
built 1.21.1 amd64 - 0
built 1.21.1 amd64 p 1
built 1.21.1 amd64 q 2
built 1.21.1 amd64 r 5

unknown 1.21.1 amd64 y
refused z

marker runtime.old 20 20
marker runtime.new 21 21
marker runtime.newer 21 21
";

fn small() -> &'static Releases {
    Box::leak(Box::new(Releases::parse(SMALL).unwrap()))
}

fn exact(version: &str) -> Option<LayoutId> {
    let version = GoVersion::parse(version).unwrap();
    small().exact(&version, Amd64, &version.experiments)
}

fn labels(layouts: &[LayoutId]) -> Vec<String> {
    layouts.iter().map(LayoutId::label).collect()
}

#[test]
fn a_layout_answers_like_debug_information() {
    let types = exact("go1.20").unwrap().types();
    assert_eq!(types.size_of("runtime.a"), Some(32));
    let (offset, size) = (8, 4);
    let two = FieldLoc {
        offset,
        size,
        array: None,
    };
    assert_eq!(types.field("runtime.a", "two"), Some(two));
    let three = types.field("runtime.a", "three").unwrap();
    assert_eq!((three.offset, three.size, three.array), (16, 16, Some((2, 8))));
    assert_eq!((types.size_of("runtime.b"), types.size_of("runtime.c")), (None, None));
    assert_eq!(types.constant("runtime._Gb"), Some(-2));
    assert_eq!(types.global("runtime.mheap_"), None);
    let types = types.with_globals([("runtime.mheap_".to_owned(), 0x1000)]);
    assert_eq!(types.global("runtime.mheap_"), Some(0x1000));
}

#[test]
fn not_there_is_an_answer_and_never_asked_is_none() {
    let types = exact("go1.20.3").unwrap().types();
    assert_eq!(types.field("runtime.a", "two"), None);
    assert!(types.has_answer("runtime.a", "two") && types.has_answer("runtime.b", "field"));
    assert!(!types.has_answer("runtime.a", "four") && !types.has_answer("runtime.c", ""));
    assert!(types.has_answer_about_constant("runtime._Gb") && !types.has_answer_about_constant("runtime._Gc"));
}

#[test]
fn a_release_is_found_by_its_version_string() {
    let found = exact("go1.20").unwrap();
    assert_eq!(found.label(), "go1.20 to go1.20.2, go1.21.1");
    assert_eq!(
        (found.release.to_string().as_str(), found.basis),
        ("1.20", Basis::Built)
    );
    assert_eq!(exact("go1.20.1-vendor").unwrap().basis, Basis::Between);
    assert_eq!(exact("go1.21.0").unwrap().label(), "go1.21.0");
    for unknown in [
        "go1.21",
        "go1.20.9",
        "go1.22.0",
        "go1.21rc1",
        "devel go1.20-abc",
        "go2.20",
    ] {
        assert!(exact(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn experiments_choose_and_those_that_move_nothing_are_ignored() {
    let found = exact("go1.20 X:x,boringcrypto").unwrap();
    assert_eq!(
        (found.label(), found.basis),
        ("go1.20, go1.20.3 with x".into(), Basis::Built)
    );
    assert_eq!(found.types().size_of("runtime.a"), Some(40));
    assert!(exact("go1.20-X:boringcrypto").unwrap().experiments.is_empty());
}

#[test]
fn experiments_together_are_composed_unless_they_contradict() {
    let found = exact("go1.21.1 X:p,q").unwrap();
    assert_eq!(found.basis, Basis::Combined);
    let types = found.types();
    assert_eq!(
        (types.size_of("runtime.a"), types.size_of("runtime.b")),
        (Some(40), Some(16))
    );
    assert!(exact("go1.21.1 X:p,r").is_none());
}

#[test]
fn an_experiment_that_moves_nobody_knows_what_is_not_taken_for_one_that_moves_nothing() {
    assert!(exact("go1.21.1 X:z").is_none() && exact("go1.21.1 X:y").is_none());
    assert!(exact("go1.21.0 X:y").is_some());
}

#[test]
fn an_unknown_patch_release_tries_its_nearest_neighbours_first() {
    let candidates = |patch| labels(&small().candidates(Some(20), patch, Amd64, Some(&[])));
    let all = ["go1.20.4", "go1.20.3", "go1.20 to go1.20.2, go1.21.1"];
    assert_eq!(candidates(Some(9)), all);
    assert_eq!(candidates(None), all);
    assert_eq!(
        candidates(Some(3)),
        ["go1.20.3", "go1.20.4", "go1.20 to go1.20.2, go1.21.1"]
    );
}

#[test]
fn a_newer_minor_release_tries_the_newest_and_an_unknown_one_tries_all() {
    let candidates = |minor, arch| labels(&small().candidates(minor, Some(7), arch, Some(&[])));
    assert_eq!(
        candidates(Some(30), Amd64),
        ["go1.20 to go1.20.2, go1.21.1", "go1.21.0"]
    );
    assert_eq!(candidates(Some(21), Arm64), ["go1.21.0"]);
    assert!(candidates(Some(19), Amd64).is_empty());
    let all = small().candidates(None, None, Amd64, None);
    assert_eq!(labels(&all)[..2], ["go1.20 to go1.20.2, go1.21.1", "go1.21.0"]);
    // Where experiments are unknown, the one structure that only an experiment has comes last.
    assert_eq!(all.last().unwrap().experiments, ["r"]);
    assert_eq!(all.len(), 5);
}

#[test]
fn functions_tell_the_minor_release() {
    let of = |there: &[&str], magic| small().fingerprint(&|name| there.contains(&name), magic);
    assert_eq!(of(&["runtime.old"], 0xffff_fff1), [20]);
    assert_eq!(of(&["runtime.new"], 0xffff_fff1), [21]);
    assert_eq!(of(&["runtime.old", "runtime.new"], 0xffff_fff1), [20]);
    assert!(of(&[], 0xffff_fff1).is_empty());
    assert!(of(&["runtime.old"], 0xffff_fff0).is_empty());
}

#[test]
fn a_line_that_is_none_is_named() {
    for bad in [
        "nonsense",
        "fields a",
        "structure a\nlayout 1",
        "built 1.20 amd64 - 0",
        "marker a 1",
    ] {
        let text = Box::leak(format!("# head\n{bad}\n").into_boxed_str());
        let error = Releases::parse(text).unwrap_err();
        assert!(error.to_string().starts_with("line "), "{error}");
    }
}

#[test]
fn the_table_that_is_compiled_in_is_whole() {
    let table = Releases::parse(TEXT).unwrap();
    assert!(TEXT.len() < 300_000, "{} bytes", TEXT.len());
    let minors: Vec<_> = (19..=27).collect();
    let mut known: Vec<_> = table.known().iter().map(|release| release.minor).collect();
    known.dedup();
    assert_eq!(known, minors);
    let table = Releases::load();
    for row in &table.rows {
        let types = EmbeddedTypes::new(table, table.shapes_of(row).unwrap());
        assert!(
            types.is_some_and(|types| types.size_of("runtime.mheap").is_some()),
            "{row:?}"
        );
    }
}
