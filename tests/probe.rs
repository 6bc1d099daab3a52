//! The structural probe on live programs: silent when every address is right, and naming the global when one is not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod support;

use std::path::PathBuf;
use std::rc::Rc;

use gomemscan::goruntime::globals::Globals;
use gomemscan::goruntime::locate::Runtime;
use gomemscan::goruntime::probe::{Mismatch, ProbePlanner, mismatches};
use gomemscan::image::Image;
use gomemscan::memory::{Addr, Planner};
use gomemscan::target::LiveProcess;
use support::fixtures::{Build, all_versions, fixture};
use support::process::Running;

fn probe(process: &LiveProcess, runtime: &Rc<Runtime>) -> Vec<Mismatch> {
    let mut planner = || -> Box<dyn Planner> { Box::new(ProbePlanner::new(runtime.clone())) };
    let memory = process.read_running_planned(&mut planner).unwrap();
    mismatches(runtime, &memory)
}

fn located(process: &LiveProcess) -> Runtime {
    let modules = process.modules(&process.maps().unwrap());
    let module = modules.into_iter().find(|module| module.is_executable).unwrap();
    let image = Image::open(process.open_module(&module).unwrap(), PathBuf::from("fixture")).unwrap();
    Runtime::locate(&image, module.anchor).unwrap().remove(0)
}

/// What is exchanged for another address, and by which name the probe must call it.
type Displaced = (&'static str, fn(&mut Globals) -> &mut Addr);

#[test]
fn displaced_globals_are_named_and_right_ones_are_not() {
    let displaced: [Displaced; 11] = [
        ("firstmoduledata", |g| &mut g.firstmoduledata),
        ("mheap_", |g| &mut g.mheap),
        ("allp", |g| &mut g.allp),
        ("gomaxprocs", |g| &mut g.gomaxprocs),
        ("emptymspan", |g| &mut g.emptymspan),
        ("allgs", |g| &mut g.allgs),
        ("sched", |g| &mut g.sched),
        ("memstats", |g| &mut g.memstats),
        ("gcController", |g| &mut g.gc_controller),
        ("work", |g| &mut g.work),
        ("waitReasonStrings", |g| &mut g.wait_reason_strings),
    ];
    for (version, build) in all_versions().zip(Build::MATRIX.into_iter().cycle()) {
        let shapes = Running::start(&fixture("shapes", version, build), &[]);
        let process = LiveProcess::open(shapes.pid() as i32).unwrap();
        let right = located(&process);
        let found = probe(&process, &Rc::new(right.clone()));
        assert_eq!(found, [], "Go {version}, {build}");
        for (name, global) in displaced {
            // Where another global lies, which is as full of numbers and pointers as the right place.
            for other in [right.globals.memstats, right.globals.gc_controller, right.globals.mheap] {
                let mut wrong = right.clone();
                if *global(&mut wrong.globals) == other {
                    continue;
                }
                *global(&mut wrong.globals) = other;
                let found = probe(&process, &Rc::new(wrong));
                assert!(
                    found.iter().any(|mismatch| mismatch.global == name),
                    "Go {version}, {build}: {name} at {other} passes: {found:?}"
                );
            }
        }
    }
}

#[test]
fn a_busy_program_answers_like_one_at_rest() {
    for (version, build) in all_versions().zip(Build::MATRIX.into_iter().cycle()) {
        let churn = Running::start(&fixture("churn", version, build), &["-procs", "3"]);
        let process = LiveProcess::open(churn.pid() as i32).unwrap();
        let runtime = Rc::new(located(&process));
        let clean = (0..50).filter(|_| probe(&process, &runtime).is_empty()).count();
        // An array can be moved by its program between two of the reads.
        assert!(
            clean >= 45,
            "Go {version}, {build}: only {clean} of 50 probes are clean"
        );
    }
}
