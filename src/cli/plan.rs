//! From arguments to a plan: everything that can be refused is refused here, before a process is touched.

use std::path::PathBuf;
use std::time::Duration;

use super::args::{AttachArgs, ColorWhen, DEFAULT_MAX_PAUSE, DoctorArgs, Format, OutputArgs, PauseArgs};
use super::exit::UsageError;
use super::terminal::Terminal;
use crate::report::sections::Selection;
use crate::report::table::{DEFAULT_WIDTH, TableOptions, Verbosity};

/// What `attach` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachPlan {
    /// The process, in the tool's PID namespace.
    pub pid: u32,
    /// Whether and how long it may be stopped.
    pub pause: Pause,
    /// How long reading and reckoning may take.
    pub deadline: Duration,
    /// Which of its Go runtimes, from 0; the first unless told.
    pub runtime: Option<u32>,
    /// Where its debug information is, when not where it is looked for.
    pub debug_file: Option<PathBuf>,
    /// Whether its command-line arguments go into the report.
    pub with_args: bool,
    /// Whether to show progress on standard error.
    pub progress: bool,
    /// What to write where.
    pub output: OutputPlan,
}

/// Whether and how long the target may be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Not at all (`--no-pause`).
    Never,
    /// For at most so long.
    AtMost(Duration),
}

/// What to write where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPlan {
    /// What goes to standard output.
    pub stdout: Format,
    /// A file, and what goes into it.
    pub file: Option<(PathBuf, Format)>,
    /// How a table on standard output is drawn.
    pub table: TableOptions,
    /// Whether colours are wanted even in a file.
    pub color_file: bool,
    /// Columns of a table in a file, which has no terminal to fit.
    pub file_width: usize,
}

/// What `doctor` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorPlan {
    /// The process, in the tool's PID namespace.
    pub pid: u32,
    /// Whether and how long a scan may stop it.
    pub pause: Pause,
    /// How long looking may take.
    pub deadline: Duration,
    /// Whether to write JSON.
    pub json: bool,
    /// How the table is drawn.
    pub table: TableOptions,
}

impl Pause {
    fn of(args: &PauseArgs) -> Pause {
        match (args.no_pause, args.max_pause) {
            (true, _) => Pause::Never,
            (false, longest) => Pause::AtMost(longest.unwrap_or(DEFAULT_MAX_PAUSE)),
        }
    }
}

impl DoctorPlan {
    /// The plan of these arguments for this terminal.
    pub fn new(args: DoctorArgs, terminal: &Terminal) -> Result<DoctorPlan, UsageError> {
        let pid = args
            .pid
            .or(args.pid_option)
            .ok_or_else(|| UsageError::new("which process? Give its PID."))?;
        Ok(DoctorPlan {
            pid,
            pause: Pause::of(&args.pause),
            deadline: args.deadline.deadline,
            json: args.json,
            table: drawn(args.width, args.color, terminal),
        })
    }
}

/// How a table is drawn on standard output.
fn drawn(width: Option<u16>, color: ColorWhen, terminal: &Terminal) -> TableOptions {
    TableOptions {
        width: width.map(usize::from).or(terminal.width).unwrap_or(DEFAULT_WIDTH),
        color: match color {
            ColorWhen::Auto => terminal.color,
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        },
        ascii: !terminal.utf8,
        ..TableOptions::default()
    }
}

