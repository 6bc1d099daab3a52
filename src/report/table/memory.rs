//! How much memory the target has, and how far it is from its limit.

use super::bar::gauge;
use super::line::{Line, Tone};
use super::page::{Item, LABEL, Page, faint, plain};
use crate::model::Cgroup;
use crate::units;

/// The line "memory", and one for the cgroup.
pub fn render(page: &mut Page<'_>) {
    let ledger = &page.report.ledger;
    let mut items: Vec<Item> = Vec::new();
    match ledger.rss_bytes {
        Some(rss) => items.push((format!("{} RSS", units::bytes(rss)), Tone::Strong)),
        None => {
            let reason = page
                .missing("/ledger/rss_bytes")
                .unwrap_or_else(|| "RSS unknown".to_owned());
            items.push(faint(reason));
        }
    }
    items.extend(
        ledger
            .go_resident_bytes
            .map(|bytes| plain(format!("Go heap, stacks and runtime {}", units::bytes(bytes)))),
    );
    items.extend(
        ledger
            .other_resident_bytes
            .map(|bytes| plain(format!("everything else {}", units::bytes(bytes)))),
    );
    if let Some(swap) = ledger.swap_bytes.filter(|swap| *swap > 0) {
        items.push((format!("swapped out {}", units::bytes(swap)), Tone::Warning));
    }
    page.labelled("memory", &items);
    match &page.report.cgroup {
        Some(cgroup) => distance(page, cgroup),
        None => {
            if let Some(reason) = page.missing("/cgroup") {
                page.labelled("cgroup", &[faint(reason)]);
            }
        }
    }
}

/// The distance to the limit, with a gauge.
fn distance(page: &mut Page<'_>, cgroup: &Cgroup) {
    let used = cgroup.working_set_bytes.or(cgroup.current_bytes);
    let charged = if cgroup.working_set_bytes.is_none() {
        " charged"
    } else {
        ""
    };
    let mut start = Line::default();
    start.push("cgroup", Tone::Faint);
    let mut items = Vec::new();
    match (used, cgroup.limit_bytes) {
        (Some(used), Some(limit)) => {
            if page.options.width >= 60 {
                let (filled, rest) = gauge(used, limit, 20, page.glyphs);
                start.pad_to(LABEL);
                start.push(filled, Tone::Info);
                start.push(rest, Tone::Faint);
                start.push("  ", Tone::Plain);
            }
            items.push(plain(format!(
                "{}{charged} of {} ({})",
                units::bytes(used),
                units::bytes(limit),
                units::share(used, limit)
            )));
        }
        (Some(used), None) => items.push(plain(format!("{}{charged}, no limit", units::bytes(used)))),
        (None, Some(limit)) => items.push(plain(format!("limit {}", units::bytes(limit)))),
        (None, None) => items.push(faint("no limit")),
    }
    if let Some(headroom) = cgroup.headroom_bytes {
        items.push((format!("{} to the OOM kill", units::bytes(headroom)), Tone::Strong));
    }
    page.flow(start, LABEL, &items);
    page.explain_in_head(&["/cgroup"]);
}

/// The section "cgroup": every figure.
pub fn render_cgroup(page: &mut Page<'_>) {
    let Some(cgroup) = &page.report.cgroup else {
        let text = page
            .missing("/cgroup")
            .unwrap_or_else(|| "none limits this process".to_owned());
        page.heading("CGROUP", &[faint(text)]);
        return;
    };
    page.heading(
        "CGROUP",
        &[plain(format!("version {}", cgroup.version)), plain(cgroup.path.clone())],
    );
    let mut items = Vec::new();
    for (name, key, value) in [
        ("limit", "limit_bytes", cgroup.limit_bytes),
        ("charged", "current_bytes", cgroup.current_bytes),
        ("working set", "working_set_bytes", cgroup.working_set_bytes),
        ("to the OOM kill", "headroom_bytes", cgroup.headroom_bytes),
    ] {
        items.push(plain(format!(
            "{name} {}",
            page.bytes(&format!("/cgroup/{key}"), value)
        )));
    }
    page.flow(Line::default(), super::page::INDENT, &items);
    page.explain(&["/cgroup"]);
}
