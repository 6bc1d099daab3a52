//! The arguments as the user writes them. What they mean together is decided in `plan.rs`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::sections::Section;
use crate::report::table::DEFAULT_TOP;

/// The longest pause of the target unless told otherwise.
pub const DEFAULT_MAX_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause one may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a condition of --fail-on holds
  2  wrong usage
  3  no such process, or not a Go program
  4  not permitted
  5  Go version or memory layout not supported
  6  partial result: printed, with reasons
  7  input/output or internal error, or not stopped within --max-pause, or not done within --deadline
  8  the target went away while it was read";

const ATTACH_EXAMPLES: &str = "\
Examples:
  gomemscan attach 21734                          the first screen
  gomemscan attach 21734 --json | jq .idle        every figure, for scripts
  gomemscan attach 21734 --json -o now.json       the table here, JSON in the file
  gomemscan attach 21734 --section size-classes --top 68
  gomemscan attach 21734 --max-pause 20ms         give up rather than stop it longer
  gomemscan attach 21734 --no-pause               do not stop it at all

";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  gomemscan doctor 21734                          will a scan work, and how long will the pause be?
  gomemscan doctor 21734 --max-pause 5ms          will it within five milliseconds?
  gomemscan doctor 21734 --json | jq .checks      every check, for scripts
  gomemscan doctor 21734 >/dev/null && gomemscan attach 21734

It ends with the exit code that `attach` with the same options would end with.

";

/// Where the memory of a live Go process is, and why it stays there.
#[derive(Parser, Debug)]
#[command(name = "gomemscan", version, max_term_width = 100, after_help = EXIT_CODES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Scan a running Go process from outside: stop it for some milliseconds, copy, let it go, report
    #[command(after_help = format!("{ATTACH_EXAMPLES}{EXIT_CODES}"))]
    Attach(AttachArgs),
    /// Say whether a scan of a process will work, without stopping it, and what is missing otherwise
    #[command(after_help = format!("{DOCTOR_EXAMPLES}{EXIT_CODES}"))]
    Doctor(DoctorArgs),
    /// Print the JSON Schema of a command's `--json`
    Schema {
        /// Whose schema
        #[arg(value_enum, value_name = "COMMAND", default_value_t = SchemaOf::Attach)]
        of: SchemaOf,
    },
}

/// Arguments of `attach`.
#[derive(Args, Debug)]
pub struct AttachArgs {
    /// Process to scan
    #[arg(value_name = "PID", value_parser = parse_pid, allow_negative_numbers = true)]
    #[arg(required_unless_present = "pid_option", conflicts_with = "pid_option")]
    pub pid: Option<u32>,

    /// Process to scan, as an option
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = parse_pid, allow_negative_numbers = true)]
    pub pid_option: Option<u32>,

    /// How to read.
    #[command(flatten)]
    pub reading: ReadingArgs,

    /// What to put where.
    #[command(flatten)]
    pub output: OutputArgs,

    /// How to show it.
    #[command(flatten)]
    pub display: DisplayArgs,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Process to look at
    #[arg(value_name = "PID", value_parser = parse_pid, allow_negative_numbers = true)]
    #[arg(required_unless_present = "pid_option", conflicts_with = "pid_option")]
    pub pid: Option<u32>,

    /// Process to look at, as an option
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = parse_pid, allow_negative_numbers = true)]
    pub pid_option: Option<u32>,

    /// The pause to judge by.
    #[command(flatten)]
    pub pause: PauseArgs,

    /// How long it may take.
    #[command(flatten)]
    pub deadline: DeadlineArgs,

    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// Columns of the table [default: the terminal's, else 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..))]
    pub width: Option<u16>,

    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,
}

/// Commands whose JSON has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `attach --json`
    Attach,
    /// `doctor --json`
    Doctor,
}

/// Whether and how long the target is stopped.
#[derive(Args, Debug)]
#[command(next_help_heading = "Reading")]
pub struct PauseArgs {
    /// Do not stop the target: figures may not fit together
    #[arg(long, conflicts_with = "max_pause")]
    pub no_pause: bool,

    /// Longest time the target may stand still, at most 1m [default: 500ms]
    #[arg(long, value_name = "DURATION", value_parser = parse_pause)]
    pub max_pause: Option<Duration>,
}

