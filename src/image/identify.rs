//! What a program is when it is not one that Go's linker made, so that the refusal can name it.
//!
//! Judged by the libraries and symbols in its string tables, its compiler's comment and its name; the answer is for a
//! message only and may be wrong for a program that hides what it is.

use super::bytes::u32_at;
use super::elf::{Elf, text};
use super::file::ExeFile;

/// Where a mark is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Names of sections.
    Section,
    /// `.dynstr`: needed libraries, imported and exported symbols.
    Dynamic,
    /// `.strtab`: all symbols, unless stripped.
    Symbols,
    /// `.comment`: the compilers' marks.
    Comment,
    /// The first bytes of the file.
    Start,
    /// Any byte of a small file.
    Small,
    /// `.rodata`: texts of the program and its libraries.
    Texts,
    /// The file name, digits and dots at its end left out.
    Name,
}

/// What a program is that Go's linker did not make, or that does not say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramKind {
    /// A short phrase: "a Python interpreter (python3.11)".
    pub what: String,
    /// Whether it is nevertheless Go, or may be, and what then stands in the way.
    pub hindrance: Option<Hindrance>,
}

/// Why the runtime of what is or may be a Go program cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// It is Go, compiled by another compiler, with another runtime.
    OtherRuntime,
    /// What runs was unpacked into memory; the file does not show what it is.
    Packed,
    /// It is Go, but what says so much has been taken out.
    NoBuildInfo,
}

const GCCGO: &str = "a program built with gccgo";
const TINYGO: &str = "a program built with TinyGo";
const UPX: &str = "an executable packed with UPX";
const GO_WITHOUT_BUILD_INFO: &str = "a Go program without build information";

/// The first mark found decides.
const MARKS: &[(Place, &str, &str)] = &[
    (Place::Start, "UPX!", UPX),
    (Place::Section, ".go_export", GCCGO),
    (Place::Dynamic, "libgo.so", GCCGO),
    (Place::Symbols, "__go_init_main", GCCGO),
    (Place::Texts, "libgo assertion failure", GCCGO),
    (Place::Symbols, "tinygo_", TINYGO),
    (Place::Section, ".gopclntab", GO_WITHOUT_BUILD_INFO),
    (Place::Dynamic, "Py_BytesMain", "a Python interpreter"),
    (Place::Dynamic, "Py_RunMain", "a Python interpreter"),
    (Place::Dynamic, "JLI_Launch", "a Java virtual machine"),
    (Place::Section, ".svm_heap", "a Java program built with GraalVM"),
    (
        Place::Dynamic,
        "graal_create_isolate",
        "a Java program built with GraalVM",
    ),
    (Place::Dynamic, "_ZN4node5StartEiPPc", "a Node.js runtime"),
    (Place::Dynamic, "ruby_run_node", "a Ruby interpreter"),
    (Place::Dynamic, "php_module_startup", "a PHP interpreter"),
    (Place::Dynamic, "perl_parse", "a Perl interpreter"),
    (Place::Dynamic, "luaL_newstate", "a Lua interpreter"),
    (Place::Dynamic, "DotNetRuntimeInfo", "a .NET program"),
    (Place::Dynamic, "libswiftCore.so", "a Swift program"),
    (Place::Dynamic, "enif_alloc", "an Erlang virtual machine"),
    (Place::Symbols, "caml_main", "an OCaml program"),
    (Place::Symbols, "stg_ap_0_fast", "a Haskell program"),
    (Place::Small, "hostfxr_main", "a .NET program"),
    (Place::Name, "python", "a Python interpreter"),
    (Place::Name, "pypy", "a Python interpreter"),
    (Place::Name, "java", "a Java virtual machine"),
    (Place::Name, "node", "a Node.js runtime"),
    (Place::Name, "nodejs", "a Node.js runtime"),
    (Place::Name, "bun", "a Bun runtime"),
    (Place::Name, "deno", "a Deno runtime"),
    (Place::Name, "ruby", "a Ruby interpreter"),
    (Place::Name, "php", "a PHP interpreter"),
    (Place::Name, "php-fpm", "a PHP interpreter"),
    (Place::Name, "perl", "a Perl interpreter"),
    (Place::Name, "dotnet", "a .NET program"),
    (Place::Name, "beam.smp", "an Erlang virtual machine"),
    (Place::Name, "bash", "a shell"),
    (Place::Name, "dash", "a shell"),
    (Place::Name, "sh", "a shell"),
    (Place::Name, "zsh", "a shell"),
    (Place::Name, "ksh", "a shell"),
    (Place::Name, "fish", "a shell"),
    (Place::Name, "busybox", "a BusyBox tool"),
    (Place::Comment, "rustc version", "a Rust program"),
    (Place::Symbols, "rust_eh_personality", "a Rust program"),
    (Place::Symbols, "_ZN4core9panicking", "a Rust program"),
    (Place::Dynamic, "libstdc++.so", "a C++ program"),
    (Place::Dynamic, "libc++.so", "a C++ program"),
    (Place::Comment, "GCC:", "a C or C++ program"),
    (Place::Comment, "clang version", "a C or C++ program"),
    (Place::Dynamic, "libc.so", "a C or C++ program"),
];

