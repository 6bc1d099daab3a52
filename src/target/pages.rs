//! Which pages of a process are present, swapped or absent, without touching any of them: `PAGEMAP_SCAN` where the
//! kernel has it (6.7), `/proc/PID/pagemap` otherwise.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::errno::Errno;

use super::sys::{self, PAGE_IS_FILE, PAGE_IS_HUGE, PAGE_IS_PFNZERO, PAGE_IS_PRESENT, PAGE_IS_SWAPPED, PageRegion};

/// Bytes of a page of the host.
pub(crate) fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .map_or(4096, |size| size as u64)
}

/// Pages in a row with equal properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRun {
    /// First address.
    pub start: u64,
    /// First address behind.
    pub end: u64,
    /// In memory.
    pub present: bool,
    /// Swapped out.
    pub swapped: bool,
    /// Belongs to a file, not to the process alone; only told where asked for.
    pub file: bool,
    /// The shared zero page; only `PAGEMAP_SCAN` tells.
    pub zero: bool,
    /// Part of a huge page; only `PAGEMAP_SCAN` tells.
    pub huge: bool,
}

/// How pages are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The ioctl.
    Scan,
    /// Eight bytes per page.
    Read,
}

/// What is asked about pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Whether they are there.
    Presence,
    /// And whether they are a file's: for that the kernel has to look into its books of each page, which takes most of its
    /// time.
    Owner,
}

/// Stretches of pages that the kernel tells of in one call.
const REGIONS: usize = 1024;

/// The page map of a process.
#[derive(Debug)]
pub(crate) struct PageMap {
    file: Arc<File>,
    method: Method,
    page: u64,
    buffer: Vec<PageRegion>,
}

impl PageMap {
    /// Takes an open `/proc/PID/pagemap`; finds out whether the kernel knows `PAGEMAP_SCAN`.
    pub(crate) fn new(file: File) -> PageMap {
        let page = page_size();
        let mut one = [PageRegion::default()];
        // Any page number does; on an old kernel the call itself is unknown (ENOTTY).
        let method = match sys::pagemap_scan(&file, (page, 2 * page), 0, &mut one) {
            Ok(_) => Method::Scan,
            Err(_) => Method::Read,
        };
        PageMap {
            file: Arc::new(file),
            method,
            page,
            buffer: vec![PageRegion::default(); REGIONS],
        }
    }

    /// The same with the plain reading forced, to compare the two.
    #[cfg(test)]
    pub(crate) fn plain(file: File) -> PageMap {
        PageMap {
            method: Method::Read,
            ..PageMap::new(file)
        }
    }

    /// The same page map, for another thread.
    pub(crate) fn another(&self) -> PageMap {
        PageMap {
            file: self.file.clone(),
            method: self.method,
            page: self.page,
            buffer: vec![PageRegion::default(); REGIONS],
        }
    }

    /// How pages are looked up.
    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// Appends the present and swapped pages of `start..end`, in address order. Both must be page aligned. Empty when
    /// the address space is gone.
    pub(crate) fn scan(&mut self, start: u64, end: u64, ask: Ask, out: &mut Vec<PageRun>) -> io::Result<()> {
        match self.method {
            Method::Scan => self.scan_ioctl(start, end, ask, out),
            Method::Read => self.scan_read(start, end, out),
        }
    }

    fn scan_ioctl(&mut self, start: u64, end: u64, ask: Ask, out: &mut Vec<PageRun>) -> io::Result<()> {
        let asked = match ask {
            Ask::Presence => PAGE_IS_PFNZERO | PAGE_IS_HUGE,
            Ask::Owner => PAGE_IS_PFNZERO | PAGE_IS_HUGE | PAGE_IS_FILE,
        };
        let mut at = start;
        while at < end {
            let (count, next) = match sys::pagemap_scan(&self.file, (at, end), asked, &mut self.buffer) {
                Ok(found) => found,
                Err(Errno::EINTR) => continue,
                // The target exited or called exec.
                Err(Errno::ESRCH) => return Ok(()),
                Err(errno) => return Err(sys::io_error(errno)),
            };
            for region in &self.buffer[..count] {
                let is = |bit| region.categories & bit != 0;
                push(
                    out,
                    PageRun {
                        start: region.start.max(start),
                        end: region.end.min(end),
                        present: is(PAGE_IS_PRESENT) && !is(PAGE_IS_SWAPPED),
                        swapped: is(PAGE_IS_SWAPPED),
                        file: is(PAGE_IS_FILE),
                        zero: is(PAGE_IS_PFNZERO),
                        huge: is(PAGE_IS_HUGE),
                    },
                );
            }
            if next <= at {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "PAGEMAP_SCAN makes no progress",
                ));
            }
            at = next;
        }
        Ok(())
    }

    fn scan_read(&mut self, start: u64, end: u64, out: &mut Vec<PageRun>) -> io::Result<()> {
        let mut bytes = [0u8; 32 * 1024];
        let mut at = start;
        while at < end {
            let pages = ((end - at) / self.page).min(bytes.len() as u64 / 8);
            let wanted = &mut bytes[..pages as usize * 8];
            let got = match self.file.read_at(wanted, at / self.page * 8) {
                Ok(got) => got / 8,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if got == 0 {
                return Ok(());
            }
            for entry in wanted.chunks_exact(8).take(got) {
                let bits = entry.try_into().map_or(0, u64::from_ne_bytes);
                let (present, swapped) = (bits >> 63 & 1 == 1, bits >> 62 & 1 == 1);
                if present || swapped {
                    let (start, end, file) = (at, at + self.page, bits >> 61 & 1 == 1);
                    push(
                        out,
                        PageRun {
                            start,
                            end,
                            present,
                            swapped,
                            file,
                            zero: false,
                            huge: false,
                        },
                    );
                }
                at += self.page;
            }
        }
        Ok(())
    }
}

/// Appends a run, joining it to the last one when it continues it.
fn push(out: &mut Vec<PageRun>, run: PageRun) {
    if run.start >= run.end {
        return;
    }
    match out.last_mut() {
        Some(last)
            if last.end == run.start
                && PageRun {
                    start: last.start,
                    end: run.end,
                    ..run
                } == PageRun { end: run.end, ..*last } =>
        {
            last.end = run.end;
        }
        _ => out.push(run),
    }
}
