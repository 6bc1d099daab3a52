//! Findings about limits around the process and about the scan itself.

use super::{FindingFacts, advice, pointers};
use crate::model::{Finding, Severity, Stop, When};
use crate::units;

/// The cgroup's memory limit is close.
pub(super) fn near_the_limit(facts: &FindingFacts<'_>) -> Option<Finding> {
    let cgroup = facts.cgroup?;
    let (limit, headroom) = (cgroup.limit_bytes?, cgroup.headroom_bytes?);
    let severity = match headroom {
        near if near.saturating_mul(10) < limit => Severity::Critical,
        near if near.saturating_mul(5) < limit => Severity::Warning,
        _ => return None,
    };
    let returnable = facts.idle.returnable_now_bytes.unwrap_or(0);
    let mut todo = Vec::new();
    if returnable > limit / 50 {
        todo.push(advice(
            When::Now,
            format!(
                "call debug.FreeOSMemory through the service's own hook: it would return {}",
                units::bytes(returnable)
            ),
        ));
    }
    todo.push(advice(When::Now, "raise the cgroup's memory limit, or move load away"));
    if facts.gc.memory_limit_bytes.is_none() {
        let target = units::bytes(limit / 10 * 9);
        todo.push(advice(
            When::NextDeploy,
            format!("set GOMEMLIMIT to about 90 % of the limit ({target})"),
        ));
    }
    Some(Finding {
        id: "near_memory_limit".into(),
        severity,
        title: format!("{} are left before the cgroup's memory limit", units::bytes(headroom)),
        detail: format!(
            "the working set is {} of {}",
            units::bytes(limit - headroom.min(limit)),
            units::bytes(limit)
        ),
        bytes: Some(headroom),
        evidence: pointers(&["/cgroup/headroom_bytes", "/cgroup/limit_bytes"]),
        advice: todo,
    })
}

/// Parts of the process are swapped out.
pub(super) fn swapped(facts: &FindingFacts<'_>) -> Option<Finding> {
    let swap = facts.ledger.swap_bytes.filter(|swap| *swap >= 1 << 20)?;
    Some(Finding {
        id: "swapped_out".into(),
        severity: Severity::Warning,
        title: format!("{} of the process are swapped out", units::bytes(swap)),
        detail: "a GC cycle touches the whole live heap and brings it back in; swapped pages were not read".into(),
        bytes: Some(swap),
        evidence: pointers(&["/ledger/swap_bytes"]),
        advice: vec![advice(
            When::NextDeploy,
            "keep Go services out of swap (memory.swap.max=0) or give them more memory",
        )],
    })
}

/// An accounting identity does not hold.
pub(super) fn checks_disagree(facts: &FindingFacts<'_>) -> Option<Finding> {
    let failed: Vec<&str> = facts
        .capture
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.name.as_str())
        .collect();
    if failed.is_empty() {
        return None;
    }
    // Two reasons that are known, and no defect of anything.
    let (severity, todo) = match (&facts.capture.incomplete, facts.capture.stop) {
        (Some(_), _) => (Severity::Info, "scan again with a longer pause (--max-pause)"),
        (None, Stop::None) => (
            Severity::Info,
            "expected of a target that runs on; scan without --no-pause to be exact",
        ),
        _ => (
            Severity::Warning,
            "scan again; if it stays, report it with the output of --json",
        ),
    };
    Some(Finding {
        id: "checks_disagree".into(),
        severity,
        title: format!(
            "{} of {} checks disagree: read the figures with care",
            failed.len(),
            facts.capture.checks.len()
        ),
        detail: failed.join("; "),
        bytes: None,
        evidence: pointers(&["/capture/checks"]),
        advice: vec![advice(When::Now, todo)],
    })
}
