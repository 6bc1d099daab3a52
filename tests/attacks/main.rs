//! Attacks on the tool while it scans a busy Go program: killed, stopped, cut off from its terminal, its pipe, its disk,
//! its memory, its CPU, its system calls. Whatever happens to it, the program runs on as before, and the tool ends with
//! a code that the contract names.
//!
//! A few of each kind run with the other tests. All of them, with the command as it is shipped:
//!
//!     cargo build --release
//!     GOMEMSCAN_TOOL=target/release/gomemscan GOMEMSCAN_ATTACKS=full cargo test --test attacks -- --nocapture
//!
//! Instants are random; `GOMEMSCAN_SEED` repeats those of a run, whose seed is printed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod arena;
mod chance;
mod faults;
mod limits;
mod outlets;
mod signals;
mod supervisor;
mod targets;
mod tool;
mod victim;
