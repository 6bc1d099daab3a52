//! The build information that Go's linker leaves in every program (`debug/buildinfo`, section `.go.buildinfo`):
//! toolchain version, main module, build settings.
//!
//! Finding it is what makes a file a Go program for us. Without sections the writable segments are searched for its
//! magic, as `go version` does.

use super::bytes::{u8_at, u64_at, uvarint_at};
use super::elf::{Elf, text};
use super::file::ExeFile;
use super::version::{GoVersion, experiments};

/// What the program says about how it was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The toolchain's version as written ("go1.26.8", "go1.25.5 X:greenteagc").
    pub go_version: String,
    /// The same, parsed; `None` when it names no release.
    pub version: Option<GoVersion>,
    /// Import path of the main package.
    pub main_package: Option<String>,
    /// Path of the main module.
    pub main_module: Option<String>,
    /// Version of the main module ("(devel)", "v1.2.3").
    pub main_version: Option<String>,
    /// Build settings in their order ("CGO_ENABLED", "-ldflags", "vcs.revision", "DefaultGODEBUG", ...).
    pub settings: Vec<(String, String)>,
    /// Experiments that differ from the version's defaults, from the version string and the `GOEXPERIMENT` setting.
    pub experiments: Vec<String>,
}

const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGN: usize = 16;
const HEADER_LEN: usize = 32;
const FLAG_BIG_ENDIAN: u8 = 1;
const FLAG_INLINE: u8 = 2;
/// Longest version and module text taken; the real ones are tens of bytes and tens of kilobytes.
const MAX_VERSION: u64 = 4 << 10;
const MAX_MODULES: u64 = 8 << 20;
/// How far writable segments are searched in a file without sections.
const MAX_SEARCH: u64 = 256 << 20;
const CHUNK: u64 = 1 << 20;

impl BuildInfo {
    /// Reads the build information; `None` when there is none, which means that Go's linker did not make this file.
    pub fn read(elf: &Elf, file: &ExeFile) -> Option<BuildInfo> {
        BuildInfo::read_within(elf, file, MAX_SEARCH)
    }

    /// The same, with at most `search` bytes of data searched in a file without sections.
    pub(super) fn read_within(elf: &Elf, file: &ExeFile, search: u64) -> Option<BuildInfo> {
        let offset = locate(elf, file, search)?;
        let head = file.read(offset, HEADER_LEN as u64).ok()?;
        let flags = u8_at(&head, MAGIC.len() + 1)?;
        let (version, modules) = if flags & FLAG_INLINE != 0 {
            let (version, next) = inline_string(file, offset.checked_add(HEADER_LEN as u64)?, MAX_VERSION)?;
            let modules = inline_string(file, next, MAX_MODULES)
                .map(|(m, _)| m)
                .unwrap_or_default();
            (version, modules)
        } else if flags & FLAG_BIG_ENDIAN != 0 {
            return None;
        } else {
            // Before 1.18: pointers to two string headers. Zero on disk in a position-independent executable.
            let version = pointed_string(elf, file, u64_at(&head, 16)?, MAX_VERSION);
            let modules = pointed_string(elf, file, u64_at(&head, 24)?, MAX_MODULES).unwrap_or_default();
            (version.unwrap_or_else(|| b"before go1.18".to_vec()), modules)
        };
        Some(BuildInfo::from_texts(
            &text(&version),
            &text(without_sentinels(&modules)),
        ))
    }

    /// Value of build setting `key`.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whether cgo was enabled; `None` when the build does not say.
    pub fn cgo_enabled(&self) -> Option<bool> {
        self.setting("CGO_ENABLED").map(|v| v == "1")
    }

    /// Whether the build used the experiment called `name`.
    pub fn has_experiment(&self, name: &str) -> bool {
        self.experiments.iter().any(|e| e == name)
    }

