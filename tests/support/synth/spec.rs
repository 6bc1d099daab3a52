//! What a test says about the program it makes up: its spans, Ps, goroutines and collector.

use super::tables::{CLASS_BYTES, CLASS_PAGES};
use super::types::Release;

/// Bytes of a runtime page.
pub const PAGE: u64 = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Dead,
    InUse,
    Manual(Manual),
}

/// What a manual span is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manual {
    /// Cut into small stacks; listed on `stackpool[order]` while some are free.
    Pool(usize),
    /// One large stack, free (listed on `stackLarge`) or not.
    Large { free: bool },
    /// On `work.wbufSpans.busy` or `.free`.
    WorkBuffer { busy: bool },
}

/// `mspan.sweepgen` relative to the heap's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    Needed,
    Underway,
    Done,
    CachedStale,
    Cached,
}

impl Sweep {
    pub const ALL: [Sweep; 5] = [
        Sweep::Needed,
        Sweep::Underway,
        Sweep::Done,
        Sweep::CachedStale,
        Sweep::Cached,
    ];

    pub fn generation(self, heap: u64) -> u64 {
        match self {
            Sweep::Needed => heap - 2,
            Sweep::Underway => heap - 1,
            Sweep::Done => heap,
            Sweep::CachedStale => heap + 1,
            Sweep::Cached => heap + 3,
        }
    }

    pub fn swept(self) -> bool {
        matches!(self, Sweep::Done | Sweep::Cached)
    }
}

/// A place that lists a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Mcache(usize),
    Set {
        full: bool,
        swept: bool,
    },
    /// A swept partial set of another span class.
    OtherClass(u8),
}

/// One span.
#[derive(Clone, Debug)]
pub struct Span {
    pub state: State,
    pub class: u8,
    pub pages: u64,
    pub elem: u64,
    pub slots: u64,
    pub allocated: u64,
    /// Allocated since an mcache took it, not flushed to the counters.
    pub unflushed: u64,
    pub sweep: Sweep,
    /// Slots whose bit is set in the bitmap of the gcBits arena that counts for this span.
    pub marks: Vec<u64>,
    /// Slots marked inside the span.
    pub inline_marks: Vec<u64>,
    /// Where it is listed; `None`: where the runtime would.
    pub held: Option<Vec<Held>>,
    pub user_arena: bool,
}

impl Span {
    /// A span of span class `class`, `allocated` slots in use and marked.
    pub fn small(release: Release, class: u8, allocated: u64) -> Span {
        let (elem, pages) = (
            CLASS_BYTES[usize::from(class >> 1)],
            CLASS_PAGES[usize::from(class >> 1)],
        );
        let heap_bits = match (class & 1, elem, release) {
            (0, ..=512, Release::Go122 | Release::Go126) => pages * PAGE / 64,
            _ => 0,
        };
        let inline = if has_inline_marks(release, elem) { 128 } else { 0 };
        let slots = (pages * PAGE - heap_bits - inline) / elem;
        let allocated = allocated.min(slots);
        Span {
            state: State::InUse,
            class,
            pages,
            elem,
            slots,
            allocated,
            unflushed: 0,
            sweep: Sweep::Done,
            marks: (0..allocated).collect(),
            inline_marks: Vec::new(),
            held: None,
            user_arena: false,
        }
    }

    /// A large object of `pages` pages.
    pub fn large(pages: u64) -> Span {
        let base = Span::small(Release::Go119, 3, 0);
        Span {
            class: 1,
            pages,
            elem: pages * PAGE,
            slots: 1,
            allocated: 1,
            marks: vec![0],
            ..base
        }
    }

    fn manual(use_: Manual, pages: u64, elem: u64, allocated: u64) -> Span {
        let base = Span::large(pages);
        Span {
            state: State::Manual(use_),
            class: 0,
            elem,
            slots: 0,
            allocated,
            marks: Vec::new(),
            ..base
        }
    }

    /// 32 KiB of stacks of 2 KiB << `order`, `used` of them handed out.
    pub fn stack_pool(order: usize, used: u64) -> Span {
        Span::manual(Manual::Pool(order), 4, 2048 << order, used)
    }

