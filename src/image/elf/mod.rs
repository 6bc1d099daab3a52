//! The ELF shape of the executable: segments, sections, notes, and where a link-time address lies in the file.
//!
//! Mirrors what the kernel's loader and Go's linker agree on. Addresses are link-time addresses (`p_vaddr`), without
//! load bias, and data is as on disk: relocations of a position-independent executable are not applied. Sections are
//! a convenience: a file without a usable section table is read by its segments.

mod headers;

#[cfg(test)]
pub(crate) mod tests;

use object::elf;

use self::headers::{HEADER_LEN, notes, program_headers, recognise, sections, unsupported};
use super::bytes::{cstr_at, u16_at};
use super::file::ExeFile;
use crate::error::Result;

/// Processor of the executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86-64 (`GOARCH=amd64`).
    Amd64,
    /// AArch64 (`GOARCH=arm64`).
    Arm64,
}

impl Arch {
    /// Go's name for it.
    pub fn goarch(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }

    /// Bytes of the shortest instruction: pclntab counts code in units of it (`sys.PCQuantum`).
    pub(super) fn instruction_bytes(self) -> u8 {
        match self {
            Arch::Amd64 => 1,
            Arch::Arm64 => 4,
        }
    }
}

/// A loaded segment (`PT_LOAD`); all quantities in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Link-time address.
    pub vaddr: u64,
    /// Size in memory.
    pub memsz: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Size in the file; the rest of `memsz` is zero.
    pub filesz: u64,
    /// Whether it is mapped writable.
    pub writable: bool,
    /// Whether it is mapped executable.
    pub executable: bool,
}

/// A section; all quantities in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name, for example ".gopclntab".
    pub name: String,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// Link-time address, 0 when it is not loaded.
    pub addr: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Size in the file (of the compressed form when it is compressed).
    pub size: u64,
}

impl Section {
    /// Whether the file holds bytes for it.
    pub fn in_file(&self) -> bool {
        self.kind != elf::SHT_NOBITS && self.kind != elf::SHT_NULL
    }

    /// Whether its bytes are in the gABI's compressed form.
    pub fn compressed(&self) -> bool {
        self.flags & u64::from(elf::SHF_COMPRESSED) != 0
    }
}

/// The parsed headers of a 64-bit little-endian ELF executable.
#[derive(Clone, Debug)]
pub struct Elf {
    /// Processor.
    pub arch: Arch,
    /// Whether it can be loaded at any address (`ET_DYN`).
    pub pie: bool,
    /// Loaded segments by address.
    pub segments: Vec<Segment>,
    /// Sections in file order; empty when the table is missing or unusable.
    pub sections: Vec<Section>,
    /// Dynamic loader (`PT_INTERP`); `None` for a static executable.
    pub interpreter: Option<String>,
    /// Lowest segment address, rounded down to a page of 4 KiB as the loader does. Load bias = address at which file
    /// offset 0 is mapped - this.
    pub link_base: u64,
    /// GNU build id in hexadecimal.
    pub gnu_build_id: Option<String>,
    /// Go's build id.
    pub go_build_id: Option<String>,
    /// Whether there is a note of Go's linker.
    pub has_go_note: bool,
    /// Whether there is a symbol table (`.symtab`).
    pub has_symbols: bool,
    /// What the dynamic loader reads (`PT_DYNAMIC`): offset in the file and size in bytes.
    pub dynamic: Option<(u64, u64)>,
    /// What was wrong but could be done without.
    pub warnings: Vec<String>,
}

const MAX_NOTES: u64 = 64 << 10;
/// Most note segments and sections looked into.
const MOST_NOTES: usize = 64;
const PAGE: u64 = 4096;