    fn from_texts(go_version: &str, modules: &str) -> BuildInfo {
        let version = GoVersion::parse(go_version);
        let mut info = BuildInfo {
            go_version: go_version.to_owned(),
            experiments: version.as_ref().map(|v| v.experiments.clone()).unwrap_or_default(),
            version,
            main_package: None,
            main_module: None,
            main_version: None,
            settings: Vec::new(),
        };
        for line in modules.lines() {
            let mut words = line.split('\t');
            match words.next() {
                Some("path") => info.main_package = words.next().map(str::to_owned),
                Some("mod") => {
                    info.main_module = words.next().map(str::to_owned);
                    info.main_version = words.next().filter(|v| !v.is_empty()).map(str::to_owned);
                }
                Some("build") => info.settings.extend(words.next().and_then(setting)),
                _ => {}
            }
        }
        for name in info.setting("GOEXPERIMENT").map(experiments).unwrap_or_default() {
            if !info.has_experiment(&name) {
                info.experiments.push(name);
            }
        }
        info
    }
}

/// File offset of the build information.
fn locate(elf: &Elf, file: &ExeFile, search: u64) -> Option<u64> {
    if let Some(section) = elf.section(".go.buildinfo").filter(|s| s.in_file() && s.size > 0) {
        let len = section.size.min(CHUNK);
        let bytes = file.read(section.offset, len).ok()?;
        if let Some(at) = find_magic(&bytes) {
            return section.offset.checked_add(at as u64);
        }
    }
    let mut budget = search;
    elf.segments
        .iter()
        .filter(|s| s.writable && !s.executable)
        .find_map(|s| {
            let len = s.filesz.min(file.size().saturating_sub(s.offset)).min(budget);
            budget -= len;
            let mut at = 0;
            while at < len {
                // One header of overlap, so that a header across two chunks is seen whole.
                let bytes = file
                    .read(s.offset.checked_add(at)?, (CHUNK + HEADER_LEN as u64).min(len - at))
                    .ok()?;
                if let Some(found) = find_magic(&bytes) {
                    return s.offset.checked_add(at)?.checked_add(found as u64);
                }
                at += CHUNK;
            }
            None
        })
}

/// Offset of the first aligned header in `bytes`.
fn find_magic(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(bytes, MAGIC).find(|at| at % ALIGN == 0 && at + HEADER_LEN <= bytes.len())
}

/// A varint length and that many bytes at file offset `at`; with the offset behind them.
fn inline_string(file: &ExeFile, at: u64, most: u64) -> Option<(Vec<u8>, u64)> {
    let head = file.read(at, 10.min(file.size().checked_sub(at)?)).ok()?;
    let (len, used) = uvarint_at(&head, 0)?;
    let start = at.checked_add(used as u64)?;
    if len > most {
        return None;
    }
    Some((file.read(start, len).ok()?, start.checked_add(len)?))
}

/// The Go string whose header is at `header`.
fn pointed_string(elf: &Elf, file: &ExeFile, header: u64, most: u64) -> Option<Vec<u8>> {
    let header = elf.read_vaddr(file, header, 16).ok()?;
    let (ptr, len) = (u64_at(&header, 0)?, u64_at(&header, 8)?);
    if len == 0 || len > most {
        return None;
    }
    elf.read_vaddr(file, ptr, len).ok()
}

/// The module text lies between two 16-byte marks, so that it can be found in memory.
fn without_sentinels(modules: &[u8]) -> &[u8] {
    match modules.len().checked_sub(17).and_then(|at| modules.get(at)) {
        Some(b'\n') => modules.get(16..modules.len() - 16).unwrap_or_default(),
        _ => &[],
    }
}

/// "key=value", either of them quoted as Go does when it must.
fn setting(text: &str) -> Option<(String, String)> {
    let (key, rest) = word(text, '=')?;
    let rest = rest.strip_prefix('=')?;
    let (value, _) = word(rest, '\n')?;
    Some((key, value))
}

