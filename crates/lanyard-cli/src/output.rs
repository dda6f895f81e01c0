//! Printing: a table for people, documents for programs. Text from outside is escaped before a terminal sees it.

use clap::ValueEnum;
use lanyard_core::document::visible;
use serde_json::{Map, Value};

use crate::yaml;

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
            (Self::Jsonl, Value::Array(all)) => all.iter().for_each(|one| println!("{one}")),
            (Self::Jsonl, _) => println!("{value}"),
            (Self::Json | Self::Table | Self::Name, _) => println!("{value:#}"),
        }
    }

    /// Prints one of many documents that come one after the other.
    pub(crate) fn next_document(self, value: &Value) {
        match self {
            Self::Yaml => print!("---\n{}", yaml::text(value)),
            Self::Json | Self::Jsonl | Self::Table | Self::Name => println!("{value}"),
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
                .for_each(|name| println!("{name}")),
            Output::Table => self.table(),
        }
    }

    fn object(&self, row: &[String]) -> Value {
        let pairs = self.columns.iter().zip(row);
        Value::Object(
            pairs
                .map(|(name, cell)| ((*name).to_owned(), Value::String(cell.clone())))
                .collect::<Map<_, _>>(),
        )
    }

    fn table(&self) {
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| visible(cell)).collect())
            .collect();
        let width = |column: usize| {
            let cells = shown
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            let name = self.columns.get(column).map_or(0, |name| name.len());
            cells.chain([name]).max().unwrap_or(0)
        };
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let padded: Vec<String> = cells
                .enumerate()
                .map(|(column, cell)| format!("{cell:<w$}", w = width(column)))
                .collect();
            println!("{}", padded.join("  ").trim_end());
        };
        line(&mut self.columns.iter().map(|name| name.to_uppercase()));
        shown.iter().for_each(|row| line(&mut row.iter().cloned()));
    }
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
                println!("{value}");
            }
        }
        Output::Table => {
            let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, value) in fields {
                println!("{name:<width$}  {}", visible(value));
            }
        }
    }
}
