//! Debug sections as streams of plain bytes, whether they are stored plain, compressed (`SHF_COMPRESSED`) or in the
//! older `.zdebug_*` form. The claimed size is checked against what the compressed bytes can possibly hold.

use std::io::{self, BufReader, Read};
use std::sync::OnceLock;

use flate2::bufread::ZlibDecoder;
use object::elf;

use super::super::bytes::{array_at, u32_at, u64_at};
use super::super::elf::{Elf, Section};
use super::super::file::{ExeFile, Stream};
use super::ahead::Ahead;
use crate::spare;

/// Largest decompressed section read.
const MAX_PLAIN: u64 = 4 << 30;
/// Largest section kept whole (the side tables; `.debug_info` is streamed).
const MAX_WHOLE: u64 = 64 << 20;
/// zlib cannot expand its input further than this.
const MAX_RATIO: u64 = 1032;
const BUFFER: usize = 256 << 10;
/// A section at least this large is inflated by a thread of its own, if there is a processor for it.
const WORTH_A_THREAD: u64 = 8 << 20;

/// Sequential plain bytes of one section.
pub(super) struct SectionReader {
    source: Source,
    left: u64,
    scratch: Vec<u8>,
}

impl SectionReader {
    fn new(source: Source, left: u64) -> SectionReader {
        SectionReader {
            source,
            left,
            scratch: Vec::new(),
        }
    }
}

enum Source {
    Plain(BufReader<Stream>),
    Zlib(Box<ZlibDecoder<BufReader<Stream>>>),
    Ahead(Ahead),
}

impl SectionReader {
    /// Opens section `.debug_<name>` or `.zdebug_<name>`. `Ok(None)` when there is none; the error is a sentence part
    /// that says why it cannot be read.
    pub(super) fn open(elf: &Elf, file: &ExeFile, name: &str) -> Result<Option<SectionReader>, String> {
        let found = |n: String| elf.section(&n).filter(|s| s.in_file() && s.size > 0);
        if let Some(section) = found(format!(".debug_{name}")) {
            let reader = if section.compressed() {
                compressed(file, section)
            } else {
                plain(file, section)
            };
            return reader.map(Some).map_err(|why| format!(".debug_{name} {why}"));
        }
        if let Some(section) = found(format!(".zdebug_{name}")) {
            return old_compressed(file, section)
                .map(Some)
                .map_err(|why| format!(".zdebug_{name} {why}"));
        }
        Ok(None)
    }

    /// Bytes not read yet, by the section's own account.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next `len` bytes. Memory grows with what is really there, not with what is claimed.
    pub(super) fn append(&mut self, len: u64, into: &mut Vec<u8>) -> io::Result<()> {
        if len > self.left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        into.reserve(usize::try_from(len.min(8 << 20)).unwrap_or(0));
        let got = Read::take(self, len).read_to_end(into)?;
        if got as u64 == len {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Passes over the next `len` bytes.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(BUFFER, 0);
        let mut left = len;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
            let got = self.read(scratch.get_mut(..want).unwrap_or_default())?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left = left.saturating_sub(got as u64);
        }
        self.scratch = scratch;
        Ok(())
    }
}

impl Read for SectionReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..want) else { return Ok(0) };
        let got = match &mut self.source {
            Source::Plain(r) => r.read(buf)?,
            Source::Zlib(r) => r.read(buf)?,
            Source::Ahead(r) => r.read(buf)?,
        };
        self.left = self.left.saturating_sub(got as u64);
        Ok(got)
    }
}

fn plain(file: &ExeFile, section: &Section) -> Result<SectionReader, String> {
    let stream = file.stream(section.offset, section.size).map_err(|_| "is cut off")?;
    Ok(SectionReader::new(
        Source::Plain(BufReader::with_capacity(BUFFER, stream)),
        section.size,
    ))
}

fn compressed(file: &ExeFile, section: &Section) -> Result<SectionReader, String> {
    const HEADER: u64 = 24;
    let header = file
        .read(section.offset, HEADER.min(section.size))
        .map_err(|_| "is cut off")?;
    let kind = u32_at(&header, 0).ok_or("has no compression header")?;
    let size = u64_at(&header, 8).ok_or("has no compression header")?;
    match kind {
        elf::ELFCOMPRESS_ZLIB => zlib(file, section, HEADER, size),
        elf::ELFCOMPRESS_ZSTD => Err("is compressed with zstd, which is not supported".into()),
        other => Err(format!("is compressed in an unknown way ({other})")),
    }
}

fn old_compressed(file: &ExeFile, section: &Section) -> Result<SectionReader, String> {
    const HEADER: u64 = 12;
    let header = file
        .read(section.offset, HEADER.min(section.size))
        .map_err(|_| "is cut off")?;
    if header.get(..4) != Some(b"ZLIB") {
        return Err("is not in zlib form".into());
    }
    let size = array_at(&header, 4)
        .map(u64::from_be_bytes)
        .ok_or("has no compression header")?;
    zlib(file, section, HEADER, size)
}

