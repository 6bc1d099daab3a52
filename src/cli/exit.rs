//! The one place where outcomes and error categories become exit codes, and where errors are told to the user.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use super::terminal;
use crate::error::{Category, Error};
use crate::model::AttachReport;
use crate::report::table::escape;

/// Done.
pub const DONE: u8 = 0;
/// A `--fail-on` condition holds.
pub const CONDITION_HOLDS: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// No such process, or not a Go program.
pub const NO_TARGET: u8 = 3;
/// Not permitted.
pub const NOT_PERMITTED: u8 = 4;
/// Go version or layout not supported.
pub const UNSUPPORTED: u8 = 5;
/// A partial result, printed with reasons.
pub const PARTIAL: u8 = 6;
/// Input/output or internal error.
pub const IO: u8 = 7;
/// The target went away while it was read.
pub const TARGET_GONE: u8 = 8;

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was read and written.
    Done,
    /// A `--fail-on` condition holds.
    ConditionHolds,
    /// Something could not be read; the report names it.
    Partial,
    /// What a scan would end with.
    Foreseen(u8),
}

impl Outcome {
    /// What a report means for the exit code.
    pub fn of(report: &AttachReport) -> Outcome {
        if report.is_partial() {
            Outcome::Partial
        } else {
            Outcome::Done
        }
    }

    fn code(self) -> u8 {
        match self {
            Outcome::Done => DONE,
            Outcome::ConditionHolds => CONDITION_HOLDS,
            Outcome::Partial => PARTIAL,
            Outcome::Foreseen(code) => code,
        }
    }
}

/// Arguments that contradict each other or make no sense; exit 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct UsageError {
    what: String,
}

impl UsageError {
    /// What is wrong, as one sentence.
    pub fn new(what: impl Into<String>) -> UsageError {
        UsageError { what: what.into() }
    }
}

/// The exit code of a command; tells its error on standard error.
pub fn finish(result: anyhow::Result<Outcome>) -> ExitCode {
    let code = match result {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            let stderr = io::stderr();
            let color = stderr.is_terminal() && terminal::wants_color(|name| std::env::var_os(name));
            // Whoever closed standard error does not want to know.
            let _ = stderr.lock().write_all(message(&error, color).as_bytes());
            code_of(&error)
        }
    };
    ExitCode::from(code)
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<UsageError>()) {
        return USAGE;
    }
    typed(error).map_or(IO, |error| code_of_category(error.category()))
}

/// The exit code of a failure of this kind.
pub fn code_of_category(category: Category) -> u8 {
    match category {
        Category::Usage => USAGE,
        Category::NoTarget => NO_TARGET,
        Category::NotPermitted => NOT_PERMITTED,
        Category::Unsupported => UNSUPPORTED,
        Category::TargetGone => TARGET_GONE,
        Category::Io => IO,
    }
}

fn typed(error: &anyhow::Error) -> Option<&Error> {
    error.chain().find_map(|cause| cause.downcast_ref::<Error>())
}

/// One line that says what went wrong, and indented ones that say what to do.
fn message(error: &anyhow::Error, color: bool) -> String {
    let mut causes = Vec::new();
    for cause in error.chain() {
        causes.push(escape(&cause.to_string(), false));
        // The text of a typed error already holds its source.
        if cause.is::<Error>() {
            break;
        }
    }
    let style = if color {
        AnsiColor::Red.on_default().bold()
    } else {
        Style::new()
    };
    let mut text = format!("{style}gomemscan:{style:#} {}\n", causes.join(": "));
    let remedy = match typed(error).and_then(Error::remedy) {
        None if code_of(error) == USAGE => Some("gomemscan --help tells how"),
        remedy => remedy,
    };
    for line in remedy.unwrap_or_default().lines() {
        text.push_str(&format!("  {}\n", escape(line, false)));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;
    use crate::model::Unavailable;

    fn not_permitted() -> Error {
        Error::NotPermitted {
            cause: "process 7 belongs to another user".into(),
            remedy: Some("run as that user:\nsudo -u app gomemscan attach 7".into()),
        }
    }

    #[test]
    fn every_category_has_its_code_through_any_context() {
        let io = || io::Error::from(io::ErrorKind::NotFound);
        for (error, code) in [
            (
                Error::Argument {
                    what: String::new(),
                    remedy: None,
                },
                2,
            ),
            (
                Error::NoTarget {
                    what: String::new(),
                    remedy: None,
                },
                3,
            ),
            (not_permitted(), 4),
            (
                Error::Unsupported {
                    what: String::new(),
                    remedy: None,
                },
                5,
            ),
            (Error::io("x", io()), 7),
            (Error::Internal { what: String::new() }, 7),
            (Error::TargetGone { what: String::new() }, 8),
        ] {
            let wrapped = Err::<(), _>(error).context("a").context("b").unwrap_err();
            assert_eq!(code_of(&wrapped), code);
        }
        assert_eq!(code_of(&UsageError::new("x").into()), 2);
        assert_eq!(code_of(&io().into()), 7);
    }

    #[test]
    fn an_error_is_one_line_and_its_remedy_is_indented() {
        let error = Err::<(), _>(not_permitted()).context("cannot attach").unwrap_err();
        assert_eq!(
            message(&error, false),
            "gomemscan: cannot attach: process 7 belongs to another user\n  run as that user:\n  sudo -u app gomemscan attach 7\n"
        );
        assert!(message(&error, true).starts_with("\u{1b}["));
    }

    #[test]
    fn a_source_is_not_told_twice_and_names_cannot_draw_on_the_terminal() {
        let error = Error::io("cannot read \u{1b}[31m/x\n", io::Error::other("broken"));
        assert_eq!(
            message(&error.into(), false),
            "gomemscan: cannot read \\x1b[31m/x\\n: broken\n"
        );
    }

    #[test]
    fn anything_unavailable_makes_a_result_partial() {
        let mut report = AttachReport::new();
        assert_eq!(Outcome::of(&report).code(), 0);
        report.unavailable.push(Unavailable {
            pointer: "/gc".into(),
            reason: "x".into(),
        });
        assert_eq!(Outcome::of(&report).code(), 6);
    }
}
