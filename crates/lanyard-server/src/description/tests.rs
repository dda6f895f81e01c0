//! The description beside the configurations of the tree, and beside each of them with one entry
//! changed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use lanyard_document::{Code, Diagnostic, Findings, Node, Value as Yaml, read};
use regex::Regex;

use super::*;
use crate::config::tests::{GOOD, parsed};
use crate::config::{self, Config};

/// Every field, but for those that exclude each other.
const FULL: &str = include_str!("full.yaml");
/// The fields that `FULL` has no place for.
const OTHERS: &str = include_str!("others.yaml");

fn faults(root: &Node, shape: &Shape) -> (Option<Config>, Vec<Diagnostic>) {
    let findings = Findings::default();
    let read = config::config(
        findings.item(root, shape),
        Path::new("/x"),
        Kinds::default(),
    );
    (read, findings.sorted())
}

#[test]
fn every_described_field_is_read_and_every_field_that_is_read_is_described() {
    let shape = shape(Kinds::default());
    for text in [FULL, OTHERS] {
        let (config, faults) = faults(&read(text).unwrap(), &shape);
        assert!(config.is_some() && faults.is_empty(), "{faults:?}");
    }
    // The charter's own reader reads the rules of a baseline.
    let mut untaken = shape.untaken();
    untaken.retain(|field| !field.starts_with("targets.*(kubernetes).baseline[]"));
    assert_eq!(untaken, Vec::<String>::new());
}

#[test]
fn an_empty_section_is_an_absent_one() {
    let with = |more: &str| parsed(&format!("{GOOD}{more}")).identities;
    let (absent, empty) = (
        with(""),
        with("sessions: {}\nquotas: {}\nfresh_login: {}\n"),
    );
    assert_eq!(empty.lifetimes.agents, absent.lifetimes.agents);
    assert_eq!(empty.lifetimes.people, absent.lifetimes.people);
    assert_eq!(empty.quotas, absent.quotas);
}

/// A validator of JSON Schema, as far as this schema goes, with the patterns that it has compiled.
#[derive(Default)]
struct Validator(RefCell<BTreeMap<String, Regex>>);

impl Validator {
    /// Tells if the document is one of the schema. A number of YAML may be a text of the schema.
    fn fits(&self, schema: &Value, node: &Node) -> bool {
        schema.as_object().map_or_else(
            || schema.as_bool().unwrap_or_default(),
            |keywords| {
                keywords
                    .iter()
                    .all(|(word, of)| self.holds(schema, word, of, node))
            },
        )
    }

    fn holds(&self, schema: &Value, word: &str, of: &Value, node: &Node) -> bool {
        let count = of.as_u64().unwrap_or_default();
        let ways = || {
            of.as_array()
                .unwrap()
                .iter()
                .filter(|way| self.fits(way, node))
                .count()
        };
        let field = |name: &str| match &node.value {
            Yaml::Map(entries) => entries.iter().find(|(key, _)| key.text() == Some(name)),
            Yaml::List(_) | Yaml::Scalar { .. } => None,
        };
        let number = node.text().and_then(|text| text.parse::<u64>().ok());
        match (word, &node.value) {
            ("oneOf", _) => ways() == 1,
            ("anyOf", _) => ways() > 0,
            ("allOf", _) => ways() == of.as_array().unwrap().len(),
            ("not", _) => !self.fits(of, node),
            ("const", _) => node.text() == of.as_str(),
            ("enum", _) => of
                .as_array()
                .unwrap()
                .iter()
                .any(|it| it.as_str() == node.text()),
            ("type", Yaml::Map(_)) => of == "object",
            ("type", Yaml::List(_)) => of == "array",
            ("type", Yaml::Scalar { .. }) => {
                of == "string" || (of == "integer" && number.is_some())
            }
            ("pattern", Yaml::Scalar { text, .. }) => {
                let mut known = self.0.borrow_mut();
                let pattern = of.as_str().unwrap().to_owned();
                let compiled = known
                    .entry(pattern)
                    .or_insert_with_key(|it| Regex::new(it).unwrap());
                compiled.is_match(text)
            }
            ("minLength", Yaml::Scalar { text, .. }) => text.chars().count() as u64 >= count,
            ("minimum", Yaml::Scalar { .. }) => number.is_none_or(|number| number >= count),
            ("maximum", Yaml::Scalar { .. }) => number.is_none_or(|number| number <= count),
            ("items", Yaml::List(items)) => items.iter().all(|item| self.fits(of, item)),
            ("minItems", Yaml::List(items)) => items.len() as u64 >= count,
            ("maxItems", Yaml::List(items)) => items.len() as u64 <= count,
            ("required", Yaml::Map(_)) => {
                let mut names = of.as_array().unwrap().iter();
                names.all(|name| field(name.as_str().unwrap()).is_some())
            }
            ("properties", Yaml::Map(_)) => of.as_object().unwrap().iter().all(|(name, schema)| {
                field(name).is_none_or(|(_, value)| self.fits(schema, value))
            }),
            ("propertyNames", Yaml::Map(entries)) => {
                entries.iter().all(|(key, _)| self.fits(of, key))
            }
            ("additionalProperties", Yaml::Map(entries)) => {
                let known = schema.get("properties").and_then(Value::as_object);
                let mut more = entries.iter().filter(|(key, _)| {
                    !known.is_some_and(|known| known.contains_key(key.text().unwrap()))
                });
                more.all(|(_, value)| self.fits(of, value))
            }
            ("minProperties", Yaml::Map(entries)) => entries.len() as u64 >= count,
            ("maxProperties", Yaml::Map(entries)) => entries.len() as u64 <= count,
            _ => true,
        }
    }
}

