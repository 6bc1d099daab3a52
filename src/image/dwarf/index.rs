//! One pass over `.debug_info` that keeps what can be asked for later: names of runtime types, variables, constants.
//!
//! Units stream by while the section is inflated. Go names a unit after its package, and puts all types into one late
//! synthetic unit called "runtime"; units of other packages and of other languages are dropped unread, which saves
//! most of the time and memory. Should that not find the runtime, the caller asks for a pass that keeps every unit.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use gimli::{Abbreviations, AttributeValue, DwTag, UnitOffset};

use super::section::SectionReader;
use super::unit::{AbbrevTables, Header, MAX_HEADER, Side, Slice, Unit};

/// A global variable: its link-time address and the `.debug_info` offset of its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    pub(super) address: Option<u64>,
    pub(super) ty: Option<u64>,
}

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Units by offset.
    pub(super) units: Vec<Unit>,
    /// `.debug_info` offsets by type name.
    pub(super) types: HashMap<Box<str>, u64>,
    pub(super) variables: HashMap<Box<str>, Variable>,
    pub(super) constants: HashMap<Box<str>, i64>,
    /// Units that could not be read.
    pub(super) bad_units: u64,
    pub(super) first_problem: Option<String>,
}

/// Which units a pass keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Go units of the runtime and its internal packages.
    Runtime,
    /// All Go units.
    Go,
}

/// As much of a unit as is looked at to decide whether to keep it.
const PREVIEW: u64 = 2048;
/// Most bytes of units kept; the real ones are some tens of megabytes.
const MAX_KEPT: u64 = 256 << 20;

/// Whether `name` is one that may be asked for.
fn ours(name: &[u8]) -> bool {
    name.starts_with(b"runtime.") || name.starts_with(b"internal/") || name.starts_with(b"runtime/internal/")
}

fn our_unit(name: &[u8]) -> bool {
    name == b"runtime" || name.starts_with(b"internal/") || name.starts_with(b"runtime/internal/")
}

/// Runs the pass over `info` until it ends or cannot go on.
pub(super) fn build(info: &mut SectionReader, abbrevs: &[u8], side: &Side, keep: Keep) -> Index {
    let mut index = Index::default();
    let mut tables = AbbrevTables::new(abbrevs);
    let (mut offset, mut kept) = (0u64, 0u64);
    let mut bytes = Vec::new();
    while info.left() > 0 {
        bytes.clear();
        match one_unit(info, &mut tables, side, keep, &mut bytes) {
            Ok((total, root)) => {
                if let Some(root) = root {
                    kept = kept.saturating_add(total);
                    if kept > MAX_KEPT {
                        index.problem(offset, "more than 256 MiB of debug information");
                        break;
                    }
                    bytes.shrink_to_fit();
                    let unit = Unit {
                        offset,
                        header: root.header,
                        abbrevs: root.abbrevs,
                        bytes: std::mem::take(&mut bytes),
                        str_offsets_base: root.str_offsets_base,
                        addr_base: root.addr_base,
                    };
                    if let Err(e) = index.add_names(&unit, side) {
                        index.problem(offset, &e.to_string());
                    }
                    index.units.push(unit);
                }
                offset = offset.saturating_add(total);
            }
            Err(e) => {
                index.problem(offset, &e.to_string());
                break;
            }
        }
    }
    index
}

/// What the root entry of a unit says.
struct Root {
    header: Header,
    abbrevs: Arc<Abbreviations>,
    str_offsets_base: u64,
    addr_base: u64,
}

