//! Debug information: its index, units, shapes of types, in plain and compressed sections.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use gomemscan::goruntime::globals::Globals;
use gomemscan::goruntime::layout::Layout;
use gomemscan::goruntime::variants::Variant;
use gomemscan::image::types::TypeSource;
use gomemscan::image::{Arch, DebugInfo, Elf, ExeFile};
use memchr::memmem;

use super::container::{self, COMPRESSED};
use super::edits::Base;
use super::harness::Target;
use crate::support::fixtures::{Build, GoVersion, fixture};

/// The sections that are read.
const SECTIONS: [&str; 6] = [
    ".debug_abbrev",
    ".debug_info",
    ".debug_addr",
    ".debug_str",
    ".debug_str_offsets",
    ".debug_line_str",
];

#[test]
fn dwarf() {
    let bases = [
        plain(GoVersion::V1_27, false),
        plain(GoVersion::V1_21, false),
        plain(GoVersion::V1_26, true),
    ];
    let target = Target {
        name: "dwarf",
        runs: 1000,
        longest: 4096,
    };
    target.run(|input| {
        let Some((&which, rest)) = input.split_first() else {
            return;
        };
        match bases.get(usize::from(which)) {
            Some(base) => base.edited(rest, look),
            None => whole(which, rest),
        }
    });
}

/// Debug information that is all input: abbreviations, entries, strings, in sections of any kind.
fn whole(how: u8, input: &[u8]) {
    let Some((&[a, b], rest)) = input.split_first_chunk() else {
        return;
    };
    let (abbrevs, rest) = rest.split_at(usize::from(a) * 2 % (rest.len() + 1));
    let (strings, info) = rest.split_at(usize::from(b) % (rest.len() + 1));
    let packed = match how & 3 {
        0 => info.to_vec(),
        1 => compressed(info, info.len() as u64),
        // It claims another size than it has.
        2 => compressed(info, u64::from(how) << 20),
        _ => [
            &[
                1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
            ],
            info,
        ]
        .concat(),
    };
    let flags = if how & 3 == 0 { 0 } else { COMPRESSED };
    let bytes = container::elf(&[
        (".debug_abbrev", 0, abbrevs),
        (".debug_info", flags, &packed),
        (".debug_str", 0, strings),
        (".debug_line_str", 0, strings),
        (".debug_str_offsets", 0, strings),
        (".debug_addr", 0, strings),
    ]);
    let mut file = tempfile::tempfile_in("/dev/shm")
        .or_else(|_| tempfile::tempfile())
        .unwrap();
    file.write_all(&bytes).unwrap();
    look(file);
}

/// The fixture's debug information alone, so that edits reach what is under compression; `packed` leaves all but the
/// largest section compressed.
fn plain(version: GoVersion, packed: bool) -> Base {
    let file = File::open(fixture("shapes", version, Build::Exe)).unwrap();
    let exe = ExeFile::new(file, PathBuf::from("base")).unwrap();
    let elf = Elf::parse(&exe).unwrap();
    let mut parts = Vec::new();
    for name in SECTIONS {
        let Some(section) = elf.section(name) else { continue };
        let mut bytes = elf.read_section(&exe, section).unwrap();
        if section.compressed() {
            let mut inflated = Vec::new();
            ZlibDecoder::new(&bytes[24..]).read_to_end(&mut inflated).unwrap();
            bytes = inflated;
        }
        if packed && name != ".debug_info" {
            let size = bytes.len() as u64;
            bytes = compressed(&bytes, size);
            parts.push((name, COMPRESSED, bytes));
        } else {
            parts.push((name, 0, bytes));
        }
    }
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, flags, bytes)| (*name, *flags, &bytes[..]))
        .collect();
    let mut base = Base::of_bytes(container::elf(&parts)).with_sections(|name| name != ".debug_info");
    let bytes = base.bytes();
    let around = |name: &[u8]| {
        let found = memmem::find_iter(bytes, name).take(4);
        found.map(|at| at as u64 - 4..at as u64 + 160).collect::<Vec<_>>()
    };
    let names: [&[u8]; 9] = [
        b"runtime\0",
        b"\0runtime.mheap\0",
        b"\0runtime.mspan\0",
        b"\0runtime.g\0",
        b"\0runtime.p\0",
        b"\0runtime.mheap_\0",
        b"\0runtime.allgs\0",
        b"\0runtime.pageAlloc\0",
        b"\0runtime.mcentral\0",
    ];
    let windows: Vec<_> = names.iter().flat_map(|name| around(name)).collect();
    base.parts.extend(windows);
    let whole = base.sections(|name| name == ".debug_info");
    base.parts.extend(whole);
    base
}

fn compressed(bytes: &[u8], claimed: u64) -> Vec<u8> {
    let mut header = vec![1, 0, 0, 0, 0, 0, 0, 0];
    header.extend(claimed.to_le_bytes());
    header.extend(1u64.to_le_bytes());
    let mut encoder = ZlibEncoder::new(header, Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn look(file: File) {
    let exe = ExeFile::new(file, PathBuf::from("/srv/fuzzed")).unwrap();
    let Ok(elf) = Elf::parse(&exe) else { return };
    let debug = match DebugInfo::read(Arc::new(elf), &exe) {
        Ok(debug) => debug,
        Err(why) => {
            assert!(!why.to_string().is_empty());
            return;
        }
    };
    assert!(debug.warnings().len() < 10);
    let _ = Layout::resolve(&debug);
    Variant::of(27, Arch::Amd64, &debug);
    let _ = Globals::resolve(&debug, 0x1000);
    for (root, path) in [
        ("runtime.mheap", "pages.inUse.ranges.len"),
        ("runtime.g", "goid"),
        ("runtime.mspan", "allocBits[]"),
        ("&runtime.mheap_", "central[].mcentral.partial[]"),
    ] {
        debug.field(root, path);
        debug.field_names(root, "");
        debug.size_of(root);
    }
    if let Some(at) = debug.global("runtime.mheap_") {
        debug.variable_at(at.wrapping_add(24));
    }
}
