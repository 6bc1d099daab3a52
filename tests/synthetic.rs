//! Made-up Go programs: shapes that no live fixture gives, and broken ones. The builder shares nothing with the crate.

#[path = "support/synth/mod.rs"]
mod synth;

#[path = "synthetic/books.rs"]
mod books;
