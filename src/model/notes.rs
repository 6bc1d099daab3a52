//! What qualifies figures: how exact they are, why some are missing, what else went less than well.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a figure is known.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Read or counted from the runtime's own books.
    #[default]
    Exact,
    /// Follows from exact figures under an assumption that the scan checked.
    Derived,
    /// A bound or a model; may be off.
    Estimated,
}

/// A figure that is not exact.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Graded {
    /// JSON pointer (RFC 6901) of the figure or of the section it stands for.
    pub pointer: String,
    /// How it is known.
    pub grade: Grade,
}

/// Something that could not be read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Unavailable {
    /// JSON pointer (RFC 6901) of the figure or section that is null.
    pub pointer: String,
    /// Why, as one clause without a final stop.
    pub reason: String,
}

/// Something worth knowing about how a section came about.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Warning {
    /// The top-level section it concerns, for example "goroutines".
    pub section: String,
    /// One sentence.
    pub message: String,
}

/// Whether `upper` is `pointer` or lies above it.
pub(super) fn covers(upper: &str, pointer: &str) -> bool {
    pointer
        .strip_prefix(upper)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::super::{AttachReport, Grade, Graded, Unavailable};

    #[test]
    fn a_missing_section_explains_every_figure_below_it() {
        let mut report = AttachReport::new();
        report.unavailable.push(Unavailable {
            pointer: "/idle".into(),
            reason: "spans not read".into(),
        });
        assert_eq!(
            report.unavailable_reason("/idle/page_cache_bytes"),
            Some("spans not read")
        );
        assert_eq!(report.unavailable_reason("/idle"), Some("spans not read"));
        assert_eq!(report.unavailable_reason("/idle_count"), None);
        assert!(report.is_partial());
    }

    #[test]
    fn the_most_specific_grade_wins() {
        let mut report = AttachReport::new();
        report.grades = vec![
            Graded {
                pointer: "/idle/returnable_after_gc".into(),
                grade: Grade::Estimated,
            },
            Graded {
                pointer: "/idle".into(),
                grade: Grade::Derived,
            },
        ];
        assert_eq!(
            report.grade("/idle/returnable_after_gc/at_least_bytes"),
            Grade::Estimated
        );
        assert_eq!(report.grade("/idle/unreturned_bytes"), Grade::Derived);
        assert_eq!(report.grade("/memstats/Sys"), Grade::Exact);
    }
}
