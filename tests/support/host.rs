//! The C program under `fixtures/host` that runs fixtures built as C libraries, compiled into the cache on demand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::{cache, fetch};

const SOURCE: &str = "fixtures/host/host.c";

/// The program that loads the libraries it is given as arguments, and runs the first.
pub fn loading_host() -> PathBuf {
    compiled(None).unwrap_or_else(|error| panic!("{SOURCE}: {error:#}"))
}

/// The program that is linked with `library`.
pub fn linked_host(library: &Path) -> PathBuf {
    compiled(Some(library)).unwrap_or_else(|error| panic!("{SOURCE}: {error:#}"))
}

fn compiled(library: Option<&Path>) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(SOURCE);
    let mut hash = Sha256::new();
    hash.update(fs::read(&source)?);
    let mut arguments = vec!["-O1".into(), "-o".into(), "host".into(), source.into_os_string()];
    if let Some(library) = library {
        hash.update(library.as_os_str().as_encoded_bytes());
        let folder = library.parent().context("a library lies in a directory")?.display();
        arguments.extend(["-DLINKED".into(), library.into(), format!("-Wl,-rpath,{folder}").into()]);
    }
    arguments.push("-ldl".into());
    let key = &fetch::hex(&hash.finalize())[..12];
    let made = cache::entry("bin", &format!("host-{key}"), |folder| {
        let out = Command::new("cc").args(&arguments).current_dir(folder).output();
        let out = out.context("cannot run cc: a C compiler is needed")?;
        if !out.status.success() {
            bail!("cc failed ({}):\n{}", out.status, String::from_utf8_lossy(&out.stderr));
        }
        Ok(())
    })?;
    Ok(made.join("host"))
}
