//! Where the resident memory is: rows that add up to RSS, with bars.

use super::grid::{Cell, Column, Grid};
use super::page::{Page, faint};
use super::text::Shorten;
use crate::model::{Grade, LedgerRow};
use crate::units;

/// The section "where RSS is".
pub fn render(page: &mut Page<'_>) {
    let ledger = &page.report.ledger;
    if ledger.rows.is_empty() {
        let text = page.missing("/ledger").unwrap_or_else(|| "nothing to show".to_owned());
        page.heading("WHERE RSS IS", &[faint(text)]);
        return;
    }
    page.gap();
    let mut grid = Grid::new(vec![
        Column::heading("WHERE RSS IS").elastic(30, Shorten::End),
        Column::right("bytes").droppable(3),
        Column::right("resident"),
        Column::right("of RSS").droppable(1),
        Column::bars().droppable(2),
    ]);
    // Bars fill the column for the largest row, unless a larger one may be missing.
    let all: Option<Vec<u64>> = ledger.rows.iter().map(|row| row.resident_bytes).collect();
    let largest = match all {
        Some(all) => all.into_iter().max(),
        None => ledger.rss_bytes,
    };
    let largest = largest.unwrap_or(0);
    for (index, row) in ledger.rows.iter().enumerate() {
        let resident = graded(
            page,
            row,
            &format!("/ledger/rows/{index}/resident_bytes"),
            row.resident_bytes,
        );
        grid.row(vec![
            Cell::plain(page.safe(&row.label)),
            graded(page, row, &format!("/ledger/rows/{index}/bytes"), row.bytes),
            resident,
            share(row.resident_bytes, ledger.rss_bytes),
            row.resident_bytes
                .map_or_else(Cell::empty, |resident| Cell::Bar(resident, largest)),
        ]);
    }
    let unexplained = page.figure(
        "/ledger/unexplained_bytes",
        ledger.unexplained_bytes.map(units::signed_bytes),
    );
    grid.row(vec![
        Cell::plain("not explained"),
        Cell::empty(),
        page.cell(unexplained),
        share(
            ledger.unexplained_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            ledger.rss_bytes,
        ),
        Cell::empty(),
    ]);
    let rss = page.bytes("/ledger/rss_bytes", ledger.rss_bytes);
    grid.row(vec![
        Cell::strong("RSS, summed over pages"),
        Cell::empty(),
        Cell::strong(rss),
        Cell::empty(),
        Cell::empty(),
    ]);
    page.grid(&grid);
    if let Some(statm) = ledger.statm_rss_bytes.filter(|_| page.is_verbose()) {
        page.remark(&format!(
            "{} by /proc/PID/statm, whose counters lag behind",
            units::bytes(statm)
        ));
    }
    page.explain(&["/ledger"]);
}

fn graded(page: &Page<'_>, row: &LedgerRow, pointer: &str, value: Option<u64>) -> Cell {
    match value {
        Some(bytes) if row.grade == Grade::Estimated => {
            Cell::plain(format!("{}{}", page.glyphs.about, units::bytes(bytes)))
        }
        _ => page.cell(page.bytes(pointer, value)),
    }
}

fn share(part: Option<u64>, whole: Option<u64>) -> Cell {
    match (part, whole) {
        (Some(part), Some(whole)) if part > 0 => Cell::plain(units::share(part, whole)),
        _ => Cell::empty(),
    }
}
