//! Fuzz targets for whatever reads bytes that a target or its files can choose. Here they run for a moment, the same way
//! each time; `tests/fuzz/run TARGET SECONDS` runs one for longer, guided by coverage. Seeds lie in a folder for each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, unused_imports, reason = "one target uses a part")]
#[path = "../support/synth/mod.rs"]
mod synth;

#[path = "../synthetic/lively.rs"]
mod lively;

mod bound;
mod buildinfo;
mod captured;
mod container;
mod damage;
mod dwarf;
mod edits;
mod elf;
mod harness;
#[cfg(not(fuzzing))]
mod mutate;
mod pclntab;
mod procfs;
mod recovery;
mod report;
mod synthetic;
mod tables;

#[global_allocator]
static ALLOCATOR: bound::Counting = bound::Counting;
