//! Where one field lies inside a runtime structure, and how a structure's fields are resolved from a [`TypeSource`].

use crate::image::types::{FieldLoc, TypeSource};

/// A resolved scalar, pointer or embedded-structure field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the start of its structure.
    pub offset: u64,
    /// Size in bytes; scalars are read by size because their declared type changes between releases.
    pub size: u64,
}

/// A resolved array field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayField {
    /// Bytes from the start of its structure to element 0.
    pub offset: u64,
    /// Number of elements.
    pub len: u64,
    /// Bytes from one element to the next.
    pub stride: u64,
}

/// A field that a scan cannot do without and that the debug information does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The type is not described.
    #[error("type {0} is not described in the debug information")]
    NoType(&'static str),
    /// The type has no such field.
    #[error("type {0} has no field {1}")]
    NoField(&'static str, &'static str),
    /// The field is there but not of the expected shape.
    #[error("field {1} of {0} has an unexpected shape")]
    Shape(&'static str, &'static str),
    /// A global variable is not described.
    #[error("global {0} is not described in the debug information")]
    NoGlobal(&'static str),
    /// A structure's size makes no sense.
    #[error("type {0} has an impossible size of {1} bytes")]
    Size(&'static str, u64),
}

/// Made from the location of a field; `Option` fields may be absent in some releases.
pub trait Resolve: Sized {
    /// Looks `paths` up in `root`: alternatives separated by `|`, the first that exists wins.
    fn resolve(types: &dyn TypeSource, root: &'static str, paths: &'static str) -> Result<Self, LayoutError>;
}

fn first(types: &dyn TypeSource, root: &str, paths: &str) -> Option<FieldLoc> {
    paths.split('|').find_map(|path| types.field(root, path))
}

/// No runtime structure comes near this size; an offset beyond it is damage.
const LARGEST: u64 = 1 << 24;

impl Resolve for Field {
    fn resolve(types: &dyn TypeSource, root: &'static str, paths: &'static str) -> Result<Self, LayoutError> {
        let loc = first(types, root, paths).ok_or(LayoutError::NoField(root, paths))?;
        if loc.offset > LARGEST || loc.size > LARGEST {
            return Err(LayoutError::Shape(root, paths));
        }
        Ok(Field {
            offset: loc.offset,
            size: loc.size,
        })
    }
}

impl Resolve for ArrayField {
    fn resolve(types: &dyn TypeSource, root: &'static str, paths: &'static str) -> Result<Self, LayoutError> {
        let loc = first(types, root, paths).ok_or(LayoutError::NoField(root, paths))?;
        let (len, stride) = loc.array.ok_or(LayoutError::Shape(root, paths))?;
        if loc.offset > LARGEST || len.checked_mul(stride).is_none_or(|bytes| bytes > LARGEST) {
            return Err(LayoutError::Shape(root, paths));
        }
        Ok(ArrayField {
            offset: loc.offset,
            len,
            stride,
        })
    }
}

impl<T: Resolve> Resolve for Option<T> {
    fn resolve(types: &dyn TypeSource, root: &'static str, paths: &'static str) -> Result<Self, LayoutError> {
        match T::resolve(types, root, paths) {
            Ok(found) => Ok(Some(found)),
            Err(LayoutError::NoField(..)) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// Size of type `root`, bounded.
pub fn size_of(types: &dyn TypeSource, root: &'static str) -> Result<u64, LayoutError> {
    match types.size_of(root) {
        None => Err(LayoutError::NoType(root)),
        Some(size) if size == 0 || size > LARGEST => Err(LayoutError::Size(root, size)),
        Some(size) => Ok(size),
    }
}

/// Declares structures of the runtime: for each, the fields that a scan reads, by their names in the runtime.
macro_rules! runtime_structs {
    ($( $(#[$meta:meta])* $name:ident = $root:literal { $( $(#[$fmeta:meta])* $field:ident : $kind:ty = $path:literal ),* $(,)? } )*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            #[allow(missing_docs, reason = "fields carry the runtime's own names; the structure names its source")]
            pub struct $name {
                pub size: u64,
                $( $(#[$fmeta])* pub $field: $kind, )*
            }

            impl $name {
                /// Resolves every field, or names the first required one that is missing.
                pub fn resolve(types: &dyn $crate::image::types::TypeSource) -> Result<Self, $crate::goruntime::layout::LayoutError> {
                    Ok($name {
                        size: $crate::goruntime::layout::field::size_of(types, $root)?,
                        $( $field: $crate::goruntime::layout::field::Resolve::resolve(types, $root, $path)?, )*
                    })
                }
            }
        )*
    };
}
pub(super) use runtime_structs;
