//! A release of Go, and how its layout is known.

use std::fmt;
use std::str::FromStr;

/// A release of Go 1: 1.24.3 is minor 24, patch 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// The 24 of 1.24.3.
    pub minor: u32,
    /// The 3 of 1.24.3; 0 for the first release, which was called "go1.20" up to that one and "go1.21.0" since.
    pub patch: u32,
}

impl Release {
    /// Last minor version whose first release has no ".0".
    pub const LAST_WITHOUT_ZERO: u32 = 20;
}

impl fmt::Display for Release {
    /// As Go names it: "1.20", "1.20.1", "1.21.0".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            0 if self.minor <= Release::LAST_WITHOUT_ZERO => write!(f, "1.{}", self.minor),
            patch => write!(f, "1.{}.{patch}", self.minor),
        }
    }
}

impl FromStr for Release {
    type Err = ();

    fn from_str(text: &str) -> Result<Release, ()> {
        let rest = text.strip_prefix("1.").ok_or(())?;
        let (minor, patch) = rest.split_once('.').unwrap_or((rest, "0"));
        let number = |digits: &str| digits.parse().map_err(|_| ());
        Ok(Release {
            minor: number(minor)?,
            patch: number(patch)?,
        })
    }
}

/// How a release's layout is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Read from a program that this release built.
    Built,
    /// Not built; the nearest releases before and after it that were have this same layout.
    Between,
    /// Composed of what each of several experiments moves by itself.
    Combined,
}
