//! Little-endian integers out of untrusted bytes: every read is checked, none panics.

/// The `N` bytes at `at`.
pub(crate) fn array_at<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The byte at `at`.
pub(crate) fn u8_at(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

/// The 16-bit integer at `at`.
pub(crate) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    array_at(data, at).map(u16::from_le_bytes)
}

/// The 32-bit integer at `at`.
pub(crate) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    array_at(data, at).map(u32::from_le_bytes)
}

/// The 64-bit integer at `at`.
pub(crate) fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    array_at(data, at).map(u64::from_le_bytes)
}

/// The bytes at `at` up to a NUL, which must be there.
pub(crate) fn cstr_at(data: &[u8], at: usize) -> Option<&[u8]> {
    let rest = data.get(at..)?;
    rest.get(..memchr::memchr(0, rest)?)
}

/// An unsigned LEB128 (Go's `uvarint`) at `at`: its value and the offset behind it.
pub(crate) fn uvarint_at(data: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for i in 0..10usize {
        let byte = *data.get(at.checked_add(i)?)?;
        let part = u64::from(byte & 0x7f);
        let shift = u32::try_from(i).ok()?.checked_mul(7)?;
        if part.checked_shl(shift)? >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some((value, at + i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_need_all_their_bytes() {
        assert_eq!(u32_at(&[1, 2, 3, 4], 0), Some(0x0403_0201));
        assert_eq!(u32_at(&[1, 2, 3, 4], 1), None);
        assert_eq!(u64_at(&[0; 8], usize::MAX), None);
    }

    #[test]
    fn a_string_needs_its_nul() {
        assert_eq!(cstr_at(b"ab\0c", 1), Some(&b"b"[..]));
        assert_eq!(cstr_at(b"ab\0c", 3), None);
    }

    #[test]
    fn a_varint_that_overflows_or_never_ends_is_refused() {
        assert_eq!(uvarint_at(&[0xac, 0x02], 0), Some((300, 2)));
        assert_eq!(uvarint_at(&[0xff; 20], 0), None);
        assert_eq!(uvarint_at(&[0x80], 0), None);
        assert_eq!(
            uvarint_at(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 0),
            Some((u64::MAX, 10))
        );
        assert_eq!(
            uvarint_at(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], 0),
            None
        );
    }
}
