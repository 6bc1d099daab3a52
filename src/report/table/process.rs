//! Who the target is: one line.

use super::line::Tone;
use super::page::{Page, faint, plain};
use super::text::{Shorten, shorten};
use crate::units;

/// The line "process".
pub fn render(page: &mut Page<'_>) {
    let process = &page.report.process;
    let inside = process.ns_pid.filter(|ns_pid| *ns_pid != process.pid);
    let inside = inside
        .map(|ns_pid| format!(" ({ns_pid} in its namespace)"))
        .unwrap_or_default();
    let mut items = vec![(format!("pid {}{inside}", process.pid), Tone::Strong)];
    match &process.exe {
        Some(exe) => {
            let room = (page.options.width / 2).max(20);
            let exe = shorten(&page.safe(exe), room, Shorten::Middle, page.glyphs);
            items.push((exe, Tone::Strong));
        }
        None => items.push(faint(format!("executable {}", page.figure("/process/exe", None)))),
    }
    items.push(plain(match &process.go_version {
        Some(version) => version.clone(),
        None => format!("Go version {}", page.figure("/process/go_version", None)),
    }));
    if let Some(uptime) = process.uptime_ns {
        items.push(plain(format!("up {}", units::duration(uptime))));
    }
    if let Some(threads) = process.threads {
        items.push(plain(units::counted(threads, "thread", "threads")));
    }
    if let Some(gomaxprocs) = process.gomaxprocs {
        items.push(plain(format!("GOMAXPROCS {}", units::count(gomaxprocs))));
    }
    if let Some(runtime) = process.runtime.as_ref().filter(|runtime| runtime.count > 1) {
        let module = runtime.module.as_deref().unwrap_or("unnamed module");
        // The index counts from 0, people from 1.
        let ordinal = runtime.index.saturating_add(1);
        items.push((
            format!("Go runtime {ordinal} of {} ({module})", runtime.count),
            Tone::Warning,
        ));
    }
    let alone = process.runtime.as_ref().filter(|runtime| runtime.count == 1);
    if let Some(module) = alone.and_then(|runtime| runtime.module.as_deref())
        && process.exe.as_deref().is_some_and(|exe| exe != module)
    {
        items.push(plain(format!("Go runtime in {module}")));
    }
    page.labelled("process", &items);
    if page.is_verbose() {
        render_more(page);
    }
    if let Some(args) = &page.report.process.args {
        page.labelled("args", &[plain(args.join(" "))]);
    }
    page.explain_in_head(&["/process", "/host", "/tool"]);
}

fn render_more(page: &mut Page<'_>) {
    let (process, host) = (&page.report.process, &page.report.host);
    let mut items = Vec::new();
    let facts = [
        ("module", process.main_module.as_deref()),
        ("arch", process.goarch.as_deref()),
        ("build ID", process.build_id.as_deref()),
        ("started", process.started_at.as_deref()),
        ("cgroup", process.cgroup_path.as_deref()),
        ("host", host.name.as_deref()),
        ("kernel", host.kernel.as_deref()),
        ("huge pages", host.thp.as_ref().and_then(|thp| thp.enabled.as_deref())),
    ];
    for (name, value) in facts {
        items.extend(value.map(|value| faint(format!("{name} {value}"))));
    }
    if !process.experiments.is_empty() {
        items.push(faint(format!("GOEXPERIMENT {}", process.experiments.join(","))));
    }
    if !items.is_empty() {
        page.labelled("", &items);
    }
}
