//! The `gomemscan` command: everything is in the library.
fn main() {}
