//! Memory the runtime holds free: where it sits, what gives it back, and how much would come back.

use super::grid::{Cell, Column, Grid};
use super::page::{Page, faint};
use super::text::Shorten;
use crate::model::Idle;

/// The section "idle".
pub fn render(page: &mut Page<'_>) {
    let idle = &page.report.idle;
    if *idle == Idle::default() {
        let text = page.missing("/idle").unwrap_or_else(|| "nothing to show".to_owned());
        page.heading("FREE, KEPT BY THE RUNTIME", &[faint(text)]);
        return;
    }
    page.gap();
    let mut grid = Grid::new(vec![
        Column::heading("FREE, KEPT BY THE RUNTIME").elastic(28, Shorten::End),
        Column::right("bytes"),
        Column::right("resident").droppable(1),
        Column::left("given back by").droppable(2),
    ]);
    let [goes_on, last] = page.glyphs.branches;
    let rows = [
        row(
            "",
            "pages in no span, not returned",
            "unreturned_bytes",
            idle.unreturned_bytes,
        )
        .resident(idle.unreturned_resident_bytes)
        .back("the scavenger"),
        row(last, "in page caches of Ps", "page_cache_bytes", idle.page_cache_bytes).back("a GC"),
        row("", "free slots in used spans", "span_free_bytes", idle.span_free_bytes).back("freeing whole spans"),
        row(
            goes_on,
            "in spans listed by mcentrals",
            "mcentral_free_bytes",
            idle.mcentral_free_bytes,
        ),
        row(
            last,
            "in spans cached by Ps",
            "mcache_free_bytes",
            idle.mcache_free_bytes,
        ),
        row(
            "",
            "garbage not swept yet",
            "unswept_garbage_bytes",
            idle.unswept_garbage_bytes,
        )
        .back("the running sweep"),
        row("", "stacks kept for reuse", "free_stack_bytes", idle.free_stack_bytes).back("a GC"),
    ];
    for row in rows {
        let resident = match row.resident {
            Some(resident) => page.cell(page.bytes("/idle/unreturned_resident_bytes", resident)),
            None => Cell::empty(),
        };
        grid.row(vec![
            Cell::plain(format!("{}{}", row.branch, row.label)),
            page.cell(page.bytes(&format!("/idle/{}", row.key), row.bytes)),
            resident,
            Cell::faint(row.back),
        ]);
    }
    let now = page.bytes("/idle/returnable_now_bytes", idle.returnable_now_bytes);
    grid.row(vec![
        Cell::strong("returnable at once"),
        Cell::strong(now),
        Cell::empty(),
        Cell::empty(),
    ]);
    let after = idle.returnable_after_gc;
    let pointer = "/idle/returnable_after_gc";
    let least = page.bytes(pointer, after.map(|bounds| bounds.at_least_bytes));
    grid.row(vec![
        Cell::strong("returnable after a GC, at least"),
        Cell::strong(least),
        Cell::empty(),
        Cell::empty(),
    ]);
    if let Some(most) = after.and_then(|bounds| bounds.at_most_bytes) {
        let most = page.bytes(pointer, Some(most));
        grid.row(vec![
            Cell::plain("                        at most"),
            Cell::plain(most),
            Cell::empty(),
            Cell::empty(),
        ]);
    }
    page.grid(&grid);
    page.explain(&["/idle"]);
}

/// One kind of free memory.
struct Row {
    branch: &'static str,
    label: &'static str,
    key: &'static str,
    bytes: Option<u64>,
    /// `None`: the report does not tell residency apart here.
    resident: Option<Option<u64>>,
    back: &'static str,
}

fn row(branch: &'static str, label: &'static str, key: &'static str, bytes: Option<u64>) -> Row {
    Row {
        branch,
        label,
        key,
        bytes,
        resident: None,
        back: "",
    }
}

impl Row {
    fn resident(self, resident: Option<u64>) -> Row {
        Row {
            resident: Some(resident),
            ..self
        }
    }

    fn back(self, back: &'static str) -> Row {
        Row { back, ..self }
    }
}
