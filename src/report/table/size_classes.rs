//! Size classes by how much they hold free, worst first.

use super::bar::spark;
use super::grid::{Cell, Column, Grid};
use super::page::{Page, faint};
use crate::model::SizeClass;
use crate::units;

/// The section "size classes".
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    let Some(classes) = &report.size_classes else {
        let text = page
            .missing("/size_classes")
            .unwrap_or_else(|| "nothing to show".to_owned());
        page.heading("SIZE CLASSES", &[faint(text)]);
        return;
    };
    let mut used: Vec<(usize, &SizeClass)> = classes
        .iter()
        .enumerate()
        .filter(|(_, class)| class.spans > 0)
        .collect();
    if used.is_empty() {
        page.heading("SIZE CLASSES", &[faint("no span in use")]);
        return;
    }
    used.sort_by_key(|(_, class)| std::cmp::Reverse((class.free_bytes, class.span_bytes)));
    page.gap();
    let mut grid = Grid::new(vec![
        Column::heading("SIZE CLASSES"),
        Column::right("spans").droppable(1),
        Column::right("span bytes").droppable(2),
        Column::right("free slots"),
        Column::right("full"),
        Column::left("empty..full").droppable(3),
        Column::right("cached").droppable(4),
        Column::right("garbage").droppable(5),
    ]);
    for (index, class) in used.iter().take(page.options.top) {
        let pointer = |key: &str| format!("/size_classes/{index}/{key}");
        let slots = class.objects.saturating_add(class.free_objects);
        grid.row(vec![
            Cell::plain(format!(
                "{:>8} {}",
                format!("{} B", units::count(class.object_bytes)),
                noscan(class)
            )),
            Cell::plain(units::count(class.spans)),
            Cell::plain(page.figure(&pointer("span_bytes"), Some(units::bytes(class.span_bytes)))),
            Cell::strong(page.figure(&pointer("free_bytes"), Some(units::bytes(class.free_bytes)))),
            Cell::plain(units::share(class.objects, slots)),
            Cell::plain(spark(&class.occupancy_histogram, page.glyphs)),
            page.cell(page.count(&pointer("mcache_spans"), class.mcache_spans)),
            page.cell(page.count(&pointer("garbage_objects"), class.garbage_objects)),
        ]);
    }
    page.grid(&grid);
    page.rest(used.len().min(page.options.top), used.len(), "class", "classes");
    page.explain(&["/size_classes"]);
}

fn noscan(class: &SizeClass) -> &'static str {
    if class.noscan { "noscan" } else { "scan" }
}
