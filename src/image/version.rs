//! Go's version string: "go1.26.8", "go1.25.5 X:greenteagc", "go1.21.13-vendor", "devel go1.28-abcdef ...".
//!
//! Mirrors what `runtime.buildVersion` may hold. The numbers choose embedded tables and phrase messages; decoding goes
//! by the layout in the binary, not by them.

use std::fmt;

/// A parsed version of Go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoVersion {
    /// The 1 of 1.26.8.
    pub major: u32,
    /// The 26 of 1.26.8.
    pub minor: u32,
    /// The 8 of 1.26.8; `None` for "go1.26" (no patch release up to 1.20, or a development version).
    pub patch: Option<u32>,
    /// "rc1", "beta2".
    pub prerelease: Option<String>,
    /// What a vendor or a commit added: "vendor", "abcdef".
    pub suffix: Option<String>,
    /// Whether it calls itself a development version.
    pub devel: bool,
    /// Experiments that differ from the version's defaults ("nogreenteagc").
    pub experiments: Vec<String>,
}

impl GoVersion {
    /// Parses the whole string; `None` when no "goX.Y" is in it (development versions before 1.18 named only a
    /// commit).
    pub fn parse(text: &str) -> Option<GoVersion> {
        let text = text.trim();
        let (text, experiments) = split_experiments(text);
        let (text, devel) = match text.strip_prefix("devel") {
            Some(rest) => (rest.trim_start(), true),
            None => (text, false),
        };
        let rest = text.strip_prefix("go")?;
        let (major, rest) = number(rest)?;
        let (minor, rest) = number(rest.strip_prefix('.')?)?;
        let (patch, rest) = match rest.strip_prefix('.').and_then(number) {
            Some((patch, rest)) => (Some(patch), rest),
            None => (None, rest),
        };
        let pre_len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (pre, rest) = rest.split_at_checked(pre_len)?;
        let prerelease = Some(pre)
            .filter(|p| p.starts_with("rc") || p.starts_with("beta"))
            .map(str::to_owned);
        // "go1.26.8abc" is no form Go uses, but a vendor may: keep it as the suffix.
        let rest = if prerelease.is_none() && !pre.is_empty() {
            pre
        } else {
            rest
        };
        let suffix = rest.trim_start_matches(['-', '+', ' ']).split_whitespace().next();
        let suffix = suffix.filter(|s| !s.is_empty()).map(str::to_owned);
        Some(GoVersion {
            major,
            minor,
            patch,
            prerelease,
            suffix,
            devel,
            experiments,
        })
    }

    /// Whether this is at least `major.minor`.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl fmt::Display for GoVersion {
    /// As people say it: "1.26.8", "1.27rc1".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if let Some(patch) = self.patch {
            write!(f, ".{patch}")?;
        }
        f.write_str(self.prerelease.as_deref().unwrap_or_default())
    }
}

/// Splits "go1.25.5 X:a,b" (up to 1.25) or "go1.26.6-X:a,b" into the version and the experiments.
fn split_experiments(text: &str) -> (&str, Vec<String>) {
    let at = text.find(" X:").or_else(|| text.find("-X:"));
    match at.and_then(|at| text.split_at_checked(at)) {
        Some((version, list)) => {
            let list = list.get(3..).unwrap_or_default();
            let list = list.split_whitespace().next().unwrap_or_default();
            (version, experiments(list))
        }
        None => (text, Vec::new()),
    }
}

/// The names in a comma-separated list of experiments.
pub(crate) fn experiments(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
        .collect()
}

fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> GoVersion {
        GoVersion::parse(text).unwrap()
    }

    #[test]
    fn releases() {
        let v = parse("go1.26.8");
        assert_eq!((v.major, v.minor, v.patch), (1, 26, Some(8)));
        assert_eq!((v.prerelease, v.suffix, v.devel), (None, None, false));
        assert_eq!(parse("go1.20").patch, None);
        assert_eq!(parse("go1.27rc1").prerelease.as_deref(), Some("rc1"));
        assert_eq!(parse("go1.27rc1").to_string(), "1.27rc1");
    }

    #[test]
    fn experiments_follow_a_blank_or_a_dash() {
        assert_eq!(parse("go1.25.5 X:greenteagc").experiments, ["greenteagc"]);
        let v = parse("go1.26.6-X:nogreenteagc,foo");
        assert_eq!(v.experiments, ["nogreenteagc", "foo"]);
        assert_eq!((v.patch, v.suffix), (Some(6), None));
    }

    #[test]
    fn vendors_and_development_versions() {
        assert_eq!(parse("go1.21.13-vendor").suffix.as_deref(), Some("vendor"));
        assert_eq!(parse("go1.21.13 +fips").suffix.as_deref(), Some("fips"));
        let v = parse("devel go1.28-abcdef Tue Jan 2 15:04:05 2026 +0000 X:foo");
        assert!(v.devel);
        assert_eq!((v.minor, v.patch, v.suffix.as_deref()), (28, None, Some("abcdef")));
        assert_eq!(v.experiments, ["foo"]);
        let v = parse("go1.28-devel_abcdef");
        assert_eq!((v.minor, v.suffix.as_deref()), (28, Some("devel_abcdef")));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in [
            "",
            "go",
            "go1",
            "devel +abcdef Mon",
            "1.2.3",
            "go1.99999999999999",
            "gopher",
            "go1.é",
        ] {
            assert_eq!(GoVersion::parse(text), None, "{text}");
        }
    }
}
