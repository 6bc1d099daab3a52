//! The page a report is written on: it knows the report, the width and the characters, and makes lines fit.

use std::collections::BTreeSet;

use super::TableOptions;
use super::Verbosity;
use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::grid::{Cell, Grid};
use super::line::{Line, Tone};
use super::text;
use crate::model::{AttachReport, Grade};
use crate::units;

/// Blanks before the body of a section.
pub const INDENT: usize = 2;

/// Columns of the labels before the lines at the top.
pub const LABEL: usize = 10;

/// Lines in the making.
pub struct Page<'a> {
    /// What is shown.
    pub report: &'a AttachReport,
    /// How it is drawn.
    pub options: &'a TableOptions,
    /// What it is drawn with.
    pub glyphs: &'static Glyphs,
    lines: Vec<Line>,
    /// Entries of `unavailable` that some section has shown.
    explained: BTreeSet<usize>,
    /// Reasons the section at hand has given already.
    said: BTreeSet<&'a str>,
}

impl<'a> Page<'a> {
    /// An empty page.
    pub fn new(report: &'a AttachReport, options: &'a TableOptions) -> Page<'a> {
        let glyphs = if options.ascii { &ASCII } else { &UNICODE };
        Page {
            report,
            options,
            glyphs,
            lines: Vec::new(),
            explained: BTreeSet::new(),
            said: BTreeSet::new(),
        }
    }

    /// Whether to say more than usual.
    pub fn is_verbose(&self) -> bool {
        self.options.verbosity == Verbosity::Verbose
    }

    /// Text from anywhere, made safe for a terminal.
    pub fn safe(&self, text: &str) -> String {
        text::escape(text, self.options.ascii)
    }

    /// A blank line before a new section, unless the page just began.
    pub fn gap(&mut self) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
    }

    /// Begins a section: reasons may be given again.
    pub fn begin(&mut self) {
        self.said.clear();
    }

    /// A section's heading on a line of its own, with a summary behind it.
    pub fn heading(&mut self, title: &str, summary: &[Item]) {
        self.gap();
        let mut line = Line::default();
        line.push(title, Tone::Heading);
        self.flow(line, text::width(title) + 2, summary);
    }

    /// Items one behind the other, broken only between them, from column `hang` on; `start` stands before the first.
    pub fn flow(&mut self, start: Line, hang: usize, items: &[Item]) {
        let narrowed = self.narrowed(hang);
        let mut line = start;
        if narrowed < hang && line.width() + 2 > narrowed {
            line.separate();
        }
        let hang = narrowed;
        line.pad_to(hang);
        let mut fresh = true;
        for (text, tone) in items {
            let text = self.safe(text);
            let gap = if fresh { 0 } else { 3 };
            if !fresh && line.width() + gap + text::width(&text) > self.options.width {
                self.lines.push(std::mem::take(&mut line));
                line.pad_to(hang);
                fresh = true;
            }
            if !fresh {
                line.push("   ", Tone::Plain);
            }
            fresh = false;
            let pieces = text::wrap(
                &text,
                self.options.width.saturating_sub(line.width()),
                self.options.width.saturating_sub(hang),
            );
            for (index, piece) in pieces.into_iter().enumerate() {
                if index > 0 {
                    self.lines.push(std::mem::take(&mut line));
                    line.pad_to(hang);
                }
                line.push(piece, *tone);
            }
        }
        self.lines.push(line);
    }

    /// A label in the margin and items behind it.
    pub fn labelled(&mut self, label: &str, items: &[Item]) {
        let mut line = Line::default();
        line.push(label, Tone::Faint);
        self.flow(line, LABEL, items);
    }

    /// Prose from column `hang` on, broken at blanks; `start` stands before it.
    pub fn paragraph(&mut self, start: Line, hang: usize, text: &str, tone: Tone) {
        self.flow(start, hang, &[(text.to_owned(), tone)]);
    }

    /// A remark in the body of a section.
    pub fn remark(&mut self, text: &str) {
        self.paragraph(Line::default(), INDENT, text, Tone::Faint);
    }

    /// A grid; its first title is the section's heading.
    pub fn grid(&mut self, grid: &Grid) {
        let lines = grid.lines(self.options.width, INDENT, self.glyphs);
        self.lines.extend(lines);
    }

    /// Says that a list goes on.
    pub fn rest(&mut self, shown: usize, total: usize, singular: &str, plural: &str) {
        if let Some(left) = total.checked_sub(shown).filter(|left| *left > 0) {
            let noun = if left == 1 { singular } else { plural };
            let left = units::count(left as u64);
            self.remark(&format!(
                "{} {left} more {noun} (--top {total} shows all)",
                self.glyphs.ellipsis
            ));
        }
    }

    /// A figure, or why there is none: "not read" when it could not be had, a dash when it does not apply.
    pub fn figure(&self, pointer: &str, value: Option<String>) -> String {
        match value {
            Some(text) if self.report.grade(pointer) == Grade::Estimated => format!("{}{text}", self.glyphs.about),
            Some(text) => text,
            None if self.report.unavailable_reason(pointer).is_some() => "not read".to_owned(),
            None => self.glyphs.none.to_owned(),
        }
    }

    /// [`Page::figure`] of bytes.
    pub fn bytes(&self, pointer: &str, value: Option<u64>) -> String {
        self.figure(pointer, value.map(units::bytes))
    }

    /// [`Page::figure`] of a count.
    pub fn count(&self, pointer: &str, value: Option<u64>) -> String {
        self.figure(pointer, value.map(units::count))
    }

    /// A cell with a figure in it; a figure that is not there is faint.
    pub fn cell(&self, text: String) -> Cell {
        if text == "not read" || text == self.glyphs.none {
            Cell::faint(text)
        } else {
            Cell::plain(text)
        }
    }

    /// The reason why everything at a pointer is missing; it will not be repeated at the end of the page.
    pub fn missing(&mut self, pointer: &str) -> Option<String> {
        let report = self.report;
        let reason = report.unavailable_reason(pointer)?;
        self.said.insert(reason);
        self.explain_covering(pointer);
        Some(format!("not read: {reason}"))
    }

    fn explain_covering(&mut self, pointer: &str) {
        for (index, entry) in self.report.unavailable.iter().enumerate() {
            if is_below(pointer, &entry.pointer) {
                self.explained.insert(index);
            }
        }
    }

    /// Lines that say what is missing at or below the pointers and why, figures with the same reason together.
    pub fn explain(&mut self, pointers: &[&str]) {
        self.explain_at(INDENT, pointers);
    }

    /// [`Page::explain`] behind the labels at the top of the page.
    pub fn explain_in_head(&mut self, pointers: &[&str]) {
        self.explain_at(LABEL, pointers);
    }

    fn explain_at(&mut self, hang: usize, pointers: &[&str]) {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        let report = self.report;
        for (index, entry) in report.unavailable.iter().enumerate() {
            let name = pointers.iter().find_map(|pointer| {
                if is_below(pointer, &entry.pointer) {
                    return Some(String::new());
                }
                is_below(&entry.pointer, pointer).then(|| name_of(report, &entry.pointer, pointer))
            });
            let Some(name) = name else { continue };
            if !self.explained.insert(index) || self.said.contains(entry.reason.as_str()) {
                continue;
            }
            match reasons.iter_mut().find(|(reason, _)| *reason == entry.reason) {
                Some((_, names)) => names.push(name),
                None => reasons.push((&entry.reason, vec![name])),
            }
        }
        for (reason, mut names) in reasons {
            names.retain(|name| !name.is_empty());
            names.dedup();
            let what = if names.is_empty() {
                String::new()
            } else {
                format!("{}: ", names.join(", "))
            };
            self.paragraph(Line::default(), hang, &format!("not read: {what}{reason}"), Tone::Faint);
        }
    }

    /// What is missing and has not been explained yet: pointer and reason.
    pub fn unexplained(&self) -> Vec<(&'a str, &'a str)> {
        let report = self.report;
        let entries = report.unavailable.iter().enumerate();
        entries
            .filter(|(index, _)| !self.explained.contains(index))
            .map(|(_, entry)| (entry.pointer.as_str(), entry.reason.as_str()))
            .collect()
    }

    /// A hanging indent that leaves room for text on narrow terminals.
    fn narrowed(&self, hang: usize) -> usize {
        hang.min(self.options.width / 3)
    }

    /// The page as text.
    pub fn paint(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&line.paint(self.options.color));
            text.push('\n');
        }
        text
    }
}

