//! Aligned columns that fit a width: elastic columns shrink first, then columns are dropped by rank; rows never are.

use super::bar::bar;
use super::glyphs::Glyphs;
use super::line::{Line, Tone};
use super::text::{Shorten, shorten, width};

const GAP: usize = 2;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    title: String,
    tone: Tone,
    align: Align,
    /// 0: never dropped; the largest goes first.
    rank: u8,
    /// How far it may shrink, and how.
    elastic: Option<(usize, Shorten)>,
    /// Grows only when nobody else wants to.
    filler: bool,
}

impl Column {
    /// Text, from the left.
    pub fn left(title: &str) -> Column {
        Column {
            title: title.to_owned(),
            tone: Tone::Faint,
            align: Align::Left,
            rank: 0,
            elastic: None,
            filler: false,
        }
    }

    /// Figures, from the right.
    pub fn right(title: &str) -> Column {
        Column {
            align: Align::Right,
            ..Column::left(title)
        }
    }

    /// The first column, whose title is the heading of the section.
    pub fn heading(title: &str) -> Column {
        Column {
            tone: Tone::Heading,
            ..Column::left(title)
        }
    }

    /// Bars, in whatever room the others leave.
    pub fn bars() -> Column {
        Column {
            filler: true,
            elastic: Some((5, Shorten::End)),
            ..Column::left("")
        }
    }

    /// May be dropped where room is short; the largest rank goes first.
    pub fn droppable(mut self, rank: u8) -> Column {
        self.rank = rank;
        self
    }

    /// May shrink to `least` columns.
    pub fn elastic(mut self, least: usize, how: Shorten) -> Column {
        self.elastic = Some((least, how));
        self
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Safe text in a tone.
    Text(String, Tone),
    /// A bar for a part of a whole, as wide as its column becomes.
    Bar(u64, u64),
}

impl Cell {
    /// Plain safe text.
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell::Text(text.into(), Tone::Plain)
    }

    /// Safe text that can be skipped.
    pub fn faint(text: impl Into<String>) -> Cell {
        Cell::Text(text.into(), Tone::Faint)
    }

    /// Safe text that should be seen.
    pub fn strong(text: impl Into<String>) -> Cell {
        Cell::Text(text.into(), Tone::Strong)
    }

    /// Nothing.
    pub fn empty() -> Cell {
        Cell::plain("")
    }
}

/// The widest a bar is drawn.
const BAR_COLUMNS: usize = 24;

