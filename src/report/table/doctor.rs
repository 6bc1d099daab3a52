//! `doctor` for people: the verdict, one line for each check, and below those that are not in order what follows from
//! them and the commands that mend them, ready to paste.

use super::TableOptions;
use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::line::{Line, Tone};
use super::text;
use crate::model::{CheckStatus, DoctorCheck, DoctorReport, Remedy};

/// Columns before the name of a check: an indent and its mark.
const NAME: usize = 5;
/// Columns of the longest name and a gap.
const NAMES: usize = 17;
/// Blanks before a command, which needs its room.
const COMMAND: usize = 5;

/// The report as text: lines that end with a newline, none wider than asked for but for words that a command must not
/// have cut.
pub fn render(report: &DoctorReport, options: &TableOptions) -> String {
    let glyphs = if options.ascii { &ASCII } else { &UNICODE };
    let mut page = Sheet {
        options,
        glyphs,
        lines: Vec::new(),
        said: Vec::new(),
    };
    let (label, tone) = match report.verdict.works {
        true => ("verdict", Tone::Good),
        false => ("verdict", Tone::Critical),
    };
    page.paragraph((label, tone), 0, 10, &report.verdict.text, Tone::Strong);
    page.lines.push(Line::default());
    for check in &report.checks {
        page.check(check);
    }
    if let Some(container) = report.container.as_ref().filter(|_| report.verdict.exit_code == 4)
        && !container.commands.is_empty()
    {
        page.lines.push(Line::default());
        page.paragraph(("", Tone::Plain), 0, 0, "or from where the target runs:", Tone::Heading);
        container.commands.iter().for_each(|command| page.remedy(command));
    }
    page.lines.iter().fold(String::new(), |mut text, line| {
        text.push_str(&line.paint(options.color));
        text.push('\n');
        text
    })
}

struct Sheet<'a> {
    options: &'a TableOptions,
    glyphs: &'static Glyphs,
    lines: Vec<Line>,
    /// What one check has said need not be said by the next.
    said: Vec<&'a Remedy>,
}

impl<'a> Sheet<'a> {
    fn check(&mut self, check: &'a DoctorCheck) {
        let [ok, unknown, warn, fail] = self.glyphs.outcomes;
        let (mark, tone) = match check.status {
            CheckStatus::Ok => (ok, Tone::Good),
            CheckStatus::Unknown => (unknown, Tone::Faint),
            CheckStatus::Warn => (warn, Tone::Warning),
            CheckStatus::Fail => (fail, Tone::Critical),
        };
        let fact = match check.status {
            CheckStatus::Fail => Tone::Strong,
            CheckStatus::Unknown => Tone::Faint,
            _ => Tone::Plain,
        };
        let mut start = Line::default();
        start.pad_to(2);
        start.push(mark, tone);
        start.pad_to(NAME);
        start.push(text::escape(&check.id, self.options.ascii), Tone::Faint);
        let body = self.hang(NAME + NAMES);
        self.prose(start, body, &check.fact, fact);
        if let Some(consequence) = &check.consequence {
            self.prose(Line::default(), body, consequence, Tone::Faint);
        }
        check.remedies.iter().for_each(|remedy| self.remedy(remedy));
    }

    fn remedy(&mut self, remedy: &'a Remedy) {
        if self.said.contains(&remedy) {
            return;
        }
        self.said.push(remedy);
        let body = self.hang(NAME);
        if let Some(note) = &remedy.note {
            let colon = if remedy.command.is_some() { ":" } else { "" };
            self.prose(Line::default(), body, &format!("{note}{colon}"), Tone::Info);
        }
        if let Some(command) = &remedy.command {
            self.command(command);
        }
    }

    /// A command, broken between its words with the shell's backslash.
    fn command(&mut self, command: &str) {
        let command = text::escape(command, self.options.ascii);
        let indent = self.hang(COMMAND + 2);
        // The blank and the backslash.
        let room = self.options.width.saturating_sub(indent + 2);
        let mut rows = vec![String::new()];
        for word in command.split(' ') {
            let used = rows.last().map_or(0, |row| text::width(row));
            if used > 0 && used + 1 + text::width(word) > room {
                rows.push(String::new());
            }
            if let Some(row) = rows.last_mut() {
                if !row.is_empty() {
                    row.push(' ');
                }
                row.push_str(word);
            }
        }
        let last = rows.len().saturating_sub(1);
        for (index, row) in rows.into_iter().enumerate() {
            let mut line = Line::default();
            line.pad_to(indent);
            line.push(row, Tone::Strong);
            if index < last {
                line.push(" \\", Tone::Strong);
            }
            self.lines.push(line);
        }
    }

    fn paragraph(&mut self, label: (&str, Tone), indent: usize, hang: usize, text: &str, tone: Tone) {
        let mut start = Line::default();
        start.pad_to(indent);
        start.push(label.0, label.1);
        self.prose(start, hang, text, tone);
    }

    /// Prose from column `hang` on; `start` stands before its first line.
    fn prose(&mut self, start: Line, hang: usize, text: &str, tone: Tone) {
        let text = text::escape(text, self.options.ascii);
        let mut line = start;
        if line.width() + 1 > hang && hang > 0 {
            line.separate();
        }
        line.pad_to(hang);
        let width = self.options.width;
        for (index, piece) in text::wrap(&text, width.saturating_sub(line.width()), width.saturating_sub(hang))
            .into_iter()
            .enumerate()
        {
            if index > 0 {
                self.lines.push(std::mem::take(&mut line));
                line.pad_to(hang);
            }
            line.push(piece, tone);
        }
        self.lines.push(line);
    }

    /// A hanging indent that leaves room for text on narrow terminals.
    fn hang(&self, hang: usize) -> usize {
        hang.min(self.options.width / 3)
    }
}