/// A bare word up to `end`, or a quoted one; and what follows it.
fn word(text: &str, end: char) -> Option<(String, &str)> {
    if let Some(body) = text.strip_prefix('`') {
        let (raw, rest) = body.split_once('`')?;
        return Some((raw.to_owned(), rest));
    }
    let Some(body) = text.strip_prefix('"') else {
        let at = text.find(end).unwrap_or(text.len());
        return text.split_at_checked(at).map(|(w, rest)| (w.to_owned(), rest));
    };
    let mut out = String::new();
    let mut chars = body.chars();
    loop {
        match chars.next()? {
            '"' => return Some((out, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                c @ ('"' | '\\') => out.push(c),
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::exe;
    use super::*;

    const MODULES: &str = "path\texample.com/cmd/srv\nmod\texample.com\tv1.2.3\th1:abc=\ndep\tother\tv1\n\
        build\tCGO_ENABLED=1\nbuild\t-ldflags=\"-s -w \\\"x\\\"\"\nbuild\tGOEXPERIMENT=foo,bar\nbuild\tbroken\n";

    #[test]
    fn module_lines_become_settings() {
        let info = BuildInfo::from_texts("go1.25.5 X:foo", MODULES);
        assert_eq!(info.main_package.as_deref(), Some("example.com/cmd/srv"));
        assert_eq!(info.main_module.as_deref(), Some("example.com"));
        assert_eq!(info.main_version.as_deref(), Some("v1.2.3"));
        assert_eq!(info.cgo_enabled(), Some(true));
        assert_eq!(info.setting("-ldflags"), Some("-s -w \"x\""));
        assert_eq!(info.experiments, ["foo", "bar"]);
        assert_eq!(info.settings.len(), 3);
    }

    /// An executable with one writable segment that holds `data` at file offset 0x1000, address 0x401000.
    fn program(data: &[u8]) -> (Elf, ExeFile) {
        let file = exe(&super::super::elf::tests::image(data));
        (Elf::parse(&file).unwrap(), file)
    }

    fn inline(version: &[u8], modules: &[u8]) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        data.extend([8, FLAG_INLINE]);
        data.resize(HEADER_LEN, 0);
        for part in [version, modules] {
            assert!(part.len() < 128);
            data.push(part.len() as u8);
            data.extend(part);
        }
        data
    }

    #[test]
    fn found_in_a_file_without_sections() {
        let mut data = vec![0x55; 48];
        data.extend(inline(b"go1.26.8", b""));
        let (elf, file) = program(&data);
        let info = BuildInfo::read(&elf, &file).unwrap();
        assert_eq!(info.go_version, "go1.26.8");
        assert_eq!(info.version.unwrap().minor, 26);
    }

    #[test]
    fn an_unaligned_magic_is_just_a_string() {
        let mut data = vec![0x55; 40];
        data.extend(inline(b"go1.26.8", b""));
        let (elf, file) = program(&data);
        assert_eq!(BuildInfo::read(&elf, &file), None);
    }

    #[test]
    fn lengths_beyond_the_file_are_refused() {
        let mut data = MAGIC.to_vec();
        data.extend([8, FLAG_INLINE]);
        data.resize(HEADER_LEN, 0);
        data.extend([0xff, 0xff, 0xff, 0x7f]);
        let (elf, file) = program(&data);
        assert_eq!(BuildInfo::read(&elf, &file), None);
        data.truncate(HEADER_LEN - 1);
        let (elf, file) = program(&data);
        assert_eq!(BuildInfo::read(&elf, &file), None);
    }

    #[test]
    fn the_pointer_form_of_old_programs_still_gives_the_version() {
        let mut data = MAGIC.to_vec();
        data.extend([8, 0]);
        data.extend(0x40_1020u64.to_le_bytes()); // version string header
        data.extend(0u64.to_le_bytes());
        data.extend(0x40_1030u64.to_le_bytes());
        data.extend(8u64.to_le_bytes());
        data.extend(b"go1.17.1");
        let (elf, file) = program(&data);
        let info = BuildInfo::read(&elf, &file).unwrap();
        assert_eq!(info.version.map(|v| v.minor), Some(17));
        // Position independent: the pointers are filled in by relocations.
        let mut data = MAGIC.to_vec();
        data.extend([8, 0]);
        data.resize(HEADER_LEN, 0);
        let (elf, file) = program(&data);
        assert_eq!(BuildInfo::read(&elf, &file).unwrap().go_version, "before go1.18");
    }
}
