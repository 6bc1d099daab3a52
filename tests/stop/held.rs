//! Targets that cannot answer: frozen, blocked in the kernel, or with pages that nobody fills.

use std::path::PathBuf;
use std::time::Duration;

use gomemscan::memory::{Addr, Memory, Planner, Range};
use gomemscan::target::{Incomplete, Residency, StopKind};

use crate::support::{Target, Waves, expect_free, pause, pause_of, request, until};

/// A freezer of our own, where this machine lets us make one.
struct Freezer {
    dir: PathBuf,
    control: PathBuf,
    words: [&'static str; 2],
}

impl Freezer {
    fn make() -> Option<Freezer> {
        let name = format!("gomemscan-test-{}", std::process::id());
        let v1 = PathBuf::from("/sys/fs/cgroup/freezer").join(&name);
        if std::fs::create_dir(&v1).is_ok() {
            return Some(Freezer {
                control: v1.join("freezer.state"),
                dir: v1,
                words: ["FROZEN", "THAWED"],
            });
        }
        let v2 = PathBuf::from("/sys/fs/cgroup").join(&name);
        if std::fs::create_dir(&v2).is_ok() && v2.join("cgroup.freeze").exists() {
            return Some(Freezer {
                control: v2.join("cgroup.freeze"),
                dir: v2,
                words: ["1", "0"],
            });
        }
        None
    }

    fn set(&self, frozen: bool) {
        std::fs::write(&self.control, self.words[usize::from(!frozen)]).unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.set(false);
        until("the group is empty", || std::fs::remove_dir(&self.dir).is_ok());
    }
}

#[test]
fn a_frozen_target_is_read_as_it_stands() {
    let Some(freezer) = Freezer::make() else { return };
    let mut target = Target::start("beating", &[4, 2]);
    let (process, address) = (target.open(), target.ready[0]);
    std::fs::write(freezer.dir.join("cgroup.procs"), target.pid().to_string()).unwrap();
    freezer.set(true);
    until("it is frozen", || process.is_frozen());
    let waves = Waves(vec![vec![request(address, 8)]]);
    let capture = process.capture(&mut || Box::new(waves.clone()), &pause()).unwrap();
    assert_eq!(capture.stop, StopKind::Frozen);
    assert_eq!((capture.threads, capture.pause), (0, Duration::ZERO));
    assert_eq!(capture.changes.unwrap().changed_bytes, 0);
    assert!(process.is_frozen(), "it is left frozen");
    freezer.set(false);
    target.ask("beat");
    target.kill();
}

#[test]
fn a_thread_that_waits_for_its_vfork_child_is_no_obstacle() {
    let mut target = Target::start("vforking", &[]);
    until("a thread waits for vfork", || {
        target.threads().iter().any(|thread| thread.1 == 'D')
    });
    let waves = Waves(vec![vec![request(target.ready[0], 8)]]);
    let process = target.open();
    for _ in 0..5 {
        let capture = process.capture(&mut || Box::new(waves.clone()), &pause()).unwrap();
        assert_eq!(capture.complete, Ok(()));
        until("nobody traces it", || {
            target.threads().iter().all(|thread| thread.2 == 0)
        });
        target.ask("alive");
    }
    target.ask("release");
    until("vfork is over", || {
        target.threads().iter().all(|thread| thread.1 != 'D')
    });
    expect_free(target.pid());
}

#[test]
fn a_page_that_nobody_fills_costs_a_scan_and_not_the_target() {
    let mut target = Target::start("faulting", &[]);
    let &[address, 1] = target.ready.as_slice() else { return };
    let (process, pid) = (target.open(), target.pid());
    let waves = Waves(vec![vec![request(address, 8)]]);
    let range = Range::new(Addr(address), 4096);
    let go = target.fd();
    let mut planners = 0;
    // Between rehearsal and stop the page that was known to be present is given back.
    let mut make = || -> Box<dyn Planner> {
        planners += 1;
        if planners == 2 {
            nix::unistd::write(&go, b"drop\n").unwrap();
            let own = gomemscan::target::LiveProcess::open(pid).unwrap();
            until("the page is gone", || {
                Residency::of(&own, &[range]).unwrap().total_resident_bytes() == 0
            });
        }
        Box::new(waves.clone())
    };
    let capture = process
        .capture(&mut make, &pause_of(Duration::from_millis(500)))
        .unwrap();
    assert_eq!(capture.complete, Err(Incomplete::PauseSpent));
    assert!(capture.memory.bytes(Addr(address), 8).is_err());
    expect_free(pid);
    target.ask("alive");
}
