//! Facts about the machine: who it is, how much memory it has, how it treats huge pages, and what time it is for the
//! target.

use std::fs;

use super::pages::page_size;
use super::process::LiveProcess;

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Name of the host, in the tool's UTS namespace.
    pub hostname: String,
    /// Random id of this boot.
    pub boot_id: Option<String>,
    /// Kernel release.
    pub kernel: String,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// CPUs online.
    pub cpus: usize,
    /// Transparent huge pages.
    pub thp: ThpSettings,
    /// `MemTotal`.
    pub memory_total_bytes: Option<u64>,
    /// `MemAvailable`.
    pub memory_available_bytes: Option<u64>,
}

/// Settings below `/sys/kernel/mm/transparent_hugepage`; `None` where the kernel has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThpSettings {
    /// `always`, `madvise` or `never`.
    pub enabled: Option<String>,
    /// What a fault may do to get one.
    pub defrag: Option<String>,
    /// Whether khugepaged may compact memory.
    pub khugepaged_defrag: Option<bool>,
    /// How many absent pages khugepaged may fill with zeroes to make one.
    pub khugepaged_max_ptes_none: Option<u64>,
    /// Whether a read fault maps the huge zero page.
    pub use_zero_page: Option<bool>,
}

impl HostFacts {
    /// Reads them.
    pub fn collect() -> HostFacts {
        let uname = nix::sys::utsname::uname().ok();
        let name = |of: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            uname
                .as_ref()
                .map(|uname| of(uname).to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        HostFacts {
            hostname: name(|uname| uname.nodename()),
            boot_id: trimmed("/proc/sys/kernel/random/boot_id"),
            kernel: name(|uname| uname.release()),
            page_bytes: page_size(),
            cpus: nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN)
                .ok()
                .flatten()
                .map_or(1, |count| count as usize),
            thp: ThpSettings::collect(),
            memory_total_bytes: super::procdir::kb_field(&meminfo, "MemTotal"),
            memory_available_bytes: super::procdir::kb_field(&meminfo, "MemAvailable"),
        }
    }
}

impl ThpSettings {
    fn collect() -> ThpSettings {
        let file = |name: &str| trimmed(&format!("/sys/kernel/mm/transparent_hugepage/{name}"));
        let number = |name: &str| file(name).and_then(|text| text.parse::<u64>().ok());
        ThpSettings {
            enabled: file("enabled").and_then(|text| chosen(&text)),
            defrag: file("defrag").and_then(|text| chosen(&text)),
            khugepaged_defrag: number("khugepaged/defrag").map(|value| value != 0),
            khugepaged_max_ptes_none: number("khugepaged/max_ptes_none"),
            use_zero_page: number("use_zero_page").map(|value| value != 0),
        }
    }
}

/// `MemAvailable` of the machine.
pub fn memory_available_bytes() -> Option<u64> {
    super::procdir::kb_field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")
}

/// Processes that run or want to, on the average of the last minute; `None` without `/proc/loadavg`.
pub fn load_average() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

impl LiveProcess {
    /// What to add to the tool's CLOCK_MONOTONIC to get the target's, in nanoseconds; not 0 only across time
    /// namespaces (containers restored from a checkpoint).
    pub fn monotonic_offset_ns(&self) -> i64 {
        let own = fs::read_to_string("/proc/self/timens_offsets").ok();
        let theirs = self.proc().text("timens_offsets").ok();
        match (own, theirs) {
            (Some(own), Some(theirs)) => monotonic_offset(&theirs).saturating_sub(monotonic_offset(&own)),
            _ => 0,
        }
    }
}

/// Makes this process the first victim of the OOM killer: where memory is short, the tool is to go and not the target.
pub fn volunteer_for_oom() {
    // Raising the score is always permitted; where /proc is read-only the tool goes on without.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
}

/// The line `monotonic seconds nanoseconds`.
fn monotonic_offset(offsets: &str) -> i64 {
    let parse = || {
        let line = offsets.lines().find(|line| line.starts_with("monotonic"))?;
        let mut numbers = line.split_ascii_whitespace().skip(1).map(str::parse::<i64>);
        let (seconds, nanos) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
    };
    parse().unwrap_or(0)
}

/// The word in brackets of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn trimmed(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_setting_is_the_one_in_brackets() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise".to_owned()));
        assert_eq!(chosen("always"), None);
    }

    #[test]
    fn clock_offsets_are_read_with_their_sign() {
        assert_eq!(
            monotonic_offset("monotonic          -2         500000000\nboottime 7 0\n"),
            -1_500_000_000
        );
        assert_eq!(monotonic_offset(""), 0);
    }

    #[test]
    fn this_host_has_facts() {
        let host = HostFacts::collect();
        assert!(host.cpus > 0 && host.page_bytes >= 4096 && !host.kernel.is_empty());
        assert!(host.memory_total_bytes >= host.memory_available_bytes);
    }
}
