//! `gomemscan attach`: one scan of a live process.

mod assemble;
mod mappings;
pub mod scan;
