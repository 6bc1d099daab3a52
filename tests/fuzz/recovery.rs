//! A program without symbols: its relocations, its module data, and the globals that its code refers to.

use std::fs::File;
use std::path::PathBuf;

use gomemscan::goruntime::locate::Runtime;
use gomemscan::image::{Elf, ExeFile, Image, Moduledata, Relocations};
use gomemscan::memory::Addr;

use super::edits::Base;
use super::harness::Target;
use crate::support::fixtures::{Build, GoVersion, fixture};

/// A file, and the offset and address that a process would have mapped it by.
struct Program {
    base: Base,
    anchor: (Addr, u64),
}

#[test]
fn recovery() {
    let programs = [
        program(GoVersion::V1_27, Build::Stripped),
        program(GoVersion::V1_24, Build::StrippedPie),
        program(GoVersion::V1_26, Build::StrippedCShared),
    ];
    let target = Target {
        name: "recovery",
        runs: 200,
        longest: 1024,
    };
    target.run(|input| {
        let Some((&which, rest)) = input.split_first() else {
            return;
        };
        let program = &programs[usize::from(which) % programs.len()];
        program.base.edited(rest, |file| look(file, program.anchor));
    });
}

fn program(version: GoVersion, build: Build) -> Program {
    let base = Base::of(&fixture("shapes", version, build)).with_sections(|name| {
        matches!(
            name,
            ".go.module" | ".noptrdata" | ".data" | ".dynamic" | ".go.buildinfo"
        ) || name.starts_with(".rela")
            || name.starts_with(".gopclntab")
            || name.starts_with(".data.rel.ro")
            || name == ".text"
    });
    let exe = ExeFile::new(base.file(), PathBuf::from("base")).unwrap();
    let elf = Elf::parse(&exe).unwrap();
    let mut base = base;
    let relocations = Relocations::new(&elf, &exe);
    let module = Moduledata::find(&elf, &exe, &relocations).unwrap().remove(0);
    for (addr, len) in [(module.addr, 640), (module.tables(&relocations, None).pc_header, 80)] {
        let at = elf.vaddr_to_offset(addr).unwrap().0;
        // Once more for each: they matter most.
        for _ in 0..3 {
            base.parts.push(at..at + len);
        }
    }
    let segment = elf.segments.iter().min_by_key(|segment| segment.offset).unwrap();
    let anchor = (Addr(0x5555_5555_0000 + segment.vaddr), segment.offset);
    Program { base, anchor }
}

fn look(file: File, anchor: (Addr, u64)) {
    let path = PathBuf::from("/srv/fuzzed");
    let exe = ExeFile::new(file.try_clone().unwrap(), path.clone()).unwrap();
    let Ok(elf) = Elf::parse(&exe) else { return };
    let relocations = Relocations::new(&elf, &exe);
    relocations.count();
    if let Ok(modules) = Moduledata::find(&elf, &exe, &relocations) {
        for module in modules.iter().take(4) {
            module.data();
            module.text();
            module.tables(&relocations, None);
        }
    }
    // Everything up to the question which candidate the running target agrees with.
    if let Ok(image) = Image::open(file, path) {
        match Runtime::locate(&image, anchor) {
            Ok(candidates) => assert!(candidates.len() < 100),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
