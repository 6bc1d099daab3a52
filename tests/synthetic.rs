//! Made-up Go programs: shapes that no live fixture gives, and broken ones. The builder shares nothing with the crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/synth/mod.rs"]
mod synth;

#[path = "synthetic/analyse.rs"]
mod analyse;
#[path = "synthetic/books.rs"]
mod books;
#[path = "synthetic/corruption.rs"]
mod corruption;
#[path = "synthetic/degrade.rs"]
mod degrade;
#[path = "synthetic/gc.rs"]
mod gc;
#[path = "synthetic/goroutines.rs"]
mod goroutines;
#[path = "synthetic/ledger.rs"]
mod ledger;
#[path = "synthetic/lists.rs"]
mod lists;
#[path = "synthetic/lively.rs"]
mod lively;
#[path = "synthetic/marks.rs"]
mod marks;
#[path = "synthetic/pages.rs"]
mod pages;
#[path = "synthetic/places.rs"]
mod places;
#[path = "synthetic/processors.rs"]
mod processors;
#[path = "synthetic/spans.rs"]
mod spans;
