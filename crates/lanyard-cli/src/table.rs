//! Tables: how wide each column is, and which of them a screen has room for.
//!
//! A row takes one line. In a file or a pipe every column is there, as wide as its cells. On a
//! screen the columns that are needed to act are always there, and whole: an id, or a name that
//! somebody types again, is never cut. The other columns follow by their rank for as long as they
//! fit; texts are cut to what is left. Where even the columns that are needed do not fit, a row
//! goes on in indented lines.

use std::collections::BTreeMap;

use lanyard_vocabulary::text::visible;
use serde_json::{Map, Value};

use crate::output::{Output, member};
use crate::terminal::Screen;
use crate::text;

/// A column, and what becomes of it on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    name: &'static str,
    /// Columns with a lower rank are there first; those of rank 0 always.
    rank: u8,
    /// The narrowest that its cells are cut to; those of other columns are not cut.
    least: Option<usize>,
}

/// A column that is always there, and whole.
pub(crate) const fn key(name: &'static str) -> Column {
    whole(name, 0)
}

/// A column whose cells are never cut.
pub(crate) const fn whole(name: &'static str, rank: u8) -> Column {
    Column {
        name,
        rank,
        least: None,
    }
}

/// A column whose cells are cut to what the others leave, and to no less than this.
pub(crate) const fn prose(name: &'static str, rank: u8, least: usize) -> Column {
    Column {
        name,
        rank,
        least: Some(least),
    }
}

/// Rows of named columns.
pub(crate) struct Rows {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// Notes below a row, by the row's place.
    notes: BTreeMap<usize, Vec<String>>,
}

impl Rows {
    /// Rows whose columns are all needed.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self::of(columns.iter().map(|name| key(name)))
    }

    pub(crate) fn of(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            notes: BTreeMap::new(),
        }
    }

    pub(crate) fn push<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Says something below the last row, for people alone: nothing of it is cut.
    pub(crate) fn note(&mut self, note: String) {
        let last = self.rows.len();
        self.notes.entry(last).or_default().push(note);
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
            Output::Table => print!("{}", self.shown(Screen::columns(&std::io::stdout()))),
        }
    }

    fn object(&self, row: &[String]) -> Value {
        let pairs = self.columns.iter().zip(row);
        let members = pairs.map(|(column, cell)| member(column.name, cell));
        Value::Object(members.collect::<Map<_, _>>())
    }

    /// The rows under their heads, on a screen of so many columns or on none.
    pub(crate) fn shown(&self, screen: Option<usize>) -> String {
        let cells = |row: &Vec<String>| row.iter().map(|cell| text::cell(cell)).collect();
        let mut shown: Vec<Vec<String>> = vec![
            self.columns
                .iter()
                .map(|column| column.name.to_uppercase())
                .collect(),
        ];
        shown.extend(self.rows.iter().map(cells));
        let widest = |place: usize| {
            let cells = shown.iter().filter_map(|row| row.get(place));
            cells.map(|cell| text::width(cell)).max().unwrap_or(0)
        };
        let columns = self.columns.iter().enumerate();
        let natural: Vec<(Column, usize)> = columns
            .map(|(place, column)| (*column, widest(place)))
            .collect();
        let widths = match screen {
            None => natural.iter().map(|(_, width)| Some(*width)).collect(),
            Some(screen) => fitted(&natural, screen),
        };
        let lines = shown.iter().enumerate().map(|(place, row)| {
            let cells = row.iter().zip(&widths);
            let there = cells.filter_map(|(cell, width)| Some((cell, (*width)?)));
            let cut = there.map(|(cell, width)| (text::cut(cell, width), width));
            let (cells, widths): (Vec<_>, Vec<_>) = cut.unzip();
            let mut lines = folded(&cells, &widths, screen);
            for note in self.notes.get(&place).into_iter().flatten() {
                let before = " ".repeat(INDENT);
                let note = text::wrapped(&before, &text::line(note), INDENT, screen);
                lines.push_str(note.trim_end());
                lines.push('\n');
            }
            lines
        });
        lines.collect()
    }
}

