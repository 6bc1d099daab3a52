//! The formats of pclntab that Go 1.18 and later write, told apart by the magic of `runtime.pcHeader`, and where in a
//! file the table begins. Offsets here belong to the file format, not to runtime structures.

use super::super::bytes::{u8_at, u32_at, u64_at};
use super::super::elf::{Elf, Segment};
use super::super::file::ExeFile;
use crate::error::{Error, Result};

/// Layout of the records of one version of the format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
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
    func_len: 44,
    func_start_line: Some(36),
    func_flag: 41,
    inlined_len: 16,
    inlined_name: 4,
    inlined_parent_pc: 8,
    inlined_start_line: Some(12),
};

const MAGIC_GO118: u32 = 0xffff_fff0;
const MAGIC_GO120: u32 = 0xffff_fff1;
/// `sizeof(pcHeader)`.
pub(super) const HEADER_LEN: u64 = 72;
/// How much of a file without a pclntab section is searched.
const MAX_SEARCH: u64 = 1 << 30;
const CHUNK: u64 = 1 << 20;

/// `runtime.pcHeader`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) format: &'static Format,
    /// Bytes per unit of a pc delta (`minLC`).
    pub(super) quantum: u8,
    pub(super) nfunc: u64,
    /// 0 from Go 1.26 on, and in a position-independent executable on disk.
    pub(super) text_start: u64,
    /// Offsets of funcnametab, cutab, filetab, pctab, pclntable.
    pub(super) tables: [u64; 5],
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
            text_start: word(24)?,
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
    pub(super) fn read(elf: &Elf, file: &ExeFile, addr: u64) -> Result<Header> {
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

/// Link-time address of the pclntab of `elf`: its section, or the first place in a segment that looks like one.
pub(super) fn find(elf: &Elf, file: &ExeFile) -> Option<u64> {
    let in_section = [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|name| {
        let section = elf.section(name).filter(|s| s.in_file() && s.addr != 0)?;
        let bytes = file.read(section.offset, HEADER_LEN.min(section.size)).ok()?;
        Header::parse(&bytes).ok().map(|_| section.addr)
    });
    in_section.or_else(|| {
        // Read-only data first; some linkers put it into the executable segment.
        let (data, code): (Vec<_>, Vec<_>) = elf.segments.iter().partition(|s| !s.executable);
        let mut budget = MAX_SEARCH;
        data.into_iter().chain(code).find_map(|s| search(file, s, &mut budget))
    })
}

fn search(file: &ExeFile, segment: &Segment, budget: &mut u64) -> Option<u64> {
    let len = segment
        .filesz
        .min(file.size().saturating_sub(segment.offset))
        .min(*budget);
    *budget -= len;
    // What follows the magic's first byte, for both magics and every quantum.
    let finder = memchr::memmem::Finder::new(b"\xff\xff\xff\x00\x00");
    let mut at = 0;
    while at < len {
        // One header of overlap, so that a header across two chunks is seen whole.
        let bytes = file
            .read(segment.offset.checked_add(at)?, (CHUNK + HEADER_LEN).min(len - at))
            .ok()?;
        for hit in finder.find_iter(&bytes) {
            let Some(start) = hit.checked_sub(1) else { continue };
            let offset = at + start as u64;
            let addr = segment.vaddr.checked_add(offset)?;
            let header = bytes.get(start..).and_then(|b| Header::parse(b).ok());
            if addr.is_multiple_of(8) && header.is_some_and(|h| h.plausible(len - offset)) {
                return Some(addr);
            }
        }
        at += CHUNK;
    }
    None
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
            super::find(&Elf::parse(&file).unwrap(), &file)
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
