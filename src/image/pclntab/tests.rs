//! A function table made by hand, in both forms of the format, and what a hostile one could hold.

use super::super::elf::Elf;
use super::super::elf::tests::image;
use super::super::file::tests::exe;
use super::*;

const BASE: u64 = 0x40_1000;
const TEXT: u64 = 0x50_0000;

/// Sections of a table: where each lies in the image.
pub(in crate::image) struct Built {
    pub(in crate::image) bytes: Vec<u8>,
    pub(in crate::image) tables: ModuleTables,
}

fn align(b: &mut Vec<u8>) -> u64 {
    b.resize(b.len().next_multiple_of(8), 0);
    b.len() as u64
}

/// Two functions: main.f (0x40 bytes, frame of 24 after 4 bytes, main.g inlined at 0x10..0x20, called at 0x08) and
/// runtime.goexit (0x20 bytes).
pub(in crate::image) fn build(magic: u32) -> Built {
    let old = magic == 0xffff_fff0;
    let mut b = magic.to_le_bytes().to_vec();
    b.extend([0, 0, 1, 8]);
    b.extend(2u64.to_le_bytes());
    b.extend(2u64.to_le_bytes());
    b.extend(TEXT.to_le_bytes());
    b.extend([0; 40]);
    let mut offsets = Vec::new();

    offsets.push(align(&mut b)); // names
    b.extend(b"\0main.f\0main.g\0runtime.goexit\0"); // at 1, 8, 15
    let names_len = b.len() as u64 - offsets[0];
    offsets.push(align(&mut b)); // compile units
    b.extend(0u32.to_le_bytes());
    b.extend(5u32.to_le_bytes());
    offsets.push(align(&mut b)); // files
    b.extend(b"f.go\0g.go\0");
    let files_len = b.len() as u64 - offsets[2];
    offsets.push(align(&mut b)); // pc values; 0 means none
    b.push(0);
    // value delta zigzag, pc delta
    let pcsp = (b.len() as u64 - offsets[3]) as u32;
    b.extend([2, 4, 48, 0x3c, 0]); // 0 for 4 bytes, then 24
    let pcfile = (b.len() as u64 - offsets[3]) as u32;
    b.extend([2, 0x10, 2, 0x10, 1, 0x20, 0]); // file 0, 1 in the inlined part, 0
    let pcln = (b.len() as u64 - offsets[3]) as u32;
    b.extend([22, 0x10, 180, 1, 0x10, 179, 1, 0x20, 0]); // 10, then 100, then 10
    let inline_index = (b.len() as u64 - offsets[3]) as u32;
    b.extend([0, 0x10, 2, 0x10, 1, 0x20, 0]); // -1, 0, -1
    let values_len = b.len() as u64 - offsets[3];
    offsets.push(align(&mut b)); // functions
    let base = b.len();
    let records = 3 * 8 + 4;
    let len: u32 = if old { 40 } else { 44 };
    let first = 32u32;
    let second = first + len + 4 * 3 + 4 * 4 + 4;
    for v in [0, first, 0x40, second, 0x60] {
        b.extend(u32::to_le_bytes(v));
    }
    assert!(b.len() - base <= records);
    b.resize(base + first as usize, 0);
    let record =
        |b: &mut Vec<u8>, entry: u32, name: u32, tables: [u32; 3], npcdata: u32, line: u32, flag: u8, nfunc: u8| {
            for v in [entry, name, 0, 0].into_iter().chain(tables).chain([npcdata, 0]) {
                b.extend(v.to_le_bytes());
            }
            if !old {
                b.extend(line.to_le_bytes());
            }
            b.extend([0, flag, 0, nfunc]);
        };
    record(&mut b, 0, 1, [pcsp, pcfile, pcln], 3, 9, 0, 4);
    for v in [0, 0, inline_index, u32::MAX, u32::MAX, u32::MAX, 0x10] {
        b.extend(v.to_le_bytes());
    }
    b.resize(base + second as usize, 0);
    record(&mut b, 0x40, 15, [0, 0, 0], 0, 1, 1 | 4, 0);
    b.resize(b.len() + 8, 0);
    let functions_len = b.len() as u64 - offsets[4];
    let gofunc = align(&mut b);
    b.resize(gofunc as usize + 0x10, 0);
    let call: Vec<u32> = if old { vec![0, 0, 0, 8, 8] } else { vec![0, 8, 8, 99] };
    b.extend(call.into_iter().flat_map(u32::to_le_bytes));
    for (i, offset) in offsets.iter().enumerate() {
        b[32 + 8 * i..40 + 8 * i].copy_from_slice(&offset.to_le_bytes());
    }
    let at = |i: usize, len| TableRef {
        addr: BASE + offsets[i],
        len,
    };
    let tables = ModuleTables {
        pc_header: BASE,
        funcnametab: at(0, names_len),
        cutab: at(1, 2),
        filetab: at(2, files_len),
        pctab: at(3, values_len),
        pclntable: at(4, functions_len),
        ftab: at(4, 3),
        text: TEXT,
        etext: TEXT + 0x60,
        minpc: TEXT,
        maxpc: TEXT + 0x60,
        gofunc: Some(BASE + gofunc),
        textsectmap: Vec::new(),
    };
    Built { bytes: b, tables }
}

