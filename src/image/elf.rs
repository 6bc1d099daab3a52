//! The ELF shape of the executable: segments, sections, notes, and where a link-time address lies in the file.
//!
//! Mirrors what the kernel's loader and Go's linker agree on. Addresses are link-time addresses (`p_vaddr`), without
//! load bias, and data is as on disk: relocations of a position-independent executable are not applied. Sections are
//! a convenience: a file without a usable section table is read by its segments.

use object::elf;

use super::bytes::{cstr_at, u16_at, u32_at, u64_at};
use super::file::ExeFile;
use crate::error::{Error, Result};

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
    /// Lowest segment address, rounded down to `link_page` as the loader does. Load bias = address at which file
    /// offset 0 is mapped - this.
    pub link_base: u64,
    /// GNU build id in hexadecimal.
    pub gnu_build_id: Option<String>,
    /// Go's build id.
    pub go_build_id: Option<String>,
    /// Whether there is a symbol table (`.symtab`).
    pub has_symbols: bool,
    /// What was wrong but could be done without.
    pub warnings: Vec<String>,
}

const HEADER_LEN: u64 = 64;
const SEGMENT_LEN: u16 = 56;
const SECTION_LEN: u16 = 64;
const MAX_SECTIONS: u64 = 1 << 16;
const MAX_NAMES: u64 = 16 << 20;
const MAX_NOTES: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// One program header.
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    filesz: u64,
    memsz: u64,
}