impl AttachPlan {
    /// The plan of these arguments for this terminal.
    pub fn new(args: AttachArgs, terminal: &Terminal) -> Result<AttachPlan, UsageError> {
        let pid = args
            .pid
            .or(args.pid_option)
            .ok_or_else(|| UsageError::new("which process? Give its PID."))?;
        let pause = Pause::of(&args.reading.pause);
        let display = args.display;
        let table = TableOptions {
            top: usize::try_from(display.top).unwrap_or(usize::MAX),
            sections: Selection::of(&display.section),
            verbosity: match (display.quiet, display.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
            ..drawn(display.width, display.color, terminal)
        };
        let mut output = output_plan(args.output, table)?;
        output.color_file = display.color == ColorWhen::Always;
        output.file_width = display.width.map_or(DEFAULT_WIDTH, usize::from);
        Ok(AttachPlan {
            pid,
            pause,
            deadline: args.reading.deadline.deadline,
            runtime: args.reading.runtime,
            debug_file: args.reading.debug_file,
            with_args: args.reading.with_args,
            progress: !display.quiet,
            output,
        })
    }
}

fn output_plan(args: OutputArgs, table: TableOptions) -> Result<OutputPlan, UsageError> {
    let format = if args.json {
        Format::Json
    } else {
        args.format.unwrap_or_default()
    };
    let to_stdout = OutputPlan {
        stdout: format,
        file: None,
        table,
        color_file: false,
        file_width: DEFAULT_WIDTH,
    };
    match args.output {
        None => Ok(to_stdout),
        Some(path) if path.as_os_str().is_empty() => Err(UsageError::new("-o needs the name of a file")),
        Some(path) if path.as_os_str() == "-" => Err(UsageError::new(
            "-o takes a file; without -o the output goes to standard output",
        )),
        Some(path) => Ok(OutputPlan {
            stdout: Format::Table,
            file: Some((path, format)),
            ..to_stdout
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Cli, Command};
    use super::*;
    use crate::report::sections::Section;

    fn plan_on(terminal: &Terminal, arguments: &[&str]) -> Option<AttachPlan> {
        let arguments = ["gomemscan", "attach"].iter().chain(arguments);
        let Command::Attach(args) = Cli::try_parse_from(arguments).ok()?.command else {
            return None;
        };
        AttachPlan::new(args, terminal).ok()
    }

    fn plan(arguments: &[&str]) -> Option<AttachPlan> {
        plan_on(&Terminal::default(), arguments)
    }

    #[test]
    fn a_bare_pid_pauses_briefly_and_prints_a_table() {
        let plan = plan(&["21734"]).unwrap();
        assert_eq!(plan.pid, 21734);
        assert_eq!(plan.pause, Pause::AtMost(DEFAULT_MAX_PAUSE));
        assert_eq!((plan.output.stdout, plan.output.file), (Format::Table, None));
        assert_eq!((plan.output.table.width, plan.output.table.top), (100, 10));
        assert!(!plan.with_args);
    }

    #[test]
    fn the_pid_can_be_an_option() {
        assert_eq!(plan(&["-p", "7"]).unwrap().pid, 7);
        assert_eq!(plan(&["--pid=7"]).unwrap().pid, 7);
    }

    #[test]
    fn contradictions_are_refused() {
        for arguments in [
            &[][..],
            &["7", "-p", "7"],
            &["7", "--no-pause", "--max-pause", "1s"],
            &["7", "--json", "--format", "table"],
            &["7", "--format", "yaml"],
            &["7", "-q", "-v"],
            &["7", "--section", "nonsense"],
            &["7", "--top", "0"],
            &["7", "--width", "10"],
            &["7", "-o", "-"],
            &["7", "-o", ""],
            &["7", "8"],
            &["hub"],
            &["-5"],
        ] {
            assert_eq!(plan(arguments), None, "{arguments:?}");
        }
    }

    #[test]
    fn json_goes_to_standard_output_or_to_the_file_and_the_table_stays_here() {
        assert_eq!(plan(&["7", "--json"]).unwrap().output.stdout, Format::Json);
        let output = plan(&["7", "--json", "-o", "x.json"]).unwrap().output;
        assert_eq!(output.stdout, Format::Table);
        assert_eq!(output.file, Some(("x.json".into(), Format::Json)));
        let output = plan(&["7", "-o", "x.txt"]).unwrap().output;
        assert_eq!(
            (output.stdout, output.file),
            (Format::Table, Some(("x.txt".into(), Format::Table)))
        );
    }

    #[test]
    fn explicit_display_options_beat_the_terminal() {
        let terminal = Terminal {
            width: Some(132),
            color: true,
            utf8: true,
        };
        let table = plan_on(&terminal, &["7"]).unwrap().output.table;
        assert_eq!((table.width, table.color, table.ascii), (132, true, false));
        let table = plan_on(&terminal, &["7", "--width", "72", "--color", "never"])
            .unwrap()
            .output
            .table;
        assert_eq!((table.width, table.color), (72, false));
        assert!(plan(&["7", "--color", "always"]).unwrap().output.table.color);
    }

    #[test]
    fn sections_can_be_listed() {
        let table = plan(&["7", "--section", "gc,size-classes"]).unwrap().output.table;
        assert!(table.sections.shows(Section::SizeClasses) && !table.sections.shows(Section::Ledger));
    }
}
