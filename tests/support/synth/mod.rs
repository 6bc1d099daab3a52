//! A Go runtime made up byte by byte: a test says which spans, Ps and goroutines there are, and gets an address space
//! that holds them, the runtime's own books about them, and the truth. It shares no layout and no constant with the
//! crate: offsets are typed in from DWARF dumps, so that a mistake made twice alike is unlikely.

mod accounts;
mod pages;
mod sched;
mod space;
mod spans;
mod spec;
mod tables;
mod target;
mod types;
mod writer;

pub use sched::Functions;
#[allow(unused_imports, reason = "the fuzz targets use them")]
pub use space::{Captured, Space, structures};
pub use spans::Placed;
pub use spec::{FreeList, G, Gc, Held, P, PAGE, Span, State, Sweep, has_inline_marks};
pub use tables::{CLASS_BYTES, CLASS_PAGES};
pub use target::{Scan, SynthTarget};
pub use types::Release;

use pages::Region;
use writer::Writer;

/// A program to be made up.
#[derive(Clone, Debug)]
pub struct Synth {
    release: Release,
    spans: Vec<Span>,
    ps: Vec<P>,
    retired: u64,
    free_mcaches: u64,
    gs: Vec<G>,
    gc: Gc,
    padding: u64,
    idle: u64,
    popped: u64,
    second_region: Option<(u64, u64)>,
}

impl Synth {
    pub fn release(release: Release) -> Synth {
        Synth {
            release,
            spans: Vec::new(),
            ps: vec![P::default()],
            retired: 0,
            free_mcaches: 0,
            gs: Vec::new(),
            gc: Gc::default(),
            padding: 0,
            idle: 0,
            popped: 3,
            second_region: None,
        }
    }

    pub fn span(self, span: Span) -> Synth {
        self.spans([span])
    }

    pub fn spans(mut self, spans: impl IntoIterator<Item = Span>) -> Synth {
        self.spans.extend(spans);
        self
    }

    /// The live Ps, instead of a single idle one.
    pub fn ps(self, ps: impl IntoIterator<Item = P>) -> Synth {
        Synth {
            ps: ps.into_iter().collect(),
            ..self
        }
    }

    /// Ps that GOMAXPROCS retired, and the mcaches they gave back that nobody has taken since.
    pub fn retired(self, retired: u64, free_mcaches: u64) -> Synth {
        Synth {
            retired,
            free_mcaches,
            ..self
        }
    }

    pub fn goroutine(self, g: G) -> Synth {
        self.goroutines([g])
    }

    pub fn goroutines(mut self, gs: impl IntoIterator<Item = G>) -> Synth {
        self.gs.extend(gs);
        self
    }

    pub fn gc(self, gc: Gc) -> Synth {
        Synth { gc, ..self }
    }

    /// Pages at the start of the heap that are allocated, scavenged and in no span (1.26 and later).
    pub fn padding(self, padding: u64) -> Synth {
        Synth { padding, ..self }
    }

    /// Pages free and not returned, behind the spans.
    pub fn idle(self, idle: u64) -> Synth {
        Synth { idle, ..self }
    }

    /// Entries that every span set had popped before.
    pub fn popped(self, popped: u64) -> Synth {
        Synth { popped, ..self }
    }

    /// Another address range of the heap, with so many idle pages.
    pub fn second_region(self, base: u64, idle: u64) -> Synth {
        Synth {
            second_region: Some((base, idle)),
            ..self
        }
    }

    pub fn build(self) -> SynthTarget {
        let mut w = Writer::new(self.release);
        let mut region = Region::first(self.release);
        region.claim(self.padding, true, true);
        let spans = spans::write(&mut w, &mut region, &self.spans, self.gc.sweepgen);
        spans::write_sets(&mut w, &spans, self.gc.sweepgen, self.popped);
        spans::write_lists(&mut w, &spans);
        let sweepgen = self.gc.sweepgen;
        let processors = sched::write_ps(
            &mut w,
            &mut region,
            &self.ps,
            self.retired,
            self.free_mcaches,
            &spans,
            sweepgen,
        );
        region.claim(self.idle, false, false);
        let mut regions = vec![region];
        if let Some((base, idle)) = self.second_region {
            let mut second = Region::at(base);
            second.claim(idle, false, false);
            regions.push(second);
        }
        regions.retain(|region| !region.is_empty());
        regions.sort_by_key(|region| region.base);
        pages::write(&mut w, &regions);
        let mut functions = Functions::default();
        let gs = sched::write_gs(&mut w, &self.gs, &processors, &mut functions);
        let truth = accounts::write(&mut w, &spans, &regions, &self.ps, &self.gc);
        wait_reasons(&mut w);
        SynthTarget {
            w,
            truth,
            spans,
            processors,
            gs,
            functions,
        }
    }
}

/// Headers of `waitReasonStrings`; the texts lie in the executable.
fn wait_reasons(w: &mut Writer) {
    let at = w.global("waitReasonStrings");
    for index in 0..w.types.size("waitReasonStrings") / 16 {
        w.put_word(at + index * 16, 0x5555_0050_0000 + index * 32);
        w.put_word(at + index * 16 + 8, 4 + index % 8);
    }
}
