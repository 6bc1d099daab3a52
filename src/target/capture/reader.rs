//! What the capture engine needs from a target: which ranges may be read, which of their pages are there, and the
//! bytes. A live process is one such target; tests and core files are others.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::error::Error;
use crate::memory::Range;
use crate::target::maps::{Backing, Mapping, Maps};
use crate::target::modules::FileId;
use crate::target::pages::{Ask, PageMap, PageRun};
use crate::target::process::LiveProcess;
use crate::target::sys;

/// A stretch of memory that may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readable {
    /// First address, page aligned.
    pub start: u64,
    /// First address behind.
    pub end: u64,
    /// What its pages may come from.
    pub pages: Pages,
}

/// Which pages of a readable stretch are read from the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Every present one.
    Present,
    /// Every present one; an absent one was never written, or was given back, and reads as zeros.
    OrZero,
    /// Only those the process has of its own: relocated read-only data. The rest is in the file.
    OwnOnly,
    /// Every present one; an absent one is what the image's file holds at this offset (of `start`).
    OrImage(u64),
}

impl Pages {
    /// What has to be known of them.
    pub(crate) fn ask(self) -> Ask {
        match self {
            Pages::OwnOnly => Ask::Owner,
            Pages::Present | Pages::OrZero | Pages::OrImage(_) => Ask::Presence,
        }
    }
}

/// Why a read ended short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The first page asked for cannot be read.
    Fault,
    /// The target is gone.
    Gone,
    /// The kernel refuses.
    Refused(Errno),
    /// The tool has no more descriptors or memory.
    Short(Errno),
}

impl ReadError {
    /// What became of reading the mappings.
    fn of_maps(error: &Error) -> ReadError {
        match error {
            Error::TargetGone { .. } => ReadError::Gone,
            Error::Io { source, .. } => ReadError::of(Errno::from_raw(source.raw_os_error().unwrap_or(libc::EIO))),
            _ => ReadError::Refused(Errno::EACCES),
        }
    }

    /// What this answer of the kernel's means.
    fn of(errno: Errno) -> ReadError {
        match sys::shortage(&sys::io_error(errno)) {
            _ if errno == Errno::ESRCH => ReadError::Gone,
            Some(errno) => ReadError::Short(errno),
            None => ReadError::Refused(errno),
        }
    }
}

/// A source of bytes.
pub(crate) trait RangeReader {
    /// The ranges that may be read, sorted, as they are now.
    fn readable(&mut self) -> Result<Vec<Readable>, ReadError>;

    /// The ranges that are mapped as something that is not to be read, sorted, as they are now.
    fn barred(&mut self) -> Result<Vec<(u64, u64)>, ReadError>;

    /// Appends the present and swapped pages of `start..end`, in address order.
    fn presence(&mut self, start: u64, end: u64, ask: Ask, out: &mut Vec<PageRun>) -> Result<(), ReadError>;

