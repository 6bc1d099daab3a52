//! Goroutines counted by status, wait reason and creation site, and how long the GC has seen them wait.

use std::collections::{BTreeMap, HashMap};

use crate::goruntime::frames::FrameTable;
use crate::goruntime::goroutines::{FreeGoroutines as Free, Goroutine, Goroutines as Decoded};
use crate::goruntime::layout::Layout;
use crate::goruntime::variants::Variant;
use crate::model::{AgeHistogram, ByCreator, ByWaitReason, FreeGoroutines, GoroutineGroup, Goroutines};

/// Groups kept in the report at most, largest first.
const MOST_GROUPS: usize = 1000;
const SECOND: u64 = 1_000_000_000;
/// Lower edges of the age histogram, ns: 0, 1 s, 10 s, 1 min, 10 min, 1 h, 6 h, 1 d.
const AGE_EDGES: [u64; 8] = [
    0,
    SECOND,
    10 * SECOND,
    60 * SECOND,
    600 * SECOND,
    3600 * SECOND,
    6 * 3600 * SECOND,
    24 * 3600 * SECOND,
];

/// Counts and the oldest known wait of some goroutines.
#[derive(Clone, Copy, Default)]
struct Tally {
    count: u64,
    oldest: Option<u64>,
}

impl Tally {
    fn add(&mut self, age: Option<u64>) {
        self.count += 1;
        self.oldest = self.oldest.max(age);
    }

    fn join(&mut self, other: Tally) {
        self.count += other.count;
        self.oldest = self.oldest.max(other.oldest);
    }
}

/// The section. `now_ns` is CLOCK_MONOTONIC of the target at the capture.
pub fn goroutines(
    all: &Decoded,
    variant: &Variant,
    frames: &FrameTable,
    wait_reasons: &[String],
    now_ns: Option<u64>,
) -> Goroutines {
    let mut ages = AgeHistogram {
        edges_ns: AGE_EDGES.to_vec(),
        counts: vec![0; AGE_EDGES.len()],
        unstamped: Some(0),
    };
    let mut groups: HashMap<(bool, u32, Option<u8>, Option<u32>), Tally> = HashMap::new();
    // Those made one after the other are mostly alike.
    let mut near = None;
    for g in all.alive(variant) {
        let waiting = is_waiting(variant, g);
        let age = waiting.then(|| age(g, now_ns)).flatten();
        if waiting {
            count_age(&mut ages, age);
        }
        let system = !frames.is_user(g, all.finalizer_running);
        let key = (system, g.status, waiting.then_some(g.wait_reason), frames.creator(g));
        match &mut near {
            Some((of, tally)) if *of == key => Tally::add(tally, age),
            _ => {
                let next = (key, Tally { count: 1, oldest: age });
                if let Some((key, tally)) = near.replace(next) {
                    groups.entry(key).or_default().join(tally);
                }
            }
        }
    }
    if let Some((key, tally)) = near {
        groups.entry(key).or_default().join(tally);
    }
    let (mut total, mut user) = (0, 0);
    let mut by_status: BTreeMap<String, u64> = BTreeMap::new();
    let mut by_reason: HashMap<u8, Tally> = HashMap::new();
    let mut by_creator: HashMap<Option<u32>, u64> = HashMap::new();
    for (&(system, status, wait, creator), tally) in &groups {
        total += tally.count;
        user += if system { 0 } else { tally.count };
        *by_status.entry(name(variant, status).to_owned()).or_default() += tally.count;
        *by_creator.entry(creator).or_default() += tally.count;
        if let Some(reason) = wait {
            by_reason.entry(reason).or_default().join(*tally);
        }
    }
    let reason = |index: u8| match wait_reasons.get(usize::from(index)) {
        Some(text) if !text.is_empty() => text.clone(),
        _ => format!("wait reason {index}"),
    };
    let position = |id: Option<u32>| id.and_then(|id| frames.position(id));
    let mut reasons: Vec<ByWaitReason> = by_reason
        .into_iter()
        .map(|(index, tally)| ByWaitReason {
            reason: reason(index),
            count: tally.count,
            oldest_wait_ns: tally.oldest,
        })
        .collect();
    reasons.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    let mut creators: Vec<ByCreator> = by_creator
        .into_iter()
        .map(|(id, count)| {
            let (function, file, line) = place(position(id));
            ByCreator {
                function,
                file,
                line,
                count,
            }
        })
        .collect();
    creators.sort_by(|a, b| {
        b.count
            .cmp(&a.count)
            .then_with(|| (&a.function, a.line).cmp(&(&b.function, b.line)))
    });
    creators.truncate(MOST_GROUPS);
    let mut groups: Vec<GoroutineGroup> = groups
        .into_iter()
        .map(|((system, number, wait, id), tally)| {
            let (function, file, line) = place(position(id));
            GoroutineGroup {
                system,
                status: name(variant, number).to_owned(),
                reason: wait.map(reason),
                function,
                file,
                line,
                count: tally.count,
                oldest_wait_ns: tally.oldest,
            }
        })
        .collect();
    groups.sort_by(|a, b| {
        b.count
            .cmp(&a.count)
            .then_with(|| (&a.function, a.line, &a.reason).cmp(&(&b.function, b.line, &b.reason)))
    });
    groups.truncate(MOST_GROUPS);
    Goroutines {
        total: Some(total),
        user: Some(user),
        system: Some(total - user),
        by_status: Some(by_status),
        by_wait_reason: Some(reasons),
        by_creator: Some(creators),
        groups: Some(groups),
        age_histogram: Some(ages),
    }
}

fn name(variant: &Variant, status: u32) -> &'static str {
    variant.status.name(status).unwrap_or("unknown")
}

fn is_waiting(variant: &Variant, g: &Goroutine) -> bool {
    g.status == variant.status.waiting || Some(g.status) == variant.status.leaked
}

/// How long the GC has seen it wait, at least; `None` when no GC has seen it yet.
fn age(g: &Goroutine, now_ns: Option<u64>) -> Option<u64> {
    let since = u64::try_from(g.wait_since).ok().filter(|since| *since != 0)?;
    now_ns?.checked_sub(since)
}

fn count_age(ages: &mut AgeHistogram, age: Option<u64>) {
    match age {
        Some(age) => {
            let bin = AGE_EDGES.partition_point(|edge| *edge <= age).saturating_sub(1);
            if let Some(count) = ages.counts.get_mut(bin) {
                *count += 1;
            }
        }
        None => ages.unstamped = ages.unstamped.map(|count| count + 1),
    }
}

fn place(position: Option<&crate::goruntime::frames::Position>) -> (Option<String>, Option<String>, Option<u64>) {
    match position {
        Some(position) => (
            Some(position.function.clone()),
            Some(position.file.clone()).filter(|file| !file.is_empty()),
            Some(u64::from(position.line)).filter(|line| *line != 0),
        ),
        None => (None, None, None),
    }
}

/// Dead goroutines kept for reuse; their structures never go away.
pub fn free_goroutines(free: &Free, layout: &Layout) -> FreeGoroutines {
    FreeGoroutines {
        with_stack: Some(free.with_stack),
        without_stack: Some(free.without_stack),
        in_processors: Some(free.in_processors),
        bytes: Some(free.total().saturating_mul(layout.g.size)),
        stack_bytes: Some(free.stack_bytes),
    }
}
