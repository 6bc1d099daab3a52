//! What integration tests share: Go toolchains fetched and pinned, fixture programs built with them, and running
//! fixtures to talk to. Everything here may panic, with a message that names the remedy.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support fails loudly"
)]

pub mod archive;
pub mod cache;
pub mod fetch;
#[cfg(test)]
pub mod figures;
pub mod fixtures;
pub mod host;
pub mod process;
pub mod recorder;
#[cfg(test)]
pub mod scan;
#[cfg(test)]
pub mod schema;
pub mod symbols;
pub mod toolchains;
