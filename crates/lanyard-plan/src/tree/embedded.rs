//! Documents inside texts: a policy in an attribute, a configuration in a ConfigMap.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_document as document;
use lanyard_document::{Node, Style};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Text, Tree};
use crate::masks::speaks_of_a_secret;
use crate::numbers::exact;
use crate::strict::Strict;
use crate::yaml_file;

/// Levels of documents inside documents that are parsed: a policy in a template in a manifest.
const DOCUMENT_NESTING: usize = 4;
/// Levels of nested values in a plan and the documents in its texts. Each level uses stack.
const NESTED_VALUES: usize = 128;
/// Shortest text that is tried as Base64; shorter ones are likely to be words.
const MIN_BASE64_BYTES: usize = 24;

/// The notation of a document inside a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Notation {
    Json,
    Yaml,
    Base64,
}

impl fmt::Display for Notation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Base64 => "base64",
        })
    }
}

/// The nesting of a text.
#[derive(Clone, Copy)]
struct Depth {
    documents: usize,
    values: usize,
}

impl Depth {
    /// Returns the nesting inside a document at this depth.
    const fn document(self) -> Self {
        Self {
            documents: self.documents + 1,
            values: self.values + 1,
        }
    }

    /// Returns the nesting inside a value at this depth.
    const fn value(self) -> Self {
        Self {
            values: self.values + 1,
            ..self
        }
    }

    /// True if a document of so many levels may stand here.
    const fn holds(self, levels: usize) -> bool {
        self.values + levels < NESTED_VALUES
    }
}

/// Parses a text at a depth of `values` values, together with the document inside it, if any. An
/// unreadable text that mentions a Secret is hidden.
pub(crate) fn read(text: &str, values: usize) -> Tree {
    let documents = 0;
    of_text(text, Depth { documents, values })
}

/// True if a text is a document that was not parsed: a key is repeated, so that readers disagree
/// about its value, or the nesting is too deep.
pub(crate) fn is_unread(text: &str) -> bool {
    begins_as_json(text) && serde_json::from_str::<IgnoredAny>(text).is_ok()
        || may_be_yaml(text) && yaml_nodes(text).is_some()
        || base64(text).is_some()
}

fn within(text: &str, depth: Depth) -> Option<(Notation, Tree)> {
    if depth.documents >= DOCUMENT_NESTING || !depth.holds(1) {
        return None;
    }
    if begins_as_json(text)
        && let Ok(Strict(value)) = serde_json::from_str(&exact(text))
        && depth.holds(json_levels(&value))
    {
        return Some((Notation::Json, of_json(&value, depth.document())));
    }
    if may_be_yaml(text)
        && let Some(nodes) = yaml_nodes(text)
        && nodes.iter().all(|node| depth.holds(yaml_levels(node) + 1))
    {
        let depth = depth.document();
        let root = match nodes.as_slice() {
            [one] => of_yaml(one, depth),
            several => Tree::List(
                several
                    .iter()
                    .map(|it| of_yaml(it, depth.value()))
                    .collect(),
            ),
        };
        return Some((Notation::Yaml, root));
    }
    base64(text).map(|inner| (Notation::Base64, of_text(&inner, depth.document())))
}

fn begins_as_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// True if a text may be a YAML document. A single line that happens to be valid YAML is a text to
/// every other reader.
fn may_be_yaml(text: &str) -> bool {
    (text.trim_end().contains('\n') || speaks_of_a_secret(text)) && text.contains(':')
}

/// Parses one YAML document, or several if the text has more.
fn yaml_nodes(text: &str) -> Option<Vec<Node>> {
    let one = |text: &str| {
        document::read_of_any_size(text)
            .ok()
            .filter(|root| !root.is_text())
    };
    one(text).map(|node| vec![node]).or_else(|| {
        let documents = yaml_file::documents(text).ok()?;
        let several = documents.len() > 1;
        let each = documents.iter().map(|(_, document)| one(document));
        each.collect::<Option<_>>().filter(|_| several)
    })
}

fn json_levels(value: &Value) -> usize {
    let deepest = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
        Value::Array(items) => items.iter().map(json_levels).max(),
        Value::Object(map) => map.values().map(json_levels).max(),
    };
    1 + deepest.unwrap_or_default()
}

fn yaml_levels(node: &Node) -> usize {
    let deepest = match &node.value {
        document::Value::Scalar { .. } => return 0,
        document::Value::List(items) => items.iter().map(yaml_levels).max(),
        document::Value::Map(entries) => entries.iter().map(|(_, it)| yaml_levels(it)).max(),
    };
    1 + deepest.unwrap_or_default()
}

/// Decodes printable text in Base64, such as the user data of a launch template.
fn base64(text: &str) -> Option<String> {
    if text.len() < MIN_BASE64_BYTES {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let is_read = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    (decoded.chars().all(is_read) && STANDARD.encode(&decoded) == text).then_some(decoded)
}

fn of_text(text: &str, depth: Depth) -> Tree {
    match within(text, depth) {
        Some((notation, root)) => Tree::Document {
            text: Text::new(text),
            notation,
            root: Box::new(root),
        },
        None if speaks_of_a_secret(text) => Tree::unread(text),
        None => Tree::Text(Text::new(text)),
    }
}

fn of_json(value: &Value, depth: Depth) -> Tree {
    match value {
        // A null inside a text was written there, unlike an absent attribute.
        Value::Null => Tree::Plain(Text::new("null")),
        Value::Bool(_) | Value::Number(_) => Tree::Plain(Text::new(&value.to_string())),
        Value::String(text) => of_text(text, depth),
        Value::Array(items) => Tree::List(
            items
                .iter()
                .map(|item| of_json(item, depth.value()))
                .collect(),
        ),
        Value::Object(map) => Tree::Map(
            map.iter()
                .map(|(key, inner)| (key.clone(), of_json(inner, depth.value())))
                .collect(),
        ),
    }
}

/// Plain scalars stay as written: only the program that reads the text decides which of them are
/// numbers.
fn of_yaml(node: &Node, depth: Depth) -> Tree {
    match &node.value {
        document::Value::Scalar {
            text,
            style: Style::Plain,
        } => match base64(text) {
            Some(_) => of_text(text, depth),
            None => Tree::Plain(Text::new(text)),
        },
        document::Value::Scalar { text, .. } => of_text(text, depth),
        document::Value::List(items) => Tree::List(
            items
                .iter()
                .map(|item| of_yaml(item, depth.value()))
                .collect(),
        ),
        document::Value::Map(entries) => {
            let pair = |(key, value): &(Node, Node)| {
                let key = match &key.value {
                    document::Value::Scalar { text, .. } => text.clone(),
                    document::Value::List(_) | document::Value::Map(_) => String::new(),
                };
                (key, of_yaml(value, depth.value()))
            };
            Tree::Map(entries.iter().map(pair).collect::<BTreeMap<_, _>>())
        }
    }
}