/// Most bytes of one string table looked at.
const MAX_STRINGS: u64 = 16 << 20;
const START: u64 = 4 << 10;
const SMALL: u64 = 1 << 20;

/// What the program is.
pub(super) fn identify(elf: &Elf, file: &ExeFile) -> ProgramKind {
    let name = file
        .path()
        .file_name()
        .map(|n| text(n.as_encoded_bytes()))
        .unwrap_or_default();
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    let section = |name: &str| {
        let found = elf.section(name).filter(|s| s.in_file());
        found
            .and_then(|s| file.read(s.offset, s.size.min(MAX_STRINGS)).ok())
            .unwrap_or_default()
    };
    let dynamic = section(".dynstr");
    let symbols = section(".strtab");
    let texts = section(".rodata");
    let comment = section(".comment");
    let start = file.read(0, START.min(file.size())).unwrap_or_default();
    let small = if file.size() <= SMALL {
        file.read(0, file.size()).unwrap_or_default()
    } else {
        Vec::new()
    };
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let has = |bytes: &[u8], mark: &str| memchr::memmem::find(bytes, mark.as_bytes()).is_some();
    let found = MARKS.iter().find(|(place, mark, _)| match place {
        Place::Section => elf.section(mark).is_some(),
        Place::Dynamic => has(&dynamic, mark),
        Place::Symbols => has(&symbols, mark),
        Place::Texts => has(&texts, mark),
        Place::Comment => has(&comment, mark),
        Place::Start => has(&start, mark),
        Place::Small => has(&small, mark),
        Place::Name => stem == *mark || name == *mark,
    });
    let what = match found.map(|(_, _, what)| *what) {
        Some(what @ (UPX | GCCGO | TINYGO)) => what,
        // With cgo, the C compiler leaves its marks too.
        _ if elf.has_go_note => GO_WITHOUT_BUILD_INFO,
        Some(what) => what,
        None => "a program not built by Go",
    };
    let hindrance = match what {
        GCCGO | TINYGO => Some(Hindrance::OtherRuntime),
        UPX => Some(Hindrance::Packed),
        GO_WITHOUT_BUILD_INFO => Some(Hindrance::NoBuildInfo),
        _ => None,
    };
    ProgramKind {
        what: if name.is_empty() {
            what.to_owned()
        } else {
            format!("{what} ({name})")
        },
        hindrance,
    }
}

