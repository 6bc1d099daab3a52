//! Typed, fallible access to runtime structures: a [`Record`] holds a structure's bytes, a [`View`] reads field by
//! field where the structure is larger than what a scan captures of it. Reading one looks like the structure.

use super::layout::{ArrayField, Field};
use crate::memory::{Addr, Memory, MemoryError};

/// Why a structure could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Its bytes are not here.
    #[error("{what}: {source}")]
    Missing {
        /// The structure, by its runtime name.
        what: &'static str,
        /// Which bytes and why.
        source: MemoryError,
    },
    /// Its content makes no sense.
    #[error("{what} at {addr}: {why}")]
    Invalid {
        /// The structure, by its runtime name.
        what: &'static str,
        /// Where it lies.
        addr: Addr,
        /// What is wrong.
        why: &'static str,
    },
}

/// A Go slice header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoSlice {
    /// First element.
    pub ptr: Addr,
    /// Number of elements.
    pub len: u64,
    /// Capacity in elements.
    pub cap: u64,
}

/// Reads fields of one structure.
pub trait Fields<'m> {
    /// The field's bytes.
    fn field(&self, field: Field) -> Result<&'m [u8], DecodeError>;
    /// Name and address, for messages.
    fn place(&self) -> (&'static str, Addr);

    /// An unsigned integer of the field's own size (1, 2, 4 or 8 bytes).
    fn uint(&self, field: Field) -> Result<u64, DecodeError> {
        let bytes = self.field(field)?;
        match *bytes {
            [a] => Ok(u64::from(a)),
            [a, b] => Ok(u64::from(u16::from_le_bytes([a, b]))),
            [a, b, c, d] => Ok(u64::from(u32::from_le_bytes([a, b, c, d]))),
            [a, b, c, d, e, f, g, h] => Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => Err(self.invalid("a field has no integer size")),
        }
    }

    /// An unsigned integer that must fit 32 bits.
    fn u32(&self, field: Field) -> Result<u32, DecodeError> {
        u32::try_from(self.uint(field)?).map_err(|_| self.invalid("a value is too large"))
    }

    /// A signed integer of the field's own size.
    fn int(&self, field: Field) -> Result<i64, DecodeError> {
        let value = self.uint(field)?;
        Ok(match field.size {
            1 => i64::from(value as u8 as i8),
            2 => i64::from(value as u16 as i16),
            4 => i64::from(value as u32 as i32),
            _ => value as i64,
        })
    }

    /// A pointer.
    fn addr(&self, field: Field) -> Result<Addr, DecodeError> {
        self.uint(field).map(Addr)
    }

    /// A slice header, checked for `len <= cap`.
    fn slice(&self, field: Field) -> Result<GoSlice, DecodeError> {
        let bytes = self.field(field)?;
        let word = |i: usize| {
            bytes
                .get(i * 8..i * 8 + 8)
                .and_then(|b| b.try_into().ok())
                .map(u64::from_le_bytes)
        };
        match (word(0), word(1), word(2)) {
            (Some(ptr), Some(len), Some(cap)) if len <= cap && (ptr != 0 || len == 0) => Ok(GoSlice {
                ptr: Addr(ptr),
                len,
                cap,
            }),
            _ => Err(self.invalid("a slice header makes no sense")),
        }
    }

    /// An error about this structure's content.
    fn invalid(&self, why: &'static str) -> DecodeError {
        let (what, addr) = self.place();
        DecodeError::Invalid { what, addr, why }
    }
}

/// A structure whose bytes are all here.
#[derive(Clone, Copy)]
pub struct Record<'m> {
    what: &'static str,
    addr: Addr,
    bytes: &'m [u8],
}

impl<'m> Record<'m> {
    /// The `size` bytes of a `what` at `addr`.
    pub fn read(memory: &'m dyn Memory, what: &'static str, addr: Addr, size: u64) -> Result<Record<'m>, DecodeError> {
        let bytes = bytes_of(memory, what, addr, size)?;
        Ok(Record { what, addr, bytes })
    }
}

impl<'m> Fields<'m> for Record<'m> {
    fn field(&self, field: Field) -> Result<&'m [u8], DecodeError> {
        let (start, size) = (field.offset as usize, field.size as usize);
        self.bytes
            .get(start..start.saturating_add(size))
            .ok_or_else(|| self.invalid("a field lies outside its structure"))
    }

    fn place(&self) -> (&'static str, Addr) {
        (self.what, self.addr)
    }
}

/// A structure read field by field.
#[derive(Clone, Copy)]
pub struct View<'m> {
    memory: &'m dyn Memory,
    what: &'static str,
    base: Addr,
}

impl<'m> View<'m> {
    /// A view of the `what` at `base`.
    pub fn new(memory: &'m dyn Memory, what: &'static str, base: Addr) -> View<'m> {
        View { memory, what, base }
    }

    /// The embedded structure `field`.
    pub fn inner(&self, what: &'static str, field: Field) -> View<'m> {
        View {
            memory: self.memory,
            what,
            base: Addr(self.base.0.wrapping_add(field.offset)),
        }
    }

    /// Element `index` of the embedded array `array`.
    pub fn element(&self, what: &'static str, array: ArrayField, index: u64) -> Result<View<'m>, DecodeError> {
        Ok(View {
            memory: self.memory,
            what,
            base: self.element_addr(array, index)?,
        })
    }

    /// Address of element `index` of the embedded array `array`.
    pub fn element_addr(&self, array: ArrayField, index: u64) -> Result<Addr, DecodeError> {
        if index >= array.len {
            return Err(self.invalid("an index is out of range"));
        }
        Ok(Addr(
            self.base
                .0
                .wrapping_add(array.offset)
                .wrapping_add(index.wrapping_mul(array.stride)),
        ))
    }

    /// Address of `field`.
    pub fn addr_of(&self, field: Field) -> Addr {
        Addr(self.base.0.wrapping_add(field.offset))
    }
}

impl<'m> Fields<'m> for View<'m> {
    fn field(&self, field: Field) -> Result<&'m [u8], DecodeError> {
        bytes_of(self.memory, self.what, self.addr_of(field), field.size)
    }

    fn place(&self) -> (&'static str, Addr) {
        (self.what, self.base)
    }
}

/// The bytes of a `what` at `addr`.
pub(super) fn bytes_of<'m>(
    memory: &'m dyn Memory,
    what: &'static str,
    addr: Addr,
    size: u64,
) -> Result<&'m [u8], DecodeError> {
    let len = usize::try_from(size).map_err(|_| DecodeError::Invalid {
        what,
        addr,
        why: "its size is impossible",
    })?;
    memory
        .bytes(addr, len)
        .map_err(|source| DecodeError::Missing { what, source })
}

/// The words of an array of pointers or integers at `addr`.
pub fn words<'m>(
    memory: &'m dyn Memory,
    what: &'static str,
    addr: Addr,
    len: u64,
) -> Result<impl ExactSizeIterator<Item = u64> + use<'m>, DecodeError> {
    let bytes = match len {
        0 => &[][..],
        _ => bytes_of(memory, what, addr, len.saturating_mul(8))?,
    };
    Ok(bytes
        .chunks_exact(8)
        .map(|chunk| chunk.try_into().map(u64::from_le_bytes).unwrap_or_default()))
}

/// One word at `addr`.
pub fn word(memory: &dyn Memory, what: &'static str, addr: Addr) -> Result<u64, DecodeError> {
    View::new(memory, what, addr).uint(Field { offset: 0, size: 8 })
}
