//! Parse, print, parse is the identity, and printing twice is printing once: on the good charters,
//! and on documents that are written at random.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its footing gives way"
)]

use std::fmt::Write as _;
use std::path::Path;

use lanyard_charter::{Change, Effect, World, diff, is_charter_file, parse};
use lanyard_document::{Node, Value, print, read};
use proptest::prelude::*;
use proptest::sample::select;

/// The content of a document, without its positions.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Text(String),
    List(Vec<Said>),
    Map(Vec<(String, Said)>),
}

fn said(node: &Node) -> Said {
    match &node.value {
        Value::Scalar { text, .. } => Said::Text(text.clone()),
        Value::List(items) => Said::List(items.iter().map(said).collect()),
        Value::Map(entries) => {
            let key = |node: &Node| match said(node) {
                Said::Text(text) => text,
                other @ (Said::List(_) | Said::Map(_)) => format!("{other:?}"),
            };
            Said::Map(
                entries
                    .iter()
                    .map(|(name, value)| (key(name), said(value)))
                    .collect(),
            )
        }
    }
}

fn document() -> impl Strategy<Value = Said> {
    let words = select(&[
        "a",
        "two words",
        "",
        "10m",
        "#no comment",
        "a: b",
        "- x",
        "it's",
        "say \"so\"",
        "* ",
        "ä–日\u{1F600}",
        "line\nline",
        " edges ",
        "tail\n",
        "\tx",
        "[",
        "{}",
        "~",
        "https://x.example/#y",
        "null",
    ]);
    let leaf = words.prop_map(|word| Said::Text(word.to_owned()));
    let names = || select(&["a", "b", "c", "long-name", "k k", "1"]);
    let tree = leaf.prop_recursive(4, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Said::List),
            prop::collection::vec((names(), inner), 0..4).prop_map(|entries| {
                let mut seen = std::collections::BTreeSet::new();
                let entries = entries.into_iter().filter(|(name, _)| seen.insert(*name));
                Said::Map(
                    entries
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    });
    tree.prop_map(|value| Said::Map(vec![("root".to_owned(), value)]))
}

/// Writes a document with odd indentation, comments and blank lines where these say so.
struct Scribe {
    choices: Vec<u8>,
    next: usize,
    out: String,
}

impl Scribe {
    fn choose(&mut self, of: u8) -> u8 {
        let chosen = self.choices[self.next % self.choices.len()] % of;
        self.next += 1;
        chosen
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    fn text(&mut self, text: &str) -> String {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        match self.choose(3) {
            0 if plain => text.to_owned(),
            1 if !text.contains('\n') => format!("'{}'", text.replace('\'', "''")),
            _ => Self::quoted(text),
        }
    }

    fn flow(&mut self, value: &Said) -> String {
        match value {
            Said::Text(text) => self.text(text),
            Said::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.flow(item)).collect();
                let between = [",", ", ", " ,  ", ",\n                "];
                format!("[{}]", items.join(between[usize::from(self.choose(4))]))
            }
            Said::Map(entries) => {
                let entry = |(name, value): &(String, Said)| {
                    format!("{}: {}", Self::quoted(name), self.flow(value))
                };
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    fn space(&mut self, indent: usize) {
        match self.choose(6) {
            0 => self.out.push('\n'),
            1 => writeln!(self.out, "{}# before {}", " ".repeat(indent), self.next).unwrap(),
            2 => writeln!(self.out, "\n# between {}\n\n", self.next).unwrap(),
            _ => {}
        }
    }

    fn line_end(&mut self) {
        match self.choose(4) {
            0 => writeln!(self.out, "   # behind {}", self.next).unwrap(),
            1 => self.out.push_str("  \n"),
            _ => self.out.push('\n'),
        }
    }

    fn block(&mut self, value: &Said, indent: usize) {
        let more = usize::from(self.choose(3)) + 1;
        match value {
            Said::Map(entries) if !entries.is_empty() => {
                for (name, value) in entries {
                    self.space(indent);
                    write!(self.out, "{}{}:", " ".repeat(indent), Self::quoted(name)).unwrap();
                    self.nested(value, indent + more);
                }
            }
            Said::List(items) if !items.is_empty() => {
                for item in items {
                    self.space(indent);
                    write!(self.out, "{}-", " ".repeat(indent)).unwrap();
                    self.nested(item, indent + more);
                }
            }
            Said::Text(_) | Said::List(_) | Said::Map(_) => {}
        }
    }

    fn nested(&mut self, value: &Said, indent: usize) {
        let empty = matches!(value, Said::List(items) if items.is_empty())
            || matches!(value, Said::Map(entries) if entries.is_empty());
        if matches!(value, Said::Text(_)) || empty || self.choose(3) == 0 {
            let flow = self.flow(value);
            write!(self.out, " {flow}").unwrap();
            self.line_end();
        } else {
            self.line_end();
            self.block(value, indent);
        }
    }
}

fn comments(text: &str) -> Vec<String> {
    let found = text.lines().filter_map(|line| {
        line.split_once("# ")
            .map(|(_, rest)| rest.trim().to_owned())
    });
    found
        .filter(|text| {
            text.starts_with("before ")
                || text.starts_with("between ")
                || text.starts_with("behind ")
        })
        .collect()
}

proptest! {
    #[test]
    fn parse_print_parse_is_the_identity(value in document(), choices in prop::collection::vec(any::<u8>(), 8..64)) {
        let mut scribe = Scribe { choices, next: 0, out: String::new() };
        scribe.block(&value, 0);
        scribe.space(0);
        let text = scribe.out;
        let root = read(&text).unwrap();
        prop_assert_eq!(&said(&root), &value);
        let printed = print(&text);
        prop_assert!(printed.is_ok(), "{text}");
        let printed = printed.unwrap();
        prop_assert_eq!(said(&read(&printed).unwrap()), value, "{}\n---\n{}", text, printed);
        prop_assert_eq!(comments(&printed), comments(&text), "{}\n---\n{}", text, printed);
        prop_assert_eq!(print(&printed).unwrap(), printed, "{}", text);
    }

    #[test]
    fn t24_printing_hostile_text_never_panics(text in "[ \\-:\\[\\]{}&*!|>'\"%@`#,?a-c0-2\n]{0,200}") {
        if let Ok(printed) = print(&text) {
            prop_assert_eq!(print(&printed).unwrap(), printed, "{}", text);
        }
    }
}

/// A line at twice its indentation.
fn wider(line: &str) -> String {
    let rest = line.trim_start_matches(' ');
    let indent = "  ".repeat(line.len() - rest.len());
    match rest.strip_prefix("- ") {
        Some(item) => format!("{indent}-   {item}\n"),
        None => format!("{indent}{rest}\n"),
    }
}

#[test]
fn every_good_charter_means_the_same_when_it_is_printed() {
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    let world = World::of_configuration(declared).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/charters/good");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let printed = print(&text).unwrap();
        assert_eq!(said(&read(&printed).unwrap()), said(&read(&text).unwrap()));
        if is_charter_file(&path) {
            assert_eq!(printed, text, "{} is laid out otherwise", path.display());
            let charter = |text: &str| parse(text, &world).unwrap().charter;
            let odd: String = text.lines().map(wider).collect();
            let changes: Vec<Change> = diff(&charter(&text), &charter(&odd));
            assert!(
                changes
                    .iter()
                    .all(|change| change.effect == Effect::Neutral),
                "{changes:?}"
            );
            assert_eq!(print(&odd).unwrap(), text, "{}", path.display());
        }
    }
}
