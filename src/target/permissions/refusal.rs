//! The decision: from the facts to one cause and one remedy, in the order in which the kernel checks.

use super::{Access, Facts};

/// Who refuses, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One sentence.
    pub cause: String,
    /// The command, or the change, that mends it; `None` when nothing does.
    pub remedy: Option<String>,
}

const CONTAINER: &str = "give the container the capability: `docker run --cap-add SYS_PTRACE`, or in Kubernetes \
                         `kubectl debug --profile=sysadmin` (or `securityContext.capabilities.add: [SYS_PTRACE]`)";

impl Refusal {
    /// The diagnosis.
    pub fn of(facts: &Facts) -> Refusal {
        already_traced(facts)
            .or_else(|| not_implemented(facts))
            .or_else(|| yama_forbids_all(facts))
            .or_else(|| other_user(facts))
            .or_else(|| other_user_namespace(facts))
            .or_else(|| not_dumpable(facts))
            .or_else(|| more_capabilities(facts))
            .or_else(|| yama(facts))
            .or_else(|| seccomp(facts))
            .or_else(|| security_module(facts))
            .unwrap_or_else(|| unknown(facts))
    }

    /// `/proc` does not show a process that exists.
    pub fn hidden(facts: &Facts) -> Refusal {
        let cause = format!(
            "process {} exists, but /proc is mounted so that it hides other users' (hidepid)",
            facts.pid
        );
        Refusal {
            cause,
            remedy: become_root(facts),
        }
    }
}

fn refusal(cause: String, remedy: impl Into<Option<String>>) -> Option<Refusal> {
    Some(Refusal {
        cause,
        remedy: remedy.into(),
    })
}

/// Who is meant, for messages.
fn process(facts: &Facts) -> String {
    match facts.target.comm.as_str() {
        "" => format!("process {}", facts.pid),
        comm => format!("process {} ({comm})", facts.pid),
    }
}

/// The command that runs the tool with all capabilities, or what stands in its way.
fn become_root(facts: &Facts) -> Option<String> {
    match (facts.own.could_ptrace, facts.own.uid) {
        (false, _) => Some(CONTAINER.to_owned()),
        (true, 0) => Some("run it with CAP_SYS_PTRACE: this root has dropped it".to_owned()),
        (true, _) => Some(format!("sudo gomemscan attach {}", facts.pid)),
    }
}

fn already_traced(facts: &Facts) -> Option<Refusal> {
    let (tracer, name) = facts
        .target
        .tracer
        .as_ref()
        .filter(|_| facts.access == Access::Ptrace)?;
    let cause = format!(
        "{} is already traced by process {tracer} ({name}), and a process has one tracer",
        process(facts)
    );
    refusal(
        cause,
        format!("end {name} ({tracer}), or read without a stop: --no-pause"),
    )
}

fn not_implemented(facts: &Facts) -> Option<Refusal> {
    if facts.errno != libc::ENOSYS {
        return None;
    }
    seccomp(facts).or_else(|| refusal("this kernel has no ptrace or process_vm_readv".to_owned(), None))
}

fn yama_forbids_all(facts: &Facts) -> Option<Refusal> {
    if facts.yama_scope != Some(3) || facts.access == Access::Executable {
        return None;
    }
    let cause = "kernel.yama.ptrace_scope is 3: no process of this host may be read by another until it is rebooted";
    refusal(cause.to_owned(), None)
}

/// Whether users and groups match, as the kernel asks: the caller's against all three of the target's.
fn same_user(facts: &Facts) -> Option<bool> {
    let (uids, gids) = (facts.target.uids?, facts.target.gids?);
    Some(uids.iter().all(|&uid| uid == facts.own.uid) && gids.iter().all(|&gid| gid == facts.own.gid))
}

fn other_user(facts: &Facts) -> Option<Refusal> {
    if facts.own.can_ptrace || same_user(facts)? {
        return None;
    }
    let uids = facts.target.uids?;
    let cause = if uids.iter().all(|&uid| uid == uids[0]) {
        format!(
            "{} belongs to user {}, gomemscan runs as user {}",
            process(facts),
            uids[0],
            facts.own.uid
        )
    } else {
        format!(
            "{} changed its user (real {}, effective {}, saved {})",
            process(facts),
            uids[0],
            uids[1],
            uids[2]
        )
    };
    let what = if facts.own.uid == 0 {
        format!("{cause} without CAP_SYS_PTRACE")
    } else {
        cause
    };
    refusal(what, become_root(facts))
}

