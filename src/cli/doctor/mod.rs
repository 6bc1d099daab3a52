//! `gomemscan doctor`: what `attach` would meet, found out without stopping the target. Walks the same way as a scan,
//! with the same functions, and turns what each of them says into a check.

mod checks;
mod program;

use std::time::{Duration, SystemTime};

use super::attach::enough_memory;
use super::attach::head::tool;
use super::attach::host::machine;
use super::deadline::Deadline;
use super::exit::{Outcome, code_of_category};
use super::output;
use super::plan::{DoctorPlan, Pause};
use crate::analysis::{forecast, pause_check, suggested_max};
use crate::error::{Category, Error};
use crate::goruntime::size::HeapSize;
use crate::model::{CheckStatus, DoctorCheck, DoctorReport, ExpectedPause, PauseBasis, Process, Remedy, cause};
use crate::report::{json, table};
use crate::target::cgroup::quota::longest_stop;
use crate::target::{HostFacts, LiveProcess, PauseLoad, ThreadFacts, ns_pid, permissions};
use program::Program;

/// Bytes of resident memory per span that few heaps have less of.
const SPAN_BYTES: u64 = 8192;

/// Carries out the plan.
pub fn run(plan: DoctorPlan) -> anyhow::Result<Outcome> {
    let pid = i32::try_from(plan.pid).map_err(|_| Error::NoTarget {
        what: format!("{} is not a process id", plan.pid),
        remedy: None,
    })?;
    enough_memory()?;
    let deadline = Deadline::start(plan.deadline, format!("the look at process {pid}"));
    let report = examine(pid, plan.pause);
    drop(deadline);
    let text = match plan.json {
        true => json::document(&report).map_err(|error| Error::Internal {
            what: format!("the report does not serialise: {error}"),
        })?,
        false => table::doctor(&report, &plan.table),
    };
    output::print(&text)?;
    Ok(Outcome::Foreseen(report.verdict.exit_code))
}

/// All checks on a process.
fn examine(pid: i32, pause: Pause) -> DoctorReport {
    let mut report = DoctorReport::new();
    report.checked_at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let host = HostFacts::collect();
    report.host = machine(&host);
    report.process.pid = u64::try_from(pid).unwrap_or(0);
    look(&mut report, &host, pid, pause);
    report.verdict = forecast(&report.checks, report.pause.as_ref());
    report.tool = tool();
    report
}

/// Collects checks in the order in which a scan depends on them.
fn look(report: &mut DoctorReport, host: &HostFacts, pid: i32, pause: Pause) {
    match LiveProcess::check_proc() {
        Ok(()) => report.checks.push(checks::ok(
            "proc",
            "/proc shows the processes of gomemscan's PID namespace",
        )),
        // Nothing that it shows can be believed.
        Err(error) => return report.checks.push(failed("proc", &error)),
    }
    let opened = LiveProcess::open(pid);
    if let Err(error) = &opened
        && error.category() != Category::NotPermitted
    {
        return report.checks.push(failed("process", error));
    }
    let frozen = opened.as_ref().is_ok_and(LiveProcess::is_frozen);
    let stops = pause != Pause::Never && !frozen;
    let facts = permissions::foresee(pid, stops);
    let rights = permissions::examine(&facts);
    let process = match opened {
        Ok(process) => process,
        Err(error) => {
            // The checks say why; where they do not, the error does.
            let explained =
                cause(&rights).is_some_and(|check| check.exit_code == Some(code_of_category(error.category())));
            report.checks.push(match explained && facts.hidepid.is_none() {
                true => checks::unknown(
                    "process",
                    format!("process {pid} may not be looked at; the checks below say why"),
                ),
                false => failed("process", &error),
            });
            report
                .checks
                .push(checks::unknown("program", "its executable may not be read"));
            report.checks.extend(rights);
            return checks::whereabouts(report, &facts.target, ns_pid(pid).unwrap_or(pid));
        }
    };
    describe(&mut report.process, &process);
    report.checks.push(checks::process(&process));
    let program = Program::of(&process);
    program.describe(&mut report.process);
    report.checks.push(match &program.located {
        Ok(_) => program.check(),
        // Without debug information the running target is asked, for which the rights are missing.
        Err(error) if error.category() == Category::NotPermitted && cause(&rights).is_some() => checks::unknown(
            "program",
            "whether its runtime can be read shows once the process may be read",
        ),
        Err(error) => failed("program", error),
    });
    if let Err(error) = process.check_access()
        && cause(&rights).is_none()
    {
        report.checks.push(failed("own-process", &error));
    }
    let allowed = cause(&rights).is_none();
    report.checks.extend(rights);
    report.checks.push(checks::threads(&facts.target.threads));
    let longest = match pause {
        Pause::AtMost(max) if stops => Some(max),
        _ => None,
    };
    checks::circumstances(&mut report.checks, &process, frozen, host.cpus, longest);
    checks::whereabouts(report, &facts.target, process.info().ns_pid);
    if let (Ok(runtime), true) = (&program.located, allowed) {
        let size = process
            .read_running(&HeapSize::ranges(runtime))
            .ok()
            .and_then(|memory| HeapSize::decode(&memory, runtime).ok());
        let expected = expect(&facts.target.threads, size, &process, longest);
        report.checks.push(checks::memory(&expected));
        report.checks.push(pause_check(&expected, report.process.pid));
        report.pause = Some(expected);
    }
    if let Err(error) = process.recheck() {
        // Whatever was found out is about a process that is no more.
        report.checks.insert(0, failed("process", &error));
    }
}

