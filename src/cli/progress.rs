//! One line on standard error that says what takes so long, for people only, and gone when it is over.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::terminal;
use crate::report::table::escape;

/// How long a scan may take before anybody wants to know why.
const PATIENCE: Duration = Duration::from_secs(1);

/// The step a scan is at. Without threads: the caller says when a step begins.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    /// Columns a step may take; `None` when nobody watches.
    columns: Option<usize>,
    shown: bool,
}

impl Progress {
    /// Starts the clock. Shows nothing, ever, when `wanted` is false or standard error is not a capable terminal.
    pub fn new(wanted: bool) -> Progress {
        let stderr = io::stderr();
        let capable = stderr.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let size = terminal_size::terminal_size_of(&stderr);
        let columns = size.map_or(terminal::FALLBACK_COLUMNS, |(terminal_size::Width(columns), _)| {
            columns.into()
        });
        Progress {
            began: Instant::now(),
            columns: (wanted && capable).then_some(columns),
            shown: false,
        }
    }

    /// A step begins, for example "reading DWARF". Shown only once the scan takes longer than a second.
    pub fn step(&mut self, what: &str) {
        if let Some(line) = self.line(what, self.began.elapsed()) {
            let _ = io::stderr().write_all(line.as_bytes());
            self.shown = true;
        }
    }

    fn line(&self, what: &str, elapsed: Duration) -> Option<String> {
        let columns = self.columns.filter(|_| elapsed > PATIENCE)?;
        let text: String = format!("gomemscan: {} ...", escape(what, true))
            .chars()
            .take(columns.saturating_sub(1))
            .collect();
        Some(format!("\r\x1b[2K{text}"))
    }

    /// Erases the line; also done when dropped.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = io::stderr().write_all(b"\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_scans_and_redirected_errors_stay_silent() {
        let watched = Progress {
            began: Instant::now(),
            columns: Some(20),
            shown: false,
        };
        assert_eq!(watched.line("reading DWARF", Duration::from_millis(900)), None);
        assert_eq!(
            watched.line("reading DWARF", PATIENCE * 2).as_deref(),
            Some("\r\x1b[2Kgomemscan: reading ")
        );
        let unwatched = Progress {
            began: Instant::now(),
            columns: None,
            shown: false,
        };
        assert_eq!(unwatched.line("reading DWARF", PATIENCE * 2), None);
    }
}
