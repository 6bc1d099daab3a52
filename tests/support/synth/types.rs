//! The hand-typed tables as a `TypeSource`, and as what the builder writes by: one release's structures, constants and
//! variables.

use std::collections::HashMap;

use gomemscan::image::types::{FieldLoc, TypeSource};

use super::tables::{COLUMNS, GLOBALS, STATUS, STATUS_126, STRUCTS};

/// A release whose runtime is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    Go119,
    Go122,
    Go126,
}

impl Release {
    pub const ALL: [Release; 3] = [Release::Go119, Release::Go122, Release::Go126];

    pub fn minor(self) -> u32 {
        match self {
            Release::Go119 => 19,
            Release::Go122 => 22,
            Release::Go126 => 26,
        }
    }

    fn column(self) -> usize {
        let name = format!("1.{}", self.minor());
        COLUMNS.iter().position(|column| *column == name).unwrap()
    }
}

/// What a field is made of.
#[derive(Clone, Debug)]
enum Shape {
    Bytes(u64),
    Struct(String),
    Array(u64, u64, Box<Shape>),
}

#[derive(Clone, Debug, Default)]
struct Struct {
    size: u64,
    fields: HashMap<String, (u64, Shape)>,
}

/// One release's types, constants and variables.
#[derive(Clone, Debug)]
pub struct Types {
    pub release: Release,
    structs: HashMap<String, Struct>,
    constants: HashMap<String, i64>,
    globals: HashMap<String, u64>,
}

/// Where the first variable lies before relocation.
const LINK_BASE: u64 = 0x55_0000;
/// Distance between variables: more than any reader takes along by merging neighbours.
const APART: u64 = 0x1_0000;

impl Types {
    pub fn of(release: Release) -> Types {
        let mut types = Types {
            release,
            structs: parse(release.column()),
            constants: HashMap::new(),
            globals: HashMap::new(),
        };
        let newer = if release == Release::Go126 { STATUS_126 } else { &[] };
        types.constants = STATUS
            .iter()
            .chain(newer)
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        if release != Release::Go119 {
            types.constants.insert("runtime.fingRunningFinalizer".into(), 2);
        }
        let finalizer = if release == Release::Go119 {
            "fingRunning"
        } else {
            "fingStatus"
        };
        let mut at = LINK_BASE;
        for (name, _, _) in GLOBALS.iter().chain(&[(finalizer, 8, "")]) {
            types.globals.insert(format!("runtime.{name}"), at);
            at += types.global_size(name).next_multiple_of(APART) + APART;
        }
        types
    }

    /// Names of all variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.globals.keys().map(String::as_str)
    }

    /// Bytes of a variable of package runtime.
    pub fn global_size(&self, name: &str) -> u64 {
        match GLOBALS.iter().find(|global| global.0 == name) {
            Some((_, 0, described)) => self.structs[*described].size,
            Some((_, size, _)) => *size,
            None => 8,
        }
    }

    /// Size of a structure.
    pub fn size(&self, name: &str) -> u64 {
        self.structs.get(name).unwrap_or_else(|| panic!("no type {name}")).size
    }

    /// Whether `path` exists in this release.
    pub fn has(&self, root: &str, path: &str) -> bool {
        self.lookup(root, path).is_some()
    }

    /// (offset, size) of a field that must exist.
    pub fn at(&self, root: &str, path: &str) -> (u64, u64) {
        let (offset, shape) = self.lookup(root, path).unwrap_or_else(|| panic!("no {root}.{path}"));
        (offset, self.shape_size(&shape))
    }

    /// (path, size) of every field of `root` that is a number, a pointer or a slice, nested ones included, and of the
    /// first element of every array.
    pub fn scalars(&self, root: &str) -> Vec<(String, u64)> {
        let mut out = Vec::new();
        for (name, (_, shape)) in &self.structs[root].fields {
            match shape {
                Shape::Struct(of) => {
                    out.extend(
                        self.scalars(of)
                            .into_iter()
                            .map(|(path, size)| (format!("{name}.{path}"), size)),
                    );
                }
                shape => out.push((name.clone(), self.shape_size(shape))),
            }
        }
        out.sort();
        out
    }

    fn shape_size(&self, shape: &Shape) -> u64 {
        match shape {
            Shape::Bytes(size) => *size,
            Shape::Struct(name) => self.structs[name].size,
            Shape::Array(len, stride, _) => len * stride,
        }
    }

    fn lookup(&self, root: &str, path: &str) -> Option<(u64, Shape)> {
        let mut offset = 0;
        let mut shape = match self.structs.get(root)?.fields.get("[]") {
            Some((_, whole)) => whole.clone(),
            None => Shape::Struct(root.to_owned()),
        };
        for element in path.split('.') {
            shape = match (element, shape) {
                ("[]", Shape::Array(_, _, of)) => *of,
                (name, Shape::Struct(of)) => {
                    let (at, shape) = self.structs.get(&of)?.fields.get(name)?;
                    offset += at;
                    shape.clone()
                }
                _ => return None,
            };
        }
        Some((offset, shape))
    }
}

impl TypeSource for Types {
    fn size_of(&self, name: &str) -> Option<u64> {
        self.structs.get(described(name)).map(|found| found.size)
    }

    fn field(&self, root: &str, path: &str) -> Option<FieldLoc> {
        let (offset, shape) = self.lookup(described(root), path)?;
        let array = match &shape {
            Shape::Array(len, stride, _) => Some((*len, *stride)),
            _ => None,
        };
        let size = self.shape_size(&shape);
        Some(FieldLoc { offset, size, array })
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.constants.get(name).copied()
    }

    fn global(&self, name: &str) -> Option<u64> {
        self.globals.get(name).copied()
    }
}

fn described(root: &str) -> &str {
    root.strip_prefix("&runtime.").unwrap_or(root)
}

fn parse(column: usize) -> HashMap<String, Struct> {
    let mut structs = HashMap::new();
    let mut current: Option<String> = None;
    for line in STRUCTS.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            current = words[1 + column].parse().ok().map(|size| {
                let fields = HashMap::new();
                structs.insert(words[0].to_owned(), Struct { size, fields });
                words[0].to_owned()
            });
            continue;
        }
        let shapes: Vec<&str> = words[1].split('|').collect();
        let shape = shapes.get(column).unwrap_or(&shapes[0]);
        if let (Some(owner), Ok(offset)) = (&current, words[2 + column].parse()) {
            let owner = structs.get_mut(owner).unwrap();
            owner.fields.insert(words[0].to_owned(), (offset, self::shape(shape)));
        }
    }
    structs
}

fn shape(text: &str) -> Shape {
    if let Some((len, element)) = text.split_once('*') {
        let (stride, element) = match element.split_once('@') {
            Some((stride, name)) => (stride.parse().unwrap(), Shape::Struct(name.to_owned())),
            None => (element.parse().unwrap(), Shape::Bytes(element.parse().unwrap())),
        };
        return Shape::Array(len.parse().unwrap(), stride, Box::new(element));
    }
    match text.strip_prefix('@') {
        Some(name) => Shape::Struct(name.to_owned()),
        None => Shape::Bytes(text.parse().unwrap()),
    }
}
