//! Names for code and data addresses: the module's tables (runtime/symtab.go `moduledata`) come from memory, what
//! they point to comes from the file, so that no page of text or rodata is read through the process.

use std::fs::File;
use std::path::Path;

use super::cursor::{DecodeError, Fields, GoSlice, Record, View};
use super::frames::{Position, Symbolizer};
use super::goroutines::wait_reason_headers;
use super::layout::{Field, Layout, TypeLayout};
use super::locate::{Runtime, load_bias};
use crate::error::Result;
use crate::image::{Elf, ExeFile, Image, ModuleTables, Moduledata, Relocations, SymbolTable, TableRef, TextSection};
use crate::memory::{Addr, Memory};

/// Text sections of one module at most.
const MOST_TEXT_SECTIONS: u64 = 1 << 12;
/// Longest type or wait reason name believed, bytes.
const LONGEST_NAME: u64 = 512;

/// Reads `runtime.firstmoduledata` as link-time addresses.
pub fn module_tables(memory: &dyn Memory, runtime: &Runtime) -> std::result::Result<ModuleTables, DecodeError> {
    let l = &runtime.layout.moduledata;
    let r = Record::read(memory, "moduledata", runtime.globals.firstmoduledata, l.size)?;
    let link = |field| r.addr(field).map(|addr| runtime.link_addr(addr));
    let table = |field| {
        let GoSlice { ptr, len, .. } = r.slice(field)?;
        Ok(TableRef {
            addr: runtime.link_addr(ptr),
            len,
        })
    };
    Ok(ModuleTables {
        pc_header: link(l.pc_header)?,
        funcnametab: table(l.funcnametab)?,
        cutab: table(l.cutab)?,
        filetab: table(l.filetab)?,
        pctab: table(l.pctab)?,
        pclntable: table(l.pclntable)?,
        ftab: table(l.ftab)?,
        text: link(l.text)?,
        etext: link(l.etext)?,
        minpc: link(l.minpc)?,
        maxpc: link(l.maxpc)?,
        gofunc: Some(link(l.gofunc)?),
        textsectmap: text_sections(memory, runtime, r.slice(l.textsectmap)?)?,
    })
}

fn text_sections(
    memory: &dyn Memory,
    runtime: &Runtime,
    map: GoSlice,
) -> std::result::Result<Vec<TextSection>, DecodeError> {
    let l = &runtime.layout.textsect;
    let mut sections = Vec::new();
    if map.len < 2 {
        return Ok(sections); // one section: offsets count from `text`
    }
    for index in 0..map.len.min(MOST_TEXT_SECTIONS) {
        let at = Addr(map.ptr.0.wrapping_add(index.wrapping_mul(l.size)));
        let r = Record::read(memory, "textsect", at, l.size)?;
        sections.push(TextSection {
            vaddr: r.uint(l.vaddr)?,
            end: r.uint(l.end)?,
            baseaddr: runtime.link_addr(r.addr(l.baseaddr)?),
        });
    }
    Ok(sections)
}

/// Symbols of the runtime's modules by run-time addresses: of the file that it is in, and of plugins.
pub struct ExeSymbols {
    modules: Vec<ModuleSymbols>,
}

struct ModuleSymbols {
    table: SymbolTable,
    bias: u64,
}

impl ExeSymbols {
    /// Binds the tables to the file.
    pub fn new(image: &Image, runtime: &Runtime, tables: ModuleTables) -> Result<ExeSymbols> {
        let table = SymbolTable::new(&image.elf, &image.file, tables)?;
        let bias = runtime.bias;
        Ok(ExeSymbols {
            modules: vec![ModuleSymbols { table, bias }],
        })
    }

    /// Adds a plugin, whose lowest mapped file offset, `anchor.1`, lies at address `anchor.0`. Where its tables are is
    /// taken from its file.
    pub fn add(&mut self, file: File, path: &Path, anchor: (Addr, u64)) -> Result<()> {
        let file = ExeFile::new(file, path.to_owned())?;
        let elf = Elf::parse(&file)?;
        let bias = load_bias(&elf, path, anchor)?;
        let relocations = Relocations::new(&elf, &file);
        let found = Moduledata::find(&elf, &file, &relocations)?.into_iter().next();
        let module = found.ok_or_else(|| file.malformed("moduledata", "not found in the file"))?;
        let table = SymbolTable::new(&elf, &file, module.tables(&relocations, None))?;
        self.modules.push(ModuleSymbols { table, bias });
        Ok(())
    }
}

