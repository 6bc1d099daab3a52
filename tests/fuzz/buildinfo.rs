//! Build information, version strings, and what a file is called that is no Go program.

use std::fs::File;
use std::path::PathBuf;

use gomemscan::image::{BuildInfo, Elf, ExeFile, GoModule, GoVersion, Image};

use super::edits::Base;
use super::harness::Target;
use crate::support::fixtures::{Build, GoVersion as Release, fixture};

#[test]
fn buildinfo() {
    let base = |version, build| {
        let base = Base::of(&fixture("shapes", version, build));
        base.with_sections(|name| name == ".go.buildinfo")
            .with_sections(|name| name.starts_with(".note") || name == ".shstrtab" || name == ".gopclntab")
    };
    // The inline form and the pointers of 1.17 lie in the same section.
    let bases = [
        base(Release::V1_27, Build::Stripped),
        base(Release::V1_19, Build::StrippedPie),
        base(Release::V1_26, Build::StrippedCShared),
    ];
    let target = Target {
        name: "buildinfo",
        runs: 6000,
        longest: 4096,
    };
    target.run(|input| {
        let Some((&how, rest)) = input.split_first() else {
            return;
        };
        let base = &bases[usize::from(how >> 2) % bases.len()];
        match how & 3 {
            0 => base.edited(rest, look),
            1 => {
                // The build information as a whole.
                let part = base.parts[3].start..base.bytes().len() as u64;
                base.overwritten(&part, rest, look);
            }
            _ => version(&String::from_utf8_lossy(rest)),
        }
    });
}

fn version(text: &str) {
    if let Some(version) = GoVersion::parse(text) {
        version.at_least(1, 19);
        // What a vendor added is not repeated; what is left is a version too.
        assert!(
            GoVersion::parse(&format!("go{version}")).is_some(),
            "{text:?} is shown as {version}"
        );
    }
}

fn look(file: File) {
    let path = PathBuf::from("/srv/fuzzed");
    GoModule::probe(file.try_clone().unwrap(), path.clone());
    let exe = ExeFile::new(file.try_clone().unwrap(), path.clone()).unwrap();
    let Ok(elf) = Elf::parse(&exe) else { return };
    if let Some(build) = BuildInfo::read(&elf, &exe) {
        build.setting("-buildmode");
        build.cgo_enabled();
        build.has_experiment("greenteagc");
        version(&build.go_version);
    }
    if let Ok(image) = Image::open(file, path) {
        let _ = format!("{:?}", image.kind_of_program());
        image.unknown_magic();
    }
}