fn other_user_namespace(facts: &Facts) -> Option<Refusal> {
    if facts.own.initial_user_namespace || facts.target.same_user_namespace != Some(false) {
        return None;
    }
    // A target in a namespace below the tool's is within reach of its capabilities; this one refused, so it is not.
    let cause = format!(
        "{} is in a user namespace where gomemscan has no capabilities",
        process(facts)
    );
    refusal(
        cause,
        "on the host itself, outside of containers: sudo gomemscan attach <its pid there>".to_owned(),
    )
}

fn not_dumpable(facts: &Facts) -> Option<Refusal> {
    if facts.own.can_ptrace || facts.target.dumpable != Some(false) {
        return None;
    }
    let cause = format!(
        "{} is protected: its binary is setuid, has file capabilities or is not readable, or it called prctl(PR_SET_DUMPABLE)",
        process(facts)
    );
    refusal(cause, become_root(facts))
}

fn more_capabilities(facts: &Facts) -> Option<Refusal> {
    if facts.own.can_ptrace || facts.target.capabilities? & !facts.own.capabilities == 0 {
        return None;
    }
    refusal(
        format!("{} has capabilities that gomemscan has not", process(facts)),
        become_root(facts),
    )
}

fn yama(facts: &Facts) -> Option<Refusal> {
    if facts.own.can_ptrace || facts.access == Access::Executable {
        return None;
    }
    let remedy = become_root(facts);
    match facts.yama_scope? {
        1 => refusal(
            format!(
                "kernel.yama.ptrace_scope is 1: only a parent may read {}",
                process(facts)
            ),
            remedy.map(|remedy| {
                format!("{remedy}; or, for every user of this host: sudo sysctl kernel.yama.ptrace_scope=0")
            }),
        ),
        2 => refusal(
            "kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE may read other processes".to_owned(),
            remedy,
        ),
        _ => None,
    }
}

fn seccomp(facts: &Facts) -> Option<Refusal> {
    if !facts.own.seccomp || facts.access == Access::Executable {
        return None;
    }
    let cause = "gomemscan runs under a seccomp filter that forbids ptrace or process_vm_readv".to_owned();
    let remedy = "let the filter pass: `docker run --cap-add SYS_PTRACE` (or `--security-opt seccomp=unconfined`); in \
                  Kubernetes `kubectl debug --profile=sysadmin`";
    refusal(cause, remedy.to_owned())
}

fn security_module(facts: &Facts) -> Option<Refusal> {
    let modules = facts.security_modules.as_deref()?;
    let has = |name| modules.split(',').any(|module| module == name);
    let confined = |label: &Option<String>| label.clone().filter(|label| !label.starts_with("unconfined"));
    let (own, theirs) = (confined(&facts.own.label), confined(&facts.target.label));
    if has("selinux") {
        let cause = format!(
            "SELinux does not let {} look into {}",
            own.as_deref().unwrap_or("gomemscan"),
            theirs.as_deref().unwrap_or("the target")
        );
        return refusal(
            cause,
            "see what was denied: sudo ausearch -m avc -ts recent; `setsebool deny_ptrace off` if that is it"
                .to_owned(),
        );
    }
    if has("apparmor") && (own.is_some() || theirs.is_some()) {
        let cause = format!(
            "AppArmor does not let {} look into {}",
            own.as_deref().unwrap_or("an unconfined process"),
            theirs.as_deref().unwrap_or("an unconfined one")
        );
        let remedy =
            "run it outside of the profile: `docker run --security-opt apparmor=unconfined`; what was denied: dmesg";
        return refusal(cause, remedy.to_owned());
    }
    None
}

fn unknown(facts: &Facts) -> Refusal {
    let what = match facts.access {
        Access::Executable => "looking at the executable of",
        Access::Memory => "reading the memory of",
        Access::Ptrace => "stopping",
    };
    let cause = format!("the kernel refuses {what} {}: {}", process(facts), facts.answer());
    let remedy = match facts.own.can_ptrace {
        // Nothing among user ids, capabilities, Yama, tracers, namespaces, seccomp and known modules explains it.
        true => Some(
            "none known: neither user, capabilities, Yama, another tracer, namespaces nor seccomp explain it; a \
             security policy of this machine or sandbox may"
                .to_owned(),
        ),
        false => become_root(facts),
    };
    Refusal { cause, remedy }
}

#[cfg(test)]
mod tests;
