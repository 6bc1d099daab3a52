//! The formats of pclntab that Go 1.18 and later write, told apart by the magic of `runtime.pcHeader`, and where in a
//! file the table begins. Offsets here belong to the file format, not to runtime structures.

use std::ops::ControlFlow;

use super::super::bytes::{u8_at, u32_at, u64_at};
use super::super::elf::{Elf, Segment};
use super::super::file::ExeFile;
use crate::error::{Error, Result};

/// Layout of the records of one version of the format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// First four bytes of the table (internal/abi/symtab.go `PCLnTabMagic`).
    pub(super) magic: u32,
    /// `sizeof(_func)`; the pcdata and funcdata offsets follow it.
    pub(super) func_len: u64,
    /// Offset of `_func.startLine`.
    pub(super) func_start_line: Option<usize>,
    /// Offset of `_func.flag`; `nfuncdata` is 2 bytes further.
    pub(super) func_flag: usize,
    /// `sizeof(inlinedCall)`.
    pub(super) inlined_len: u64,
    /// Offsets in `inlinedCall`.
    pub(super) inlined_name: usize,
    pub(super) inlined_parent_pc: usize,
    pub(super) inlined_start_line: Option<usize>,
}

/// Go 1.18 and 1.19.
const GO118: Format = Format {
    magic: MAGIC_GO118,
    func_len: 40,
    func_start_line: None,
    func_flag: 37,
    inlined_len: 20,
    inlined_name: 12,
    inlined_parent_pc: 16,
    inlined_start_line: None,
};

/// Go 1.20 and later.
const GO120: Format = Format {
    magic: MAGIC_GO120,
    func_len: 44,
    func_start_line: Some(36),
    func_flag: 41,
    inlined_len: 16,
    inlined_name: 4,
    inlined_parent_pc: 8,
    inlined_start_line: Some(12),
};

/// Up to Go 1.19.
pub(in crate::image) const MAGIC_GO118: u32 = 0xffff_fff0;
/// Go 1.20 and later.
pub(in crate::image) const MAGIC_GO120: u32 = 0xffff_fff1;
/// `sizeof(pcHeader)`.
pub(super) const HEADER_LEN: u64 = 72;
/// How much of a file without a pclntab section is searched.
const MAX_SEARCH: u64 = 1 << 30;
/// The names of its section; position-independent executables have the second, up to Go 1.25.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];

/// `runtime.pcHeader`.
#[derive(Clone, Copy, Debug)]
pub(in crate::image) struct Header {
    pub(super) format: &'static Format,
    /// Bytes per unit of a pc delta (`minLC`).
    pub(in crate::image) quantum: u8,
    pub(in crate::image) nfunc: u64,
    /// Offsets of funcnametab, cutab, filetab, pctab, pclntable.
    pub(in crate::image) tables: [u64; 5],
}

impl Header {
    /// Decodes the header. The error says what is wrong with it.
    pub(super) fn parse(b: &[u8]) -> std::result::Result<Header, String> {
        let short = || "truncated header".to_owned();
        let format = match u32_at(b, 0).ok_or_else(short)? {
            MAGIC_GO118 => &GO118,
            MAGIC_GO120 => &GO120,
            0xffff_fffa | 0xffff_fffb => return Err("the table of Go 1.17 or older".into()),
            other => return Err(format!("unknown magic {other:#x}")),
        };
        let quantum = u8_at(b, 6).ok_or_else(short)?;
        let pointer = u8_at(b, 7).ok_or_else(short)?;
        if !matches!(quantum, 1 | 2 | 4) || pointer != 8 {
            return Err(format!("pointers of {pointer} bytes, instructions of {quantum}"));
        }
        let word = |at| u64_at(b, at).ok_or_else(short);
        Ok(Header {
            format,
            quantum,
            nfunc: word(8)?,
            tables: [word(32)?, word(40)?, word(48)?, word(56)?, word(64)?],
        })
    }

    /// Whether the counts and offsets can be those of a table of at most `room` bytes.
    fn plausible(&self, room: u64) -> bool {
        // External linkers may align the first table behind the header.
        let first = self.tables.first().copied().unwrap_or(0);
        let ascending = self.tables.is_sorted() && (HEADER_LEN..=4096).contains(&first);
        let end = |pcln: &u64| self.nfunc.checked_mul(8).and_then(|n| n.checked_add(*pcln));
        ascending && self.nfunc > 0 && self.tables.last().and_then(end).is_some_and(|end| end <= room)
    }

