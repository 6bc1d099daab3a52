//! What `doctor` foresees is what `attach` then meets: both run in the same situation, made for real, and must end with
//! the same exit code. Most situations take root to make; without it they are left out, and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod filters;
mod guest;
mod situations;
mod tool;
