//! A binary without debug information may have one of several layouts, and its globals were recovered from code: here
//! the running target is asked which of them are its own. First by its structures, then, if more than one layout
//! passes, by the accounts: of the layouts tried, the one under which most of the identities hold.

use std::rc::Rc;

use crate::analysis::{SpanFacts, SpanSums, checks};
use crate::error::{Error, Result};
use crate::goruntime::capture::Summary;
use crate::goruntime::frames::FrameTable;
use crate::goruntime::locate::Runtime;
use crate::goruntime::probe::{Mismatch, ProbePlanner, mismatches};
use crate::goruntime::snapshot::Snapshot;
use crate::memory::Planner;
use crate::model::Check;
use crate::target::{CaptureOptions, DEFAULT_BYTE_BUDGET, LiveProcess, Stop};

/// A running program can move an array between two reads of one probe; it does not do so every time.
const PROBES: usize = 3;
/// Mismatches listed in a message.
const SHOWN: usize = 2;

/// What helps when no layout of the table fits.
const REMEDY: &str = "give its debug information with --debug-file, build it without -ldflags=-s and -w, or use a newer \
                      gomemscan; the runtime may be of a release it does not know, or changed by a vendor";

/// Of `candidates`, likeliest first, the one that is the target's. Those that come from the target's own debug
/// information are taken as they are. Fails with [`Unsupported`](Error::Unsupported) when the target contradicts all.
pub(super) fn choose(process: &LiveProcess, name: &str, candidates: Vec<Runtime>) -> Result<Rc<Runtime>> {
    let mut passing = Vec::new();
    let mut rejected = Vec::new();
    for runtime in candidates.into_iter().map(Rc::new) {
        if runtime.provenance.is_own() {
            return Ok(runtime);
        }
        let found = probe(process, &runtime)?;
        let sure = runtime.provenance.is_of_release();
        if found.is_empty() {
            passing.push(runtime);
        } else {
            rejected.push((runtime, found));
        }
        // The table has the very release: the others are there in case this is none of its builds after all.
        if sure && !passing.is_empty() {
            break;
        }
    }
    if passing.len() > 1 {
        // The first, which is the likeliest, of those with the fewest failures.
        let mut failures = Vec::new();
        for runtime in &passing {
            failures.push(disagreement(process, runtime));
            if failures.last() == Some(&0) {
                break;
            }
        }
        let least = failures.iter().min().copied();
        let best = failures.iter().position(|count| Some(*count) == least);
        passing.drain(..best.unwrap_or(0));
    }
    match passing.into_iter().next() {
        Some(runtime) => Ok(runtime),
        None => Err(contradicted(name, &rejected)),
    }
}

fn probe(process: &LiveProcess, runtime: &Rc<Runtime>) -> Result<Vec<Mismatch>> {
    let mut planner = || -> Box<dyn Planner> { Box::new(ProbePlanner::new(runtime.clone())) };
    let mut found = Vec::new();
    for _ in 0..PROBES {
        let memory = process.read_running_planned(&mut planner)?;
        found = mismatches(runtime, &memory);
        if found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// How many identities fail under this layout, of a reading without a stop; more than there are when it cannot be read.
fn disagreement(process: &LiveProcess, runtime: &Rc<Runtime>) -> usize {
    let mut planner = || -> Box<dyn Planner> { Box::new(Summary::new(runtime.clone())) };
    let options = CaptureOptions {
        stop: Stop::NoPause,
        byte_budget: DEFAULT_BYTE_BUDGET,
    };
    let Ok(capture) = process.capture(&mut planner, &options) else {
        return usize::MAX;
    };
    let (layout, variant) = (&runtime.layout, &runtime.variant);
    let snapshot = Snapshot::decode(&capture.memory, layout, variant, &runtime.globals);
    if snapshot.nonsense().is_some() {
        return usize::MAX;
    }
    let sums = snapshot.spans.as_ref().ok().map(|spans| {
        SpanSums::of(&SpanFacts {
            spans,
            places: None,
            manual: None,
            marks: None,
            sweepgen: None,
            resident: None,
        })
    });
    let checks = checks(&snapshot, layout, variant, &FrameTable::default(), sums.as_ref());
    checks.iter().filter(|check| !check.ok).count()
}

/// Under a layout that may not be the target's, a report is only given out when all of it agrees with the runtime's own
/// accounts. Fails with [`Unsupported`](Error::Unsupported), naming what does not.
pub(super) fn agreed(runtime: &Runtime, name: &str, snapshot: &Snapshot, checks: &[Check]) -> Result<()> {
    if !runtime.provenance.must_agree() {
        return Ok(());
    }
    let failed = checks.iter().find(|check| !check.ok).map(|check| {
        let (name, expected, actual) = (&check.name, check.expected, check.actual);
        format!("the check \"{name}\" fails ({expected} and {actual} {})", check.unit)
    });
    let why = snapshot.nonsense().map(|error| error.to_string()).or(failed);
    let none = checks.is_empty().then(|| "nothing of it could be checked".to_owned());
    match why.or(none) {
        None => Ok(()),
        Some(why) => Err(Error::Unsupported {
            what: format!(
                "{name} has no debug information, and {} does not fit: {why}",
                runtime.provenance
            ),
            remedy: Some(REMEDY.into()),
        }),
    }
}

fn contradicted(name: &str, rejected: &[(Rc<Runtime>, Vec<Mismatch>)]) -> Error {
    let of = |(runtime, found): &(Rc<Runtime>, Vec<Mismatch>)| {
        let release = runtime.provenance.release.as_deref().unwrap_or("its own");
        let list: Vec<String> = found.iter().take(SHOWN).map(Mismatch::to_string).collect();
        format!("the layout of {release} does not fit ({})", list.join("; "))
    };
    let reasons: Vec<String> = rejected.iter().take(SHOWN).map(of).collect();
    Error::Unsupported {
        what: format!("{name} has no debug information, and {}", reasons.join("; ")),
        remedy: Some(REMEDY.into()),
    }
}
