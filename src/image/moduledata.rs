//! `runtime.firstmoduledata` in the file (runtime/symtab.go `moduledata`), without symbols and without a process.
//!
//! The linker fills the structure in, so the file says where the tables, the text and the data of a module are. It is
//! found by its own section (Go 1.26 and later) or by its first two words, the address of the `pcHeader` and of the
//! first table behind it: in the writable segments, or among the relocations of a position-independent executable.
//! The fields up to `enoptrbss` have not moved since Go 1.18, which is what a search can start from; those behind
//! need a layout. Nothing is believed before the structure and the pclntab agree on each other.

use std::fmt;
use std::ops::{ControlFlow, Range};

use super::bytes::{u32_at, u64_at};
use super::elf::Elf;
use super::file::ExeFile;
use super::pclntab::{Header, ModuleTables, TableRef, TextSection, in_section, search};
use super::relocations::Relocations;
use super::types::TypeSource;
use crate::error::Result;

/// The part of the structure that has not moved since Go 1.18: numbers of 8-byte words.
mod word {
    pub(super) const PC_HEADER: usize = 0;
    pub(super) const FUNCNAMETAB: usize = 1;
    pub(super) const CUTAB: usize = 4;
    pub(super) const FILETAB: usize = 7;
    pub(super) const PCTAB: usize = 10;
    pub(super) const PCLNTABLE: usize = 13;
    pub(super) const FTAB: usize = 16;
    pub(super) const MINPC: usize = 20;
    pub(super) const MAXPC: usize = 21;
    pub(super) const TEXT: usize = 22;
    pub(super) const ETEXT: usize = 23;
    /// Pairs of start and end: noptrdata, data, bss, noptrbss.
    pub(super) const DATA: [usize; 4] = [24, 26, 28, 30];
    pub(super) const COUNT: usize = 32;
}

/// Bytes of the structure that are read at most; releases so far have up to 592.
const MOST: u64 = 1024;
/// Most tables that look like a pclntab tried.
const MOST_TRIED: usize = 64;
/// Text sections of one module at most.
const MOST_TEXT_SECTIONS: u64 = 1 << 12;

/// How a `moduledata` was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// Its own section, `.go.module`.
    Section,
    /// Its first two words in a writable segment.
    Words,
    /// The relocations of its first two words.
    Relocations,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FoundBy::Section => "section .go.module",
            FoundBy::Words => "its first words",
            FoundBy::Relocations => "relocations",
        })
    }
}

/// One module as its file describes it; every address is a link-time address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moduledata {
    /// Address of the structure: that of `runtime.firstmoduledata` when the file holds the runtime.
    pub addr: u64,
    /// How it was found.
    pub found_by: FoundBy,
    /// The structure and some bytes behind it, relocations applied.
    bytes: Vec<u8>,
}

