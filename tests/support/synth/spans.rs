//! Span structures, their bitmaps, and the lists that hold them: allspans, mcentral sets, stack pools, work buffers.

use std::collections::BTreeMap;

use super::pages::Region;
use super::spec::{Held, Manual, Span, State, Sweep, has_inline_marks};
use super::writer::Writer;

/// A span that has its place.
#[derive(Clone, Debug)]
pub struct Placed {
    pub spec: Span,
    /// Address of the mspan.
    pub addr: u64,
    /// First address of its pages.
    pub start: u64,
}

impl Placed {
    /// Slots that the last mark found alive, by the builder's own reading.
    pub fn live_slots(&self) -> u64 {
        let mut slots: Vec<u64> = self.spec.marks.iter().chain(&self.spec.inline_marks).copied().collect();
        slots.sort_unstable();
        slots.dedup();
        slots.iter().filter(|slot| **slot < self.spec.slots).count() as u64
    }
}

/// Gives each span pages and writes its structure; `allspans` lists them in order.
pub fn write(w: &mut Writer, region: &mut Region, specs: &[Span], sweepgen: u64) -> Vec<Placed> {
    let size = w.types.size("runtime.mspan");
    let table = w.table(size * specs.len() as u64);
    let bits: u64 = specs.iter().map(|span| bitmap_bytes(span) * 2).sum();
    let mut bits_at = w.table(bits);
    let mut placed = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let addr = table + index as u64 * size;
        let start = match spec.state {
            // A dead structure keeps stale words; its pages may be another span's by now.
            State::Dead => region.base,
            State::InUse => region.claim_in_use(spec.pages),
            State::Manual(_) => region.claim(spec.pages, true, false),
        };
        structure(w, spec, addr, start, sweepgen, bits_at);
        if has_inline_marks(w.types.release, spec.elem) && !spec.sweep.swept() && spec.state == State::InUse {
            inline(w, spec, start);
        }
        bits_at += bitmap_bytes(spec) * 2;
        placed.push(Placed {
            spec: spec.clone(),
            addr,
            start,
        });
    }
    let mheap = w.global("mheap_");
    let pointers: Vec<u64> = placed.iter().map(|span| span.addr).collect();
    let array = w.words(&pointers);
    let len = pointers.len() as u64;
    w.put_slice(
        "runtime.mheap",
        mheap,
        "allspans",
        (array, len, len.next_multiple_of(1024)),
    );
    placed
}

fn bitmap_bytes(span: &Span) -> u64 {
    span.slots.min(1 << 16).div_ceil(64) * 8
}

fn structure(w: &mut Writer, spec: &Span, addr: u64, start: u64, sweepgen: u64, bits_at: u64) {
    let t = "runtime.mspan";
    let state = match spec.state {
        State::Dead => 0,
        State::InUse => 1,
        State::Manual(_) => 2,
    };
    for (field, value) in [
        ("startAddr", start),
        ("npages", spec.pages),
        ("nelems", spec.slots),
        ("freeindex", spec.allocated.min(spec.slots)),
        ("allocCount", spec.allocated),
        ("allocCountBeforeCache", spec.allocated - spec.unflushed),
        ("sweepgen", spec.sweep.generation(sweepgen)),
        ("spanclass", u64::from(spec.class)),
        ("state", state),
        ("elemsize", spec.elem),
        ("limit", start + spec.slots * spec.elem),
    ] {
        w.put(t, addr, field, value);
    }
    w.put_if(t, addr, "isUserArenaChunk", u64::from(spec.user_arena));
    let bytes = bitmap_bytes(spec);
    if bytes == 0 || spec.state != State::InUse {
        return;
    }
    // The bitmap that does not count is all ones, as are the bits behind the last slot.
    let mut marked = vec![0xff; bytes as usize];
    for slot in 0..spec.slots.min(bytes * 8) {
        marked[(slot / 8) as usize] &= !(1 << (slot % 8));
    }
    for slot in &spec.marks {
        marked[(slot / 8) as usize] |= 1 << (slot % 8);
    }
    let poison = vec![0xff; bytes as usize];
    let (alloc, gcmark) = if spec.sweep.swept() {
        (marked, poison)
    } else {
        (poison, marked)
    };
    w.space.write(bits_at, &alloc);
    w.space.write(bits_at + bytes, &gcmark);
    w.put(t, addr, "allocBits", bits_at);
    w.put(t, addr, "gcmarkBits", bits_at + bytes);
}

