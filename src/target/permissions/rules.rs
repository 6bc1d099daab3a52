//! The decisions: from the facts to one check for each thing that can stand in the way, in the order in which the
//! kernel looks at them. What a scan runs into and what `doctor` foresees are the same checks.

use super::Access;
use super::facts::{Facts, in_words};
use super::probe::{Answer, Passage};
use crate::model::{CheckStatus, DoctorCheck, Remedy, cause};

/// Exit code of what is not permitted.
const NOT_PERMITTED: u8 = 4;
/// Exit code of what fails for want of resources.
const NOT_POSSIBLE: u8 = 7;

/// Who refuses, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One sentence.
    pub cause: String,
    /// The commands, or the changes, that mend it; empty when nothing does.
    pub remedies: Vec<Remedy>,
}

impl Refusal {
    /// The reason for a refused access.
    pub fn of(facts: &Facts) -> Refusal {
        let checks = examine(facts);
        let cause = cause(&checks).map(|check| Refusal {
            cause: check.fact.clone(),
            remedies: check.remedies.clone(),
        });
        cause.unwrap_or_else(|| unknown(facts))
    }

    /// `/proc` does not show a process that exists.
    pub fn hidden(facts: &Facts) -> Refusal {
        let how = facts
            .hidepid
            .as_ref()
            .map_or(String::new(), |value| format!("={value}"));
        let cause = format!(
            "process {} exists, but /proc is mounted so that it hides other users' (hidepid{how})",
            facts.pid
        );
        Refusal {
            cause,
            remedies: become_root(facts),
        }
    }
}

