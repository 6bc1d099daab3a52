//! The checks that are not about permissions: the process itself, the machine, the tool's own limits, where it all runs.

use std::time::Duration;

use crate::cli::attach::byte_budget;
use crate::model::{CheckStatus, Container, DoctorCheck, DoctorReport, ExpectedPause, Kubernetes, Remedy};
use crate::target::cgroup::quota::{CpuQuota, longest_stop};
use crate::target::host::load_average;
use crate::target::permissions::Theirs;
use crate::target::{LiveProcess, OwnMeans, ThreadFacts};
use crate::units;

/// Exit code of a capture that was cut short.
const PARTIAL: u8 = 6;
/// Bytes that a capture takes for a span, for a goroutine, and for the rest: measured, rounded up.
const SPAN_BYTES: u64 = 200;
const GOROUTINE_BYTES: u64 = 600;
const FIXED_BYTES: u64 = 4 << 20;

/// A check in good order.
pub fn ok(id: &str, fact: impl Into<String>) -> DoctorCheck {
    check(id, CheckStatus::Ok, fact)
}

/// A check whose answer cannot be had.
pub fn unknown(id: &str, fact: impl Into<String>) -> DoctorCheck {
    check(id, CheckStatus::Unknown, fact)
}

fn check(id: &str, status: CheckStatus, fact: impl Into<String>) -> DoctorCheck {
    DoctorCheck {
        id: id.to_owned(),
        status,
        fact: fact.into(),
        ..DoctorCheck::default()
    }
}

fn warning(id: &str, fact: impl Into<String>, consequence: &str) -> DoctorCheck {
    DoctorCheck {
        consequence: Some(consequence.to_owned()),
        ..check(id, CheckStatus::Warn, fact)
    }
}

/// Whether a quota of CPU time bounds a stop.
fn cpu_quota(pause: Option<Duration>) -> DoctorCheck {
    let Some(quota) = CpuQuota::own() else {
        return ok("cpu-quota", "gomemscan's own cgroup sets no CPU quota");
    };
    let fact = format!(
        "gomemscan's own cgroup allows it {:.2} CPUs, {} at a time",
        quota.cpus(),
        units::duration(u64::try_from(quota.per_period().as_nanos()).unwrap_or(u64::MAX))
    );
    match pause.and_then(|max| longest_stop(max).filter(|by_quota| *by_quota < max)) {
        None => ok("cpu-quota", fact),
        Some(_) => DoctorCheck {
            remedies: vec![Remedy::note(
                "run it outside of that cgroup, or with a larger CPU limit",
            )],
            ..warning(
                "cpu-quota",
                fact,
                "a stop is begun with a period of the quota and may use three quarters of what it gives; what takes \
                 longer is not read (exit code 6)",
            )
        },
    }
}

/// The process as such.
pub fn process(process: &LiveProcess) -> DoctorCheck {
    let info = process.info();
    let inside = match info.ns_pid == info.pid {
        true => String::new(),
        false => format!(" ({} in its PID namespace)", info.ns_pid),
    };
    let deleted = if info.exe_deleted {
        ", its file deleted or replaced since"
    } else {
        ""
    };
    ok(
        "process",
        format!("{}{inside} runs {}{deleted}", info.pid, info.exe_path.display()),
    )
}