/// The last 128 bytes of the page: `scans[63] owned marks[63] class`. Only they are mapped.
fn inline(w: &mut Writer, spec: &Span, start: u64) {
    let at = start + spec.bytes() - 128;
    let mut bytes = [0xff; 128];
    for slot in 0..spec.slots {
        bytes[64 + (slot / 8) as usize] &= !(1 << (slot % 8));
    }
    for slot in &spec.inline_marks {
        bytes[64 + (slot / 8) as usize] |= 1 << (slot % 8);
    }
    w.space.map(at, 128);
    w.space.write(at, &bytes);
}

/// Where the runtime would list a span.
pub fn usual_places(spec: &Span) -> Vec<Held> {
    if spec.state != State::InUse || spec.user_arena {
        return Vec::new();
    }
    match spec.sweep {
        Sweep::Cached | Sweep::CachedStale => vec![Held::Mcache(0)],
        Sweep::Underway => vec![Held::Set {
            full: spec.allocated == spec.slots,
            swept: false,
        }],
        sweep => vec![Held::Set {
            full: spec.class < 2 || spec.allocated == spec.slots,
            swept: sweep.swept(),
        }],
    }
}

/// Fills the mcentral sets; the first `popped` entries of each were taken out again.
pub fn write_sets(w: &mut Writer, spans: &[Placed], sweepgen: u64, popped: u64) {
    let mut sets: BTreeMap<(u8, bool, bool), Vec<u64>> = BTreeMap::new();
    for span in spans {
        for place in span.spec.held.clone().unwrap_or_else(|| usual_places(&span.spec)) {
            let key = match place {
                Held::Set { full, swept } => (span.spec.class, full, swept),
                Held::OtherClass(class) => (class, false, true),
                Held::Mcache(_) => continue,
            };
            sets.entry(key).or_default().push(span.addr);
        }
    }
    let mheap = w.global("mheap_");
    for class in 0..136 {
        let central = w.at("runtime.mheap", mheap, "central") + class * 192;
        w.put("runtime.mcentral", central, "spanclass", class);
    }
    let swept_index = sweepgen / 2 % 2;
    for ((class, full, swept), entries) in sets {
        let central = w.at("runtime.mheap", mheap, "central") + u64::from(class) * 192;
        let which = if full { "full" } else { "partial" };
        let index = if swept { swept_index } else { 1 - swept_index };
        let set = w.at("runtime.mcentral", central, which) + index * 40;
        span_set(w, set, &entries, popped);
    }
}

fn span_set(w: &mut Writer, set: u64, entries: &[u64], popped: u64) {
    let slots: Vec<u64> = (0..popped).map(|_| 0).chain(entries.iter().copied()).collect();
    let (block_size, spans_at) = (
        w.types.size("runtime.spanSetBlock"),
        w.types.at("runtime.spanSetBlock", "spans").0,
    );
    let mut spine = Vec::new();
    for (index, block) in slots.chunks(512).enumerate() {
        // A block whose entries were all popped is given back.
        if (index as u64 + 1) * 512 <= popped {
            spine.push(0);
            continue;
        }
        let at = w.alloc(block_size);
        let bytes: Vec<u8> = block.iter().flat_map(|span| span.to_le_bytes()).collect();
        w.space.write(at + spans_at, &bytes);
        spine.push(at);
    }
    let blocks = spine.len() as u64;
    spine.resize(256.max(spine.len()), 0);
    let spine = w.words(&spine);
    w.put("runtime.spanSet", set, "spine", spine);
    w.put("runtime.spanSet", set, "spineLen", blocks);
    w.put("runtime.spanSet", set, "spineCap", blocks.max(256));
    w.put("runtime.spanSet", set, "index", popped << 32 | slots.len() as u64);
}

/// Links the manual spans onto the lists of the stack allocator and of the collector.
pub fn write_lists(w: &mut Writer, spans: &[Placed]) {
    let mut lists: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for span in spans {
        let State::Manual(use_) = span.spec.state else { continue };
        let head = match use_ {
            Manual::Pool(order) if span.spec.allocated * span.spec.elem < span.spec.bytes() => {
                w.global("stackpool") + order as u64 * 64 + w.types.at("stackpool", "[].item.span.first").0
            }
            Manual::Large { free: true } => {
                w.at("stackLarge", w.global("stackLarge"), "free") + u64::from(span.spec.pages.ilog2()) * 16
            }
            Manual::WorkBuffer { busy } => {
                let field = if busy {
                    "wbufSpans.busy.first"
                } else {
                    "wbufSpans.free.first"
                };
                w.at("work", w.global("work"), field)
            }
            _ => continue,
        };
        lists.entry(head).or_default().push(span.addr);
    }
    for (head, list) in lists {
        w.put_word(head, list[0]);
        for pair in list.windows(2) {
            w.put("runtime.mspan", pair[0], "next", pair[1]);
        }
    }
}
