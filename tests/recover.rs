//! The runtime's variables found by code alone, against what debug information says of the same binary. The binaries
//! are read as if stripped: symbols and debug information only give the truth, and the offsets of fields.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use gomemscan::image::recover::{References, build_version, elect, queries, recover};
use gomemscan::image::types::TypeSource;
use gomemscan::image::{DebugInfo, Elf, ExeFile, FoundBy, Image, Moduledata, Relocations, SymbolTable};
use object::LittleEndian;
use object::elf::{FileHeader64, SHT_RELA};
use object::read::elf::{FileHeader, SectionHeader};
use support::fixtures::{Build, GoVersion, all_versions, fixture};

fn debug_info(path: &Path) -> DebugInfo {
    let image = Image::open(File::open(path).unwrap(), path.to_owned()).unwrap();
    image.debug.unwrap()
}

/// A file with `bytes`, to be read like any executable.
fn written(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Finds everything in `file` and compares with `truth`. Returns how the module was found.
fn check(file: File, what: &str, truth: &DebugInfo) -> FoundBy {
    let file = ExeFile::new(file, PathBuf::from(what)).unwrap();
    let elf = Elf::parse(&file).unwrap();
    let relocations = Relocations::new(&elf, &file);
    let modules = Moduledata::find(&elf, &file, &relocations).unwrap();
    let [module] = &modules[..] else {
        panic!("{what}: {} modules", modules.len());
    };
    assert_eq!(Some(module.addr), truth.global("runtime.firstmoduledata"), "{what}");
    let symbols = SymbolTable::new(&elf, &file, module.tables(&relocations, Some(truth))).unwrap();
    let recovered = recover(&elf, &file, &symbols, module, truth).unwrap();
    for evidence in recovered.all() {
        assert_eq!(evidence.address, truth.global(evidence.name), "{what}: {evidence:?}");
    }
    let agreement = recovered.agreement();
    assert!(agreement.votes > 150 && agreement.dissent <= 2, "{what}: {agreement:?}");
    let references = References::collect(&elf, &file, &symbols, module).unwrap();
    let version = build_version(&elf, &file, &relocations, &references).unwrap();
    assert_eq!(Some(version.address), truth.global("runtime.buildVersion"), "{what}");
    assert!(version.text.starts_with("go1."), "{what}: {}", version.text);
    module.found_by
}

/// `file` without its table of sections.
fn without_sections(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes[40..48].fill(0); // e_shoff
    bytes[58..64].fill(0); // e_shentsize, e_shnum, e_shstrndx
    bytes
}

/// A PIE as linkers leave it that write no addends in place: zeros where the loader puts pointers.
fn without_addends(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let mut places = Vec::new();
    {
        let header = FileHeader64::<LittleEndian>::parse(&*bytes).unwrap();
        let segments = header.program_headers(LittleEndian, &*bytes).unwrap();
        for section in header.sections(LittleEndian, &*bytes).unwrap().iter() {
            if section.sh_type(LittleEndian) != SHT_RELA {
                continue;
            }
            for entry in section.data(LittleEndian, &*bytes).unwrap().chunks_exact(24) {
                let addr = u64::from_le_bytes(entry[..8].try_into().unwrap());
                let inside = segments.iter().find_map(|s| {
                    let into = addr.checked_sub(s.p_vaddr.get(LittleEndian))?;
                    let there = s.p_type.get(LittleEndian) == object::elf::PT_LOAD;
                    (there && into < s.p_filesz.get(LittleEndian)).then(|| s.p_offset.get(LittleEndian) + into)
                });
                places.push(usize::try_from(inside.unwrap()).unwrap());
            }
        }
    }
    assert!(places.len() > 1000, "{} relocations", places.len());
    for at in places {
        bytes[at..at + 8].fill(0);
    }
    bytes
}

#[test]
fn every_fixture_gives_up_its_variables() {
    for version in all_versions() {
        for build in Build::MATRIX {
            let path = fixture("shapes", version, build);
            check(
                File::open(&path).unwrap(),
                &format!("Go {version}, {build}"),
                &debug_info(&path),
            );
        }
    }
}

#[test]
fn stripping_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (version, build) in all_versions().zip(Build::MATRIX.into_iter().cycle()) {
        let path = fixture("shapes", version, build);
        let truth = debug_info(&path);
        let stripped = dir.path().join("stripped");
        let mut strip = Command::new("strip");
        let status = strip.arg("--strip-all").arg("-o").arg(&stripped).arg(&path).status();
        assert!(status.expect("strip comes with the C compiler").success());
        let what = format!("Go {version}, {build}");
        check(File::open(&stripped).unwrap(), &format!("{what}, stripped"), &truth);
        let bare = written(&without_sections(&stripped));
        assert_eq!(
            check(bare, &format!("{what}, without sections"), &truth),
            FoundBy::Words
        );
    }
}

