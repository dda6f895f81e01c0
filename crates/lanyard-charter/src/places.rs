//! Positions of findings: the smallest part of the file that a finding is about.

use std::collections::HashMap;

use lanyard_document::Position;
use lanyard_document::{Node, Span, Value};

/// The tree of a charter's file, indexed by position.
pub(crate) struct Places<'a> {
    root: &'a Node,
    begins: HashMap<Position, &'a Node>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(root: &'a Node) -> Self {
        let mut begins = HashMap::new();
        note(root, &mut begins);
        Self { root, begins }
    }

    /// The part that begins at this position.
    pub(crate) fn at(&self, position: Position) -> Span {
        let found = self.begins.get(&position);
        found.map_or(self.root.span, |node| node.span)
    }

    /// The first occurrence of a word within the part that begins at this position; else the part
    /// itself.
    pub(crate) fn word(&self, position: Position, word: &str) -> Span {
        let Some(node) = self.begins.get(&position) else {
            return self.root.span;
        };
        text(node, word)
            .or_else(|| key(node, word))
            .unwrap_or(node.span)
    }

    /// The value of a field of the part that begins at this position.
    pub(crate) fn field_of(&self, position: Position, name: &str) -> Span {
        let part = self.begins.get(&position).copied();
        let found = part.and_then(|node| value(node, name));
        found.or(part).map_or(self.root.span, |node| node.span)
    }

    /// The key at the end of this path, or the deepest one that exists.
    pub(crate) fn field(&self, path: &[&str]) -> Span {
        let (mut span, mut node) = (self.root.span, self.root);
        for name in path {
            let Value::Map(entries) = &node.value else {
                break;
            };
            let Some((key, inner)) = entries.iter().find(|(key, _)| is(key, name)) else {
                break;
            };
            (span, node) = (key.span, inner);
        }
        span
    }
}

/// Indexes a node. Of several parts that begin at one position, the outermost counts.
fn note<'a>(node: &'a Node, begins: &mut HashMap<Position, &'a Node>) {
    begins.entry(node.span.at).or_insert(node);
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter().for_each(|item| note(item, begins)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| note(value, begins)),
    }
}

fn text(node: &Node, word: &str) -> Option<Span> {
    match &node.value {
        Value::Scalar { text, .. } => (text == word).then_some(node.span),
        Value::List(items) => items.iter().find_map(|item| text(item, word)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| text(value, word)),
    }
}

fn key(node: &Node, word: &str) -> Option<Span> {
    match &node.value {
        Value::Scalar { .. } => None,
        Value::List(items) => items.iter().find_map(|item| key(item, word)),
        Value::Map(entries) => {
            let own = entries.iter().find(|(name, _)| is(name, word));
            let own = own.map(|(name, _)| name.span);
            own.or_else(|| entries.iter().find_map(|(_, value)| key(value, word)))
        }
    }
}

fn value<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|(key, _)| is(key, name))
            .map(|(_, value)| value),
        Value::Scalar { .. } | Value::List(_) => None,
    }
}

fn is(key: &Node, name: &str) -> bool {
    matches!(&key.value, Value::Scalar { text, .. } if text == name)
}
