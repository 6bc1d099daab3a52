//! What the runs came to: a table per target, as text in columns, or all targets side by side in one of Markdown.

use std::time::Duration;

use gomemscan::units;

use crate::figures::percentile;
use crate::run::Run;
use crate::tools::{How, Tool};

const HEAD: [&str; 7] = [
    "tool",
    "what it did",
    "runs",
    "wall",
    "pause: median (longest)",
    "peak memory",
    "result",
];
/// Figures end below each other, words begin.
const FIGURES: std::ops::Range<usize> = 2..6;
/// Longer messages of failed tools are cut.
const MESSAGE: usize = 140;

/// What a tool came to on one target.
struct Row {
    cells: [String; 7],
    /// No run of it ended well.
    failed: bool,
}

/// The tools on one target.
pub struct Table {
    target: &'static str,
    rows: Vec<Row>,
}

impl Table {
    pub fn of(target: &'static str) -> Table {
        Table {
            target,
            rows: Vec::new(),
        }
    }

    /// Medians of the runs, the longest pause and the most memory.
    pub fn row(&mut self, tool: &Tool, runs: &[Run]) {
        let walls: Vec<f64> = runs.iter().filter_map(|run| Some(run.wall?.as_secs_f64())).collect();
        let gaps: Vec<f64> = runs.iter().filter_map(|run| Some(run.gap?.as_secs_f64())).collect();
        let pause = median(&gaps).zip(gaps.iter().copied().max_by(f64::total_cmp));
        let pause = pause.map(|(median, longest)| format!("{} ({})", time(median), time(longest)));
        // The largest: what a target grew by once, the next run finds grown.
        let memory = runs.iter().filter_map(|run| run.memory).max();
        let memory = memory.map(units::bytes).map(|bytes| match tool.how {
            How::Endpoint(_) => format!("target +{bytes}"),
            How::Idle | How::Program(_) => bytes,
        });
        let figures = [Some(runs.len().to_string()), median(&walls).map(time), pause, memory];
        let failed = runs.iter().all(|run| run.result.is_err());
        self.add(tool, figures, result(runs), failed);
    }

    pub fn missing(&mut self, tool: &Tool) {
        self.add(tool, [const { None }; 4], "not installed".to_owned(), true);
    }

    fn add(&mut self, tool: &Tool, figures: [Option<String>; 4], result: String, failed: bool) {
        let [runs, wall, pause, memory] = figures.map(|figure| figure.unwrap_or_else(|| "–".to_owned()));
        let [name, does] = [tool.name, tool.does].map(str::to_owned);
        let cells = [name, does, runs, wall, pause, memory, result];
        self.rows.push(Row { cells, failed });
    }

    /// In columns, each as wide as it must be, below the name of the target.
    pub fn text(&self) -> String {
        let head = HEAD.map(str::to_owned);
        let lines = || std::iter::once(&head).chain(self.rows.iter().map(|row| &row.cells));
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        let mut text = format!("{}\n", self.target);
        for row in lines() {
            let padded = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if FIGURES.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            text += "  ";
            text += padded.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }
}

/// All targets side by side, and below the table what did not end well.
pub fn markdown(tables: &[Table]) -> String {
    let Some(first) = tables.first() else {
        return String::new();
    };
    let targets: Vec<&str> = tables.iter().map(|table| table.target).collect();
    let mut text = format!("| tool | what it does | {} |\n", targets.join(" | "));
    text += &format!("|---|---|{}\n", "---|".repeat(tables.len()));
    for (at, row) in first.rows.iter().enumerate() {
        let cells = tables.iter().map(|table| table.rows[at].beside());
        let [name, does, ..] = &row.cells;
        text += &format!("| {name} | {does} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
    }
    text.push('\n');
    for table in tables {
        for row in table.rows.iter().filter(|row| row.cells[6].contains("failed:")) {
            text += &format!("- {}, {}: {}\n", table.target, row.cells[0], row.cells[6]);
        }
    }
    text
}

impl Row {
    /// Wall, pause and memory in one cell.
    fn beside(&self) -> String {
        let [_, _, runs, wall, pause, memory, _] = &self.cells;
        match self.failed {
            true if runs == "–" => "not installed".to_owned(),
            true => format!("fails / {pause} / {memory}"),
            false => format!("{wall} / {pause} / {memory}"),
        }
    }
}

/// What the last good run gave, and how many were not good, with the reason of the last of those.
fn result(runs: &[Run]) -> String {
    let said = runs.iter().rev().find_map(|run| run.result.as_ref().ok());
    let failures: Vec<&String> = runs.iter().filter_map(|run| run.result.as_ref().err()).collect();
    let Some(why) = failures.last() else {
        return said.cloned().unwrap_or_default();
    };
    let why: String = why.chars().filter(|c| !c.is_control()).take(MESSAGE).collect();
    let failed = format!("{} of {} failed: {why}", failures.len(), runs.len());
    match said {
        Some(said) => format!("{said}; {failed}"),
        None => failed,
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| percentile(&values, 50))
}

fn time(seconds: f64) -> String {
    units::duration(Duration::from_secs_f64(seconds).as_nanos() as u64)
}
