//! Internal errors: every system call that a scan makes fails, one at a time, at a random instant; memory, descriptors
//! and processes run out.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::resource::{Resource, setrlimit};

use crate::arena::Arena;
use crate::chance::{full, times};
use crate::supervisor::{Answers, Counts, Supervisor, supervise};
use crate::tool::{Tool, is_documented, word};

/// A scan under supervision; how it ended.
fn supervised(arena: &mut Arena, answers: Answers) -> (std::process::ExitStatus, Counts) {
    let pid = arena.victim.pid().to_string();
    let mut command = arena.program.command(&arena.words(&pid, &[]));
    supervise(&mut command, answers);
    // A call between fork and exec would wait for the supervisor, who comes after the exec.
    let tool = Tool::as_it_is(command);
    let supervisor = Supervisor::of(tool.pid(), answers);
    let status = tool.end();
    (status, supervisor.end())
}

/// Errors that a call may well come back with where resources or rights are short.
const ERRORS: [i32; 8] = [
    libc::ENOMEM,
    libc::EIO,
    libc::EPERM,
    libc::ENOSYS,
    libc::EAGAIN,
    libc::EINVAL,
    libc::ESRCH,
    libc::EMFILE,
];

#[test]
fn every_system_call_fails() {
    let mut arena = Arena::new("failing system calls");
    let (status, counts) = supervised(&mut arena, Answers::Count);
    assert!(status.success(), "{status}: {}", arena.program.said("stderr"));
    println!("a scan makes {} different system calls", counts.calls.len());
    let mut undocumented = Vec::new();
    // `brk` has no errors; that memory is short is a limit of its own, below.
    for (&call, &count) in counts.calls.iter().filter(|(call, _)| **call != libc::SYS_brk) {
        // Each at its first, its last and some random one; once, and from then on.
        let rounds = times(1, 8);
        for round in 0..rounds {
            let nth = match round {
                0 if full() => 0,
                1 => count.saturating_sub(1),
                _ => arena.chance.below(count),
            };
            let onwards = round % 2 == 0;
            // An interrupted call is made again, for ever if need be: the kernel does not do that.
            let errno = if onwards {
                arena.chance.one_of(&ERRORS)
            } else {
                arena
                    .chance
                    .one_of(&[libc::EINTR, libc::ENOMEM, libc::EIO, libc::EPERM])
            };
            let answers = Answers::Fail {
                call,
                nth,
                onwards,
                errno,
            };
            let (status, counts) = supervised(&mut arena, answers);
            if !is_documented(status) {
                undocumented.push((answers, word(status), counts.failed, arena.program.said("stderr")));
            }
            arena.after_doing(&word(status), &format!(", {answers:?}"));
        }
    }
    assert!(undocumented.is_empty(), "{undocumented:#?}");
}

/// Sets a limit for a command.
fn limit(command: &mut Command, resource: Resource, most: u64) {
    let set = move || Ok::<(), io::Error>(setrlimit(resource, most, most)?);
    // SAFETY: a system call between fork and exec.
    unsafe { command.pre_exec(set) };
}

#[test]
fn what_it_may_have_runs_out() {
    let mut arena = Arena::new("limits of resources");
    let kinds: [(Resource, u64, u64); 5] = [
        // From hardly enough to start, to plenty.
        (Resource::RLIMIT_AS, 8 << 20, 600 << 20),
        (Resource::RLIMIT_DATA, 1 << 20, 60 << 20),
        (Resource::RLIMIT_STACK, 64 << 10, 1 << 20),
        (Resource::RLIMIT_NOFILE, 3, 40),
        (Resource::RLIMIT_FSIZE, 0, 100_000),
    ];
    for round in 0..times(10, 200) {
        let (resource, low, high) = kinds[round % kinds.len()];
        let most = low + arena.chance.below(high - low);
        let pid = arena.victim.pid().to_string();
        let mut command = arena.program.command(&arena.words(&pid, &[]));
        limit(&mut command, resource, most);
        let status = Tool::spawn(command).end();
        let errors = arena.program.said("stderr");
        // Below some limit the program does not even load: that is the loader's word.
        let loaded = !errors.contains("error while loading shared libraries") && status.code() != Some(127);
        assert!(
            !loaded || is_documented(status),
            "{resource:?} {most}: {status}: {errors}"
        );
        arena.after(&word(status));
    }
}
