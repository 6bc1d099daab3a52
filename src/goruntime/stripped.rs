//! The runtime of a binary without debug information: layouts from the table of releases, addresses from the symbol
//! table or, where that is gone too, from the runtime's own code.

use std::collections::HashSet;

use super::globals::Globals;
use super::layout::{Layout, LayoutError};
use super::locate::{Runtime, newer_than_known, not_too_old};
use super::provenance::{AddressesFrom, Certainty, LayoutFrom, Provenance};
use super::variants::{NEWEST_MINOR, Variant};
use crate::error::{Error, Result};
use crate::image::embedded::{Basis, LayoutId, Releases};
use crate::image::types::TypeSource;
use crate::image::{GoVersion, Image, NoDebugInfo, Recovery, symtab};

/// Layouts tried at most: the table has fewer distinct ones of any minor release.
const MOST_LAYOUTS: usize = 24;
/// Functions that may speak against the addresses found: under the right layout none does, or one; under that of
/// another release four or more.
const MOST_DISSENT: usize = 3;

/// The layouts that may be the binary's, likeliest first, each with the addresses found by it; `None` when no Go linker
/// made it, or when it was packed. Fails with [`Unsupported`](Error::Unsupported) when under none of them every global is found.
pub(super) fn candidates(image: &Image, version: Option<&GoVersion>, bias: u64) -> Result<Option<Vec<Runtime>>> {
    let path = image.path().display();
    let Some(recovery) = Recovery::read(&image.elf, &image.file)? else {
        return Ok(None);
    };
    let symbols = symtab::addresses(&image.elf, &image.file, &Globals::names().collect::<HashSet<_>>())?;
    let mut warnings = Vec::new();
    if let Err(why @ NoDebugInfo::Unreadable(_)) = &image.debug {
        warnings.push(format!("{why}; the built-in tables are used instead"));
    }
    let named = version.cloned().or_else(|| recovery.build_version());
    if let Some(version) = &named {
        not_too_old(&format!("go{version}"), version)?;
    }
    let experiments = image.build.as_ref().map(|build| build.experiments.as_slice());
    let layouts = layouts(image, &recovery, named.as_ref(), experiments, &mut warnings);
    let mut found = Vec::new();
    let mut missing = None;
    for (layout, certainty) in layouts.into_iter().take(MOST_LAYOUTS) {
        let types = layout.types();
        let of_symtab = types.clone().with_globals(symbols.clone());
        let (addresses, types) = match Globals::resolve(&of_symtab, bias) {
            Ok(_) => (AddressesFrom::Symtab, of_symtab),
            Err(_) => {
                let variables = recovery.variables(&types);
                if variables.agreement().dissent > MOST_DISSENT {
                    missing.get_or_insert_with(|| format!("its code contradicts the layout of {}", layout.label()));
                    continue;
                }
                let found = variables.all().iter();
                let found = found.filter_map(|e| Some((e.name.to_owned(), e.address?)));
                (AddressesFrom::Code, types.clone().with_globals(found))
            }
        };
        let release = match certainty {
            Certainty::Exact => format!("go{}", layout.release),
            _ => layout.label(),
        };
        let provenance = Provenance {
            layout: LayoutFrom::Table,
            addresses,
            release: Some(release),
            certainty,
        };
        match resolved(image, &types, &layout, bias) {
            Ok((layout_of, variant, globals)) => found.push(Runtime {
                layout: layout_of,
                variant,
                globals,
                bias,
                version: named.clone(),
                arch: image.elf.arch,
                provenance,
                warnings: warnings.clone(),
            }),
            Err(error) => drop(missing.get_or_insert_with(|| error.to_string())),
        }
    }
    if found.is_empty() {
        let why = missing.unwrap_or_else(|| "no layout is known".to_owned());
        return Err(Error::Unsupported {
            what: format!("{path} has no debug information, and its code does not tell enough: {why}"),
            remedy: Some("give its debug information with --debug-file, or build without -ldflags=-s and -w".into()),
        });
    }
    Ok(Some(found))
}

/// How sure the layout of the very release is.
fn of_release(layout: LayoutId) -> (LayoutId, Certainty) {
    let certainty = match layout.basis {
        Basis::Built => Certainty::Exact,
        Basis::Between | Basis::Combined => Certainty::Inferred,
    };
    (layout, certainty)
}

fn resolved(
    image: &Image,
    types: &dyn TypeSource,
    layout: &LayoutId,
    bias: u64,
) -> std::result::Result<(Layout, Variant, Globals), LayoutError> {
    Ok((
        Layout::resolve(types)?,
        Variant::of(layout.release.minor, image.elf.arch, types),
        Globals::resolve(types, bias)?,
    ))
}

/// The layouts of the table that may fit, likeliest first.
fn layouts(
    image: &Image,
    recovery: &Recovery,
    version: Option<&GoVersion>,
    experiments: Option<&[String]>,
    warnings: &mut Vec<String>,
) -> Vec<(LayoutId, Certainty)> {
    let (releases, arch) = (Releases::load(), image.elf.arch);
    let all = |layouts: Vec<LayoutId>, certainty: Certainty| -> Vec<_> {
        layouts.into_iter().map(|layout| (layout, certainty)).collect()
    };
    let Some(version) = version else {
        let minors = releases.fingerprint(&|function| recovery.has_function(function), recovery.magic());
        warnings.push(format!(
            "the binary does not say which Go built it; {}",
            match minors.as_slice() {
                [] => "every known layout was tried".to_owned(),
                [minor] => format!("by its functions it was Go 1.{minor}"),
                [newest, ..] => format!("by its functions it may have been Go 1.{newest}"),
            }
        ));
        let of_minors = minors
            .iter()
            .flat_map(|minor| releases.candidates(Some(*minor), None, arch, experiments));
        let likely: Vec<LayoutId> = of_minors.collect();
        return match likely.is_empty() {
            false => all(likely, Certainty::Unnamed),
            true => all(releases.candidates(None, None, arch, experiments), Certainty::Unnamed),
        };
    };
    let others = releases.candidates(Some(version.minor), version.patch, arch, experiments);
    if version.minor > NEWEST_MINOR {
        warnings.push(newer_than_known(&format!("go{version}")));
        return all(others, Certainty::Beyond);
    }
    let exact = releases.exact(version, arch, experiments.unwrap_or_default());
    if exact.is_none() {
        warnings.push(format!(
            "the layout of Go {version} is not in this gomemscan's table; that of a release near it is used, and \
             every figure was compared with the runtime's own"
        ));
    }
    // Among its neighbours is the release itself, which need not be tried twice.
    let own = |layout: &LayoutId| exact.as_ref().is_some_and(|exact| exact.is_same(layout));
    let others = others.into_iter().filter(|layout| !own(layout)).collect();
    let mut list: Vec<_> = exact.clone().into_iter().map(of_release).collect();
    list.extend(all(others, Certainty::Near));
    list
}