    pub fn large_stack(pages: u64, free: bool) -> Span {
        Span::manual(Manual::Large { free }, pages, pages * PAGE, 0)
    }

    pub fn work_buffer(busy: bool) -> Span {
        Span::manual(Manual::WorkBuffer { busy }, 4, 0, 0)
    }

    /// A structure without pages, as `spanalloc.list` keeps them.
    pub fn dead() -> Span {
        Span {
            state: State::Dead,
            pages: 0,
            ..Span::large(1)
        }
    }

    pub fn sweep(self, sweep: Sweep) -> Span {
        Span { sweep, ..self }
    }

    pub fn marks(self, marks: impl IntoIterator<Item = u64>) -> Span {
        Span {
            marks: marks.into_iter().collect(),
            ..self
        }
    }

    pub fn inline_marks(self, marks: impl IntoIterator<Item = u64>) -> Span {
        Span {
            inline_marks: marks.into_iter().collect(),
            ..self
        }
    }

    pub fn held(self, held: impl IntoIterator<Item = Held>) -> Span {
        Span {
            held: Some(held.into_iter().collect()),
            ..self
        }
    }

    pub fn unflushed(self, unflushed: u64) -> Span {
        Span { unflushed, ..self }
    }

    pub fn bytes(&self) -> u64 {
        self.pages * PAGE
    }
}

/// Whether the Green Tea collector marks objects of this size inside their span.
pub fn has_inline_marks(release: Release, elem: u64) -> bool {
    release == Release::Go126 && (16..=512).contains(&elem)
}

/// One P.
#[derive(Clone, Debug, Default)]
pub struct P {
    pub status: u64,
    /// Page cache: (free pages, those of them that are scavenged), a bit per page.
    pub page_cache: Option<(u64, u64)>,
    pub free_mspans: u64,
    pub sudogs: u64,
    pub defers: u64,
    pub timers: u64,
    pub queued: u64,
    pub run_next: bool,
    pub tiny_allocs: u64,
    pub stack_cache: [u64; 4],
    pub updating_stats: bool,
}

/// The list that keeps a dead goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeList {
    SchedStack,
    SchedNoStack,
    P(usize),
}

/// One goroutine; functions are named, the builder gives them addresses.
#[derive(Clone, Debug)]
pub struct G {
    pub status: u64,
    pub reason: u64,
    pub since: u64,
    pub start: &'static str,
    pub creator: &'static str,
    pub stack_bytes: u64,
    pub locked: bool,
    pub free: Option<FreeList>,
}

impl G {
    /// Waiting for reason `reason` since `since` ns, running `start`.
    pub fn waiting(start: &'static str, reason: u64, since: u64) -> G {
        G {
            reason,
            since,
            ..G::status(start, 4)
        }
    }

    pub fn status(start: &'static str, status: u64) -> G {
        let creator = "main.main";
        G {
            status,
            reason: 0,
            since: 0,
            start,
            creator,
            stack_bytes: 2048,
            locked: false,
            free: None,
        }
    }

    pub fn dead(free: FreeList, stack_bytes: u64) -> G {
        G {
            stack_bytes,
            free: Some(free),
            ..G::status("main.worker", 6)
        }
    }
}

/// Pacing and the collector's state.
#[derive(Clone, Debug)]
pub struct Gc {
    pub sweepgen: u64,
    pub phase: u64,
    pub percent: i64,
    pub limit: u64,
    pub percent_goal: u64,
    pub min_trigger: u64,
    pub triggered: u64,
    pub total_alloc: u64,
    pub total_free: u64,
    /// `None`: what the mark bits say.
    pub heap_marked: Option<u64>,
    /// Added to `mappedReady`, with the same amount of `other_sys` so that the books still balance.
    pub other_sys: u64,
}

impl Default for Gc {
    fn default() -> Gc {
        Gc {
            sweepgen: 10,
            phase: 0,
            percent: 100,
            limit: i64::MAX as u64,
            percent_goal: 4 << 20,
            min_trigger: 0,
            triggered: u64::MAX,
            total_alloc: 5 << 20,
            total_free: 3 << 20,
            heap_marked: None,
            other_sys: 700_000,
        }
    }
}
