//! The parts of a report one can ask for with `--section`, and the JSON keys each of them stands for.

use clap::ValueEnum;

/// JSON keys that are in every document, whatever sections are chosen.
pub const HEAD_KEYS: [&str; 9] = [
    "schema_version",
    "kind",
    "captured_at",
    "tool",
    "host",
    "process",
    "capture",
    "unavailable",
    "warnings",
];

/// Also in every document, but younger than the head or optional in old ones.
const MORE_HEAD_KEYS: [&str; 2] = ["captured_monotonic_ns", "grades"];

/// A part of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Section {
    /// Who the target is, how much memory it has, how it was read
    Process,
    /// The verdict, and what stands out
    Findings,
    /// Where the resident memory is
    Ledger,
    /// Memory kept idle by the runtime
    Idle,
    /// Sparse size classes
    SizeClasses,
    /// Objects with a span of their own
    LargeObjects,
    /// What each P keeps for itself
    Processors,
    /// Goroutines by wait reason and creator
    Goroutines,
    /// The garbage collector and the scavenger
    Gc,
    /// How the runtime's own figures compare
    Checks,
    /// runtime.MemStats, field by field
    Memstats,
    /// The memory cgroup
    Cgroup,
    /// All of them
    All,
}

/// The sections of a table when none are named: the first screen.
const FIRST_SCREEN: [Section; 10] = [
    Section::Process,
    Section::Findings,
    Section::Ledger,
    Section::Idle,
    Section::SizeClasses,
    Section::LargeObjects,
    Section::Processors,
    Section::Goroutines,
    Section::Gc,
    Section::Checks,
];

impl Section {
    /// The top-level JSON keys of the section, beyond the head.
    fn keys(self) -> &'static [&'static str] {
        match self {
            // The process and the checks are in the head of every document.
            Section::Process | Section::Checks | Section::All => &[],
            Section::Findings => &["verdict", "findings"],
            Section::Ledger => &["ledger"],
            Section::Idle => &["idle"],
            Section::SizeClasses => &["size_classes"],
            Section::LargeObjects => &["large_objects"],
            Section::Processors => &[
                "processors",
                "idle_count",
                "retired_count",
                "free_mcaches",
                "free_goroutines",
            ],
            Section::Goroutines => &["goroutines", "free_goroutines"],
            Section::Gc => &["gc"],
            Section::Memstats => &["memstats"],
            Section::Cgroup => &["cgroup"],
        }
    }
}

/// Which sections to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Empty: none were named.
    named: Vec<Section>,
}

impl Selection {
    /// What one gets without `--section`: the first screen in a table, everything in JSON.
    pub fn everything() -> Selection {
        Selection::default()
    }

    /// The named sections; none named is the same as [`Selection::everything`].
    pub fn of(sections: &[Section]) -> Selection {
        Selection {
            named: sections.to_vec(),
        }
    }

    /// Whether JSON holds everything.
    pub fn is_everything(&self) -> bool {
        self.named.is_empty() || self.named.contains(&Section::All)
    }

    /// Whether the user named this section, by its own name or by "all".
    pub fn names(&self, section: Section) -> bool {
        self.named.contains(&section) || self.named.contains(&Section::All)
    }

    /// Whether a table shows the section.
    pub fn shows(&self, section: Section) -> bool {
        if self.named.is_empty() {
            FIRST_SCREEN.contains(&section)
        } else {
            self.names(section)
        }
    }

    /// Whether a JSON document has the top-level key.
    pub fn has_key(&self, key: &str) -> bool {
        self.is_everything()
            || HEAD_KEYS.contains(&key)
            || MORE_HEAD_KEYS.contains(&key)
            || self.named.iter().any(|section| section.keys().contains(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_key_of_the_document_belongs_to_the_head_or_to_a_section() {
        let document = serde_json::to_value(sample::large_sick()).unwrap();
        let every_section: Vec<Section> = Section::value_variants()
            .iter()
            .copied()
            .filter(|section| *section != Section::All)
            .collect();
        let selection = Selection::of(&every_section);
        assert!(!selection.is_everything());
        for key in document.as_object().unwrap().keys() {
            assert!(selection.has_key(key), "{key} is in no section");
        }
    }

    #[test]
    fn memstats_is_not_on_the_first_screen_but_can_be_asked_for() {
        assert!(!Selection::everything().shows(Section::Memstats));
        assert!(Selection::of(&[Section::Memstats]).shows(Section::Memstats));
        assert!(!Selection::of(&[Section::Memstats]).shows(Section::Gc));
        assert!(Selection::of(&[Section::All]).shows(Section::Memstats));
    }
}
