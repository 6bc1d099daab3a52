//! Function names, files, lines and frame sizes from program counters (`runtime/symtab.go`, `cmd/link` pclntab).
//!
//! The tables' addresses come from the live `runtime.moduledata`, their bytes from the file, so that looking up names
//! never pages anything in for the target. All addresses are link-time addresses: the caller removes the load bias.

mod format;
mod inline;
mod model;
mod pc;
mod table;
mod walk;

#[cfg(test)]
pub(in crate::image) mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(in crate::image) use self::format::MAGIC_GO118;
pub(super) use self::format::{Header, in_section, search};
pub use self::model::{Frame, Function, ModuleTables, TextSection};
use self::table::Table;
pub use self::table::TableRef;
pub use self::walk::Named;
use super::bytes::{u8_at, u32_at};
use super::elf::Elf;
use super::file::ExeFile;
use crate::error::Result;

const FLAG_TOP_FRAME: u8 = 1;
const FLAG_SP_WRITE: u8 = 2;
const FLAG_ASM: u8 = 4;

/// The pclntab of one module.
#[derive(Debug)]
pub struct SymbolTable {
    elf: Elf,
    file: ExeFile,
    header: Header,
    at: ModuleTables,
    names: Table,
    compile_units: Table,
    files: Table,
    pc_values: Table,
    functions: Table,
    index: Table,
    known: Mutex<Known>,
}

/// What has been decoded before.
#[derive(Debug, Default)]
struct Known {
    functions: HashMap<u64, Option<Arc<Function>>>,
    names: HashMap<u32, Option<Arc<str>>>,
    files: HashMap<u32, Option<Arc<str>>>,
}

impl SymbolTable {
    /// Binds `tables` to the file. Fails with [`Unsupported`](crate::error::Error::Unsupported) when the table is of
    /// Go 1.17 or older, and with [`Malformed`](crate::error::Error::Malformed) when a table is not in the file.
    pub fn new(elf: &Elf, file: &ExeFile, tables: ModuleTables) -> Result<SymbolTable> {
        let header = Header::read(elf, file, tables.pc_header)?;
        let table = |at, width, name| Table::new(elf, file, at, width, name);
        Ok(SymbolTable {
            names: table(tables.funcnametab, 1, "funcnametab")?,
            compile_units: table(tables.cutab, 4, "cutab")?,
            files: table(tables.filetab, 1, "filetab")?,
            pc_values: table(tables.pctab, 1, "pctab")?,
            functions: table(tables.pclntable, 1, "pclntable")?,
            index: table(tables.ftab, 8, "ftab")?,
            elf: elf.clone(),
            file: file.clone(),
            header,
            at: tables,
            known: Mutex::default(),
        })
    }

    /// The magic in its header, which tells Go 1.19 and older from newer ones.
    pub fn magic(&self) -> u32 {
        self.header.format.magic
    }

    /// The function whose code holds `pc`.
    pub fn function(&self, pc: u64) -> Option<Arc<Function>> {
        self.function_number(self.number_of(pc)?)
    }

    /// The function called `name`, by a walk over all names.
    pub fn function_named(&self, name: &str) -> Option<Arc<Function>> {
        self.functions_where(|n| n == name.as_bytes()).into_iter().next()
    }

    /// All functions whose name `keep` accepts, by address.
    pub fn functions_where(&self, keep: impl Fn(&[u8]) -> bool) -> Vec<Arc<Function>> {
        let wanted = |i: &u64| {
            let record = self.index.u32(i * 8 + 4)?;
            let name = self.functions.u32(u64::from(record).checked_add(4)?)?;
            keep(&self.names.cstr(name.into())?).then_some(())
        };
        (0..self.count())
            .filter(|i| wanted(i).is_some())
            .filter_map(|i| self.function_number(i))
            .collect()
    }

    /// Function, file and line at `pc` as `go tool addr2line` gives them: the function that holds the code, and the
    /// line of the innermost inlined call.
    pub fn lookup(&self, pc: u64) -> Option<Frame> {
        let f = self.function(pc)?;
        Some(self.frame(&f, pc, f.name.clone(), f.start_line, false))
    }

