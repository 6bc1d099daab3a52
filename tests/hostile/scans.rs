//! One scan by the command, and what must hold of every one.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No scan of a small program takes so long, however damaged it is; the tool's own deadline is set to it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Memory that a scan of a small program may take at most. The report of a sound one says 13 MB.
const MOST_BYTES: u64 = 512 << 20;

/// How scans ended.
#[derive(Debug, Default)]
pub struct Endings {
    /// Scans by exit code.
    pub codes: BTreeMap<i32, u32>,
    /// The most memory one took, bytes.
    pub peak_bytes: u64,
    /// The longest one.
    pub longest: Duration,
    /// What the last one said on standard error.
    pub said: String,
}

impl Endings {
    /// Scans process `pid` once with these arguments, which must come to a decent end.
    #[allow(clippy::zombie_processes, reason = "wait4 waits for it, and tells what it used")]
    pub fn scan(&mut self, pid: u32, arguments: &[&str]) -> i32 {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
            .args(["attach", &pid.to_string(), "--deadline"])
            .arg(format!("{}s", DEADLINE.as_secs()))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        self.said.clear();
        child.stderr.take().unwrap().read_to_string(&mut self.said).unwrap();
        let (code, bytes) = waited(child.id());
        let context = format!("{arguments:?} {code:?}: {}", self.said);
        assert!(began.elapsed() < DEADLINE, "{context}");
        assert!(
            !self.said.contains("panicked") && !self.said.contains("internal error"),
            "{context}"
        );
        let code = code.unwrap_or_else(|| panic!("the tool was killed: {context}"));
        // 7 is for a target that could not be stopped in time, and says so.
        let told = code != 7 || self.said.contains("--max-pause");
        assert!(matches!(code, 0 | 3 | 5 | 6 | 7 | 8) && told, "{context}");
        assert_eq!(matches!(code, 0 | 6), !output.is_empty(), "{context}");
        if arguments.contains(&"--json") && !output.is_empty() {
            let report: serde_json::Value = serde_json::from_slice(&output).unwrap();
            assert_eq!(report["kind"], "attach");
        }
        assert!(bytes < MOST_BYTES, "{bytes} bytes at its peak; {context}");
        *self.codes.entry(code).or_default() += 1;
        self.peak_bytes = self.peak_bytes.max(bytes);
        self.longest = self.longest.max(began.elapsed());
        code
    }
}

/// Waits for the end of a child: its exit code, and the peak of its memory.
fn waited(pid: u32) -> (Option<i32>, u64) {
    let mut status = 0;
    // SAFETY: a `rusage` of zeros is one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right type.
    let waited = unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) };
    assert_eq!(waited, pid as i32);
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    (code, usage.ru_maxrss as u64 * 1024)
}

/// Whether `pid` runs, untraced, or has ended; it may not be left stopped.
pub fn at_large(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().trim().to_owned()
    };
    !field("State:").to_ascii_lowercase().starts_with('t') && matches!(field("TracerPid:").as_str(), "" | "0")
}
