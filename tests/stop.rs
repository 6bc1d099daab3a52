//! Stopping and reading real processes: the target gets its bytes read and notices nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use gomemscan::memory::{Addr, Memory, Planner, Range, Request};
use gomemscan::target::{CaptureOptions, LiveProcess, Stop, StopKind};

/// A child process that is killed when the test ends.
struct Target {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Target {
    fn spawn(command: &mut Command) -> Target {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Target { child, out }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.out.read_line(&mut line).unwrap() > 0, "the target has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pattern() -> Target {
    let code = r#"
import ctypes, sys
size = 1 << 20
keep = ctypes.create_string_buffer(bytes(i * 7 % 251 for i in range(size)), size)
print(ctypes.addressof(keep), flush=True)
sys.stdin.read()
"#;
    Target::spawn(Command::new("python3").args(["-c", code]).stdin(Stdio::piped()))
}

struct Fixed(Vec<Request>);

impl Planner for Fixed {
    fn wave(&mut self, wave: usize, _captured: &dyn Memory) -> Vec<Request> {
        self.0.get(wave).map(|request| vec![*request]).unwrap_or_default()
    }
}

fn options(ms: u64) -> CaptureOptions {
    CaptureOptions {
        stop: Stop::Pause {
            max: Duration::from_millis(ms),
        },
        byte_budget: 1 << 30,
    }
}

fn request(start: u64, len: u64) -> Request {
    Request {
        range: Range::new(Addr(start), len),
        what: "pattern",
    }
}

#[test]
fn what_is_captured_is_what_the_target_holds() {
    let mut target = pattern();
    let at: u64 = target.line().parse().unwrap();
    let process = LiveProcess::open(target.pid()).unwrap();
    let wanted = vec![
        request(at + 5000, 9000),
        request(at, 5000),
        request(at + 14000, (1 << 20) - 14000),
    ];
    let expected: Vec<u8> = (0..1u64 << 20).map(|i| (i * 7 % 251) as u8).collect();
    let mut make = || -> Box<dyn Planner> { Box::new(Fixed(wanted.clone())) };
    for stop in [
        Stop::Pause {
            max: Duration::from_millis(500),
        },
        Stop::NoPause,
    ] {
        let capture = process
            .capture(&mut make, &CaptureOptions { stop, ..options(0) })
            .unwrap();
        assert_eq!(capture.complete, Ok(()));
        assert_eq!(capture.missing, []);
        assert!(capture.memory.bytes(Addr(at), 1 << 20).unwrap() == expected, "{stop:?}");
        assert_eq!(
            capture.stop,
            if stop == Stop::NoPause {
                StopKind::None
            } else {
                StopKind::Paused
            }
        );
        println!("{:?} {:?} {:?}", capture.pause, capture.wall, capture.changes);
    }
    let memory = process.read_running(&[Range::new(Addr(at + 100), 50)]).unwrap();
    assert_eq!(memory.bytes(Addr(at + 100), 50).unwrap(), &expected[100..150]);
}