impl Elf {
    /// Parses the headers of `file`. Fails with [`Error::Unsupported`] when it is something else than a 64-bit
    /// x86-64 or AArch64 executable, naming what it is, and with [`Error::Malformed`] when its headers are broken.
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
            has_symbols,
            warnings,
        };
        for h in headers.iter().filter(|h| h.kind == elf::PT_NOTE) {
            if let Ok(notes) = file.read(h.offset, h.filesz.min(MAX_NOTES)) {
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

    fn take_notes(&mut self, notes: &[u8]) {
        for (owner, kind, desc) in notes_in(notes) {
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

fn unsupported(file: &ExeFile, what: &str) -> Error {
    Error::Unsupported {
        what: format!("{} is {what}", file.path().display()),
        remedy: None,
    }
}

/// Whether this is an ELF file we read, and for which processor.
fn recognise(file: &ExeFile, header: &[u8]) -> Result<Arch> {
    if header.get(..4) != Some(&elf::ELFMAG[..]) {
        let what = match header {
            [b'#', b'!', ..] => "a script",
            [] => "an empty file",
            [b'M', b'Z', ..] => "a Windows executable",
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => "a macOS executable",
            _ => "not an ELF file",
        };
        return Err(unsupported(file, &format!("{what}, not a Linux executable")));
    }
    let machine = u16_at(header, 18).unwrap_or(0);
    let big = header.get(5) == Some(&elf::ELFDATA2MSB);
    let machine = if big { machine.swap_bytes() } else { machine };
    match (header.get(4).copied(), big, machine) {
        (Some(elf::ELFCLASS64), false, elf::EM_X86_64) => Ok(Arch::Amd64),
        (Some(elf::ELFCLASS64), false, elf::EM_AARCH64) => Ok(Arch::Arm64),
        (class, _, _) => {
            let bits = if class == Some(elf::ELFCLASS32) {
                "32-bit"
            } else {
                "64-bit"
            };
            let order = if big { " big-endian" } else { "" };
            let what = format!("a {bits}{order} {} executable", machine_name(machine));
            Err(Error::Unsupported {
                what: format!("{} is {what}", file.path().display()),
                remedy: Some("gomemscan reads 64-bit x86-64 (amd64) and AArch64 (arm64) programs".into()),
            })
        }
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        elf::EM_386 => "x86".into(),
        elf::EM_X86_64 => "x86-64".into(),
        elf::EM_ARM => "ARM".into(),
        elf::EM_AARCH64 => "AArch64".into(),
        elf::EM_RISCV => "RISC-V".into(),
        elf::EM_PPC64 => "PowerPC".into(),
        elf::EM_S390 => "S/390".into(),
        elf::EM_MIPS => "MIPS".into(),
        elf::EM_LOONGARCH => "LoongArch".into(),
        other => format!("(machine {other})"),
    }
}

/// The program headers. The outer `None` means the ELF header is too short to say where they are.
fn program_headers(file: &ExeFile, header: &[u8]) -> Option<Result<Vec<ProgramHeader>>> {
    let offset = u64_at(header, 32)?;
    let size = u16_at(header, 54)?;
    let count = u16_at(header, 56)?;
    if size < SEGMENT_LEN || count == elf::PN_XNUM {
        return Some(Err(
            file.malformed("ELF program headers", format!("{count} entries of {size} bytes"))
        ));
    }
    let table = match file.read(offset, u64::from(size) * u64::from(count)) {
        Ok(table) => table,
        Err(e) => return Some(Err(e)),
    };
    let parsed = table.chunks_exact(usize::from(size)).filter_map(|h| {
        Some(ProgramHeader {
            kind: u32_at(h, 0)?,
            flags: u32_at(h, 4)?,
            offset: u64_at(h, 8)?,
            vaddr: u64_at(h, 16)?,
            filesz: u64_at(h, 32)?,
            memsz: u64_at(h, 40)?,
        })
    });
    Some(Ok(parsed.collect()))
}

/// The sections, or why there are none to be had. No table at all is not a fault.
fn sections(file: &ExeFile, header: &[u8]) -> std::result::Result<Vec<Section>, String> {
    let short = || "the ELF header is truncated".to_owned();
    let offset = u64_at(header, 40).ok_or_else(short)?;
    let size = u16_at(header, 58).ok_or_else(short)?;
    let mut count = u64::from(u16_at(header, 60).ok_or_else(short)?);
    let mut names = u32::from(u16_at(header, 62).ok_or_else(short)?);
    if offset == 0 {
        return Ok(Vec::new());
    }
    if size < SECTION_LEN {
        return Err(format!("entries of {size} bytes"));
    }
    // More than 65279 sections: the real numbers are in the first one.
    if count == 0 || names == u32::from(elf::SHN_XINDEX) {
        let zero = file.read(offset, u64::from(SECTION_LEN)).map_err(|e| e.to_string())?;
        if count == 0 {
            count = u64_at(&zero, 32).ok_or_else(short)?;
        }
        if names == u32::from(elf::SHN_XINDEX) {
            names = u32_at(&zero, 40).ok_or_else(short)?;
        }
    }
    if count > MAX_SECTIONS {
        return Err(format!("{count} sections"));
    }
    let table = file.read(offset, count * u64::from(size)).map_err(|e| e.to_string())?;
    let mut parsed = Vec::new();
    let mut name_offsets = Vec::new();
    for h in table.chunks_exact(usize::from(size)) {
        let fields = || {
            Some((
                u32_at(h, 0)?,
                u32_at(h, 4)?,
                u64_at(h, 8)?,
                u64_at(h, 16)?,
                u64_at(h, 24)?,
                u64_at(h, 32)?,
            ))
        };
        let (name, kind, flags, addr, offset, size) = fields().ok_or_else(short)?;
        name_offsets.push(name);
        parsed.push(Section {
            name: String::new(),
            kind,
            flags,
            addr,
            offset,
            size,
        });
    }
    let table = usize::try_from(names)
        .ok()
        .and_then(|i| parsed.get(i))
        .ok_or("no table of section names")?;
    let names = file
        .read(table.offset, table.size.min(MAX_NAMES))
        .map_err(|e| e.to_string())?;
    for (section, at) in parsed.iter_mut().zip(name_offsets) {
        // A name longer than this is not one we look for, and 65536 of them would cost real memory.
        section.name = cstr_at(&names, at as usize)
            .map(|n| text(n.get(..256).unwrap_or(n)))
            .unwrap_or_default();
    }
    Ok(parsed)
}

/// The notes of a `PT_NOTE` segment: owner, type, description.
fn notes_in(mut data: &[u8]) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
    std::iter::from_fn(move || {
        let owner_len = u32_at(data, 0)? as usize;
        let desc_len = u32_at(data, 4)? as usize;
        let kind = u32_at(data, 8)?;
        let desc_at = 12usize.checked_add(owner_len.checked_next_multiple_of(4)?)?;
        let owner = data.get(12..12usize.checked_add(owner_len)?)?;
        let desc = data.get(desc_at..desc_at.checked_add(desc_len)?)?;
        let next = desc_at.checked_add(desc_len.checked_next_multiple_of(4)?)?;
        data = data.get(next..).unwrap_or_default();
        Some((owner, kind, desc))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::file::tests::exe;
    use super::*;

    /// Bytes of an executable with one writable segment: `data` at file offset 0x1000, address 0x401000.
    pub(crate) fn image(data: &[u8]) -> Vec<u8> {
        let mut b = b"\x7fELF\x02\x01\x01".to_vec();
        b.resize(16, 0);
        b.extend(2u16.to_le_bytes()); // ET_EXEC
        b.extend(62u16.to_le_bytes()); // x86-64
        b.extend(1u32.to_le_bytes());
        b.extend(0x40_1000u64.to_le_bytes()); // entry
        b.extend(64u64.to_le_bytes()); // program headers
        b.extend(0u64.to_le_bytes()); // section headers
        b.extend(0u32.to_le_bytes());
        for v in [64u16, 56, 1, 64, 0, 0] {
            b.extend(v.to_le_bytes());
        }
        b.extend(1u32.to_le_bytes()); // PT_LOAD
        b.extend(6u32.to_le_bytes()); // RW
        for v in [
            0x1000u64,
            0x40_1000,
            0x40_1000,
            data.len() as u64,
            data.len() as u64 + 0x100,
            0x1000,
        ] {
            b.extend(v.to_le_bytes());
        }
        b.resize(0x1000, 0);
        b.extend(data);
        b
    }

    fn refusal(bytes: &[u8]) -> String {
        Elf::parse(&exe(bytes)).unwrap_err().to_string()
    }

    #[test]
    fn addresses_map_to_the_file_part_of_segments() {
        let file = exe(&image(b"abcdef"));
        let elf = Elf::parse(&file).unwrap();
        assert_eq!((elf.arch, elf.pie, elf.link_base), (Arch::Amd64, false, 0x40_1000));
        assert_eq!(elf.vaddr_to_offset(0x40_1002), Some((0x1002, 4)));
        assert_eq!(elf.read_vaddr(&file, 0x40_1002, 3).unwrap(), b"cde");
        assert!(
            elf.read_vaddr(&file, 0x40_1004, 3).is_err(),
            "the zero part is not in the file"
        );
        assert!(elf.read_vaddr(&file, 0x40_0fff, 1).is_err());
        assert!(elf.read_vaddr(&file, u64::MAX, 1).is_err());
    }

    #[test]
    fn what_it_is_instead_is_said() {
        assert!(refusal(b"#!/bin/sh\n").contains("a script"));
        assert!(refusal(b"").contains("an empty file"));
        assert!(refusal(b"MZ").contains("Windows"));
        let mut b = image(b"");
        b[18] = 243;
        assert!(refusal(&b).contains("RISC-V"), "{}", refusal(&b));
        let mut b = image(b"");
        (b[4], b[18]) = (1, 3);
        assert!(refusal(&b).contains("32-bit x86"), "{}", refusal(&b));
        let mut b = image(b"");
        b[16] = 4;
        assert!(refusal(&b).contains("core dump"));
    }

    #[test]
    fn a_lost_section_table_is_only_a_warning() {
        let mut b = image(b"abc");
        b[40..48].copy_from_slice(&0xffff_0000u64.to_le_bytes());
        b[60] = 7;
        let elf = Elf::parse(&exe(&b)).unwrap();
        assert!(elf.sections.is_empty());
        assert_eq!(elf.warnings.len(), 1);
        assert_eq!(elf.segments.len(), 1);
    }

    #[test]
    fn huge_counts_are_refused_without_allocating() {
        let mut b = image(b"abc");
        b[40..48].copy_from_slice(&0x1000u64.to_le_bytes());
        b[60] = 0; // the count is in the first section, which is not there
        assert_eq!(Elf::parse(&exe(&b)).unwrap().warnings.len(), 1);
        let mut b = image(b"abc");
        b[56..58].copy_from_slice(&0xfff0u16.to_le_bytes());
        assert!(Elf::parse(&exe(&b)).is_err());
    }

    #[test]
    fn every_truncation_is_survived() {
        let whole = image(b"abc");
        for len in 0..whole.len() {
            let _ = Elf::parse(&exe(&whole[..len]));
        }
    }

    #[test]
    fn notes_give_the_build_ids() {
        let mut n = Vec::new();
        for (owner, kind, desc) in [(&b"GNU\0"[..], 3u32, &[0xab, 0xcd][..]), (b"Go\0\0", 4, b"x/y")] {
            n.extend((owner.len() as u32).to_le_bytes());
            n.extend((desc.len() as u32).to_le_bytes());
            n.extend(kind.to_le_bytes());
            n.extend(owner);
            n.extend(desc);
            n.resize(n.len().next_multiple_of(4), 0);
        }
        let mut elf = Elf::parse(&exe(&image(b""))).unwrap();
        elf.take_notes(&n);
        assert_eq!(elf.gnu_build_id.as_deref(), Some("abcd"));
        assert_eq!(elf.go_build_id.as_deref(), Some("x/y"));
        elf.take_notes(&[0xff; 64]);
    }
}
