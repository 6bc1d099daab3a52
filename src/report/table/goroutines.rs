//! Goroutines by what they wait for and who created them, most first.

use super::grid::{Cell, Column, Grid};
use super::line::Line;
use super::page::{INDENT, Item, Page, faint, plain};
use super::text::Shorten;
use crate::model::{AgeHistogram, ByCreator, ByWaitReason, GoroutineGroup, Goroutines};
use crate::units;

/// The section "goroutines".
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    let goroutines = &report.goroutines;
    if goroutines.total.is_none() && goroutines.by_status.is_none() {
        let text = page
            .missing("/goroutines")
            .unwrap_or_else(|| "nothing to show".to_owned());
        page.heading("GOROUTINES", &[faint(text)]);
        return;
    }
    page.heading("GOROUTINES", &summary(page, goroutines));
    match (&goroutines.groups, &goroutines.by_wait_reason, &goroutines.by_creator) {
        (Some(groups), ..) => by_group(page, groups),
        (None, reasons, creators) => {
            by_reason(page, reasons.as_deref().unwrap_or_default());
            by_creator(page, creators.as_deref().unwrap_or_default());
        }
    }
    if let Some(ages) = &goroutines.age_histogram {
        waits(page, ages);
    }
    page.explain(&["/goroutines"]);
}

fn summary(page: &Page<'_>, goroutines: &Goroutines) -> Vec<Item> {
    let total = page.count("/goroutines/total", goroutines.total);
    let mut items = vec![match goroutines.system {
        Some(system) => plain(format!("{total} ({} of the runtime)", units::count(system))),
        None => plain(total),
    }];
    let mut by_status: Vec<(&String, &u64)> = goroutines
        .by_status
        .iter()
        .flatten()
        .filter(|(_, count)| **count > 0)
        .collect();
    by_status.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    items.extend(
        by_status
            .iter()
            .map(|(status, count)| plain(format!("{status} {}", units::count(**count)))),
    );
    items
}

fn by_group(page: &mut Page<'_>, groups: &[GoroutineGroup]) {
    let mut grid = Grid::new(vec![
        Column::right("count"),
        Column::left("waits for").elastic(16, Shorten::End),
        Column::left("created by").elastic(16, Shorten::Function),
        Column::left("at").droppable(2).elastic(16, Shorten::Path),
        Column::right("for at least").droppable(1),
    ]);
    for group in groups.iter().take(page.options.top) {
        let waits_for = match &group.reason {
            Some(reason) => Cell::plain(page.safe(reason)),
            None => Cell::faint(format!("({})", page.safe(&group.status))),
        };
        grid.row(vec![
            Cell::plain(units::count(group.count)),
            waits_for,
            function(page, group.function.as_deref()),
            place(page, group.file.as_deref(), group.line),
            wait(page, group.oldest_wait_ns),
        ]);
    }
    page.grid(&grid);
    page.rest(groups.len().min(page.options.top), groups.len(), "group", "groups");
}

fn by_reason(page: &mut Page<'_>, reasons: &[ByWaitReason]) {
    if reasons.is_empty() {
        return;
    }
    let mut grid = Grid::new(vec![
        Column::right("count"),
        Column::left("waits for").elastic(10, Shorten::End),
        Column::right("for at least").droppable(1),
    ]);
    for reason in reasons.iter().take(page.options.top) {
        grid.row(vec![
            Cell::plain(units::count(reason.count)),
            Cell::plain(page.safe(&reason.reason)),
            wait(page, reason.oldest_wait_ns),
        ]);
    }
    page.grid(&grid);
    page.rest(reasons.len().min(page.options.top), reasons.len(), "reason", "reasons");
}

fn by_creator(page: &mut Page<'_>, creators: &[ByCreator]) {
    if creators.is_empty() {
        return;
    }
    let mut grid = Grid::new(vec![
        Column::right("count"),
        Column::left("created by").elastic(16, Shorten::Function),
        Column::left("at").droppable(1).elastic(16, Shorten::Path),
    ]);
    for creator in creators.iter().take(page.options.top) {
        grid.row(vec![
            Cell::plain(units::count(creator.count)),
            function(page, creator.function.as_deref()),
            place(page, creator.file.as_deref(), creator.line),
        ]);
    }
    page.grid(&grid);
    page.rest(
        creators.len().min(page.options.top),
        creators.len(),
        "creator",
        "creators",
    );
}

fn waits(page: &mut Page<'_>, ages: &AgeHistogram) {
    let mut items: Vec<Item> = Vec::new();
    for (index, (edge, count)) in ages.edges_ns.iter().zip(&ages.counts).enumerate() {
        if *count == 0 {
            continue;
        }
        let edge_text = units::duration(*edge);
        let range = match (edge, ages.edges_ns.get(index + 1)) {
            (0, Some(next)) => format!("under {}", units::duration(*next)),
            (_, Some(next)) => format!("{edge_text} to {}", units::duration(*next)),
            (_, None) => format!("{}{edge_text}", page.glyphs.at_least),
        };
        items.push(faint(format!("{range}: {}", units::count(*count))));
    }
    if let Some(count) = ages.unstamped.filter(|count| *count > 0) {
        items.push(faint(format!("since the last GC: {}", units::count(count))));
    }
    if !items.is_empty() {
        items.insert(0, faint("waiting"));
        page.flow(Line::default(), INDENT, &items);
    }
}

fn function(page: &Page<'_>, name: Option<&str>) -> Cell {
    name.map_or_else(|| Cell::faint("no creator"), |name| Cell::plain(page.safe(name)))
}

/// "serve.go:88": the directories are in JSON.
fn place(page: &Page<'_>, file: Option<&str>, line: Option<u64>) -> Cell {
    let Some(file) = file else { return Cell::empty() };
    let file = page.safe(file.rsplit('/').next().unwrap_or(file));
    Cell::faint(line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
}

fn wait(page: &Page<'_>, oldest: Option<u64>) -> Cell {
    oldest.map_or_else(
        || Cell::faint(page.glyphs.none),
        |wait| Cell::plain(units::duration(wait)),
    )
}