/// The pause of a scan; `longest` is what is allowed, `None` when nothing will be stopped.
fn expect(
    threads: &ThreadFacts,
    size: Option<HeapSize>,
    process: &LiveProcess,
    longest: Option<Duration>,
) -> ExpectedPause {
    let guessed = || process.resident_bytes().map(|bytes| bytes / SPAN_BYTES);
    let (spans, basis) = match size {
        Some(size) => (Some(size.spans), PauseBasis::Read),
        None => guessed().map_or((None, PauseBasis::None), |spans| (Some(spans), PauseBasis::Rss)),
    };
    let load = PauseLoad {
        threads: threads.count as u64,
        blocked_threads: threads.blocked as u64,
        spans: spans.unwrap_or(0),
        goroutines: size.map_or(0, |size| size.goroutines),
    };
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (expected, floor) = match longest {
        Some(_) => (ns(load.expected()), ns(load.floor())),
        None => (0, 0),
    };
    // A quota of CPU time may allow less.
    let by_quota = longest.and_then(longest_stop);
    let by_quota = by_quota.map(|allowed| allowed.saturating_sub(load.least_cpu().saturating_sub(load.floor())));
    let max_ns = longest.map(|max| ns(by_quota.map_or(max, |allowed| allowed.min(max))));
    ExpectedPause {
        expected_ns: expected,
        floor_ns: floor,
        max_ns,
        fits: max_ns.map(|max| expected <= max),
        suggested_max_ns: max_ns.map(|_| suggested_max(expected)),
        threads: load.threads,
        blocked_threads: load.blocked_threads,
        spans,
        goroutines: size.map(|size| size.goroutines),
        basis,
    }
}

/// A check that failed as a scan would.
fn failed(id: &str, error: &Error) -> DoctorCheck {
    DoctorCheck {
        id: id.to_owned(),
        status: CheckStatus::Fail,
        fact: error.to_string(),
        consequence: None,
        remedies: error
            .remedy()
            .map_or_else(Vec::new, |remedy| remedy.lines().map(Remedy::note).collect()),
        exit_code: Some(code_of_category(error.category())),
    }
}

/// Who the target is.
fn describe(to: &mut Process, process: &LiveProcess) {
    let info = process.info();
    to.ns_pid = u64::try_from(info.ns_pid).ok();
    to.pid_ns = info.pid_ns;
    to.start_ticks = Some(info.start_ticks);
    to.started_at = Some(humantime::format_rfc3339_millis(info.started_at).to_string());
    let up = SystemTime::now().duration_since(info.started_at).unwrap_or_default();
    to.uptime_ns = u64::try_from(up.as_nanos()).ok();
    to.exe = Some(info.exe_path.to_string_lossy().into_owned());
    to.threads = Some(info.threads as u64);
    to.cgroup_path = info.cgroup_path.clone();
}
