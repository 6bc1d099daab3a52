//! `runtime.MemStats` as the program would see it, for those who know its fields by heart.

use super::grid::{Cell, Column, Grid};
use super::page::{Page, faint};
use crate::model::MemStats;
use crate::units;

/// What a field counts.
enum Kind {
    Bytes,
    Count,
    Time,
    Moment,
}

/// The section "memstats".
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    let stats = &report.memstats;
    if *stats == MemStats::default() {
        let text = page
            .missing("/memstats")
            .unwrap_or_else(|| "nothing to show".to_owned());
        page.heading("MEMSTATS", &[faint(text)]);
        return;
    }
    page.gap();
    let mut grid = Grid::new(vec![
        Column::heading("MEMSTATS"),
        Column::right("value"),
        Column::right("").droppable(1),
    ]);
    for (name, value, kind) in fields(stats) {
        let human = value.map(|value| match kind {
            Kind::Bytes if value == u64::MAX => "GC off".to_owned(),
            Kind::Bytes => units::bytes(value),
            Kind::Time => units::duration(value),
            Kind::Count | Kind::Moment => String::new(),
        });
        grid.row(vec![
            Cell::plain(name),
            page.cell(page.figure(&format!("/memstats/{name}"), value.map(|value| value.to_string()))),
            Cell::faint(human.unwrap_or_default()),
        ]);
    }
    let fraction = stats.gc_cpu_fraction.map(|value| format!("{value:.6}"));
    grid.row(vec![
        Cell::plain("GCCPUFraction"),
        page.cell(page.figure("/memstats/GCCPUFraction", fraction)),
        Cell::faint(stats.gc_cpu_fraction.map(units::fraction).unwrap_or_default()),
    ]);
    page.grid(&grid);
    page.explain(&["/memstats"]);
}

fn fields(stats: &MemStats) -> [(&'static str, Option<u64>, Kind); 25] {
    [
        ("Alloc", stats.alloc, Kind::Bytes),
        ("TotalAlloc", stats.total_alloc, Kind::Bytes),
        ("Sys", stats.sys, Kind::Bytes),
        ("Mallocs", stats.mallocs, Kind::Count),
        ("Frees", stats.frees, Kind::Count),
        ("HeapAlloc", stats.heap_alloc, Kind::Bytes),
        ("HeapSys", stats.heap_sys, Kind::Bytes),
        ("HeapIdle", stats.heap_idle, Kind::Bytes),
        ("HeapInuse", stats.heap_inuse, Kind::Bytes),
        ("HeapReleased", stats.heap_released, Kind::Bytes),
        ("HeapObjects", stats.heap_objects, Kind::Count),
        ("StackInuse", stats.stack_inuse, Kind::Bytes),
        ("StackSys", stats.stack_sys, Kind::Bytes),
        ("MSpanInuse", stats.mspan_inuse, Kind::Bytes),
        ("MSpanSys", stats.mspan_sys, Kind::Bytes),
        ("MCacheInuse", stats.mcache_inuse, Kind::Bytes),
        ("MCacheSys", stats.mcache_sys, Kind::Bytes),
        ("BuckHashSys", stats.buck_hash_sys, Kind::Bytes),
        ("GCSys", stats.gc_sys, Kind::Bytes),
        ("OtherSys", stats.other_sys, Kind::Bytes),
        ("NextGC", stats.next_gc, Kind::Bytes),
        ("LastGC", stats.last_gc, Kind::Moment),
        ("PauseTotalNs", stats.pause_total_ns, Kind::Time),
        ("NumGC", stats.num_gc, Kind::Count),
        ("NumForcedGC", stats.num_forced_gc, Kind::Count),
    ]
}
