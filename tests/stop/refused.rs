//! Access that the kernel refuses.

use gomemscan::error::Category;
use gomemscan::target::{CaptureOptions, LiveProcess, Stop};

use crate::support::{Target, Waves, pause, request};

#[test]
fn a_target_with_another_tracer_names_it() {
    let mut target = Target::start("beating", &[3, 1]);
    let tracer = Target::start("tracing", &[target.pid() as u64]);
    let waves = Waves(vec![vec![request(target.ready[0], 8)]]);
    let process = target.open();
    let error = process.capture(&mut || Box::new(waves.clone()), &pause()).unwrap_err();
    assert_eq!(error.category(), Category::NotPermitted, "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("already traced by process {}", tracer.pid())),
        "{error}"
    );
    assert!(error.remedy().unwrap().contains("--no-pause"));
    let without_stop = CaptureOptions {
        stop: Stop::NoPause,
        ..pause()
    };
    assert!(process.capture(&mut || Box::new(waves.clone()), &without_stop).is_ok());
    target.ask("beat");
}

#[test]
fn the_tool_does_not_scan_itself() {
    let process = LiveProcess::open(std::process::id() as i32).unwrap();
    let error = process.capture(&mut || Box::new(Waves(vec![])), &pause()).unwrap_err();
    assert_eq!(error.category(), Category::NotPermitted);
    assert_eq!(error.remedy(), None);
}
