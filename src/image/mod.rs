//! The target's binary: ELF, DWARF, build info and pclntab. Reads files; knows no process.

pub mod types;
