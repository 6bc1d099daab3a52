//! Debug information made by hand: what Go's linker writes, and what a hostile file could hold.

use super::super::elf::tests::image;
use super::super::elf::{Elf, Section};
use super::super::file::ExeFile;
use super::super::file::tests::exe;
use super::*;

const GO: u8 = 0x16;
const C: u8 = 0x0c;
const ADDR: u8 = 0x03;
const ADDRX: u8 = 0xa1;

/// Abbreviation codes.
const UNIT: u8 = 1;
const STRUCT: u8 = 2;
const MEMBER: u8 = 3;
const TYPEDEF: u8 = 4;
const ARRAY: u8 = 5;
const SUBRANGE: u8 = 6;
const BASE: u8 = 7;
const VARIABLE: u8 = 8;
const CONSTANT: u8 = 9;
const VOID: u8 = 10;
const UPPER: u8 = 11;
const STRP_STRUCT: u8 = 12;
const UNIT_WITH_ADDR_BASE: u8 = 13;

const NAME: [u8; 2] = [0x03, 0x08];
const TYPE: [u8; 2] = [0x49, 0x10];

/// (tag, has children, attribute and form pairs) for each code.
fn abbreviations() -> Vec<u8> {
    let entries: [(u8, u8, &[[u8; 2]]); 13] = [
        (0x11, 1, &[NAME, [0x13, 0x0b]]),
        (0x13, 1, &[NAME, [0x0b, 0x0f]]),
        (0x0d, 0, &[NAME, [0x38, 0x0f], TYPE]),
        (0x16, 0, &[NAME, TYPE]),
        (0x01, 1, &[NAME, TYPE]),
        (0x21, 0, &[[0x37, 0x0f]]),
        (0x24, 0, &[NAME, [0x0b, 0x0b]]),
        (0x34, 0, &[NAME, [0x02, 0x18], TYPE]),
        (0x27, 0, &[NAME, [0x1c, 0x0d]]),
        (0x16, 0, &[NAME]),
        (0x21, 0, &[[0x2f, 0x0d]]),
        (0x13, 0, &[[0x03, 0x0e], [0x0b, 0x0f]]),
        (0x11, 1, &[NAME, [0x13, 0x0b], [0x73, 0x17]]),
    ];
    let mut b = Vec::new();
    for (code, (tag, children, attributes)) in (1u8..).zip(entries) {
        b.extend([code, tag, children]);
        // DW_AT_addr_base (0x73) and the forms are all below 0x80: one byte each, as LEB128 wants it.
        b.extend(attributes.iter().flatten());
        b.extend([0, 0]);
    }
    b.push(0);
    b
}

