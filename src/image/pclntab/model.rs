//! What the function table is asked with and what it answers.

use std::sync::Arc;

use super::TableRef;

/// One entry of `moduledata.textsectmap`: the part `vaddr..end` of the text, counted from its start as the linker
/// laid it out, begins at `baseaddr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSection {
    /// First offset.
    pub vaddr: u64,
    /// Offset behind the last.
    pub end: u64,
    /// Link-time address of the first offset.
    pub baseaddr: u64,
}

/// Where a module's tables are: values of `runtime.moduledata`, load bias removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleTables {
    /// Address of the `pcHeader`.
    pub pc_header: u64,
    /// Bytes.
    pub funcnametab: TableRef,
    /// 32-bit integers.
    pub cutab: TableRef,
    /// Bytes.
    pub filetab: TableRef,
    /// Bytes.
    pub pctab: TableRef,
    /// Bytes.
    pub pclntable: TableRef,
    /// Pairs of 32-bit integers; the last marks the end.
    pub ftab: TableRef,
    /// Start of the text.
    pub text: u64,
    /// End of the text.
    pub etext: u64,
    /// First program counter of any function.
    pub minpc: u64,
    /// Behind the last program counter of any function.
    pub maxpc: u64,
    /// Base of funcdata offsets; without it inlined calls are not expanded.
    pub gofunc: Option<u64>,
    /// Several text sections, in very large binaries; one or none otherwise.
    pub textsectmap: Vec<TextSection>,
}

/// A function of the binary (not an inlined one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Full name, "runtime.(*mheap).alloc".
    pub name: Arc<str>,
    /// Link-time address of its first instruction.
    pub entry: u64,
    /// Link-time address of the next function.
    pub end: u64,
    /// Line of its `func` keyword; unknown before Go 1.20.
    pub start_line: Option<u32>,
    /// The outermost frame of a stack (`FuncFlagTopFrame`): unwinding ends here.
    pub top_frame: bool,
    /// Writes the stack pointer in a way its frame size does not tell (`FuncFlagSPWrite`).
    pub writes_sp: bool,
    /// Written in assembly.
    pub asm: bool,
    /// Offset of its `_func` in pclntable.
    pub(super) record: u64,
}

/// One frame of a call stack at some program counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Full name of the function.
    pub function: Arc<str>,
    /// Link-time entry address of the function whose code it is; for an inlined frame, the one it was inlined into.
    pub entry: u64,
    /// Source file as the compiler recorded it.
    pub file: Option<Arc<str>>,
    /// Line in it, from 1.
    pub line: Option<u32>,
    /// Line of the function's `func` keyword; unknown before Go 1.20.
    pub start_line: Option<u32>,
    /// Whether the call was inlined into the next frame.
    pub inlined: bool,
}
