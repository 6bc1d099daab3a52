//! The command line: arguments become a plan before anything runs, a command carries it out, and one place turns
//! what came of it into an exit code.

pub mod args;
pub mod attach;
mod deadline;
pub mod doctor;
pub mod exit;
pub mod output;
pub mod plan;
pub mod progress;
pub mod schema;
pub mod terminal;

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use clap::error::ErrorKind;

use crate::error::Error;
use crate::spare::give_way;
use crate::target::{no_deadly_signals, volunteer_for_oom};

/// Runs the command these arguments (program name first) ask for.
pub fn run<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    volunteer_for_oom();
    no_deadly_signals::<{ exit::IO as i32 }>();
    give_way();
    match Cli::try_parse_from(args) {
        Ok(cli) => exit::finish(catch_unwind(|| dispatch(cli)).unwrap_or_else(|_| Err(bug().into()))),
        Err(error) => refuse(&error),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<exit::Outcome> {
    match cli.command {
        Command::Attach(args) => attach::run(plan::AttachPlan::new(args, &terminal::Terminal::of_stdout())?),
        Command::Doctor(args) => doctor::run(plan::DoctorPlan::new(args, &terminal::Terminal::of_stdout())?),
        Command::Schema { of } => schema::run(of),
    }
}

/// What a panic is; where it happened has been told by the panic itself.
fn bug() -> Error {
    Error::Internal {
        what: "the message above names a bug of gomemscan; please report it with the line `gomemscan --version` prints"
            .to_owned(),
    }
}

/// Help and version are what was asked for; everything else clap says is wrong usage.
fn refuse(error: &clap::Error) -> ExitCode {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    // A closed pipe is not an error, and there is nowhere else to say so.
    let _ = error.print();
    if asked_for {
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(clap::error::ContextValue::String(word)) = error.get(clap::error::ContextKind::InvalidSubcommand)
        && args::parse_pid(word).is_ok()
    {
        let _ = writeln!(io::stderr(), "\n  to scan process {word}: gomemscan attach {word}");
    }
    ExitCode::from(exit::USAGE)
}
