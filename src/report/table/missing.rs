//! The end of the page: what could not be read and was not explained above, and warnings.

use super::line::{Line, Tone};
use super::page::{INDENT, Page};

/// The lines "not read" and "notes"; nothing when there is nothing to say.
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    let unexplained = page.unexplained();
    if !unexplained.is_empty() {
        page.heading("NOT READ", &[]);
        for (pointer, reason) in unexplained {
            page.paragraph(
                indented(),
                INDENT,
                &format!("{}: {reason}", pointer.trim_start_matches('/')),
                Tone::Plain,
            );
        }
    }
    if !report.warnings.is_empty() {
        page.heading("NOTES", &[]);
        for warning in &report.warnings {
            page.paragraph(
                indented(),
                INDENT,
                &format!("{}: {}", warning.section, warning.message),
                Tone::Plain,
            );
        }
    }
}

fn indented() -> Line {
    let mut line = Line::default();
    line.pad_to(INDENT);
    line
}