/// How one rule came out.
enum Outcome {
    /// Nothing stands in the way.
    Fine(String),
    /// A drawback, and what follows from it.
    Drawback(String, &'static str, Vec<Remedy>),
    /// This stands in the way.
    Refusal(String, Vec<Remedy>),
    /// It cannot be told.
    Unknown(String),
}

use Outcome::{Drawback, Fine, Unknown};

fn refusal(cause: String, remedies: Vec<Remedy>) -> Outcome {
    Outcome::Refusal(cause, remedies)
}

/// Looks at everything.
pub fn examine(facts: &Facts) -> Vec<DoctorCheck> {
    type Rule = fn(&Facts) -> Outcome;
    let rules: [(&str, Rule); 8] = [
        ("user", user),
        ("user-namespace", user_namespace),
        ("dumpable", dumpable),
        ("capabilities", capabilities),
        ("yama", yama),
        ("tracer", tracer),
        ("system-calls", system_calls),
        ("helper", helper),
    ];
    let mut checks: Vec<DoctorCheck> = rules.iter().map(|(id, rule)| check(id, rule(facts))).collect();
    // What cannot be known for certain is blamed only when nothing else is.
    let unexplained = cause(&checks).is_none() && facts.refusal().is_some();
    checks.push(check("security-module", security_module(facts, unexplained)));
    if cause(&checks).is_none() && facts.refusal().is_some() {
        let Refusal { cause, remedies } = unknown(facts);
        checks.push(check("access", refusal(cause, remedies)));
    } else {
        checks.push(check("access", access(facts)));
    }
    checks
}

fn check(id: &str, outcome: Outcome) -> DoctorCheck {
    let (status, fact, consequence, remedies) = match outcome {
        Fine(fact) => (CheckStatus::Ok, fact, None, Vec::new()),
        Drawback(fact, consequence, remedies) => (CheckStatus::Warn, fact, Some(consequence.to_owned()), remedies),
        Outcome::Refusal(fact, remedies) => (CheckStatus::Fail, fact, None, remedies),
        Unknown(fact) => (CheckStatus::Unknown, fact, None, Vec::new()),
    };
    let code = if id == "helper" { NOT_POSSIBLE } else { NOT_PERMITTED };
    DoctorCheck {
        id: id.to_owned(),
        status,
        fact,
        consequence,
        remedies,
        exit_code: (status == CheckStatus::Fail).then_some(code),
    }
}

/// Who is meant, for messages.
fn process(facts: &Facts) -> String {
    match facts.target.comm.as_str() {
        "" => format!("process {}", facts.pid),
        comm => format!("process {} ({comm})", facts.pid),
    }
}

/// The command that runs the tool with all capabilities, or what stands in its way.
fn become_root(facts: &Facts) -> Vec<Remedy> {
    match (facts.own.could_ptrace, facts.own.uid) {
        (false, _) => facts.own.surroundings.give_capability(),
        (true, 0) => vec![Remedy::note("run it with CAP_SYS_PTRACE: this root has dropped it")],
        (true, _) => vec![Remedy::command(format!("sudo gomemscan attach {}", facts.pid))],
    }
}

/// Whether the kernel has said that it lets the tool in, whatever the facts look like.
fn granted(facts: &Facts) -> bool {
    facts.memory == Answer::Granted
}

/// Whether users and groups match, as the kernel asks: the caller's against all three of the target's.
fn same_user(facts: &Facts) -> Option<bool> {
    let (uids, gids) = (facts.target.uids?, facts.target.gids?);
    Some(uids.iter().all(|&uid| uid == facts.own.uid) && gids.iter().all(|&gid| gid == facts.own.gid))
}

fn user(facts: &Facts) -> Outcome {
    let own = facts.own.uid;
    let (Some(same), Some(uids)) = (same_user(facts), facts.target.uids) else {
        return Unknown(format!("which user {} runs as may not be read", process(facts)));
    };
    let theirs = if uids.iter().all(|&uid| uid == uids[0]) {
        format!("{} belongs to user {}", process(facts), uids[0])
    } else {
        format!(
            "{} changed its user (real {}, effective {}, saved {})",
            process(facts),
            uids[0],
            uids[1],
            uids[2]
        )
    };
    if same {
        return Fine(format!("{theirs}, as does gomemscan"));
    }
    if granted(facts) || facts.own.can_ptrace {
        return Fine(format!("{theirs}, gomemscan runs as user {own} with CAP_SYS_PTRACE"));
    }
    let cause = if uids[0] == uids[1] && uids[0] == own {
        format!(
            "{theirs} with other groups, gomemscan runs with group {}",
            facts.own.gid
        )
    } else {
        format!("{theirs}, gomemscan runs as user {own}")
    };
    let without = if own == 0 { " without CAP_SYS_PTRACE" } else { "" };
    refusal(format!("{cause}{without}"), become_root(facts))
}

fn user_namespace(facts: &Facts) -> Outcome {
    let other = format!("{} is in another user namespace than gomemscan", process(facts));
    match facts.target.same_user_namespace {
        Some(true) => Fine("the same user namespace".to_owned()),
        Some(false) if granted(facts) => Fine(format!("{other}, within reach of its capabilities")),
        Some(false) if facts.own.initial_user_namespace => Fine(other),
        // A target in a namespace below the tool's is within reach of its capabilities; this one refused, so it is not.
        Some(false) => refusal(
            format!(
                "{} is in a user namespace where gomemscan has no capabilities",
                process(facts)
            ),
            vec![Remedy::noted(
                "on the host itself, outside of containers, with the process's number there",
                "sudo gomemscan attach PID",
            )],
        ),
        None => Unknown(format!("the user namespace of {} may not be read", process(facts))),
    }
}

fn dumpable(facts: &Facts) -> Outcome {
    match facts.target.dumpable {
        Some(true) => Fine("it may be dumped".to_owned()),
        _ if granted(facts) => Fine("whether it may be dumped makes no difference here".to_owned()),
        Some(false) if facts.own.can_ptrace => Fine("it is protected; CAP_SYS_PTRACE overrides that".to_owned()),
        Some(false) => refusal(
            format!(
                "{} is protected: its binary is setuid, has file capabilities or is not readable, or it called \
                 prctl(PR_SET_DUMPABLE)",
                process(facts)
            ),
            become_root(facts),
        ),
        None => Unknown("whether it may be dumped does not show".to_owned()),
    }
}

fn capabilities(facts: &Facts) -> Outcome {
    if facts.own.can_ptrace {
        return Fine("gomemscan has CAP_SYS_PTRACE".to_owned());
    }
    match facts.target.capabilities {
        Some(theirs) if granted(facts) || theirs & !facts.own.capabilities == 0 => {
            Fine("gomemscan has no CAP_SYS_PTRACE; the target has no capabilities that it lacks".to_owned())
        }
        Some(_) => refusal(
            format!("{} has capabilities that gomemscan has not", process(facts)),
            become_root(facts),
        ),
        None => Unknown(format!("the capabilities of {} may not be read", process(facts))),
    }
}

fn yama(facts: &Facts) -> Outcome {
    let Some(scope) = facts.yama_scope else {
        return Fine("this kernel has no Yama".to_owned());
    };
    let setting = format!("kernel.yama.ptrace_scope is {scope}");
    let only_executable = facts.memory == Answer::Unasked && facts.executable != Answer::Unasked;
    match scope {
        // Looking at the executable is none of Yama's business.
        0 => Fine(setting),
        _ if only_executable => Fine(setting),
        3 if !granted(facts) => refusal(
            format!("{setting}: no process of this host may be read by another until it is rebooted"),
            Vec::new(),
        ),
        _ if facts.own.can_ptrace => Fine(format!("{setting}; CAP_SYS_PTRACE overrides it")),
        _ if granted(facts) => Fine(format!("{setting}; the target lets gomemscan pass")),
        1 => {
            let mut remedies = become_root(facts);
            remedies.push(Remedy::noted(
                "or, for every user of this host",
                "sudo sysctl kernel.yama.ptrace_scope=0",
            ));
            refusal(
                format!("{setting}: only a parent may read {}", process(facts)),
                remedies,
            )
        }
        2 => refusal(
            format!("{setting}: only CAP_SYS_PTRACE may read other processes"),
            become_root(facts),
        ),
        _ => Unknown(setting),
    }
}

fn tracer(facts: &Facts) -> Outcome {
    let Some((tracer, name)) = &facts.target.tracer else {
        return Fine("nobody traces it".to_owned());
    };
    let traced = format!("{} is already traced by process {tracer} ({name})", process(facts));
    if !facts.stops {
        return Fine(format!("{traced}; without a stop that is no obstacle"));
    }
    let remedies = vec![
        Remedy::note(format!("end process {tracer}")),
        Remedy::noted(
            "or read without a stop",
            format!("gomemscan attach {} --no-pause", facts.pid),
        ),
    ];
    refusal(format!("{traced}, and a process has one tracer"), remedies)
}

/// Filters in front of the two calls that matter, and kernels that lack them.
fn system_calls(facts: &Facts) -> Outcome {
    let needed = [
        ("process_vm_readv", facts.own.readv, facts.memory, true),
        ("ptrace", facts.own.ptrace, facts.ptrace, facts.stops),
    ];
    let gone = |name| {
        refusal(
            format!("this kernel has no {name}"),
            vec![Remedy::note("none but another kernel")],
        )
    };
    let mut passed = Vec::new();
    for (name, passage, answer, is_needed) in needed {
        let answered = match (passage, answer) {
            (Passage::Passes | Passage::Unknown, Answer::Refused(libc::ENOSYS)) => Passage::Refused(libc::ENOSYS),
            _ => passage,
        };
        match answered {
            _ if !is_needed => {}
            Passage::Passes => passed.push(name),
            Passage::Refused(libc::ENOSYS) if !facts.own.seccomp => return gone(name),
            Passage::Refused(errno) => {
                let how = format!(
                    "gomemscan runs under a seccomp filter that forbids {name} ({})",
                    in_words(errno)
                );
                return refusal(how, facts.own.surroundings.lift_filter());
            }
            Passage::Kills => {
                let how = format!("gomemscan runs under a seccomp filter that kills for {name}");
                return refusal(how, facts.own.surroundings.lift_filter());
            }
            Passage::Unknown => return Unknown(format!("whether {name} is let through was not found out")),
        }
    }
    let filter = match facts.own.seccomp {
        true => "gomemscan runs under a seccomp filter that lets",
        false => "no filter forbids",
    };
    let pass = if facts.own.seccomp { " pass" } else { "" };
    Fine(format!("{filter} {}{pass}", passed.join(" and ")))
}

fn helper(facts: &Facts) -> Outcome {
    match facts.own.helper {
        Answer::Refused(errno) => refusal(
            format!("gomemscan cannot start the child that captures: {}", in_words(errno)),
            vec![Remedy::note(
                "its user or cgroup has too many processes, or memory is short: ulimit -u, pids.max",
            )],
        ),
        _ => Fine("the child that captures can be started".to_owned()),
    }
}

fn security_module(facts: &Facts, unexplained: bool) -> Outcome {
    let modules = facts.security_modules.as_deref().unwrap_or_default();
    let has = |name| modules.split(',').any(|module| module == name);
    let label = |label: &Option<String>, or: &str| label.clone().unwrap_or_else(|| or.to_owned());
    let labels = format!(
        "gomemscan is {}, the target {}",
        label(&facts.own.label, "unconfined"),
        label(&facts.target.label, "unconfined")
    );
    let confined = |label: &Option<String>| label.as_ref().is_some_and(|label| !label.starts_with("unconfined"));
    let any_confined = confined(&facts.own.label) || confined(&facts.target.label);
    if has("selinux") || facts.selinux_enforcing.is_some() {
        let permissive = facts.selinux_enforcing == Some(false);
        if facts.selinux_denies_ptrace && !permissive && (unexplained || !granted(facts)) {
            return refusal(
                "SELinux forbids all ptrace on this host (deny_ptrace)".to_owned(),
                vec![Remedy::command("sudo setsebool deny_ptrace off")],
            );
        }
        if unexplained && !permissive {
            let cause = format!(
                "SELinux does not let {} look into {}",
                label(&facts.own.label, "gomemscan"),
                label(&facts.target.label, "the target")
            );
            let remedies = vec![Remedy::noted(
                "see what was denied, and allow it",
                "sudo ausearch -m avc -ts recent",
            )];
            return refusal(cause, remedies);
        }
        let mode = if permissive { "permissive" } else { "enforcing" };
        return Fine(format!("SELinux is {mode}; {labels}"));
    }
    if has("apparmor") || any_confined {
        if unexplained && any_confined {
            let cause = format!(
                "AppArmor does not let {} look into {}",
                label(&facts.own.label, "an unconfined process"),
                label(&facts.target.label, "an unconfined one")
            );
            let remedies = vec![
                Remedy::noted(
                    "run it outside of the profile",
                    "docker run --security-opt=apparmor=unconfined ...",
                ),
                Remedy::noted("what was denied", "sudo dmesg | grep apparmor"),
            ];
            return refusal(cause, remedies);
        }
        return Fine(format!("AppArmor: {labels}"));
    }
    match modules {
        "" => Fine("no security module shows".to_owned()),
        modules => Fine(format!("none that confines either process ({modules})")),
    }
}

/// The kernel's own word on it.
fn access(facts: &Facts) -> Outcome {
    match facts.refusal() {
        Some((_, errno)) => Unknown(format!("the kernel refuses access: {}", in_words(errno))),
        None if !granted(facts) => Unknown("the kernel was not asked for access".to_owned()),
        None if facts.target.threads.stopped && facts.stops => Drawback(
            "the kernel grants access; the target is stopped by a signal".to_owned(),
            "its figures are those of the moment it was stopped, and it stays stopped",
            Vec::new(),
        ),
        None => Fine("the kernel grants access, tried on every thread".to_owned()),
    }
}

fn unknown(facts: &Facts) -> Refusal {
    let (access, errno) = facts.refusal().unwrap_or((Access::Memory, 0));
    let what = match access {
        Access::Executable => "looking at the executable of",
        Access::Memory => "reading the memory of",
        Access::Ptrace => "stopping",
    };
    let cause = format!("the kernel refuses {what} {}: {}", process(facts), in_words(errno));
    let landlock = facts
        .security_modules
        .as_deref()
        .is_some_and(|modules| modules.split(',').any(|module| module == "landlock"));
    let remedies = match facts.own.can_ptrace {
        // Nothing among user ids, capabilities, Yama, tracers, namespaces, seccomp and known modules explains it.
        true => {
            let sandbox = if landlock {
                "a Landlock sandbox around gomemscan, or another security policy of this machine, may"
            } else {
                "a security policy of this machine or sandbox may"
            };
            vec![Remedy::note(format!(
                "none known: neither user, capabilities, Yama, another tracer, namespaces nor seccomp explain it; {sandbox}"
            ))]
        }
        false => become_root(facts),
    };
    Refusal { cause, remedies }
}

#[cfg(test)]
mod tests;
