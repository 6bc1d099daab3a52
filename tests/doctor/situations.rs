//! The situations.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::filters;
use crate::guest::{Guest, NOBODY, open_copy, program};
use crate::support::fixtures::{Build, all_versions, fixture};
use crate::tool::Situation;

/// A machine may be so busy that a thread waits for a CPU to stop on.
const PATIENT: &[&str] = &["--max-pause", "20s"];
const AS_NOBODY: &[&str] = &["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
const WITHOUT_PTRACE: &[&str] = &["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"];

fn patient<'a>(through: &'a [&'a str]) -> Situation<'a> {
    Situation {
        through,
        options: PATIENT,
        before: None,
    }
}

/// Whether the test can be done; says so when not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("left out: this situation takes root to make");
    }
    root
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < limit, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn state(pid: i32) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("State:"))?
        .trim()
        .chars()
        .next()
}

/// Whether every thread is stopped: the signal stops them one after the other.
fn threads_stand(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut ids = threads.map(|thread| thread.unwrap().file_name().into_string().unwrap());
    ids.all(|id| state(id.parse().unwrap()).is_none_or(|state| state == 'T'))
}

#[test]
fn nothing_stands_in_the_way() {
    let guest = Guest::plain();
    let seen = patient(&[]).foresee(guest.pid);
    assert_eq!(seen.code, 0, "{:#}", seen.json);
    assert_eq!(seen.json["pause"]["basis"], "read");
    assert!(seen.json["pause"]["spans"].as_u64().unwrap() > 10);
    assert!(seen.json["pause"]["goroutines"].as_u64().unwrap() >= 1);
    let table = patient(&[]).table(guest.pid);
    assert!(
        table.starts_with("verdict   a scan will work; expect about "),
        "{table}"
    );
}

#[test]
fn a_process_of_another_user() {
    if !is_root() {
        return;
    }
    let guest = Guest::plain();
    let seen = patient(AS_NOBODY).foresee(guest.pid);
    seen.blames(4, "user", "belongs to user 0, gomemscan runs as user 65534");
    let command = format!("sudo gomemscan attach {}", guest.pid);
    assert_eq!(seen.check("user")["remedies"][0]["command"], *command);
    assert!(patient(AS_NOBODY).table(guest.pid).contains(&command));
}

#[test]
fn a_process_of_the_same_user_without_any_privilege() {
    if !is_root() {
        return;
    }
    let guest = Guest::of_nobody();
    let seen = patient(AS_NOBODY).foresee(guest.pid);
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    assert_eq!(
        seen.code,
        if matches!(yama.trim(), "" | "0") { 0 } else { 4 },
        "{:#}",
        seen.json
    );
    assert_eq!(seen.status("user"), "ok");
}

#[test]
fn a_root_that_has_lost_the_capability() {
    if !is_root() {
        return;
    }
    let other = Guest::of_nobody();
    let seen = patient(WITHOUT_PTRACE).foresee(other.pid);
    seen.blames(4, "user", "gomemscan runs as user 0 without CAP_SYS_PTRACE");
    let own = Guest::plain();
    patient(WITHOUT_PTRACE)
        .foresee(own.pid)
        .blames(4, "capabilities", "capabilities that gomemscan has not");
}

#[test]
fn a_process_that_may_not_be_dumped() {
    if !is_root() {
        return;
    }
    let (_directory, own) = open_copy(&std::env::current_exe().unwrap(), 0o755);
    let arguments = ["situations::play_undumpable", "--exact", "--ignored", "--nocapture"];
    let guest = Guest::start_with(AS_NOBODY, &own, &arguments);
    patient(AS_NOBODY)
        .foresee(guest.pid)
        .blames(4, "dumpable", "is protected");
    // Root may look, and sees that it is no program of Go.
    assert_eq!(patient(&[]).foresee(guest.pid).code, 3);
}

/// Not a test: what the process above does.
#[test]
#[ignore = "started by another test"]
fn play_undumpable() {
    nix::sys::prctl::set_dumpable(false).unwrap();
    println!("ready ");
    let _ = std::io::stdin().lines().count();
}

