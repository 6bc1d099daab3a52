//! From a decoded snapshot to the report: runs the analyses, and notes for every section that is missing why it is.

use super::host::HostSide;
use super::scan::Scanned;
use crate::analysis::{
    Clock, FindingFacts, HeapKinds, IdleFacts, Resident, SpanFacts, SpanSums, checks, findings, free_goroutines, gc,
    goroutines, idle, large_objects, ledger, memstats, processors, size_classes, verdict,
};
use crate::goruntime::marks::Marks;
use crate::goruntime::mspan::Span;
use crate::goruntime::snapshot::Snapshot;
use crate::model::{AttachReport, Grade, Graded, Idle, LargeObjects, Unavailable};

/// What all spans come to.
pub fn span_sums(snapshot: &Snapshot, marks: Option<&Marks>, host: &HostSide) -> Option<SpanSums> {
    let resident = host.resident();
    Some(SpanSums::of(&SpanFacts {
        spans: snapshot.spans.as_ref().ok()?,
        places: snapshot.places.as_ref().ok(),
        manual: snapshot.manual.as_ref().ok(),
        marks,
        sweepgen: snapshot.gc.as_ref().ok().map(|gc| gc.sweepgen),
        resident: resident.as_ref().map(|resident| resident as &Resident<'_>),
    }))
}

/// Fills the report's sections about the Go runtime and its memory. The head (process, host, capture) is already there.
pub fn assemble(
    report: &mut AttachReport,
    scanned: &Scanned,
    host: &HostSide,
    type_name: &dyn Fn(&Span) -> Option<String>,
) {
    let snapshot = &scanned.snapshot;
    let runtime = &scanned.runtime;
    note_missing(report, scanned);
    let spans = snapshot.spans.as_ref().ok();
    let places = snapshot.places.as_ref().ok();
    let state = snapshot.gc.as_ref().ok();
    let stats = snapshot.memstats.as_ref().ok();
    let ps = snapshot.processors.as_ref().ok();
    let gs = snapshot.goroutines.as_ref().ok();
    let marks = scanned.marks.as_ref();
    let sums = scanned.sums.as_ref();
    let resident = host.resident();
    let resident = resident.as_ref().map(|resident| resident as &Resident<'_>);

    report.process.gomaxprocs = ps.map(|ps| ps.gomaxprocs);
    report.capture.checks = checks(snapshot, &runtime.layout, &runtime.variant, &scanned.frames, sums);
    let heap: Option<HeapKinds> = sums.and_then(|sums| sums.heap).zip(state).map(|(mut heap, gc)| {
        heap.fill_in_marked(gc.heap_marked);
        heap
    });
    if let Some(stats) = stats {
        report.memstats = memstats(stats, state);
    }
    let facts = IdleFacts {
        pages: snapshot.pages.as_ref().ok(),
        spans: sums,
        placed: places.is_some(),
        heap: heap.as_ref(),
        manual: snapshot.manual.as_ref().ok(),
        processors: ps,
        free_goroutines: gs.map(|gs| &gs.free),
        marks_known: marks.is_some(),
    };
    report.idle = match facts.pages.is_some() || facts.spans.is_some() {
        true => idle(&facts, resident),
        false => Idle::default(),
    };
    report.ledger = ledger(&facts, stats, &host.mappings, host.rss, resident);
    report.size_classes = sums.zip(state).map(|(sums, _)| size_classes(sums, places.is_some()));
    report.large_objects = sums.zip(spans).map_or_else(LargeObjects::default, |(sums, spans)| {
        large_objects(sums, spans, type_name)
    });
    report.processors = ps.map(|ps| processors(ps, sums, state.map(|gc| gc.sweepgen)));
    report.idle_count = ps.map(|ps| ps.idle_by_sched);
    report.retired_count = ps.map(|ps| ps.retired);
    report.free_mcaches = ps.and_then(|ps| ps.free_mcaches);
    if let Some(gs) = gs {
        let now = report.captured_monotonic_ns;
        report.goroutines = goroutines(gs, &runtime.variant, &scanned.frames, &scanned.wait_reasons, now);
        if scanned.symbols_missing.is_some() {
            // Without names the runtime's own cannot be told from the program's.
            let goroutines = &mut report.goroutines;
            (goroutines.user, goroutines.system) = (None, None);
            (goroutines.by_creator, goroutines.groups) = (None, None);
        }
        report.free_goroutines = free_goroutines(&gs.free, &runtime.layout);
    }
    if let Some(state) = state {
        let since = heap.as_ref().filter(|_| marks.is_some()).map(|heap| heap.bytes.since);
        let clock = report.captured_monotonic_ns.map(|monotonic_ns| Clock { monotonic_ns });
        report.gc = gc(state, stats, since, clock);
    }
    consistency(report, snapshot, sums);
    grades(report, heap.as_ref());
    host.grade(report);
    conclude(report, host);
}

/// Findings come last: they look at the finished sections.
fn conclude(report: &mut AttachReport, host: &HostSide) {
    let lazily_freed = report.gc.debug.as_ref().and_then(|debug| debug.get("madvdontneed")) == Some(&0);
    let facts = FindingFacts {
        capture: &report.capture,
        ledger: &report.ledger,
        idle: &report.idle,
        memstats: &report.memstats,
        size_classes: report.size_classes.as_deref().unwrap_or_default(),
        large_objects: &report.large_objects,
        goroutines: &report.goroutines,
        free_goroutines: &report.free_goroutines,
        gc: &report.gc,
        cgroup: report.cgroup.as_ref(),
        lazily_freed,
        largest_file: host.largest_file.as_ref(),
    };
    let found = findings(&facts);
    let verdict = verdict(&facts, &found);
    report.findings = found;
    report.verdict = verdict;
}

/// Whether the figures are of one moment, and what did not fit.
fn consistency(report: &mut AttachReport, snapshot: &Snapshot, sums: Option<&SpanSums>) {
    let mut anomalies = report.capture.checks.iter().filter(|check| !check.ok).count() as u64;
    if let Ok(spans) = &snapshot.spans {
        anomalies += spans.unreadable + spans.impossible + spans.overlapping;
        if let Some(error) = &spans.first_error {
            let bad = spans.unreadable + spans.impossible;
            report.warn(
                "size_classes",
                format!("{bad} spans could not be read; the first: {error}"),
            );
        }
    }
    if let Ok(gs) = &snapshot.goroutines {
        anomalies += gs.unreadable + gs.impossible + gs.free.broken_lists;
        if let Some(error) = &gs.first_error {
            let bad = gs.unreadable + gs.impossible;
            report.warn(
                "goroutines",
                format!("{bad} goroutines could not be read; the first: {error}"),
            );
        }
    }
    if let Ok(ps) = &snapshot.processors {
        anomalies += ps.unreadable;
        if let Some(error) = &ps.first_error {
            report.warn(
                "processors",
                format!("{} Ps could not be read; the first: {error}", ps.unreadable),
            );
        }
    }
    if let Ok(pages) = &snapshot.pages
        && pages.unreadable_chunks > 0
    {
        anomalies += pages.unreadable_chunks;
        report.warn(
            "idle",
            format!(
                "the page bitmaps of {} chunks could not be read",
                pages.unreadable_chunks
            ),
        );
    }
    if let Some(marks) = sums.and_then(|sums| sums.marks)
        && marks.missing() > 0
    {
        let message = format!(
            "the mark bits of {} of {} spans were not had (the target went on sweeping); what is marked live in them is \
             estimated from the runtime's own sum",
            marks.missing(),
            marks.missing() + marks.accepted,
        );
        report.warn("ledger", message);
    }
    report.capture.anomalies = anomalies;
    report.capture.consistent = anomalies == 0 && report.capture.incomplete.is_none();
}

/// Names the figures that are not exact.
fn grades(report: &mut AttachReport, heap: Option<&HeapKinds>) {
    let rows = report.ledger.rows.iter().enumerate();
    let mut graded: Vec<Graded> = rows
        .filter(|(_, row)| row.grade != Grade::Exact)
        .map(|(index, row)| Graded {
            pointer: format!("/ledger/rows/{index}"),
            grade: row.grade,
        })
        .collect();
    let since = if heap.is_some_and(|heap| heap.unknown_spans == 0) {
        Grade::Derived
    } else {
        Grade::Estimated
    };
    for (pointer, grade) in [
        ("/gc/allocated_since_gc_bytes", since),
        ("/gc/heap_live_bytes", Grade::Estimated),
        ("/idle/returnable_after_gc", Grade::Estimated),
        ("/idle/returnable_now_bytes", Grade::Derived),
    ] {
        graded.push(Graded {
            pointer: pointer.into(),
            grade,
        });
    }
    report.grades = graded;
}

/// Lists the sections that could not be decoded, with the reason.
fn note_missing(report: &mut AttachReport, scanned: &Scanned) {
    let snapshot = &scanned.snapshot;
    let mut note = |pointers: &[&str], reason: Option<String>| {
        for pointer in pointers.iter().filter(|_| reason.is_some()) {
            let reason = reason.clone().unwrap_or_default();
            report.unavailable.push(Unavailable {
                pointer: (*pointer).to_owned(),
                reason,
            });
        }
    };
    fn reason<T>(section: &crate::goruntime::snapshot::Section<T>) -> Option<String> {
        section.as_ref().err().map(|error| error.to_string())
    }
    note(
        &["/size_classes", "/large_objects", "/idle/span_free_bytes"],
        reason(&snapshot.spans),
    );
    note(&["/idle/unreturned_bytes"], reason(&snapshot.pages));
    note(
        &["/processors", "/idle_count", "/retired_count", "/free_mcaches"],
        reason(&snapshot.processors),
    );
    note(&["/memstats"], reason(&snapshot.memstats));
    note(&["/goroutines", "/free_goroutines"], reason(&snapshot.goroutines));
    note(&["/gc"], reason(&snapshot.gc));
    note(
        &["/idle/mcache_free_bytes", "/idle/mcentral_free_bytes"],
        reason(&snapshot.places),
    );
    note(&["/idle/free_stack_bytes"], reason(&snapshot.manual));
    if let Ok(ps) = &snapshot.processors
        && ps.free_mcaches.is_none()
    {
        note(
            &["/free_mcaches"],
            Some("the chain of free mcaches could not be followed to its end".into()),
        );
    }
    if let Some(why) = &scanned.marks_missing {
        note(
            &["/idle/unswept_garbage_bytes", "/gc/allocated_since_gc_bytes"],
            Some(why.clone()),
        );
    }
    if let Some(why) = &scanned.symbols_missing {
        note(
            &[
                "/goroutines/user",
                "/goroutines/system",
                "/goroutines/by_creator",
                "/goroutines/groups",
            ],
            Some(why.clone()),
        );
    }
    if let Some(why) = &scanned.wait_reasons_missing {
        note(&["/goroutines/by_wait_reason"], Some(why.clone()));
    }
}