impl Moduledata {
    /// All modules whose structure is in the file and agrees with a pclntab in it, in the order they were found; the
    /// linker writes one. Empty when there is none, or when it is of Go 1.17 or older. Fails with
    /// [`Io`](crate::error::Error::Io) when the file cannot be read.
    pub fn find(elf: &Elf, file: &ExeFile, relocations: &Relocations) -> Result<Vec<Moduledata>> {
        let search_for = |pc_header| -> Result<Vec<Moduledata>> {
            let mut places = Vec::new();
            let own_section = elf.section(".go.module").filter(|s| s.addr != 0);
            places.extend(own_section.map(|section| (section.addr, FoundBy::Section)));
            let valid = |places: &[(u64, FoundBy)]| -> Vec<Moduledata> {
                let read = |&(addr, by)| Moduledata::read(elf, file, relocations, pc_header, addr, by);
                places.iter().filter_map(read).collect()
            };
            let found = valid(&places);
            if !found.is_empty() {
                return Ok(found);
            }
            places.clear();
            let Some(names) = Header::read(elf, file, pc_header)
                .ok()
                .and_then(|h| h.tables.first()?.checked_add(pc_header))
            else {
                return Ok(Vec::new());
            };
            in_words(elf, file, [pc_header, names], &mut places)?;
            let found = valid(&places);
            if !found.is_empty() {
                return Ok(found);
            }
            places.clear();
            in_relocations(relocations, [pc_header, names], &mut places)?;
            Ok(valid(&places))
        };
        if let Some(pc_header) = in_section(elf, file) {
            let found = search_for(pc_header)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let mut tried = 0;
        let found = search(elf, file, |pc_header| {
            tried += 1;
            match search_for(pc_header) {
                Ok(found) if found.is_empty() && tried < MOST_TRIED => ControlFlow::Continue(()),
                done => ControlFlow::Break(done),
            }
        })?;
        found.unwrap_or(Ok(Vec::new()))
    }

    /// Where its tables are. `types` gives the place of the fields that move between releases: without it
    /// (`runtime.moduledata.gofunc`, `textsectmap`) inlined calls are not expanded, and all text is taken as one
    /// section.
    pub fn tables(&self, relocations: &Relocations, types: Option<&dyn TypeSource>) -> ModuleTables {
        let table = |at: usize| TableRef {
            addr: self.word(at),
            len: self.word(at + 1),
        };
        let sections = types.and_then(|types| self.text_sections(relocations, types));
        ModuleTables {
            pc_header: self.word(word::PC_HEADER),
            funcnametab: table(word::FUNCNAMETAB),
            cutab: table(word::CUTAB),
            filetab: table(word::FILETAB),
            pctab: table(word::PCTAB),
            pclntable: table(word::PCLNTABLE),
            ftab: table(word::FTAB),
            text: self.word(word::TEXT),
            etext: self.word(word::ETEXT),
            minpc: self.word(word::MINPC),
            maxpc: self.word(word::MAXPC),
            gofunc: types.and_then(|types| self.field(types, "gofunc")),
            textsectmap: sections.unwrap_or_default(),
        }
    }

    /// Value of the 8-byte field at `path` ("types", "textsectmap.len"), its place taken from `types`. `None` when
    /// `types` does not know it, or when it lies outside what the file holds.
    pub fn field(&self, types: &dyn TypeSource, path: &str) -> Option<u64> {
        let field = types.field("runtime.moduledata", path)?;
        u64_at(&self.bytes, usize::try_from(field.offset).ok()?)
    }

    /// The module's variables: its noptrdata, data, bss and noptrbss.
    pub fn data(&self) -> [Range<u64>; 4] {
        word::DATA.map(|at| self.word(at)..self.word(at + 1))
    }

    /// The module's code.
    pub fn text(&self) -> Range<u64> {
        self.word(word::TEXT)..self.word(word::ETEXT)
    }

    /// Reads the structure at `addr`; `None` unless it and the pclntab at `pc_header` describe each other.
    fn read(
        elf: &Elf,
        file: &ExeFile,
        relocations: &Relocations,
        pc_header: u64,
        addr: u64,
        found_by: FoundBy,
    ) -> Option<Moduledata> {
        let (_, left) = elf.vaddr_to_offset(addr)?;
        let module = Moduledata {
            addr,
            found_by,
            bytes: relocations.read_vaddr(addr, left.min(MOST)).ok()?,
        };
        let header = Header::read(elf, file, pc_header).ok()?;
        module.agrees(elf, file, pc_header, &header).then_some(module)
    }

    fn agrees(&self, elf: &Elf, file: &ExeFile, pc_header: u64, header: &Header) -> bool {
        use word::*;
        if self.bytes.len() < COUNT * 8 || header.quantum != elf.arch.instruction_bytes() {
            return false;
        }
        let starts = [FUNCNAMETAB, CUTAB, FILETAB, PCTAB, PCLNTABLE].map(|at| self.word(at));
        let tables = self.word(PC_HEADER) == pc_header
            && (starts.iter().zip(header.tables)).all(|(at, offset)| pc_header.checked_add(offset) == Some(*at))
            && self.word(FTAB) == self.word(PCLNTABLE)
            && header.nfunc.checked_add(1) == Some(self.word(FTAB + 1));
        let text = self.text();
        let data = self.data().iter().all(|range| range.start <= range.end);
        let (min, max) = (self.word(MINPC), self.word(MAXPC));
        let code = text.start <= min && min < max && max <= text.end && data;
        tables && code && self.index_fits(elf, file, header.nfunc)
    }

    /// Whether the function table's first and last entry give the module's first and last program counter.
    fn index_fits(&self, elf: &Elf, file: &ExeFile, nfunc: u64) -> bool {
        let ftab = self.word(word::FTAB);
        let offset = |number: u64| {
            let at = ftab.checked_add(number.checked_mul(8)?)?;
            u32_at(&elf.read_vaddr(file, at, 4).ok()?, 0)
        };
        let text = self.word(word::TEXT);
        let first = offset(0).and_then(|off| text.checked_add(off.into()));
        // The end is not compared: with several text sections it does not count from the first.
        first == Some(self.word(word::MINPC)) && offset(0) <= offset(nfunc / 2) && offset(nfunc / 2) <= offset(nfunc)
    }

    fn word(&self, number: usize) -> u64 {
        u64_at(&self.bytes, number.saturating_mul(8)).unwrap_or(0)
    }

    fn text_sections(&self, relocations: &Relocations, types: &dyn TypeSource) -> Option<Vec<TextSection>> {
        let map = types.field("runtime.moduledata", "textsectmap")?.offset;
        let at = usize::try_from(map).ok()?;
        let (addr, len) = (u64_at(&self.bytes, at)?, u64_at(&self.bytes, at.checked_add(8)?)?);
        if len < 2 {
            return None; // offsets count from `text`
        }
        let size = types
            .size_of("runtime.textsect")
            .filter(|size| (24..256).contains(size))?;
        let place = |path| usize::try_from(types.field("runtime.textsect", path)?.offset).ok();
        let (vaddr, end, base) = (place("vaddr")?, place("end")?, place("baseaddr")?);
        let bytes = relocations
            .read_vaddr(addr, len.min(MOST_TEXT_SECTIONS).checked_mul(size)?)
            .ok()?;
        let section = |b: &[u8]| {
            Some(TextSection {
                vaddr: u64_at(b, vaddr)?,
                end: u64_at(b, end)?,
                baseaddr: u64_at(b, base)?,
            })
        };
        bytes.chunks_exact(usize::try_from(size).ok()?).map(section).collect()
    }
}

/// Adds the places in the writable segments that hold `words`.
fn in_words(elf: &Elf, file: &ExeFile, words: [u64; 2], places: &mut Vec<(u64, FoundBy)>) -> Result<()> {
    let needle: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let finder = memchr::memmem::Finder::new(&needle);
    for segment in elf.segments.iter().filter(|s| s.writable) {
        file.scan(segment.offset, segment.filesz, 15, |at, bytes| {
            for hit in finder.find_iter(bytes).take(MOST_TRIED) {
                let addr = segment.vaddr.saturating_add(at).saturating_add(hit as u64);
                if addr.is_multiple_of(8) && places.len() < MOST_TRIED {
                    places.push((addr, FoundBy::Words));
                }
            }
            ControlFlow::<()>::Continue(())
        })?;
    }
    Ok(())
}

/// Adds the places in which the loader puts `words`.
fn in_relocations(relocations: &Relocations, words: [u64; 2], places: &mut Vec<(u64, FoundBy)>) -> Result<()> {
    let found = relocations.places_of(&words)?;
    let [first, second] = words;
    let follows = |at: u64| at.checked_add(8).is_some_and(|next| found.contains(&(next, second)));
    let starts = found.iter().filter(|(at, value)| *value == first && follows(*at));
    places.extend(starts.take(MOST_TRIED).map(|(at, _)| (*at, FoundBy::Relocations)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::elf::tests::image;
    use super::super::file::tests::exe;
    use super::super::pclntab::tests::build;
    use super::*;

    /// A segment that holds a function table and, behind it, the structure that describes it; and where that begins.
    fn module() -> (Vec<u8>, usize, ModuleTables) {
        let built = build(0xffff_fff1);
        let (mut bytes, t) = (built.bytes, built.tables);
        let at = bytes.len().next_multiple_of(8);
        bytes.resize(at, 0);
        let mut words = vec![t.pc_header];
        for table in [t.funcnametab, t.cutab, t.filetab, t.pctab, t.pclntable, t.ftab] {
            words.extend([table.addr, table.len, table.len]);
        }
        words.extend([0, t.minpc, t.maxpc, t.text, t.etext]);
        words.extend([
            0x60_0000, 0x60_0010, 0x60_0010, 0x60_0020, 0x60_0020, 0x60_0030, 0x60_0030, 0x60_0040,
        ]);
        bytes.extend(words.into_iter().flat_map(u64::to_le_bytes));
        (bytes, at, t)
    }

    fn find(bytes: &[u8]) -> Vec<Moduledata> {
        let file = exe(&image(bytes));
        let elf = Elf::parse(&file).unwrap();
        Moduledata::find(&elf, &file, &Relocations::new(&elf, &file)).unwrap()
    }

    #[test]
    fn found_by_its_words_and_read() {
        let (bytes, at, tables) = module();
        let found = find(&bytes);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].addr, found[0].found_by),
            (0x40_1000 + at as u64, FoundBy::Words)
        );
        let file = exe(&image(&bytes));
        let elf = Elf::parse(&file).unwrap();
        let read = found[0].tables(&Relocations::new(&elf, &file), None);
        assert_eq!(read, ModuleTables { gofunc: None, ..tables });
        assert_eq!(found[0].data()[1], 0x60_0010..0x60_0020);
    }

    #[test]
    fn a_module_that_contradicts_its_table_is_not_believed() {
        let (good, at, _) = module();
        use word::*;
        for number in [
            PC_HEADER,
            FUNCNAMETAB,
            CUTAB,
            PCLNTABLE,
            FTAB,
            FTAB + 1,
            MINPC,
            TEXT,
            DATA[0],
        ] {
            let mut bad = good.clone();
            bad[at + number * 8 + 2] ^= 0x80;
            assert_eq!(find(&bad), [], "word {number}");
        }
    }

    #[test]
    fn any_byte_may_be_wrong() {
        let (good, at, _) = module();
        for index in (0..72).chain(at..good.len()) {
            for value in [0, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[index] = value;
                for module in find(&bad) {
                    assert_eq!(module.addr, 0x40_1000 + at as u64);
                }
            }
        }
    }
}
