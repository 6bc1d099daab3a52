//! `runtime.buildVersion`, for binaries that carry no build information: known by what it holds.

use super::super::bytes::u64_at;
use super::super::elf::Elf;
use super::super::file::ExeFile;
use super::super::relocations::Relocations;
use super::super::version::GoVersion;
use super::references::References;

/// Longest text taken for a version, bytes.
const LONGEST: u64 = 128;

/// The variable and what the linker put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildVersion {
    /// Link-time address of `runtime.buildVersion`.
    pub address: u64,
    /// Its value, such as "go1.26.8".
    pub text: String,
}

/// Finds the string with a Go version among those that `runtime.schedinit` (and `runtime.Version`, when linked) names.
/// `None` when there is none, or more than one.
pub fn build_version(
    elf: &Elf,
    file: &ExeFile,
    relocations: &Relocations,
    references: &References,
) -> Option<BuildVersion> {
    let mut found: Option<BuildVersion> = None;
    for function in ["runtime.schedinit", "runtime.Version"] {
        for referrer in references.named(function) {
            for &address in referrer.data {
                let Some(text) = string_at(elf, file, relocations, address) else {
                    continue;
                };
                match &found {
                    Some(other) if other.address != address => return None,
                    _ => found = Some(BuildVersion { address, text }),
                }
            }
        }
    }
    found
}

/// The Go version that the string at `address` holds.
fn string_at(elf: &Elf, file: &ExeFile, relocations: &Relocations, address: u64) -> Option<String> {
    // Most of what the function names has no bytes in the file.
    elf.vaddr_to_offset(address).filter(|(_, left)| *left >= 16)?;
    let header = relocations.read_vaddr(address, 16).ok()?;
    let (text, len) = (u64_at(&header, 0)?, u64_at(&header, 8)?);
    if !(4..=LONGEST).contains(&len) {
        return None;
    }
    let bytes = elf.read_vaddr(file, text, len).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    GoVersion::parse(&text).is_some().then_some(text)
}
