//! The executable as bytes on disk: positional, bounds-checked reads of an already opened file.
//!
//! The handle comes from `/proc/PID/exe`, so it works for a deleted or replaced binary and is never re-opened by path.
//! Nothing is mapped: a file truncated under a mapping would kill the reader with SIGBUS, a short `pread` is an error.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Most bytes one read may ask for: a sparse file can claim any size.
const MAX_READ: u64 = 256 << 20;
/// Bytes of one piece of a scan.
const PIECE: u64 = 1 << 20;

/// An opened executable. Clones share the handle.
#[derive(Clone, Debug)]
pub struct ExeFile {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    size: u64,
    path: PathBuf,
}

impl ExeFile {
    /// Takes over `file`; `display_path` is only used in messages. Fails with [`Error::Unsupported`] when it is not
    /// a regular file and with [`Error::Io`] when its size cannot be had.
    pub fn new(file: File, display_path: PathBuf) -> Result<ExeFile> {
        let meta = file
            .metadata()
            .map_err(|e| Error::io(format!("stat {}", display_path.display()), e))?;
        let kind = meta.file_type();
        if !kind.is_file() {
            let what = match () {
                () if kind.is_dir() => "a directory",
                () if kind.is_fifo() => "a pipe",
                () if kind.is_socket() => "a socket",
                () if kind.is_block_device() => "a block device",
                () if kind.is_char_device() => "a character device",
                () => "not a regular file",
            };
            return Err(Error::Unsupported {
                what: format!("{} is {what}, not an executable file", display_path.display()),
                remedy: None,
            });
        }
        Ok(ExeFile {
            inner: Arc::new(Inner {
                file,
                size: meta.len(),
                path: display_path,
            }),
        })
    }

    /// Size in bytes when the file was opened.
    pub fn size(&self) -> u64 {
        self.inner.size
    }

    /// The path to name in messages.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Exactly `len` bytes at file offset `offset`. Nothing is allocated for a range that is not inside the file
    /// or exceeds 256 MiB.
    pub fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let bytes = self.check(offset, len)?;
        if len > MAX_READ {
            return Err(self.malformed(
                "file",
                format!("{len} bytes at {offset:#x} are too many to read at once"),
            ));
        }
        let mut buf = vec![0; bytes];
        self.read_into(offset, &mut buf)?;
        Ok(buf)
    }

    /// Fills `buf` from file offset `offset`.
    pub fn read_into(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.check(offset, buf.len() as u64)?;
        self.inner
            .file
            .read_exact_at(buf, offset)
            .map_err(|e| Error::io(format!("reading {} at {offset:#x}", self.inner.path.display()), e))
    }

    /// Shows `visit` the `len` bytes at `offset` in pieces of a megabyte, each with up to `overlap` bytes of the next,
    /// so that what begins in a piece is seen whole. `visit` gets the offset from the range's start; it ends the scan
    /// by breaking. Bytes beyond the end of the file are left out.
    pub fn scan<B>(
        &self,
        offset: u64,
        len: u64,
        overlap: u64,
        mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        let len = len.min(self.size().saturating_sub(offset));
        let mut buf = Vec::new();
        let mut at = 0;
        while at < len {
            let want = PIECE.saturating_add(overlap).min(len - at);
            buf.resize(usize::try_from(want).unwrap_or(0), 0);
            self.read_into(offset.saturating_add(at), &mut buf)?;
            if let ControlFlow::Break(found) = visit(at, &buf) {
                return Ok(Some(found));
            }
            at = at.saturating_add(PIECE);
        }
        Ok(None)
    }

    /// A sequential reader over `len` bytes at `offset`.
    pub fn stream(&self, offset: u64, len: u64) -> Result<Stream> {
        self.check(offset, len)?;
        Ok(Stream {
            file: self.clone(),
            offset,
            left: len,
        })
    }

    /// A malformed-structure error naming this file.
    pub fn malformed(&self, structure: &'static str, detail: impl Into<String>) -> Error {
        Error::Malformed {
            path: self.inner.path.clone(),
            structure,
            detail: detail.into(),
        }
    }

    fn check(&self, offset: u64, len: u64) -> Result<usize> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.inner.size);
        match usize::try_from(len) {
            Ok(n) if inside => Ok(n),
            _ => Err(self.malformed(
                "file",
                format!("{len} bytes at {offset:#x} are outside its {} bytes", self.inner.size),
            )),
        }
    }
}

/// Sequential reads of one range of the file.
#[derive(Debug)]
pub struct Stream {
    file: ExeFile,
    offset: u64,
    left: u64,
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..want).filter(|b| !b.is_empty()) else {
            return Ok(0);
        };
        let got = self.file.inner.file.read_at(buf, self.offset)?;
        self.offset = self.offset.saturating_add(got as u64);
        self.left = self.left.saturating_sub(got as u64);
        Ok(got)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    /// An executable made of `bytes`, for the parsers' tests.
    pub(crate) fn exe(bytes: &[u8]) -> ExeFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        ExeFile::new(file, PathBuf::from("test.exe")).unwrap()
    }

    #[test]
    fn reads_stay_inside_the_file() {
        let f = exe(b"0123456789");
        assert_eq!(f.read(2, 3).unwrap(), b"234");
        assert_eq!(f.read(10, 0).unwrap(), b"");
        assert!(f.read(8, 3).is_err());
        assert!(f.read(u64::MAX, 2).is_err());
        assert!(f.read(0, u64::MAX).is_err());
    }

    #[test]
    fn a_stream_ends_where_its_range_ends() {
        let f = exe(b"0123456789");
        let mut all = String::new();
        f.stream(3, 4).unwrap().read_to_string(&mut all).unwrap();
        assert_eq!(all, "3456");
        assert!(f.stream(3, 8).is_err());
    }

    #[test]
    fn a_scan_sees_what_lies_across_two_pieces() {
        let mut bytes = vec![0; 3 << 20];
        let at = (2 << 20) - 3;
        bytes[at..at + 6].copy_from_slice(b"needle");
        let f = exe(&bytes);
        let look = |overlap| {
            let visit = |at: u64, piece: &[u8]| match memchr::memmem::find(piece, b"needle") {
                Some(found) => ControlFlow::Break(at + found as u64),
                None => ControlFlow::Continue(()),
            };
            f.scan(1, u64::MAX, overlap, visit).unwrap()
        };
        assert_eq!(look(5), Some(at as u64 - 1));
        assert_eq!(look(0), Some(at as u64 - 1).filter(|at| (at % PIECE) + 6 <= PIECE));
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_not_a_crash() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100).unwrap();
        let f = ExeFile::new(file.try_clone().unwrap(), PathBuf::from("x")).unwrap();
        file.set_len(10).unwrap();
        assert!(f.read(5, 50).is_err());
    }

    #[test]
    fn only_regular_files_are_read() {
        let dir = File::open(std::env::temp_dir()).unwrap();
        let err = ExeFile::new(dir, PathBuf::from("d")).unwrap_err();
        assert!(err.to_string().contains("a directory"), "{err}");
    }
}
