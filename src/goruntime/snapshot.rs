//! Decode: from captured bytes to plain data. Sections that cannot be decoded are left out with their reason; the
//! rest still comes.

use super::arenas::Arenas;
use super::cursor::{DecodeError, Fields, View};
use super::gc::Gc;
use super::globals::Globals;
use super::goroutines::Goroutines;
use super::layout::Layout;
use super::mcentral::Places;
use super::memstats::MemStats;
use super::pagealloc::{PageAlloc, PageCache};
use super::processors::Processors;
use super::spans::Spans;
use super::stacks::ManualSpans;
use super::variants::Variant;
use crate::memory::{Memory, Missing};
use crate::spare;

/// One section of the snapshot: its data, or why it could not be decoded.
pub type Section<T> = Result<T, DecodeError>;

/// The runtime as it stood at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// `mheap_.sweepgen`.
    pub sweepgen: Section<u32>,
    /// Every span.
    pub spans: Section<Spans>,
    /// The page allocator.
    pub pages: Section<PageAlloc>,
    /// Arena metadata.
    pub arenas: Section<Arenas>,
    /// Every P.
    pub processors: Section<Processors>,
    /// Where each span is held.
    pub places: Section<Places>,
    /// Stacks and work buffers.
    pub manual: Section<ManualSpans>,
    /// What ReadMemStats would say.
    pub memstats: Section<MemStats>,
    /// Goroutines.
    pub goroutines: Section<Goroutines>,
    /// The collector.
    pub gc: Section<Gc>,
}

impl Snapshot {
    /// Whether the runtime has made nothing yet, no P, no goroutine and no span: its program has only just begun, or
    /// something else runs in its place.
    pub fn is_blank(&self) -> bool {
        match (&self.processors, &self.goroutines, &self.spans) {
            (Ok(ps), Ok(gs), Ok(spans)) => ps.live.is_empty() && gs.all.is_empty() && spans.count() == 0,
            _ => false,
        }
    }

    /// Decodes everything that the summary planner captured.
    pub fn decode(memory: &dyn Memory, layout: &Layout, variant: &Variant, globals: &Globals) -> Snapshot {
        let (spans, gc) = first_sections(memory, layout, variant, globals);
        let rest = Rest::decode(memory, layout, variant, globals, &spans);
        rest.with(spans, gc)
    }

    /// The same; `beside` is done as soon as there are spans and what the collector says of itself, meanwhile where a
    /// CPU is to spare, else before all the rest.
    pub fn decode_beside<T: Send>(
        memory: &dyn Memory,
        layout: &Layout,
        variant: &Variant,
        globals: &Globals,
        beside: impl Fn(&Section<Spans>, &Section<Gc>) -> T + Sync,
    ) -> (Snapshot, T) {
        let (spans, gc) = first_sections(memory, layout, variant, globals);
        let (done, rest) = spare::beside(
            || beside(&spans, &gc),
            || Rest::decode(memory, layout, variant, globals, &spans),
        );
        (rest.with(spans, gc), done)
    }
}

/// The spans, and what the collector says of itself.
fn first_sections(
    memory: &dyn Memory,
    layout: &Layout,
    variant: &Variant,
    globals: &Globals,
) -> (Section<Spans>, Section<Gc>) {
    let spans = whole_enough(Spans::decode(memory, layout, variant, globals.mheap), |spans| Missed {
        missing: spans.unreadable,
        there: spans.live + spans.dead,
        first: spans.first_error,
    });
    (spans, Gc::decode(memory, layout, variant, globals))
}

/// The sections that come after the spans and the collector.
struct Rest {
    sweepgen: Section<u32>,
    pages: Section<PageAlloc>,
    arenas: Section<Arenas>,
    processors: Section<Processors>,
    places: Section<Places>,
    manual: Section<ManualSpans>,
    memstats: Section<MemStats>,
    goroutines: Section<Goroutines>,
}

