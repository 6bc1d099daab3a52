//! `gomemscan attach`: scan a live process and report.

use super::exit::Outcome;
use super::plan::AttachPlan;
use crate::error::Error;

/// Carries out the plan.
pub fn run(_plan: AttachPlan) -> anyhow::Result<Outcome> {
    Err(Error::Internal {
        what: "not wired yet".to_owned(),
    }
    .into())
}