/// Reads or skips the next unit: its size, and its root when it is kept (then `bytes` holds all of it).
fn one_unit(
    info: &mut SectionReader,
    tables: &mut AbbrevTables<'_>,
    side: &Side,
    keep: Keep,
    bytes: &mut Vec<u8>,
) -> io::Result<(u64, Option<Root>)> {
    info.append(info.left().min(MAX_HEADER as u64).min(4), bytes)?;
    if bytes.starts_with(&[0xff; 4]) {
        info.append(8, bytes)?;
    }
    let (total, used, _) = Header::total(bytes).ok_or_else(|| bad("unit length is reserved"))?;
    let body = total - used as u64;
    if body > info.left() {
        return Err(bad("unit reaches beyond the section"));
    }
    let preview = body.min(PREVIEW);
    info.append(preview, bytes)?;
    let root = Header::parse(bytes).and_then(|header| root(header, bytes, tables, side, keep));
    let rest = body - preview;
    if root.is_some() {
        info.append(rest, bytes)?
    } else {
        info.skip(rest)?
    }
    Ok((total, root))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Decodes the root entry out of the unit's beginning; `None` when the unit is not to be kept.
fn root(header: Header, start: &[u8], tables: &mut AbbrevTables<'_>, side: &Side, keep: Keep) -> Option<Root> {
    let abbrevs = tables.get(header.abbrevs)?;
    let unit = header.gimli(start);
    let mut entries = unit.entries_raw(&abbrevs, None).ok()?;
    let abbrev = entries.read_abbreviation().ok()??;
    let (mut name, mut str_offsets_base, mut addr_base) = (None, 0, 0);
    for spec in abbrev.attributes() {
        // Long producer strings may leave the preview; what we need comes before them or is not needed.
        let Ok(attr) = entries.read_attribute(*spec) else { break };
        match (attr.name(), attr.value()) {
            (gimli::DW_AT_name, value) => name = Some(value),
            (gimli::DW_AT_language, AttributeValue::Language(language)) if language != gimli::DW_LANG_Go => {
                return None;
            }
            (gimli::DW_AT_str_offsets_base, AttributeValue::DebugStrOffsetsBase(base)) => {
                str_offsets_base = base.0 as u64
            }
            (gimli::DW_AT_addr_base, AttributeValue::DebugAddrBase(base)) => addr_base = base.0 as u64,
            _ => {}
        }
    }
    // A nameless unit may be one that a tool (dwz) made of parts of others: keep it.
    let name = name.and_then(|n| side.string(&n, header.encoding.format, str_offsets_base));
    if keep == Keep::Runtime && name.is_some_and(|n| !our_unit(n)) {
        return None;
    }
    Some(Root {
        header,
        abbrevs,
        str_offsets_base,
        addr_base,
    })
}

impl Index {
    fn problem(&mut self, offset: u64, what: &str) {
        self.bad_units += 1;
        self.first_problem
            .get_or_insert_with(|| format!("unit at {offset:#x}: {what}"));
    }

    /// Indexes the entries directly below the unit's root.
    fn add_names(&mut self, unit: &Unit, side: &Side) -> gimli::Result<()> {
        let header = unit.gimli();
        let mut entries = header.entries_raw(&unit.abbrevs, None)?;
        while !entries.is_empty() {
            let depth = entries.next_depth();
            let at = entries.next_offset();
            let Some(abbrev) = entries.read_abbreviation()? else {
                continue;
            };
            let mut specs = abbrev.attributes();
            if depth == 1 && indexed(abbrev.tag()) {
                let mut entry = Entry::default();
                while let Some((spec, rest)) = specs.split_first() {
                    specs = rest;
                    let attr = entries.read_attribute(*spec)?;
                    match attr.name() {
                        gimli::DW_AT_name => {
                            let value = attr.value();
                            let name = side.string(&value, unit.header.encoding.format, unit.str_offsets_base);
                            entry.name = name.filter(|n| ours(n));
                            if entry.name.is_none() {
                                break;
                            }
                        }
                        gimli::DW_AT_type => entry.ty = unit.reference(&attr.value()),
                        gimli::DW_AT_location => entry.address = side.address(&attr.value(), unit),
                        gimli::DW_AT_const_value => entry.value = integer(&attr.raw_value()),
                        gimli::DW_AT_declaration => entry.declaration = true,
                        _ => {}
                    }
                }
                self.add(abbrev.tag(), unit, at, &entry);
            }
            entries.skip_attributes(specs)?;
        }
        Ok(())
    }

    fn add(&mut self, tag: DwTag, unit: &Unit, at: UnitOffset, entry: &Entry<'_>) {
        let Some(name) = entry.name.and_then(|n| std::str::from_utf8(n).ok()) else {
            return;
        };
        match tag {
            gimli::DW_TAG_variable => {
                let found = Variable {
                    address: entry.address,
                    ty: entry.ty,
                };
                match self.variables.get_mut(name) {
                    // A declaration elsewhere does not hide the definition.
                    Some(known) if known.address.is_none() && found.address.is_some() => *known = found,
                    Some(_) => {}
                    None => {
                        self.variables.insert(name.into(), found);
                    }
                }
            }
            gimli::DW_TAG_constant => {
                if let Some(value) = entry.value {
                    self.constants.entry(name.into()).or_insert(value);
                }
            }
            _ if entry.declaration => {}
            _ => {
                let at = unit.offset.saturating_add(at.0 as u64);
                self.types.entry(name.into()).or_insert(at);
            }
        }
    }
}

/// The attributes of interest of one entry.
#[derive(Default)]
struct Entry<'a> {
    name: Option<&'a [u8]>,
    ty: Option<u64>,
    address: Option<u64>,
    value: Option<i64>,
    declaration: bool,
}

fn indexed(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_structure_type
            | gimli::DW_TAG_typedef
            | gimli::DW_TAG_array_type
            | gimli::DW_TAG_base_type
            | gimli::DW_TAG_variable
            | gimli::DW_TAG_constant
    )
}

/// The integer of a constant attribute, whatever its form.
pub(super) fn integer(value: &AttributeValue<Slice<'_>>) -> Option<i64> {
    match *value {
        AttributeValue::Data1(v) => Some(v.into()),
        AttributeValue::Data2(v) => Some(v.into()),
        AttributeValue::Data4(v) => Some(v.into()),
        AttributeValue::Data8(v) => Some(v.cast_signed()),
        AttributeValue::Sdata(v) => Some(v),
        AttributeValue::Udata(v) => i64::try_from(v).ok(),
        _ => None,
    }
}
