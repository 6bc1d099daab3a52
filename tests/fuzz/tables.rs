//! The choice of a layout by what a binary says of itself, the table it is chosen from, and links to debug files.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use gomemscan::image::embedded::Releases;
use gomemscan::image::types::TypeSource;
use gomemscan::image::{Arch, GoVersion, Image};

use super::container;
use super::harness::Target;

/// A table as the one that is compiled in, but small.
const TABLE: &str = "structure runtime.g\nfields goid sched.sp atomicstatus\nshape 400 8 56 144:4\nconstants runtime._Gidle\n\
                     values 0\nlayout 0 0\nbuilt 1.20 amd64 - 0\nbetween 1.20.1 amd64 - 0\nmarker runtime.x 20 27\n";

#[test]
fn tables() {
    let target = Target {
        name: "tables",
        runs: 6000,
        longest: 2048,
    };
    target.run(|input| {
        let Some((&how, rest)) = input.split_first() else {
            return;
        };
        match how % 4 {
            0 => choose(rest),
            1 => table(&String::from_utf8_lossy(rest)),
            2 => table(&[TABLE, &String::from_utf8_lossy(rest)].concat()),
            _ => links(rest),
        }
    });
}

/// A version, experiments and functions, one a line.
fn choose(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let version = lines.next().and_then(GoVersion::parse);
    let experiments: Vec<String> = lines.next().unwrap_or("").split(',').map(str::to_owned).collect();
    let functions: Vec<&str> = lines.take(50).collect();
    let releases = Releases::load();
    let magic = u32::from(input.first().copied().unwrap_or(0)) | 0xffff_ff00;
    let minors = releases.fingerprint(&|name| functions.contains(&name), magic);
    assert!(minors.len() < 64);
    for arch in [Arch::Amd64, Arch::Arm64] {
        if let Some(version) = &version {
            if let Some(layout) = releases.exact(version, arch, &experiments) {
                assert!(layout.types().size_of("runtime.mheap").is_some());
                assert!(!layout.label().is_empty());
            }
            let near = releases.candidates(Some(version.minor), version.patch, arch, Some(&experiments));
            assert!(near.len() < 500);
        }
    }
    releases.candidates(minors.first().copied(), None, Arch::Amd64, None);
}

/// A table that is not the one compiled in; `Releases` wants to live as long as the program.
fn table(text: &str) {
    // SAFETY: what borrows the text is dropped before it.
    let forever: &'static str = unsafe { std::mem::transmute::<&str, &'static str>(text) };
    let Ok(releases) = Releases::parse(forever) else { return };
    let releases = Box::new(releases);
    // SAFETY: the same; layouts that borrow the table are dropped before it.
    let whole: &'static Releases = unsafe { &*std::ptr::from_ref(releases.as_ref()) };
    for release in whole.known().into_iter().take(20) {
        whole.experiments(release, Arch::Amd64);
        if let Some(types) = whole.row(release, Arch::Amd64, None) {
            types.size_of("runtime.g");
            types.field("runtime.g", "goid");
            types.constant("runtime._Gidle");
            types.questions().count();
        }
    }
    for layout in whole.candidates(Some(20), Some(1), Arch::Amd64, None) {
        layout.label();
        layout.types().field("runtime.g", "sched.sp");
    }
    whole.fingerprint(&|_| true, 0xffff_fff1);
}

/// Two files: a binary with a link, an id and whatever else, and the one that claims to be its debug file.
fn links(input: &[u8]) {
    let mut parts = input.splitn(4, |&byte| byte == 0xfe);
    let mut part = || parts.next().unwrap_or_default();
    let (link, id, other_id, info) = (part(), part(), part(), part());
    let note = |id: &[u8]| [&[4, 0, 0, 0, id.len() as u8, 0, 0, 0, 3, 0, 0, 0], &b"GNU\0"[..], id].concat();
    let build = b"\xff Go buildinf:\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08go1.26.6\0";
    let binary = container::elf(&[
        (".gnu_debuglink", 0, link),
        (".note.gnu.build-id", 0, &note(id)),
        (".go.buildinfo", 0, build),
    ]);
    let debug = container::elf(&[
        (".note.gnu.build-id", 0, &note(other_id)),
        (".debug_abbrev", 0, info),
        (".debug_info", 0, info),
        (".gnu_debugaltlink", 0, info),
    ]);
    let Ok(mut image) = Image::open(file(&binary), PathBuf::from("/srv/../srv/fuzzed")) else {
        return;
    };
    let places = image.debug_file_places();
    assert!(places.len() < 10);
    for place in places {
        assert!(place.path.is_absolute(), "{}", place.path.display());
        let up = place
            .path
            .components()
            .any(|part| part == std::path::Component::ParentDir);
        assert!(!up, "{} leads out of its folder", place.path.display());
        let _ = image.use_debug_file(file(&debug), place.path, place.crc);
    }
    let _ = image.use_debug_file(file(&debug), PathBuf::from("/given"), None);
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile_in("/dev/shm")
        .or_else(|_| tempfile::tempfile())
        .unwrap();
    file.write_all(bytes).unwrap();
    file
}
