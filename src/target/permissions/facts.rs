//! What decides whether one process may look into another: users, capabilities, Yama, seccomp, security modules, the
//! tracer it may already have. Read from `/proc` and `/sys`; what may not be read stays unknown.

use std::fs;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;

use super::Access;
use super::probe::{Answer, Passage, Probes, probe};
use crate::target::container::{ContainerFacts, Surroundings};
use crate::target::procdir::{ProcDir, status_field};
use crate::target::process::comm_of;
use crate::target::threads::ThreadFacts;

/// The bit of CAP_SYS_PTRACE.
const CAP_SYS_PTRACE: u32 = 19;

/// Where the kernel shows itself; tests lay out trees of their own.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Roots {
        Roots {
            proc: "/proc".into(),
            sys: "/sys".into(),
        }
    }
}

/// Everything a decision looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The process.
    pub pid: i32,
    /// The tool.
    pub own: Own,
    /// The target.
    pub target: Theirs,
    /// `kernel.yama.ptrace_scope`; `None` without Yama.
    pub yama_scope: Option<u8>,
    /// Active security modules, comma separated.
    pub security_modules: Option<String>,
    /// Whether SELinux enforces its policy; `None` without SELinux.
    pub selinux_enforcing: Option<bool>,
    /// Whether its switch `deny_ptrace` is on.
    pub selinux_denies_ptrace: bool,
    /// How `/proc` hides other users' processes, in its mount option's words; `None` when it does not.
    pub hidepid: Option<String>,
    /// Whether looking at the executable is granted.
    pub executable: Answer,
    /// Whether reading the memory is granted.
    pub memory: Answer,
    /// Whether stopping is granted; never asked beforehand.
    pub ptrace: Answer,
    /// Whether the target will have to be stopped at all.
    pub stops: bool,
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
    /// Whether `process_vm_readv` gets past it.
    pub readv: Passage,
    /// Whether `ptrace` does.
    pub ptrace: Passage,
    /// Whether it can start the child that captures.
    pub helper: Answer,
    /// Label of the security module ("docker-default (enforce)").
    pub label: Option<String>,
    /// What it runs in.
    pub surroundings: Surroundings,
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
    /// The process that traces it (0: one that is not visible here), and its name.
    pub tracer: Option<(i32, String)>,
    /// Label of the security module.
    pub label: Option<String>,
    /// Its threads.
    pub threads: ThreadFacts,
    /// The container it runs in.
    pub container: Option<ContainerFacts>,
}

impl Facts {
    /// Collects them and asks the kernel what it would do.
    pub(crate) fn collect(pid: i32) -> Facts {
        let mut facts = Facts::read(&Roots::default(), pid);
        let proc = ProcDir::open(pid);
        facts.executable = match proc
            .as_ref()
            .map(|proc| proc.link("exe").and_then(|_| proc.file("exe")))
        {
            Ok(Ok(_)) => Answer::Granted,
            Ok(Err(error)) => match error.raw_os_error() {
                Some(errno @ (libc::EACCES | libc::EPERM)) => Answer::Refused(errno),
                _ => Answer::Unasked,
            },
            Err(_) => Answer::Unasked,
        };
        let threads = proc.and_then(|proc| proc.numbers("task"));
        // Where its threads may not be listed (hidepid) the process itself can still be asked about.
        facts.take(probe(&threads.unwrap_or_else(|_| vec![pid])));
        facts
    }

    /// What `/proc` and `/sys` say, with every answer of the kernel open.
    pub fn read(roots: &Roots, pid: i32) -> Facts {
        let text = |path: PathBuf| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let selinux = roots.sys.join("fs/selinux");
        Facts {
            pid,
            own: Own::read(roots),
            target: Theirs::read(roots, pid),
            yama_scope: text(roots.proc.join("sys/kernel/yama/ptrace_scope")).and_then(|scope| scope.parse().ok()),
            security_modules: text(roots.sys.join("kernel/security/lsm")),
            selinux_enforcing: text(selinux.join("enforce")).map(|enforce| enforce == "1"),
            selinux_denies_ptrace: text(selinux.join("booleans/deny_ptrace")).is_some_and(|now| now.starts_with('1')),
            hidepid: text(roots.proc.join("self/mountinfo")).and_then(|mounts| hidepid(&mounts)),
            stops: true,
            ..Facts::default()
        }
    }

    fn take(&mut self, probes: Probes) {
        self.own.readv = probes.readv;
        self.own.ptrace = probes.ptrace;
        self.own.helper = probes.helper;
        self.memory = probes.memory;
    }

    /// The same after the kernel has refused an access for real.
    pub(crate) fn refused(mut self, access: Access, errno: i32) -> Facts {
        let refused = Answer::Refused(errno);
        match access {
            Access::Executable => (self.executable, self.memory) = (refused, Answer::Unasked),
            Access::Memory => self.memory = refused,
            // Its memory has been read before.
            Access::Ptrace => (self.memory, self.ptrace) = (Answer::Granted, refused),
        }
        self.stops = access == Access::Ptrace;
        self
    }

