//! Where a layout and the addresses of globals come from, and how far they can be trusted.

use std::fmt;

/// What describes the runtime's structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutFrom {
    /// The DWARF of the binary itself.
    Dwarf,
    /// The DWARF of its separate debug file.
    DebugFile,
    /// The table of releases that is compiled in.
    Table,
}

/// What says where globals lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressesFrom {
    /// The same DWARF as the layout.
    Dwarf,
    /// The ELF symbol table.
    Symtab,
    /// The runtime's own code, decoded.
    Code,
}

/// Whether the layout is the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// It is that of the target's own binary, or of its very release.
    Exact,
    /// Its very release was not looked at, but those before and after it have this same layout.
    Inferred,
    /// It is that of a release near the target's: every figure must agree with the runtime's own accounts.
    Near,
    /// The release is newer than any that this tool was verified on.
    Beyond,
    /// The target does not say of which release it is.
    Unnamed,
}

/// How a runtime was located.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// What describes its structures.
    pub layout: LayoutFrom,
    /// What says where its globals lie.
    pub addresses: AddressesFrom,
    /// The release that the layout belongs to, as people say it: "go1.24.4", "go1.24.4 to go1.24.11".
    pub release: Option<String>,
    /// Whether that is the target's.
    pub certainty: Certainty,
}

impl Provenance {
    /// Whether the layout comes from debug information of the target.
    pub fn is_own(&self) -> bool {
        self.layout != LayoutFrom::Table
    }

    /// Whether the layout is that of the target's very release.
    pub fn is_of_release(&self) -> bool {
        matches!(self.certainty, Certainty::Exact | Certainty::Inferred)
    }

    /// Whether a report is only right when all accounts agree: the layout is a guess.
    pub fn must_agree(&self) -> bool {
        !self.is_own() && !self.is_of_release()
    }
}

impl fmt::Display for Provenance {
    /// For messages: "the layout of go1.24.4".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.release {
            Some(release) => write!(f, "the layout of {release}"),
            None => f.write_str("its layout"),
        }
    }
}
