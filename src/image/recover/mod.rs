//! Addresses of the runtime's variables in a binary without symbols and debug information.
//!
//! pclntab still names every function, and the code of the runtime names its variables. What its functions refer to is
//! decoded ([`References`]) and compared with what is known about them (`anchors`): calls of methods on a variable, a
//! variable's place in the order of a function's references, and sets of fields that a function names. Many functions
//! speak of every variable; an address is accepted only when they agree. The offsets of fields come from a
//! [`TypeSource`], whose fitness shows in how far they agree.

mod amd64;
mod anchors;
mod arm64;
mod events;
mod references;
mod votes;

use self::anchors::ANCHORS;
pub use self::references::{References, Referrer};
use self::votes::Election;
pub use self::votes::Evidence;
use super::elf::Elf;
use super::file::ExeFile;
use super::moduledata::Moduledata;
use super::pclntab::SymbolTable;
use super::types::TypeSource;
use crate::error::Result;

/// The variables found, and what speaks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    evidence: Vec<Evidence>,
}

/// How far the functions agree: the more for and the fewer against, the better the layout fits that gave the offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Sum over all variables of the functions that speak for the address found.
    pub votes: usize,
    /// Sum of those that speak against it.
    pub dissent: usize,
    /// Variables found.
    pub found: usize,
}

/// Finds the variables of the runtime in `module`: [`References::collect`] and [`elect`] in one. Fails with
/// [`Io`](crate::error::Error::Io) when the file cannot be read.
pub fn recover(
    elf: &Elf,
    file: &ExeFile,
    symbols: &SymbolTable,
    module: &Moduledata,
    types: &dyn TypeSource,
) -> Result<Recovered> {
    let references = References::collect(elf, file, symbols, module)?;
    Ok(elect(&references, module, types))
}

/// Finds the variables by `references`, with the offsets of `types`. Cheap compared to collecting: made to be asked
/// again with other layouts.
pub fn elect(references: &References, module: &Moduledata, types: &dyn TypeSource) -> Recovered {
    let variables = references::Variables::of(module);
    let possible = |addr: u64| variables.contain(addr);
    let evidence = |anchors: &'static anchors::Anchors| {
        let offset = |path: &str| match path {
            "" => Some(0),
            path => path
                .split('|')
                .find_map(|path| types.field(anchors.root, path))
                .map(|f| f.offset),
        };
        let mut election = Election::new(anchors.name);
        election.hear_receivers(anchors, references, &offset, &possible);
        election.hear_anchors(anchors, references, &offset, &possible);
        if anchors.name == "runtime.firstmoduledata" {
            election.hear("moduledata", vec![module.addr]);
        }
        election.close()
    };
    Recovered {
        evidence: ANCHORS.iter().map(evidence).collect(),
    }
}

impl Recovered {
    /// Link-time address of variable `name` ("runtime.mheap_").
    pub fn global(&self, name: &str) -> Option<u64> {
        self.evidence(name)?.address
    }

    /// What speaks for the address of variable `name`; `None` when it is not one that is looked for.
    pub fn evidence(&self, name: &str) -> Option<&Evidence> {
        self.evidence.iter().find(|e| e.name == name)
    }

    /// What speaks for every variable that was looked for.
    pub fn all(&self) -> &[Evidence] {
        &self.evidence
    }

    /// The variables that were not found. Two of them have to be: `runtime.fingRunning` is of Go 1.19 and older,
    /// `runtime.fingStatus` of later releases.
    pub fn missing(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter().filter(|e| e.address.is_none())
    }

    /// How far the functions agree, for comparing layouts.
    pub fn agreement(&self) -> Agreement {
        Agreement {
            votes: self.evidence.iter().map(|e| e.votes).sum(),
            dissent: self.evidence.iter().map(|e| e.dissent).sum(),
            found: self.evidence.iter().filter(|e| e.address.is_some()).count(),
        }
    }
}

/// Every (root, path) that [`elect`] may ask of a [`TypeSource`]; some paths are of some releases only.
pub fn queries() -> impl Iterator<Item = (&'static str, &'static str)> {
    ANCHORS.iter().flat_map(|anchors| {
        let receivers = anchors.receivers.iter().map(|(_, path)| *path);
        let nth = anchors.nth.iter().map(|(_, _, path)| *path);
        let among = anchors.among.iter().flat_map(|(_, paths)| paths.iter().copied());
        let paths = receivers.chain(nth).chain(among).flat_map(|path| path.split('|'));
        paths.filter(|path| !path.is_empty()).map(|path| (anchors.root, path))
    })
}