fn open(built: &Built) -> Result<SymbolTable> {
    let file = exe(&image(&built.bytes));
    SymbolTable::new(&Elf::parse(&file).unwrap(), &file, built.tables.clone())
}

fn shown(frames: &[Frame]) -> Vec<(String, String, u32)> {
    let show = |f: &Frame| {
        (
            f.function.to_string(),
            f.file.as_deref().unwrap_or("?").into(),
            f.line.unwrap_or(0),
        )
    };
    frames.iter().map(show).collect()
}

#[test]
fn both_forms_give_functions_lines_and_inlined_calls() {
    for magic in [0xffff_fff0, 0xffff_fff1] {
        let t = open(&build(magic)).unwrap();
        let new = magic == 0xffff_fff1;
        let f = t.function(TEXT + 0x3f).unwrap();
        assert_eq!((&*f.name, f.entry, f.end), ("main.f", TEXT, TEXT + 0x40));
        assert_eq!(f.start_line, new.then_some(9));
        assert!(!f.top_frame && !f.asm);
        let exit = t.function(TEXT + 0x40).unwrap();
        assert!(exit.top_frame && exit.asm && &*exit.name == "runtime.goexit");
        assert_eq!(shown(&t.frames(TEXT + 4)), [("main.f".into(), "f.go".into(), 10)]);
        let frames = t.frames(TEXT + 0x18);
        assert_eq!(
            shown(&frames),
            [
                ("main.g".into(), "g.go".into(), 100),
                ("main.f".into(), "f.go".into(), 10)
            ]
        );
        assert_eq!(frames[0].start_line, new.then_some(99));
        assert!(frames[0].inlined && !frames[1].inlined);
        let flat = t.lookup(TEXT + 0x18).unwrap();
        assert_eq!((&*flat.function, flat.line), ("main.f", Some(100)));
        assert_eq!((t.frame_size(TEXT), t.frame_size(TEXT + 4)), (Some(0), Some(24)));
        assert_eq!(t.function_named("runtime.goexit").unwrap().entry, TEXT + 0x40);
    }
}

#[test]
fn outside_the_text_there_is_nothing() {
    let t = open(&build(0xffff_fff1)).unwrap();
    for pc in [0, TEXT - 1, TEXT + 0x60, u64::MAX] {
        assert_eq!(t.lookup(pc), None);
        assert!(t.frames(pc).is_empty());
        assert_eq!(t.frame_size(pc), None);
    }
}

#[test]
fn a_walk_shows_every_function() {
    let t = open(&build(0xffff_fff1)).unwrap();
    let mut shown = Vec::new();
    t.walk(|f| {
        shown.push((String::from_utf8_lossy(f.name).into_owned(), f.entry, f.end));
        std::ops::ControlFlow::Continue(())
    });
    let (first, second) = (TEXT + 0x40, TEXT + 0x60);
    assert_eq!(
        shown,
        [("main.f".into(), TEXT, first), ("runtime.goexit".into(), first, second)]
    );
}

#[test]
fn several_text_sections() {
    let mut built = build(0xffff_fff1);
    // The second function moved to its own section.
    let far = 0x90_0000;
    built.tables.textsectmap = vec![
        TextSection {
            vaddr: 0,
            end: 0x40,
            baseaddr: TEXT,
        },
        TextSection {
            vaddr: 0x40,
            end: 0x60,
            baseaddr: far,
        },
    ];
    built.tables.maxpc = far + 0x20;
    let t = open(&built).unwrap();
    assert_eq!(&*t.function(TEXT + 0x3f).unwrap().name, "main.f");
    assert_eq!(t.function(far + 4).unwrap().entry, far);
    assert_eq!(t.function(TEXT + 0x50), None);
}

#[test]
fn tables_outside_the_file_are_refused() {
    for change in [
        |t: &mut ModuleTables| t.pctab.len = u64::MAX,
        |t: &mut ModuleTables| t.ftab.len = u64::MAX / 4,
        |t: &mut ModuleTables| t.funcnametab.addr = 0,
        |t: &mut ModuleTables| t.pc_header = u64::MAX,
    ] {
        let mut built = build(0xffff_fff1);
        change(&mut built.tables);
        assert!(open(&built).is_err());
    }
}

#[test]
fn go_1_17_is_named() {
    let err = open(&build(0xffff_fffa)).unwrap_err();
    assert!(err.to_string().contains("Go 1.17 or older"), "{err}");
}

#[test]
fn any_byte_may_be_wrong() {
    for magic in [0xffff_fff0, 0xffff_fff1] {
        let good = build(magic);
        for at in 0..good.bytes.len() {
            for value in [0, 0x7f, 0x80, 0xff] {
                let mut bytes = good.bytes.clone();
                bytes[at] = value;
                let bad = Built {
                    bytes,
                    tables: good.tables.clone(),
                };
                let Ok(t) = open(&bad) else { continue };
                for pc in [TEXT, TEXT + 0x18, TEXT + 0x44, TEXT + 0x5f] {
                    let _ = (t.frames(pc), t.lookup(pc), t.frame_size(pc));
                }
                let _ = t.functions_where(|_| true);
            }
        }
    }
}