impl Elf {
    /// Parses the headers of `file`. Fails with [`Unsupported`](crate::error::Error::Unsupported) when it is something else than a 64-bit
    /// x86-64 or AArch64 executable, naming what it is, and with [`Malformed`](crate::error::Error::Malformed) when its headers are broken.
    pub fn parse(file: &ExeFile) -> Result<Elf> {
        let header = file.read(0, HEADER_LEN.min(file.size()))?;
        let arch = recognise(file, &header)?;
        let broken = || file.malformed("ELF header", "truncated");
        let pie = match u16_at(&header, 16).ok_or_else(broken)? {
            elf::ET_EXEC => false,
            elf::ET_DYN => true,
            elf::ET_CORE => return Err(unsupported(file, "an ELF core dump, not an executable")),
            elf::ET_REL => return Err(unsupported(file, "an object file, not an executable")),
            other => {
                return Err(unsupported(
                    file,
                    &format!("an ELF file of type {other}, not an executable"),
                ));
            }
        };
        let mut warnings = Vec::new();
        let headers = program_headers(file, &header).ok_or_else(broken)??;
        let mut segments: Vec<Segment> = headers
            .iter()
            .filter(|h| h.kind == elf::PT_LOAD && h.memsz > 0)
            .map(|h| Segment {
                vaddr: h.vaddr,
                memsz: h.memsz,
                offset: h.offset,
                filesz: h.filesz.min(h.memsz),
                writable: h.flags & elf::PF_W != 0,
                executable: h.flags & elf::PF_X != 0,
            })
            .collect();
        segments.sort_by_key(|s| s.vaddr);
        let Some(first) = segments.first() else {
            return Err(file.malformed("ELF program headers", "no segment is loaded"));
        };
        let link_base = first.vaddr & !(PAGE - 1);

        let sections = sections(file, &header).unwrap_or_else(|why| {
            warnings.push(format!("section headers are not usable ({why}); reading by segments"));
            Vec::new()
        });
        let has_symbols = sections.iter().any(|s| s.kind == elf::SHT_SYMTAB && s.size > 0);
        let interpreter = headers
            .iter()
            .find(|h| h.kind == elf::PT_INTERP)
            .and_then(|h| file.read(h.offset, h.filesz.min(PAGE)).ok())
            .map(|b| text(cstr_at(&b, 0).unwrap_or(&b)));
        let mut parsed = Elf {
            arch,
            pie,
            segments,
            sections,
            interpreter,
            link_base,
            gnu_build_id: None,
            go_build_id: None,
            has_go_note: false,
            has_symbols,
            dynamic: headers
                .iter()
                .find(|h| h.kind == elf::PT_DYNAMIC)
                .map(|h| (h.offset, h.filesz)),
            warnings,
        };
        let segments = headers.iter().filter(|h| h.kind == elf::PT_NOTE);
        let segments = segments.map(|h| (h.offset, h.filesz));
        // Go's own linker leaves its GNU build id outside of the segment.
        let sections = parsed.sections.iter().filter(|s| s.kind == elf::SHT_NOTE);
        let places: Vec<_> = segments.chain(sections.map(|s| (s.offset, s.size))).collect();
        for (offset, size) in places.into_iter().take(MOST_NOTES) {
            if let Ok(notes) = file.read(offset, size.min(MAX_NOTES)) {
                parsed.take_notes(&notes);
            }
        }
        Ok(parsed)
    }

    /// The first section called `name`.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// File offset of link-time address `vaddr` and how many bytes follow it in its segment's file part.
    pub fn vaddr_to_offset(&self, vaddr: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|s| {
            let into = vaddr.checked_sub(s.vaddr)?;
            let left = s.filesz.checked_sub(into).filter(|left| *left > 0)?;
            Some((s.offset.checked_add(into)?, left))
        })
    }

    /// `len` bytes at link-time address `vaddr`, as on disk (relocations not applied). Fails when they are not all
    /// in the file part of one segment.
    pub fn read_vaddr(&self, file: &ExeFile, vaddr: u64, len: u64) -> Result<Vec<u8>> {
        match self.vaddr_to_offset(vaddr) {
            Some((offset, left)) if len <= left => file.read(offset, len),
            _ => Err(file.malformed("ELF segments", format!("{len} bytes at {vaddr:#x} are not in the file"))),
        }
    }

    /// Bytes of `section` as on disk.
    pub fn read_section(&self, file: &ExeFile, section: &Section) -> Result<Vec<u8>> {
        if section.in_file() {
            file.read(section.offset, section.size)
        } else {
            Ok(Vec::new())
        }
    }

    fn take_notes(&mut self, data: &[u8]) {
        for (owner, kind, desc) in notes(data) {
            self.has_go_note |= owner == b"Go\0\0";
            match (owner, kind) {
                (b"GNU\0", elf::NT_GNU_BUILD_ID) => {
                    self.gnu_build_id = Some(desc.iter().map(|b| format!("{b:02x}")).collect());
                }
                (b"Go\0\0", elf::NT_GO_BUILD_ID) => self.go_build_id = Some(text(desc)),
                _ => {}
            }
        }
    }
}

/// Text for messages and reports out of bytes that may be anything.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
