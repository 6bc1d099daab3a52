//! Findings about the heap: idle memory, sparse size classes, a collector that is off or starved, memory outside Go.

use super::{FindingFacts, advice, pointers};
use crate::model::{Finding, Gc, LedgerId, Severity, SizeClass, When};
use crate::units;

const MIB: u64 = 1 << 20;

/// Idle heap stays resident.
pub(super) fn idle_unreturned(facts: &FindingFacts<'_>) -> Option<Finding> {
    let rss = facts.rss()?;
    let unreturned = facts.idle.unreturned_resident_bytes.or(facts.idle.unreturned_bytes)?;
    if unreturned < 32 * MIB || unreturned.saturating_mul(5) < rss {
        return None;
    }
    let planned = within_plan(facts);
    let (title, next) = match planned {
        Some(goal) => (
            format!(
                "within the runtime's plan: {} lets the heap grow to {} before the next GC, and idle memory waits for that",
                gogc(facts.gc),
                units::bytes(goal)
            ),
            limit_advice(facts),
        ),
        None => why_it_stays(facts),
    };
    let returnable = facts.idle.returnable_now_bytes.unwrap_or(0);
    let mut todo = Vec::new();
    if returnable >= 16 * MIB {
        todo.push(advice(
            When::Now,
            format!(
                "the service's own debug.FreeOSMemory hook, if it has one, returns {}",
                units::bytes(returnable)
            ),
        ));
    }
    todo.extend(next.map(|text| advice(When::NextDeploy, text)));
    Some(Finding {
        id: "idle_unreturned".into(),
        severity: if planned.is_some() {
            Severity::Info
        } else {
            Severity::Warning
        },
        title,
        detail: match planned {
            Some(_) => format!("{} of {} RSS is idle heap", units::bytes(unreturned), units::bytes(rss)),
            None => format!(
                "{} of {} RSS is idle heap; the background scavenger works at about 1 % of a CPU, and leaves what was in \
                 use during the last GC cycle until the next one",
                units::bytes(unreturned),
                units::bytes(rss)
            ),
        },
        bytes: Some(unreturned),
        evidence: pointers(&["/idle/unreturned_resident_bytes", "/gc/scavenger"]),
        advice: todo,
    })
}

/// The heap goal, when used and idle heap together stay within it and 10 %: the next cycle is expected to need them.
fn within_plan(facts: &FindingFacts<'_>) -> Option<u64> {
    let goal = facts.gc.heap_goal_bytes?;
    let used = facts.memstats.heap_inuse?;
    let idle = facts.idle.unreturned_bytes?;
    (!facts.lazily_freed && used.saturating_add(idle) <= goal.saturating_add(goal / 10)).then_some(goal)
}

/// Why the runtime keeps idle memory, and what changes that.
fn why_it_stays(facts: &FindingFacts<'_>) -> (String, Option<String>) {
    let gc = facts.gc;
    if facts.lazily_freed {
        return (
            "GODEBUG=madvdontneed=0: what the runtime frees stays resident until the system is short of memory".into(),
            Some("remove madvdontneed=0 from GODEBUG".into()),
        );
    }
    let scavenger = gc.scavenger.as_ref();
    let retained_goal = scavenger.and_then(|scavenger| scavenger.gc_percent_goal_bytes);
    let retained = facts
        .memstats
        .heap_sys
        .zip(facts.memstats.heap_released)
        .map(|(sys, back)| sys.saturating_sub(back));
    let limit = gc.memory_limit_bytes;
    let advice = limit_advice(facts);
    match (retained, retained_goal) {
        (Some(retained), Some(goal)) if retained > goal => (
            format!(
                "the runtime has not come to return it yet: by its goal ({}) it keeps {} and has {}",
                gogc(gc),
                units::bytes(goal),
                units::bytes(retained),
            ),
            advice,
        ),
        (_, Some(goal)) => (
            format!(
                "the scavenger lets it stay: {} plans for a heap of {}, and it keeps {}{}",
                gogc(gc),
                gc.heap_goal_bytes.map_or_else(|| "unknown size".into(), units::bytes),
                units::bytes(goal),
                if limit.is_none() { "; no GOMEMLIMIT is set" } else { "" },
            ),
            advice,
        ),
        (_, None) => (
            format!("no goal asks the scavenger to return it ({})", gogc(gc)),
            advice,
        ),
    }
}

fn gogc(gc: &Gc) -> String {
    match gc.gogc {
        Some(percent) => format!("GOGC={percent}"),
        None => "GOGC=off".into(),
    }
}

/// A GOMEMLIMIT that makes the runtime give idle memory back.
fn limit_advice(facts: &FindingFacts<'_>) -> Option<String> {
    if facts.gc.memory_limit_bytes.is_some() {
        return Some("lower GOMEMLIMIT towards the steady working set".into());
    }
    match facts.cgroup.and_then(|cgroup| cgroup.limit_bytes) {
        Some(limit) => Some(format!(
            "GOMEMLIMIT={}MiB (90 % of the cgroup's limit)",
            limit / 10 * 9 / MIB
        )),
        None => {
            let heap = facts.gc.heap_goal_bytes?;
            let rest = facts.memstats.sys?.saturating_sub(facts.memstats.heap_sys?);
            let target = heap.saturating_add(rest).saturating_add(heap / 10).div_ceil(64 * MIB) * 64;
            // A limit above what is resident now would return nothing.
            (target.saturating_mul(MIB) < facts.rss()?)
                .then(|| format!("GOMEMLIMIT={target}MiB (the heap goal, the rest of the runtime, and 10 %)"))
        }
    }
}

