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
mod build_version;
mod events;
mod references;
mod votes;

use std::ops::Range;

use self::anchors::{ANCHORS, Anchors, NEIGHBOURS};
pub use self::build_version::{BuildVersion, build_version};
use self::references::Variables;
pub use self::references::{References, Referrer};
pub use self::votes::Evidence;
use self::votes::{Asked, Election};
use super::elf::Elf;
use super::file::ExeFile;
use super::moduledata::Moduledata;
use super::pclntab::SymbolTable;
use super::types::TypeSource;
use crate::error::Result;

const FIRSTMODULEDATA: &str = "runtime.firstmoduledata";
const MOST_ROUNDS: usize = 4;
/// Most bytes that one variable may keep others from; `mheap_` has some 150000.
const MOST_EXTENT: u64 = 1 << 20;

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
    /// Sum of those of which something is known that holds for no address.
    pub silent: usize,
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
    let variables = Variables::of(module);
    let mut taken: Vec<Range<u64>> = Vec::new();
    let mut evidence: Vec<Evidence> = all_anchors().map(|anchors| nothing(anchors.name)).collect();
    // What lies inside a variable that was found is not the start of another one: every round makes the rest plainer.
    for _ in 0..MOST_ROUNDS {
        let before = taken.len();
        for (anchors, evidence) in all_anchors().zip(&mut evidence) {
            if evidence.address.is_some() || !of_release(anchors, types) {
                continue;
            }
            let offset = |path: &str| offset(anchors, types, path);
            let possible = |addr| variables.contain(addr) && !taken.iter().any(|range| range.contains(&addr));
            let mut election = Election::new(anchors, references);
            election.hear_all(&Asked {
                offset: &offset,
                possible: &possible,
            });
            if anchors.name == FIRSTMODULEDATA {
                election.hear(FIRSTMODULEDATA, std::iter::once(module.addr));
            }
            *evidence = election.close();
            if let Some(start) = evidence.address {
                taken.push(start..start.saturating_add(extent(anchors, types)));
            }
        }
        if taken.len() == before {
            break;
        }
    }
    evidence.truncate(ANCHORS.len());
    Recovered { evidence }
}

fn all_anchors() -> impl Iterator<Item = &'static Anchors> {
    ANCHORS.iter().chain(NEIGHBOURS)
}

/// Whether the release that `types` describes has the variable.
fn of_release(anchors: &Anchors, types: &dyn TypeSource) -> bool {
    let fits = |(constant, there)| types.constant(constant).is_some() == there;
    anchors.constant.is_none_or(fits)
}

/// Offset in bytes of the first of `path`'s alternatives that the release has.
fn offset(anchors: &Anchors, types: &dyn TypeSource, path: &str) -> Option<u64> {
    match path {
        "" => Some(0),
        path => path
            .split('|')
            .find_map(|path| types.field(anchors.root, path))
            .map(|field| field.offset),
    }
}

/// Size in bytes of a variable, as far as is known.
fn extent(anchors: &Anchors, types: &dyn TypeSource) -> u64 {
    let known = || anchors.paths().filter_map(|path| offset(anchors, types, path)).max();
    let size = types.size_of(anchors.root).or_else(known).unwrap_or(0);
    size.clamp(1, MOST_EXTENT)
}

fn nothing(name: &'static str) -> Evidence {
    Evidence {
        name,
        address: None,
        votes: 0,
        against: Vec::new(),
        silent: 0,
        runner_up: 0,
        margin_bits: 0,
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

    /// The variables that were not found. One of `runtime.fingRunning` (up to Go 1.19) and `runtime.fingStatus` always
    /// is, for no release has both.
    pub fn missing(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter().filter(|e| e.address.is_none())
    }

    /// How far the functions agree, for comparing layouts.
    pub fn agreement(&self) -> Agreement {
        Agreement {
            votes: self.evidence.iter().map(|e| e.votes).sum(),
            dissent: self.evidence.iter().map(|e| e.against.len()).sum(),
            silent: self.evidence.iter().map(|e| e.silent).sum(),
            found: self.evidence.iter().filter(|e| e.address.is_some()).count(),
        }
    }
}

/// Every (root, path) that [`elect`] may ask of a [`TypeSource`]; some paths are of some releases only. It also asks for
/// the sizes of the roots, and for the constants of [`constants`].
pub fn queries() -> impl Iterator<Item = (&'static str, &'static str)> {
    all_anchors().flat_map(|anchors| {
        let paths = anchors.paths().flat_map(|path| path.split('|'));
        paths.filter(|path| !path.is_empty()).map(|path| (anchors.root, path))
    })
}

/// Every constant that [`elect`] may ask of a [`TypeSource`].
pub fn constants() -> impl Iterator<Item = &'static str> {
    all_anchors().filter_map(|anchors| Some(anchors.constant?.0))
}