/// Returns the width of each column on a screen; `None` of those that have no room.
fn fitted(natural: &[(Column, usize)], screen: usize) -> Vec<Option<usize>> {
    let least = |(column, width): (Column, usize)| match column.least {
        Some(least) => width.min(least.max(text::width(column.name))),
        None => width,
    };
    let mut widths: Vec<Option<usize>> = natural.iter().map(|_| None).collect();
    let mut places: Vec<usize> = (0..natural.len()).collect();
    places.sort_by_key(|place| natural.get(*place).map(|(column, _)| column.rank));
    let mut taken = 0;
    for place in places {
        let Some((column, width)) = natural.get(place).copied() else {
            continue;
        };
        let gap = if taken == 0 { 0 } else { GAP };
        let needs = gap + least((column, width));
        if column.rank > 0 && taken + needs > screen {
            continue;
        }
        taken += needs;
        if let Some(slot) = widths.get_mut(place) {
            *slot = Some(least((column, width)));
        }
    }
    // The texts share what is left, the narrowest first.
    let mut left = screen.saturating_sub(taken);
    while left > 0 {
        let texts = widths.iter_mut().zip(natural);
        let short = texts.filter_map(|(slot, (_, width))| {
            let slot = slot.as_mut()?;
            (*slot < *width).then_some(slot)
        });
        let Some(narrowest) = short.min_by_key(|slot| **slot) else {
            break;
        };
        *narrowest += 1;
        left -= 1;
    }
    widths
}

/// The indentation of the lines in which a row goes on.
const INDENT: usize = 4;
/// The number of spaces between two columns.
const GAP: usize = 2;

/// A row, in as many lines as it needs on a screen of this width.
fn folded(row: &[String], widths: &[usize], screen: Option<usize>) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        // The last column is not filled up: what is in it may be on the line where the rest of its
        // column is not.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::hostile;

    fn table() -> Rows {
        let mut rows = Rows::of([key("order"), prose("who", 0, 10), prose("reason", 1, 10)]);
        for text in hostile() {
            rows.push(["K-1".to_owned(), text.clone(), text]);
        }
        rows
    }

    #[test]
    fn a_table_holds_whatever_others_wrote() {
        let rows = table();
        let shown = rows.shown(None);
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
        let mut rows = Rows::new(&["order", "who", "reason"]);
        for text in hostile() {
            rows.push(["K-1".to_owned(), text.clone(), text]);
        }
        for screen in [20, 40, 80, 200] {
            let shown = rows.shown(Some(screen));
            let begun = shown.lines().filter(|line| !line.starts_with("  "));
            assert_eq!(begun.count(), 1 + rows.rows.len());
            for line in shown.lines() {
                assert!(text::width(line) <= screen, "{screen}: {line}");
            }
        }
    }

    #[test]
    fn a_row_with_texts_takes_one_line() {
        let rows = table();
        for screen in [40, 80, 200] {
            let shown = rows.shown(Some(screen));
            assert_eq!(shown.lines().count(), 1 + rows.rows.len(), "{shown}");
            for line in shown.lines() {
                assert!(text::width(line) <= screen, "{screen}: {line}");
            }
        }
    }

    #[test]
    fn n11_columns_are_there_by_rank_and_names_are_never_cut() {
        let mut rows = Rows::of([
            key("lease"),
            whole("agent", 1),
            prose("reason", 3, 10),
            whole("target", 2),
            whole("left", 4),
        ]);
        rows.push(
            [
                "L-1",
                "agent:router",
                "move ticket 7 to billing",
                "cluster-of-payments",
                "5m",
            ]
            .map(str::to_owned),
        );
        let on = |screen| rows.shown(Some(screen));
        let heads = |screen| {
            let shown = on(screen);
            let head = shown.lines().next().unwrap_or_default().to_owned();
            head.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(heads(80), ["LEASE", "AGENT", "REASON", "TARGET", "LEFT"]);
        assert!(
            on(60).contains("L-1    agent:router  move ticket…  cluster-of-payments  5m"),
            "{}",
            on(60)
        );
        // A column that does not fit leaves its room to those behind it.
        assert_eq!(heads(48), ["LEASE", "AGENT", "TARGET", "LEFT"]);
        assert_eq!(heads(41), ["LEASE", "AGENT", "TARGET"]);
        assert_eq!(heads(39), ["LEASE", "AGENT", "REASON", "LEFT"]);
        assert_eq!(heads(10), ["LEASE"]);
        for screen in 5..100 {
            let shown = on(screen);
            assert_eq!(shown.lines().count(), 2, "{shown}");
            assert!(
                shown.lines().all(|line| text::width(line) <= screen),
                "{shown}"
            );
            let cut = shown.split_whitespace().filter(|word| word.ends_with('…'));
            assert!(cut.count() <= 1, "{shown}");
        }
        // In a pipe everything is there.
        assert!(
            rows.shown(None)
                .contains("move ticket 7 to billing  cluster-of-payments  5m")
        );
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
        assert_eq!(rows.shown(Some(50)), expected);
        let narrow = "\
LEASE  STATE
    TARGET               WHY
L-1    proved dead
    cluster-of-payments  short
L-1    proved dead
    cluster-of-payments
    the provider does not answer
";
        assert_eq!(rows.shown(Some(32)), narrow);
    }
}
