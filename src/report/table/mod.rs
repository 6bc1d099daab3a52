//! The report for people: one screen that says what is wrong, how sure that is and what to do, then the evidence.
//!
//! Every section is a file here that turns its part of the model into lines on a page (`Page`); a page knows the width,
//! escapes everything it is given and paints at the very end. Nothing is computed but order, choice and layout.

mod bar;
mod checks;
mod doctor;
mod findings;
mod gc;
mod glyphs;
mod goroutines;
mod grid;
mod idle;
mod large_objects;
mod ledger;
mod line;
mod memory;
mod memstats;
mod missing;
mod page;
mod process;
mod processors;
mod reading;
mod size_classes;
mod text;

#[cfg(test)]
mod golden_tests;

use super::sections::{Section, Selection};
use crate::model::AttachReport;
pub use doctor::render as doctor;
use page::Page;
pub use text::escape;

/// The width of a table when neither the user nor the terminal names one, in columns.
pub const DEFAULT_WIDTH: usize = 100;

/// How many rows a list shows unless told otherwise.
pub const DEFAULT_TOP: usize = 10;

/// How to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Columns to stay within.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// Whether only ASCII can be shown.
    pub ascii: bool,
    /// Rows of a list.
    pub top: usize,
    /// The sections to show.
    pub sections: Selection,
    /// How much to say.
    pub verbosity: Verbosity,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            width: DEFAULT_WIDTH,
            color: false,
            ascii: false,
            top: DEFAULT_TOP,
            sections: Selection::everything(),
            verbosity: Verbosity::Normal,
        }
    }
}

/// How much a table says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only the verdict and the findings (unless sections are named).
    Quiet,
    /// The first screen.
    #[default]
    Normal,
    /// Also timings, layout, evidence.
    Verbose,
}

/// The report as text: lines that end with a newline, none wider than asked for.
pub fn render(report: &AttachReport, options: &TableOptions) -> String {
    let quiet = Selection::of(&[Section::Findings]);
    let sections = match (options.verbosity, &options.sections) {
        (Verbosity::Quiet, chosen) if *chosen == Selection::everything() => &quiet,
        (_, chosen) => chosen,
    };
    let mut page = Page::new(report, options);
    if sections.shows(Section::Findings) {
        findings::render_verdict(&mut page);
    }
    if sections.shows(Section::Process) {
        process::render(&mut page);
        memory::render(&mut page);
        reading::render(&mut page);
    }
    type Renderer = fn(&mut Page<'_>);
    let renderers: [(Section, Renderer); 11] = [
        (Section::Findings, findings::render),
        (Section::Ledger, ledger::render),
        (Section::Idle, idle::render),
        (Section::SizeClasses, size_classes::render),
        (Section::LargeObjects, large_objects::render),
        (Section::Processors, processors::render),
        (Section::Goroutines, goroutines::render),
        (Section::Gc, gc::render),
        (Section::Memstats, memstats::render),
        (Section::Cgroup, memory::render_cgroup),
        (Section::Checks, checks::render),
    ];
    for (section, renderer) in renderers {
        if sections.shows(section) {
            page.begin();
            renderer(&mut page);
        }
    }
    if options.verbosity > Verbosity::Quiet {
        missing::render(&mut page);
    }
    page.paint()
}
