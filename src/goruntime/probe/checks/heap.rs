//! What the heap's and the stack allocator's globals always look like.

use super::*;

impl Probe<'_> {
    pub(super) fn mheap(&self) -> Answer {
        let l = &self.runtime.layout;
        let mheap = self.view("mheap_", self.runtime.globals.mheap);
        for class in 0..l.mheap.central.len {
            let mcentral = read(mheap.element("mcentral", l.mheap.central, class))?;
            let own = read(mcentral.uint(l.mcentral.spanclass))?;
            holds(own == class, || format!("central[{class}] is of span class {own}"))?;
        }
        holds(l.mheap.central.len == SPAN_CLASSES as u64, || {
            format!("it has {} span classes", l.mheap.central.len)
        })?;
        let sweepgen = read(mheap.uint(l.mheap.sweepgen))?;
        holds(sweepgen % 2 == 0, || format!("sweepgen is odd ({sweepgen})"))?;
        let spans = read(mheap.slice(l.mheap.allspans))?;
        let owned = read(mheap.uint(l.mheap.in_use_bytes))?;
        holds(spans.len > 0 && owned > 0 && owned % PAGE_BYTES == 0, || {
            format!("{} spans in {owned} bytes of heap", spans.len)
        })?;
        let pages = read(mheap.uint(l.mheap.pages_in_use))?;
        holds(pages <= owned / PAGE_BYTES, || {
            format!("pagesInUse is {pages}, more than the heap's {owned} bytes hold")
        })?;
        for (name, field) in [("spanalloc", l.mheap.spanalloc), ("cachealloc", l.mheap.cachealloc)] {
            let alloc = mheap.inner("fixalloc", field);
            let inuse = read(alloc.uint(l.fixalloc.inuse))?;
            let size = if name == "spanalloc" {
                l.mspan.size
            } else {
                l.mcache.size
            };
            holds(inuse > 0 && inuse % size.max(1) == 0, || {
                format!("{name}.inuse is {inuse}, no multiple of {size}")
            })?;
            // The size that the runtime was compiled with: what tells layouts apart whose fields lie alike.
            if let Some(field) = l.fixalloc.elem_size {
                let own = read(alloc.uint(field))?;
                holds(own == size, || format!("{name}.size is {own}, not {size}"))?;
            }
        }
        Ok(())
    }

    pub(super) fn spans(&self) -> Answer {
        let l = &self.runtime.layout.mspan;
        for at in self.sample("mspan") {
            let span = self.view("mspan", at);
            let wrong = |why: String| Err(No::Wrong(format!("mspan at {at}: {why}")));
            let (state, class) = (read(span.uint(l.state))?, read(span.uint(l.spanclass))?);
            // mSpanDead, mSpanInUse, mSpanManual
            if state > 2 || class >= SPAN_CLASSES as u64 {
                return wrong(format!("state {state}, span class {class}"));
            }
            if state == 0 {
                continue; // a dead one keeps what it held
            }
            let (start, pages) = (read(span.uint(l.start_addr))?, read(span.uint(l.npages))?);
            if start == 0 || start % PAGE_BYTES != 0 || pages == 0 || pages > MOST {
                return wrong(format!("{pages} pages at {start:#x}"));
            }
            // Between being taken and being filled in, a span has the old size: both are of some class.
            let size = read(span.uint(l.elemsize))?;
            if state == 1 && class > 1 && !CLASS_TO_SIZE.contains(&size) {
                return wrong(format!("elements of {size} bytes"));
            }
        }
        Ok(())
    }

    /// Every mcache names a real span or `emptymspan` for each class; some class of some P is always unused.
    pub(super) fn emptymspan(&self) -> Answer {
        let l = &self.runtime.layout;
        let at = self.runtime.globals.emptymspan;
        let span = self.view("emptymspan", at);
        let (start, pages) = (read(span.uint(l.mspan.start_addr))?, read(span.uint(l.mspan.npages))?);
        holds(start == 0 && pages == 0, || {
            format!("it spans {pages} pages at {start:#x}")
        })?;
        let mut held = 0u64;
        for p in self.sample("p") {
            let mcache = read(self.view("p", p).addr(l.p.mcache))?;
            let view = self.view("mcache", mcache);
            let first = read(view.element_addr(l.mcache.alloc, 0))?;
            let spans = read(words(self.memory, "mcache.alloc", first, l.mcache.alloc.len))?;
            held += spans.filter(|span| *span == at.0).count() as u64;
        }
        holds(held > 0, || "no mcache refers to it".into())
    }

    pub(super) fn stackpool(&self) -> Answer {
        let l = &self.runtime.layout;
        for order in 0..l.stackpool_shape.len {
            let at = self.runtime.globals.stackpool.0;
            let item = self.view(
                "stackpool",
                Addr(at.wrapping_add(order.wrapping_mul(l.stackpool_shape.stride))),
            );
            self.head_of_spans(read(item.addr(l.stackpool.first))?)?;
        }
        Ok(())
    }

    pub(super) fn stack_large(&self) -> Answer {
        let l = &self.runtime.layout;
        let view = self.view("stackLarge", self.runtime.globals.stack_large);
        for index in 0..l.stack_large.free.len {
            let list = read(view.element("mSpanList", l.stack_large.free, index))?;
            self.head_of_spans(read(list.addr(l.mspan_list.first))?)?;
        }
        Ok(())
    }

    /// A list of spans starts with nil or with something that looks like a span.
    pub(super) fn head_of_spans(&self, first: Addr) -> Answer {
        if first.is_nil() {
            return Ok(());
        }
        let l = &self.runtime.layout.mspan;
        let span = self.view("mspan", first);
        let (start, state) = (read(span.uint(l.start_addr))?, read(span.uint(l.state))?);
        let (pages, class) = (read(span.uint(l.npages))?, read(span.uint(l.spanclass))?);
        let like_a_span = start % PAGE_BYTES == 0 && state <= 2 && pages <= MOST && class < SPAN_CLASSES as u64;
        holds(first.0.is_multiple_of(8) && start != 0 && like_a_span, || {
            format!("a list of spans starts at {first}, where there is none")
        })
    }
}