impl Rest {
    fn decode(
        memory: &dyn Memory,
        layout: &Layout,
        variant: &Variant,
        globals: &Globals,
        spans: &Section<Spans>,
    ) -> Rest {
        let sweepgen = View::new(memory, "mheap_", globals.mheap).u32(layout.mheap.sweepgen);
        let processors = whole_enough(Processors::decode(memory, layout, globals), |ps| Missed {
            missing: ps.unreadable,
            there: ps.live.len() as u64,
            first: ps.first_error,
        });
        let caches: Vec<PageCache> = processors
            .iter()
            .flat_map(|ps| ps.live.iter().map(|p| p.page_cache))
            .collect();
        let pages = PageAlloc::decode(memory, layout, variant, globals.mheap, &caches);
        let pages = whole_enough(pages, |pages| Missed {
            missing: pages.unreadable_chunks,
            there: pages.chunks,
            first: pages.first_error,
        });
        let arenas = (pages.as_ref().map_err(|error| *error))
            .and_then(|pages| Arenas::decode(memory, layout, variant, globals, pages));
        let heap = || spans.as_ref().map_err(|error| *error);
        let places = heap().and_then(|spans| {
            let ps = processors.as_ref().map_err(|error| *error)?;
            Ok(Places::find(memory, layout, globals.mheap, sweepgen?, spans, ps))
        });
        let places = whole_enough(places, |places| Missed {
            missing: places.unreadable_sets,
            there: 0,
            first: places.first_error,
        });
        let manual = heap().and_then(|spans| ManualSpans::decode(memory, layout, globals, spans));
        let memstats = heap().and_then(|spans| {
            let ps = processors.as_ref().map_err(|error| *error)?;
            MemStats::decode(memory, layout, globals, spans, ps)
        });
        let goroutines = Goroutines::decode(memory, layout, variant, globals, processors.as_ref().ok());
        let goroutines = whole_enough(goroutines, |gs| Missed {
            missing: gs.unreadable,
            there: gs.all.len() as u64,
            first: gs.first_error,
        });
        Rest {
            sweepgen,
            pages,
            arenas,
            processors,
            places,
            manual,
            memstats,
            goroutines,
        }
    }

    fn with(self, spans: Section<Spans>, gc: Section<Gc>) -> Snapshot {
        Snapshot {
            sweepgen: self.sweepgen,
            spans,
            pages: self.pages,
            arenas: self.arenas,
            processors: self.processors,
            places: self.places,
            manual: self.manual,
            memstats: self.memstats,
            goroutines: self.goroutines,
            gc,
        }
    }
}

impl Snapshot {
    /// The first section whose content makes no sense; what could not be read is no such section.
    pub fn nonsense(&self) -> Option<DecodeError> {
        let errors = [
            self.sweepgen.as_ref().err(),
            self.spans.as_ref().err(),
            self.pages.as_ref().err(),
            self.arenas.as_ref().err(),
            self.processors.as_ref().err(),
            self.places.as_ref().err(),
            self.manual.as_ref().err(),
            self.memstats.as_ref().err(),
            self.goroutines.as_ref().err(),
            self.gc.as_ref().err(),
        ];
        let mut found = errors.into_iter().flatten();
        found
            .find(|error| matches!(error, DecodeError::Invalid { .. }))
            .copied()
    }
}

/// How much of a section could not be read.
struct Missed {
    missing: u64,
    there: u64,
    first: Option<DecodeError>,
}

/// A section of which more than one structure in a hundred was left out by the capture, or is swapped out, is not had at
/// all: sums over the rest would be taken for the whole. Single structures that cannot be read for their own reasons are merely counted.
fn whole_enough<T>(section: Section<T>, missed: impl Fn(&T) -> Missed) -> Section<T> {
    let section = section?;
    let Missed { missing, there, first } = missed(&section);
    match first {
        Some(error @ DecodeError::Missing { source, .. })
            if matches!(
                source.why,
                Missing::BudgetSpent | Missing::NotCaptured | Missing::Swapped
            ) && missing.saturating_mul(100) > there =>
        {
            Err(error)
        }
        _ => Ok(section),
    }
}