#[test]
fn a_binary_that_its_user_may_run_and_not_read() {
    if !is_root() {
        return;
    }
    let (_directory, secret) = open_copy(program(), 0o711);
    let guest = Guest::start(AS_NOBODY, &secret);
    let seen = patient(AS_NOBODY).foresee(guest.pid);
    assert_eq!(seen.code, 4, "{:#}", seen.json);
    assert_eq!(patient(&[]).foresee(guest.pid).code, 0);
}

#[test]
fn a_process_that_has_a_tracer() {
    let guest = Guest::plain();
    let without_stop = Situation {
        options: &["--no-pause"],
        ..Situation::default()
    };
    let threads = || std::fs::read_dir(format!("/proc/{}/task", guest.pid)).unwrap();
    let last = threads()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .max();
    // A debugger holds all threads; a trace of one thread is in the way as much.
    for tid in [Pid::from_raw(guest.pid), Pid::from_raw(last.unwrap())] {
        ptrace::seize(tid, ptrace::Options::empty()).unwrap();
        let seen = patient(&[]).foresee(guest.pid);
        let traced = format!("already traced by process {}", std::process::id());
        seen.blames(4, "tracer", &traced);
        assert_eq!(without_stop.foresee(guest.pid).code, 0);
        ptrace::interrupt(tid).unwrap();
        nix::sys::wait::waitpid(tid, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
        ptrace::detach(tid, None).unwrap();
    }
}

#[test]
fn a_proc_that_hides_other_users() {
    if !is_root() {
        return;
    }
    let guest = Guest::plain();
    for hidepid in ["1", "2"] {
        let script = format!(
            "mount -t proc -o hidepid={hidepid} proc /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\""
        );
        let through = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        let seen = patient(&through).foresee(guest.pid);
        seen.blames(4, "process", "hidepid");
    }
}

#[test]
fn a_proc_of_another_pid_namespace() {
    if !is_root() {
        return;
    }
    let guest = Guest::plain();
    let through = ["unshare", "--pid", "--fork"];
    patient(&through)
        .foresee(guest.pid)
        .blames(4, "proc", "another PID namespace");
}

#[test]
fn a_process_in_namespaces_of_its_own() {
    if !is_root() {
        return;
    }
    let own = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
    ];
    let guest = Guest::start(&own, program());
    let seen = patient(&[]).foresee(guest.pid);
    assert_eq!(seen.code, 0, "{:#}", seen.json);
    assert_eq!(seen.json["process"]["ns_pid"], 1);
    assert_eq!(patient(AS_NOBODY).foresee(guest.pid).code, 4);
}

#[test]
fn a_tool_that_is_root_in_a_user_namespace_only() {
    if !is_root() {
        return;
    }
    let guest = Guest::plain();
    let through = ["unshare", "--user", "--map-root-user"];
    let seen = patient(&through).foresee(guest.pid);
    seen.blames(
        4,
        "user-namespace",
        "user namespace where gomemscan has no capabilities",
    );
}

#[test]
fn filters_of_system_calls_around_the_tool() {
    let guest = Guest::plain();
    type Filter = fn() -> std::io::Result<()>;
    let refusals: [(Filter, &str); 4] = [
        (filters::no_ptrace, "forbids ptrace"),
        (filters::deadly_ptrace, "kills for ptrace"),
        (filters::no_readv, "forbids process_vm_readv"),
        (filters::deadly_readv, "kills for process_vm_readv"),
    ];
    for (before, words) in refusals {
        let situation = Situation {
            before: Some(before),
            ..patient(&[])
        };
        situation.foresee(guest.pid).blames(4, "system-calls", words);
    }
    let passing: [(Filter, &[&str]); 2] = [(filters::harmless, PATIENT), (filters::no_ptrace, &["--no-pause"])];
    for (before, options) in passing {
        let situation = Situation {
            through: &[],
            options,
            before: Some(before),
        };
        let seen = situation.foresee(guest.pid);
        assert_eq!((seen.code, seen.status("system-calls")), (0, "ok"), "{:#}", seen.json);
    }
}

