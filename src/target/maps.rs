//! The mappings of a process (`/proc/PID/maps`): where they lie, what may be done with them, what is behind them.
//! Paths are kept as bytes, since the target chooses them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::modules::FileId;
use crate::memory::{Addr, Range};

/// What lies behind a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Nothing: private memory of the process. The name is the one given with `PR_SET_VMA_ANON_NAME`, if any.
    Anonymous {
        /// For example " Go: heap".
        name: Option<String>,
    },
    /// The C heap (`brk`).
    Heap,
    /// The main thread's stack.
    Stack,
    /// A file, or shared memory that has a name like one.
    File {
        /// The path as the kernel prints it, in the target's mount namespace at mapping time.
        path: PathBuf,
        /// Whether the file has been unlinked since.
        deleted: bool,
    },
    /// Code the kernel provides (`[vdso]`).
    Vdso,
    /// `[vvar]`, `[vsyscall]`, `[uprobes]` and whatever the kernel adds.
    Other(String),
}

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind.
    pub end: u64,
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
    /// Private (copy on write) rather than shared.
    pub private: bool,
    /// Offset in the file.
    pub offset: u64,
    /// Device of the file, (major, minor).
    pub device: (u32, u32),
    /// Inode of the file; 0 when there is none.
    pub inode: u64,
    /// What is behind it.
    pub backing: Backing,
}

impl Mapping {
    /// The addresses it covers.
    pub fn range(&self) -> Range {
        Range::new(Addr(self.start), self.end - self.start)
    }

    /// Whether it is private memory with no file behind it.
    pub fn is_anonymous(&self) -> bool {
        self.private
            && self.inode == 0
            && matches!(self.backing, Backing::Anonymous { .. } | Backing::Heap | Backing::Stack)
    }

    /// Whether it maps a file that can have data of the program in it.
    pub fn is_private_file(&self) -> bool {
        self.private && self.inode != 0 && matches!(self.backing, Backing::File { .. })
    }
}

/// All mappings of a process at one moment, sorted by address, without overlaps.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    mappings: Vec<Mapping>,
}

impl Maps {
    /// Parses the text of a maps file. Lines that do not parse are left out and counted in the second value.
    pub fn parse(text: &[u8]) -> (Maps, usize) {
        let mut mappings: Vec<Mapping> = Vec::new();
        let mut bad = 0;
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match parse_line(line) {
                // The file is read in several calls; a line may repeat what a former call said.
                Some(mapping) if mappings.last().is_none_or(|last| last.end <= mapping.start) => mappings.push(mapping),
                _ => bad += 1,
            }
        }
        (Maps { mappings }, bad)
    }

    /// All of them, in address order.
    pub fn iter(&self) -> std::slice::Iter<'_, Mapping> {
        self.mappings.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.mappings.len()
    }

    /// Whether there are none (a process that is exiting).
    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    /// The mapping that holds `addr`.
    pub fn at(&self, addr: Addr) -> Option<&Mapping> {
        let after = self.mappings.partition_point(|mapping| mapping.start <= addr.0);
        self.mappings[..after].last().filter(|mapping| addr.0 < mapping.end)
    }

    /// The mappings that overlap `range`, in address order.
    pub fn overlapping(&self, range: Range) -> &[Mapping] {
        let first = self.mappings.partition_point(|mapping| mapping.end <= range.start.0);
        let behind = self.mappings.partition_point(|mapping| mapping.start < range.end().0);
        self.mappings.get(first..behind).unwrap_or_default()
    }

    /// The mapping of the lowest offset of a file.
    pub fn lowest_of_file(&self, id: FileId) -> Option<&Mapping> {
        self.iter()
            .filter(|mapping| mapping.inode != 0 && mapping.file_id() == id)
            .min_by_key(|mapping| (mapping.offset, mapping.start))
    }
}

impl<'a> IntoIterator for &'a Maps {
    type Item = &'a Mapping;
    type IntoIter = std::slice::Iter<'a, Mapping>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// `start-end rwxp offset major:minor inode   path`.
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let begin = rest.iter().position(|&byte| byte != b' ')?;
        let tail = &rest[begin..];
        let end = memchr::memchr(b' ', tail).unwrap_or(tail.len());
        rest = &tail[end..];
        std::str::from_utf8(&tail[..end]).ok()
    };
    let (start, end) = word()?.split_once('-')?;
    let perms = word()?.as_bytes();
    let offset = word()?;
    let (major, minor) = word()?.split_once(':')?;
    let inode = word()?;
    let path = rest
        .iter()
        .position(|&byte| byte != b' ')
        .map_or(&[][..], |begin| &rest[begin..]);
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    let &[read, write, execute, private] = perms else {
        return None;
    };
    if start >= end {
        return None;
    }
    let inode = inode.parse().ok()?;
    Some(Mapping {
        start,
        end,
        read: read == b'r',
        write: write == b'w',
        execute: execute == b'x',
        private: private == b'p',
        offset: hex(offset)?,
        device: (
            u32::from_str_radix(major, 16).ok()?,
            u32::from_str_radix(minor, 16).ok()?,
        ),
        inode,
        backing: backing(path, inode),
    })
}

