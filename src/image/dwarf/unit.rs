//! One compilation unit: its header, its abbreviations, and strings and addresses as its forms encode them.

use std::collections::HashMap;
use std::sync::Arc;

use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugInfoOffset, DebugStrOffset, Encoding,
    EndianSlice, Format, LittleEndian, UnitHeader, UnitOffset, UnitSectionOffset, UnitType,
};

use super::super::bytes::{cstr_at, u8_at, u16_at, u32_at, u64_at};
use super::super::elf::Elf;
use super::super::file::ExeFile;
use super::section::LazySection;

/// gimli's view of borrowed bytes.
pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Bytes of the longest initial part of a unit header: length, version, type, address size, abbreviations, and the
/// extra fields of type and split units.
pub(super) const MAX_HEADER: usize = 12 + 2 + 1 + 1 + 8 + 16;

/// The header of a unit, decoded from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) encoding: Encoding,
    /// Bytes of the whole unit, its length field included.
    pub(super) total: u64,
    /// Bytes of the header, hence the offset of the first entry.
    pub(super) len: usize,
    pub(super) abbrevs: u64,
}

impl Header {
    /// Decodes the length field only: bytes of the whole unit and of the length field.
    pub(super) fn total(head: &[u8]) -> Option<(u64, usize, Format)> {
        match u32_at(head, 0)? {
            0xffff_ffff => Some((u64_at(head, 4)?.checked_add(12)?, 12, Format::Dwarf64)),
            reserved if reserved >= 0xffff_fff0 => None,
            len => Some((u64::from(len) + 4, 4, Format::Dwarf32)),
        }
    }

    /// Decodes the header; `None` for a version or kind of unit that holds no types of ours.
    pub(super) fn parse(head: &[u8]) -> Option<Header> {
        let (total, at, format) = Header::total(head)?;
        let word = usize::from(format.word_size());
        let offset = |at| {
            if word == 8 {
                u64_at(head, at)
            } else {
                u32_at(head, at).map(u64::from)
            }
        };
        let version = u16_at(head, at)?;
        let at = at + 2;
        let (abbrevs, address_size, len) = match version {
            2..=4 => (offset(at)?, u8_at(head, at + word)?, at + word + 1),
            // DW_UT_compile and DW_UT_partial.
            5 if matches!(u8_at(head, at)?, 1 | 3) => (offset(at + 2)?, u8_at(head, at + 1)?, at + 2 + word),
            _ => return None,
        };
        (total >= len as u64).then_some(Header {
            encoding: Encoding {
                address_size,
                format,
                version,
            },
            total,
            len,
            abbrevs,
        })
    }

    /// gimli's header over `unit`, the unit's bytes from its length field on (possibly only its beginning).
    pub(super) fn gimli<'a>(&self, unit: &'a [u8]) -> UnitHeader<Slice<'a>> {
        let length_field = usize::from(self.encoding.format.initial_length_size());
        UnitHeader::new(
            self.encoding,
            unit.len().saturating_sub(length_field),
            UnitType::Compilation,
            DebugAbbrevOffset(0),
            UnitSectionOffset::DebugInfoOffset(DebugInfoOffset(0)),
            EndianSlice::new(unit.get(self.len..).unwrap_or_default(), LittleEndian),
        )
    }
}

/// A unit that is kept.
#[derive(Debug)]
pub(super) struct Unit {
    /// Offset in `.debug_info`.
    pub(super) offset: u64,
    pub(super) header: Header,
    pub(super) abbrevs: Arc<Abbreviations>,
    /// From the length field on.
    pub(super) bytes: Vec<u8>,
    /// `DW_AT_str_offsets_base`, `DW_AT_addr_base`.
    pub(super) str_offsets_base: u64,
    pub(super) addr_base: u64,
}

impl Unit {
    pub(super) fn gimli(&self) -> UnitHeader<Slice<'_>> {
        self.header.gimli(&self.bytes)
    }

    /// Offset inside this unit of `.debug_info` offset `at`.
    pub(super) fn local(&self, at: u64) -> Option<UnitOffset> {
        let local = usize::try_from(at.checked_sub(self.offset)?).ok()?;
        (local < self.bytes.len()).then_some(UnitOffset(local))
    }

    /// `.debug_info` offset that a reference attribute names.
    pub(super) fn reference(&self, value: &AttributeValue<Slice<'_>>) -> Option<u64> {
        match value {
            AttributeValue::UnitRef(local) => self.offset.checked_add(local.0 as u64),
            AttributeValue::DebugInfoRef(global) => Some(global.0 as u64),
            _ => None,
        }
    }
}

/// The side sections that strings and addresses may be kept in, read when first needed.
#[derive(Debug)]
pub(super) struct Side {
    elf: Arc<Elf>,
    file: ExeFile,
    strings: LazySection,
    line_strings: LazySection,
    string_offsets: LazySection,
    addresses: LazySection,
}

