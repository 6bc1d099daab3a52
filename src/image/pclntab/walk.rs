//! All functions in the order of their code, without keeping what was read: for searching, where [`SymbolTable`]'s
//! other lookups keep every window they touch.

use std::ops::ControlFlow;

use super::super::bytes::{cstr_at, u32_at};
use super::SymbolTable;
use super::table::Table;

/// One function as a walk shows it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Full name, as in the file.
    pub name: &'a [u8],
    /// Link-time address of its first instruction.
    pub entry: u64,
    /// Link-time address of the next function.
    pub end: u64,
}

impl SymbolTable {
    /// Shows every function to `visit`, in the order of the function table, until it breaks. Functions whose record
    /// or name cannot be read are left out.
    pub fn walk(&self, mut visit: impl FnMut(Named<'_>) -> ControlFlow<()>) {
        let mut index = Recent::new(&self.index);
        let mut functions = Recent::new(&self.functions);
        let mut names = Recent::new(&self.names);
        let Some(mut offset) = index.u32(0) else { return };
        for number in 0..self.count() {
            let at = number.saturating_mul(8);
            let (Some(record), Some(next)) = (index.u32(at.saturating_add(4)), index.u32(at.saturating_add(8))) else {
                return;
            };
            let (start, end) = (self.address(offset), self.address(next));
            offset = next;
            let name = functions.u32(u64::from(record).saturating_add(4));
            let (Some(entry), Some(end), Some(name)) = (start, end, name.and_then(|name| names.cstr(name.into())))
            else {
                continue;
            };
            if visit(Named { name, entry, end }).is_break() {
                return;
            }
        }
    }
}

/// The part of a table read last.
struct Recent<'a> {
    table: &'a Table,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Recent<'a> {
    fn new(table: &'a Table) -> Recent<'a> {
        Recent {
            table,
            start: 0,
            bytes: Vec::new(),
        }
    }

    fn u32(&mut self, at: u64) -> Option<u32> {
        let into = |recent: &Recent<'_>| usize::try_from(at.checked_sub(recent.start)?).ok();
        if let Some(value) = into(self).and_then(|into| u32_at(&self.bytes, into)) {
            return Some(value);
        }
        self.fill(at)?;
        u32_at(&self.bytes, into(self)?)
    }

    fn cstr(&mut self, at: u64) -> Option<&[u8]> {
        let into = |recent: &Recent<'_>| usize::try_from(at.checked_sub(recent.start)?).ok();
        let here = into(self).filter(|into| cstr_at(&self.bytes, *into).is_some());
        if here.is_none() {
            self.fill(at)?;
        }
        cstr_at(&self.bytes, into(self)?)
    }

    /// Reads the table from `at` on.
    fn fill(&mut self, at: u64) -> Option<()> {
        self.start = at;
        self.table.read_at(at, &mut self.bytes)
    }
}
