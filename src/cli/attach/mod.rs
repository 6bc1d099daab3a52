//! `gomemscan attach`: one scan of a live process, from the plan to the written report.

mod assemble;
mod host;
mod mappings;
mod scan;

use super::exit::Outcome;
use super::output::Output;
use super::plan::{AttachPlan, Pause};
use super::progress::Progress;
use crate::error::Error;
use crate::target::capture::DEFAULT_BYTE_BUDGET;
use crate::target::{CaptureOptions, Stop};
use scan::{ScanOptions, scan};

/// Carries out the plan.
pub fn run(plan: AttachPlan) -> anyhow::Result<Outcome> {
    let pid = i32::try_from(plan.pid).map_err(|_| Error::NoTarget {
        what: format!("{} is not a process id", plan.pid),
        remedy: None,
    })?;
    // Before the target is touched: an output that cannot be written costs it nothing.
    let output = Output::prepare(plan.output)?;
    let stop = match plan.pause {
        Pause::Never => Stop::NoPause,
        Pause::AtMost(max) => Stop::Pause { max },
    };
    let options = ScanOptions {
        capture: CaptureOptions {
            stop,
            byte_budget: DEFAULT_BYTE_BUDGET,
        },
        with_args: plan.with_args,
    };
    let mut progress = Progress::new(plan.progress);
    let scanned = scan(pid, &options, &mut |step| progress.step(step));
    progress.clear();
    let report = scanned?;
    output.write(&report)?;
    Ok(Outcome::of(&report))
}
