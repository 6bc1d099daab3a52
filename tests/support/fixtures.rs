//! Builds the Go programs under `fixtures/`, on demand, and keeps the binaries in the cache under a key made of their
//! source, the toolchain and the flags. Unstripped unless asked otherwise, reproducible, and without network access.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

pub use super::toolchains::{GoVersion, all_versions};
use super::{cache, fetch, toolchains};

/// How a fixture is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Build {
    /// Static, at a fixed address, without cgo.
    Exe,
    /// Position independent, without cgo.
    Pie,
    /// With cgo and its C part, linked by the system's linker.
    Cgo,
    /// Like [`Build::Exe`], without symbol table and DWARF.
    Stripped,
    /// Like [`Build::Pie`], without symbol table and DWARF.
    StrippedPie,
    /// Like [`Build::Cgo`], without symbol table and DWARF.
    StrippedCgo,
    /// With the race detector, without symbol table and DWARF.
    StrippedRace,
    /// Not optimised and nothing inlined, without symbol table and DWARF.
    StrippedUnoptimised,
    /// With the other garbage collector than the release's own, without symbol table and DWARF; from Go 1.25 on.
    StrippedExperiment,
    /// Without DWARF, with the symbol table.
    WithoutDwarf,
    /// A C library, for a program that need not be Go.
    CShared,
    /// Like [`Build::CShared`], without symbol table and DWARF.
    StrippedCShared,
    /// A plugin, for a Go program.
    Plugin,
}

impl Build {
    /// The kinds the matrix is made of; the stripped ones are built on demand.
    pub const MATRIX: [Self; 3] = [Self::Exe, Self::Pie, Self::Cgo];
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Exe,
        Self::Pie,
        Self::Cgo,
        Self::Stripped,
        Self::StrippedPie,
        Self::StrippedCgo,
        Self::StrippedRace,
        Self::StrippedUnoptimised,
        Self::StrippedExperiment,
        Self::WithoutDwarf,
        Self::CShared,
        Self::StrippedCShared,
        Self::Plugin,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Exe => "exe",
            Self::Pie => "pie",
            Self::Cgo => "cgo",
            Self::Stripped => "stripped",
            Self::StrippedPie => "stripped-pie",
            Self::StrippedCgo => "stripped-cgo",
            Self::StrippedRace => "stripped-race",
            Self::StrippedUnoptimised => "stripped-unoptimised",
            Self::StrippedExperiment => "stripped-experiment",
            Self::WithoutDwarf => "without-dwarf",
            Self::CShared => "c-shared",
            Self::StrippedCShared => "stripped-c-shared",
            Self::Plugin => "plugin",
        }
    }

    fn cgo_enabled(self) -> &'static str {
        match self {
            Self::Cgo
            | Self::StrippedCgo
            | Self::StrippedRace
            | Self::CShared
            | Self::StrippedCShared
            | Self::Plugin => "1",
            _ => "0",
        }
    }

    /// `GOEXPERIMENT`: the Green Tea collector came as an experiment in 1.25 and is left out by one since 1.26.
    fn experiment(self, version: GoVersion) -> &'static str {
        match (self, version) {
            (Self::StrippedExperiment, GoVersion::V1_25) => "greenteagc",
            (Self::StrippedExperiment, GoVersion::V1_26 | GoVersion::V1_27) => "nogreenteagc",
            _ => "",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Exe => &[],
            Self::Pie => &["-buildmode=pie"],
            Self::Cgo => &["-ldflags=-linkmode=external"],
            Self::Stripped => &["-ldflags=-s -w"],
            Self::StrippedPie => &["-buildmode=pie", "-ldflags=-s -w"],
            Self::StrippedCgo => &["-ldflags=-linkmode=external -s -w"],
            Self::StrippedRace => &["-race", "-ldflags=-s -w"],
            Self::StrippedUnoptimised => &["-gcflags=all=-N -l", "-ldflags=-s -w"],
            Self::StrippedExperiment => &["-ldflags=-s -w"],
            Self::WithoutDwarf => &["-ldflags=-w"],
            Self::CShared => &["-buildmode=c-shared", "-tags=cshared"],
            Self::StrippedCShared => &["-buildmode=c-shared", "-tags=cshared", "-ldflags=-s -w"],
            Self::Plugin => &["-buildmode=plugin"],
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Build {
    type Err = anyhow::Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|b| b.name() == s).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            anyhow!("build {s:?} is not one of {known}")
        })
    }
}

/// One binary of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The program: a directory under `fixtures/`.
    pub name: &'static str,
    /// The Go version it is built with.
    pub version: GoVersion,
    /// How it is built.
    pub build: Build,
}

/// The programs that are built with every version in every kind.
const PROGRAMS: [&str; 2] = ["shapes", "churn"];

/// The one that is for people, and that needs the whole of net/http compiled.
const DEMO: Target = Target {
    name: "hello",
    version: GoVersion::V1_26,
    build: Build::Exe,
};

