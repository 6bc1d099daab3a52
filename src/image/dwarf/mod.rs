//! Types, constants and globals of the Go runtime from the program's own DWARF (versions 2 to 5, plain or zlib).
//!
//! Opening makes one pass over `.debug_info` and keeps names; fields are resolved when asked for, then cached. Go's
//! linker writes this information for every runtime structure even in an empty program, unless `-w` or `-s` drops it.

mod ahead;
mod index;
mod section;
mod shape;
mod unit;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use self::index::{Index, Keep};
use self::section::{LazySection, SectionReader};
use self::shape::Shape;
use self::unit::Side;
use super::elf::Elf;
use super::file::ExeFile;
use super::types::{FieldLoc, TypeSource};

/// Why there is no debug information to read layouts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoDebugInfo {
    /// There is none: built with `-ldflags=-s` or `-w`, or stripped.
    Stripped,
    /// There is some, but not of the Go runtime (C code linked into a stripped Go program).
    NoRuntime,
    /// It cannot be read; the text names the section and says why.
    Unreadable(String),
}

impl fmt::Display for NoDebugInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoDebugInfo::Stripped => f.write_str("the binary is stripped: it has no debug information"),
            NoDebugInfo::NoRuntime => f.write_str("the binary has no debug information of the Go runtime"),
            NoDebugInfo::Unreadable(why) => write!(f, "the debug information cannot be read: {why}"),
        }
    }
}

/// Longest chain of typedefs and longest field path followed.
const MAX_DEPTH: usize = 64;

/// The runtime's types, constants and globals as the linker described them. A [`TypeSource`].
pub struct DebugInfo {
    index: Index,
    side: Side,
    shapes: Mutex<HashMap<u64, Option<Arc<Shape>>>>,
}

impl DebugInfo {
    /// Reads and indexes the debug information of `elf`.
    pub fn read(elf: Arc<Elf>, file: &ExeFile) -> Result<DebugInfo, NoDebugInfo> {
        if elf.sections.is_empty() && !elf.warnings.is_empty() {
            return Err(NoDebugInfo::Unreadable("the section headers are damaged".into()));
        }
        let abbrevs = LazySection::new("abbrev");
        let abbrevs = abbrevs.bytes(&elf, file);
        let side = Side::new(elf.clone(), file.clone());
        let mut problem = None;
        // The second pass is for a linker that names its units differently.
        for keep in [Keep::Runtime, Keep::Go] {
            let info = SectionReader::open(&elf, file, "info").map_err(NoDebugInfo::Unreadable)?;
            let mut info = info.ok_or(NoDebugInfo::Stripped)?;
            let index = index::build(&mut info, abbrevs, &side, keep);
            if index.types.contains_key("runtime.g") && index.types.contains_key("runtime.mheap") {
                return Ok(DebugInfo {
                    index,
                    side,
                    shapes: Mutex::default(),
                });
            }
            problem = problem.or(index.first_problem);
        }
        Err(problem.map_or(NoDebugInfo::NoRuntime, |p| {
            NoDebugInfo::Unreadable(format!(".debug_info: {p}"))
        }))
    }

    /// What could not be read but did not prevent the rest.
    pub fn warnings(&self) -> Vec<String> {
        let problem = self.index.first_problem.iter();
        problem
            .map(|p| format!("debug information: {} unit(s) left out; {p}", self.index.bad_units))
            .collect()
    }

