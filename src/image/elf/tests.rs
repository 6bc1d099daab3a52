//! ELF files made by hand, well formed and not.

use super::super::file::tests::exe;
use super::*;

/// Bytes of an executable with one writable segment: `data` at file offset 0x1000, address 0x401000.
pub(crate) fn image(data: &[u8]) -> Vec<u8> {
    let mut b = b"\x7fELF\x02\x01\x01".to_vec();
    b.resize(16, 0);
    b.extend(2u16.to_le_bytes()); // ET_EXEC
    b.extend(62u16.to_le_bytes()); // x86-64
    b.extend(1u32.to_le_bytes());
    b.extend(0x40_1000u64.to_le_bytes()); // entry
    b.extend(64u64.to_le_bytes()); // program headers
    b.extend(0u64.to_le_bytes()); // section headers
    b.extend(0u32.to_le_bytes());
    for v in [64u16, 56, 1, 64, 0, 0] {
        b.extend(v.to_le_bytes());
    }
    b.extend(1u32.to_le_bytes()); // PT_LOAD
    b.extend(6u32.to_le_bytes()); // RW
    for v in [
        0x1000u64,
        0x40_1000,
        0x40_1000,
        data.len() as u64,
        data.len() as u64 + 0x100,
        0x1000,
    ] {
        b.extend(v.to_le_bytes());
    }
    b.resize(0x1000, 0);
    b.extend(data);
    b
}

fn refusal(bytes: &[u8]) -> String {
    Elf::parse(&exe(bytes)).unwrap_err().to_string()
}

#[test]
fn addresses_map_to_the_file_part_of_segments() {
    let file = exe(&image(b"abcdef"));
    let elf = Elf::parse(&file).unwrap();
    assert_eq!((elf.arch, elf.pie, elf.link_base), (Arch::Amd64, false, 0x40_1000));
    assert_eq!(elf.vaddr_to_offset(0x40_1002), Some((0x1002, 4)));
    assert_eq!(elf.read_vaddr(&file, 0x40_1002, 3).unwrap(), b"cde");
    assert!(
        elf.read_vaddr(&file, 0x40_1004, 3).is_err(),
        "the zero part is not in the file"
    );
    assert!(elf.read_vaddr(&file, 0x40_0fff, 1).is_err());
    assert!(elf.read_vaddr(&file, u64::MAX, 1).is_err());
}

#[test]
fn what_it_is_instead_is_said() {
    assert!(refusal(b"#!/bin/sh\n").contains("a script"));
    assert!(refusal(b"").contains("an empty file"));
    assert!(refusal(b"MZ").contains("Windows"));
    let mut b = image(b"");
    b[18] = 243;
    assert!(refusal(&b).contains("RISC-V"), "{}", refusal(&b));
    let mut b = image(b"");
    (b[4], b[18]) = (1, 3);
    assert!(refusal(&b).contains("32-bit x86"), "{}", refusal(&b));
    let mut b = image(b"");
    b[16] = 4;
    assert!(refusal(&b).contains("core dump"));
}

#[test]
fn a_lost_section_table_is_only_a_warning() {
    let mut b = image(b"abc");
    b[40..48].copy_from_slice(&0xffff_0000u64.to_le_bytes());
    b[60] = 7;
    let elf = Elf::parse(&exe(&b)).unwrap();
    assert!(elf.sections.is_empty());
    assert_eq!(elf.warnings.len(), 1);
    assert_eq!(elf.segments.len(), 1);
}

#[test]
fn huge_counts_are_refused_without_allocating() {
    let mut b = image(b"abc");
    b[40..48].copy_from_slice(&0x1000u64.to_le_bytes());
    b[60] = 0; // the count is in the first section, which is not there
    assert_eq!(Elf::parse(&exe(&b)).unwrap().warnings.len(), 1);
    let mut b = image(b"abc");
    b[56..58].copy_from_slice(&0xfff0u16.to_le_bytes());
    assert!(Elf::parse(&exe(&b)).is_err());
}

#[test]
fn every_truncation_is_survived() {
    let whole = image(b"abc");
    for len in 0..whole.len() {
        let _ = Elf::parse(&exe(&whole[..len]));
    }
}

#[test]
fn notes_give_the_build_ids() {
    let mut n = Vec::new();
    for (owner, kind, desc) in [(&b"GNU\0"[..], 3u32, &[0xab, 0xcd][..]), (b"Go\0\0", 4, b"x/y")] {
        n.extend((owner.len() as u32).to_le_bytes());
        n.extend((desc.len() as u32).to_le_bytes());
        n.extend(kind.to_le_bytes());
        n.extend(owner);
        n.extend(desc);
        n.resize(n.len().next_multiple_of(4), 0);
    }
    let mut elf = Elf::parse(&exe(&image(b""))).unwrap();
    elf.take_notes(&n);
    assert_eq!(elf.gnu_build_id.as_deref(), Some("abcd"));
    assert_eq!(elf.go_build_id.as_deref(), Some("x/y"));
    elf.take_notes(&[0xff; 64]);
}