#[test]
fn what_the_linker_stripped_has_the_same_addresses() {
    let pairs = [
        (GoVersion::V1_27, Build::Exe, Build::Stripped),
        (GoVersion::V1_24, Build::Pie, Build::StrippedPie),
    ];
    for (version, whole, stripped) in pairs {
        let truth = debug_info(&fixture("shapes", version, whole));
        let path = fixture("shapes", version, stripped);
        check(File::open(&path).unwrap(), &format!("Go {version}, {stripped}"), &truth);
    }
}

#[test]
fn pointers_come_from_relocations_where_the_file_has_zeros() {
    for version in all_versions() {
        let path = fixture("shapes", version, Build::Pie);
        let file = written(&without_addends(&path));
        let found_by = check(file, &format!("Go {version}, zeros"), &debug_info(&path));
        let own_section = version >= GoVersion::V1_26;
        let expected = if own_section {
            FoundBy::Section
        } else {
            FoundBy::Relocations
        };
        assert_eq!(found_by, expected, "Go {version}");
    }
}

#[test]
fn the_layout_of_another_release_is_told_by_the_disagreement() {
    for (version, other) in [
        (GoVersion::V1_19, GoVersion::V1_21),
        (GoVersion::V1_22, GoVersion::V1_24),
        (GoVersion::V1_27, GoVersion::V1_25),
    ] {
        let path = fixture("shapes", version, Build::Exe);
        let right = debug_info(&path);
        let wrong = debug_info(&fixture("shapes", other, Build::Exe));
        let file = ExeFile::new(File::open(&path).unwrap(), path).unwrap();
        let elf = Elf::parse(&file).unwrap();
        let relocations = Relocations::new(&elf, &file);
        let module = Moduledata::find(&elf, &file, &relocations).unwrap().remove(0);
        let symbols = SymbolTable::new(&elf, &file, module.tables(&relocations, None)).unwrap();
        let references = References::collect(&elf, &file, &symbols, &module).unwrap();
        let with = |types: &DebugInfo| elect(&references, &module, types);
        let (fits, misfits) = (with(&right), with(&wrong));
        assert!(
            fits.agreement().dissent + 3 <= misfits.agreement().dissent,
            "Go {version} as {other}: {:?} {:?}",
            fits.agreement(),
            misfits.agreement()
        );
        for evidence in misfits.all().iter().filter(|e| e.address.is_some()) {
            assert_eq!(
                evidence.address,
                right.global(evidence.name),
                "Go {version} as {other}: {evidence:?}"
            );
        }
    }
}

#[test]
fn every_question_has_an_answer_in_some_release() {
    let layouts: Vec<DebugInfo> = all_versions()
        .map(|version| debug_info(&fixture("shapes", version, Build::Exe)))
        .collect();
    for (root, path) in queries() {
        let known = layouts.iter().any(|types| types.field(root, path).is_some());
        assert!(known, "no release has {root} {path}");
    }
}
