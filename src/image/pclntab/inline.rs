//! Calls that the compiler inlined, from a function's inline tree (`runtime/symtabinl.go`): PCDATA 2 gives the
//! innermost call at a pc, FUNCDATA 3 the tree.

use super::super::bytes::u32_at;
use super::{Frame, Function, SymbolTable};

const PCDATA_INLINE_TREE_INDEX: u64 = 2;
const FUNCDATA_INLINE_TREE: u64 = 3;
/// Deepest nesting followed.
const MAX_DEPTH: usize = 256;
const NO_FUNCDATA: u32 = u32::MAX;

/// One `inlinedCall`.
struct Call {
    name: u32,
    /// Offset from the function's entry of an instruction at the call site.
    parent_pc: u32,
    start_line: Option<u32>,
}

impl SymbolTable {
    /// The frames of `f` at `pc`, innermost first; the last is `f` itself.
    pub(super) fn expand(&self, f: &Function, mut pc: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        if let Some(tree) = self.funcdata(f, FUNCDATA_INLINE_TREE) {
            while frames.len() < MAX_DEPTH
                && let Some(call) = self.inlined_at(f, tree, pc)
                && let Some(name) = self.name(call.name)
                && let Some(parent) = f.entry.checked_add(call.parent_pc.into())
            {
                frames.push(self.frame(f, pc, name, call.start_line, true));
                pc = parent;
            }
        }
        frames.push(self.frame(f, pc, f.name.clone(), f.start_line, false));
        frames
    }

    /// The innermost inlined call at `pc`, when there is one.
    fn inlined_at(&self, f: &Function, tree: u64, pc: u64) -> Option<Call> {
        let index = u64::try_from(self.pcdata(f, PCDATA_INLINE_TREE_INDEX, pc)?).ok()?;
        let format = self.header.format;
        let at = tree.checked_add(index.checked_mul(format.inlined_len)?)?;
        let record = self.elf.read_vaddr(&self.file, at, format.inlined_len).ok()?;
        Some(Call {
            name: u32_at(&record, format.inlined_name)?,
            parent_pc: u32_at(&record, format.inlined_parent_pc)?,
            start_line: format.inlined_start_line.and_then(|at| u32_at(&record, at)),
        })
    }

    /// Value at `pc` of `f`'s pcdata table number `number`.
    fn pcdata(&self, f: &Function, number: u64, pc: u64) -> Option<i32> {
        let count = u64::from(self.functions.u32(f.record.checked_add(28)?)?);
        if number >= count {
            return None;
        }
        let at = f
            .record
            .checked_add(self.header.format.func_len)?
            .checked_add(number * 4)?;
        self.pc_value(self.functions.u32(at)?, f.entry, pc)
    }

    /// Link-time address of `f`'s funcdata number `number`.
    fn funcdata(&self, f: &Function, number: u64) -> Option<u64> {
        let format = self.header.format;
        let pcdata = u64::from(self.functions.u32(f.record.checked_add(28)?)?);
        let flag = f.record.checked_add(format.func_flag as u64)?;
        let [count] = self.functions.array(flag.checked_add(2)?)?;
        if number >= u64::from(count) {
            return None;
        }
        let after = f
            .record
            .checked_add(format.func_len)?
            .checked_add(pcdata.checked_mul(4)?)?;
        let offset = self.functions.u32(after.checked_add(number * 4)?)?;
        if offset == NO_FUNCDATA {
            None
        } else {
            self.at.gofunc?.checked_add(offset.into())
        }
    }
}
