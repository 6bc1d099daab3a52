//! What a type looks like in memory: size, fields, elements. Read from its entry when first asked for.

use gimli::{AttributeValue, DwTag};

use super::index::integer;
use super::unit::{Side, Slice, Unit};

/// A type, typedefs followed or to be followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Another name for the type at this `.debug_info` offset.
    Alias(u64),
    Struct {
        size: u64,
        fields: Vec<Field>,
    },
    /// `stride` is 0 when the entry does not give it; then it is the element's size.
    Array {
        size: Option<u64>,
        count: u64,
        stride: u64,
        element: u64,
    },
    /// A number, pointer or function value.
    Plain {
        size: u64,
    },
}

/// A field of a struct.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) offset: u64,
    /// `.debug_info` offset of its type.
    pub(super) ty: u64,
}

/// Reads the type whose entry is at `.debug_info` offset `at`. `None` when it is malformed, incomplete or no type.
pub(super) fn read(unit: &Unit, side: &Side, at: u64) -> Option<Shape> {
    let header = unit.gimli();
    let mut entries = header.entries_raw(&unit.abbrevs, Some(unit.local(at)?)).ok()?;
    let mut shape = None;
    while !entries.is_empty() {
        let depth = entries.next_depth();
        let Some(abbrev) = entries.read_abbreviation().ok()? else {
            if entries.next_depth() <= 0 {
                break;
            }
            continue;
        };
        let wanted = match depth {
            0 => true,
            1 => matches!(abbrev.tag(), gimli::DW_TAG_member | gimli::DW_TAG_subrange_type),
            _ => false,
        };
        if !wanted {
            entries.skip_attributes(abbrev.attributes()).ok()?;
            continue;
        }
        let mut entry = Entry::default();
        for spec in abbrev.attributes() {
            let attr = entries.read_attribute(*spec).ok()?;
            entry.take(attr.name(), &attr.raw_value(), &attr.value(), unit, side);
        }
        match &mut shape {
            None => shape = Some(begin(abbrev.tag(), &entry, unit)?),
            Some(shape) => extend(shape, abbrev.tag(), entry),
        }
        if !abbrev.has_children() && depth == 0 {
            break;
        }
    }
    shape
}

/// The attributes of one entry.
#[derive(Default)]
struct Entry {
    name: Option<Box<str>>,
    ty: Option<u64>,
    byte_size: Option<u64>,
    stride: Option<u64>,
    count: Option<u64>,
    offset: Option<u64>,
}

impl Entry {
    fn take(
        &mut self,
        name: gimli::DwAt,
        raw: &AttributeValue<Slice<'_>>,
        value: &AttributeValue<Slice<'_>>,
        unit: &Unit,
        side: &Side,
    ) {
        let number = || {
            integer(raw)
                .and_then(|v| u64::try_from(v).ok())
                .or_else(|| value.udata_value())
        };
        match name {
            gimli::DW_AT_name => {
                let text = side.string(value, unit.header.encoding.format, unit.str_offsets_base);
                self.name = text.and_then(|n| std::str::from_utf8(n).ok()).map(Into::into);
            }
            gimli::DW_AT_type => self.ty = unit.reference(value),
            gimli::DW_AT_byte_size => self.byte_size = number(),
            gimli::DW_AT_byte_stride => self.stride = number(),
            gimli::DW_AT_count => self.count = number(),
            // The highest index; -1 stands for an empty array.
            gimli::DW_AT_upper_bound => self.count = integer(raw).and_then(|v| u64::try_from(v.checked_add(1)?).ok()),
            gimli::DW_AT_data_member_location => self.offset = number(),
            _ => {}
        }
    }
}

fn begin(tag: DwTag, entry: &Entry, unit: &Unit) -> Option<Shape> {
    match tag {
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type => Some(Shape::Struct {
            size: entry.byte_size?,
            fields: Vec::new(),
        }),
        gimli::DW_TAG_array_type => Some(Shape::Array {
            size: entry.byte_size,
            count: 0,
            stride: entry.stride.unwrap_or(0),
            element: entry.ty?,
        }),
        // Without a type it is C's void.
        gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type | gimli::DW_TAG_atomic_type => {
            entry.ty.map(Shape::Alias)
        }
        gimli::DW_TAG_base_type | gimli::DW_TAG_enumeration_type => Some(Shape::Plain { size: entry.byte_size? }),
        gimli::DW_TAG_pointer_type | gimli::DW_TAG_subroutine_type => Some(Shape::Plain {
            size: entry.byte_size.unwrap_or(unit.header.encoding.address_size.into()),
        }),
        _ => None,
    }
}

fn extend(shape: &mut Shape, tag: DwTag, entry: Entry) {
    match shape {
        Shape::Struct { fields, .. } if tag == gimli::DW_TAG_member => {
            if let (Some(name), Some(ty)) = (entry.name, entry.ty) {
                // Members of a union have no location.
                fields.push(Field {
                    name,
                    offset: entry.offset.unwrap_or(0),
                    ty,
                });
            }
        }
        Shape::Array { count, .. } if tag == gimli::DW_TAG_subrange_type => *count = entry.count.unwrap_or(0),
        _ => {}
    }
}
