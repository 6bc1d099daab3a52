//! The target's binary: ELF, DWARF, build info and pclntab. Reads files; knows no process.
//!
//! [`Image::open`] gathers what one executable says about itself. Everything in the file is untrusted: sizes are
//! checked before memory is taken, and what cannot be read degrades to a warning or a typed absence.

mod buildinfo;
mod bytes;
mod debugfile;
mod dwarf;
mod elf;
pub mod embedded;
mod file;
mod identify;
mod module;
mod moduledata;
mod pclntab;
pub mod recover;
mod recovery;
mod relocations;
pub mod symtab;
pub mod types;
mod version;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::buildinfo::BuildInfo;
pub use self::debugfile::{DebugFilePlace, NotUsed};
pub use self::dwarf::{DebugInfo, NoDebugInfo};
pub use self::elf::{Arch, Elf, Section, Segment};
pub use self::file::ExeFile;
pub use self::identify::{Hindrance, ProgramKind};
pub use self::module::{GoModule, RuntimePlace};
pub use self::moduledata::{FoundBy, Moduledata};
pub use self::pclntab::{Frame, Function, ModuleTables, Named, SymbolTable, TableRef, TextSection};
pub use self::recovery::Recovery;
pub use self::relocations::Relocations;
pub use self::version::GoVersion;
use crate::error::Result;

/// One executable and what it says about itself.
#[derive(Debug)]
pub struct Image {
    /// The file; clones share its handle.
    pub file: ExeFile,
    /// Segments, sections, notes.
    pub elf: Arc<Elf>,
    /// How it was built; `None` when it is not a Go program.
    pub build: Option<BuildInfo>,
    /// The runtime's types and globals, or why there are none. Holds some megabytes of debug information: take it
    /// out and drop it once the layout is resolved.
    pub debug: std::result::Result<DebugInfo, NoDebugInfo>,
    /// The separate file that `debug` was read from, when it was not this one.
    pub debug_file: Option<PathBuf>,
    /// What was wrong with the file but could be done without.
    pub warnings: Vec<String>,
}

impl Image {
    /// Reads the executable in `file`, which came from `/proc/PID/exe`; `display_path` is what messages call it.
    ///
    /// Debug information is only read when it is a Go program. Fails when it is no executable of a supported kind
    /// ([`Unsupported`](crate::error::Error::Unsupported)), has broken headers
    /// ([`Malformed`](crate::error::Error::Malformed)) or cannot be read ([`Io`](crate::error::Error::Io)).
    pub fn open(file: File, display_path: PathBuf) -> Result<Image> {
        let file = ExeFile::new(file, display_path)?;
        let elf = Arc::new(Elf::parse(&file)?);
        let build = BuildInfo::read(&elf, &file);
        let debug = match build {
            Some(_) => DebugInfo::read(elf.clone(), &file),
            None => Err(NoDebugInfo::NoRuntime),
        };
        let mut warnings = elf.warnings.clone();
        warnings.extend(debug.iter().flat_map(DebugInfo::warnings));
        Ok(Image {
            file,
            elf,
            build,
            debug,
            debug_file: None,
            warnings,
        })
    }

    /// The path that messages call it by.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What the program is when [`build`](Image::build) is `None`. For messages; never fails.
    pub fn kind_of_program(&self) -> ProgramKind {
        identify::identify(&self.elf, &self.file)
    }

    /// The magic of its function table, when no Go release writes such a one: it was obfuscated.
    pub fn unknown_magic(&self) -> Option<u32> {
        identify::unknown_magic(&self.elf, &self.file)
    }

    /// `len` bytes at link-time address `vaddr`, as on disk. See [`Elf::read_vaddr`].
    pub fn read_vaddr(&self, vaddr: u64, len: u64) -> Result<Vec<u8>> {
        self.elf.read_vaddr(&self.file, vaddr, len)
    }
}