fn backing(path: &[u8], inode: u64) -> Backing {
    let text = || String::from_utf8_lossy(path).into_owned();
    match path {
        b"" => Backing::Anonymous { name: None },
        b"[heap]" => Backing::Heap,
        b"[stack]" => Backing::Stack,
        b"[vdso]" => Backing::Vdso,
        _ if inode == 0 && path.starts_with(b"[anon:") => {
            let name = path.strip_prefix(b"[anon:").and_then(|name| name.strip_suffix(b"]"));
            Backing::Anonymous {
                name: name.map(|name| String::from_utf8_lossy(name).into_owned()),
            }
        }
        // A pseudo mapping has no inode; a file may well be called "[x]".
        _ if inode == 0 && path.starts_with(b"[") => Backing::Other(text()),
        _ => {
            let (path, deleted) = match path.strip_suffix(b" (deleted)") {
                Some(path) => (path, true),
                None => (path, false),
            };
            Backing::File {
                path: PathBuf::from(OsString::from_vec(unescape(path))),
                deleted,
            }
        }
    }
}

/// The kernel prints a newline in a path as `\012`.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        match tail.strip_prefix(b"012") {
            Some(tail) if first == b'\\' => {
                plain.push(b'\n');
                rest = tail;
            }
            _ => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a b\\012c (deleted)\n\
00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/a b\\012c (deleted)\n\
00652000-00655000 rw-p 00052000 08:02 173521      /usr/bin/a b\\012c (deleted)\n\
00e03000-00e24000 rw-p 00000000 00:00 0           [heap]\n\
c000000000-c000400000 rw-p 00000000 00:00 0       [anon: Go: heap]\n\
c000400000-c004000000 ---p 00000000 00:00 0 \n\
7f0000000000-7f0000001000 rw-s 00000000 00:01 9   /dev/zero (deleted)\n\
7fff00000000-7fff00021000 rw-p 00000000 00:00 0   [stack]\n\
7fff00022000-7fff00026000 r--p 00000000 00:00 0   [vvar]\n\
7fff00026000-7fff00028000 r-xp 00000000 00:00 0   [vdso]\n\
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";

    #[test]
    fn every_kind_of_line_is_understood() {
        let (maps, bad) = Maps::parse(TEXT);
        assert_eq!((maps.len(), bad), (11, 0));
        let at = |addr| maps.at(Addr(addr)).unwrap();
        assert_eq!(
            at(0x400000).backing,
            Backing::File {
                path: PathBuf::from("/usr/bin/a b\nc"),
                deleted: true
            }
        );
        assert_eq!(at(0x400000).device, (8, 2));
        assert_eq!(at(0xe03000).backing, Backing::Heap);
        assert_eq!(
            at(0xc000000000).backing,
            Backing::Anonymous {
                name: Some(" Go: heap".to_owned())
            }
        );
        assert!(at(0xc000000000).is_anonymous());
        assert!(!at(0xc000400000).read);
        assert!(!at(0x7f0000000000).private);
        assert_eq!(at(0x7fff00022000).backing, Backing::Other("[vvar]".to_owned()));
        assert!(!at(0x7fff00022000).is_anonymous());
        assert_eq!(at(0x7fff00026000).backing, Backing::Vdso);
    }

    #[test]
    fn lookups_respect_the_edges() {
        let (maps, _) = Maps::parse(TEXT);
        assert!(maps.at(Addr(0x3fffff)).is_none());
        assert!(maps.at(Addr(0x452000)).is_none());
        assert_eq!(maps.at(Addr(0x654fff)).unwrap().start, 0x652000);
        assert!(maps.at(Addr(u64::MAX)).is_none());
        assert_eq!(maps.overlapping(Range::new(Addr(0x651fff), 2)).len(), 2);
        assert_eq!(maps.overlapping(Range::new(Addr(0x452000), 0x1000)).len(), 0);
        assert_eq!(maps.overlapping(Range::new(Addr(0), u64::MAX)).len(), 11);
    }

    #[test]
    fn the_lowest_offset_of_a_file_is_found() {
        let (maps, _) = Maps::parse(TEXT);
        let start = |id| maps.lowest_of_file(id).map(|mapping| mapping.start);
        assert_eq!(start(((8, 2), 173521)), Some(0x400000));
        assert_eq!(start(((8, 3), 173521)), None);
        assert_eq!(start(((0, 0), 0)), None);
    }

    #[test]
    fn broken_lines_are_counted_not_believed() {
        let text = b"zz-1 rw-p 0 0:0 0\n10-5 rw-p 0 0:0 0\n1000-2000 rw-p 0 0:0 0\n1800-2800 rw-p 0 0:0 0\ngarbage\n";
        let (maps, bad) = Maps::parse(text);
        assert_eq!((maps.len(), bad), (1, 4));
    }
}
