//! Finds the runtime of one target: its release, its layout, and where its globals lie. Everything is settled here,
//! before the target is stopped.

use super::globals::Globals;
use super::layout::{Layout, LayoutError};
use super::variants::{NEWEST_MINOR, OLDEST_MINOR, Variant};
use crate::error::{Error, Result};
use crate::image::{Arch, GoVersion, Image, NoDebugInfo};
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
    /// Whether the release is one that this tool was verified on.
    pub verified: bool,
    /// What the user should know about how it was found.
    pub warnings: Vec<String>,
}

impl Runtime {
    /// Locates the runtime of `image`, whose lowest mapped file offset, `anchor.1`, lies at address `anchor.0`.
    pub fn locate(image: &Image, anchor: (Addr, u64)) -> Result<Runtime> {
        let path = image.path().display();
        let Some(build) = &image.build else {
            return Err(Error::NoTarget {
                what: format!("{path} is not a Go program but {}", image.kind_of_program()),
                remedy: None,
            });
        };
        let mut warnings = Vec::new();
        let version = build.version.clone();
        let minor = supported(&build.go_version, version.as_ref(), &mut warnings)?;
        let types = image
            .debug
            .as_ref()
            .map_err(|why| no_debug_info(&path.to_string(), &build.go_version, why))?;
        let bias = load_bias(image, anchor)?;
        let unreadable = |error: LayoutError| Error::Unsupported {
            what: format!("{path} ({}): {error}", build.go_version),
            remedy: Some(
                "the binary's debug information is incomplete, or this Go release is too new for this gomemscan".into(),
            ),
        };
        Ok(Runtime {
            layout: Layout::resolve(types).map_err(unreadable)?,
            variant: Variant::of(minor, image.elf.arch, types),
            globals: Globals::resolve(types, bias).map_err(unreadable)?,
            bias,
            version,
            arch: image.elf.arch,
            // `supported` warns of every other release.
            verified: warnings.is_empty(),
            warnings,
        })
    }

    /// Link-time address of a run-time address in the executable.
    pub fn link_addr(&self, addr: Addr) -> u64 {
        addr.0.wrapping_sub(self.bias)
    }
}

/// The minor version to read the runtime as, or why it cannot be read.
fn supported(text: &str, version: Option<&GoVersion>, warnings: &mut Vec<String>) -> Result<u32> {
    let Some(version) = version else {
        warnings.push(format!(
            "the Go version {text:?} has no known form; read as Go 1.{NEWEST_MINOR}"
        ));
        return Ok(NEWEST_MINOR);
    };
    if version.major == 1 && version.minor < OLDEST_MINOR {
        return Err(Error::Unsupported {
            what: format!("the target was built with {text}; gomemscan reads Go 1.{OLDEST_MINOR} and later"),
            remedy: Some(format!("rebuild it with Go 1.{OLDEST_MINOR} or later")),
        });
    }
    if version.major > 1 || version.minor > NEWEST_MINOR {
        warnings.push(format!(
            "{text} is newer than Go 1.{NEWEST_MINOR}, the last release this gomemscan was verified on; trust the figures as far as the checks agree"
        ));
        return Ok(NEWEST_MINOR);
    }
    Ok(version.minor)
}

fn no_debug_info(path: &str, go_version: &str, why: &NoDebugInfo) -> Error {
    Error::Unsupported {
        what: format!("{path} ({go_version}): {why}"),
        remedy: Some(
            "this version of gomemscan finds the runtime's structures through DWARF; build without -ldflags=-s or -w and do not strip the binary"
                .into(),
        ),
    }
}

/// Run-time minus link-time address of the executable.
fn load_bias(image: &Image, (addr, offset): (Addr, u64)) -> Result<u64> {
    let holds = |segment: &&crate::image::Segment| {
        // The loader maps whole pages: the mapping's offset may lie below the segment's first byte.
        offset <= segment.offset.saturating_add(segment.filesz) && offset.saturating_add(0x1_0000) > segment.offset
    };
    let nearest = image
        .elf
        .segments
        .iter()
        .filter(holds)
        .min_by_key(|segment| segment.offset.abs_diff(offset));
    let segment = nearest.ok_or_else(|| Error::Malformed {
        path: image.path().to_owned(),
        structure: "program headers",
        detail: format!("no segment belongs to the mapping of file offset {offset:#x} at {addr}"),
    })?;
    let link = segment.vaddr.wrapping_sub(segment.offset).wrapping_add(offset);
    Ok(addr.0.wrapping_sub(link))
}
