//! Runs every analysis on a scan, as a report does.

use gomemscan::analysis::{self, Clock, FindingFacts, IdleFacts, MappingKind, MappingRow, Near, RssFacts};
use gomemscan::memory::{Addr, Range};
use gomemscan::model::{Capture, FreeGoroutines, Gc, Goroutines, Idle, LargeObjects, Ledger, MemStats};

use crate::synth::{Scan, SynthTarget};

/// Everything that was computed and that tests look at.
pub struct Sections {
    pub ledger: Ledger,
    pub idle: Idle,
}

/// All sections, with every page resident.
pub fn everything(target: &SynthTarget, scan: &Scan) -> Sections {
    with(target, scan, &|range| range.len, &[])
}

/// All sections, with a made-up residency and made-up mappings outside the heap.
pub fn with(
    target: &SynthTarget,
    scan: &Scan,
    resident: &(dyn Fn(Range) -> u64 + Sync),
    mappings: &[MappingRow],
) -> Sections {
    let s = &scan.snapshot;
    let (spans, ps) = (s.spans.as_ref().ok(), s.processors.as_ref().ok());
    let (gc, gs, stats) = (s.gc.as_ref().ok(), s.goroutines.as_ref().ok(), s.memstats.as_ref().ok());
    let sweepgen = gc.map(|gc| gc.sweepgen);
    let marks = target.marks(scan);
    let frames = target.frames(scan);
    let resident = |range: Range, _: &mut Near| resident(range);
    let sums = Scan::sums(s, marks.as_ref(), Some(&resident));
    let sums = sums.as_ref();
    let facts = IdleFacts {
        pages: s.pages.as_ref().ok(),
        spans: sums,
        placed: s.places.is_ok(),
        heap: sums.and_then(|sums| sums.heap.as_ref()),
        manual: s.manual.as_ref().ok(),
        processors: ps,
        free_goroutines: gs.map(|gs| &gs.free),
        marks_known: marks.is_some(),
    };
    let idle = analysis::idle(&facts, Some(&resident));
    let extra = [MappingRow {
        range: Range::new(Addr(0x1000), 0x5000),
        kind: MappingKind::Other,
    }];
    let rows = if mappings.is_empty() { &extra } else { mappings };
    let rss = RssFacts {
        page_level: Some(1 << 30),
        statm: None,
        swap: Some(1 << 21),
    };
    let ledger = analysis::ledger(&facts, stats, rows, rss, Some(&resident));
    let classes = sums
        .map(|sums| analysis::size_classes(sums, s.places.is_ok()))
        .unwrap_or_default();
    let large = sums.zip(spans).map_or_else(LargeObjects::default, |(sums, spans)| {
        analysis::large_objects(sums, spans, &|_| None)
    });
    if let Some(ps) = ps {
        analysis::processors(ps, sums, sweepgen);
    }
    let now = Clock {
        monotonic_ns: 100_000_000_000,
    };
    let groups = gs.map_or_else(Goroutines::default, |gs| {
        analysis::goroutines(gs, &scan.variant, &frames, &[], Some(now.monotonic_ns))
    });
    findings(Parts {
        capture: Capture {
            checks: target.checks(scan),
            ..Capture::default()
        },
        ledger: &ledger,
        idle: &idle,
        memstats: stats.map_or_else(MemStats::default, |stats| analysis::memstats(stats, gc)),
        classes: &classes,
        large: &large,
        groups: &groups,
        free: gs.map_or_else(FreeGoroutines::default, |gs| {
            analysis::free_goroutines(&gs.free, &scan.layout)
        }),
        gc: gc.map_or_else(Gc::default, |gc| analysis::gc(gc, stats, None, Some(now))),
    });
    Sections { ledger, idle }
}

struct Parts<'a> {
    capture: Capture,
    ledger: &'a Ledger,
    idle: &'a Idle,
    memstats: MemStats,
    classes: &'a [gomemscan::model::SizeClass],
    large: &'a LargeObjects,
    groups: &'a Goroutines,
    free: FreeGoroutines,
    gc: Gc,
}

fn findings(parts: Parts<'_>) {
    // Shares are taken of RSS, or of Sys where RSS is not known.
    let blind = Ledger {
        rss_bytes: None,
        ..parts.ledger.clone()
    };
    for ledger in [parts.ledger, &blind] {
        let facts = FindingFacts {
            largest_file: None,
            capture: &parts.capture,
            ledger,
            idle: parts.idle,
            memstats: &parts.memstats,
            size_classes: parts.classes,
            large_objects: parts.large,
            goroutines: parts.groups,
            free_goroutines: &parts.free,
            gc: &parts.gc,
            cgroup: None,
            lazily_freed: false,
        };
        let found = analysis::findings(&facts);
        analysis::verdict(&facts, &found);
    }
}
