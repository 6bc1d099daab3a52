//! What each P keeps for itself, and what retired Ps and finished goroutines left behind.

use super::grid::{Cell, Column, Grid};
use super::line::Line;
use super::page::{INDENT, Item, Page, faint};
use crate::model::{FreeGoroutines, PStatus, Processor};
use crate::units;

/// The section "caches per P".
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    match &report.processors {
        Some(processors) => caches(page, processors),
        None => {
            let text = page
                .missing("/processors")
                .unwrap_or_else(|| "nothing to show".to_owned());
            page.heading("CACHES PER P", &[faint(text)]);
        }
    }
    leftovers(page);
    page.explain(&[
        "/processors",
        "/idle_count",
        "/retired_count",
        "/free_mcaches",
        "/free_goroutines",
    ]);
}

fn caches(page: &mut Page<'_>, processors: &[Processor]) {
    // Those that hold most, in the order of their numbers.
    let mut shown: Vec<(usize, &Processor)> = processors.iter().enumerate().collect();
    shown.sort_by_key(|(_, processor)| {
        let free = processor.mcache.as_ref().map_or(0, |mcache| mcache.free_bytes);
        std::cmp::Reverse((free, processor.page_cache_bytes))
    });
    shown.truncate(page.options.top);
    shown.sort_by_key(|(_, processor)| processor.id);
    page.gap();
    let mut grid = Grid::new(vec![
        Column::heading("CACHES PER P"),
        Column::right("spans").droppable(2),
        Column::right("free slots"),
        Column::right("page cache"),
        Column::right("stacks").droppable(1),
        Column::left("flushed").droppable(3),
        Column::right("dead Gs").droppable(4),
        Column::right("run queue").droppable(5),
        Column::right("timers").droppable(6),
        Column::right("free mspans").droppable(7),
        Column::right("sudogs").droppable(8),
        Column::right("defers").droppable(9),
    ]);
    for (index, processor) in &shown {
        let pointer = |key: &str| format!("/processors/{index}/{key}");
        let count = |key: &str, value: Option<u64>| page.cell(page.count(&pointer(key), value));
        let mcache = processor.mcache.as_ref();
        let stacks = mcache.and_then(|mcache| mcache.stack_cache_bytes);
        let flushed = mcache.map(|mcache| if mcache.flushed { "yes" } else { "not since GC" }.to_owned());
        grid.row(vec![
            Cell::plain(format!("P{} {}", processor.id, status(processor.status))),
            count("mcache", mcache.map(|mcache| mcache.spans)),
            page.cell(page.bytes(&pointer("mcache"), mcache.map(|mcache| mcache.free_bytes))),
            page.cell(page.bytes(&pointer("page_cache_bytes"), processor.page_cache_bytes)),
            page.cell(page.bytes(&pointer("mcache/stack_cache_bytes"), stacks)),
            page.cell(page.figure(&pointer("mcache"), flushed)),
            count("dead_goroutines", processor.dead_goroutines),
            count("run_queue", processor.run_queue),
            count("timers", processor.timers),
            count("cached_spans", processor.cached_spans),
            count("sudogs", processor.sudogs),
            count("defers", processor.defers),
        ]);
    }
    page.grid(&grid);
    page.rest(shown.len(), processors.len(), "P", "Ps");
}

fn leftovers(page: &mut Page<'_>) {
    let report = page.report;
    let mut items: Vec<Item> = Vec::new();
    items.extend(
        report
            .idle_count
            .map(|count| faint(format!("{} idle", units::counted(count, "P", "Ps")))),
    );
    if let Some(count) = report.retired_count.filter(|count| *count > 0) {
        items.push(faint(format!("{} beyond GOMAXPROCS", units::counted(count, "P", "Ps"))));
    }
    if let Some(count) = report.free_mcaches.filter(|count| *count > 0) {
        items.push(faint(units::counted(count, "free mcache", "free mcaches")));
    }
    if !items.is_empty() {
        page.flow(Line::default(), INDENT, &items);
    }
    let free = &report.free_goroutines;
    if *free == FreeGoroutines::default() {
        return;
    }
    let figure = |key: &str, value| page.count(&format!("/free_goroutines/{key}"), value);
    let items = [
        faint("finished goroutines kept:"),
        faint(format!("{} by Ps", figure("in_processors", free.in_processors))),
        faint(format!("{} with a stack", figure("with_stack", free.with_stack))),
        faint(format!("{} without", figure("without_stack", free.without_stack))),
        faint(format!(
            "{} of g structures, {} of stacks",
            page.bytes("/free_goroutines/bytes", free.bytes),
            page.bytes("/free_goroutines/stack_bytes", free.stack_bytes)
        )),
    ];
    page.flow(Line::default(), INDENT, &items);
}

fn status(status: PStatus) -> &'static str {
    match status {
        PStatus::Idle => "idle",
        PStatus::Running => "running",
        PStatus::Syscall => "syscall",
        PStatus::Gcstop => "gcstop",
        PStatus::Dead => "dead",
        PStatus::Unknown => "unknown",
    }
}