impl Symbolizer for ExeSymbols {
    fn creation(&self, gopc: u64) -> Option<Position> {
        // A return address: the `go` statement is the instruction before.
        let frame = self
            .modules
            .iter()
            .find_map(|module| module.table.lookup(gopc.wrapping_sub(module.bias).checked_sub(1)?))?;
        Some(Position {
            function: print_name(&frame.function),
            file: frame.file.map(|file| file.to_string()).unwrap_or_default(),
            line: frame.line.unwrap_or(0),
        })
    }

    fn function(&self, pc: u64) -> Option<String> {
        let function = self
            .modules
            .iter()
            .find_map(|module| module.table.function(pc.wrapping_sub(module.bias)))?;
        Some(function.name.to_string())
    }
}

/// The name as Go prints it: type arguments are left out (runtime/traceback.go `funcNameForPrint`).
fn print_name(name: &str) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) if open < close => {
            let (before, after) = (name.get(..open), name.get(close + 1..));
            format!("{}[...]{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => name.to_owned(),
    }
}

/// The runtime's wait reasons by number. Reasons whose text cannot be read are empty.
pub fn wait_reasons(
    memory: &dyn Memory,
    image: &Image,
    runtime: &Runtime,
) -> std::result::Result<Vec<String>, DecodeError> {
    let headers = wait_reason_headers(memory, &runtime.layout, &runtime.globals)?;
    let text = |(addr, len): (Addr, u64)| match image.read_vaddr(runtime.link_addr(addr), len) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    };
    Ok(headers.into_iter().map(text).collect())
}

/// Names of types by their descriptor's address (internal/abi `Type`, runtime/type.go `rtype.string`).
pub struct TypeNames<'a> {
    image: &'a Image,
    layout: TypeLayout,
    bias: u64,
    /// Link-time bounds of the type section.
    types: (u64, u64),
}

impl<'a> TypeNames<'a> {
    /// Binds the type section of the first module; `None` when its layout or bounds are not known.
    pub fn new(memory: &dyn Memory, image: &'a Image, runtime: &Runtime) -> Option<TypeNames<'a>> {
        let l: &Layout = &runtime.layout;
        let module = View::new(memory, "moduledata", runtime.globals.firstmoduledata);
        let link = |field: Field| module.addr(field).ok().map(|addr| runtime.link_addr(addr));
        let types = (link(l.moduledata.types)?, link(l.moduledata.etypes)?);
        Some(TypeNames {
            image,
            layout: l.abi_type.clone()?,
            bias: runtime.bias,
            types,
        })
    }

    /// The name as Go prints it, such as "[]main.entry".
    pub fn name(&self, descriptor: Addr) -> Option<String> {
        let at = descriptor.0.wrapping_sub(self.bias);
        if descriptor.is_nil() || at < self.types.0 || at >= self.types.1 {
            return None; // made by reflection, or damage
        }
        let bytes = self.image.read_vaddr(at, self.layout.size).ok()?;
        let uint = |field: Field| {
            let (start, size) = (field.offset as usize, field.size as usize);
            let bytes = bytes.get(start..start.checked_add(size)?)?;
            Some(
                bytes
                    .iter()
                    .rev()
                    .fold(0u64, |value, byte| value << 8 | u64::from(*byte)),
            )
        };
        let name_at = self.types.0.checked_add(uint(self.layout.str_off)?)?;
        if name_at >= self.types.1 {
            return None;
        }
        let head = self
            .image
            .read_vaddr(name_at, LONGEST_NAME.min(self.types.1 - name_at))
            .ok()?;
        let (len, start) = varint(head.get(1..)?)?;
        let text = head.get(1 + start..(1 + start).checked_add(usize::try_from(len).ok()?)?)?;
        let text = String::from_utf8_lossy(text);
        const EXTRA_STAR: u64 = 1 << 1;
        match uint(self.layout.tflag)? & EXTRA_STAR {
            0 => Some(text.into_owned()),
            _ => Some(text.strip_prefix('*').unwrap_or(&text).to_owned()),
        }
    }
}

/// A varint's value and its length in bytes.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_arguments_are_left_out_of_names() {
        assert_eq!(print_name("iter.Pull[go.shape.int].func1"), "iter.Pull[...].func1");
        assert_eq!(print_name("main.f"), "main.f");
        assert_eq!(print_name("]["), "][");
    }

    #[test]
    fn varints_end_within_five_bytes() {
        assert_eq!(varint(&[0x05]), Some((5, 1)));
        assert_eq!(varint(&[0x85, 0x01]), Some((133, 2)));
        assert_eq!(varint(&[0xff; 8]), None);
    }
}