/// Size classes whose spans hold much more than their objects need.
pub(super) fn sparse_classes(facts: &FindingFacts<'_>) -> Option<Finding> {
    let rss = facts.rss()?;
    let mut sparse: Vec<&SizeClass> = facts
        .size_classes
        .iter()
        .filter(|class| class.free_bytes >= 4 * MIB && class.free_objects > class.objects)
        .collect();
    let total: u64 = sparse.iter().map(|class| class.free_bytes).fold(0, u64::saturating_add);
    if total < 8 * MIB || total.saturating_mul(20) < rss {
        return None;
    }
    sparse.sort_by_key(|class| std::cmp::Reverse(class.free_bytes));
    let worst: Vec<String> = sparse.iter().take(3).map(|class| sparse_class(class)).collect();
    let others = match sparse.len().saturating_sub(worst.len()) {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    Some(Finding {
        id: "sparse_size_classes".into(),
        severity: Severity::Warning,
        title: format!(
            "{} of free slots sit in spans of {} that are mostly empty",
            units::bytes(total),
            units::counted(sparse.len() as u64, "size class", "size classes")
        ),
        detail: format!(
            "{}{others}. A span goes back only with its last object; the next allocations of its size fill the slots",
            worst.join("; ")
        ),
        bytes: Some(total),
        evidence: pointers(&["/size_classes"]),
        advice: vec![advice(
            When::NextDeploy,
            "keep long-lived objects of these sizes together (a slice of values, an arena), apart from short-lived ones",
        )],
    })
}

fn sparse_class(class: &SizeClass) -> String {
    format!(
        "{} in {} of {} B{} that are {} full",
        units::bytes(class.free_bytes),
        units::counted(class.spans, "span", "spans"),
        class.object_bytes,
        if class.noscan { " noscan" } else { "" },
        units::share(class.objects, class.objects.saturating_add(class.free_objects)),
    )
}

/// GC is off and nothing limits the heap.
pub(super) fn gc_off(facts: &FindingFacts<'_>) -> Option<Finding> {
    if facts.gc.off != Some(true) || facts.gc.memory_limit_bytes.is_some() {
        return None;
    }
    Some(Finding {
        id: "gc_off".into(),
        severity: Severity::Critical,
        title: "GOGC=off and no GOMEMLIMIT: nothing will collect this heap".into(),
        detail: "only a call of runtime.GC frees anything".into(),
        bytes: facts.memstats.heap_alloc,
        evidence: pointers(&["/gc/gogc", "/gc/memory_limit_bytes"]),
        advice: vec![advice(When::NextDeploy, "set GOMEMLIMIT, or GOGC to a percentage")],
    })
}

/// The memory limit leaves less than the live heap needs: the collector runs without end.
pub(super) fn limit_too_low(facts: &FindingFacts<'_>) -> Option<Finding> {
    let limit = facts.gc.memory_limit_bytes?;
    let (goal, marked) = (facts.gc.heap_goal_bytes?, facts.gc.heap_marked_bytes?);
    let fraction = facts.gc.cpu_fraction_since_start.unwrap_or(0.0);
    if goal > marked.saturating_add(marked / 20) || marked < 16 * MIB {
        return None;
    }
    Some(Finding {
        id: "memory_limit_too_low".into(),
        severity: Severity::Critical,
        title: format!("GOMEMLIMIT={} is below what the live heap needs", units::bytes(limit)),
        detail: format!(
            "the heap goal is {} with {} marked live; the GC used {} of the CPU since start",
            units::bytes(goal),
            units::bytes(marked),
            units::fraction(fraction)
        ),
        bytes: Some(marked),
        evidence: pointers(&["/gc/heap_goal_bytes", "/gc/heap_marked_bytes", "/gc/memory_limit_bytes"]),
        advice: vec![advice(
            When::NextDeploy,
            "raise GOMEMLIMIT (and the container's limit), or reduce the live heap",
        )],
    })
}

/// Much of RSS is files that the program maps as data.
pub(super) fn mapped_files(facts: &FindingFacts<'_>) -> Option<Finding> {
    let (rss, mapped) = (facts.rss()?, facts.row(LedgerId::MappedFiles)?);
    if mapped < 16 * MIB || mapped.saturating_mul(5) < rss {
        return None;
    }
    let largest = match facts.largest_file {
        Some((path, bytes)) => format!("the largest is {path} with {}; ", units::bytes(*bytes)),
        None => String::new(),
    };
    Some(Finding {
        id: "mapped_files".into(),
        severity: Severity::Info,
        title: format!("{} of RSS are mapped files, not Go memory", units::bytes(mapped)),
        detail: format!("{largest}the kernel drops such pages under pressure; GOGC and GOMEMLIMIT do not see them"),
        bytes: Some(mapped),
        evidence: pointers(&["/ledger/rows"]),
        advice: Vec::new(),
    })
}

/// A large part of the process is not Go's.
pub(super) fn outside_go(facts: &FindingFacts<'_>) -> Option<Finding> {
    let rss = facts.rss()?;
    let other = facts.row(LedgerId::OtherMappings)?;
    if other < 64 * MIB || other.saturating_mul(10) < rss.saturating_mul(3) {
        return None;
    }
    Some(Finding {
        id: "outside_go".into(),
        severity: Severity::Warning,
        title: format!("{} of RSS is outside the Go runtime", units::bytes(other)),
        detail: "C heap (cgo), mmapped memory or thread stacks: GOGC and GOMEMLIMIT do not see it".into(),
        bytes: Some(other),
        evidence: pointers(&["/ledger/rows"]),
        advice: vec![advice(
            When::Now,
            "look at /proc/PID/smaps for the largest anonymous mappings",
        )],
    })
}
