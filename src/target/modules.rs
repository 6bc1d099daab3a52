//! The files that a process runs code from: its executable and its libraries. Each is told by device and inode of its
//! mappings, and opened so that it is that file for certain, whatever lies at its path now.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::stat::{SFlag, fstat, major, minor};

use super::maps::{Backing, Mapping, Maps};
use super::process::LiveProcess;
use super::sys;
use crate::error::{Error, Result};
use crate::memory::{Addr, Range};

/// A file of which a part is mapped to be executed, at one place. A file that is loaded twice is two modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path as the kernel prints it, in the process's mount namespace.
    pub path: PathBuf,
    /// Whether the file has been unlinked since.
    pub deleted: bool,
    /// Device and inode as in `/proc/PID/maps`.
    pub id: FileId,
    /// Where its lowest file offset is mapped, and that offset: the load bias is this address minus the link address
    /// of that offset.
    pub anchor: (Addr, u64),
    /// Whether it is the process's executable.
    pub is_executable: bool,
    /// Its mapped code.
    code: Range,
}

/// Device (major, minor) and inode of a file as `/proc/PID/maps` shows them. On overlayfs and btrfs this is not what
/// `stat` says of the same file.
pub type FileId = ((u32, u32), u64);

/// Most modules listed; a program with more libraries is no program.
const MOST_MODULES: usize = 4096;

impl Maps {
    /// The files with mapped code, in address order.
    pub(crate) fn modules(&self) -> Vec<Module> {
        let mut of_file: HashMap<FileId, Vec<&Mapping>> = HashMap::new();
        for mapping in self.iter().filter(|mapping| mapping.inode != 0) {
            of_file.entry(mapping.file_id()).or_default().push(mapping);
        }
        let mut modules = Vec::new();
        for mappings in of_file.values() {
            let code = |mapping: &&&Mapping| mapping.execute;
            let Some(first) = mappings.iter().filter(code).map(|mapping| mapping.offset).min() else {
                continue;
            };
            for code in mappings
                .iter()
                .filter(|mapping| mapping.execute && mapping.offset == first)
            {
                modules.extend(module(code, mappings));
            }
        }
        modules.sort_by_key(|module| module.code.start);
        modules.truncate(MOST_MODULES);
        modules
    }
}

impl Mapping {
    /// Device and inode of the file behind it.
    pub fn file_id(&self) -> FileId {
        (self.device, self.inode)
    }
}

/// The module whose first code is mapped at `code`; `mappings` are all of the file's. The loader maps a file upwards, so
/// its beginning is the nearest one below; the file can be mapped as data elsewhere too.
fn module(code: &Mapping, mappings: &[&Mapping]) -> Option<Module> {
    let Backing::File { path, deleted } = &code.backing else {
        return None;
    };
    let below = mappings
        .iter()
        .filter(|mapping| mapping.start <= code.start && mapping.offset <= code.offset);
    let lowest = below.min_by_key(|mapping| (mapping.offset, code.start - mapping.start))?;
    Some(Module {
        path: path.clone(),
        deleted: *deleted,
        id: code.file_id(),
        anchor: (Addr(lowest.start), lowest.offset),
        is_executable: false,
        code: code.range(),
    })
}

impl LiveProcess {
    /// The files it runs code from: the executable first, the libraries in address order.
    pub fn modules(&self, maps: &Maps) -> Vec<Module> {
        let mut modules = maps.modules();
        let exe = self.exe_mapping(maps);
        if let Some(exe) = exe {
            for module in &mut modules {
                module.is_executable = module.id == exe.file_id();
            }
            if !modules.iter().any(|module| module.is_executable) {
                // Its code was moved to other memory, to huge pages for one.
                modules.extend(module(exe, &[exe]).map(|module| Module {
                    is_executable: true,
                    ..module
                }));
            }
        }
        modules.sort_by_key(|module| !module.is_executable);
        modules
    }

