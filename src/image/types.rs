//! What layout resolution asks of debug information, whatever its source: the program's own DWARF, or a
//! table of known releases.

/// Where a field lies inside its structure, and its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLoc {
    /// Offset in bytes from the start of the root structure.
    pub offset: u64,
    /// Size in bytes of the whole field.
    pub size: u64,
    /// For an array: (number of elements, bytes per element).
    pub array: Option<(u64, u64)>,
}

/// Types, constants and globals by the names that Go's linker gives them in DWARF.
pub trait TypeSource {
    /// Size in bytes of type `name` ("runtime.mspan"), or of the global's type for "&runtime.debug".
    fn size_of(&self, name: &str) -> Option<u64>;

    /// Location of `path` ("pages.inUse.ranges") inside type `root`. `root` is a type name ("runtime.mheap") or, for
    /// variables of an anonymous struct type, "&" and the variable's name ("&runtime.scavenge"). Typedefs are
    /// followed; embedded fields appear under their type's name; a path element may also be "[]" to step into an
    /// array's element ("central.[].mcentral": offset of the field in the first element).
    fn field(&self, root: &str, path: &str) -> Option<FieldLoc>;

    /// Value of a runtime constant (`DW_TAG_constant`), such as "runtime._Gwaiting".
    fn constant(&self, name: &str) -> Option<i64>;

    /// Link-time address of global `name`, without load bias.
    fn global(&self, name: &str) -> Option<u64>;
}
