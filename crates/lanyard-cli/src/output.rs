//! Printing: fields for people, documents for programs; tables are in `table`. Text from outside is
//! escaped before a terminal sees it.

use clap::ValueEnum;
use lanyard_vocabulary::text::visible;
use serde_json::Value;

use crate::terminal::Screen;
use crate::{text, yaml};

/// The form in which results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns: on a screen those that fit, all of them in a file or a pipe.
    Table,
    /// Print one JSON document, for programs.
    Json,
    /// JSON, a line for each thing.
    Jsonl,
    /// Print one YAML document, for programs.
    Yaml,
    /// The first column alone, a line each.
    Name,
}

impl Output {
    /// Tells if programs read it, and want all there is.
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

/// The fields and columns whose values programs read as numbers, in every command.
const NUMBERS: [&str; 14] = [
    "decisions",
    "exit code",
    "given",
    "journal records",
    "kill orders engaged",
    "leases",
    "live",
    "live leases",
    "needed",
    "pauses",
    "record",
    "records",
    "stopping",
    "tasks",
];
/// The fields and columns whose values programs read as true or false.
const TRUTHS: [&str; 2] = ["drill", "reaches nothing"];

/// A field or a cell as the member of a document: a name without spaces, and a number or a truth
/// where it is one.
pub(crate) fn member(name: &str, value: &str) -> (String, Value) {
    let typed = if NUMBERS.contains(&name) {
        value.parse::<u64>().ok().map(Value::from)
    } else if TRUTHS.contains(&name) {
        value.parse::<bool>().ok().map(Value::from)
    } else {
        None
    };
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let value = typed.unwrap_or_else(|| Value::String(value.to_owned()));
    (words.join("_"), value)
}

/// The number of columns between the name of a field and its value.
const GAP: usize = 2;

/// A thing, field by field.
pub(crate) fn print_one(output: Output, fields: &[(&'static str, String)]) {
    match output {
        Output::Json | Output::Jsonl | Output::Yaml => {
            let map = fields.iter().map(|(name, value)| member(name, value));
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

/// Says the fields of a thing on stderr, for a person who is about to answer.
pub(crate) fn say_fields(fields: &[(&'static str, String)]) {
    eprint!("{}", one(fields, Screen::columns(&std::io::stderr())));
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
            // A word without spaces, a digest or an address, is copied from the screen: only the
            // terminal breaks it.
            let screen = screen.filter(|_| value.contains(' '));
            let line = text::wrapped(&before, &value, width + GAP, screen);
            format!("{}\n", line.trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::tests::hostile;

    #[test]
    fn n9_a_member_has_a_name_without_spaces_and_a_number_is_one() {
        for (name, value, expected) in [
            ("journal records", "82", ("journal_records", json!(82))),
            ("exit code", "0", ("exit_code", json!(0))),
            ("reaches nothing", "true", ("reaches_nothing", json!(true))),
            ("drill", "false", ("drill", json!(false))),
            ("risk, as", "high", ("risk_as", json!("high"))),
            ("token_file", "/run/x", ("token_file", json!("/run/x"))),
            // A text of digits stays a text, and what is no number too.
            ("ticket", "4711", ("ticket", json!("4711"))),
            ("given", "1 of 2", ("given", json!("1 of 2"))),
            ("leases", "", ("leases", json!(""))),
        ] {
            let (named, member) = member(name, value);
            assert_eq!((named.as_str(), member), expected);
        }
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