/// How long it may take.
#[derive(Args, Debug)]
#[command(next_help_heading = "Reading")]
pub struct DeadlineArgs {
    /// Give up when reading and reckoning take longer than this, at least 1s
    #[arg(long, value_name = "DURATION", value_parser = parse_deadline, default_value = "2m")]
    pub deadline: Duration,
}

/// How the target is read.
#[derive(Args, Debug)]
#[command(next_help_heading = "Reading")]
pub struct ReadingArgs {
    /// Whether and how long it is stopped.
    #[command(flatten)]
    pub pause: PauseArgs,

    /// How long it may take.
    #[command(flatten)]
    pub deadline: DeadlineArgs,

    /// Which Go runtime, when the process has several (c-shared libraries), counted from 0
    #[arg(long, value_name = "N")]
    pub runtime: Option<u32>,

    /// Debug information of the binary, when it is stripped and the file is not where debuggers look for it
    #[arg(long, value_name = "FILE")]
    pub debug_file: Option<PathBuf>,

    /// Include the target's command-line arguments, which can hold secrets
    #[arg(long)]
    pub with_args: bool,
}

/// What is written where.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// JSON instead of a table; with -o, JSON to the file and the table here
    #[arg(long)]
    pub json: bool,

    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    pub format: Option<Format>,

    /// Write to FILE: replaced as a whole or not at all, mode 0600, never through a link
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How a table looks.
#[derive(Args, Debug)]
#[command(next_help_heading = "Display")]
pub struct DisplayArgs {
    /// Only these sections; JSON keeps its head (tool, host, process, capture, unavailable, warnings)
    #[arg(long, value_enum, value_name = "NAME,...", value_delimiter = ',')]
    pub section: Vec<Section>,

    /// Rows of each list
    #[arg(long, value_name = "N", default_value_t = DEFAULT_TOP as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,

    /// Columns of a table [default: the terminal's, else 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..))]
    pub width: Option<u16>,

    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,

    /// Only the verdict and the findings
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Also timings, layout, evidence and every check
    #[arg(short, long)]
    pub verbose: bool,
}

/// Formats of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For scripts
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A PID: decimal digits, not 0.
pub fn parse_pid(text: &str) -> Result<u32, String> {
    if text.is_empty() {
        return Err("it is empty; is the variable set, did pgrep find anything?".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let advice = match text.trim() {
            trimmed if trimmed.split_whitespace().count() > 1 => "scan one process at a time".to_owned(),
            trimmed if trimmed.starts_with(|first: char| "+-".contains(first) || first.is_numeric()) => {
                "a PID is a positive number".to_owned()
            }
            _ => "a PID is a number; `pgrep NAME` finds it".to_owned(),
        };
        return Err(advice);
    }
    match text.parse::<i32>() {
        Ok(0) => Err("there is no process 0".to_owned()),
        Ok(pid) => u32::try_from(pid).map_err(|error| error.to_string()),
        Err(_) => Err("no PID is that large".to_owned()),
    }
}

fn parse_pause(text: &str) -> Result<Duration, String> {
    let pause = humantime::parse_duration(text).map_err(|error| format!("{error}; write 20ms or 1s"))?;
    if pause.is_zero() {
        Err("to not stop the target at all, use --no-pause".to_owned())
    } else if pause > LONGEST_PAUSE {
        Err("nobody should stand still for more than a minute".to_owned())
    } else {
        Ok(pause)
    }
}

fn parse_deadline(text: &str) -> Result<Duration, String> {
    let deadline = humantime::parse_duration(text).map_err(|error| format!("{error}; write 30s or 2m"))?;
    match (1..=24 * 3600).contains(&deadline.as_secs()) {
        true => Ok(Duration::from_secs(deadline.as_secs())),
        false => Err("it is at least a second and at most a day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_positive_decimal_numbers_are_pids() {
        assert_eq!(parse_pid("1"), Ok(1));
        assert_eq!(parse_pid("4194304"), Ok(4_194_304));
        for text in [
            "",
            "0",
            "-1",
            "+1",
            "1.5",
            "0x10",
            "hub",
            "1 2",
            " 1",
            "99999999999999999999",
            "２",
        ] {
            assert!(parse_pid(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_pause_has_a_unit_and_sane_bounds() {
        assert_eq!(parse_pause("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(parse_pause("1s 500ms"), Ok(Duration::from_millis(1_500)));
        for text in ["", "20", "0s", "-1s", "2m", "soon", "99999999999999999999y"] {
            assert!(parse_pause(text).is_err(), "{text:?}");
        }
    }
}