/// What else bears on a scan: frozen, swapped, the kernel, the CPUs that are left for it.
/// `pause`: the longest that is allowed, when anything is to be stopped.
pub fn circumstances(
    checks: &mut Vec<DoctorCheck>,
    process: &LiveProcess,
    frozen: bool,
    cpus: usize,
    pause: Option<Duration>,
) {
    checks.push(match process.scans_pages() {
        Some(true) => ok("kernel", "pages are looked up with PAGEMAP_SCAN"),
        Some(false) => warning(
            "kernel",
            "this kernel has no PAGEMAP_SCAN (Linux 6.7): pages are looked up in /proc/PID/pagemap",
            "that takes some milliseconds more per GiB, not in the pause; pages that were mapped and never written count \
             as resident",
        ),
        None => unknown("kernel", "the target's page map may not be read"),
    });
    checks.push(match frozen {
        true => warning(
            "freezer",
            "the target's cgroup is frozen",
            "it is read as it stands, and nothing is stopped",
        ),
        false => ok("freezer", "its cgroup is not frozen"),
    });
    checks.push(match process.swapped_bytes() {
        None => unknown("swap", "how much of it is swapped out may not be read"),
        Some(0) => ok("swap", "nothing of it is swapped out"),
        Some(bytes) => warning(
            "swap",
            format!("{} of it are swapped out", units::bytes(bytes)),
            "what the runtime keeps there is named and not read; the result may be partial (exit code 6)",
        ),
    });
    checks.push(cpu_quota(pause));
    checks.push(match load_average() {
        Some(load) if load > cpus as f64 => warning(
            "load",
            format!(
                "{load:.1} processes want to run on {}",
                units::counted(cpus as u64, "CPU", "CPUs")
            ),
            "whoever waits for a CPU in a stop prolongs it: the pause can be several times the estimate",
        ),
        Some(load) => ok(
            "load",
            format!("{} for a load of {load:.1}", units::counted(cpus as u64, "CPU", "CPUs")),
        ),
        None => unknown("load", "the machine's load does not show"),
    });
}

/// Whether what will be copied fits the memory that the tool may take.
pub fn memory(expected: &ExpectedPause) -> DoctorCheck {
    let spans = expected.spans.unwrap_or(0).saturating_mul(SPAN_BYTES);
    let goroutines = expected.goroutines.unwrap_or(0).saturating_mul(GOROUTINE_BYTES);
    let needed = FIXED_BYTES.saturating_add(spans).saturating_add(goroutines);
    let affordable = byte_budget().min(OwnMeans::get().affordable_bytes());
    let fact = format!(
        "about {} will be copied, {} may be",
        units::bytes(needed),
        units::bytes(affordable)
    );
    if needed <= affordable {
        return ok("memory", fact);
    }
    DoctorCheck {
        consequence: Some("the copy would end early: memory is short here, or in gomemscan's own cgroup".to_owned()),
        remedies: vec![Remedy::note(
            "run it where more memory is free, outside of a cgroup with a tight limit",
        )],
        exit_code: Some(PARTIAL),
        ..check("memory", CheckStatus::Fail, fact)
    }
}

/// The container or service around the target, with the commands that scan it from there.
pub fn whereabouts(report: &mut DoctorReport, target: &Theirs, ns_pid: i32) {
    let Some(facts) = &target.container else {
        report.checks.push(ok("container", "no container or service shows"));
        return;
    };
    let container = Container {
        runtime: facts.runtime.map(|runtime| runtime.name().to_owned()),
        id: facts.id.clone(),
        unit: facts.unit.clone(),
        kubernetes: facts.pod.as_ref().map(|pod| Kubernetes {
            pod_uid: pod.uid.clone(),
            pod: pod.name.clone(),
            namespace: pod.namespace.clone(),
            container: pod.container.clone(),
        }),
        commands: facts.commands(ns_pid),
    };
    let mut words = Vec::new();
    if let Some(pod) = &container.kubernetes {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
        words.push(format!(
            "container {} of pod {}/{}",
            name(&pod.container),
            name(&pod.namespace),
            name(&pod.pod)
        ));
    }
    match (&container.runtime, &container.id) {
        (Some(runtime), Some(id)) => words.push(format!("{runtime} container {id}")),
        (None, Some(id)) => words.push(format!("container {id}")),
        _ => {}
    }
    words.extend(container.unit.iter().map(|unit| format!("systemd unit {unit}")));
    report
        .checks
        .push(ok("container", format!("it runs in {}", words.join(", "))));
    report.container = Some(container);
}

/// What the threads are doing.
pub fn threads(threads: &ThreadFacts) -> DoctorCheck {
    let count = units::counted(threads.count as u64, "thread", "threads");
    match (threads.count, threads.blocked) {
        (0, _) => unknown("threads", "its threads may not be listed"),
        (_, 0) => ok("threads", format!("{count}, none of them stuck in the kernel")),
        (_, blocked) => warning(
            "threads",
            format!("{blocked} of {count} wait in the kernel (state D: vfork, a disk)"),
            "a stop does not reach them at once; they count as stopped, and the pause is some milliseconds longer",
        ),
    }
}
