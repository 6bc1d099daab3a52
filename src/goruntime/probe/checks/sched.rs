//! What the scheduler's globals and the module data always look like.

use super::*;

impl Probe<'_> {
    pub(super) fn moduledata(&self) -> Answer {
        let l = &self.runtime.layout.moduledata;
        let m = self.view("moduledata", self.runtime.globals.firstmoduledata);
        let addr = |field| read(m.addr(field)).map(|addr| addr.0);
        let (header, names) = (addr(l.pc_header)?, read(m.slice(l.funcnametab))?);
        holds(header != 0 && header < names.ptr.0, || {
            "its tables do not follow the pclntab's header".into()
        })?;
        let (minpc, maxpc, text, etext) = (addr(l.minpc)?, addr(l.maxpc)?, addr(l.text)?, addr(l.etext)?);
        holds(text <= minpc && minpc < maxpc && text < etext, || {
            "the bounds of its text make no sense".into()
        })?;
        let (types, etypes) = (addr(l.types)?, addr(l.etypes)?);
        holds(types != 0 && types <= etypes && addr(l.gofunc)? != 0, || {
            "the bounds of its types make no sense".into()
        })?;
        let ftab = read(m.slice(l.ftab))?;
        holds(ftab.len > 1 && ftab.len < MOST, || {
            format!("it has {} functions", ftab.len)
        })?;
        read(m.slice(l.textsectmap)).map(|_| ())
    }

    pub(super) fn processors(&self) -> Answer {
        let l = &self.runtime.layout;
        let ps = self.sample("p");
        holds(!ps.is_empty(), || "it is empty or cannot be read".into())?;
        let all = sampled(self.runtime, self.memory);
        let len = all.iter().find(|s| s.element == "p").map_or(0, |s| s.slice.len);
        let first = len.saturating_sub(ps.len() as u64);
        for (index, at) in (first..).zip(ps) {
            let p = self.view("p", at);
            let (id, status) = (read(p.uint(l.p.id))?, read(p.uint(l.p.status))?);
            holds(id == index && status <= 4, || {
                format!("the P at {at} has id {id} and status {status}, not id {index}")
            })?;
            let (head, tail) = (read(p.u32(l.p.runqhead))?, read(p.u32(l.p.runqtail))?);
            // The two are read one after the other while both move on; the ring has 256 places.
            holds(tail.wrapping_sub(head).wrapping_add(256) <= 1 << 16, || {
                format!("the run queue of the P at {at} goes from {head} to {tail}")
            })?;
            let mcache = read(p.addr(l.p.mcache))?;
            holds(!mcache.is_nil() && mcache.0 % 8 == 0, || {
                format!("the P at {at} has its mcache at {mcache}")
            })?;
        }
        Ok(())
    }

    pub(super) fn gomaxprocs(&self) -> Answer {
        let value = self.view("gomaxprocs", self.runtime.globals.gomaxprocs);
        let value = read(value.uint(Field { offset: 0, size: 4 }))?;
        let len = read(
            self.view("allp", self.runtime.globals.allp)
                .uint(Field { offset: 8, size: 8 }),
        )?;
        holds(value == len && value > 0, || {
            format!("it is {value} but allp has {len} Ps")
        })
    }

    pub(super) fn goroutines(&self) -> Answer {
        let l = &self.runtime.layout.g;
        let gs = self.sample("g");
        holds(!gs.is_empty(), || "it is empty or cannot be read".into())?;
        for at in gs {
            let g = self.view("g", at);
            let status = read(g.u32(l.atomicstatus))?;
            let (lo, hi) = (read(g.uint(l.stack_lo))?, read(g.uint(l.stack_hi))?);
            let known = self.runtime.variant.status.name(status).is_some();
            holds(known && lo <= hi && hi - lo <= 1 << 40, || {
                format!("the g at {at} has status {status:#x} and its stack from {lo:#x} to {hi:#x}")
            })?;
            let (gopc, startpc) = (read(g.uint(l.gopc))?, read(g.uint(l.startpc))?);
            holds(gopc >> 48 == 0 && startpc >> 48 == 0, || {
                format!("the g at {at} was created at {gopc:#x} to run {startpc:#x}")
            })?;
        }
        Ok(())
    }

    pub(super) fn sched(&self) -> Answer {
        let l = &self.runtime.layout.sched;
        let s = self.view("sched", self.runtime.globals.sched);
        self.at_most(&s, "npidle", l.npidle, crate::goruntime::processors::MOST_PS)?;
        self.at_most(&s, "ngsys", l.ngsys, MOST)?;
        self.at_most(&s, "runqsize", l.runq_size, MOST)?;
        let (made, freed) = (read(s.uint(l.mnext))?, read(s.uint(l.nmfreed))?);
        holds(made > 0 && made < 1 << 40 && freed <= made, || {
            format!("{made} Ms were made and {freed} freed")
        })?;
        for field in [l.free_stack_head, l.free_no_stack_head] {
            let head = read(s.uint(field))?;
            holds(head % 8 == 0 && head >> 48 == 0, || {
                format!("gFree starts at {head:#x}")
            })?;
        }
        Ok(())
    }

    /// The first reason is the empty text; each of the others is a short text of the module.
    pub(super) fn wait_reasons(&self) -> Answer {
        let shape = self.runtime.layout.wait_reason_strings;
        let at = self.runtime.globals.wait_reason_strings;
        let mut headers = read(words(self.memory, "waitReasonStrings", at, shape.len.min(256) * 2))?;
        let (mut index, mut texts) = (0, 0);
        while let (Some(text), Some(len)) = (headers.next(), headers.next()) {
            let short = len <= LONGEST_REASON && (text != 0 || len == 0);
            holds(short && (index > 0 || len == 0), || {
                format!("reason {index} is {len} bytes at {text:#x}")
            })?;
            texts += u64::from(len > 0);
            index += 1;
        }
        // Reasons that a release no longer uses are empty.
        holds(texts > shape.len / 2, || {
            format!("only {texts} of {} are texts", shape.len)
        })
    }
}
