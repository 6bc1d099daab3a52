//! The tables at the front and back of an ELF file, decoded with every count and offset checked.

use object::elf;

use super::super::bytes::{cstr_at, u16_at, u32_at, u64_at};
use super::super::file::ExeFile;
use super::{Arch, Section, text};
use crate::error::{Error, Result};

/// Bytes of the ELF header.
pub(super) const HEADER_LEN: u64 = 64;
const SEGMENT_LEN: u16 = 56;
const SECTION_LEN: u16 = 64;
const MAX_SECTIONS: u64 = 1 << 16;
const MAX_NAMES: u64 = 16 << 20;

/// One program header.
pub(super) struct ProgramHeader {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) vaddr: u64,
    pub(super) filesz: u64,
    pub(super) memsz: u64,
}

pub(super) fn unsupported(file: &ExeFile, what: &str) -> Error {
    Error::Unsupported {
        what: format!("{} is {what}", file.path().display()),
        remedy: None,
    }
}

/// Whether this is an ELF file we read, and for which processor.
pub(super) fn recognise(file: &ExeFile, header: &[u8]) -> Result<Arch> {
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
pub(super) fn program_headers(file: &ExeFile, header: &[u8]) -> Option<Result<Vec<ProgramHeader>>> {
    let offset = u64_at(header, 32)?;
    let size = u16_at(header, 54)?;
    let count = u16_at(header, 56)?;
    // The kernel and the loader take no other size either, and 65535 wide entries would be gigabytes.
    if size != SEGMENT_LEN || count == elf::PN_XNUM {
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
pub(super) fn sections(file: &ExeFile, header: &[u8]) -> std::result::Result<Vec<Section>, String> {
    let short = || "the ELF header is truncated".to_owned();
    let offset = u64_at(header, 40).ok_or_else(short)?;
    let size = u16_at(header, 58).ok_or_else(short)?;
    let mut count = u64::from(u16_at(header, 60).ok_or_else(short)?);
    let mut names = u32::from(u16_at(header, 62).ok_or_else(short)?);
    if offset == 0 {
        return Ok(Vec::new());
    }
    if size != SECTION_LEN {
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
pub(super) fn notes(mut data: &[u8]) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
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