/// Rows of cells under column titles.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// A grid of these columns.
    pub fn new(columns: Vec<Column>) -> Grid {
        Grid {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row, a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, title line first, `indent` blanks before each row.
    pub fn lines(&self, total: usize, indent: usize, glyphs: &Glyphs) -> Vec<Line> {
        let widths = self.fit(total, indent);
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        if self.columns.iter().any(|column| !column.title.is_empty()) {
            let titles: Vec<Cell> = self
                .columns
                .iter()
                .map(|column| Cell::Text(column.title.clone(), column.tone))
                .collect();
            // A heading begins at the margin, its rows are indented.
            let outdent = self.columns.first().is_some_and(|column| column.tone == Tone::Heading);
            lines.push(self.line(&titles, &widths, indent, outdent, glyphs));
        }
        lines.extend(
            self.rows
                .iter()
                .map(|row| self.line(row, &widths, indent, false, glyphs)),
        );
        lines
    }

    fn line(&self, cells: &[Cell], widths: &[Option<usize>], indent: usize, outdent: bool, glyphs: &Glyphs) -> Line {
        let mut line = Line::default();
        let mut end = if outdent { 0 } else { indent };
        line.pad_to(end);
        let mut first = true;
        for ((column, columns), cell) in self.columns.iter().zip(widths).zip(cells) {
            let Some(columns) = *columns else { continue };
            let columns = if first && outdent { columns + indent } else { columns };
            if !first {
                end += GAP;
                line.pad_to(end);
            }
            first = false;
            end += columns;
            match cell {
                Cell::Text(text, tone) => {
                    let how = column.elastic.map_or(Shorten::End, |(_, how)| how);
                    let text = shorten(text, columns, how, glyphs);
                    if column.align == Align::Right {
                        line.pad_to(end - width(&text));
                    }
                    line.push(text, *tone);
                }
                Cell::Bar(part, whole) => line.push(bar(*part, *whole, columns.min(BAR_COLUMNS), glyphs), Tone::Info),
            }
        }
        line
    }

    /// The width of each column, `None` for dropped ones.
    fn fit(&self, total: usize, indent: usize) -> Vec<Option<usize>> {
        let natural: Vec<usize> = (0..self.columns.len())
            .map(|index| self.natural_width(index, indent))
            .collect();
        let mut kept: Vec<bool> = natural.iter().map(|columns| *columns > 0).collect();
        let least = |index: usize| match self.columns.get(index).and_then(|column| column.elastic) {
            Some((least, _)) => least.min(natural[index]),
            None => natural[index],
        };
        let needed = |kept: &[bool]| {
            let columns: Vec<usize> = (0..kept.len()).filter(|index| kept[*index]).map(least).collect();
            indent + columns.iter().sum::<usize>() + GAP * columns.len().saturating_sub(1)
        };
        while needed(&kept) > total {
            let droppable = (0..kept.len()).filter(|index| kept[*index] && self.columns[*index].rank > 0);
            let Some(index) = droppable.max_by_key(|index| self.columns[*index].rank) else {
                break;
            };
            kept[index] = false;
        }
        let mut widths: Vec<usize> = (0..kept.len()).map(least).collect();
        // Whoever lacks most gets the next spare column, so that no elastic column starves.
        for _ in 0..total.saturating_sub(needed(&kept)) {
            let lacking = (0..kept.len()).filter(|index| kept[*index] && widths[*index] < natural[*index]);
            let Some(index) =
                lacking.max_by_key(|index| (!self.columns[*index].filler, natural[*index] - widths[*index]))
            else {
                break;
            };
            widths[index] += 1;
        }
        // Hopelessly narrow: elastic columns give way below what they should keep.
        let mut lacking = needed(&kept).saturating_sub(total);
        for (index, column) in self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.elastic.is_some())
        {
            let loss = if kept[index] {
                lacking.min(widths[index].saturating_sub(least_width(column)))
            } else {
                0
            };
            widths[index] -= loss;
            lacking -= loss;
        }
        widths
            .into_iter()
            .zip(kept)
            .map(|(columns, kept)| kept.then_some(columns))
            .collect()
    }

    /// The widest cell of a column; 0 when it has nothing to show in any row.
    fn natural_width(&self, index: usize, indent: usize) -> usize {
        let column = &self.columns[index];
        let cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| match cell {
                Cell::Text(text, _) => width(text),
                Cell::Bar(..) => BAR_COLUMNS,
            });
        let widest = cells.max().unwrap_or(0);
        let title = width(&column.title);
        if column.tone == Tone::Heading {
            // The title hangs over into the indent.
            widest.max(title.saturating_sub(indent))
        } else if widest == 0 {
            0
        } else {
            widest.max(title)
        }
    }
}

/// A column narrower than this says nothing.
fn least_width(column: &Column) -> usize {
    if column.tone == Tone::Heading { 12 } else { 4 }
}

#[cfg(test)]
mod tests {
    use super::super::glyphs::UNICODE;
    use super::*;

    fn sample() -> Grid {
        let mut grid = Grid::new(vec![
            Column::heading("GOROUTINES"),
            Column::right("count"),
            Column::left("created by").elastic(8, Shorten::Function),
            Column::left("at").droppable(1),
            Column::left("").droppable(2),
        ]);
        for (name, count, function) in [
            ("a", "1", "example.com/long/path/pkg.Run"),
            ("bb", "1,024", "main.main"),
        ] {
            grid.row(vec![
                Cell::plain(name),
                Cell::plain(count),
                Cell::plain(function),
                Cell::faint("file.go:1"),
                Cell::Bar(1, 2),
            ]);
        }
        grid
    }

    fn painted(width: usize) -> Vec<String> {
        sample()
            .lines(width, 2, &UNICODE)
            .iter()
            .map(|line| line.paint(false))
            .collect()
    }

    #[test]
    fn room_enough_shows_everything_aligned() {
        assert_eq!(
            painted(100),
            [
                "GOROUTINES  count  created by                     at",
                "  a             1  example.com/long/path/pkg.Run  file.go:1  ████████████",
                "  bb        1,024  main.main                      file.go:1  ████████████",
            ]
        );
    }

    #[test]
    fn short_of_room_columns_shrink_and_drop_but_rows_stay() {
        assert_eq!(
            painted(40),
            [
                "GOROUTINES  count  created by  at",
                "  a             1  …/pkg.Run   file.go:1",
                "  bb        1,024  main.main   file.go:1",
            ]
        );
        for width in 30..120 {
            let lines = sample().lines(width, 2, &UNICODE);
            assert_eq!(lines.len(), 3);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}");
        }
    }
}
