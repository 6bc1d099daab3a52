//! What the functions of the runtime refer to: found by walking the function table for their names and decoding their
//! code, once.

use std::ops::{ControlFlow, Range};

use super::super::elf::{Arch, Elf};
use super::super::file::ExeFile;
use super::super::moduledata::Moduledata;
use super::super::pclntab::SymbolTable;
use super::events::Event;
use super::{amd64, arm64};
use crate::error::Result;

/// Functions of the package, at most. Go 1.27 has some 3000 with everything linked.
const MOST_FUNCTIONS: usize = 16 << 10;
/// Bytes of names, at most.
const MOST_NAMES: usize = 2 << 20;
/// Longest code of one function that is looked at, bytes.
const MOST_CODE: u64 = 64 << 10;
/// Code decoded in all, at most, bytes.
const MOST_CODE_IN_ALL: u64 = 8 << 20;
/// Code read at once, bytes.
const BATCH: u64 = 256 << 10;
/// The linker lays code out by package. After so many other functions the walk ends, if it saw enough of the runtime.
const PAST: usize = 4096;
const ENOUGH: usize = 500;

/// The functions of package runtime and what their code refers to.
#[derive(Debug, Default)]
pub struct References {
    names: String,
    functions: Vec<Function>,
    data: Vec<u64>,
    near: Vec<u64>,
    calls: Vec<(u64, u64)>,
    /// Numbers of functions, by name.
    by_name: Vec<u32>,
    decoded: u64,
}

#[derive(Debug)]
struct Function {
    name: Range<usize>,
    entry: u64,
    end: u64,
    data: Range<usize>,
    near: Range<usize>,
    calls: Range<usize>,
}

/// One function: what its code refers to, in order.
#[derive(Clone, Copy, Debug)]
pub struct Referrer<'a> {
    /// Full name, "runtime.(*mheap).alloc".
    pub name: &'a str,
    /// The addresses inside the module's variables (or `moduledata`) that it names.
    pub data: &'a [u64],
    /// Such addresses that it computes from those.
    pub near: &'a [u64],
    /// Its direct calls that pass such an address first: entry of the function called, and the address.
    pub calls: &'a [(u64, u64)],
}

impl References {
    /// Decodes the functions of package runtime that `symbols` knows. Functions that cannot be read are left out; fails
    /// with [`Io`](crate::error::Error::Io) when the file cannot be read.
    pub fn collect(elf: &Elf, file: &ExeFile, symbols: &SymbolTable, module: &Moduledata) -> Result<References> {
        let mut all = References::default();
        all.find_functions(symbols, &module.text());
        let variables = Variables::of(module);
        let mut next = 0;
        while let Some(first) = all.functions.get(next) {
            let start = first.entry;
            let batch = all.functions.get(next..).unwrap_or_default();
            let fits = |f: &&Function| f.end.saturating_sub(start) <= BATCH;
            let count = batch.iter().take_while(fits).count().max(1);
            let end = batch
                .get(count - 1)
                .map_or(start, |f| f.end)
                .min(start.saturating_add(BATCH));
            let room = MOST_CODE_IN_ALL.saturating_sub(all.decoded);
            if let Some((offset, left)) = elf.vaddr_to_offset(start) {
                let code = file.read(offset, (end - start).min(left).min(room))?;
                all.decoded = all.decoded.saturating_add(code.len() as u64);
                for number in next..next + count {
                    all.decode(elf.arch, number, start, &code, &variables);
                }
            }
            next += count;
        }
        Ok(all)
    }

