//! Stopping and reading real processes: the target gets its bytes read and notices nothing else. The targets are this
//! test binary itself, started again in a role of `roles`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod gone;
mod held;
mod reading;
mod refused;
mod released;
mod roles;
mod support;
