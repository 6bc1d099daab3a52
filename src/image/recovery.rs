//! What a binary without debug information says of its runtime: its module, its function names, what the code of the
//! runtime refers to, and the release that it names in its data.

use std::fmt;

use super::elf::Elf;
use super::file::ExeFile;
use super::moduledata::Moduledata;
use super::pclntab::SymbolTable;
use super::recover::{Recovered, References, build_version, elect};
use super::relocations::Relocations;
use super::types::TypeSource;
use super::version::GoVersion;
use crate::error::Result;

/// The runtime of one file, read without symbols.
pub struct Recovery {
    elf: Elf,
    file: ExeFile,
    relocations: Relocations,
    module: Moduledata,
    symbols: SymbolTable,
    references: References,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

impl Recovery {
    /// Reads `file`; `None` when no pclntab and module data of Go 1.18 or later are found in it. Fails with
    /// [`Io`](crate::error::Error::Io) or [`Malformed`](crate::error::Error::Malformed) when it cannot be read.
    pub fn read(elf: &Elf, file: &ExeFile) -> Result<Option<Recovery>> {
        let relocations = Relocations::new(elf, file);
        let Some(module) = Moduledata::find(elf, file, &relocations)?.into_iter().next() else {
            return Ok(None);
        };
        let symbols = SymbolTable::new(elf, file, module.tables(&relocations, None))?;
        let references = References::collect(elf, file, &symbols, &module)?;
        Ok(Some(Recovery {
            elf: elf.clone(),
            file: file.clone(),
            relocations,
            module,
            symbols,
            references,
        }))
    }

    /// The runtime's variables, as far as enough of its functions agree on them. `types` says where fields lie; the more
    /// of them dissent, the less it is the layout of this binary.
    pub fn variables(&self, types: &dyn TypeSource) -> Recovered {
        elect(&self.references, &self.module, types)
    }

    /// Whether a function of this name is in the program.
    pub fn has_function(&self, name: &str) -> bool {
        self.references.named(name).next().is_some() || self.symbols.function_named(name).is_some()
    }

    /// The magic of its pclntab (runtime/symtab.go `pcHeader`).
    pub fn magic(&self) -> u32 {
        self.symbols.magic()
    }

    /// The release in `runtime.buildVersion`.
    pub fn build_version(&self) -> Option<GoVersion> {
        let found = build_version(&self.elf, &self.file, &self.relocations, &self.references)?;
        GoVersion::parse(&found.text)
    }
}
