//! One test for each cause.

use super::super::facts::{Own, Theirs, tree};
use super::*;

/// A user's tool and the same user's ordinary process.
fn facts() -> Facts {
    Facts {
        pid: 77,
        memory: Answer::Refused(libc::EPERM),
        own: Own {
            uid: 1000,
            gid: 1000,
            could_ptrace: true,
            readv: Passage::Passes,
            ptrace: Passage::Passes,
            helper: Answer::Granted,
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
        stops: true,
        ..Facts::default()
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
    let remedies: Vec<String> = refusal.remedies.iter().map(Remedy::to_string).collect();
    (refusal.cause, remedies.join("\n"))
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
    facts.own.could_ptrace = false;
    (facts.own.uid, facts.own.gid) = (0, 0);
    let (cause, remedy) = diagnosis(&facts);
    assert!(cause.contains("without CAP_SYS_PTRACE"), "{cause}");
    assert!(
        remedy.contains("--cap-add=SYS_PTRACE") && remedy.contains("kubectl debug"),
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
    assert_eq!(Refusal::of(&root(facts)).remedies, []);
}

#[test]
fn the_tracer_is_named() {
    let mut facts = root(facts());
    facts = facts.refused(Access::Ptrace, libc::EPERM);
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
    facts.own.readv = Passage::Refused(libc::EPERM);
    assert!(
        diagnosis(&facts)
            .0
            .contains("seccomp filter that forbids process_vm_readv")
    );
    facts.own.readv = Passage::Kills;
    assert!(diagnosis(&facts).0.contains("seccomp filter that kills"));
    (facts.own.seccomp, facts.own.readv) = (false, Passage::Passes);
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
    facts.memory = Answer::Refused(libc::ENOSYS);
    assert!(diagnosis(&facts).0.contains("this kernel has no process_vm_readv"));
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

fn status(facts: &Facts, id: &str) -> CheckStatus {
    examine(facts).into_iter().find(|check| check.id == id).unwrap().status
}

#[test]
fn what_the_kernel_grants_is_not_called_an_obstacle() {
    let mut facts = facts();
    facts.memory = Answer::Granted;
    facts.yama_scope = Some(1);
    facts.target.uids = Some([33; 3]);
    facts.target.dumpable = Some(false);
    facts.target.same_user_namespace = Some(false);
    facts.security_modules = Some("capability,yama,apparmor".to_owned());
    facts.own.label = Some("docker-default (enforce)".to_owned());
    assert_eq!(cause(&examine(&facts)), None);
    assert_eq!(status(&facts, "access"), CheckStatus::Ok);
}

#[test]
fn a_tracer_stands_in_the_way_of_a_stop_only() {
    let mut facts = root(facts());
    facts.memory = Answer::Granted;
    facts.target.tracer = Some((5, "strace".to_owned()));
    assert_eq!(status(&facts, "tracer"), CheckStatus::Fail);
    facts.stops = false;
    facts.own.ptrace = Passage::Refused(libc::EPERM);
    assert_eq!(cause(&examine(&facts)), None);
}

#[test]
fn a_tool_that_may_start_no_child_cannot_capture() {
    let mut facts = root(facts());
    facts.memory = Answer::Unasked;
    facts.own.helper = Answer::Refused(libc::EAGAIN);
    let checks = examine(&facts);
    let cause = cause(&checks).unwrap();
    assert_eq!((cause.id.as_str(), cause.exit_code), ("helper", Some(7)));
}

#[test]
fn each_surroundings_have_their_own_way_to_the_capability() {
    use crate::target::container::Surroundings;
    let mut facts = facts();
    (facts.own.uid, facts.own.gid, facts.own.could_ptrace) = (0, 0, false);
    for (surroundings, words) in [
        (Surroundings::Kubernetes, "kubectl debug"),
        (Surroundings::Docker, "docker run --cap-add=SYS_PTRACE"),
        (Surroundings::Podman, "podman run --cap-add=SYS_PTRACE"),
    ] {
        facts.own.surroundings = surroundings;
        assert!(diagnosis(&facts).1.contains(words), "{surroundings:?}");
    }
}

/// A made-up tree of `/proc` and `/sys`, with the tool and process 77, both of the user who runs the test.
fn made_up(files: &[(&str, &str)]) -> Facts {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let ids = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\n");
    let status = |name: &str| {
        format!(
            "Name:\t{name}\nState:\tS (sleeping)\n{ids}TracerPid:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t1ffffffffff\nSeccomp:\t0\n"
        )
    };
    write("proc/self/status", &status("gomemscan"));
    write("proc/self/uid_map", "0 0 4294967295\n");
    write("proc/77/status", &status("server"));
    write("proc/77/comm", "server\n");
    write("proc/77/uid_map", "0 0 4294967295\n");
    write("proc/77/task/77/status", &status("server"));
    write("proc/77/task/78/status", &status("server"));
    files.iter().for_each(|(name, text)| write(name, text));
    Facts {
        memory: Answer::Refused(libc::EPERM),
        own: Own {
            readv: Passage::Passes,
            ptrace: Passage::Passes,
            helper: Answer::Granted,
            ..Facts::read(&tree(directory.path()), 77).own
        },
        ..Facts::read(&tree(directory.path()), 77)
    }
}

#[test]
fn yama_is_read_from_its_switch() {
    for (scope, words) in [
        ("1\n", "only a parent may read process 77 (server)"),
        ("2\n", "only CAP_SYS_PTRACE"),
        ("3\n", "until it is rebooted"),
    ] {
        let facts = made_up(&[("proc/sys/kernel/yama/ptrace_scope", scope)]);
        let (cause, _) = diagnosis(&facts);
        assert!(cause.contains(words), "{cause}");
    }
    let facts = made_up(&[("proc/sys/kernel/yama/ptrace_scope", "0\n")]);
    assert!(diagnosis(&facts).0.starts_with("the kernel refuses"));
}

#[test]
fn security_modules_are_read_with_their_labels() {
    let labels = |own, theirs| [("proc/self/attr/current", own), ("proc/77/attr/current", theirs)];
    let [own, theirs] = labels(
        "unconfined_u:unconfined_r:unconfined_t:s0\0",
        "system_u:system_r:container_t:s0\0",
    );
    let selinux = |enforce, deny| {
        diagnosis(&made_up(&[
            own,
            theirs,
            ("sys/fs/selinux/enforce", enforce),
            ("sys/fs/selinux/booleans/deny_ptrace", deny),
        ]))
    };
    let (cause, _) = selinux("1", "0 0");
    assert!(
        cause.contains("unconfined_t:s0 look into system_u:system_r:container_t:s0"),
        "{cause}"
    );
    assert_eq!(selinux("1", "1 1").1, "sudo setsebool deny_ptrace off");
    assert!(selinux("0", "1 1").0.starts_with("the kernel refuses"));
    let [own, theirs] = labels("docker-default (enforce)\n", "unconfined\n");
    let (cause, remedy) = diagnosis(&made_up(&[
        own,
        theirs,
        ("sys/kernel/security/lsm", "capability,apparmor\n"),
    ]));
    assert!(
        cause.contains("AppArmor does not let docker-default (enforce) look"),
        "{cause}"
    );
    assert!(remedy.contains("apparmor=unconfined"));
}

#[test]
fn threads_and_tracers_are_read_from_every_thread() {
    let traced = "State:\tD (disk sleep)\nTracerPid:\t9\n";
    let facts = made_up(&[
        ("proc/77/task/78/status", traced),
        ("proc/9/status", "Tgid:\t8\n"),
        ("proc/8/comm", "strace\n"),
    ]);
    assert_eq!((facts.target.threads.count, facts.target.threads.blocked), (2, 1));
    assert_eq!(facts.target.tracer, Some((8, "strace".to_owned())));
    assert!(facts.own.initial_user_namespace && facts.own.could_ptrace && !facts.own.can_ptrace);
}
