//! Printing: a table for people, documents for programs. Text from outside is escaped before a terminal sees it.

use clap::ValueEnum;
use lanyard_core::document::visible;
use serde_json::{Map, Value};

use crate::terminal::Screen;
use crate::{text, yaml};

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns.
    Table,
    /// One JSON document.
    Json,
    /// JSON, a line for each thing.
    Jsonl,
    /// One YAML document.
    Yaml,
    /// The first column alone, a line each.
    Name,
}

impl Output {
    /// Whether programs read it, and want all there is.
    pub(crate) const fn is_document(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl | Self::Yaml)
    }

    /// Prints a document; as JSON where it was not asked for as something else.
    pub(crate) fn document(self, value: &Value) {
        match (self, value) {
            (Self::Yaml, _) => print!("{}", yaml::text(value)),
            (Self::Jsonl, Value::Array(all)) => all
                .iter()
                .for_each(|one| println!("{}", text::json(one.to_string()))),
            (Self::Jsonl, _) => println!("{}", text::json(value.to_string())),
            (Self::Json | Self::Table | Self::Name, _) => {
                println!("{}", text::json(format!("{value:#}")));
            }
        }
    }

    /// Prints one of many documents that come one after the other.
    pub(crate) fn next_document(self, value: &Value) {
        match self {
            Self::Yaml => print!("---\n{}", yaml::text(value)),
            Self::Json | Self::Jsonl | Self::Table | Self::Name => {
                println!("{}", text::json(value.to_string()));
            }
        }
    }
}

/// Rows of named columns.
pub(crate) struct Rows {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn push<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    pub(crate) fn print(&self, output: Output) {
        match output {
            Output::Json | Output::Jsonl | Output::Yaml => {
                let all = self.rows.iter().map(|row| self.object(row));
                output.document(&all.collect());
            }
            Output::Name => self
                .rows
                .iter()
                .filter_map(|row| row.first())
                .for_each(|name| println!("{}", visible(name))),
            Output::Table => print!("{}", self.table(Screen::columns(&std::io::stdout()))),
        }
    }

    /// As [`Rows::print`], each row on one line of the screen: cells of the columns that `shrink` names are cut where it is too
    /// narrow, the widest first.
    pub(crate) fn print_fitted(&self, output: Output, shrink: &[&str]) {
        match output {
            Output::Table => {
                let screen = Screen::columns(&std::io::stdout());
                print!("{}", self.fitted(screen, shrink));
            }
            Output::Json | Output::Jsonl | Output::Yaml | Output::Name => self.print(output),
        }
    }

    pub(crate) fn fitted(&self, screen: Option<usize>, shrink: &[&str]) -> String {
        let Some(columns) = screen else {
            return self.table(None);
        };
        let width = |column: usize, name: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let cells = cells.map(|cell| text::width(&text::cell(cell)));
            cells.max().unwrap_or(0).max(text::width(name))
        };
        let names = self.columns.iter().enumerate();
        let mut widths: Vec<usize> = names.map(|(column, name)| width(column, name)).collect();
        let gaps = GAP * self.columns.len().saturating_sub(1);
        let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(columns);
        while over > 0 {
            let named = self.columns.iter().zip(&mut widths);
            let cut = named.filter(|(name, _)| shrink.contains(*name));
            let Some((_, widest)) = cut.max_by_key(|(_, width)| **width) else {
                break;
            };
            if *widest <= LEAST_CELL {
                break;
            }
            *widest -= 1;
            over -= 1;
        }
        let cut = |row: &Vec<String>| -> Vec<String> {
            let cells = row.iter().zip(&widths);
            cells
                .map(|(cell, width)| text::cut(&text::cell(cell), *width))
                .collect()
        };
        let fitted = Self {
            columns: self.columns.clone(),
            rows: self.rows.iter().map(cut).collect(),
        };
        fitted.table(screen)
    }

    fn object(&self, row: &[String]) -> Value {
        let pairs = self.columns.iter().zip(row);
        Value::Object(
            pairs
                .map(|(name, cell)| ((*name).to_owned(), Value::String(cell.clone())))
                .collect::<Map<_, _>>(),
        )
    }

    /// The rows under their heads. Rows that are wider than the screen go on in indented lines, broken at the same columns
    /// throughout, so that no line begins as a row does and is none.
    fn table(&self, screen: Option<usize>) -> String {
        let cells = |row: &Vec<String>| row.iter().map(|cell| text::cell(cell)).collect();
        let shown: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
        let heads: Vec<String> = self
            .columns
            .iter()
            .map(|name| name.to_uppercase())
            .collect();
        let all = || std::iter::once(&heads).chain(&shown);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = all().filter_map(|row| row.get(column));
                cells.map(|cell| text::width(cell)).max().unwrap_or(0)
            })
            .collect();
        all().map(|row| folded(row, &widths, screen)).collect()
    }
}

/// The narrowest that a column is cut to.
const LEAST_CELL: usize = 8;
/// How far the lines are indented in which a row goes on.
const INDENT: usize = 4;
/// What stands between two columns.
const GAP: usize = 2;

