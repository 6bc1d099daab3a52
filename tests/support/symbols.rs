//! A program's function table, found without its symbols.

use anyhow::{Context, Result};
use gomemscan::image::{Image, Moduledata, Relocations, SymbolTable};

/// The pclntab that the program's moduledata names.
pub fn function_table(image: &Image) -> Result<SymbolTable> {
    let relocations = Relocations::new(&image.elf, &image.file);
    let modules = Moduledata::find(&image.elf, &image.file, &relocations)?;
    let module = modules.first().context("no moduledata")?;
    Ok(SymbolTable::new(
        &image.elf,
        &image.file,
        module.tables(&relocations, None),
    )?)
}
