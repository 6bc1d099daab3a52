//! What standard output can show: its width, colours, Unicode. Read once, from the terminal and the environment.

use std::ffi::OsString;
use std::io::IsTerminal;

/// Columns of a terminal that does not tell.
pub const FALLBACK_COLUMNS: usize = 80;

/// What the place a table goes to can show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Columns; `None` when it is not a terminal.
    pub width: Option<usize>,
    /// Whether it is a terminal that should be coloured.
    pub color: bool,
    /// Whether the locale is UTF-8.
    pub utf8: bool,
}

impl Terminal {
    /// What standard output can show.
    pub fn of_stdout() -> Terminal {
        let stdout = std::io::stdout();
        let is_terminal = stdout.is_terminal();
        let size = if is_terminal {
            terminal_size::terminal_size_of(&stdout)
        } else {
            None
        };
        Terminal {
            width: size
                .map(|(terminal_size::Width(columns), _)| usize::from(columns))
                .filter(|columns| *columns > 0),
            color: is_terminal && wants_color(|name| std::env::var_os(name)),
            utf8: is_utf8(|name| std::env::var_os(name)),
        }
    }
}

/// Whether the environment wants colours: NO_COLOR is not set, and the terminal is not a dumb one.
pub fn wants_color(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && variable("TERM").is_none_or(|value| value != "dumb")
}

/// Whether the locale's character set is UTF-8: the first of LC_ALL, LC_CTYPE and LANG that is set decides.
fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        }
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert!(is_utf8(environment(&[("LANG", "de_DE.UTF-8")])));
        assert!(is_utf8(environment(&[
            ("LC_ALL", ""),
            ("LC_CTYPE", "C.utf8"),
            ("LANG", "C")
        ])));
        assert!(!is_utf8(environment(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")])));
        assert!(!is_utf8(environment(&[])));
    }

    #[test]
    fn no_color_and_dumb_terminals_stay_plain() {
        assert!(wants_color(environment(&[("TERM", "xterm"), ("NO_COLOR", "")])));
        assert!(!wants_color(environment(&[("NO_COLOR", "1")])));
        assert!(!wants_color(environment(&[("TERM", "dumb")])));
    }
}
