//! The answers of one layout of the table.

use std::collections::BTreeMap;

use super::table::{Releases, Structure};
use crate::image::types::{FieldLoc, TypeSource};

/// The runtime's types and constants in one release, from the table; its globals as another part of the tool found them.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedTypes {
    structures: Vec<Known>,
    constants: Vec<(&'static str, Option<i64>)>,
    globals: BTreeMap<String, u64>,
}

/// A structure, or its absence.
#[derive(Clone, Debug)]
struct Known {
    root: &'static str,
    size: Option<u64>,
    fields: Vec<(&'static str, Option<FieldLoc>)>,
}

impl EmbeddedTypes {
    /// The layout whose shape numbers are `shapes`. `None` when the table is inconsistent.
    pub(super) fn new(table: &'static Releases, shapes: &[u16]) -> Option<EmbeddedTypes> {
        let (constants, shapes) = shapes.split_last()?;
        let text = |structure: &Structure, number: u16| structure.shapes.get(usize::from(number)).copied();
        let structures = table.structures.iter().zip(shapes);
        let names = table.constants.fields.iter().copied();
        let values = text(&table.constants, *constants)?.split(' ').map(value);
        Some(EmbeddedTypes {
            structures: structures
                .map(|(structure, number)| known(structure, text(structure, *number)?))
                .collect::<Option<_>>()?,
            constants: names.zip(values).map(|(n, v)| Some((n, v?))).collect::<Option<_>>()?,
            globals: BTreeMap::new(),
        })
    }

    /// The same with addresses of globals: link-time, without load bias, by the names that DWARF would give
    /// ("runtime.mheap_").
    pub fn with_globals(mut self, globals: impl IntoIterator<Item = (String, u64)>) -> EmbeddedTypes {
        self.globals.extend(globals);
        self
    }

    /// Whether the table has an answer about type `root`, or about its field `path` unless that is empty; "not there"
    /// is an answer. Where it has none the generator must be run again.
    pub fn has_answer(&self, root: &str, path: &str) -> bool {
        match self.structure(root) {
            Some(known) => path.is_empty() || known.size.is_none() || known.fields.iter().any(|(p, _)| *p == path),
            None => false,
        }
    }

    /// Whether the table has an answer about constant `name`.
    pub fn has_answer_about_constant(&self, name: &str) -> bool {
        self.constants.iter().any(|(n, _)| *n == name)
    }

    /// The questions that the table answers: (root, path), and with an empty path for the size.
    pub fn questions(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let of = |known: &Known| {
            let root = known.root;
            let paths: Vec<_> = known.fields.iter().map(|(path, _)| (root, *path)).collect();
            std::iter::once((root, "")).chain(paths)
        };
        self.structures.iter().flat_map(of)
    }

    fn structure(&self, root: &str) -> Option<&Known> {
        self.structures.iter().find(|known| known.root == root)
    }
}

impl TypeSource for EmbeddedTypes {
    fn size_of(&self, name: &str) -> Option<u64> {
        self.structure(name)?.size
    }

    fn field(&self, root: &str, path: &str) -> Option<FieldLoc> {
        let fields = &self.structure(root)?.fields;
        fields.iter().find(|(p, _)| *p == path)?.1
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.constants.iter().find(|(n, _)| *n == name)?.1
    }

    fn global(&self, name: &str) -> Option<u64> {
        self.globals.get(name).copied()
    }
}

fn known(structure: &Structure, text: &'static str) -> Option<Known> {
    let mut words = text.split(' ');
    let size = match words.next()? {
        "-" => None,
        size => Some(size.parse().ok()?),
    };
    let mut fields = Vec::with_capacity(structure.fields.len());
    if size.is_some() {
        for path in &structure.fields {
            fields.push((*path, place(words.next()?)?));
        }
    }
    Some(Known {
        root: structure.root,
        size,
        fields,
    })
}

/// "24", "24/4", "24[512x8]", "-": where a field is, that it is not there, or (outer `None`) nonsense.
fn place(word: &str) -> Option<Option<FieldLoc>> {
    if word == "-" {
        return Some(None);
    }
    let loc = if let Some((offset, array)) = word.strip_suffix(']').and_then(|w| w.split_once('[')) {
        let (count, stride) = array.split_once('x')?;
        let (count, stride): (u64, u64) = (count.parse().ok()?, stride.parse().ok()?);
        FieldLoc {
            offset: offset.parse().ok()?,
            size: count.checked_mul(stride)?,
            array: Some((count, stride)),
        }
    } else {
        let (offset, size) = word.split_once('/').unwrap_or((word, "8"));
        FieldLoc {
            offset: offset.parse().ok()?,
            size: size.parse().ok()?,
            array: None,
        }
    };
    Some(Some(loc))
}

fn value(word: &str) -> Option<Option<i64>> {
    match word {
        "-" => Some(None),
        number => number.parse().ok().map(Some),
    }
}