/// Writes units; types are named by labels that may be placed later.
#[derive(Default)]
struct Writer {
    info: Vec<u8>,
    labels: Vec<(&'static str, u32)>,
    uses: Vec<(usize, &'static str)>,
}

impl Writer {
    fn unit(&mut self, version: u16, name: &str, language: u8, body: impl FnOnce(&mut Writer)) {
        self.unit_with(version, &[UNIT], name, &[language], body);
    }

    fn unit_with(&mut self, version: u16, code: &[u8], name: &str, rest: &[u8], body: impl FnOnce(&mut Writer)) {
        let start = self.info.len();
        self.info.extend([0; 4]);
        self.info.extend(version.to_le_bytes());
        match version {
            5 => self.info.extend([1, 8, 0, 0, 0, 0]),
            _ => self.info.extend([0, 0, 0, 0, 8]),
        }
        self.info.extend(code);
        self.string(name);
        self.info.extend(rest);
        body(self);
        self.info.push(0);
        let len = (self.info.len() - start - 4) as u32;
        self.info[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.info.extend(text.as_bytes());
        self.info.push(0);
    }

    fn label(&mut self, label: &'static str) {
        self.labels.push((label, self.info.len() as u32));
    }

    fn reference(&mut self, label: &'static str) {
        self.uses.push((self.info.len(), label));
        self.info.extend([0; 4]);
    }

    fn uleb(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.info.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.info.push(v as u8);
    }

    fn named(&mut self, code: u8, label: &'static str, name: &str) {
        self.label(label);
        self.info.push(code);
        self.string(name);
    }

    fn base(&mut self, name: &'static str, size: u8) {
        self.named(BASE, name, name);
        self.info.push(size);
    }

    fn structure(&mut self, label: &'static str, name: &str, size: u64, fields: &[(&str, u64, &'static str)]) {
        self.named(STRUCT, label, name);
        self.uleb(size);
        for (name, offset, ty) in fields {
            self.info.push(MEMBER);
            self.string(name);
            self.uleb(*offset);
            self.reference(ty);
        }
        self.info.push(0);
    }

    fn array(&mut self, label: &'static str, element: &'static str, bound: (u8, u64)) {
        self.named(ARRAY, label, label);
        self.reference(element);
        self.info.push(bound.0);
        self.uleb(bound.1);
        self.info.push(0);
    }

    fn typedef(&mut self, label: &'static str, name: &str, ty: &'static str) {
        self.named(TYPEDEF, label, name);
        self.reference(ty);
    }

    fn variable(&mut self, name: &str, location: &[u8], ty: &'static str) {
        self.named(VARIABLE, "", name);
        self.info.push(location.len() as u8);
        self.info.extend(location);
        self.reference(ty);
    }

    fn constant(&mut self, name: &str, value: u8) {
        self.named(CONSTANT, "", name);
        self.info.push(value);
    }

    fn finish(mut self) -> Vec<u8> {
        for (at, label) in self.uses {
            let target = self.labels.iter().find(|(l, _)| *l == label).unwrap().1;
            self.info[at..at + 4].copy_from_slice(&target.to_le_bytes());
        }
        self.info
    }
}

fn addr(value: u64) -> Vec<u8> {
    let mut b = vec![ADDR];
    b.extend(value.to_le_bytes());
    b
}

/// What every Go program has, as far as these tests go: a package, the runtime, and a late unit with the types.
fn program(version: u16) -> Writer {
    let mut w = Writer::default();
    w.unit(version, "x.c", C, |w| {
        w.named(VOID, "", "opaque");
        w.structure("c.g", "runtime.g", 1, &[]);
        w.structure("c.mheap", "runtime.mheap", 1, &[]);
    });
    w.unit(version, "main", GO, |w| w.variable("runtime.wrong", &addr(1), "c.g"));
    w.unit(version, "runtime", GO, |w| {
        w.variable("runtime.mheap_", &addr(0x58_e1e0), "mheap");
        w.variable("runtime.scavenge", &addr(0x1000), "anonymous");
        w.constant("runtime._Gwaiting", 4);
        w.constant("runtime.negative", 0x7f); // SLEB128 -1
        w.constant("main.other", 1);
    });
    w.unit(version, "runtime", GO, |w| {
        w.base("uint64", 8);
        w.base("uint8", 1);
        w.structure("g", "runtime.g", 440, &[("goid", 152, "uint64")]);
        w.structure(
            "atomic",
            "internal/runtime/atomic.Uint64",
            8,
            &[("noCopy", 0, "uint8"), ("value", 0, "uint64")],
        );
        w.typedef("atomic.alias", "internal/alias", "atomic");
        w.structure("mcentral", "runtime.mcentral", 168, &[("spans", 8, "uint64")]);
        w.structure(
            "padded",
            "struct { mcentral runtime.mcentral; pad [24]uint8 }",
            192,
            &[("mcentral", 0, "mcentral")],
        );
        w.array("[136]padded", "padded", (SUBRANGE, 136));
        w.array("[3]uint8", "uint8", (UPPER, 2));
        w.structure(
            "mheap.struct",
            "runtime.mheap",
            93464,
            &[
                ("_", 0, "uint8"),
                ("live", 8, "atomic.alias"),
                ("central", 66208, "[136]padded"),
                ("small", 92320, "[3]uint8"),
            ],
        );
        w.typedef("mheap", "runtime.mheap", "mheap.struct");
        w.structure(
            "anonymous",
            "struct { lock runtime.mutex }",
            32,
            &[("goal", 8, "uint64")],
        );
    });
    w
}

/// An executable whose sections are the given ones.
fn executable(sections: &[(&str, &[u8])]) -> (Arc<Elf>, ExeFile) {
    let data: Vec<u8> = sections.iter().flat_map(|(_, b)| b.iter().copied()).collect();
    let file = exe(&image(&data));
    let mut elf = Elf::parse(&file).unwrap();
    let mut offset = 0x1000;
    for (name, bytes) in sections {
        let (name, size) = ((*name).to_owned(), bytes.len() as u64);
        elf.sections.push(Section {
            name,
            kind: 1,
            flags: 0,
            addr: 0,
            offset,
            size,
        });
        offset += size;
    }
    (Arc::new(elf), file)
}

fn read(info: &[u8]) -> Result<DebugInfo, NoDebugInfo> {
    let (elf, file) = executable(&[(".debug_info", info), (".debug_abbrev", &abbreviations())]);
    DebugInfo::read(elf, &file)
}

#[test]
fn fields_are_found_through_typedefs_arrays_and_embedding() {
    for version in [4, 5] {
        let d = read(&program(version).finish()).unwrap();
        assert_eq!(d.size_of("runtime.mheap"), Some(93464));
        let loc = |offset, size, array| Some(FieldLoc { offset, size, array });
        assert_eq!(
            d.field("runtime.mheap", "central"),
            loc(66208, 136 * 192, Some((136, 192)))
        );
        assert_eq!(d.field("runtime.mheap", "central.[].mcentral"), loc(66208, 168, None));
        assert_eq!(
            d.field("runtime.mheap", "central.[].mcentral.spans"),
            loc(66216, 8, None)
        );
        assert_eq!(d.field("runtime.mheap", "live"), loc(8, 8, None));
        assert_eq!(d.field("runtime.mheap", "live.value"), loc(8, 8, None));
        assert_eq!(d.field("runtime.mheap", "small"), loc(92320, 3, Some((3, 1))));
        assert_eq!(d.field("&runtime.scavenge", "goal"), loc(8, 8, None));
        assert_eq!(d.size_of("&runtime.scavenge"), Some(32));
        assert!(d.warnings().is_empty());
    }
}

#[test]
fn globals_and_constants_come_from_the_runtime_only() {
    let d = read(&program(5).finish()).unwrap();
    assert_eq!(d.global("runtime.mheap_"), Some(0x58_e1e0));
    assert_eq!(d.constant("runtime._Gwaiting"), Some(4));
    assert_eq!(d.constant("runtime.negative"), Some(-1));
    assert_eq!(d.constant("main.other"), None);
    assert_eq!(d.global("runtime.wrong"), None, "defined by a unit of another package");
}

#[test]
fn types_of_go_win_over_types_of_c() {
    let d = read(&program(4).finish()).unwrap();
    assert_eq!(d.size_of("runtime.g"), Some(440));
}

#[test]
fn what_is_not_there_is_none() {
    let d = read(&program(4).finish()).unwrap();
    assert_eq!(d.size_of("runtime.nosuch"), None);
    for path in [
        "",
        ".",
        "nosuch",
        "central.mcentral",
        "central.[].[]",
        "live.value.x",
        "[]",
    ] {
        assert_eq!(d.field("runtime.mheap", path), None, "{path:?}");
    }
    assert_eq!(d.field("&runtime.nosuch", "x"), None);
    assert_eq!(d.field("runtime.mheap", &"live.".repeat(1000)), None);
}

#[test]
fn units_under_other_names_are_found_by_a_second_pass() {
    let mut w = Writer::default();
    w.unit(5, "types", GO, |w| {
        w.structure("g", "runtime.g", 8, &[]);
        w.structure("mheap", "runtime.mheap", 8, &[]);
    });
    assert_eq!(read(&w.finish()).unwrap().size_of("runtime.g"), Some(8));
}

#[test]
fn strings_and_addresses_may_live_in_side_sections() {
    let mut w = program(5);
    w.unit_with(5, &[UNIT_WITH_ADDR_BASE], "runtime", &[GO, 8, 0, 0, 0], |w| {
        w.variable("runtime.indexed", &[ADDRX, 1], "g");
        w.info.push(STRP_STRUCT);
        w.info.extend(2u32.to_le_bytes());
        w.uleb(24);
    });
    let mut addresses = vec![0; 8];
    addresses.extend(7u64.to_le_bytes());
    addresses.extend(0x1234u64.to_le_bytes());
    let strings = b"x\0runtime.far\0";
    let sections: [(&str, &[u8]); 4] = [
        (".debug_info", &w.finish()),
        (".debug_abbrev", &abbreviations()),
        (".debug_str", strings),
        (".debug_addr", &addresses),
    ];
    let (elf, file) = executable(&sections);
    let d = DebugInfo::read(elf, &file).unwrap();
    assert_eq!(d.global("runtime.indexed"), Some(0x1234));
    assert_eq!(d.size_of("runtime.far"), Some(24));
}

#[test]
fn no_debug_information_says_why() {
    let (elf, file) = executable(&[(".text", b"x")]);
    assert_eq!(DebugInfo::read(elf, &file).unwrap_err(), NoDebugInfo::Stripped);
    let mut w = Writer::default();
    w.unit(4, "x.c", C, |w| w.base("int", 4));
    assert_eq!(read(&w.finish()).unwrap_err(), NoDebugInfo::NoRuntime);
    assert!(matches!(read(&[1, 2, 3]).unwrap_err(), NoDebugInfo::Unreadable(_)));
}

#[test]
fn a_bad_unit_costs_only_itself() {
    let mut w = program(4);
    w.unit(4, "runtime", GO, |w| w.info.push(99)); // no such abbreviation
    let d = read(&w.finish()).unwrap();
    assert_eq!(d.size_of("runtime.g"), Some(440));
    assert_eq!(d.warnings().len(), 1);
    let mut info = program(4).finish();
    info.extend([0xff, 0xff, 0, 0, 4, 0]); // reaches beyond the section
    let d = read(&info).unwrap();
    assert_eq!(d.warnings().len(), 1);
}

#[test]
fn types_made_of_themselves_end() {
    let mut w = program(4);
    w.unit(4, "runtime", GO, |w| {
        w.typedef("self", "runtime.self", "self");
        w.typedef("ping", "runtime.ping", "pong");
        w.typedef("pong", "runtime.pong", "ping");
        w.array("runtime.nest", "runtime.nest", (SUBRANGE, 2));
        w.array("runtime.huge", "uint64", (SUBRANGE, u64::MAX));
    });
    let d = read(&w.finish()).unwrap();
    for name in ["runtime.self", "runtime.ping", "runtime.nest", "runtime.huge"] {
        assert_eq!(d.size_of(name), None, "{name}");
    }
    assert_eq!(d.field("runtime.nest", "[].[].[]"), None);
}

#[test]
fn any_byte_may_be_wrong() {
    let good = program(5).finish();
    let paths = ["central.[].mcentral.spans", "live.value", "small"];
    let ask = |d: &DebugInfo| {
        for path in paths {
            let _ = d.field("runtime.mheap", path);
        }
        let _ = d.size_of("&runtime.scavenge");
        let _ = d.global("runtime.mheap_");
    };
    for at in 0..good.len() {
        for value in [0, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            if let Ok(d) = read(&bad) {
                ask(&d);
            }
        }
        let _ = read(&good[..at]).as_ref().map(ask);
    }
    let abbrevs = abbreviations();
    for at in 0..abbrevs.len() {
        for value in [0, 0x10, 0x7f, 0x80, 0xff] {
            let mut bad = abbrevs.clone();
            bad[at] = value;
            let (elf, file) = executable(&[(".debug_info", &good), (".debug_abbrev", &bad)]);
            let _ = DebugInfo::read(elf, &file).as_ref().map(ask);
        }
    }
}
