//! ELF headers, sections, notes and symbols, and what a first look at any file of a process does.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use gomemscan::goruntime::globals::Globals;
use gomemscan::image::{Elf, ExeFile, GoModule, Image, symtab};

use super::edits::Base;
use super::harness::Target;
use crate::support::fixtures::{Build, GoVersion, fixture};

/// Sections read whole at most, bytes.
const SMALL: u64 = 1 << 16;

#[test]
fn elf() {
    let base = |version, build| {
        let base = Base::of(&fixture("shapes", version, build));
        base.with_sections(|name| {
            name.starts_with(".note")
                || matches!(
                    name,
                    ".symtab" | ".strtab" | ".shstrtab" | ".dynamic" | ".dynstr" | ".go.buildinfo"
                )
        })
    };
    let bases = [
        base(GoVersion::V1_24, Build::WithoutDwarf),
        base(GoVersion::V1_26, Build::StrippedCgo),
        base(GoVersion::V1_27, Build::StrippedCShared),
    ];
    let target = Target {
        name: "elf",
        runs: 6000,
        longest: 4096,
    };
    target.run(|input| {
        let Some((&which, rest)) = input.split_first() else {
            return;
        };
        match bases.get(usize::from(which)) {
            Some(base) => base.edited(rest, look),
            // A whole file.
            None => {
                let mut file = tempfile::tempfile_in("/dev/shm")
                    .or_else(|_| tempfile::tempfile())
                    .unwrap();
                file.write_all(rest).unwrap();
                look(file);
            }
        }
    });
}

fn look(file: File) {
    let path = PathBuf::from("/srv/fuzzed");
    let again = file.try_clone().unwrap();
    GoModule::probe(file.try_clone().unwrap(), path.clone());
    let exe = ExeFile::new(file, path.clone()).unwrap();
    let Ok(elf) = Elf::parse(&exe) else { return };
    for section in elf.sections.iter().filter(|section| section.size < SMALL).take(64) {
        if let Ok(bytes) = elf.read_section(&exe, section) {
            assert!(bytes.len() as u64 <= exe.size());
        }
    }
    for segment in elf.segments.iter().take(64) {
        for at in [
            segment.vaddr,
            segment.vaddr.wrapping_add(segment.filesz).wrapping_sub(8),
        ] {
            if let Ok(bytes) = elf.read_vaddr(&exe, at, 16) {
                assert_eq!(bytes.len(), 16);
            }
        }
    }
    let names: HashSet<&str> = Globals::names().collect();
    if let Ok(found) = symtab::addresses(&elf, &exe, &names) {
        assert!(found.len() <= names.len());
    }
    if let Ok(image) = Image::open(again, path) {
        image.kind_of_program();
        image.unknown_magic();
        image.debug_file_places();
    }
}
