//! The garbage collector in a few lines: where it is, what it aims for, what it costs, what the scavenger does.

use super::line::{Line, Tone};
use super::page::{INDENT, Item, Page, faint, plain};
use crate::model::{Gc, GcPhase};
use crate::units;

/// Where the text of a line begins.
const BODY: usize = INDENT + 11;

/// The section "GC".
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    let gc = &report.gc;
    if *gc == Gc::default() {
        let text = page.missing("/gc").unwrap_or_else(|| "nothing to show".to_owned());
        page.heading("GC", &[faint(text)]);
        return;
    }
    let items = state(page, gc);
    page.heading("GC", &items);
    let items = heap(page, gc);
    labelled(page, "heap", &items);
    let items = cost(page, gc);
    labelled(page, "cost", &items);
    let items = scavenger(page, gc);
    labelled(page, "scavenger", &items);
    if page.is_verbose() {
        let debug: Vec<Item> = gc
            .debug
            .iter()
            .flatten()
            .map(|(name, value)| faint(format!("{name}={value}")))
            .collect();
        labelled(page, "GODEBUG", &debug);
    }
    page.explain(&["/gc"]);
}

fn labelled(page: &mut Page<'_>, label: &str, items: &[Item]) {
    if items.is_empty() {
        return;
    }
    let mut start = Line::default();
    start.pad_to(INDENT);
    start.push(label, Tone::Faint);
    page.flow(start, BODY, items);
}

fn state(page: &Page<'_>, gc: &Gc) -> Vec<Item> {
    let phase = match (gc.phase, gc.sweep_done) {
        (Some(GcPhase::Mark), _) => "marking".to_owned(),
        (Some(GcPhase::MarkTermination), _) => "ending the mark".to_owned(),
        (Some(GcPhase::Idle), Some(false)) => "idle, sweep under way".to_owned(),
        (Some(GcPhase::Idle), _) => "idle".to_owned(),
        (None, _) => format!("phase {}", page.figure("/gc/phase", None)),
    };
    let mut items = vec![plain(phase)];
    if gc.off == Some(true) {
        items.push(("GOGC=off".to_owned(), Tone::Warning));
    }
    let ago = gc
        .last_gc_age_ns
        .map(|age| format!(", {} ago", units::duration(age)))
        .unwrap_or_default();
    items.push(match gc.cycles {
        Some(0) => plain("no cycle yet"),
        cycles => plain(format!("cycle {}{ago}", page.count("/gc/cycles", cycles))),
    });
    items
}

fn heap(page: &Page<'_>, gc: &Gc) -> Vec<Item> {
    let bytes = |key: &str, value| page.bytes(&format!("/gc/{key}"), value);
    let goal = match gc.heap_goal_bytes {
        None if gc.off == Some(true) => "no goal".to_owned(),
        goal => format!("goal {}", bytes("heap_goal_bytes", goal)),
    };
    let gogc = match (gc.off, gc.gogc) {
        (Some(true), _) => "GOGC=off".to_owned(),
        (_, Some(gogc)) => format!("GOGC={gogc}"),
        (_, None) => format!("GOGC {}", page.figure("/gc/gogc", None)),
    };
    let limit = match gc.memory_limit_bytes {
        Some(limit) => format!("GOMEMLIMIT={}", units::bytes(limit)),
        None if page.report.unavailable_reason("/gc/memory_limit_bytes").is_some() => "GOMEMLIMIT not read".to_owned(),
        None => "no GOMEMLIMIT".to_owned(),
    };
    vec![
        plain(format!(
            "marked live {}",
            bytes("heap_marked_bytes", gc.heap_marked_bytes)
        )),
        plain(format!(
            "allocated since {}",
            bytes("allocated_since_gc_bytes", gc.allocated_since_gc_bytes)
        )),
        plain(format!("{goal} ({gogc}, {limit})")),
    ]
}

fn cost(page: &Page<'_>, gc: &Gc) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(pauses) = &gc.pause_summary {
        items.push(plain(format!(
            "pauses p50 {}, max {} (last {})",
            units::duration(pauses.p50_ns),
            units::duration(pauses.max_ns),
            units::count(pauses.count)
        )));
    } else if page.report.unavailable_reason("/gc/pauses_ns").is_some() {
        items.push(faint("pauses not read"));
    }
    let cpu = gc
        .cpu_fraction_since_start
        .map(|value| format!("{} of CPU since start", units::fraction(value)));
    items.extend(cpu.map(plain));
    items
}

fn scavenger(page: &Page<'_>, gc: &Gc) -> Vec<Item> {
    let Some(scavenger) = &gc.scavenger else {
        let missing = page.report.unavailable_reason("/gc/scavenger").is_some();
        return if missing { vec![faint("not read")] } else { Vec::new() };
    };
    let mut items = Vec::new();
    items.extend(
        scavenger
            .parked
            .map(|parked| plain(if parked { "asleep" } else { "at work" })),
    );
    let goals = [
        ("GOGC", scavenger.gc_percent_goal_bytes),
        ("GOMEMLIMIT", scavenger.memory_limit_goal_bytes),
    ];
    for (name, goal) in goals {
        items.extend(goal.map(|goal| plain(format!("returns what is above {} ({name})", units::bytes(goal)))));
    }
    if scavenger.gc_percent_goal_bytes.is_none() && scavenger.memory_limit_goal_bytes.is_none() {
        items.push(plain("no goal: nothing to return"));
    }
    for (name, bytes) in [
        ("in the background", scavenger.released_background_bytes),
        ("for allocations", scavenger.released_eager_bytes),
    ] {
        items.extend(
            bytes
                .filter(|bytes| *bytes > 0)
                .map(|bytes| faint(format!("returned {} {name}", units::bytes(bytes)))),
        );
    }
    if page.is_verbose() {
        for (name, time) in [
            ("background", scavenger.background_time_ns),
            ("assist", scavenger.assist_time_ns),
        ] {
            items.extend(time.map(|time| faint(format!("{name} {}", units::duration(time)))));
        }
    }
    items
}
