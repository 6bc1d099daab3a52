//! Separate debug files: where the debug information of a stripped binary may lie, and whether a file is of the very same
//! link.
//!
//! The names are those that GDB looks for and `objcopy` and distributions write: by GNU build id, and by the name in
//! `.gnu_debuglink`. A file that is there is not yet the right one: the build ids must agree, or where there are none,
//! its checksum, or the layout of the program.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Image;
use super::bytes::{cstr_at, u32_at};
use super::dwarf::DebugInfo;
use super::elf::{Elf, text};
use super::file::ExeFile;

/// A place where the debug file of a binary may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugFilePlace {
    /// Absolute path below some root directory.
    pub path: PathBuf,
    /// The checksum that the binary names for it.
    pub crc: Option<u32>,
}

/// Why a debug file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotUsed {
    /// It is of another build; says in what it differs.
    OtherBuild(String),
    /// It cannot be read, or has no debug information of the Go runtime.
    Useless(String),
}

impl fmt::Display for NotUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotUsed::OtherBuild(why) => write!(f, "it is not of the same build: {why}"),
            NotUsed::Useless(why) => f.write_str(why),
        }
    }
}

const DEBUG_ROOT: &str = "/usr/lib/debug";
/// Longest `.gnu_debuglink` section, bytes: a file name, padding, four bytes.
const MAX_LINK: u64 = 4 << 10;
/// Largest file whose checksum is computed, bytes; a second of reading at most.
const MAX_CRC: u64 = 1 << 30;
const CHUNK: usize = 1 << 20;

impl Image {
    /// Where its debug information may lie, the likeliest first.
    pub fn debug_file_places(&self) -> Vec<DebugFilePlace> {
        let mut places = Vec::new();
        let id = self.elf.gnu_build_id.as_deref().unwrap_or_default();
        if let Some((folder, name)) = id.split_at_checked(2).filter(|(_, name)| !name.is_empty()) {
            places.push(DebugFilePlace {
                path: Path::new(DEBUG_ROOT).join(format!(".build-id/{folder}/{name}.debug")),
                crc: None,
            });
        }
        if let Some((name, crc)) = debug_link(&self.elf, &self.file)
            && let Some(folder) = folder_of(self.path())
        {
            let below = folder.strip_prefix("/").unwrap_or(&folder);
            for folder in [folder.clone(), folder.join(".debug"), Path::new(DEBUG_ROOT).join(below)] {
                let path = folder.join(&name);
                places.push(DebugFilePlace { path, crc: Some(crc) });
            }
        }
        places
    }

    /// Takes the debug information from `file`, if it belongs to this binary: what it then says of types and addresses
    /// holds for the binary. `crc` is the checksum that the binary names for it.
    pub fn use_debug_file(&mut self, file: File, path: PathBuf, crc: Option<u32>) -> Result<(), NotUsed> {
        let useless = |error: crate::error::Error| NotUsed::Useless(error.to_string());
        let file = ExeFile::new(file, path).map_err(useless)?;
        let elf = Arc::new(Elf::parse(&file).map_err(useless)?);
        same_build(&self.elf, &elf, &file, crc)?;
        let debug = DebugInfo::read(elf.clone(), &file).map_err(|why| {
            let supplement = match elf.section(".gnu_debugaltlink") {
                Some(_) => "; a part of it was moved to another file (dwz), which is not read",
                None => "",
            };
            NotUsed::Useless(format!("{why}{supplement}"))
        })?;
        self.warnings.extend(debug.warnings());
        self.debug = Ok(debug);
        self.debug_file = Some(file.path().to_owned());
        Ok(())
    }
}

/// Whether `debug` was split off the result of the link that made `elf`.
fn same_build(elf: &Elf, debug: &Elf, file: &ExeFile, crc: Option<u32>) -> Result<(), NotUsed> {
    let differs = |what: &str, theirs: &str, ours: &str| {
        Err(NotUsed::OtherBuild(format!(
            "its {what} is {theirs}, that of the program is {ours}"
        )))
    };
    for (what, ours, theirs) in [
        ("GNU build id", &elf.gnu_build_id, &debug.gnu_build_id),
        ("Go build id", &elf.go_build_id, &debug.go_build_id),
    ] {
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours == theirs => return Ok(()),
            (Some(ours), Some(theirs)) => return differs(what, theirs, ours),
            _ => {}
        }
    }
    if let Some(wanted) = crc.filter(|_| file.size() <= MAX_CRC) {
        let found = checksum(file).map_err(NotUsed::Useless)?;
        return match found == wanted {
            true => Ok(()),
            false => differs("checksum", &format!("{found:08x}"), &format!("{wanted:08x}")),
        };
    }
    let layout = |elf: &Elf| {
        let segments = elf
            .segments
            .iter()
            .map(|s| (s.vaddr, s.memsz, s.writable, s.executable));
        let code = elf.section(".text").map(|code| (code.addr, code.size));
        (elf.arch, segments.collect::<Vec<_>>(), code)
    };
    match layout(elf) == layout(debug) {
        true => Ok(()),
        false => Err(NotUsed::OtherBuild("its segments lie at other addresses".into())),
    }
}

