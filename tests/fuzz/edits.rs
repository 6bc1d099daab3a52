//! Real files are too large for a fuzzer to find its way in: an input is a list of edits to one instead, each in a part
//! of the file that is read. The file lives in memory, is edited in place and put right again afterwards.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use gomemscan::image::{Elf, ExeFile};

/// Bytes of one edit: the part of the file, what to do, where, a value.
const EDIT: usize = 14;
/// Edits of one input at most.
const MOST_EDITS: usize = 64;

/// A file to edit.
pub struct Base {
    file: File,
    bytes: Vec<u8>,
    /// The parts that edits go to.
    pub parts: Vec<Range<u64>>,
}

impl Base {
    /// A copy of the file at `path`, to be edited in its ELF headers.
    pub fn of(path: &Path) -> Base {
        Base::of_bytes(std::fs::read(path).unwrap())
    }

    pub fn of_bytes(bytes: Vec<u8>) -> Base {
        let mut file = tempfile::tempfile_in("/dev/shm")
            .or_else(|_| tempfile::tempfile())
            .unwrap();
        file.write_all(&bytes).unwrap();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let half = |at: usize| u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let (programs, sections) = (word(32), word(40));
        let parts = vec![
            0..64,
            programs..programs + half(54) * half(56),
            sections..sections + half(58) * half(60),
        ];
        Base { file, bytes, parts }
    }

    /// Edits go to these sections too.
    pub fn with_sections(mut self, wanted: impl Fn(&str) -> bool) -> Base {
        let chosen = self.sections(wanted);
        self.parts.extend(chosen);
        self
    }

    /// Where these sections are.
    pub fn sections(&self, wanted: impl Fn(&str) -> bool) -> Vec<Range<u64>> {
        let exe = ExeFile::new(self.file.try_clone().unwrap(), PathBuf::from("base")).unwrap();
        let elf = Elf::parse(&exe).unwrap();
        let sections = elf
            .sections
            .iter()
            .filter(|section| section.in_file() && section.size > 0);
        let chosen = sections.filter(|section| wanted(&section.name));
        chosen
            .map(|section| section.offset..section.offset + section.size)
            .collect()
    }

    /// Its content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file as it is.
    pub fn file(&self) -> File {
        self.file.try_clone().unwrap()
    }

    /// Shows `body` the file with the edits of `input`.
    pub fn edited<T>(&self, input: &[u8], body: impl FnOnce(File) -> T) -> T {
        let mut undo = Vec::new();
        let mut size = self.bytes.len() as u64;
        for edit in input.chunks_exact(EDIT).take(MOST_EDITS) {
            self.apply(edit, &mut size, &mut undo);
        }
        let result = body(self.file());
        self.restore(size, &undo);
        result
    }

    /// Shows `body` the file with `input` in place of the beginning of a part.
    pub fn overwritten<T>(&self, part: &Range<u64>, input: &[u8], body: impl FnOnce(File) -> T) -> T {
        let size = self.bytes.len() as u64;
        let end = part.end.min(part.start + input.len() as u64);
        self.file
            .write_all_at(&input[..(end - part.start) as usize], part.start)
            .unwrap();
        let result = body(self.file());
        self.restore(size, std::slice::from_ref(&(part.start..end)));
        result
    }

    fn restore(&self, size: u64, undo: &[Range<u64>]) {
        let whole = self.bytes.len() as u64;
        for range in undo.iter().cloned().chain(std::iter::once(size.min(whole)..whole)) {
            let bytes = &self.bytes[range.start as usize..range.end as usize];
            self.file.write_all_at(bytes, range.start).unwrap();
        }
        self.file.set_len(whole).unwrap();
    }

    fn apply(&self, edit: &[u8], size: &mut u64, undo: &mut Vec<Range<u64>>) {
        let part = &self.parts[usize::from(edit[0]) % self.parts.len()];
        let offset = u64::from(u32::from_le_bytes(edit[2..6].try_into().unwrap()));
        let value = u64::from_le_bytes(edit[6..14].try_into().unwrap());
        let len = part.end - part.start;
        let op = edit[1];
        // Fields are aligned; texts and code are not.
        let aligned = part.start + offset % len.max(1) / 8 * 8;
        let at = match op & 0x80 {
            0 => aligned,
            _ => part.start + offset % len.max(1),
        };
        let put = |bytes: &[u8], undo: &mut Vec<Range<u64>>| {
            let end = (at + bytes.len() as u64).min(*size);
            if at < end {
                self.file.write_all_at(&bytes[..(end - at) as usize], at).unwrap();
                undo.push(at..end.min(self.bytes.len() as u64).max(at));
            }
        };
        let old = || {
            let mut old = [0; 8];
            let there = self.file.read_at(&mut old, at).unwrap();
            old[there..].fill(0);
            u64::from_le_bytes(old)
        };
        match op & 0x7f {
            0 => put(&[value as u8], undo),
            1 => put(&(value as u16).to_le_bytes(), undo),
            2 => put(&(value as u32).to_le_bytes(), undo),
            3 => put(&value.to_le_bytes(), undo),
            4 => put(&(old() as u32).wrapping_add(value as i16 as u32).to_le_bytes(), undo),
            5 => put(&old().wrapping_add(value as i16 as u64).to_le_bytes(), undo),
            6 => {
                // What stands elsewhere in the file.
                let from = (value % self.bytes.len() as u64) as usize;
                let end = (from + 16).min(self.bytes.len());
                put(&self.bytes[from..end], undo);
            }
            7 => put(&vec![value as u8; (value >> 8) as usize % 512], undo),
            8 => {
                *size = at;
                self.file.set_len(at).unwrap();
            }
            9 => {
                // Longer than it was, without a byte more on disk.
                *size = (*size).max(value >> 16);
                self.file.set_len((*size).min(1 << 40)).unwrap();
            }
            _ => put(&value.to_le_bytes()[..usize::from(op & 7) + 1], undo),
        }
    }
}
