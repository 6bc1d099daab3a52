//! One run of one tool on one target: what it took, what the target noticed, and whether the target is still well.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use ureq::Agent;

use crate::command;
use crate::tools::{How, Program, Tool, core_file};
use crate::watched::Watched;

/// How long the target is watched without any tool: about as long as a scan takes.
const IDLE: Duration = Duration::from_millis(100);

/// What was measured.
pub struct Run {
    /// From start to end, unless it could not be started.
    pub wall: Option<Duration>,
    /// The longest gap in the target's heartbeat, where the tool works on the process.
    pub gap: Option<Duration>,
    /// Bytes: of the tool's largest process, or what the target itself grew by.
    pub memory: Option<u64>,
    /// What came of it.
    pub result: Result<String, String>,
}

/// A target under test. It is started anew after harm.
pub struct Bench<'a> {
    program: &'a Path,
    arguments: &'a [&'a str],
    limit: Duration,
    watched: Watched,
    /// What tools write, core files among it.
    folder: TempDir,
}

impl<'a> Bench<'a> {
    pub fn start(program: &'a Path, arguments: &'a [&'a str], limit: Duration) -> Bench<'a> {
        Bench {
            program,
            arguments,
            limit,
            watched: Watched::start(program, arguments),
            folder: tempfile::tempdir().expect("a folder for what tools write"),
        }
    }

    pub fn run(&mut self, tool: &Tool) -> Run {
        if let Err(why) = self.watched.gap() {
            panic!("before {}: {why}", tool.name);
        }
        let mut run = match tool.how {
            How::Idle => {
                thread::sleep(IDLE);
                Run::of(Some(IDLE), None, Ok(String::new()))
            }
            How::Program(program) => self.program(program),
            How::Endpoint(profile) => self.endpoint(profile),
        };
        let gap = self.watched.gap();
        let silent = || gap.as_ref().err().map(|why| format!("the target {why}"));
        if let Some(harm) = self.watched.harm().or_else(silent) {
            run.result = Err(match run.result {
                Ok(_) => harm,
                Err(why) => format!("{why}; {harm}"),
            });
            self.watched = Watched::start(self.program, self.arguments);
        }
        let on_a_file = matches!(tool.how, How::Program(program) if program.needs_core);
        run.gap = gap.ok().filter(|_| !on_a_file);
        run
    }

    /// Removes the core file.
    pub fn end_of_round(&self) {
        let _ = std::fs::remove_file(self.core());
    }

    fn core(&self) -> PathBuf {
        core_file(self.folder.path(), self.watched.pid())
    }

    fn program(&self, program: &Program) -> Run {
        let path = program.path().expect("only tools that are there are run");
        let (pid, core) = (self.watched.pid().to_string(), self.core().display().to_string());
        if program.needs_core && !self.core().is_file() {
            return Run::of(None, None, Err("there is no core file".to_owned()));
        }
        let place = |word: &&'static str| match *word {
            "PID" => pid.as_str(),
            "CORE" => core.as_str(),
            other => other,
        };
        let arguments: Vec<&str> = program.arguments.iter().map(place).collect();
        let ended = command::run(&path, &arguments, program.input, self.folder.path(), self.limit);
        let yields = || (program.yields)(&ended, self.folder.path());
        // It may have said why, and yet have ended well.
        let complained = |why| format!("{why}: {}", ended.complaint());
        let result = ended.well().and_then(|()| yields().map_err(complained));
        Run::of(Some(ended.wall), Some(ended.peak_bytes), result)
    }

    fn endpoint(&self, profile: &str) -> Run {
        let url = format!("http://127.0.0.1:{}/debug/pprof/{profile}", self.watched.port);
        let agent: Agent = Agent::config_builder().timeout_global(Some(self.limit)).build().into();
        let before = self.watched.forget_peak();
        let begun = Instant::now();
        let got = agent
            .get(url)
            .call()
            .map_err(|error| error.to_string())
            .and_then(|answer| {
                let mut body = answer.into_body().into_reader();
                io::copy(&mut body, &mut io::sink()).map_err(|error| error.to_string())
            });
        let wall = begun.elapsed();
        let grown = self.watched.peak().saturating_sub(before);
        let result = got.map(|length| format!("profile of {}", gomemscan::units::bytes(length)));
        Run::of(Some(wall), Some(grown), result)
    }
}

impl Run {
    fn of(wall: Option<Duration>, memory: Option<u64>, result: Result<String, String>) -> Run {
        Run {
            wall,
            gap: None,
            memory,
            result,
        }
    }
}
