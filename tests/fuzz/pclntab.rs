//! The function table: names, lines, files, inlined frames, of addresses that a target chose.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;

use gomemscan::image::embedded::Releases;
use gomemscan::image::{Arch, Elf, ExeFile, ModuleTables, Moduledata, Relocations, SymbolTable, TableRef};

use super::edits::Base;
use super::harness::Target;
use crate::support::fixtures::{Build, GoVersion, fixture};

/// Addresses looked up for one input, spread over the code.
const LOOKED_UP: u64 = 6;
/// Names looked at before a walk is broken off.
const WALKED: usize = 4000;

/// A file and where its tables are.
struct Program {
    base: Base,
    tables: ModuleTables,
}

#[test]
fn pclntab() {
    let programs = [
        program(GoVersion::V1_19, Build::Stripped),
        program(GoVersion::V1_24, Build::StrippedPie),
        program(GoVersion::V1_27, Build::Stripped),
    ];
    let target = Target {
        name: "pclntab",
        runs: 3000,
        longest: 2048,
    };
    target.run(|input| {
        let Some((&[which, shift, lens, walk], rest)) = input.split_first_chunk() else {
            return;
        };
        let program = &programs[usize::from(which) % programs.len()];
        let mut tables = program.tables.clone();
        // The tables' places come from memory, and may be wrong by themselves.
        displace(&mut tables, shift, lens);
        program.base.edited(rest, |file| look(file, tables, walk));
    });
}

fn program(version: GoVersion, build: Build) -> Program {
    let mut base = Base::of(&fixture("shapes", version, build));
    let exe = ExeFile::new(base.file(), PathBuf::from("base")).unwrap();
    let elf = Elf::parse(&exe).unwrap();
    let relocations = Relocations::new(&elf, &exe);
    let module = Moduledata::find(&elf, &exe, &relocations).unwrap().remove(0);
    // With the place of `gofunc`, inlined calls are expanded.
    let minor = version.release().split('.').nth(1).unwrap().parse().unwrap();
    let layouts = Releases::load().candidates(Some(minor), None, Arch::Amd64, None);
    let tables = module.tables(&relocations, Some(&layouts[0].types()));
    assert!(tables.gofunc.is_some());
    let mut parts = Vec::new();
    let mut add = |addr: u64, len: u64| {
        if let Some((at, _)) = elf.vaddr_to_offset(addr) {
            parts.push(at..(at + len).min(base.bytes().len() as u64));
        }
    };
    add(tables.pc_header, 72);
    for pc in pcs(&tables) {
        // The places that a lookup of this address reads: one entry of ftab, and what it leads to.
        let symbols = SymbolTable::new(&elf, &exe, tables.clone()).unwrap();
        let Some(function) = symbols.function(pc) else { continue };
        let offset = function.entry.wrapping_sub(tables.text) as u32;
        let at = elf.vaddr_to_offset(tables.ftab.addr).unwrap().0 as usize;
        let entries = base.bytes()[at..].chunks_exact(8).take(tables.ftab.len as usize);
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let Some((index, entry)) = entries.enumerate().find(|(_, entry)| word(entry) == offset) else {
            continue;
        };
        add(tables.ftab.addr + index as u64 * 8, 16);
        let func = tables.pclntable.addr + u64::from(word(&entry[4..]));
        add(func, 80);
        let record = elf.vaddr_to_offset(func).unwrap().0 as usize;
        let field = |index: usize| u64::from(word(&base.bytes()[record + index * 4..]));
        add(tables.funcnametab.addr + field(1), 32);
        for stream in 4..7 {
            add(tables.pctab.addr + field(stream), 32);
        }
        add(tables.cutab.addr + field(8) * 4, 32);
    }
    add(tables.filetab.addr, 4096);
    base.parts = parts;
    Program { base, tables }
}

fn pcs(tables: &ModuleTables) -> impl Iterator<Item = u64> + use<> {
    let (from, size) = (tables.minpc, tables.maxpc.wrapping_sub(tables.minpc));
    (0..LOOKED_UP).map(move |n| from.wrapping_add((size / LOOKED_UP).wrapping_mul(n)).wrapping_add(17))
}

fn displace(tables: &mut ModuleTables, shift: u8, lens: u8) {
    let all: [&mut TableRef; 6] = [
        &mut tables.funcnametab,
        &mut tables.cutab,
        &mut tables.filetab,
        &mut tables.pctab,
        &mut tables.pclntable,
        &mut tables.ftab,
    ];
    for (index, table) in all.into_iter().enumerate() {
        if shift >> index & 1 == 1 {
            table.addr = table.addr.wrapping_add(u64::from(shift) << 5);
        }
        if lens >> index & 1 == 1 {
            table.len = match lens >> 6 {
                0 => table.len / 2,
                1 => table.len.wrapping_mul(3),
                2 => 0,
                _ => u64::MAX - table.len,
            };
        }
    }
    match shift {
        0xc0 => tables.maxpc = u64::MAX,
        0xc1 => (tables.minpc, tables.maxpc) = (tables.maxpc, tables.minpc),
        0xc2 => tables.gofunc = None,
        0xc3 => tables.gofunc = Some(u64::MAX - 3),
        0xc4 => tables.text = u64::MAX,
        _ => {}
    }
}

fn look(file: File, tables: ModuleTables, walk: u8) {
    let exe = ExeFile::new(file, PathBuf::from("/srv/fuzzed")).unwrap();
    let Ok(elf) = Elf::parse(&exe) else { return };
    let wanted = pcs(&tables);
    let Ok(symbols) = SymbolTable::new(&elf, &exe, tables) else {
        return;
    };
    symbols.magic();
    for pc in wanted.chain([0, 1, u64::MAX]) {
        if let Some(function) = symbols.function(pc) {
            assert!(function.name.len() < 1 << 20);
        }
        let frames = symbols.frames(pc);
        assert!(frames.len() < 1 << 12, "{} frames", frames.len());
        symbols.lookup(pc);
        symbols.frame_size(pc);
    }
    if walk % 8 == 1 {
        let mut left = WALKED;
        symbols.walk(|_| match left.checked_sub(1) {
            Some(less) => {
                left = less;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        });
        symbols.function_named("runtime.mallocgc");
        symbols.functions_where(|name| name.starts_with(b"main."));
    }
}
