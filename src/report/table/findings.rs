//! The verdict, then what stands out: why, and what to do about it, now and with the next deploy.

use super::line::{Line, Tone};
use super::page::{INDENT, LABEL, Page, faint};
use crate::model::{Finding, Severity, When};

/// Where the text of a finding begins, behind its mark.
const BODY: usize = INDENT + 3;

/// Columns of "next deploy" and a gap.
const WHEN: usize = 13;

/// The verdict, at the very top.
pub fn render_verdict(page: &mut Page<'_>) {
    let Some(verdict) = &page.report.verdict else {
        let text = page.missing("/verdict").unwrap_or_else(|| "none".to_owned());
        page.labelled("verdict", &[faint(text)]);
        return;
    };
    let (label, tone) = match verdict.severity {
        Severity::Info => ("verdict", Tone::Faint),
        Severity::Warning => ("warning", Tone::Warning),
        Severity::Critical => ("critical", Tone::Critical),
    };
    let mut start = Line::default();
    start.push(label, tone);
    page.paragraph(start, LABEL, &verdict.text, Tone::Strong);
}

/// What stands out, worst first.
pub fn render(page: &mut Page<'_>) {
    let report = page.report;
    if report.findings.is_empty() {
        if let Some(text) = page.missing("/findings") {
            page.labelled("findings", &[faint(text)]);
        }
        return;
    }
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings.iter().take(page.options.top) {
        page.gap();
        one(page, finding);
    }
    page.rest(
        findings.len().min(page.options.top),
        findings.len(),
        "finding",
        "findings",
    );
    page.explain(&["/findings"]);
}

fn one(page: &mut Page<'_>, finding: &Finding) {
    let (mark, tone) = match finding.severity {
        Severity::Info => (page.glyphs.marks[0], Tone::Info),
        Severity::Warning => (page.glyphs.marks[1], Tone::Warning),
        Severity::Critical => (page.glyphs.marks[2], Tone::Critical),
    };
    let mut start = Line::default();
    start.pad_to(INDENT);
    start.push(mark, tone);
    page.paragraph(start, BODY, &finding.title, Tone::Strong);
    if !finding.detail.is_empty() {
        page.paragraph(Line::default(), BODY, &finding.detail, Tone::Plain);
    }
    for advice in &finding.advice {
        let mut start = Line::default();
        start.pad_to(BODY);
        let when = match advice.when {
            When::Now => "now",
            When::NextDeploy => "next deploy",
        };
        start.push(when, Tone::Info);
        page.paragraph(start, BODY + WHEN, &advice.text, Tone::Plain);
    }
    if page.is_verbose() && !finding.evidence.is_empty() {
        let mut start = Line::default();
        start.pad_to(BODY);
        start.push("evidence", Tone::Faint);
        page.paragraph(start, BODY + WHEN, &finding.evidence.join(", "), Tone::Faint);
    }
}
