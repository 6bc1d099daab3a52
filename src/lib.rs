//! gomemscan: where the memory of a live Go process is, and why it stays there.
//!
//! A scan is one trip from left to right: a [`target`] is opened, its [`image`] read, the runtime's globals located,
//! bytes captured in a short pause, then decoded ([`goruntime`]), analysed ([`analysis`]) and reported ([`report`]).
//! Dependencies between these rooms point down only; `tests/layers.rs` holds them to it.

pub mod analysis;
pub mod cli;
pub mod error;
pub mod goruntime;
pub mod image;
pub mod memory;
pub mod model;
pub mod report;
pub mod spare;
pub mod target;
pub mod units;