fn checksum(file: &ExeFile) -> Result<u32, String> {
    let mut hasher = crc32fast::Hasher::new();
    let mut stream = file.stream(0, file.size()).map_err(|error| error.to_string())?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(read) => hasher.update(chunk.get(..read).unwrap_or_default()),
            Err(error) => return Err(format!("{}: {error}", file.path().display())),
        }
    }
}

/// The file name and the checksum in `.gnu_debuglink`. A name that leads out of its directory is none.
fn debug_link(elf: &Elf, file: &ExeFile) -> Option<(String, u32)> {
    let section = elf.section(".gnu_debuglink").filter(|section| section.in_file())?;
    let data = file.read(section.offset, section.size.min(MAX_LINK)).ok()?;
    let name = cstr_at(&data, 0)?;
    let crc = u32_at(&data, (name.len() + 1).next_multiple_of(4))?;
    let plain = !name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..";
    plain.then(|| (text(name), crc))
}

/// The directory of an absolute path without detours.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let direct = |component| matches!(component, Component::RootDir | Component::Normal(_));
    (folder.is_absolute() && folder.components().all(direct)).then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::elf::Section;
    use super::super::elf::tests::image;
    use super::super::file::tests::exe;
    use super::*;

    fn linked(name: &[u8]) -> Option<(String, u32)> {
        let mut data = name.to_vec();
        data.push(0);
        data.resize(data.len().next_multiple_of(4), 0);
        data.extend(0x1234_5678u32.to_le_bytes());
        let file = exe(&image(&data));
        let mut elf = Elf::parse(&file).unwrap();
        elf.sections.push(Section {
            name: ".gnu_debuglink".into(),
            kind: 1,
            flags: 0,
            addr: 0,
            offset: 0x1000,
            size: data.len() as u64,
        });
        debug_link(&elf, &file)
    }

    #[test]
    fn a_link_names_a_file_in_the_same_directory_only() {
        assert_eq!(linked(b"a.debug"), Some(("a.debug".into(), 0x1234_5678)));
        assert_eq!(linked(b"abc"), Some(("abc".into(), 0x1234_5678)));
        for name in [&b"../../etc/shadow"[..], b"/etc/shadow", b"..", b"."] {
            assert_eq!(linked(name), None);
        }
    }

    #[test]
    fn a_link_without_a_checksum_is_none() {
        let file = exe(&image(b"abcdefg"));
        let mut elf = Elf::parse(&file).unwrap();
        for (offset, size) in [(0x1000, 7), (0x1000, 0), (u64::MAX, 9)] {
            elf.sections = vec![Section {
                name: ".gnu_debuglink".into(),
                kind: 1,
                flags: 0,
                addr: 0,
                offset,
                size,
            }];
            assert_eq!(debug_link(&elf, &file), None);
        }
    }

    #[test]
    fn only_direct_absolute_directories_are_searched() {
        assert_eq!(folder_of(Path::new("/srv/app")), Some(PathBuf::from("/srv")));
        assert_eq!(folder_of(Path::new("srv/app")), None);
        assert_eq!(folder_of(Path::new("/srv/../etc/app")), None);
        assert_eq!(folder_of(Path::new("/")), None);
    }

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(checksum(&exe(b"123456789")), Ok(0xcbf4_3926));
    }

    #[test]
    fn build_ids_decide_before_checksum_and_layout() {
        let file = exe(&image(b"123456789"));
        let plain = Elf::parse(&file).unwrap();
        let with = |gnu: Option<&str>, go: Option<&str>| Elf {
            gnu_build_id: gnu.map(str::to_owned),
            go_build_id: go.map(str::to_owned),
            ..plain.clone()
        };
        let same = |ours: &Elf, theirs: &Elf, crc| same_build(ours, theirs, &file, crc).is_ok();
        assert!(same(&with(Some("a"), Some("x")), &with(Some("a"), Some("y")), Some(1)));
        assert!(!same(&with(Some("a"), Some("x")), &with(Some("b"), Some("x")), None));
        assert!(same(&with(None, Some("x")), &with(Some("b"), Some("x")), Some(1)));
        assert!(!same(&with(Some("a"), None), &plain, Some(1)));
        assert!(same(&with(Some("a"), None), &plain, Some(checksum(&file).unwrap())));
        assert!(same(&plain, &plain, None));
        let mut moved = plain.clone();
        moved.segments[0].vaddr += 0x1000;
        assert!(!same(&plain, &moved, None));
    }
}