    /// Copies the ranges, one after the other, into the buffers (same total length). Returns how many bytes came
    /// before the first page that cannot be read; that page being the very first is `ReadError::Fault`.
    fn read(&mut self, from: &[Range], into: &mut [IoSliceMut<'_>]) -> Result<usize, ReadError>;

    /// A means to read that can be given to another thread, if there is one.
    fn copier(&self) -> Option<Copier> {
        None
    }

    /// Fills `page` from the image's file at `offset`, zeroes behind its end. False when it cannot.
    fn read_image(&mut self, offset: u64, page: &mut [u8]) -> bool;
}

/// Copies the memory of a process, whose pages the caller knows to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copier {
    pid: Pid,
}

impl Copier {
    /// As [`RangeReader::read`].
    pub(crate) fn read(&self, from: &[Range], into: &mut [IoSliceMut<'_>]) -> Result<usize, ReadError> {
        let remote: Vec<RemoteIoVec> = from
            .iter()
            .map(|range| RemoteIoVec {
                base: range.start.0 as usize,
                len: range.len as usize,
            })
            .collect();
        loop {
            return match process_vm_readv(self.pid, into, &remote) {
                Ok(0) => Err(ReadError::Fault),
                Ok(bytes) => Ok(bytes),
                Err(Errno::EINTR) => continue,
                Err(Errno::EFAULT) => Err(ReadError::Fault),
                Err(errno) => Err(ReadError::of(errno)),
            };
        }
    }
}

/// Reads a live process.
pub(crate) struct ProcessReader<'a> {
    process: &'a LiveProcess,
    pages: PageMap,
}

impl<'a> ProcessReader<'a> {
    /// A reader of `process` that looks pages up in `pages`.
    pub(crate) fn new(process: &'a LiveProcess, pages: PageMap) -> ProcessReader<'a> {
        ProcessReader { process, pages }
    }
}

/// What of these mappings may be read without making the target larger or waiting for a device.
pub(crate) fn readable(maps: &Maps, image: Option<FileId>) -> Vec<Readable> {
    let stretch = |mapping: &Mapping| {
        Some(Readable {
            start: mapping.start,
            end: mapping.end,
            pages: pages_of(mapping, image)?,
        })
    };
    maps.iter().filter_map(stretch).collect()
}

/// Which pages of a mapping are read from the process; `None` for one that is not to be read.
fn pages_of(mapping: &Mapping, image: Option<FileId>) -> Option<Pages> {
    if !mapping.read || !mapping.private {
        return None;
    }
    if mapping.is_anonymous() {
        return Some(Pages::OrZero);
    }
    let Backing::File { path, .. } = &mapping.backing else {
        return None;
    };
    if path.starts_with("/dev") {
        return None;
    }
    match mapping.write {
        true if image == Some(mapping.file_id()) => Some(Pages::OrImage(mapping.offset)),
        true => Some(Pages::Present),
        false if !mapping.execute => Some(Pages::OwnOnly),
        false => None,
    }
}

impl RangeReader for ProcessReader<'_> {
    fn readable(&mut self) -> Result<Vec<Readable>, ReadError> {
        let maps = self.process.maps().map_err(|error| ReadError::of_maps(&error))?;
        Ok(readable(&maps, self.process.image(&maps)))
    }

    fn barred(&mut self) -> Result<Vec<(u64, u64)>, ReadError> {
        let maps = self.process.maps().map_err(|error| ReadError::of_maps(&error))?;
        let image = self.process.image(&maps);
        let barred = maps.iter().filter(|mapping| pages_of(mapping, image).is_none());
        Ok(barred.map(|mapping| (mapping.start, mapping.end)).collect())
    }

    fn presence(&mut self, start: u64, end: u64, ask: Ask, out: &mut Vec<PageRun>) -> Result<(), ReadError> {
        self.pages
            .scan(start, end, ask, out)
            .map_err(|error| ReadError::of(Errno::from_raw(error.raw_os_error().unwrap_or(libc::ESRCH))))
    }

    fn read(&mut self, from: &[Range], into: &mut [IoSliceMut<'_>]) -> Result<usize, ReadError> {
        Copier {
            pid: Pid::from_raw(self.process.pid()),
        }
        .read(from, into)
    }

    fn copier(&self) -> Option<Copier> {
        Some(Copier {
            pid: Pid::from_raw(self.process.pid()),
        })
    }

    fn read_image(&mut self, offset: u64, page: &mut [u8]) -> bool {
        read_to_end_of_file(self.process.image_file(), offset, page).is_ok()
    }
}

fn read_to_end_of_file(file: &File, offset: u64, page: &mut [u8]) -> std::io::Result<()> {
    let mut done = 0;
    while done < page.len() {
        match file.read_at(&mut page[done..], offset + done as u64)? {
            0 => break,
            got => done += got,
        }
    }
    page[done..].fill(0);
    Ok(())
}