    /// Opens the very file that is mapped as `module`. Fails with [`NotPermitted`](Error::NotPermitted) when only a
    /// capability that the tool has not would do.
    pub fn open_module(&self, module: &Module) -> Result<File> {
        if module.is_executable {
            let file = self.exe().try_clone();
            return file.map_err(|error| Error::io(module.path.display().to_string(), error));
        }
        // Leads to the mapped file whatever became of its path, but asks for a capability.
        let link = format!("map_files/{:x}-{:x}", module.code.start.0, module.code.end().0);
        let linked = self.regular(&link).and_then(|file| identified(file, module.id));
        let refused = match linked {
            Ok(file) => return Ok(file),
            Err(error) => error,
        };
        let by_path = match module.deleted {
            true => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the file has been deleted or replaced",
            )),
            false => self
                .open_in_root(&module.path)
                .and_then(|file| identified(file, module.id)),
        };
        by_path.map_err(|error| self.cannot_open(&module.path, &error, &refused))
    }

    /// Opens what `link` leads to, if that is a regular file: opening a device can do things.
    fn regular(&self, link: &str) -> io::Result<File> {
        match SFlag::from_bits_truncate(self.proc().stat(link)?.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => self.proc().file(link),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    fn cannot_open(&self, path: &Path, error: &io::Error, refused: &io::Error) -> Error {
        let what = format!(
            "{}, mapped in process {}, cannot be opened: {error}",
            path.display(),
            self.pid()
        );
        match refused.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Error::NotPermitted {
                cause: format!("{what}; /proc/{}/map_files may not be used", self.pid()),
                remedy: Some(format!(
                    "give gomemscan CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN): sudo gomemscan attach {}",
                    self.pid()
                )),
            },
            _ => Error::io(what, io::Error::new(refused.kind(), refused.to_string())),
        }
    }
}

/// `file`, if it is the one that mappings show as `id`.
fn identified(file: File, id: FileId) -> io::Result<File> {
    let stat = fstat(&file).map_err(sys::io_error)?;
    let plain = ((major(stat.st_dev) as u32, minor(stat.st_dev) as u32), stat.st_ino);
    if plain == id || mapped_id(&file)? == Some(id) {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "another file has taken its place",
    ))
}

/// What mappings of `file` are shown as: it is mapped here, untouched, and looked up.
fn mapped_id(file: &File) -> io::Result<Option<FileId>> {
    let page = sys::MappedPage::new(file)?;
    let (maps, _) = Maps::parse(&std::fs::read("/proc/self/maps")?);
    Ok(maps.at(page.addr()).map(Mapping::file_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(text: &str) -> Vec<Module> {
        Maps::parse(text.as_bytes()).0.modules()
    }

    #[test]
    fn a_file_is_anchored_below_its_code_wherever_else_it_is_mapped() {
        let found = modules(
            "7f0000000000-7f0000009000 r--p 00000000 08:02 9 /lib/a.so\n\
             7f0000100000-7f0000101000 r--p 00000000 08:02 9 /lib/a.so\n\
             7f0000101000-7f0000103000 r-xp 00001000 08:02 9 /lib/a.so\n\
             7f0000103000-7f0000104000 rw-p 00003000 08:02 9 /lib/a.so\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].anchor, (Addr(0x7f00_0010_0000), 0));
    }

    #[test]
    fn a_file_that_is_loaded_twice_is_two_modules() {
        let found = modules(
            "7f0000100000-7f0000101000 r--p 00000000 08:02 9 /lib/a.so (deleted)\n\
             7f0000101000-7f0000103000 r-xp 00001000 08:02 9 /lib/a.so (deleted)\n\
             7f0000200000-7f0000201000 r--p 00000000 08:02 9 /lib/a.so (deleted)\n\
             7f0000201000-7f0000203000 r-xp 00001000 08:02 9 /lib/a.so (deleted)\n\
             7f0000300000-7f0000301000 r--p 00000000 08:02 8 /lib/data\n\
             7f0000400000-7f0000401000 r-xp 00000000 00:00 0 [vdso]\n",
        );
        let anchors: Vec<_> = found.iter().map(|module| module.anchor.0.0).collect();
        assert_eq!(anchors, [0x7f00_0010_0000, 0x7f00_0020_0000]);
        assert!(found.iter().all(|module| module.deleted));
    }

    #[test]
    fn a_mapping_here_tells_the_identity_of_a_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1).unwrap();
        let id = mapped_id(&file).unwrap().unwrap();
        assert!(identified(file.try_clone().unwrap(), id).is_ok());
        let other = tempfile::tempfile().unwrap();
        other.set_len(1).unwrap();
        assert!(identified(other, id).is_err());
    }

    #[test]
    fn the_executable_comes_first_and_its_libraries_can_be_opened() {
        let process = LiveProcess::open(std::process::id() as i32).unwrap();
        let modules = process.modules(&process.maps().unwrap());
        assert!(modules[0].is_executable && modules.len() > 1);
        assert!(modules[1..].iter().all(|module| !module.is_executable));
        for module in &modules {
            if !module.path.starts_with("/") || module.path.starts_with("/memfd:") {
                continue;
            }
            process.open_module(module).unwrap();
        }
    }
}
