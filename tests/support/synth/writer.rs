//! Writes structures into a space by the hand-typed tables, and hands out addresses for them.

use super::space::Space;
use super::types::{Release, Types};
use gomemscan::image::types::TypeSource;
use gomemscan::memory::{Addr, Memory};

/// Load bias of the made-up executable.
pub const BIAS: u64 = 0x5555_0000_0000;
/// Structures of the runtime that lie one by one.
const APART_FROM: u64 = 0x7f20_0000_0000;
/// Tables that lie densely: mspans, mark bits.
const DENSE_FROM: u64 = 0x7f10_0000_0000;
/// More than any reader takes along by merging neighbours.
const GAP: u64 = 0x4000;

#[derive(Clone, Debug)]
pub struct Writer {
    pub types: Types,
    pub space: Space,
    apart: u64,
    dense: u64,
}

impl Writer {
    /// A space with the variables of the runtime, all zero.
    pub fn new(release: Release) -> Writer {
        let types = Types::of(release);
        let mut space = Space::default();
        for name in types.variables() {
            let short = name.strip_prefix("runtime.").unwrap();
            space.map(types.global(name).unwrap() + BIAS, types.global_size(short));
        }
        Writer {
            types,
            space,
            apart: APART_FROM,
            dense: DENSE_FROM,
        }
    }

    /// Run-time address of a variable of package runtime.
    pub fn global(&self, name: &str) -> u64 {
        self.types
            .global(&format!("runtime.{name}"))
            .unwrap_or_else(|| panic!("no variable {name}"))
            + BIAS
    }

    /// Maps zero bytes far from everything else.
    pub fn alloc(&mut self, bytes: u64) -> u64 {
        let at = self.apart;
        self.apart += bytes.next_multiple_of(64) + GAP;
        self.space.map(at, bytes.max(8));
        at
    }

    /// Maps a table; tables lie at least a gap apart.
    pub fn table(&mut self, bytes: u64) -> u64 {
        let at = self.dense;
        self.dense += bytes.next_multiple_of(4096) + GAP;
        self.space.map(at, bytes.max(8));
        at
    }

    /// An array of words somewhere; nil for none.
    pub fn words(&mut self, words: &[u64]) -> u64 {
        if words.is_empty() {
            return 0;
        }
        let at = self.table(words.len() as u64 * 8);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.space.write(at, &bytes);
        at
    }

    pub fn put_word(&mut self, at: u64, value: u64) {
        self.space.write(at, &value.to_le_bytes());
    }

    /// Writes field `path` of the `root` at `base`, in the field's own size.
    pub fn put(&mut self, root: &str, base: u64, path: &str, value: u64) {
        let (offset, size) = self.types.at(root, path);
        let size = size.min(8) as usize;
        assert!(
            size == 8 || value < 1 << (size * 8),
            "{root}.{path} = {value:#x} does not fit"
        );
        self.space.write(base + offset, &value.to_le_bytes()[..size]);
    }

    /// Writes a field that not every release has.
    pub fn put_if(&mut self, root: &str, base: u64, path: &str, value: u64) {
        if self.types.has(root, path) {
            self.put(root, base, path, value);
        }
    }

    pub fn put_slice(&mut self, root: &str, base: u64, path: &str, slice: (u64, u64, u64)) {
        let (offset, size) = self.types.at(root, path);
        assert_eq!(size, 24, "{root}.{path} is no slice");
        self.put_slice_at(base + offset, slice);
    }

    pub fn put_slice_at(&mut self, at: u64, (ptr, len, cap): (u64, u64, u64)) {
        for (index, word) in [ptr, len, cap].into_iter().enumerate() {
            self.put_word(at + index as u64 * 8, word);
        }
    }

    /// Address of field `path` of the `root` at `base`.
    pub fn at(&self, root: &str, base: u64, path: &str) -> u64 {
        base + self.types.at(root, path).0
    }

    /// Reads a field back.
    pub fn get(&self, root: &str, base: u64, path: &str) -> u64 {
        let (offset, size) = self.types.at(root, path);
        let bytes = self.space.bytes(Addr(base + offset), size.min(8) as usize).unwrap();
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}
