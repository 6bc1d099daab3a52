//! The report as JSON: indented by two spaces, ending with a newline, control characters escaped by serde.

use serde_json::{Map, Value};

use super::sections::Selection;
use crate::model::AttachReport;

/// The chosen sections of a report and its head.
pub fn render(report: &AttachReport, selection: &Selection) -> serde_json::Result<String> {
    let mut text = if selection.is_everything() {
        serde_json::to_string_pretty(report)?
    } else {
        let document = match serde_json::to_value(report)? {
            Value::Object(document) => document,
            other => Map::from_iter([("report".to_owned(), other)]),
        };
        let chosen: Map<String, Value> = document.into_iter().filter(|(key, _)| selection.has_key(key)).collect();
        serde_json::to_string_pretty(&chosen)?
    };
    text.push('\n');
    Ok(text)
}

/// A whole document.
pub fn document(report: &impl serde::Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::sections::{HEAD_KEYS, Section};
    use super::*;

    #[test]
    fn every_sample_comes_back_as_it_went() {
        for (name, report) in sample::all() {
            let text = render(&report, &Selection::everything()).unwrap();
            assert_eq!(serde_json::from_str::<AttachReport>(&text).unwrap(), report, "{name}");
            assert!(text.ends_with("}\n"));
        }
    }

    #[test]
    fn a_document_of_some_sections_keeps_the_head_and_the_order() {
        let text = render(
            &sample::large_sick(),
            &Selection::of(&[Section::Gc, Section::Processors]),
        )
        .unwrap();
        let document: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let keys: Vec<&str> = document.keys().map(String::as_str).collect();
        for key in HEAD_KEYS
            .iter()
            .chain(&["gc", "processors", "retired_count", "free_goroutines", "grades"])
        {
            assert!(keys.contains(key), "{key} is missing");
        }
        assert!(!keys.contains(&"idle") && !keys.contains(&"memstats"));
        assert_eq!(keys.first(), Some(&"schema_version"));
        assert_eq!(keys.last(), Some(&"warnings"));
        let part: AttachReport = serde_json::from_str(&text).unwrap();
        assert_eq!(part.gc, sample::large_sick().gc);
    }

    #[test]
    fn control_characters_of_the_target_do_not_reach_the_terminal() {
        let mut report = sample::small_healthy();
        report.process.exe = Some("/bin/\u{1b}[31mred\n".into());
        let text = render(&report, &Selection::everything()).unwrap();
        assert!(text.contains(r"/bin/\u001b[31mred\n"));
        assert!(
            text.chars()
                .all(|character| character == '\n' || !character.is_ascii_control())
        );
    }
}