#[test]
fn a_tool_in_a_landlock_domain() {
    if !filters::has_landlock() {
        eprintln!("left out: this kernel has no Landlock");
        return;
    }
    let guest = Guest::plain();
    let situation = Situation {
        before: Some(filters::landlock),
        ..patient(&[])
    };
    let seen = situation.foresee(guest.pid);
    assert_eq!(seen.code, 4, "{:#}", seen.json);
    seen.blames(4, "access", "the kernel refuses");
}

#[test]
fn a_frozen_process() {
    let group = PathBuf::from(format!(
        "/sys/fs/cgroup/freezer/gomemscan-doctor-{}",
        std::process::id()
    ));
    let (group, control, [freeze, thaw]) = if std::fs::create_dir(&group).is_ok() {
        (group.clone(), group.join("freezer.state"), ["FROZEN", "THAWED"])
    } else {
        let group = PathBuf::from(format!("/sys/fs/cgroup/gomemscan-doctor-{}", std::process::id()));
        if std::fs::create_dir(&group).is_err() || !group.join("cgroup.freeze").exists() {
            eprintln!("left out: no freezer can be made here");
            return;
        }
        (group.clone(), group.join("cgroup.freeze"), ["1", "0"])
    };
    {
        let guest = Guest::plain();
        std::fs::write(group.join("cgroup.procs"), guest.pid.to_string()).unwrap();
        std::fs::write(&control, freeze).unwrap();
        until("it is frozen", || {
            gomemscan::target::LiveProcess::open(guest.pid).unwrap().is_frozen()
        });
        // So little time that a stop would not fit.
        let seen = Situation {
            options: &["--max-pause", "1us"],
            ..Situation::default()
        }
        .foresee(guest.pid);
        std::fs::write(&control, thaw).unwrap();
        assert_eq!((seen.code, seen.status("freezer")), (0, "warn"), "{:#}", seen.json);
        assert_eq!(seen.json["pause"]["expected_ns"], 0);
    }
    until("the group is empty", || std::fs::remove_dir(&group).is_ok());
}

#[test]
fn a_process_that_was_stopped_by_a_signal() {
    let guest = Guest::plain();
    kill(Pid::from_raw(guest.pid), Signal::SIGSTOP).unwrap();
    until("all of it stands", || threads_stand(guest.pid));
    let seen = patient(&[]).foresee(guest.pid);
    assert_eq!((seen.code, seen.status("access")), (0, "warn"), "{:#}", seen.json);
    assert_eq!(state(guest.pid), Some('T'));
}

#[test]
fn a_budget_that_no_stop_fits_into() {
    let guest = Guest::plain();
    let seen = Situation {
        options: &["--max-pause", "100us"],
        ..Situation::default()
    }
    .foresee(guest.pid);
    assert_eq!((seen.code, seen.status("pause")), (7, "fail"), "{:#}", seen.json);
    assert!(seen.stderr.contains("more than the pause budget"), "{}", seen.stderr);
}

#[test]
fn what_is_no_process_of_go() {
    let mut sleep = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut zombie = Command::new("true").stdout(Stdio::null()).spawn().unwrap();
    until("it is a zombie", || state(zombie.id() as i32) == Some('Z'));
    let mut reaped = Command::new("true").spawn().unwrap();
    reaped.wait().unwrap();
    let guest = Guest::plain();
    let threads = std::fs::read_dir(format!("/proc/{}/task", guest.pid)).unwrap();
    let thread: Option<i32> = threads
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .max();
    let cases = [
        (sleep.id() as i32, "program"),
        (zombie.id() as i32, "process"),
        (reaped.id() as i32, "process"),
        (thread.unwrap(), "process"),
    ];
    for (pid, id) in cases {
        let seen = patient(&[]).foresee(pid);
        seen.blames(3, id, "");
    }
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    zombie.wait().unwrap();
}

#[test]
fn binaries_of_every_kind_are_foreseen() {
    let version = all_versions().last().unwrap();
    for build in [Build::Pie, Build::Stripped, Build::StrippedPie] {
        let guest = Guest::start(&[], &fixture("shapes", version, build));
        let seen = patient(&[]).foresee(guest.pid);
        assert!([0, 5].contains(&seen.code), "{build}: {:#}", seen.json);
        assert_eq!(seen.status("program") == "fail", seen.code == 5);
    }
}
