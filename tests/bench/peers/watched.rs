//! The target: a running `watched`, what its heartbeat says, and whether a tool left it as it was.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::process::Running;

/// A target that watches itself.
pub struct Watched {
    running: Running,
    /// Where its pprof endpoint listens, on the loopback.
    pub port: u64,
}

impl Watched {
    pub fn start(program: &Path, arguments: &[&str]) -> Watched {
        let mut running = Running::start(program, arguments);
        let port = running.send("port")["port"].as_u64().expect("a port");
        Watched { running, port }
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The longest time between two beats since it was last asked for.
    pub fn gap(&mut self) -> Result<Duration, String> {
        let answer = self.running.try_send("gap")?;
        let gap = answer["max_gap_ns"].as_u64();
        gap.map(Duration::from_nanos).ok_or(format!("answers {answer}"))
    }

    /// What is wrong with it, if anything: it is gone, or traced, or has threads that are stopped.
    pub fn harm(&mut self) -> Option<String> {
        let pid = self.pid();
        if !self.running.is_alive() {
            return Some("the target is gone".to_owned());
        }
        let mut stopped = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
            let state = field("State:").trim_start();
            if state.starts_with(['t', 'T']) || !matches!(field("TracerPid:").trim(), "0" | "") {
                stopped += 1;
            }
        }
        (stopped > 0).then(|| format!("{stopped} threads of the target are left stopped"))
    }

    /// Lets the kernel's account of the most memory it ever had resident begin anew, and returns what is resident now, in
    /// bytes.
    pub fn forget_peak(&self) -> u64 {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("the target's peak can be reset");
        self.peak()
    }

    /// The most memory it had resident since then, in bytes.
    pub fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = peak.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
        kib.unwrap_or(0) * 1024
    }
}
