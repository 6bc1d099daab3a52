//! A quick look at a file that a process runs code from: whether Go's linker made it, and whether it brings a Go runtime
//! of its own.
//!
//! Executables and c-shared libraries do, and keep its symbols to themselves. Files that take part in Go's dynamic
//! linking share one runtime: a plugin (`-buildmode=plugin`) has a runtime in its file, but all its references lead to
//! the host's, so nothing is ever in it; a program built with `-linkshared` has none, and finds it in a library. They are
//! told by what the dynamic linker needs (cmd/link/internal/ld/symtab.go and lib.go, `DynlinkingGo`).

use std::fs::File;
use std::path::PathBuf;

use object::elf::{DT_STRSZ, DT_STRTAB};

use super::buildinfo::BuildInfo;
use super::bytes::u64_at;
use super::elf::Elf;
use super::file::ExeFile;

/// What a quick look tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoModule {
    /// The toolchain's version as written, when the file has build information.
    pub go_version: Option<String>,
    /// Where its runtime is.
    pub runtime: RuntimePlace,
}

/// Where the runtime is that a file's Go code runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimePlace {
    /// In the file, for its own use.
    Own,
    /// In the file, shared with those that are loaded later: a program that can open plugins, or a library made with
    /// `-buildmode=shared`.
    Exported,
    /// A plugin: in the file that loaded it.
    Host,
    /// A program or library built with `-linkshared`: in a library.
    Library,
}

/// Longest table of dynamic strings looked through, bytes.
const MAX_STRINGS: u64 = 64 << 20;
/// Longest dynamic section, bytes.
const MAX_DYNAMIC: u64 = 64 << 10;
/// How far the data of a file without sections is searched for build information, bytes.
const MAX_SEARCH: u64 = 4 << 20;

impl GoModule {
    /// Looks at `file`; `None` when Go's linker did not make it, or when it is no ELF file that can be read.
    pub fn probe(file: File, display_path: PathBuf) -> Option<GoModule> {
        let file = ExeFile::new(file, display_path).ok()?;
        GoModule::of(&Elf::parse(&file).ok()?, &file)
    }

    /// The same of a file whose headers are known.
    pub(super) fn of(elf: &Elf, file: &ExeFile) -> Option<GoModule> {
        let told = elf.has_go_note || elf.section(".go.buildinfo").is_some();
        // Thousands of libraries are not Go, and have sections that say so.
        if !told && !elf.sections.is_empty() {
            return None;
        }
        let build = BuildInfo::read_within(elf, file, MAX_SEARCH);
        if !told && build.is_none() {
            return None;
        }
        let strings = dynamic_strings(elf, file).unwrap_or_default();
        let has = |mark: &str| memchr::memmem::find(&strings, mark.as_bytes()).is_some();
        let mode = build.as_ref().and_then(|build| build.setting("-buildmode"));
        let exports = has("\0runtime.firstmoduledata\0");
        let runtime = match mode {
            Some("plugin") => RuntimePlace::Host,
            // Its references are bound within (DT_SYMBOLIC), even when it can open plugins.
            Some("c-shared") => RuntimePlace::Own,
            _ if exports => RuntimePlace::Exported,
            // "go.link.abihash.<library>" up to 1.19: the library that was linked against.
            _ if has("\0go:link.abihash.") || has("\0go.link.abihash.") => RuntimePlace::Library,
            _ => RuntimePlace::Own,
        };
        Some(GoModule {
            go_version: build.map(|build| build.go_version),
            runtime,
        })
    }
}

/// The strings of the dynamic symbol table: by its section, else as the loader finds them.
fn dynamic_strings(elf: &Elf, file: &ExeFile) -> Option<Vec<u8>> {
    if let Some(section) = elf.section(".dynstr").filter(|section| section.in_file()) {
        return file.read(section.offset, section.size.min(MAX_STRINGS)).ok();
    }
    let (offset, size) = elf.dynamic?;
    let table = file.read(offset, size.min(MAX_DYNAMIC)).ok()?;
    let value = |tag: u32| {
        let entry = table
            .chunks_exact(16)
            .find(|entry| u64_at(entry, 0) == Some(tag.into()))?;
        u64_at(entry, 8)
    };
    let len = value(DT_STRSZ)?.min(MAX_STRINGS);
    elf.read_vaddr(file, value(DT_STRTAB)?, len).ok()
}

#[cfg(test)]
mod tests {
    use super::super::elf::Section;
    use super::super::elf::tests::image;
    use super::super::file::tests::exe;
    use super::*;

    /// What is said of a file with a note of Go's linker and these dynamic strings.
    fn place(strings: &[u8]) -> Option<RuntimePlace> {
        let file = exe(&image(strings));
        let mut elf = Elf::parse(&file).unwrap();
        elf.has_go_note = true;
        let (offset, size) = (0x1000, strings.len() as u64);
        elf.sections.push(Section {
            name: ".dynstr".into(),
            kind: 3,
            flags: 0,
            addr: 0,
            offset,
            size,
        });
        GoModule::of(&elf, &file).map(|module| module.runtime)
    }

    #[test]
    fn dynamic_symbols_tell_whose_runtime_it_is() {
        assert_eq!(place(b"\0libc.so.6\0malloc\0"), Some(RuntimePlace::Own));
        assert_eq!(place(b"\0runtime.firstmoduledata\0"), Some(RuntimePlace::Exported));
        assert_eq!(
            place(b"\0go.link.abihash.libstd.so\0main.main\0"),
            Some(RuntimePlace::Library)
        );
        assert_eq!(place(b""), Some(RuntimePlace::Own));
    }

    #[test]
    fn a_file_with_sections_and_no_mark_is_not_go() {
        let file = exe(&image(b"\xff Go buildinf:\x08\x02"));
        let mut elf = Elf::parse(&file).unwrap();
        elf.sections.push(Section {
            name: ".text".into(),
            kind: 1,
            flags: 0,
            addr: 0,
            offset: 0,
            size: 0,
        });
        assert_eq!(GoModule::of(&elf, &file), None);
    }

    #[test]
    fn the_loaders_way_to_the_strings_needs_no_sections() {
        let mut data = Vec::new();
        for (tag, value) in [(u64::from(DT_STRTAB), 0x40_1040u64), (DT_STRSZ.into(), 26), (0, 0)] {
            data.extend(tag.to_le_bytes());
            data.extend(value.to_le_bytes());
        }
        data.resize(0x40, 0);
        data.extend(b"\0runtime.firstmoduledata\0\0");
        let file = exe(&image(&data));
        let mut elf = Elf::parse(&file).unwrap();
        elf.has_go_note = true;
        elf.dynamic = Some((0x1000, 0x40));
        let module = GoModule::of(&elf, &file).unwrap();
        assert_eq!(module.runtime, RuntimePlace::Exported);
        elf.dynamic = Some((u64::MAX, u64::MAX));
        assert_eq!(GoModule::of(&elf, &file).unwrap().runtime, RuntimePlace::Own);
    }
}