/// One row, in as many lines as it needs on a screen of this width.
fn folded(row: &[String], widths: &[usize], screen: Option<usize>) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        // The last column is not filled up: what is in it may be on the line where the rest of its column is not.
        let is_last = column + 1 == row.len();
        let (cell, needs) = if is_last {
            (cell.clone(), text::width(cell))
        } else {
            (text::padded(cell, *width), *width)
        };
        let is_over = |line: &str| screen.is_some_and(|screen| text::width(line) + needs > screen);
        if column > 0 {
            line.push_str("  ");
            if is_over(&line) {
                lines.push(std::mem::replace(&mut line, " ".repeat(INDENT)));
            }
        }
        if is_over(&line) {
            let cell = text::wrapped(&line, cell.trim_end(), INDENT, screen);
            lines.extend(cell.split('\n').map(str::to_owned));
            // The next column begins a line of its own.
            line = " ".repeat(screen.unwrap_or_default());
        } else {
            line.push_str(&cell);
        }
    }
    lines.push(line);
    let lines = lines.iter().map(|line| line.trim_end());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    format!("{}\n", lines.join("\n"))
}

/// One thing, field by field.
pub(crate) fn print_one(output: Output, fields: &[(&'static str, String)]) {
    match output {
        Output::Json | Output::Jsonl | Output::Yaml => {
            let map = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Value::String(value.clone())));
            output.document(&Value::Object(map.collect()));
        }
        Output::Name => {
            if let Some((_, value)) = fields.first() {
                println!("{}", visible(value));
            }
        }
        Output::Table => print!("{}", one(fields, Screen::columns(&std::io::stdout()))),
    }
}

/// A line for each field; a value of more words than the screen holds goes on below its beginning.
fn one(fields: &[(&'static str, String)], screen: Option<usize>) -> String {
    let names = fields.iter().map(|(name, _)| text::width(name));
    let width = names.max().unwrap_or(0);
    fields
        .iter()
        .map(|(name, value)| {
            let before = format!("{}  ", text::padded(name, width));
            let value = text::line(value);
            // A word without spaces, a digest or an address, is copied from the screen: only the terminal breaks it.
            let screen = screen.filter(|_| value.contains(' '));
            let line = text::wrapped(&before, &value, width + GAP, screen);
            format!("{}\n", line.trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::hostile;

    fn table() -> Rows {
        let mut rows = Rows::new(&["order", "who", "reason"]);
        for text in hostile() {
            rows.push(["K-1".to_owned(), text.clone(), text]);
        }
        rows
    }

    #[test]
    fn a_table_holds_whatever_others_wrote() {
        let rows = table();
        let shown = rows.table(None);
        // A row is a line, whose second column is as wide as in every other.
        assert_eq!(shown.lines().count(), 1 + rows.rows.len());
        for (line, row) in shown.lines().skip(1).zip(&rows.rows) {
            assert!(line.starts_with("K-1"), "{line}");
            let reason = text::cell(&row[2]);
            let before = line.strip_suffix(reason.trim_end()).unwrap();
            assert!(text::width(before) <= 5 + 2 + 300 + 2, "{line}");
        }
    }

    #[test]
    fn a_table_on_a_screen_begins_no_line_but_its_rows() {
        let rows = table();
        for screen in [20, 40, 80, 200] {
            let shown = rows.table(Some(screen));
            let begun = shown.lines().filter(|line| !line.starts_with("  "));
            assert_eq!(begun.count(), 1 + rows.rows.len());
            for line in shown.lines() {
                assert!(text::width(line) <= screen, "{screen}: {line}");
            }
        }
    }

    #[test]
    fn a_row_that_is_cut_takes_one_line() {
        let rows = table();
        for screen in [40, 80, 200] {
            let shown = rows.fitted(Some(screen), &["who", "reason"]);
            assert_eq!(shown.lines().count(), 1 + rows.rows.len(), "{shown}");
            for line in shown.lines() {
                assert!(text::width(line) <= screen, "{screen}: {line}");
            }
        }
    }

    #[test]
    fn a_row_that_is_wider_than_the_screen_goes_on_below() {
        let mut rows = Rows::new(&["lease", "state", "target", "why"]);
        let row = |why: &str| ["L-1", "proved dead", "cluster-of-payments", why].map(str::to_owned);
        rows.push(row("short"));
        rows.push(row("the provider does not answer"));
        let expected = "\
LEASE  STATE        TARGET               WHY
L-1    proved dead  cluster-of-payments  short
L-1    proved dead  cluster-of-payments
    the provider does not answer
";
        assert_eq!(rows.table(Some(50)), expected);
        let narrow = "\
LEASE  STATE
    TARGET               WHY
L-1    proved dead
    cluster-of-payments  short
L-1    proved dead
    cluster-of-payments
    the provider does not answer
";
        assert_eq!(rows.table(Some(32)), narrow);
    }

    #[test]
    fn a_field_begins_no_line_but_its_own() {
        for value in hostile() {
            let fields = [("approval", "A-1".to_owned()), ("reason", value)];
            for screen in [None, Some(30), Some(80)] {
                let shown = one(&fields, screen);
                let begun: Vec<&str> = shown
                    .lines()
                    .filter(|line| !line.starts_with(' '))
                    .collect();
                assert_eq!(begun.len(), 2, "{shown}");
                for line in shown.lines() {
                    let is_word = !line.trim_start_matches("reason").trim_start().contains(' ');
                    assert!(is_word || screen.is_none_or(|screen| text::width(line) <= screen));
                }
            }
        }
    }
}
