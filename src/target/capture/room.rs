//! Memory for a capture, some of it in place before anybody knows what will be captured: to give it to the process takes
//! as long as much of the rest, and can be done while its executable is read.

use super::region::HUGE_PAGE;
use super::store::Store;
use crate::target::maps::{Mapping, Maps};
use crate::target::own::OwnMeans;
use crate::target::process::LiveProcess;

/// In place beforehand at most, bytes.
const MOST: u64 = 8 << 20;
/// In place beforehand at least: a huge page.
const LEAST: u64 = HUGE_PAGE as u64;
/// Which part of what the tool may copy.
const SHARE: u64 = 4;
/// Bytes of the target's own memory for each of these: a page of the runtime's, which is what the smallest spans have, and
/// the record of a span.
const SPAN: u64 = 8192;
const RECORD: u64 = 64;

/// Where a capture will be.
#[derive(Debug)]
pub struct Room {
    pub(super) store: Store,
}

impl Room {
    /// Room for a capture of `process` within `byte_budget`. `None` where there is little to be had by it, or memory or
    /// address space is short.
    pub fn prepare(process: &LiveProcess, byte_budget: u64) -> Option<Room> {
        let maps = process.maps().ok()?;
        let affordable = byte_budget.min(OwnMeans::get().affordable_bytes());
        let bytes = expected(&maps).min(MOST).min(affordable / SHARE);
        if bytes < LEAST {
            return None;
        }
        let readable = maps.iter().filter(|mapping| mapping.read);
        let readable: Vec<(u64, u64)> = readable.map(|mapping| (mapping.start, mapping.end)).collect();
        let store = Store::new(&readable, byte_budget).ok()?;
        let region = store.region();
        if region.dense() == region.pages() {
            return None;
        }
        region.populate(region.dense(), (bytes >> store.page_shift()) as usize);
        Some(Room { store })
    }
}

/// What records there are at most of the spans in what is mapped now, bytes.
fn expected(maps: &Maps) -> u64 {
    let own = maps.iter().filter(|mapping| mapping.is_anonymous() && mapping.write);
    let bytes = own
        .map(Mapping::range)
        .fold(0u64, |sum, range| sum.saturating_add(range.len));
    bytes / SPAN * RECORD
}
