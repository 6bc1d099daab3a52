//! Findings about goroutines: many waiting at one place, stacks that dominate, structures of dead ones.

use super::{FindingFacts, advice, pointers};
use crate::model::{Finding, LedgerId, Severity, When};
use crate::units;

const MIB: u64 = 1 << 20;
const MINUTE: u64 = 60_000_000_000;

/// Many goroutines wait at one place; at most two groups.
pub(super) fn piled_up(facts: &FindingFacts<'_>) -> Vec<Finding> {
    let (Some(groups), Some(total)) = (&facts.goroutines.groups, facts.goroutines.total) else {
        return Vec::new();
    };
    groups
        .iter()
        .filter(|group| group.count >= 1000 && group.count * 4 >= total)
        .take(2)
        .map(|group| {
            let old = group.oldest_wait_ns.is_some_and(|age| age >= 10 * MINUTE);
            let severity = if group.count >= 10_000 && old {
                Severity::Warning
            } else {
                Severity::Info
            };
            let wait = group.reason.as_deref().unwrap_or(&group.status);
            let creator = group.function.as_deref().unwrap_or("an unknown place");
            let age = group
                .oldest_wait_ns
                .map_or_else(String::new, |age| format!(", oldest at least {}", units::duration(age)));
            Finding {
                id: "goroutines_piled_up".into(),
                severity,
                title: format!(
                    "{} goroutines in \"{wait}\", created by {creator}{age}",
                    units::count(group.count)
                ),
                detail: format!("of {} in all", units::count(total)),
                bytes: None,
                evidence: pointers(&["/goroutines/groups", "/goroutines/by_wait_reason"]),
                advice: vec![advice(
                    When::Now,
                    "compare with the next scan: a number that only grows is a leak",
                )],
            }
        })
        .collect()
}

/// Stacks take a large part of the process.
pub(super) fn stacks(facts: &FindingFacts<'_>) -> Option<Finding> {
    let (rss, stacks) = (facts.rss()?, facts.row(LedgerId::GoroutineStacks)?);
    if stacks < 64 * MIB || stacks.saturating_mul(5) < rss {
        return None;
    }
    Some(Finding {
        id: "goroutine_stacks".into(),
        severity: Severity::Warning,
        title: format!("{} of RSS are goroutine stacks", units::bytes(stacks)),
        detail: format!("{} goroutines", units::count(facts.goroutines.total.unwrap_or(0))),
        bytes: Some(stacks),
        evidence: pointers(&["/ledger/rows", "/goroutines/by_creator"]),
        advice: vec![advice(
            When::NextDeploy,
            "bound the number of goroutines; a GC shrinks stacks that are mostly unused",
        )],
    })
}

/// The structures of finished goroutines never go away.
pub(super) fn dead(facts: &FindingFacts<'_>) -> Option<Finding> {
    let free = facts.free_goroutines;
    let bytes = free.bytes?.saturating_add(free.stack_bytes.unwrap_or(0));
    if bytes < 16 * MIB {
        return None;
    }
    let count = free.with_stack? + free.without_stack? + free.in_processors?;
    Some(Finding {
        id: "dead_goroutines".into(),
        severity: Severity::Info,
        title: format!(
            "{} dead goroutines are kept for reuse: {}",
            units::count(count),
            units::bytes(bytes)
        ),
        detail: "a past peak: the runtime never frees goroutine structures, only the stacks of some".into(),
        bytes: Some(bytes),
        evidence: pointers(&["/free_goroutines"]),
        advice: vec![advice(
            When::NextDeploy,
            "bound the number of goroutines; only a restart gives this back",
        )],
    })
}
