//! The runtime keeps the same quantity in several places: whether the copies agree.

use super::grid::{Cell, Column, Grid};
use super::line::Tone;
use super::page::{Page, faint};
use super::text::Shorten;
use crate::model::Check;
use crate::units;

/// The section "checks": one line when all agree, else those that do not.
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    let checks = &report.capture.checks;
    if checks.is_empty() {
        let text = page
            .missing("/capture/checks")
            .unwrap_or_else(|| "nothing could be checked".to_owned());
        page.heading("CHECKS", &[faint(text)]);
        return;
    }
    let failed = checks.iter().filter(|check| !check.ok).count();
    let total = units::counted(checks.len() as u64, "figure", "figures");
    let summary = match failed {
        0 => (format!("all {total} agree with the runtime's own"), Tone::Good),
        _ => (
            format!("{failed} of {total} disagree with the runtime's own"),
            Tone::Warning,
        ),
    };
    page.heading("CHECKS", &[summary]);
    let shown: Vec<&Check> = checks.iter().filter(|check| !check.ok || page.is_verbose()).collect();
    if shown.is_empty() {
        return;
    }
    let mut grid = Grid::new(vec![
        Column::left(""),
        Column::left("what").elastic(16, Shorten::End),
        Column::right("expected").droppable(1),
        Column::right("counted").droppable(2),
        Column::right("difference"),
        Column::right("tolerance").droppable(4),
        Column::left("unit").droppable(3),
    ]);
    for check in shown {
        let mark = if check.ok {
            Cell::Text("ok".to_owned(), Tone::Good)
        } else {
            Cell::Text(page.glyphs.marks[1].to_owned(), Tone::Warning)
        };
        grid.row(vec![
            mark,
            Cell::plain(page.safe(&check.name)),
            Cell::plain(units::count(check.expected)),
            Cell::plain(units::count(check.actual)),
            Cell::strong(units::signed_count(check.difference)),
            Cell::faint(units::count(check.tolerance)),
            Cell::faint(page.safe(&check.unit)),
        ]);
    }
    page.grid(&grid);
}
