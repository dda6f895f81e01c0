//! Documents beside the JSON Schema that a description makes: whether a document fits, and its
//! neighbours that may not.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lanyard_document::{Node, Value as Yaml};
use regex::Regex;
use serde_json::Value;

/// A validator of JSON Schema, as far as the schemas of Lanyard go.
#[derive(Debug, Default)]
pub struct Validator(RefCell<BTreeMap<String, Pattern>>);

/// A compiled pattern with what it was found to match: most texts of a document are those of its
/// neighbours too.
type Pattern = (Regex, BTreeMap<String, bool>);

impl Validator {
    /// Tells if the document is one of the schema. A number of YAML may be a text of the schema.
    #[must_use]
    pub fn fits(&self, schema: &Value, node: &Node) -> bool {
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
        let ways = || list(of).filter(|way| self.fits(way, node)).count();
        let field = |name: &str| match &node.value {
            Yaml::Map(entries) => entries.iter().find(|(key, _)| key.text() == Some(name)),
            Yaml::List(_) | Yaml::Scalar { .. } => None,
        };
        let number = node.text().and_then(|text| text.parse::<u64>().ok());
        match (word, &node.value) {
            ("oneOf", _) => ways() == 1,
            ("anyOf", _) => ways() > 0,
            ("allOf", _) => ways() == list(of).count(),
            ("not", _) => !self.fits(of, node),
            ("const", _) => node.text() == of.as_str(),
            ("enum", _) => list(of).any(|it| it.as_str() == node.text()),
            ("type", Yaml::Map(_)) => of == "object",
            ("type", Yaml::List(_)) => of == "array",
            ("type", Yaml::Scalar { .. }) => {
                of == "string" || (of == "integer" && number.is_some())
            }
            ("pattern", Yaml::Scalar { text, .. }) => {
                let mut known = self.0.borrow_mut();
                let pattern = of.as_str().unwrap_or_default().to_owned();
                let (compiled, matched) = known.entry(pattern).or_insert_with_key(|it| {
                    let compiled = Regex::new(it).expect("the pattern is one");
                    (compiled, BTreeMap::new())
                });
                let matches = || compiled.is_match(text);
                *matched.entry(text.clone()).or_insert_with(matches)
            }
            ("minLength", Yaml::Scalar { text, .. }) => text.chars().count() as u64 >= count,
            ("minimum", Yaml::Scalar { .. }) => number.is_none_or(|number| number >= count),
            ("maximum", Yaml::Scalar { .. }) => number.is_none_or(|number| number <= count),
            ("items", Yaml::List(items)) => items.iter().all(|item| self.fits(of, item)),
            ("minItems", Yaml::List(items)) => items.len() as u64 >= count,
            ("maxItems", Yaml::List(items)) => items.len() as u64 <= count,
            ("required", Yaml::Map(_)) => {
                list(of).all(|name| name.as_str().and_then(field).is_some())
            }
            ("properties", Yaml::Map(_)) => of.as_object().is_some_and(|all| {
                let mut all = all.iter();
                all.all(|(name, schema)| {
                    field(name).is_none_or(|(_, value)| self.fits(schema, value))
                })
            }),
            ("propertyNames", Yaml::Map(entries)) => {
                entries.iter().all(|(key, _)| self.fits(of, key))
            }
            ("additionalProperties", Yaml::Map(entries)) => {
                let known = schema.get("properties").and_then(Value::as_object);
                let mut more = entries.iter().filter(|(key, _)| {
                    !known.is_some_and(|known| known.contains_key(key.text().unwrap_or_default()))
                });
                more.all(|(_, value)| self.fits(of, value))
            }
            ("minProperties", Yaml::Map(entries)) => entries.len() as u64 >= count,
            ("maxProperties", Yaml::Map(entries)) => entries.len() as u64 <= count,
            _ => true,
        }
    }
}

/// The document with one entry changed, once for each entry and each change: an entry is missing,
/// misspelt, empty or of another kind, or a text is one of these.
#[must_use]
pub fn changed(node: &Node, texts: &[&str]) -> Vec<Node> {
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
                    if let Some(entry) = entries.get_mut(place) {
                        *entry = (key, value);
                    }
                    with(Yaml::Map(entries))
                };
                let name = key.text().unwrap_or_default();
                all.push(put(&format!("{name}x"), value.clone()));
                all.extend(
                    changed(value, texts)
                        .into_iter()
                        .map(|value| put(name, value)),
                );
            }
            all.push(with(Yaml::List(Vec::new())));
        }
        Yaml::List(items) => {
            for (place, item) in items.iter().enumerate() {
                let put = |item: Node| {
                    let mut items = items.clone();
                    if let Some(old) = items.get_mut(place) {
                        *old = item;
                    }
                    with(Yaml::List(items))
                };
                all.extend(changed(item, texts).into_iter().map(put));
            }
            all.push(with(Yaml::List(Vec::new())));
            all.push(with(Yaml::Map(Vec::new())));
        }
        Yaml::Scalar { style, .. } => {
            all.push(with(Yaml::Map(Vec::new())));
            all.push(with(Yaml::List(Vec::new())));
            for text in texts {
                let (text, style) = ((*text).to_owned(), *style);
                all.push(with(Yaml::Scalar { text, style }));
            }
        }
    }
    all
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}
