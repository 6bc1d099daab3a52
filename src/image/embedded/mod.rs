//! Layouts of the Go runtime for binaries without debug information: what the DWARF of an empty program says, for every
//! release, architecture and layout-moving experiment that the generator (`fixtures/layouts/`) could build.
//!
//! The table is `layouts.txt`, compiled in. [`Releases::exact`] and [`Releases::candidates`] choose a [`LayoutId`], whose
//! [`EmbeddedTypes`] answer like the debug information would. [`Releases::fingerprint`] tells the minor release of a
//! program that does not name it.

mod choose;
mod fingerprint;
mod release;
mod table;
mod types;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use self::choose::LayoutId;
pub use self::release::{Basis, Release};
pub use self::table::{Releases, TableError};
pub use self::types::EmbeddedTypes;

static TEXT: &str = include_str!("layouts.txt");

static RELEASES: LazyLock<Releases> = LazyLock::new(|| Releases::parse(TEXT).unwrap_or_default());

impl Releases {
    /// The table that is compiled in, read when first asked for.
    pub fn load() -> &'static Releases {
        &RELEASES
    }
}
