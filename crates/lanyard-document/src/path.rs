//! Field paths, which name a part of a document whose lines nobody sees, such as a Kubernetes
//! object.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanyard_vocabulary::text::escaped;

use crate::span::{Position, Span};
use crate::tree::{Node, Value};

/// The field path of each part by its position; empty for documents that have lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldPaths(Option<Arc<BTreeMap<Position, Box<str>>>>);

impl FieldPaths {
    /// The paths of a JSON document, which nobody wrote by hand; none for other documents.
    #[must_use]
    pub fn of_json(root: &Node, text: &str) -> Self {
        if !text.starts_with('{') {
            return Self::default();
        }
        let mut paths = BTreeMap::new();
        note(root, String::new(), &mut paths);
        Self(Some(Arc::new(paths)))
    }

    /// The path of the part that begins at this position.
    #[must_use]
    pub fn at(&self, position: Position) -> Option<&str> {
        self.0.as_ref()?.get(&position).map(|path| &**path)
    }
}

fn note(node: &Node, path: String, paths: &mut BTreeMap<Position, Box<str>>) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                note(item, format!("{path}[{index}]"), paths);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                note(value, field(&path, key), paths);
            }
        }
    }
    paths.insert(node.span.at, path.into());
}

/// The path of the smallest part that contains the span, such as `spec.grants[0].name`; empty for
/// the whole document.
#[must_use]
pub fn path_of(root: &Node, span: Span) -> String {
    let within = |of: Span| of.start <= span.start && span.end <= of.end;
    let (mut node, mut path) = (root, String::new());
    loop {
        let inner = match &node.value {
            Value::Scalar { .. } => None,
            Value::List(items) => {
                let mut items = items.iter().enumerate();
                let found = items.find(|(_, item)| within(item.span));
                found.map(|(index, item)| (item, format!("{path}[{index}]")))
            }
            Value::Map(entries) => {
                let mut entries = entries.iter();
                let found = entries.find(|(key, value)| within(key.span) || within(value.span));
                if let Some((key, _)) = found.filter(|(key, _)| within(key.span)) {
                    return field(&path, key);
                }
                found.map(|(key, value)| (value, field(&path, key)))
            }
        };
        match inner {
            Some((inner, longer)) => (node, path) = (inner, longer),
            None => return path,
        }
    }
}

fn field(path: &str, key: &Node) -> String {
    let Value::Scalar { text, .. } = &key.value else {
        return path.to_owned();
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        return format!("{path}['{}']", escaped(text));
    }
    let gap = if path.is_empty() { "" } else { "." };
    format!("{path}{gap}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::read;

    const TEXT: &str = "{\n \"spec\": {\n \"grants\": [\n {\n \"name\": \"a\"\n },\n {\n \"when\": {\n \"aws:x\": [\n \"y\"\n ]\n }\n }\n ]\n }\n}";

    #[test]
    fn a_part_is_named_by_the_fields_that_lead_to_it() {
        let root = read(TEXT).unwrap();
        let span_of = |word: &str| {
            let start = TEXT.find(word).unwrap();
            let at = Position { line: 1, column: 1 };
            let end = start + word.len();
            Span { start, end, at }
        };
        for (word, path) in [
            ("\"a\"", "spec.grants[0].name"),
            ("\"name\"", "spec.grants[0].name"),
            ("\"y\"", "spec.grants[1].when['aws:x'][0]"),
            ("\"grants\"", "spec.grants"),
            (TEXT, ""),
        ] {
            assert_eq!(path_of(&root, span_of(word)), path, "{word}");
        }
        // A missing field stands at the first byte of the map that misses it.
        let first = TEXT.find("{\n \"name\"").unwrap();
        let missing = Span {
            end: first,
            ..span_of("{\n \"name\"")
        };
        assert_eq!(path_of(&root, missing), "spec.grants[0]");
    }

    #[test]
    fn a_document_in_json_knows_its_paths_and_another_one_its_lines() {
        let root = read(TEXT).unwrap();
        let paths = FieldPaths::of_json(&root, TEXT);
        let at = |line| paths.at(Position { line, column: 2 });
        assert_eq!(at(4), Some("spec.grants[0]"));
        assert_eq!(at(7), Some("spec.grants[1]"));
        let text = "spec:\n  a: b\n";
        let paths = FieldPaths::of_json(&read(text).unwrap(), text);
        assert_eq!(paths, FieldPaths::default());
    }
}