/// The whole matrix: every version in every kind, and the demo.
pub fn matrix() -> Vec<Target> {
    let mut targets = Vec::new();
    for version in all_versions() {
        for build in Build::MATRIX {
            targets.extend(PROGRAMS.map(|name| Target { name, version, build }));
        }
    }
    targets.push(DEMO);
    targets
}

/// The fixture's binary, built if it is not in the cache. Panics with the reason if it cannot be built.
pub fn fixture(name: &str, version: GoVersion, build: Build) -> PathBuf {
    match try_fixture(name, version, build) {
        Ok(path) => path,
        Err(error) => panic!("fixture {name}, Go {version}, {build}: {error:#}"),
    }
}

/// Like [`fixture`], with an error instead of a panic.
pub fn try_fixture(name: &str, version: GoVersion, build: Build) -> Result<PathBuf> {
    let key = key(name, version, build)?;
    let entry = format!("{name}-go{}-{build}-{key}", version.release());
    let dir = cache::entry("bin", &entry, |dir| compile(name, version, build, &dir.join(name)))?;
    Ok(dir.join(name))
}

/// Builds all targets, as many at a time as there are processors, and returns each with its binary, in order.
/// `done` hears of each as it is finished.
pub fn build_all(targets: &[Target], done: impl Fn(&Target, &Path) + Sync) -> Result<Vec<(Target, PathBuf)>> {
    // One version at a time on each processor: its targets share the packages they compile.
    let versions: Vec<_> = all_versions()
        .filter(|v| targets.iter().any(|t| t.version == *v))
        .collect();
    let queue = Mutex::new(versions.into_iter());
    let work = || -> Result<Vec<(Target, PathBuf)>> {
        let mut built = Vec::new();
        while let Some(version) = { queue.lock().unwrap().next() } {
            for target in targets.iter().filter(|t| t.version == version) {
                let path = try_fixture(target.name, target.version, target.build)
                    .with_context(|| format!("fixture {}, Go {version}, {}", target.name, target.build))?;
                done(target, &path);
                built.push((*target, path));
            }
        }
        Ok(built)
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut built: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|t| t.join().map_err(|_| anyhow!("a build thread panicked"))?)
            .collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect();
    built.sort_by_key(|(target, _)| targets.iter().position(|t| t == target));
    Ok(built)
}

/// The directory of the Go sources.
fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn key(name: &str, version: GoVersion, build: Build) -> Result<String> {
    let root = source_dir();
    if !root.join(name).join("main.go").is_file() {
        bail!("there is no Go program fixtures/{name}");
    }
    let mut files = Vec::new();
    go_files(&root.join(name), &mut files)?;
    go_files(&root.join("internal"), &mut files)?;
    // The other kinds are built without it (its build tag).
    files.retain(|file| {
        matches!(build, Build::CShared | Build::StrippedCShared)
            || file.file_name().is_none_or(|name| name != "library.go")
    });
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file)?;
        hash.update(file.strip_prefix(&root)?.as_os_str().as_encoded_bytes());
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(&content);
    }
    hash.update(version.fingerprint());
    hash.update(GO_FLAGS.join(" "));
    hash.update(build.flags().join(" "));
    hash.update(build.cgo_enabled());
    hash.update(build.experiment(version));
    Ok(fetch::hex(&hash.finalize())[..12].to_owned())
}

fn go_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            go_files(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "go") {
            files.push(path);
        }
    }
    Ok(())
}

const GO_FLAGS: [&str; 4] = ["build", "-trimpath", "-buildvcs=false", "-mod=mod"];

fn compile(name: &str, version: GoVersion, build: Build, output: &Path) -> Result<()> {
    let goroot = toolchains::goroot(version)?;
    // go.mod says 1.19, which would give a newer runtime the defaults of old (GODEBUG): programs in the wild have those
    // of their toolchain.
    let go_mod = cache::entry("mod", version.release(), |dir| {
        let module = format!("module gomemscan.test/fixtures\n\ngo {version}\n");
        Ok(fs::write(dir.join("go.mod"), module)?)
    })?;
    let out = Command::new(goroot.join("bin/go"))
        .args(GO_FLAGS)
        .arg(format!("-modfile={}", go_mod.join("go.mod").display()))
        .args(build.flags())
        .arg("-o")
        .arg(output)
        .arg(format!("./{name}"))
        .current_dir(source_dir())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GOROOT", &goroot)
        .env("HOME", cache::dir("home")?)
        .env("GOCACHE", cache::dir("go-build")?)
        .env("GOPATH", cache::dir("gopath")?)
        .env("TMPDIR", cache::dir("tmp")?)
        .env("GOENV", "off")
        .env("GOFLAGS", "")
        .env("GOPROXY", "off")
        .env("GOTELEMETRY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("CC", "cc")
        .env("CGO_ENABLED", build.cgo_enabled())
        .env("GOEXPERIMENT", build.experiment(version))
        .output()
        .with_context(|| format!("cannot run {}/bin/go", goroot.display()))?;
    if !out.status.success() {
        bail!(
            "go build failed ({}):\n{}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(())
}