    /// Names of the fields of the struct at `path` inside type or global `root` ("" for `root` itself), in their order;
    /// empty when it is none. For the generator of layout tables.
    pub fn field_names(&self, root: &str, path: &str) -> Vec<String> {
        let start = self.root(root);
        let steps = path.split('.').filter(|name| !name.is_empty()).take(MAX_DEPTH);
        let at = steps.fold(start, |ty, name| Some(self.step(ty?, name)?.1));
        match at.and_then(|ty| self.shape(ty)).as_deref() {
            Some(Shape::Struct { fields, .. }) => fields.iter().map(|f| f.name.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// Which variable holds link-time address `addr`, and the shortest path in it that begins there: ("runtime.sched",
    /// "gFree.lock"), an empty path for its start. For tools that tell what code refers to.
    pub fn variable_at(&self, addr: u64) -> Option<(&str, String)> {
        let inside = |variable: &index::Variable| {
            let into = addr.checked_sub(variable.address?)?;
            (into == 0 || into < self.size(variable.ty?)?).then_some(into)
        };
        let mut variables = self.index.variables.iter();
        let (name, variable, into) =
            variables.find_map(|(name, variable)| Some((name, variable, inside(variable)?)))?;
        Some((name, self.path_to(variable.ty?, into)))
    }

    /// The shortest path to offset `into` of type `ty`; what lies in no field is "+N".
    fn path_to(&self, mut ty: u64, mut into: u64) -> String {
        let mut path = String::new();
        for _ in 0..MAX_DEPTH {
            if into == 0 {
                return path;
            }
            let step = match self.shape(ty).as_deref() {
                Some(Shape::Struct { fields, .. }) => fields
                    .iter()
                    .rev()
                    .find(|f| f.offset <= into && self.size(f.ty).is_some_and(|size| into - f.offset < size.max(1)))
                    .map(|f| (f.name.to_string(), f.offset, f.ty)),
                _ => None,
            };
            let Some((name, offset, next)) = step else {
                return format!("{path}+{into}");
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&name);
            (ty, into) = (next, into - offset);
        }
        path
    }

    /// The shape of the type at `.debug_info` offset `at`, typedefs followed.
    fn shape(&self, mut at: u64) -> Option<Arc<Shape>> {
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..MAX_DEPTH {
            let shape = shapes
                .entry(at)
                .or_insert_with(|| self.read_shape(at).map(Arc::new))
                .clone()?;
            match *shape {
                Shape::Alias(next) => at = next,
                _ => return Some(shape),
            }
        }
        None
    }

    fn read_shape(&self, at: u64) -> Option<Shape> {
        let after = self.index.units.partition_point(|u| u.offset <= at);
        let unit = self.index.units.get(after.checked_sub(1)?)?;
        shape::read(unit, &self.side, at)
    }

    /// The type that `root` ("runtime.mheap" or "&runtime.scavenge") names.
    fn root(&self, root: &str) -> Option<u64> {
        match root.strip_prefix('&') {
            Some(variable) => self.index.variables.get(variable)?.ty,
            None => self.index.types.get(root).copied(),
        }
    }

    fn size(&self, ty: u64) -> Option<u64> {
        self.size_within(ty, MAX_DEPTH)
    }

    fn size_within(&self, ty: u64, depth: usize) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        match *self.shape(ty)? {
            Shape::Struct { size, .. } | Shape::Plain { size } => Some(size),
            Shape::Array { size: Some(size), .. } => Some(size),
            Shape::Array {
                size: None,
                count,
                stride: 0,
                element,
            } => count.checked_mul(self.size_within(element, depth)?),
            Shape::Array {
                size: None,
                count,
                stride,
                ..
            } => count.checked_mul(stride),
            Shape::Alias(_) => None,
        }
    }

    fn array(&self, ty: u64) -> Option<(u64, u64)> {
        match *self.shape(ty)? {
            Shape::Array {
                count,
                stride: 0,
                element,
                ..
            } => Some((count, self.size(element)?)),
            Shape::Array { count, stride, .. } => Some((count, stride)),
            _ => None,
        }
    }

    /// One step of a path: offset and type of field `name`, or of the first element for "[]".
    fn step(&self, ty: u64, name: &str) -> Option<(u64, u64)> {
        match &*self.shape(ty)? {
            Shape::Array { element, .. } if name == "[]" => Some((0, *element)),
            Shape::Struct { fields, .. } => fields
                .iter()
                .find(|f| *f.name == *name)
                .map(|field| (field.offset, field.ty)),
            _ => None,
        }
    }
}

impl TypeSource for DebugInfo {
    fn size_of(&self, name: &str) -> Option<u64> {
        self.size(self.root(name)?)
    }

    fn field(&self, root: &str, path: &str) -> Option<FieldLoc> {
        let mut ty = self.root(root)?;
        let mut offset = 0u64;
        for name in path.split('.').take(MAX_DEPTH) {
            let (at, next) = self.step(ty, name)?;
            offset = offset.checked_add(at)?;
            ty = next;
        }
        Some(FieldLoc {
            offset,
            size: self.size(ty)?,
            array: self.array(ty),
        })
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.index.constants.get(name).copied()
    }

    fn global(&self, name: &str) -> Option<u64> {
        self.index.variables.get(name)?.address
    }
}

impl fmt::Debug for DebugInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugInfo")
            .field("units", &self.index.units.len())
            .field("types", &self.index.types.len())
            .field("variables", &self.index.variables.len())
            .field("constants", &self.index.constants.len())
            .finish()
    }
}
