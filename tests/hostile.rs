//! Programs that mean harm, or are broken: one that damages its own runtime structures while it is scanned, and ones
//! that only pretend to be Go. Whatever they do, a scan ends soon, with an exit code that is documented, without a panic,
//! with little memory, and leaves nobody stopped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

#[path = "hostile/damaged.rs"]
mod damaged;
#[path = "hostile/pretending.rs"]
mod pretending;
#[path = "hostile/scans.rs"]
mod scans;
