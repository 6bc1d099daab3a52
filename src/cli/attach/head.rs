//! The parts of a report that say what was scanned, by what tool, and how.

use std::time::{Duration, SystemTime};

use super::scan::ScanOptions;
use crate::goruntime::locate::Runtime;
use crate::goruntime::provenance::{AddressesFrom, Certainty, LayoutFrom, Provenance};
use crate::image::Image;
use crate::model::{self, AttachReport, Confidence, Layout, LayoutSource, Process, Step, Symbols, Tool};
use crate::target::{Capture, LiveProcess, StopKind};

/// Unmet requests listed one by one.
const MISSING_SHOWN: usize = 5;

/// The parts of the report that say what was scanned and how.
pub(super) fn head(
    process: &LiveProcess,
    image: &Image,
    runtime: &Runtime,
    capture: &Capture,
    options: &ScanOptions,
) -> AttachReport {
    let info = process.info();
    let build = image.build.as_ref();
    let mut report = AttachReport::new();
    report.captured_at = humantime::format_rfc3339_millis(capture.at_realtime).to_string();
    report.captured_monotonic_ns = capture
        .at_monotonic_ns
        .checked_add_signed(process.monotonic_offset_ns());
    report.process = Process {
        pid: info.pid.max(0) as u64,
        ns_pid: u64::try_from(info.ns_pid).ok(),
        pid_ns: info.pid_ns,
        start_ticks: Some(info.start_ticks),
        started_at: Some(humantime::format_rfc3339_millis(info.started_at).to_string()),
        uptime_ns: uptime(info.started_at, capture.at_realtime),
        exe: Some(display(&info.exe_path)),
        build_id: image.elf.go_build_id.clone(),
        go_version: go_version(image, runtime),
        goarch: Some(image.elf.arch.goarch().to_owned()),
        main_module: build.and_then(|build| build.main_module.clone().or_else(|| build.main_package.clone())),
        experiments: build.map(|build| build.experiments.clone()).unwrap_or_default(),
        threads: Some(capture.threads.max(info.threads) as u64),
        args: options.with_args.then(|| arguments(process)).flatten(),
        ..Process::default()
    };
    let stop = match capture.stop {
        StopKind::Paused => model::Stop::Paused,
        StopKind::Frozen => model::Stop::Frozen,
        StopKind::None => model::Stop::None,
    };
    report.capture = model::Capture {
        stop,
        pause_ns: u64::try_from(capture.pause.as_nanos()).ok(),
        pause_steps: pause_steps(capture),
        bytes_read: Some(capture.bytes_read),
        threads_stopped: Some(if stop == model::Stop::Paused {
            capture.threads as u64
        } else {
            0
        }),
        incomplete: capture.complete.as_ref().err().map(|why| why.to_string()),
        layout: Some(layout_source(&runtime.provenance)),
        symbols: Some(match runtime.provenance.addresses {
            AddressesFrom::Dwarf => Symbols::Dwarf,
            AddressesFrom::Symtab => Symbols::Symtab,
            AddressesFrom::Code => Symbols::Recovered,
        }),
        ..model::Capture::default()
    };
    let warnings = runtime.warnings.iter().chain(&image.warnings).chain(&capture.warnings);
    for message in warnings {
        report.warn("capture", message);
    }
    if let Some(changes) = capture.changes {
        let message = format!(
            "read while it ran, twice: {} of {} pages ({} bytes) differed between the two readings",
            changes.changed_pages, changes.compared_pages, changes.changed_bytes
        );
        report.warn("capture", message);
    }
    for (request, why) in capture.missing.iter().take(MISSING_SHOWN) {
        let (what, range) = (request.what, request.range);
        let message = format!("{what} at {} ({} bytes): {why}", range.start, range.len);
        report.warn("capture", message);
    }
    report
}

/// The target's release as its build information names it, or `runtime.buildVersion`.
fn go_version(image: &Image, runtime: &Runtime) -> Option<String> {
    let named = image.build.as_ref().map(|build| build.go_version.clone());
    named.or_else(|| runtime.version.as_ref().map(|version| format!("go{version}")))
}

/// What the report says of where the layout comes from.
fn layout_source(from: &Provenance) -> Layout {
    Layout {
        source: match from.layout {
            LayoutFrom::Dwarf => LayoutSource::Dwarf,
            LayoutFrom::DebugFile => LayoutSource::DebugFile,
            LayoutFrom::Table => LayoutSource::Embedded,
        },
        release: from.release.clone(),
        confidence: match (from.is_own(), from.certainty) {
            (_, Certainty::Exact) => Confidence::High,
            (true, _) | (false, Certainty::Inferred | Certainty::Near) => Confidence::Medium,
            (false, Certainty::Beyond | Certainty::Unnamed) => Confidence::Low,
        },
    }
}

fn pause_steps(capture: &Capture) -> Vec<Step> {
    let parts = capture.pause_parts;
    let named = [("stop", parts.stop), ("copy", parts.copy), ("release", parts.release)];
    match capture.stop {
        StopKind::Paused => named.into_iter().map(|(name, time)| Step::took(name, time)).collect(),
        StopKind::Frozen | StopKind::None => Vec::new(),
    }
}

fn display(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

fn uptime(started: SystemTime, now: SystemTime) -> Option<u64> {
    u64::try_from(now.duration_since(started).unwrap_or(Duration::ZERO).as_nanos()).ok()
}

fn arguments(process: &LiveProcess) -> Option<Vec<String>> {
    let words = process.command_line().ok()?;
    Some(words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

pub fn tool() -> Tool {
    use nix::sys::resource::{UsageWho, getrusage};
    // The child that captures only gives its memory back while the tool decodes, and what it captured is shared: the larger
    // of the two is about the peak of both together.
    let peak = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .filter_map(|who| u64::try_from(getrusage(who).ok()?.max_rss()).ok())
        .max();
    Tool {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        peak_rss_bytes: peak.map(|kib| kib * 1024),
    }
}
