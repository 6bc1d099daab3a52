//! Made-up Go programs: shapes that no live fixture gives, and broken ones. The builder shares nothing with the crate.

#[path = "support/synth/mod.rs"]
mod synth;

#[path = "synthetic/analyse.rs"]
mod analyse;
#[path = "synthetic/books.rs"]
mod books;
#[path = "synthetic/marks.rs"]
mod marks;
#[path = "synthetic/places.rs"]
mod places;
#[path = "synthetic/spans.rs"]
mod spans;
