//! How the figures were had, and how sure they are.

use super::line::Tone;
use super::page::{Item, Page, faint, plain};
use crate::model::{Capture, Confidence, LayoutSource, Source, Stop, Symbols};
use crate::units;

/// The line "scan".
pub fn render(page: &mut Page<'_>) {
    let capture = &page.report.capture;
    let mut items = vec![stop(capture)];
    if capture.source == Source::Live && !capture.consistent {
        let left_out = match capture.anomalies {
            0 => String::new(),
            anomalies => format!(", {} left out", units::counted(anomalies, "misfit", "misfits")),
        };
        items.push((format!("not one instant{left_out}"), Tone::Warning));
    }
    match &capture.layout {
        Some(layout) => {
            let from = match layout.source {
                LayoutSource::Dwarf => "DWARF",
                LayoutSource::DebugFile => "debug file",
                LayoutSource::Embedded => "built-in tables",
            };
            let release = layout
                .release
                .as_ref()
                .map(|release| format!(" for {release}"))
                .unwrap_or_default();
            let release = if layout.source == LayoutSource::Embedded {
                release
            } else {
                String::new()
            };
            items.push(plain(format!("layout from {from}{release}")));
            match layout.confidence {
                Confidence::High => {}
                Confidence::Medium if layout.source != LayoutSource::Embedded => {
                    items.push(("of a release not verified".to_owned(), Tone::Warning));
                }
                Confidence::Medium => items.push(("of a neighbouring patch release".to_owned(), Tone::Warning)),
                Confidence::Low => items.push(("a guess that passed the checks".to_owned(), Tone::Warning)),
            }
        }
        None => {
            let text = page
                .missing("/capture/layout")
                .unwrap_or_else(|| "no layout".to_owned());
            items.push(faint(format!("layout {text}")));
        }
    }
    items.push(checks(capture));
    if let Some(reason) = &capture.incomplete {
        items.push((format!("incomplete: {reason}"), Tone::Warning));
    }
    page.labelled("scan", &items);
    if page.is_verbose() {
        render_more(page);
    }
    page.explain_in_head(&["/capture"]);
}

fn stop(capture: &Capture) -> Item {
    let in_all = capture
        .wall_ns
        .map(|wall| format!(", {} in all", units::duration(wall)))
        .unwrap_or_default();
    plain(match (capture.source, capture.stop, capture.pause_ns) {
        (Source::Core, ..) => format!("read from a core file{in_all}"),
        (Source::Capture, ..) => format!("read from a saved capture{in_all}"),
        (_, Stop::Paused, Some(pause)) => format!("paused {}{in_all}", units::duration(pause)),
        (_, Stop::Paused, None) => format!("paused{in_all}"),
        (_, Stop::Frozen, _) => format!("found frozen, not stopped by the tool{in_all}"),
        (_, Stop::None, _) => format!("read while it ran on{in_all}"),
    })
}

fn checks(capture: &Capture) -> Item {
    let total = capture.checks.len();
    let agree = capture.checks.iter().filter(|check| check.ok).count();
    let tone = match agree == total {
        _ if total == 0 => Tone::Warning,
        true => Tone::Good,
        false => Tone::Warning,
    };
    match total {
        0 => ("nothing could be checked".to_owned(), tone),
        _ => (
            format!("{agree} of {} agree", units::counted(total as u64, "check", "checks")),
            tone,
        ),
    }
}

fn render_more(page: &mut Page<'_>) {
    let capture = &page.report.capture;
    let mut items = vec![faint(format!("at {}", page.report.captured_at))];
    if let Some(threads) = capture.threads_stopped {
        items.push(faint(format!(
            "{} stopped",
            units::counted(threads, "thread", "threads")
        )));
    }
    for part in &capture.pause_steps {
        items.push(faint(format!("{} {}", part.name, units::duration(part.wall_ns))));
    }
    items.extend(
        capture
            .bytes_read
            .map(|bytes| faint(format!("{} read", units::bytes(bytes)))),
    );
    if let Some(symbols) = capture.symbols {
        let from = match symbols {
            Symbols::Symtab => "the symbol table",
            Symbols::Dwarf => "DWARF",
            Symbols::Recovered => "the tool's own search",
        };
        items.push(faint(format!("addresses from {from}")));
    }
    if let Some(release) = capture.layout.as_ref().and_then(|layout| layout.release.as_ref()) {
        items.push(faint(format!("layout release {release}")));
    }
    items.extend(
        page.report
            .tool
            .peak_rss_bytes
            .map(|bytes| faint(format!("own peak RSS {}", units::bytes(bytes)))),
    );
    for step in &capture.steps {
        items.push(faint(format!("{} {}", step.name, units::duration(step.wall_ns))));
    }
    page.labelled("", &items);
}
