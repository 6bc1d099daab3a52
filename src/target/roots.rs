//! Files at paths that the target had a word in, opened below a root directory and never outside of it: symbolic links,
//! absolute ones too, are resolved inside, and only regular files are opened at all.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::process::LiveProcess;
use super::sys::io_error;

impl LiveProcess {
    /// Opens a regular file below the process's root directory.
    pub fn open_in_root(&self, path: &Path) -> io::Result<File> {
        open_below(&self.proc().directory("root")?, path)
    }
}

/// Opens a regular file below the tool's own root directory.
pub fn open_on_host(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open("/", flags, Mode::empty()).map_err(io_error)?;
    open_below(&root, path)
}

/// Opens a regular file below a root directory, never leaving it.
pub(crate) fn open_below(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let relative = path.strip_prefix("/").unwrap_or(path);
    let found = openat2(root.as_fd(), relative, how).map_err(io_error)?;
    // Opening a pipe waits and opening a device can do things; so far the file is only pointed at.
    let stat = fstat(&found).map_err(io_error)?;
    if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn root(folder: &Path) -> OwnedFd {
        OwnedFd::from(File::open(folder).unwrap())
    }

    #[test]
    fn links_stay_inside_and_only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("d/file"), b"x").unwrap();
        symlink("/d/file", folder.path().join("inside")).unwrap();
        symlink("../../../../etc/passwd", folder.path().join("outside")).unwrap();
        nix::unistd::mkfifo(&folder.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let open = |path: &str| open_below(&root(folder.path()), Path::new(path));
        assert!(open("/d/file").is_ok() && open("/inside").is_ok() && open("d/../d/file").is_ok());
        for path in ["/outside", "/pipe", "/d", "/none", "/../../../../../etc/passwd"] {
            assert!(open(path).is_err(), "{path}");
        }
        assert!(open_on_host(&folder.path().join("d/file")).is_ok());
    }
}