/// A piece of a line that is not broken unless it must be.
pub type Item = (String, Tone);

/// An ordinary item.
pub fn plain(text: impl Into<String>) -> Item {
    (text.into(), Tone::Plain)
}

/// An item that can be skipped.
pub fn faint(text: impl Into<String>) -> Item {
    (text.into(), Tone::Faint)
}

/// Whether `pointer` is `upper` or lies below it.
fn is_below(pointer: &str, upper: &str) -> bool {
    pointer
        .strip_prefix(upper)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a pointer names within a section, in words: "/idle/page_cache_bytes" in "/idle" is "page cache".
fn name_of(report: &AttachReport, pointer: &str, section: &str) -> String {
    let name = pointer.strip_prefix(section).unwrap_or(pointer).trim_matches('/');
    let (start, rest) = match name.split_once('/') {
        Some(("rows", rest)) if section == "/ledger" => rest.split_once('/').unwrap_or((rest, "")),
        _ => name.split_once('/').unwrap_or((name, "")),
    };
    // Numbers mean nothing to readers; rows and Ps have names.
    let named = start.parse::<usize>().ok().and_then(|index| match section {
        "/ledger" => report.ledger.rows.get(index).map(|row| row.label.clone()),
        "/processors" => report
            .processors
            .as_ref()?
            .get(index)
            .map(|processor| format!("P{}", processor.id)),
        "/size_classes" => report
            .size_classes
            .as_ref()?
            .get(index)
            .map(|class| format!("{} B", class.object_bytes)),
        _ => None,
    });
    let name = match named {
        Some(label) if rest.is_empty() => label,
        Some(label) => format!("{label} {rest}"),
        None => name.to_owned(),
    };
    name.trim_end_matches("_bytes").replace(['/', '_'], " ")
}