    /// Reads the header at link-time address `addr`.
    pub(in crate::image) fn read(elf: &Elf, file: &ExeFile, addr: u64) -> Result<Header> {
        let bytes = elf.read_vaddr(file, addr, HEADER_LEN)?;
        Header::parse(&bytes).map_err(|why| Error::Unsupported {
            what: format!(
                "{}: the function table (pclntab) cannot be read: {why}",
                file.path().display()
            ),
            remedy: None,
        })
    }
}

/// The place in the file that its section names, when there is a header there.
pub(in crate::image) fn in_section(elf: &Elf, file: &ExeFile) -> Option<u64> {
    SECTIONS.iter().find_map(|name| {
        let section = elf.section(name).filter(|s| s.in_file() && s.addr != 0)?;
        let bytes = file.read(section.offset, HEADER_LEN.min(section.size)).ok()?;
        Header::parse(&bytes).ok().map(|_| section.addr)
    })
}

/// Shows `visit` the link-time address of everything in the segments that looks like a pclntab, until it breaks.
pub(in crate::image) fn search<B>(
    elf: &Elf,
    file: &ExeFile,
    mut visit: impl FnMut(u64) -> ControlFlow<B>,
) -> Result<Option<B>> {
    // Read-only data first; some linkers put it into the executable segment.
    let (data, code): (Vec<&Segment>, Vec<&Segment>) = elf.segments.iter().partition(|s| !s.executable);
    let quantum = elf.arch.instruction_bytes();
    let needles = [MAGIC_GO120, MAGIC_GO118].map(|magic| {
        let [a, b, c, d] = magic.to_le_bytes();
        [a, b, c, d, 0, 0, quantum, 8]
    });
    let finders = needles.each_ref().map(memchr::memmem::Finder::new);
    let mut budget = MAX_SEARCH;
    for segment in data.into_iter().chain(code) {
        let len = segment.filesz.min(budget);
        budget -= len;
        let found = file.scan(segment.offset, len, HEADER_LEN, |at, bytes| {
            for hit in finders.iter().flat_map(|f| f.find_iter(bytes)) {
                let into = at.saturating_add(hit as u64);
                let addr = segment.vaddr.saturating_add(into);
                let header = bytes.get(hit..).and_then(|b| Header::parse(b).ok());
                if addr.is_multiple_of(8)
                    && header.is_some_and(|h| h.plausible(len.saturating_sub(into)))
                    && let ControlFlow::Break(found) = visit(addr)
                {
                    return ControlFlow::Break(found);
                }
            }
            ControlFlow::Continue(())
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::super::elf::tests::image;
    use super::super::super::file::tests::exe;
    use super::*;

    fn header(magic: u32, nfunc: u64, tables: [u64; 5]) -> Vec<u8> {
        let mut b = magic.to_le_bytes().to_vec();
        b.extend([0, 0, 1, 8]);
        for v in [nfunc, 1, 0].into_iter().chain(tables) {
            b.extend(v.to_le_bytes());
        }
        b
    }

    #[test]
    fn the_magic_chooses_the_format() {
        let ok = [72, 80, 84, 90, 100];
        assert_eq!(Header::parse(&header(MAGIC_GO118, 1, ok)).unwrap().format.func_len, 40);
        assert_eq!(Header::parse(&header(MAGIC_GO120, 1, ok)).unwrap().format.func_len, 44);
        assert!(Header::parse(&header(0xffff_fffa, 1, ok)).unwrap_err().contains("1.17"));
        assert!(Header::parse(&header(1, 1, ok)).is_err());
        assert!(Header::parse(&header(MAGIC_GO120, 1, ok)[..71]).is_err());
    }

    #[test]
    fn searched_for_when_there_is_no_section() {
        let find = |data: &[u8]| {
            let file = exe(&image(data));
            search(&Elf::parse(&file).unwrap(), &file, ControlFlow::Break).unwrap()
        };
        let mut data = vec![0xff; 24];
        data.extend(header(MAGIC_GO120, 2, [72, 80, 84, 90, 100]));
        assert_eq!(find(&data), None, "tables beyond the segment");
        data.resize(300, 0);
        assert_eq!(find(&data), Some(0x40_1018));
        let mut data = vec![0xff; 20];
        data.extend(header(MAGIC_GO120, 2, [72, 80, 84, 90, 100]));
        data.resize(300, 0);
        assert_eq!(find(&data), None, "unaligned");
        let mut data = header(MAGIC_GO120, u64::MAX, [72, 80, 84, 90, 100]);
        data.resize(300, 0);
        assert_eq!(find(&data), None, "absurd count");
    }
}