/// The magic of the function table (cmd/internal/objabi or internal/abi `PCLnTabMagic`) when it is one that no Go release
/// writes. Obfuscators change it so that tools do not know the program as Go.
pub(super) fn unknown_magic(elf: &Elf, file: &ExeFile) -> Option<u32> {
    const RELEASED: [u32; 4] = [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1];
    let names = [".gopclntab", ".data.rel.ro.gopclntab"];
    let section = names
        .iter()
        .find_map(|name| elf.section(name))
        .filter(|s| s.in_file())?;
    let head = file.read(section.offset, 8.min(section.size)).ok()?;
    let (magic, shape) = (u32_at(&head, 0)?, head.get(4..)?);
    let shaped = matches!(shape, [0, 0, 1 | 2 | 4, 8]);
    (shaped && !RELEASED.contains(&magic)).then_some(magic)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::elf::Section;
    use super::super::elf::tests::image;
    use super::*;

    /// A program called `name` whose section `section` holds `data`.
    fn program(name: &str, section: &str, data: &[u8]) -> (Elf, ExeFile) {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &image(data)).unwrap();
        let file = ExeFile::new(file, PathBuf::from(name)).unwrap();
        let mut elf = Elf::parse(&file).unwrap();
        let (offset, size) = (0x1000, data.len() as u64);
        elf.sections.push(Section {
            name: section.into(),
            kind: 1,
            flags: 0,
            addr: 0,
            offset,
            size,
        });
        (elf, file)
    }

    fn what(name: &str, section: &str, data: &[u8]) -> String {
        let (elf, file) = program(name, section, data);
        identify(&elf, &file).what
    }

    #[test]
    fn go_with_another_runtime_is_told_from_no_go_at_all() {
        let hindrance = |section, data, go_note| {
            let (mut elf, file) = program("/srv/app", section, data);
            elf.has_go_note = go_note;
            identify(&elf, &file).hindrance
        };
        let static_gccgo = b"%s:%U: libgo assertion failure";
        assert_eq!(hindrance(".rodata", static_gccgo, false), Some(Hindrance::OtherRuntime));
        assert_eq!(
            hindrance(".strtab", b"\0tinygo_startTask\0", false),
            Some(Hindrance::OtherRuntime)
        );
        assert_eq!(
            hindrance(".comment", b"GCC: (Debian)\0", true),
            Some(Hindrance::NoBuildInfo)
        );
        assert_eq!(hindrance(".comment", b"GCC: (Debian)\0", false), None);
    }

    #[test]
    fn a_function_table_with_a_magic_of_its_own_is_noticed() {
        let magic = |data: &[u8]| {
            let (elf, file) = program("/srv/app", ".gopclntab", data);
            unknown_magic(&elf, &file)
        };
        assert_eq!(magic(&[0x12, 0x34, 0x56, 0x78, 0, 0, 1, 8, 9]), Some(0x7856_3412));
        assert_eq!(magic(&[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8, 9]), None);
        assert_eq!(magic(&[0x12, 0x34, 0x56, 0x78, 0, 1, 1, 8, 9]), None);
        assert_eq!(magic(&[0xf1, 0xff]), None);
    }

    #[test]
    fn by_what_it_links() {
        assert_eq!(
            what("/usr/bin/python3.11", ".dynstr", b"\0Py_BytesMain\0"),
            "a Python interpreter (python3.11)"
        );
        assert_eq!(
            what("/srv/app", ".dynstr", b"\0libstdc++.so.6\0"),
            "a C++ program (app)"
        );
        assert_eq!(
            what("/srv/app", ".dynstr", b"\0libgo.so.21\0libc.so.6\0"),
            "a program built with gccgo (app)"
        );
        assert_eq!(
            what("/srv/app", ".comment", b"rustc version 1.95.0\0"),
            "a Rust program (app)"
        );
    }

    #[test]
    fn by_its_name_when_it_hides_the_rest() {
        assert_eq!(what("/bin/bash (deleted)", ".x", b""), "a shell (bash)");
        assert_eq!(what("/usr/bin/php8.2", ".x", b""), "a PHP interpreter (php8.2)");
        assert_eq!(what("", ".x", b""), "a program not built by Go");
    }

    #[test]
    fn a_section_beyond_the_file_is_ignored() {
        let file = super::super::file::tests::exe(&image(b"abc"));
        let mut elf = Elf::parse(&file).unwrap();
        let (offset, size) = (u64::MAX - 3, u64::MAX);
        elf.sections.push(Section {
            name: ".dynstr".into(),
            kind: 1,
            flags: 0,
            addr: 0,
            offset,
            size,
        });
        assert_eq!(identify(&elf, &file).what, "a program not built by Go (test.exe)");
    }
}
