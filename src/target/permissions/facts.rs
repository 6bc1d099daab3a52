//! What decides whether one process may look into another: users, capabilities, Yama, seccomp, security modules, the
//! tracer it may already have. Everything is read from `/proc`; what may not be read stays unknown.

use std::fs;

use nix::errno::Errno;

use super::Access;
use crate::target::procdir::{ProcDir, status_field};
use crate::target::process::comm_of;

/// The bit of CAP_SYS_PTRACE.
const CAP_SYS_PTRACE: u32 = 19;

/// Everything a diagnosis looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The process.
    pub pid: i32,
    /// What was tried.
    pub access: Access,
    /// The kernel's answer.
    pub errno: i32,
    /// The tool.
    pub own: Own,
    /// The target.
    pub target: Theirs,
    /// `kernel.yama.ptrace_scope`; `None` without Yama.
    pub yama_scope: Option<u8>,
    /// Active security modules, comma separated.
    pub security_modules: Option<String>,
}

/// What the tool is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// CAP_SYS_PTRACE is effective (in the tool's own user namespace).
    pub can_ptrace: bool,
    /// CAP_SYS_PTRACE is in the bounding set: becoming root would give it.
    pub could_ptrace: bool,
    /// Permitted capabilities.
    pub capabilities: u64,
    /// It is in the initial user namespace, so that no namespace is out of its capabilities' reach.
    pub initial_user_namespace: bool,
    /// A seccomp filter is on.
    pub seccomp: bool,
    /// Label of the security module ("docker-default (enforce)").
    pub label: Option<String>,
}

/// What the target is, as far as it may be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theirs {
    /// Its name.
    pub comm: String,
    /// Real, effective and saved user.
    pub uids: Option<[u32; 3]>,
    /// Real, effective and saved group.
    pub gids: Option<[u32; 3]>,
    /// Permitted capabilities.
    pub capabilities: Option<u64>,
    /// Whether it may be dumped: not setuid, no file capabilities, no `PR_SET_DUMPABLE`. Unknown for root's processes.
    pub dumpable: Option<bool>,
    /// Whether it is in the tool's user namespace.
    pub same_user_namespace: Option<bool>,
    /// The process that traces it, and its name.
    pub tracer: Option<(i32, String)>,
    /// Label of the security module.
    pub label: Option<String>,
}

impl Facts {
    /// Collects them, after an access has been refused.
    pub fn collect(pid: i32, access: Access, errno: i32) -> Facts {
        let text = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Facts {
            pid,
            access,
            errno,
            own: Own::collect(),
            target: Theirs::collect(pid),
            yama_scope: text("/proc/sys/kernel/yama/ptrace_scope").and_then(|scope| scope.parse().ok()),
            security_modules: text("/sys/kernel/security/lsm"),
        }
    }

    /// The kernel's answer in words.
    pub fn answer(&self) -> &'static str {
        Errno::from_raw(self.errno).desc()
    }
}

impl Own {
    fn collect() -> Own {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let set = |key| {
            status_field(&status, key)
                .and_then(|set| u64::from_str_radix(set, 16).ok())
                .unwrap_or(0)
        };
        Own {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            can_ptrace: set("CapEff") >> CAP_SYS_PTRACE & 1 == 1,
            could_ptrace: set("CapBnd") >> CAP_SYS_PTRACE & 1 == 1,
            capabilities: set("CapPrm"),
            initial_user_namespace: fs::read_to_string("/proc/self/uid_map")
                .is_ok_and(|map| map.split_ascii_whitespace().eq(["0", "0", "4294967295"])),
            seccomp: status_field(&status, "Seccomp").is_some_and(|mode| mode != "0"),
            label: fs::read("/proc/self/attr/current")
                .ok()
                .and_then(|label| label_of(&label)),
        }
    }
}

impl Theirs {
    fn collect(pid: i32) -> Theirs {
        let Ok(proc) = ProcDir::open(pid) else {
            return Theirs::default();
        };
        let status = proc.text("status").unwrap_or_default();
        let uids = status_field(&status, "Uid").and_then(three);
        let owner = proc.stat("status").ok().map(|stat| stat.st_uid);
        let tracer = status_field(&status, "TracerPid")
            .and_then(|pid| pid.parse().ok())
            .filter(|&pid: &i32| pid != 0);
        Theirs {
            comm: comm_of(&proc),
            uids,
            gids: status_field(&status, "Gid").and_then(three),
            capabilities: status_field(&status, "CapPrm").and_then(|set| u64::from_str_radix(set, 16).ok()),
            // The files of a process that may not be dumped belong to root.
            dumpable: uids
                .zip(owner)
                .filter(|(uids, _)| uids[1] != 0)
                .map(|(uids, owner)| uids[1] == owner),
            same_user_namespace: same_user_namespace(&proc),
            tracer: tracer.map(process_of_thread),
            label: proc.read("attr/current").ok().and_then(|label| label_of(&label)),
        }
    }
}

/// A tracer is named by its thread; people know it by its process.
fn process_of_thread(tid: i32) -> (i32, String) {
    let status = ProcDir::open(tid)
        .and_then(|proc| proc.text("status"))
        .unwrap_or_default();
    let pid = status_field(&status, "Tgid")
        .and_then(|tgid| tgid.parse().ok())
        .unwrap_or(tid);
    (pid, ProcDir::open(pid).map(|proc| comm_of(&proc)).unwrap_or_default())
}

/// By the namespace itself where that may be read, else by its table of users, which everybody may read.
fn same_user_namespace(proc: &ProcDir) -> Option<bool> {
    if let (Ok(theirs), Ok(own)) = (proc.link("ns/user"), fs::read_link("/proc/self/ns/user")) {
        return Some(theirs == own.as_os_str());
    }
    Some(proc.read("uid_map").ok()? == fs::read("/proc/self/uid_map").ok()?)
}

/// The first three of the four numbers of a `Uid:` line.
fn three(ids: &str) -> Option<[u32; 3]> {
    let mut ids = ids.split_ascii_whitespace().map(str::parse);
    Some([ids.next()?.ok()?, ids.next()?.ok()?, ids.next()?.ok()?])
}

fn label_of(label: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(label);
    let text = text.trim_matches(['\0', '\n', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}
