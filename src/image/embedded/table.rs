//! The text of the table. One structure is a list of field names and numbered shapes; a layout is one shape number per
//! structure; a release, architecture and experiment is a row that names its layout. Shapes are read when asked for.
//!
//! ```text
//! structure runtime.mutex
//! fields key lockRankStruct
//! shape 16 8 0/0                  size of the type, then per field: offset, "/size" unless it is 8,
//! shape -                         "[elements x bytes]" for an array, "-" for a field or type that is not there
//! constants runtime._Gdead ...
//! values 6 ...
//! layout 0 0                      shape numbers in the order of the structures, the constants' last
//! built 1.24.3 amd64 - 0          "-": no experiment; "between" instead of "built": see `Basis`
//! unknown 1.24.3 amd64 foo        it is not known what the experiment moves in this release
//! refused foo                     experiment that moves fields and has no rows
//! marker runtime.foo 22 27        function that is linked into every program of 1.22 to 1.27, and of no other
//! ```

use std::fmt;

use super::release::{Basis, Release};
use super::types::EmbeddedTypes;
use crate::image::elf::Arch;

/// What is known about the layouts of Go's releases.
#[derive(Default)]
pub struct Releases {
    pub(super) structures: Vec<Structure>,
    pub(super) constants: Structure,
    /// Shape numbers, one per structure and one for the constants.
    pub(super) layouts: Vec<Vec<u16>>,
    pub(super) rows: Vec<Row>,
    /// Experiments of which it is not known what they move in one release.
    pub(super) unknown: Vec<(Release, Arch, &'static str)>,
    /// Experiments that move fields and have no rows.
    pub(super) refused: Vec<&'static str>,
    pub(super) markers: Vec<Marker>,
}

impl fmt::Debug for Releases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Releases")
            .field("structures", &self.structures.len())
            .field("layouts", &self.layouts.len())
            .field("rows", &self.rows.len())
            .field("markers", &self.markers.len())
            .finish()
    }
}

/// One structure of the runtime, or its constants.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// "runtime.mheap", "&runtime.sched".
    pub(super) root: &'static str,
    /// Paths of fields, or names of constants.
    pub(super) fields: Vec<&'static str>,
    /// Their places, in the table's own notation.
    pub(super) shapes: Vec<&'static str>,
}

/// One program that was built, or stands between two that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) release: Release,
    pub(super) arch: Arch,
    /// The one experiment that differs from the release's defaults ("nogreenteagc").
    pub(super) experiment: Option<&'static str>,
    pub(super) basis: Basis,
    pub(super) layout: u16,
}

/// A function that every program of some minor releases has, and no other program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) function: &'static str,
    pub(super) first: u32,
    pub(super) last: u32,
}

/// A line of the table that is none of its forms; cannot happen with the table that is compiled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is no line of a table of layouts")]
pub struct TableError {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl Releases {
    /// Reads a table. Fails at the first line that is no part of one.
    pub fn parse(text: &'static str) -> Result<Releases, TableError> {
        let mut releases = Releases::default();
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            releases.line(line).ok_or_else(|| TableError {
                line: at + 1,
                text: line.chars().take(80).collect(),
            })?;
        }
        Ok(releases)
    }

    fn line(&mut self, line: &'static str) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "structure" => self.structures.push(Structure {
                root: rest,
                ..Structure::default()
            }),
            "fields" => self.structures.last_mut()?.fields.extend(rest.split(' ')),
            "shape" => self.structures.last_mut()?.shapes.push(rest),
            "constants" => self.constants.fields.extend(rest.split(' ')),
            "values" => self.constants.shapes.push(rest),
            "layout" => {
                let shapes: Option<Vec<u16>> = rest.split(' ').map(|n| n.parse().ok()).collect();
                let shapes = shapes.filter(|shapes| shapes.len() == self.structures.len() + 1)?;
                self.layouts.push(shapes);
            }
            "built" | "between" => {
                let (key, layout) = rest.rsplit_once(' ')?;
                let (release, arch, experiment) = key_of(key)?;
                let basis = if word == "built" { Basis::Built } else { Basis::Between };
                let layout = layout.parse().ok();
                self.rows.push(Row {
                    release,
                    arch,
                    experiment,
                    basis,
                    layout: layout.filter(|n: &u16| usize::from(*n) < self.layouts.len())?,
                });
            }
            "unknown" => {
                let (release, arch, experiment) = key_of(rest)?;
                self.unknown.push((release, arch, experiment?));
            }
            "refused" => self.refused.push(rest),
            "marker" => {
                let mut words = rest.split(' ');
                self.markers.push(Marker {
                    function: words.next()?,
                    first: words.next()?.parse().ok()?,
                    last: words.next()?.parse().ok()?,
                });
            }
            _ => return None,
        }
        Some(())
    }

    /// The releases that have a row, oldest first.
    pub fn known(&self) -> Vec<Release> {
        let mut releases: Vec<_> = self.rows.iter().map(|row| row.release).collect();
        releases.sort_unstable();
        releases.dedup();
        releases
    }

    /// The experiments that have a row of their own for this release and architecture.
    pub fn experiments(&self, release: Release, arch: Arch) -> Vec<&'static str> {
        let rows = self.rows.iter().filter(|r| (r.release, r.arch) == (release, arch));
        rows.filter_map(|row| row.experiment).collect()
    }

    /// How the layout of a row is known; `None` when there is no such row.
    pub fn basis(&self, release: Release, arch: Arch, experiment: Option<&str>) -> Option<Basis> {
        Some(self.row_of(release, arch, experiment)?.basis)
    }

    /// The types of one row. `None` when there is no such row.
    pub fn row(&'static self, release: Release, arch: Arch, experiment: Option<&str>) -> Option<EmbeddedTypes> {
        EmbeddedTypes::new(self, self.shapes_of(self.row_of(release, arch, experiment)?)?)
    }

    /// Functions with the first and last minor release that have them, see [`fingerprint`](Self::fingerprint).
    pub fn marker_ranges(&self) -> impl Iterator<Item = (String, u32, u32)> {
        self.markers.iter().map(|m| (m.function.to_owned(), m.first, m.last))
    }

    pub(super) fn row_of(&self, release: Release, arch: Arch, experiment: Option<&str>) -> Option<&Row> {
        self.rows
            .iter()
            .find(|r| (r.release, r.arch, r.experiment) == (release, arch, experiment))
    }

    pub(super) fn shapes_of(&self, row: &Row) -> Option<&[u16]> {
        self.layouts.get(usize::from(row.layout)).map(Vec::as_slice)
    }
}

/// "1.24.3 amd64 noswissmap": release, processor, experiment or "-".
fn key_of(text: &'static str) -> Option<(Release, Arch, Option<&'static str>)> {
    let mut words = text.split(' ');
    let release = words.next()?.parse().ok()?;
    let arch = match words.next()? {
        "amd64" => Arch::Amd64,
        "arm64" => Arch::Arm64,
        _ => return None,
    };
    Some((release, arch, Some(words.next()?).filter(|e| *e != "-")))
}
