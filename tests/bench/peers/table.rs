//! The table, as text in columns or as Markdown, printed target by target.

use std::time::Duration;

use gomemscan::units;

use crate::figures::percentile;
use crate::run::Run;
use crate::tools::{How, Tool};

type Row = [String; 8];

const HEAD: [&str; 8] = [
    "target",
    "tool",
    "what it did",
    "runs",
    "wall",
    "pause: median (longest)",
    "peak memory",
    "result",
];
/// Figures end below each other, words begin.
const FIGURES: std::ops::Range<usize> = 3..7;
/// Longer messages of failed tools are cut.
const MESSAGE: usize = 140;

/// The rows of one target.
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

    /// Medians of the runs, and the longest pause.
    pub fn row(&mut self, tool: &Tool, runs: &[Run]) {
        let walls: Vec<f64> = runs.iter().map(|run| run.wall.as_secs_f64()).collect();
        let gaps: Vec<f64> = runs.iter().filter_map(|run| Some(run.gap?.as_secs_f64())).collect();
        let memory: Vec<f64> = runs.iter().filter_map(|run| Some(run.memory? as f64)).collect();
        let pause = median(&gaps).zip(gaps.iter().copied().max_by(f64::total_cmp));
        let pause = pause.map(|(median, longest)| format!("{} ({})", time(median), time(longest)));
        let memory = median(&memory).map(|bytes| match tool.how {
            How::Endpoint(_) => format!("+{} in the target", units::bytes(bytes as u64)),
            _ => units::bytes(bytes as u64),
        });
        let figures = [Some(runs.len().to_string()), median(&walls).map(time), pause, memory];
        self.add(tool, figures, result(runs));
    }

    pub fn missing(&mut self, tool: &Tool) {
        self.add(tool, [const { None }; 4], "not installed".to_owned());
    }

    fn add(&mut self, tool: &Tool, figures: [Option<String>; 4], result: String) {
        let [runs, wall, pause, memory] = figures.map(|figure| figure.unwrap_or_else(|| "–".to_owned()));
        let [target, name, does] = [self.target, tool.name, tool.does].map(str::to_owned);
        self.rows.push([target, name, does, runs, wall, pause, memory, result]);
    }

    /// In columns, each as wide as it must be.
    pub fn text(&self) -> String {
        let head = HEAD.map(str::to_owned);
        let lines = || std::iter::once(&head).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        let mut text = String::new();
        for row in lines() {
            let padded = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if FIGURES.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            text += padded.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// As lines of a Markdown table, without its head.
    pub fn markdown(&self) -> String {
        self.rows.iter().map(markdown_row).collect()
    }
}

/// The head of a Markdown table.
pub fn markdown_head() -> String {
    let rules: String = (0..HEAD.len())
        .map(|column| if FIGURES.contains(&column) { "--:|" } else { "---|" })
        .collect();
    format!("{}|{rules}", markdown_row(&HEAD.map(str::to_owned)))
}

fn markdown_row(row: &Row) -> String {
    let escaped = row.each_ref().map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", escaped.join(" | "))
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
