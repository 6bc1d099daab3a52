//! What a program is when it is not one that Go's linker made, so that the refusal can name it.
//!
//! Judged by the libraries and symbols in its string tables, its compiler's comment and its name; the answer is for a
//! message only and may be wrong for a program that hides what it is.

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
    /// The file name, digits and dots at its end left out.
    Name,
}

/// The first mark found decides.
const MARKS: &[(Place, &str, &str)] = &[
    (Place::Start, "UPX!", "an executable packed with UPX"),
    (Place::Section, ".go_export", "a program built with gccgo"),
    (Place::Dynamic, "libgo.so", "a program built with gccgo"),
    (Place::Symbols, "__go_init_main", "a program built with gccgo"),
    (Place::Symbols, "tinygo_", "a program built with TinyGo"),
    (Place::Section, ".gopclntab", "a Go program without build information"),
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

/// A short phrase for what the program is: "a Python interpreter (python3.11)".
pub(super) fn identify(elf: &Elf, file: &ExeFile) -> String {
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
        Place::Comment => has(&comment, mark),
        Place::Start => has(&start, mark),
        Place::Small => has(&small, mark),
        Place::Name => stem == *mark || name == *mark,
    });
    let what = found.map_or("a program not built by Go", |(_, _, what)| what);
    if name.is_empty() {
        what.to_owned()
    } else {
        format!("{what} ({name})")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::elf::Section;
    use super::super::elf::tests::image;
    use super::*;

    /// What a program called `name` is whose section `section` holds `data`.
    fn what(name: &str, section: &str, data: &[u8]) -> String {
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
        identify(&elf, &file)
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
        assert_eq!(identify(&elf, &file), "a program not built by Go (test.exe)");
    }
}
