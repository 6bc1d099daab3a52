//! Which layouts of the table may be a binary's: the one of its release, or those of the releases near it.

use std::cmp::Reverse;

use super::release::{Basis, Release};
use super::table::{Releases, Row};
use super::types::EmbeddedTypes;
use crate::image::elf::Arch;
use crate::image::version::GoVersion;

/// One distinct layout, and the releases that have it.
#[derive(Clone, Debug)]
pub struct LayoutId {
    /// The release that it was chosen for: of those that have this layout, the nearest to the one asked for.
    pub release: Release,
    /// The processor.
    pub arch: Arch,
    /// The experiments that made it differ from the release's own layout.
    pub experiments: Vec<String>,
    /// How it is known that [`release`](Self::release) has it.
    pub basis: Basis,
    /// Every release that has it with the same experiments, oldest first.
    pub releases: Vec<Release>,
    table: &'static Releases,
    shapes: Vec<u16>,
}

impl LayoutId {
    /// Its releases for people: "go1.24.4 to go1.24.11", "go1.20, go1.20.3 to go1.20.5 with staticlockranking".
    pub fn label(&self) -> String {
        let mut runs: Vec<(Release, Release)> = Vec::new();
        for release in &self.releases {
            match runs.last_mut() {
                Some((_, last)) if last.minor == release.minor && last.patch.checked_add(1) == Some(release.patch) => {
                    *last = *release;
                }
                _ => runs.push((*release, *release)),
            }
        }
        let run = |(first, last): &(Release, Release)| match first == last {
            true => format!("go{first}"),
            false => format!("go{first} to go{last}"),
        };
        let mut label = runs.iter().map(run).collect::<Vec<_>>().join(", ");
        if !self.experiments.is_empty() {
            label.push_str(" with ");
            label.push_str(&self.experiments.join(","));
        }
        label
    }

    /// Whether the two are the same layout, whatever release each was chosen for.
    pub fn is_same(&self, other: &LayoutId) -> bool {
        self.arch == other.arch && self.shapes == other.shapes
    }

    /// What the table says of it; without globals, see [`EmbeddedTypes::with_globals`].
    pub fn types(&self) -> EmbeddedTypes {
        // The numbers are the table's own, which a test reads whole.
        EmbeddedTypes::new(self.table, &self.shapes).unwrap_or_default()
    }
}

/// A layout with the release and experiments it belongs to.
struct Found {
    release: Release,
    experiments: Vec<String>,
    basis: Basis,
    shapes: Vec<u16>,
}

impl Releases {
    /// The layout of the release that `version` names, with `experiments` (as build info lists them: those that differ
    /// from the release's defaults; those that move nothing are ignored). `None` when that very release is not in the
    /// table, or an experiment moves fields that the table does not know, or `version` is no release, but a development version or a candidate.
    pub fn exact(&'static self, version: &GoVersion, arch: Arch, experiments: &[String]) -> Option<LayoutId> {
        let release = released(version)?;
        let found = self.compose(self.row_of(release, arch, None)?, experiments)?;
        self.distinct(vec![found], arch).pop()
    }

    /// The distinct layouts that a binary may have, the likeliest first: those of its minor release, nearest patch
    /// release first; of the newest minor release, when its own is newer than those known; of all, newest first, when
    /// `minor` is `None`. Without `patch` newer ones come first. `experiments` is `None` when nothing is known about
    /// them; then those with one experiment follow.
    pub fn candidates(
        &'static self,
        minor: Option<u32>,
        patch: Option<u32>,
        arch: Arch,
        experiments: Option<&[String]>,
    ) -> Vec<LayoutId> {
        let newest = self.rows.iter().map(|row| row.release.minor).max();
        let patch = patch.filter(|_| minor <= newest);
        let minor = minor.map(|m| newest.map_or(m, |newest| m.min(newest)));
        let fits = |row: &&Row| row.arch == arch && minor.is_none_or(|m| m == row.release.minor);
        let mut rows: Vec<&Row> = self.rows.iter().filter(fits).collect();
        rows.sort_by_key(|row| {
            let far = patch.map_or(0, |patch| patch.abs_diff(row.release.patch));
            (row.experiment.is_some(), far, Reverse(row.release))
        });
        let found = rows.into_iter().filter_map(|row| match (row.experiment, experiments) {
            (None, known) => self.compose(row, known.unwrap_or_default()),
            (Some(experiment), None) => Some(Found {
                release: row.release,
                experiments: vec![experiment.to_owned()],
                basis: row.basis,
                shapes: self.shapes_of(row)?.to_vec(),
            }),
            (Some(_), Some(_)) => None,
        });
        self.distinct(found.collect(), arch)
    }

    /// The layout of `base`'s release with `experiments`. `None` when two of them move the same structure, each its way,
    /// or one moves fields in an unknown way.
    fn compose(&self, base: &Row, experiments: &[String]) -> Option<Found> {
        let here = |(release, arch, _): &&(Release, Arch, &str)| (*release, *arch) == (base.release, base.arch);
        let unknown = |e: &String| {
            let mut names = self
                .unknown
                .iter()
                .filter(here)
                .map(|(.., name)| name)
                .chain(&self.refused);
            names.any(|name| name == e)
        };
        if experiments.iter().any(unknown) {
            return None;
        }
        let plain = self.shapes_of(base)?;
        let mut found = Found {
            release: base.release,
            experiments: Vec::new(),
            basis: base.basis,
            shapes: plain.to_vec(),
        };
        for experiment in experiments {
            let Some(row) = self.row_of(base.release, base.arch, Some(experiment)) else {
                continue;
            };
            for ((shape, new), old) in found.shapes.iter_mut().zip(self.shapes_of(row)?).zip(plain) {
                match (*new != *old, *shape != *old) {
                    (false, _) => {}
                    (true, true) if *shape != *new => return None,
                    (true, _) => *shape = *new,
                }
            }
            found.experiments.push(experiment.clone());
            found.basis = found.basis.max(row.basis);
        }
        if found.experiments.len() > 1 {
            found.basis = Basis::Combined;
        }
        Some(found)
    }

    /// One [`LayoutId`] for all that are the same, in the order of the first of each.
    fn distinct(&'static self, found: Vec<Found>, arch: Arch) -> Vec<LayoutId> {
        let mut list: Vec<LayoutId> = Vec::new();
        for one in found {
            if list.iter().any(|known| known.shapes == one.shapes) {
                continue;
            }
            let plain = self.rows.iter().filter(|r| r.arch == arch && r.experiment.is_none());
            let same = plain
                .filter_map(|row| self.compose(row, &one.experiments))
                .filter(|other| other.shapes == one.shapes);
            let mut releases: Vec<_> = same.map(|other| other.release).collect();
            releases.sort_unstable();
            releases.dedup();
            list.push(LayoutId {
                release: one.release,
                arch,
                experiments: one.experiments,
                basis: one.basis,
                releases,
                table: self,
                shapes: one.shapes,
            });
        }
        list
    }
}

/// The release that `version` names, if it names one.
fn released(version: &GoVersion) -> Option<Release> {
    let patch = match version.patch {
        None if version.minor <= Release::LAST_WITHOUT_ZERO => Some(0),
        patch => patch,
    };
    let release = Release {
        minor: version.minor,
        patch: patch?,
    };
    (version.major == 1 && version.prerelease.is_none() && !version.devel).then_some(release)
}
