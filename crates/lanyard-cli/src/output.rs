//! Printing: fields for people, documents for programs; tables are in `table`. Text from outside is
//! escaped before a terminal sees it.

use clap::ValueEnum;
use lanyard_core::document::visible;
use serde_json::Value;

use crate::terminal::Screen;
use crate::{text, yaml};

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns: on a screen those that fit, all of them in a file or a pipe.
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

/// What stands between the name of a field and its value.
const GAP: usize = 2;

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