/// The document with one entry changed, once for each entry and each change.
fn changed(node: &Node) -> Vec<Node> {
    let mut all = Vec::new();
    let with = |value: Yaml| Node {
        value,
        ..node.clone()
    };
    match &node.value {
        Yaml::Map(entries) => {
            for (place, (key, value)) in entries.iter().enumerate() {
                let mut without = entries.clone();
                without.remove(place);
                all.push(with(Yaml::Map(without)));
                let put = |name: &str, value: Node| {
                    let mut entries = entries.clone();
                    let mut key = key.clone();
                    if let Yaml::Scalar { text, .. } = &mut key.value {
                        name.clone_into(text);
                    }
                    *entries.get_mut(place).unwrap() = (key, value);
                    with(Yaml::Map(entries))
                };
                let name = key.text().unwrap();
                all.push(put(&format!("{name}x"), value.clone()));
                all.extend(changed(value).into_iter().map(|value| put(name, value)));
            }
            all.push(with(Yaml::List(Vec::new())));
        }
        Yaml::List(items) => {
            for (place, item) in items.iter().enumerate() {
                let put = |item: Node| {
                    let mut items = items.clone();
                    *items.get_mut(place).unwrap() = item;
                    with(Yaml::List(items))
                };
                all.extend(changed(item).into_iter().map(put));
            }
            all.push(with(Yaml::List(Vec::new())));
            all.push(with(Yaml::Map(Vec::new())));
        }
        Yaml::Scalar { style, .. } => {
            all.push(with(Yaml::Map(Vec::new())));
            all.push(with(Yaml::List(Vec::new())));
            for text in ["", "x", "0", "9h", "https://x.example", "read me"] {
                let (text, style) = (text.to_owned(), *style);
                all.push(with(Yaml::Scalar { text, style }));
            }
        }
    }
    all
}

/// The configurations of this crate, and those of the pages.
fn corpus() -> Vec<Node> {
    let own = [FULL, OTHERS, GOOD, include_str!("../dev/lanyardd.yaml")];
    let mut all: Vec<_> = own.into_iter().map(|text| read(text).unwrap()).collect();
    for block in lanyard_testkit::pages::blocks() {
        let is_whole = ["data_dir:", "environments:", "targets:"];
        if is_whole.iter().all(|part| block.text.contains(part)) {
            all.extend(read(&block.text));
        }
    }
    all
}

#[test]
fn the_schema_refuses_nothing_that_the_reader_accepts_and_knows_the_same_fields() {
    let (shape, schema) = (shape(Kinds::default()), schema(Kinds::default()));
    let validator = Validator::default();
    let (mut accepted, mut refused) = (0, 0);
    for document in corpus() {
        for document in changed(&document).into_iter().chain([document]) {
            let (_, faults) = faults(&document, &shape);
            let fits = validator.fits(&schema, &document);
            if faults.is_empty() {
                accepted += 1;
                assert!(fits, "the schema refuses {document:?}");
            }
            let by_fields = faults.iter().any(|fault| {
                let about_fields = matches!(fault.code, Code::UnknownField | Code::Missing);
                // What another section of the file would have to say.
                about_fields && !fault.message.contains("nothing says which agents")
            });
            if by_fields {
                refused += 1;
                assert!(!fits, "the schema accepts {faults:?}");
            }
        }
    }
    assert!(accepted > 200 && refused > 150, "{accepted} {refused}");
}

const HEAD: &str = "# Configuration reference

Every field of `lanyardd.yaml`, from the description that the daemon reads the file by; [configuration.md](configuration.md) says
what they mean together. `lanyardd schema` prints the same as a JSON Schema, for editors. A list is written `name[]`, and a map whose
names you choose `name.*`.

";

/// `LANYARD_UPDATE=1` writes the page anew.
#[test]
fn the_reference_is_the_description() {
    let page = lanyard_testkit::pages::docs().join("configuration-reference.md");
    let text = format!("{HEAD}{}", shape(Kinds::default()).reference());
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::write(&page, &text).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == text,
        "run this with LANYARD_UPDATE=1, and read the difference"
    );
}
