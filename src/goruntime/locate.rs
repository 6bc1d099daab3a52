//! Finds the runtime of one target: its release, its layout, and where its globals lie. Everything is settled here,
//! before the target is stopped.

use std::path::Path;

use super::globals::Globals;
use super::layout::{Layout, LayoutError};
use super::provenance::{AddressesFrom, Certainty, LayoutFrom, Provenance};
use super::refused::unrecognised;
use super::stripped;
use super::variants::{NEWEST_MINOR, OLDEST_MINOR, Variant};
use crate::error::{Error, Result};
use crate::image::{Arch, Elf, GoVersion, Image};
use crate::memory::Addr;

/// A located runtime.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Where fields lie.
    pub layout: Layout,
    /// What they mean in this release.
    pub variant: Variant,
    /// Where globals lie in the target's address space.
    pub globals: Globals,
    /// Added to link-time addresses, wrapping.
    pub bias: u64,
    /// The release, when the build info names one that can be read.
    pub version: Option<GoVersion>,
    /// The processor.
    pub arch: Arch,
    /// Where layout and addresses come from.
    pub provenance: Provenance,
    /// What the user should know about how it was found.
    pub warnings: Vec<String>,
}

impl Runtime {
    /// Locates the runtime of `image`, whose lowest mapped file offset, `anchor.1`, lies at address `anchor.0`. With
    /// debug information there is one answer; without, there may be several, likeliest first, among which the running
    /// target decides.
    pub fn locate(image: &Image, anchor: (Addr, u64)) -> Result<Vec<Runtime>> {
        let bias = load_bias(&image.elf, image.path(), anchor)?;
        let version = image.build.as_ref().and_then(|build| build.version.clone());
        let text = image.build.as_ref().map_or("", |build| build.go_version.as_str());
        if let Some(version) = &version {
            not_too_old(text, version)?;
        }
        let (Ok(types), Some(_)) = (&image.debug, &image.build) else {
            return match stripped::candidates(image, version.as_ref(), bias)? {
                Some(candidates) => Ok(candidates),
                None => Err(unrecognised(image)),
            };
        };
        let mut warnings = Vec::new();
        let minor = verified_minor(text, version.as_ref(), &mut warnings);
        let unreadable = |error: LayoutError| Error::Unsupported {
            what: format!("{} ({text}): {error}", image.path().display()),
            remedy: Some(
                "the binary's debug information is incomplete, or this Go release is too new for this gomemscan".into(),
            ),
        };
        Ok(vec![Runtime {
            layout: Layout::resolve(types).map_err(unreadable)?,
            variant: Variant::of(minor, image.elf.arch, types),
            globals: Globals::resolve(types, bias).map_err(unreadable)?,
            bias,
            version,
            arch: image.elf.arch,
            provenance: Provenance {
                layout: match image.debug_file {
                    Some(_) => LayoutFrom::DebugFile,
                    None => LayoutFrom::Dwarf,
                },
                addresses: AddressesFrom::Dwarf,
                release: Some(text.to_owned()),
                // `verified_minor` warns of every release that this tool was not verified on.
                certainty: match warnings.is_empty() {
                    true => Certainty::Exact,
                    false => Certainty::Beyond,
                },
            },
            warnings,
        }])
    }

    /// Link-time address of a run-time address in the executable.
    pub fn link_addr(&self, addr: Addr) -> u64 {
        addr.0.wrapping_sub(self.bias)
    }
}

/// Refuses releases older than those this tool reads.
pub(super) fn not_too_old(text: &str, version: &GoVersion) -> Result<()> {
    if version.major == 1 && version.minor < OLDEST_MINOR {
        return Err(Error::Unsupported {
            what: format!("the target was built with {text}; gomemscan reads Go 1.{OLDEST_MINOR} and later"),
            remedy: Some(format!("rebuild it with Go 1.{OLDEST_MINOR} or later")),
        });
    }
    Ok(())
}

/// The minor version to read the runtime as, with a warning when it is none that this tool was verified on.
fn verified_minor(text: &str, version: Option<&GoVersion>, warnings: &mut Vec<String>) -> u32 {
    match version {
        None => warnings.push(format!(
            "the Go version {text:?} has no known form; read as Go 1.{NEWEST_MINOR}"
        )),
        Some(version) if version.major > 1 || version.minor > NEWEST_MINOR => warnings.push(newer_than_known(text)),
        Some(version) => return version.minor,
    }
    NEWEST_MINOR
}

/// What is said of a release newer than the last one known.
pub(super) fn newer_than_known(text: &str) -> String {
    format!(
        "{text} is newer than Go 1.{NEWEST_MINOR}, the last release this gomemscan was verified on; trust the figures \
         as far as the checks agree"
    )
}

/// Run-time minus link-time address of a file whose lowest mapped offset, `anchor.1`, lies at address `anchor.0`.
pub(super) fn load_bias(elf: &Elf, path: &Path, (addr, offset): (Addr, u64)) -> Result<u64> {
    let holds = |segment: &&crate::image::Segment| {
        // The loader maps whole pages: the mapping's offset may lie below the segment's first byte.
        offset <= segment.offset.saturating_add(segment.filesz) && offset.saturating_add(0x1_0000) > segment.offset
    };
    let nearest = elf
        .segments
        .iter()
        .filter(holds)
        .min_by_key(|segment| segment.offset.abs_diff(offset));
    let segment = nearest.ok_or_else(|| Error::Malformed {
        path: path.to_owned(),
        structure: "program headers",
        detail: format!("no segment belongs to the mapping of file offset {offset:#x} at {addr}"),
    })?;
    let link = segment.vaddr.wrapping_sub(segment.offset).wrapping_add(offset);
    Ok(addr.0.wrapping_sub(link))
}