    /// Every function, by address.
    pub fn iter(&self) -> impl Iterator<Item = Referrer<'_>> {
        self.functions.iter().map(|f| self.referrer(f))
    }

    /// The functions called `name`: one, or two when it has a wrapper for the other calling convention.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Referrer<'_>> {
        let key = |number: &u32| self.functions.get(*number as usize).map_or("", |f| self.name(f));
        let start = self.by_name.partition_point(|number| key(number) < name);
        let rest = self.by_name.get(start..).unwrap_or_default();
        rest.iter()
            .take_while(move |number| key(number) == name)
            .filter_map(|number| self.functions.get(*number as usize))
            .map(|f| self.referrer(f))
    }

    /// Entries of the functions whose name begins with `start`.
    pub fn starting_with<'a>(&'a self, start: &'a str) -> impl Iterator<Item = u64> + 'a {
        let entry = move |f: &Function| self.name(f).starts_with(start).then_some(f.entry);
        self.functions.iter().filter_map(entry)
    }

    /// Name of the function that begins at `entry`.
    pub fn name_at(&self, entry: u64) -> Option<&str> {
        let number = self.functions.binary_search_by_key(&entry, |f| f.entry).ok()?;
        self.functions.get(number).map(|f| self.name(f))
    }

    /// Bytes of code decoded.
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded
    }

    fn name(&self, f: &Function) -> &str {
        self.names.get(f.name.clone()).unwrap_or_default()
    }

    fn referrer<'a>(&'a self, f: &Function) -> Referrer<'a> {
        Referrer {
            name: self.name(f),
            data: self.data.get(f.data.clone()).unwrap_or_default(),
            near: self.near.get(f.near.clone()).unwrap_or_default(),
            calls: self.calls.get(f.calls.clone()).unwrap_or_default(),
        }
    }

    /// Names and ranges of the package's functions, sorted by address.
    fn find_functions(&mut self, symbols: &SymbolTable, text: &Range<u64>) {
        let mut past = 0;
        symbols.walk(|function| {
            let inside = text.start <= function.entry && function.entry < function.end && function.end <= text.end;
            if !function.name.starts_with(b"runtime.") || !inside {
                past += 1;
                return match past > PAST && self.functions.len() >= ENOUGH {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                };
            }
            past = 0;
            let start = self.names.len();
            if self.functions.len() >= MOST_FUNCTIONS || start + function.name.len() > MOST_NAMES {
                return ControlFlow::Break(());
            }
            if let Ok(name) = std::str::from_utf8(function.name) {
                self.names.push_str(name);
                self.functions.push(Function {
                    name: start..self.names.len(),
                    entry: function.entry,
                    end: function.end,
                    data: 0..0,
                    near: 0..0,
                    calls: 0..0,
                });
            }
            ControlFlow::Continue(())
        });
        self.functions.sort_unstable_by_key(|f| f.entry);
        let mut by_name: Vec<u32> = (0..self.functions.len())
            .filter_map(|n| u32::try_from(n).ok())
            .collect();
        by_name.sort_by_key(|number| self.functions.get(*number as usize).map_or("", |f| self.name(f)));
        self.by_name = by_name;
    }

    /// Takes function `number` apart; `code` begins at address `start`.
    fn decode(&mut self, arch: Arch, number: usize, start: u64, code: &[u8], variables: &Variables) {
        let Some(function) = self.functions.get_mut(number) else {
            return;
        };
        let from = usize::try_from(function.entry.saturating_sub(start)).unwrap_or(usize::MAX);
        let len = function.end.saturating_sub(function.entry).min(MOST_CODE);
        let to = from.saturating_add(usize::try_from(len).unwrap_or(0)).min(code.len());
        let code = code.get(from..to).unwrap_or_default();
        let (data, near, calls) = (self.data.len(), self.near.len(), self.calls.len());
        let sink = |event| match event {
            Event::Data(addr) if variables.contain(addr) => self.data.push(addr),
            Event::Near(addr) if variables.contain(addr) => self.near.push(addr),
            Event::Call {
                callee,
                receiver: Some(receiver),
            } if variables.contain(receiver) => self.calls.push((callee, receiver)),
            _ => {}
        };
        match arch {
            Arch::Amd64 => amd64::decode(code, function.entry, sink),
            Arch::Arm64 => arm64::decode(code, function.entry, sink),
        }
        function.data = data..self.data.len();
        function.near = near..self.near.len();
        function.calls = calls..self.calls.len();
    }
}

/// Where the module's variables are: several ranges, for external linkers put other things between them.
pub(super) struct Variables([Range<u64>; 5]);

impl Variables {
    pub(super) fn of(module: &Moduledata) -> Variables {
        let [a, b, c, d] = module.data();
        // Since Go 1.26 the structure has a section of its own, outside of the four.
        Variables([a, b, c, d, module.addr..module.addr.saturating_add(8)])
    }

    pub(super) fn contain(&self, addr: u64) -> bool {
        self.0.iter().any(|range| range.contains(&addr))
    }
}