impl Side {
    pub(super) fn new(elf: Arc<Elf>, file: ExeFile) -> Side {
        Side {
            elf,
            file,
            strings: LazySection::new("str"),
            line_strings: LazySection::new("line_str"),
            string_offsets: LazySection::new("str_offsets"),
            addresses: LazySection::new("addr"),
        }
    }

    fn bytes<'a>(&'a self, section: &'a LazySection) -> &'a [u8] {
        section.bytes(&self.elf, &self.file)
    }

    /// The text of a string attribute. `str_offsets_base` is the unit's.
    pub(super) fn string<'a>(
        &'a self,
        value: &AttributeValue<Slice<'a>>,
        format: Format,
        str_offsets_base: u64,
    ) -> Option<&'a [u8]> {
        let in_strings = |DebugStrOffset(at)| cstr_at(self.bytes(&self.strings), at);
        match value {
            AttributeValue::String(s) => Some(s.slice()),
            AttributeValue::DebugStrRef(at) => in_strings(*at),
            AttributeValue::DebugLineStrRef(at) => cstr_at(self.bytes(&self.line_strings), at.0),
            AttributeValue::DebugStrOffsetsIndex(index) => {
                let at = indexed(str_offsets_base, index.0 as u64, u64::from(format.word_size()))?;
                let table = self.bytes(&self.string_offsets);
                let offset = match format {
                    Format::Dwarf32 => u64::from(u32_at(table, at)?),
                    Format::Dwarf64 => u64_at(table, at)?,
                };
                in_strings(DebugStrOffset(usize::try_from(offset).ok()?))
            }
            _ => None,
        }
    }

    /// The address that a `DW_AT_location` consisting of `DW_OP_addr` or `DW_OP_addrx` gives.
    pub(super) fn address(&self, value: &AttributeValue<Slice<'_>>, unit: &Unit) -> Option<u64> {
        let (AttributeValue::Exprloc(gimli::Expression(code)) | AttributeValue::Block(code)) = value else {
            return None;
        };
        let code = code.slice();
        let (address, end) = match *code.first()? {
            0x03 => (u64_at(code, 1)?, 9),
            0xa1 => {
                let (index, end) = super::super::bytes::uvarint_at(code, 1)?;
                (
                    u64_at(self.bytes(&self.addresses), indexed(unit.addr_base, index, 8)?)?,
                    end,
                )
            }
            _ => return None,
        };
        (code.len() == end && unit.header.encoding.address_size == 8).then_some(address)
    }
}

fn indexed(base: u64, index: u64, width: u64) -> Option<usize> {
    usize::try_from(base.checked_add(index.checked_mul(width)?)?).ok()
}

/// Abbreviation tables by offset, each parsed once.
pub(super) struct AbbrevTables<'a> {
    section: &'a [u8],
    parsed: HashMap<u64, Option<Arc<Abbreviations>>>,
}

/// A unit's table is a few kilobytes; more tables or longer ones only occur in hostile files.
const MAX_TABLE: usize = 128 << 10;
const MAX_TABLES: usize = 1 << 14;

impl<'a> AbbrevTables<'a> {
    pub(super) fn new(section: &'a [u8]) -> AbbrevTables<'a> {
        AbbrevTables {
            section,
            parsed: HashMap::new(),
        }
    }

    pub(super) fn get(&mut self, offset: u64) -> Option<Arc<Abbreviations>> {
        if self.parsed.len() >= MAX_TABLES && !self.parsed.contains_key(&offset) {
            return None;
        }
        let section = self.section;
        self.parsed
            .entry(offset)
            .or_insert_with(|| {
                let rest = section.get(usize::try_from(offset).ok()?..)?;
                let table = rest.get(..MAX_TABLE).unwrap_or(rest);
                let table = DebugAbbrev::from(EndianSlice::new(table, LittleEndian));
                table.abbreviations(DebugAbbrevOffset(0)).ok().map(Arc::new)
            })
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_both_versions() {
        let mut v4 = 100u32.to_le_bytes().to_vec();
        v4.extend([4, 0, 7, 0, 0, 0, 8]);
        let h = Header::parse(&v4).unwrap();
        assert_eq!((h.total, h.len, h.abbrevs, h.encoding.version), (104, 11, 7, 4));
        let mut v5 = 100u32.to_le_bytes().to_vec();
        v5.extend([5, 0, 1, 8, 7, 0, 0, 0]);
        let h = Header::parse(&v5).unwrap();
        assert_eq!((h.total, h.len, h.abbrevs, h.encoding.address_size), (104, 12, 7, 8));
    }

    #[test]
    fn foolish_headers_are_refused() {
        assert_eq!(Header::parse(&[]), None);
        assert_eq!(
            Header::parse(&[0xf5, 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0, 8]),
            None,
            "reserved length"
        );
        assert_eq!(
            Header::parse(&[2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8]),
            None,
            "shorter than its header"
        );
        assert_eq!(Header::parse(&[0xff; 40]), None, "length overflows");
        let mut split = 100u32.to_le_bytes().to_vec();
        split.extend([5, 0, 4, 8, 7, 0, 0, 0]);
        assert_eq!(Header::parse(&split), None, "a skeleton unit");
    }
}