    /// All frames at `pc`, innermost first: the inlined calls, then the function itself. Empty when `pc` is in no Go
    /// function.
    ///
    /// For a return address pass the address minus 1, except below a signal (`runtime.sigpanic`, `asyncPreempt`).
    pub fn frames(&self, pc: u64) -> Vec<Frame> {
        match self.function(pc) {
            Some(f) => self.expand(&f, pc),
            None => Vec::new(),
        }
    }

    /// Bytes between the stack pointer at `pc` and the slot of the return address (amd64) or the caller's stack
    /// pointer (arm64).
    pub fn frame_size(&self, pc: u64) -> Option<u64> {
        let f = self.function(pc)?;
        let table = self.functions.u32(f.record.checked_add(16)?)?;
        u64::try_from(self.pc_value(table, f.entry, pc)?).ok()
    }

    /// Number of functions.
    fn count(&self) -> u64 {
        (self.index.size() / 8).saturating_sub(1)
    }

    /// Index in ftab of the function that holds `pc`.
    fn number_of(&self, pc: u64) -> Option<u64> {
        if pc < self.at.minpc || pc >= self.at.maxpc {
            return None;
        }
        let offset = self.text_offset(pc)?;
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.index.u32(middle.checked_mul(8)?)? <= offset {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low.checked_sub(1)
    }

    fn function_number(&self, number: u64) -> Option<Arc<Function>> {
        if let Some(known) = self.known().functions.get(&number) {
            return known.clone();
        }
        let function = self.decode(number).map(Arc::new);
        self.known().functions.insert(number, function.clone());
        function
    }

    fn decode(&self, number: u64) -> Option<Function> {
        let at = number.checked_mul(8)?;
        let entry = self.address(self.index.u32(at)?)?;
        let end = self.address(self.index.u32(at.checked_add(8)?)?)?;
        let record = u64::from(self.index.u32(at.checked_add(4)?)?);
        // 44 bytes are there for the shorter record too: a function has pcdata, or another function follows.
        let b: [u8; 44] = self.functions.array(record)?;
        let flag = u8_at(&b, self.header.format.func_flag)?;
        Some(Function {
            name: self.name(u32_at(&b, 4)?)?,
            entry,
            end,
            start_line: self.header.format.func_start_line.and_then(|at| u32_at(&b, at)),
            top_frame: flag & FLAG_TOP_FRAME != 0,
            writes_sp: flag & FLAG_SP_WRITE != 0,
            asm: flag & FLAG_ASM != 0,
            record,
        })
    }

    fn name(&self, offset: u32) -> Option<Arc<str>> {
        let mut known = self.known();
        known
            .names
            .entry(offset)
            .or_insert_with(|| string(&self.names, offset))
            .clone()
    }

    /// The frame of `f` at `pc`, called `function`.
    fn frame(&self, f: &Function, pc: u64, function: Arc<str>, start_line: Option<u32>, inlined: bool) -> Frame {
        let value = |at: u64| self.pc_value(self.functions.u32(f.record.checked_add(at)?)?, f.entry, pc);
        let line = value(24)
            .and_then(|line| u32::try_from(line).ok())
            .filter(|line| *line > 0);
        let file = value(20).and_then(|number| self.file_name(f, u32::try_from(number).ok()?));
        Frame {
            function,
            entry: f.entry,
            file,
            line,
            start_line,
            inlined,
        }
    }

    /// Name of the file that is number `number` in `f`'s compilation unit.
    fn file_name(&self, f: &Function, number: u32) -> Option<Arc<str>> {
        let unit = self.functions.u32(f.record.checked_add(32)?)?;
        let offset = self
            .compile_units
            .u32(u64::from(unit.checked_add(number)?).checked_mul(4)?)?;
        if offset == u32::MAX {
            return None;
        }
        let mut known = self.known();
        known
            .files
            .entry(offset)
            .or_insert_with(|| string(&self.files, offset))
            .clone()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn string(table: &Table, offset: u32) -> Option<Arc<str>> {
    table
        .cstr(offset.into())
        .map(|bytes| String::from_utf8_lossy(&bytes).into())
}
