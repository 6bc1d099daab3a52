//! Objects with a span of their own.

use super::grid::{Cell, Column, Grid};
use super::page::{Page, faint, plain};
use super::text::Shorten;
use crate::units;

/// The section "large objects".
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    let large = &report.large_objects;
    if large.spans.is_none() && large.bytes.is_none() {
        let text = page
            .missing("/large_objects")
            .unwrap_or_else(|| "nothing to show".to_owned());
        page.heading("LARGE OBJECTS", &[faint(text)]);
        return;
    }
    let bytes = page.bytes("/large_objects/bytes", large.bytes);
    let spans = page.count("/large_objects/spans", large.spans);
    match large.spans {
        Some(0) => page.heading("LARGE OBJECTS", &[faint("none")]),
        _ => page.heading(
            "LARGE OBJECTS",
            &[
                plain(format!("{spans} with a span of their own")),
                plain(format!("{bytes} in all")),
            ],
        ),
    }
    let top = large.top.as_deref().unwrap_or_default();
    if !top.is_empty() {
        let mut grid = Grid::new(vec![
            Column::right(""),
            Column::left("").droppable(1),
            Column::left("").elastic(12, Shorten::Function),
        ]);
        for object in top.iter().take(page.options.top.min(SHOWN)) {
            let type_name = match &object.type_name {
                Some(name) => Cell::plain(page.safe(name)),
                None => Cell::faint("no pointers, or type not recorded"),
            };
            grid.row(vec![
                Cell::plain(units::bytes(object.bytes)),
                Cell::faint(object.address.to_string()),
                type_name,
            ]);
        }
        page.grid(&grid);
    }
    page.explain(&["/large_objects"]);
}

/// A first screen needs only a few.
const SHOWN: usize = 5;
