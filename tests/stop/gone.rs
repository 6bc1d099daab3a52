//! Targets that go away, or become another program, while they are read.

use std::process::Command;
use std::rc::Rc;

use gomemscan::error::{Category, Error};
use gomemscan::memory::Planner;
use gomemscan::target::{CaptureOptions, LiveProcess, Stop};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Does, Target, Waves, expect_free, pause, request, until};

/// Runs a capture with `act` called in wave 0 of the given pass.
fn capture_while(target: &Target, stop: Stop, pass: usize, act: impl Fn() + Clone + 'static) -> Error {
    let (process, address) = (target.open(), target.ready[0]);
    let mut passes = 0;
    let mut make = || -> Box<dyn Planner> {
        passes += 1;
        let act = (passes == pass).then(|| act.clone());
        Box::new(Does(move |wave| match wave {
            0 => {
                act.iter().for_each(|act| act());
                vec![request(address, 8)]
            }
            _ => Vec::new(),
        }))
    };
    process
        .capture(&mut make, &CaptureOptions { stop, ..pause() })
        .unwrap_err()
}

#[test]
fn an_exec_in_the_rehearsal_is_noticed() {
    for stop in [pause().stop, Stop::NoPause] {
        let target = Target::start("beating", &[4, 0]);
        let (pid, stdin) = (target.pid(), Rc::new(target.fd()));
        let error = capture_while(&target, stop, 1, move || {
            nix::unistd::write(&*stdin, b"exec\n").unwrap();
            let comm = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            until("it runs sleep", || comm().trim() == "sleep");
        });
        assert_eq!(error.category(), Category::TargetGone, "{error}");
        assert!(error.to_string().contains("replaced by exec"), "{error}");
        expect_free(pid);
    }
}

#[test]
fn an_exit_in_the_pause_is_noticed() {
    let target = Target::start("beating", &[4, 2]);
    let pid = Pid::from_raw(target.pid());
    let error = capture_while(&target, pause().stop, 2, move || {
        kill(pid, Signal::SIGKILL).unwrap();
        until("its memory is gone", || {
            std::fs::read(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.is_empty())
        });
    });
    assert_eq!(error.category(), Category::TargetGone, "{error}");
}

#[test]
fn an_exit_in_the_rehearsal_is_noticed() {
    let target = Target::start("beating", &[4, 2]);
    let pid = Pid::from_raw(target.pid());
    let error = capture_while(&target, pause().stop, 1, move || {
        kill(pid, Signal::SIGKILL).unwrap();
        until("its memory is gone", || {
            std::fs::read(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.is_empty())
        });
    });
    assert_eq!(error.category(), Category::TargetGone, "{error}");
}

#[test]
fn an_opened_process_is_not_confused_with_its_successor() {
    let mut target = Target::start("beating", &[1, 0]);
    let process = target.open();
    process.recheck().unwrap();
    target.kill();
    let error = process.recheck().unwrap_err();
    assert_eq!(error.category(), Category::TargetGone);
    assert_eq!(error.to_string(), format!("process {} exited", target.pid()));
    assert_eq!(process.maps().unwrap_err().category(), Category::TargetGone);
    let capture = process.capture(&mut || Box::new(Waves(vec![])), &pause());
    assert_eq!(capture.unwrap_err().category(), Category::TargetGone);
}

#[test]
fn a_zombie_is_no_target() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id() as i32;
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    until("it is a zombie", || stat().contains(") Z "));
    let error = LiveProcess::open(pid).unwrap_err();
    assert_eq!(error.category(), Category::NoTarget);
    assert!(error.to_string().contains("zombie"), "{error}");
    child.wait().unwrap();
    let error = LiveProcess::open(pid).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no process {pid}"));
}

#[test]
fn a_kernel_thread_is_no_target() {
    // Not to be seen from inside a container.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd") {
        let error = LiveProcess::open(2).unwrap_err();
        assert_eq!(error.category(), Category::NoTarget);
        assert_eq!(error.to_string(), "process 2 is a kernel thread (kthreadd)");
    }
}

#[test]
fn a_thread_id_leads_to_its_process() {
    let target = Target::start("beating", &[2, 0]);
    let thread = target
        .threads()
        .iter()
        .map(|thread| thread.0)
        .find(|&tid| tid != target.pid())
        .unwrap();
    let error = LiveProcess::open(thread).unwrap_err();
    assert_eq!(error.category(), Category::NoTarget);
    assert!(
        error
            .to_string()
            .contains(&format!("{thread} is a thread of process {}", target.pid())),
        "{error}"
    );
    assert_eq!(error.remedy().unwrap(), format!("gomemscan attach {}", target.pid()));
}
