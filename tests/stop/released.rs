//! Whatever happens to the tool, the target runs on as it did before.

use std::collections::HashSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Target, Waves, expect_free, pause, request, threads_of, until};

fn waves(address: u64) -> Waves {
    Waves(vec![vec![request(address, 8)]; 4])
}

#[test]
fn a_busy_target_runs_on_after_many_stops() {
    let mut target = Target::start("beating", &[60, 4]);
    let (process, waves) = (target.open(), waves(target.ready[0]));
    for _ in 0..30 {
        let capture = process.capture(&mut || Box::new(waves.clone()), &pause()).unwrap();
        assert_eq!(capture.threads, threads_of(target.pid()).len());
        let before = target.ask("beat");
        until("the target beats", || target.ask("beat") > before);
    }
    expect_free(target.pid());
}

#[test]
fn threads_that_are_born_and_die_are_all_held() {
    let mut target = Target::start("churning", &[]);
    let (process, address) = (target.open(), target.ready[0]);
    let (mut late, mut gone) = (0, 0);
    for _ in 0..100 {
        // Two readings in one pause: with every thread held, nobody counts in between.
        let capture = process.capture(&mut || Box::new(waves(address)), &pause()).unwrap();
        assert_eq!(capture.complete, Ok(()));
        late += capture.late_threads;
        gone += capture.gone_threads;
        expect_free(target.pid());
    }
    println!("{late} threads late, {gone} gone in 100 stops");
    let before = target.ask("beat");
    until("threads are born", || target.ask("beat") > before);
}

#[test]
fn a_stopped_target_stays_stopped_and_can_be_continued() {
    let mut target = Target::start("beating", &[6, 2]);
    let pid = Pid::from_raw(target.pid());
    let all = |target: &Target, state| target.threads().iter().all(|thread| thread.1 == state && thread.2 == 0);
    kill(pid, Signal::SIGSTOP).unwrap();
    until("it is stopped", || all(&target, 'T'));
    let process = target.open();
    for _ in 0..20 {
        process
            .capture(&mut || Box::new(waves(target.ready[0])), &pause())
            .unwrap();
        until("it is stopped again", || all(&target, 'T'));
    }
    kill(pid, Signal::SIGCONT).unwrap();
    target.ask("beat");
    expect_free(target.pid());
}

#[test]
fn no_signal_is_lost_in_stops() {
    let mut target = Target::start("counting", &[]);
    let (pid, process, waves) = (target.pid(), target.open(), waves(target.ready[0]));
    let threads: Vec<i32> = target.threads().iter().map(|thread| thread.0).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for &thread in &threads {
                    // SAFETY: plain system call, no memory passed. The queue of pending signals may be full.
                    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, libc::SIGRTMIN() + 3) };
                    sent += u64::from(result == 0);
                }
                std::thread::yield_now();
            }
            sent
        });
        let all = (0..100).try_for_each(|_| process.capture(&mut || Box::new(waves.clone()), &pause()).map(drop));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let sent = sender.join().unwrap();
        all.unwrap();
        sent
    });
    assert!(sent > 0);
    until("every signal has arrived", || target.ask("signals")[0] == sent);
    expect_free(pid);
}

#[test]
fn a_tool_killed_at_any_instant_leaves_nothing_stopped() {
    let mut target = Target::start("beating", &[40, 2]);
    let mut seen_traced = 0;
    for round in 0..50u32 {
        let mut tool = Target::start("scanning", &[target.pid() as u64, target.ready[0]]);
        // Half of the kills fall into a stop, the other half anywhere.
        if round % 2 == 0 {
            until("the target is traced", || {
                target.threads().iter().any(|thread| thread.2 != 0)
            });
            seen_traced += 1;
        }
        for _ in 0..(round * 7919) % 400 {
            std::thread::yield_now();
        }
        tool.kill();
        expect_free(target.pid());
        let before = target.ask("beat");
        until("the target beats", || target.ask("beat") > before);
    }
    assert!(seen_traced > 0);
}

#[test]
fn a_tool_told_to_end_or_to_stop_does_so_with_the_target_free() {
    let mut target = Target::start("beating", &[40, 2]);
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
    ] {
        for round in 0..5u32 {
            let mut tool = Target::start("scanning", &[target.pid() as u64, target.ready[0]]);
            until("the target is traced", || {
                target.threads().iter().any(|thread| thread.2 != 0)
            });
            for _ in 0..round * 50 {
                std::thread::yield_now();
            }
            kill(Pid::from_raw(tool.pid()), signal).unwrap();
            let stops = signal == Signal::SIGTSTP;
            until("the tool has obeyed", || {
                tool.threads()
                    .iter()
                    .all(|thread| thread.1 == if stops { 'T' } else { 'Z' })
            });
            expect_free(target.pid());
            let before = target.ask("beat");
            until("the target beats", || target.ask("beat") > before);
            tool.kill();
        }
    }
}

#[test]
fn the_capturing_child_killed_alone_is_an_error_and_frees_the_target() {
    let mut target = Target::start("beating", &[40, 2]);
    let process = target.open();
    let mut passes = 0;
    let mut make = || -> Box<dyn gomemscan::memory::Planner> {
        passes += 1;
        let suicidal = passes == 2;
        Box::new(crate::support::Does(move |_| {
            if suicidal {
                kill(Pid::this(), Signal::SIGKILL).unwrap();
            }
            Vec::new()
        }))
    };
    let capture = process.capture(&mut make, &pause()).unwrap();
    assert!(capture.complete.is_err());
    expect_free(target.pid());
    target.ask("beat");
}

#[test]
fn a_process_without_its_main_thread_can_be_read() {
    let mut target = Target::start("leaderless", &[]);
    let pid = target.pid();
    until("the main thread is a zombie", || {
        threads_of(pid).iter().any(|thread| thread.0 == pid && thread.1 == 'Z')
    });
    let process = gomemscan::target::LiveProcess::open(pid);
    // Without its main thread the kernel no longer shows what a process runs: it is refused, cleanly.
    assert!(process.is_err());
    assert_eq!(target.ask("alive"), [1]);
}

#[test]
fn a_capture_leaves_no_process_behind() {
    let target = Target::start("beating", &[2, 0]);
    let children = || {
        let list = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = list.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let own = std::process::id().to_string();
        let is_ours = |pid: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status
                .lines()
                .any(|line| line.strip_prefix("PPid:").is_some_and(|parent| parent.trim() == own))
                && status
                    .lines()
                    .any(|line| line.starts_with("State:") && line.contains('Z'))
        };
        pids.filter(is_ours).collect::<HashSet<i32>>()
    };
    let before = children();
    let address = target.ready[0];
    target
        .open()
        .capture(&mut || Box::new(waves(address)), &pause())
        .unwrap();
    // Other tests of this binary have children too; what matters is that none stays.
    until("no zombie is left", || {
        children().is_subset(&before) || children().is_empty()
    });
}
