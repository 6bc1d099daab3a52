//! `gomemscan attach`: one scan of a live process, from the plan to the written report.

mod assemble;
mod choose;
mod debugfile;
pub(super) mod find;
pub(super) mod head;
pub(super) mod host;
mod mappings;
mod names;
mod runtimes;
pub(super) mod scan;

pub use self::assemble::{assemble, span_sums};
pub use self::host::{HostSide, Surroundings};
pub use self::scan::Scanned;
use super::deadline::Deadline;
use super::exit::Outcome;
use super::output::Output;
use super::plan::{AttachPlan, Pause};
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::target::capture::DEFAULT_BYTE_BUDGET;
use crate::target::{CaptureOptions, OwnMeans, Stop, memory_available_bytes};
use crate::units;
use scan::{Finished, ScanOptions, scan};

/// Carries out the plan.
pub fn run(plan: AttachPlan) -> anyhow::Result<Outcome> {
    let pid = i32::try_from(plan.pid).map_err(|_| Error::NoTarget {
        what: format!("{} is not a process id", plan.pid),
        remedy: None,
    })?;
    enough_memory()?;
    // Before the target is touched: an output that cannot be written costs it nothing.
    let output = Output::prepare(plan.output)?;
    let stop = match plan.pause {
        Pause::Never => Stop::NoPause,
        Pause::AtMost(max) => Stop::Pause { max },
    };
    let options = ScanOptions {
        capture: CaptureOptions {
            stop,
            byte_budget: byte_budget(),
        },
        runtime: plan.runtime,
        debug_file: plan.debug_file,
        with_args: plan.with_args,
    };
    let mut progress = Progress::new(plan.progress);
    let deadline = Deadline::start(plan.deadline, format!("the scan of process {pid}"));
    let scanned = scan(pid, &options, &mut |step| {
        deadline.step(step);
        progress.step(step);
    });
    drop(deadline);
    progress.clear();
    let Finished { report, rest } = scanned?;
    output.write(&report)?;
    drop(rest);
    Ok(Outcome::of(&report))
}

/// What a scan takes whatever it reads. With less left, the kernel looks for a process to kill while the tool is still so
/// small that a target in the same cgroup may seem the better choice, whatever `oom_score_adj` says.
const LEAST_MEMORY: u64 = 4 << 20;

/// Refuses to work where the tool's own cgroup, which may be the target's, has no memory left for it.
pub(super) fn enough_memory() -> Result<()> {
    match OwnMeans::get().headroom_bytes() {
        Some(left) if left < LEAST_MEMORY => {
            let what = format!(
                "gomemscan's own cgroup has {} of memory left, and a scan takes at least {}; run it outside of that \
                 cgroup or with a larger memory limit",
                units::bytes(left),
                units::bytes(LEAST_MEMORY)
            );
            Err(Error::io(what, std::io::ErrorKind::OutOfMemory.into()))
        }
        _ => Ok(()),
    }
}

/// Bytes to copy at most: what the machine and the tool's own cgroup can spare, half of it left alone. The tool may
/// share the target's cgroup, and must not be what pushes it over its limit.
pub(super) fn byte_budget() -> u64 {
    let spare = [memory_available_bytes(), OwnMeans::get().headroom_bytes()];
    let least = spare.into_iter().flatten().min().unwrap_or(DEFAULT_BYTE_BUDGET);
    (least / 2).min(DEFAULT_BYTE_BUDGET)
}
