//! The fixture cache: a directory whose entries appear whole or not at all. Test processes that run at the same time
//! share it through file locks; an entry is made in a temporary directory next to it and renamed.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The environment variable that moves the cache away from `fixtures/.cache`.
pub const VARIABLE: &str = "GOMEMSCAN_FIXTURE_CACHE";

/// The root of the cache, created if need be.
pub fn root() -> Result<PathBuf> {
    let root = match env::var_os(VARIABLE) {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/.cache"),
    };
    fs::create_dir_all(&root).with_context(|| {
        format!(
            "cannot create the fixture cache {}; {VARIABLE} moves it",
            root.display()
        )
    })?;
    Ok(root.canonicalize()?)
}

/// A directory inside the cache, created if need be.
pub fn dir(name: &str) -> Result<PathBuf> {
    let dir = root()?.join(name);
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// The entry `area/name`, a directory. If it is not there, `make` fills an empty directory which then becomes the
/// entry; one process does so while the others wait for it.
pub fn entry(area: &str, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = dir(area)?.join(name);
    if path.is_dir() {
        return Ok(path);
    }
    let lock_path = dir("locks")?.join(format!("{area}-{name}"));
    let lock = File::create(&lock_path).with_context(|| format!("cannot create {}", lock_path.display()))?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", lock_path.display()))?;
    if path.is_dir() {
        return Ok(path);
    }
    let work = tempfile::Builder::new().prefix(name).tempdir_in(dir("tmp")?)?;
    let made = work.path().join("entry");
    fs::create_dir(&made)?;
    make(&made)?;
    fs::rename(&made, &path).with_context(|| format!("cannot move {} into place", path.display()))?;
    Ok(path)
}