    /// The access that was refused, the one that a scan needs first, and the kernel's answer.
    pub(crate) fn refusal(&self) -> Option<(Access, i32)> {
        let refused = |(access, answer)| match answer {
            Answer::Refused(errno) => Some((access, errno)),
            _ => None,
        };
        let asked = [
            (Access::Executable, self.executable),
            (Access::Memory, self.memory),
            (Access::Ptrace, self.ptrace),
        ];
        asked.into_iter().find_map(refused)
    }
}

/// The kernel's answer in words.
pub(crate) fn in_words(errno: i32) -> &'static str {
    Errno::from_raw(errno).desc()
}

impl Own {
    fn read(roots: &Roots) -> Own {
        let own = roots.proc.join("self");
        let status = fs::read_to_string(own.join("status")).unwrap_or_default();
        let set = |key| capabilities(&status, key).unwrap_or(0);
        let effective = |key| status_field(&status, key).and_then(three).map(|ids| ids[1]);
        Own {
            uid: effective("Uid").unwrap_or_else(|| nix::unistd::geteuid().as_raw()),
            gid: effective("Gid").unwrap_or_else(|| nix::unistd::getegid().as_raw()),
            can_ptrace: set("CapEff") >> CAP_SYS_PTRACE & 1 == 1,
            could_ptrace: set("CapBnd") >> CAP_SYS_PTRACE & 1 == 1,
            capabilities: set("CapPrm"),
            initial_user_namespace: fs::read_to_string(own.join("uid_map"))
                .is_ok_and(|map| map.split_ascii_whitespace().eq(["0", "0", "4294967295"])),
            seccomp: status_field(&status, "Seccomp").is_some_and(|mode| mode != "0"),
            label: fs::read(own.join("attr/current"))
                .ok()
                .and_then(|label| label_of(&label)),
            surroundings: Surroundings::read(&fs::read_to_string(own.join("cgroup")).unwrap_or_default()),
            ..Own::default()
        }
    }
}

impl Theirs {
    fn read(roots: &Roots, pid: i32) -> Theirs {
        let Ok(proc) = ProcDir::open_below(&roots.proc, pid) else {
            return Theirs::default();
        };
        let status = proc.text("status").unwrap_or_default();
        let uids = status_field(&status, "Uid").and_then(three);
        let owner = proc.stat("status").ok().map(|stat| stat.st_uid);
        let threads = ThreadFacts::of(&proc);
        Theirs {
            comm: comm_of(&proc),
            uids,
            gids: status_field(&status, "Gid").and_then(three),
            capabilities: capabilities(&status, "CapPrm"),
            // The files of a process that may not be dumped belong to root.
            dumpable: uids
                .zip(owner)
                .filter(|(uids, _)| uids[1] != 0)
                .map(|(uids, owner)| uids[1] == owner),
            same_user_namespace: same_user_namespace(roots, &proc),
            tracer: threads.tracer.map(|(_, tracer)| process_of_thread(roots, tracer)),
            label: proc.read("attr/current").ok().and_then(|label| label_of(&label)),
            threads,
            container: ContainerFacts::of(&proc),
        }
    }
}

/// A tracer is named by its thread; people know it by its process.
fn process_of_thread(roots: &Roots, tid: i32) -> (i32, String) {
    let open = |pid| ProcDir::open_below(&roots.proc, pid);
    let status = open(tid).and_then(|proc| proc.text("status")).unwrap_or_default();
    let pid = status_field(&status, "Tgid")
        .and_then(|tgid| tgid.parse().ok())
        .unwrap_or(tid);
    (pid, open(pid).map(|proc| comm_of(&proc)).unwrap_or_default())
}

/// By the namespace itself where that may be read, else by its table of users, which everybody may read.
fn same_user_namespace(roots: &Roots, proc: &ProcDir) -> Option<bool> {
    let own = roots.proc.join("self");
    if let (Ok(theirs), Ok(own)) = (proc.link("ns/user"), fs::read_link(own.join("ns/user"))) {
        return Some(theirs == own.as_os_str());
    }
    Some(proc.read("uid_map").ok()? == fs::read(own.join("uid_map")).ok()?)
}

/// The option by which `/proc` hides processes, from the tool's list of mounts.
fn hidepid(mountinfo: &str) -> Option<String> {
    let options = mountinfo.lines().rev().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let is_proc = mount.split(' ').nth(4) == Some("/proc") && filesystem.starts_with("proc ");
        is_proc.then(|| filesystem.rsplit(' ').next())?
    })?;
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="))?;
    (!matches!(value, "0" | "off")).then(|| value.to_owned())
}

fn capabilities(status: &str, key: &str) -> Option<u64> {
    u64::from_str_radix(status_field(status, key)?, 16).ok()
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

/// The roots of a made-up tree.
#[cfg(test)]
pub(super) fn tree(root: &Path) -> Roots {
    Roots {
        proc: root.join("proc"),
        sys: root.join("sys"),
    }
}
