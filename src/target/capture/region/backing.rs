//! The memory behind a region. A tmpfs of its own, mounted nowhere, gives huge pages where they are to be had without
//! work: the records of a million spans then cost tens of page faults instead of tens of thousands. Without the right to
//! make one it is plain shared memory.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

use crate::spare::is_filtered;
use crate::target::sys::io_error;

/// Bytes of a huge page, as x86-64 and arm64 with pages of 4 KiB have them.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// Shared memory that starts as zeroes and takes none until it is touched.
pub(crate) struct Backing {
    /// Its first byte.
    pub base: NonNull<std::ffi::c_void>,
    /// Whether it may lie in huge pages.
    pub huge: bool,
}

impl Backing {
    /// Maps `len` bytes; in `huge` pages if told to and possible.
    pub(crate) fn new(len: NonZeroUsize, huge: bool) -> io::Result<Backing> {
        let huge = (huge && files_may_have(len)).then(huge_file).flatten();
        if let Some(file) = huge
            && let Ok(base) = map_file(&file, len)
        {
            return Ok(Backing { base, huge: true });
        }
        let base = map_small(len)?;
        Ok(Backing { base, huge: false })
    }
}

fn map_small(len: NonZeroUsize) -> io::Result<NonNull<std::ffi::c_void>> {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let first = match unsafe { mmap_anonymous(None, len, protection(), flags()) } {
        Ok(base) => return Ok(base),
        Err(errno) => io_error(errno),
    };
    // With vm.overcommit_memory=2 the kernel ignores MAP_NORESERVE but does not count a sparse file.
    if !files_may_have(len) {
        return Err(first);
    }
    let file = memfd_create("gomemscan", MFdFlags::MFD_CLOEXEC).map_err(io_error)?;
    map_file(&file, len)
}

/// Whether a file may be that long: ftruncate above RLIMIT_FSIZE would be a SIGXFSZ.
fn files_may_have(len: NonZeroUsize) -> bool {
    getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(limit, _)| limit == RLIM_INFINITY || limit >= len.get() as u64)
}

fn map_file(file: &impl AsFd, len: NonZeroUsize) -> io::Result<NonNull<std::ffi::c_void>> {
    nix::unistd::ftruncate(file, len.get() as i64).map_err(io_error)?;
    // SAFETY: a new mapping at an address of the kernel's choice; the file is ours alone and keeps its length.
    unsafe { mmap(None, len, protection(), flags(), file, 0) }.map_err(io_error)
}

fn protection() -> ProtFlags {
    ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
}

fn flags() -> MapFlags {
    MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE
}

/// A file without a name in a tmpfs that may be in huge pages.
fn huge_file() -> Option<OwnedFd> {
    // One for all files, left to the end of the process: to give it up the kernel waits for all CPUs.
    static ROOT: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let root = ROOT.get_or_init(huge_tmpfs).as_ref()?;
    let how = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    openat(root, ".", how, Mode::RUSR | Mode::WUSR).ok()
}

/// The root of a new tmpfs that is mounted nowhere.
fn huge_tmpfs() -> Option<OwnedFd> {
    // Some kernels have larger ones, of which a single one could be more than all that is captured.
    let size = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").ok()?;
    if size.trim().parse() != Ok(HUGE_PAGE) {
        return None;
    }
    if is_filtered() {
        return None;
    }
    let tmpfs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).ok()?;
    // No limit, as for other shared memory; huge pages that are at hand, unless a mapping is advised otherwise.
    fsconfig_set_string(&tmpfs, "size", "0").ok()?;
    fsconfig_set_string(&tmpfs, "huge", "always").ok()?;
    fsconfig_create(&tmpfs).ok()?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&tmpfs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).ok()
}
