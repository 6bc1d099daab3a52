//! One table of pclntab, read from the file in windows as lookups touch it.
//!
//! The tables of a large server are tens of megabytes and a scan needs a few thousand entries, so a window that was
//! read is kept and the rest never is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::bytes::array_at;
use super::super::elf::Elf;
use super::super::file::ExeFile;
use crate::error::Result;

/// Bytes of a window.
const WINDOW: u64 = 32 << 10;
/// Longest name taken; those of generic functions can be some kilobytes.
const MAX_NAME: usize = 64 << 10;

/// A slice of a moduledata: link-time address of its first element, and its length in elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableRef {
    /// Link-time address, load bias removed.
    pub addr: u64,
    /// Number of elements.
    pub len: u64,
}

/// A table of fixed-size elements in the file.
#[derive(Debug)]
pub(super) struct Table {
    file: ExeFile,
    offset: u64,
    size: u64,
    windows: Mutex<HashMap<u64, Arc<[u8]>>>,
}

impl Table {
    /// The table that `at` says, of `width` bytes per element. Fails when it is not inside one segment of the file.
    pub(super) fn new(elf: &Elf, file: &ExeFile, at: TableRef, width: u64, name: &'static str) -> Result<Table> {
        let wrong = || {
            file.malformed(
                "pclntab",
                format!("{name} ({} at {:#x}) is not in the file", at.len, at.addr),
            )
        };
        let size = at.len.checked_mul(width).ok_or_else(wrong)?;
        let (offset, _) = elf
            .vaddr_to_offset(at.addr)
            .filter(|(_, left)| size <= *left)
            .ok_or_else(wrong)?;
        Ok(Table {
            file: file.clone(),
            offset,
            size,
            windows: Mutex::default(),
        })
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The `N` bytes at `at`.
    pub(super) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let (window, into) = self.window(at)?;
        if let Some(bytes) = array_at(&window, into) {
            return Some(bytes);
        }
        // Across two windows.
        let mut out = [0; N];
        let mut cursor = self.cursor(at);
        for byte in &mut out {
            *byte = cursor.next()?;
        }
        Some(out)
    }

    /// The 32-bit integer at `at`.
    pub(super) fn u32(&self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// The bytes at `at` up to a NUL.
    pub(super) fn cstr(&self, at: u64) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut at = at;
        while out.len() < MAX_NAME {
            let (window, into) = self.window(at)?;
            let rest = window.get(into..)?;
            match memchr::memchr(0, rest) {
                Some(end) => {
                    out.extend_from_slice(rest.get(..end)?);
                    return Some(out);
                }
                None => out.extend_from_slice(rest),
            }
            at = at.checked_add(rest.len() as u64)?;
        }
        None
    }

    /// Byte by byte from `at` to the end of the table.
    pub(super) fn cursor(&self, at: u64) -> Cursor<'_> {
        Cursor {
            table: self,
            at,
            window: None,
        }
    }

    /// Replaces `bytes` by those from `at` on, as many as two windows hold; nothing is kept.
    pub(super) fn read_at(&self, at: u64, bytes: &mut Vec<u8>) -> Option<()> {
        let left = self.size.checked_sub(at).filter(|left| *left > 0)?;
        bytes.resize(usize::try_from(left.min(2 * WINDOW)).ok()?, 0);
        self.file.read_into(self.offset.checked_add(at)?, bytes).ok()
    }

    /// The window that holds `at`, and where in it.
    fn window(&self, at: u64) -> Option<(Arc<[u8]>, usize)> {
        if at >= self.size {
            return None;
        }
        let (number, into) = (at / WINDOW, usize::try_from(at % WINDOW).ok()?);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get(&number) {
            return Some((window.clone(), into));
        }
        let start = number * WINDOW;
        let bytes = self
            .file
            .read(self.offset.checked_add(start)?, WINDOW.min(self.size - start))
            .ok()?;
        let window: Arc<[u8]> = bytes.into();
        windows.insert(number, window.clone());
        Some((window, into))
    }
}

/// Sequential bytes of a table.
pub(super) struct Cursor<'a> {
    table: &'a Table,
    at: u64,
    window: Option<(Arc<[u8]>, usize)>,
}

impl Cursor<'_> {
    /// The next byte; `None` at the end of the table.
    pub(super) fn next(&mut self) -> Option<u8> {
        if let Some((window, into)) = &mut self.window
            && let Some(byte) = window.get(*into)
        {
            *into += 1;
            self.at += 1;
            return Some(*byte);
        }
        let (window, into) = self.table.window(self.at)?;
        let byte = *window.get(into)?;
        self.window = Some((window, into + 1));
        self.at += 1;
        Some(byte)
    }

    /// The next 32-bit varint, as `runtime.readvarint` has it.
    pub(super) fn varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.next()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