fn zlib(file: &ExeFile, section: &Section, header: u64, size: u64) -> Result<SectionReader, String> {
    let packed = section.size.saturating_sub(header);
    if size > MAX_PLAIN || size / MAX_RATIO > packed {
        return Err(format!("claims {size} bytes out of {packed}"));
    }
    let decoder = || -> Result<ZlibDecoder<BufReader<Stream>>, String> {
        let stream = file.stream(section.offset.saturating_add(header), packed);
        let stream = stream.map_err(|_| "is cut off")?;
        Ok(ZlibDecoder::new(BufReader::with_capacity(BUFFER, stream)))
    };
    if size >= WORTH_A_THREAD
        && spare::cpu()
        && let Ok(ahead) = Ahead::new(decoder()?.take(size))
    {
        return Ok(SectionReader::new(Source::Ahead(ahead), size));
    }
    Ok(SectionReader::new(Source::Zlib(Box::new(decoder()?)), size))
}

/// A side section (`.debug_str`, `.debug_addr`, ...) read whole when first needed; Go's own units rarely need one.
#[derive(Debug)]
pub(super) struct LazySection {
    name: &'static str,
    bytes: OnceLock<Vec<u8>>,
}

impl LazySection {
    pub(super) fn new(name: &'static str) -> LazySection {
        LazySection {
            name,
            bytes: OnceLock::new(),
        }
    }

    /// Its bytes; empty when it is missing or cannot be read.
    pub(super) fn bytes(&self, elf: &Elf, file: &ExeFile) -> &[u8] {
        self.bytes.get_or_init(|| {
            let mut all = Vec::new();
            if let Ok(Some(mut reader)) = SectionReader::open(elf, file, self.name) {
                let len = reader.left().min(MAX_WHOLE);
                if reader.append(len, &mut all).is_err() {
                    all.shrink_to_fit();
                }
            }
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::super::elf::tests::image;
    use super::super::super::file::tests::exe;
    use super::*;

    /// A file whose `.debug_info` (or `.zdebug_info`) section holds `data`.
    fn with_section(name: &str, flags: u32, data: &[u8]) -> (Elf, ExeFile) {
        let file = exe(&image(data));
        let mut elf = Elf::parse(&file).unwrap();
        let (offset, size) = (0x1000, data.len() as u64);
        elf.sections.push(Section {
            name: name.into(),
            kind: 1,
            flags: flags.into(),
            addr: 0,
            offset,
            size,
        });
        (elf, file)
    }

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut z = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        z.write_all(data).unwrap();
        z.finish().unwrap()
    }

    fn chdr(kind: u32, size: u64, body: &[u8]) -> Vec<u8> {
        let mut b = kind.to_le_bytes().to_vec();
        b.extend([0; 4]);
        b.extend(size.to_le_bytes());
        b.extend(1u64.to_le_bytes());
        b.extend(body);
        b
    }

    fn all(elf: &Elf, file: &ExeFile) -> Result<Vec<u8>, String> {
        let mut r = SectionReader::open(elf, file, "info")?.ok_or("none")?;
        let mut out = Vec::new();
        r.append(r.left(), &mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    #[test]
    fn plain_compressed_and_old_style_give_the_same_bytes() {
        let data = b"debug information, again and again and again".repeat(50);
        let (elf, file) = with_section(".debug_info", 0, &data);
        assert_eq!(all(&elf, &file).unwrap(), data);
        let (elf, file) = with_section(
            ".debug_info",
            elf::SHF_COMPRESSED,
            &chdr(1, data.len() as u64, &deflate(&data)),
        );
        assert_eq!(all(&elf, &file).unwrap(), data);
        let mut old = b"ZLIB".to_vec();
        old.extend((data.len() as u64).to_be_bytes());
        old.extend(deflate(&data));
        let (elf, file) = with_section(".zdebug_info", 0, &old);
        assert_eq!(all(&elf, &file).unwrap(), data);
    }

    #[test]
    fn zstd_is_named() {
        let (elf, file) = with_section(".debug_info", elf::SHF_COMPRESSED, &chdr(2, 10, b"xxx"));
        assert!(all(&elf, &file).unwrap_err().contains("zstd"));
    }

    #[test]
    fn a_false_size_is_an_error() {
        let body = deflate(b"abc");
        for size in [u64::MAX, 5 << 30, 1 << 20, 4] {
            let (elf, file) = with_section(".debug_info", elf::SHF_COMPRESSED, &chdr(1, size, &body));
            assert!(all(&elf, &file).is_err(), "{size}");
        }
        let (elf, file) = with_section(".debug_info", elf::SHF_COMPRESSED, b"short");
        assert!(all(&elf, &file).is_err());
    }

    #[test]
    fn a_missing_section_is_none() {
        let (elf, file) = with_section(".text", 0, b"abc");
        assert!(SectionReader::open(&elf, &file, "info").unwrap().is_none());
    }
}
