//! A line of text in tones. A tone says what a piece of text is; colours come in only when the line is painted.

use anstyle::{AnsiColor, Style};

use super::text;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary.
    #[default]
    Plain,
    /// The heading of a section.
    Heading,
    /// What the eye should land on.
    Strong,
    /// What can be skipped: units of context, column titles.
    Faint,
    /// In good order.
    Good,
    /// Worth knowing.
    Info,
    /// Worth acting on.
    Warning,
    /// Worth acting on now.
    Critical,
}

impl Tone {
    fn style(self) -> Style {
        let style = Style::new();
        match self {
            Tone::Plain => style,
            Tone::Heading | Tone::Strong => style.bold(),
            Tone::Faint => style.dimmed(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Info => AnsiColor::Cyan.on_default(),
            Tone::Warning => AnsiColor::Yellow.on_default().bold(),
            Tone::Critical => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// A line: pieces of safe text, each in its tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(String, Tone)>,
}

impl Line {
    /// Appends text that is safe already.
    pub fn push(&mut self, text: impl Into<String>, tone: Tone) {
        self.pieces.push((text.into(), tone));
    }

    /// Appends blanks, unless the line is empty or ends with some.
    pub fn separate(&mut self) {
        if self
            .pieces
            .iter()
            .rfind(|(text, _)| !text.is_empty())
            .is_some_and(|(text, _)| !text.ends_with(' '))
        {
            self.push("  ", Tone::Plain);
        }
    }

    /// Appends blanks up to a column.
    pub fn pad_to(&mut self, column: usize) {
        let used = self.width();
        if used < column {
            self.push(" ".repeat(column - used), Tone::Plain);
        }
    }

    /// Columns it takes.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(text, _)| text::width(text)).sum()
    }

    /// The text, coloured or not, without trailing blanks.
    pub fn paint(&self, color: bool) -> String {
        let mut painted = String::new();
        let last = self.pieces.iter().rposition(|(text, _)| !text.trim_end().is_empty());
        for (index, (text, tone)) in self.pieces.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            let text = if Some(index) == last { text.trim_end() } else { text };
            if color && *tone != Tone::Plain && !text.trim().is_empty() {
                let style = tone.style();
                painted.push_str(&format!("{style}{text}{style:#}"));
            } else {
                painted.push_str(text);
            }
        }
        painted
    }
}
