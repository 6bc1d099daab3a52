//! One test for each cause.

use super::super::facts::{Own, Theirs};
use super::*;

/// A user's tool and the same user's ordinary process.
fn facts() -> Facts {
    Facts {
        pid: 77,
        access: Access::Memory,
        errno: libc::EPERM,
        own: Own {
            uid: 1000,
            gid: 1000,
            could_ptrace: true,
            ..Own::default()
        },
        target: Theirs {
            comm: "server".to_owned(),
            uids: Some([1000; 3]),
            gids: Some([1000; 3]),
            capabilities: Some(0),
            dumpable: Some(true),
            same_user_namespace: Some(true),
            ..Theirs::default()
        },
        yama_scope: Some(0),
        security_modules: None,
    }
}

fn root(mut facts: Facts) -> Facts {
    facts.own = Own {
        uid: 0,
        gid: 0,
        can_ptrace: true,
        could_ptrace: true,
        capabilities: u64::MAX,
        ..facts.own
    };
    facts
}

fn diagnosis(facts: &Facts) -> (String, String) {
    let refusal = Refusal::of(facts);
    (refusal.cause, refusal.remedy.unwrap_or_default())
}

#[test]
fn another_users_process_wants_sudo() {
    let mut facts = facts();
    facts.target.uids = Some([33; 3]);
    let (cause, remedy) = diagnosis(&facts);
    assert_eq!(
        cause,
        "process 77 (server) belongs to user 33, gomemscan runs as user 1000"
    );
    assert_eq!(remedy, "sudo gomemscan attach 77");
}

#[test]
fn in_a_container_without_the_capability_sudo_is_no_help() {
    let mut facts = facts();
    facts.own = Own {
        uid: 0,
        gid: 0,
        ..Own::default()
    };
    let (cause, remedy) = diagnosis(&facts);
    assert!(cause.contains("without CAP_SYS_PTRACE"), "{cause}");
    assert!(
        remedy.contains("--cap-add SYS_PTRACE") && remedy.contains("kubectl debug"),
        "{remedy}"
    );
}

#[test]
fn each_yama_scope_has_its_own_answer() {
    let mut facts = facts();
    facts.yama_scope = Some(1);
    let (cause, remedy) = diagnosis(&facts);
    assert!(cause.contains("ptrace_scope is 1") && remedy.contains("sysctl kernel.yama.ptrace_scope=0"));
    facts.yama_scope = Some(2);
    assert!(diagnosis(&facts).0.contains("ptrace_scope is 2"));
    facts.yama_scope = Some(3);
    assert_eq!(Refusal::of(&root(facts)).remedy, None);
}

#[test]
fn the_tracer_is_named() {
    let mut facts = root(facts());
    facts.access = Access::Ptrace;
    facts.target.tracer = Some((5, "strace".to_owned()));
    facts.yama_scope = Some(1);
    let (cause, remedy) = diagnosis(&facts);
    assert!(cause.contains("already traced by process 5 (strace)"), "{cause}");
    assert!(remedy.contains("--no-pause"));
}

#[test]
fn a_protected_binary_is_told_from_a_foreign_one() {
    let mut facts = facts();
    facts.target.dumpable = Some(false);
    assert!(diagnosis(&facts).0.contains("file capabilities"));
    facts.target.dumpable = Some(true);
    facts.target.capabilities = Some(1 << 10);
    assert!(diagnosis(&facts).0.contains("capabilities that gomemscan has not"));
    facts.target.uids = Some([1000, 0, 0]);
    assert!(diagnosis(&facts).0.contains("changed its user"));
}

#[test]
fn root_of_another_user_namespace_is_sent_to_the_host() {
    let mut facts = root(facts());
    facts.target.same_user_namespace = Some(false);
    let (cause, remedy) = diagnosis(&facts);
    assert!(cause.contains("user namespace") && remedy.contains("on the host"));
}

#[test]
fn what_is_left_to_a_full_root_is_seccomp_or_a_security_module() {
    let mut facts = root(facts());
    facts.own.seccomp = true;
    assert!(diagnosis(&facts).0.contains("seccomp"));
    facts.own.seccomp = false;
    facts.security_modules = Some("lockdown,capability,apparmor".to_owned());
    facts.own.label = Some("docker-default (enforce)".to_owned());
    assert!(
        diagnosis(&facts)
            .0
            .contains("AppArmor does not let docker-default (enforce)")
    );
    facts.own.label = Some("unconfined".to_owned());
    assert!(diagnosis(&facts).0.contains("the kernel refuses reading"));
    facts.security_modules = Some("capability,selinux".to_owned());
    assert!(diagnosis(&facts).0.contains("SELinux"));
    facts.errno = libc::ENOSYS;
    facts.own.seccomp = true;
    assert!(diagnosis(&facts).0.contains("seccomp"));
}

#[test]
fn an_unknown_cause_is_not_made_up() {
    let (cause, remedy) = diagnosis(&root(facts()));
    assert_eq!(
        cause,
        "the kernel refuses reading the memory of process 77 (server): Operation not permitted"
    );
    assert!(remedy.starts_with("none known"), "{remedy}");
}
