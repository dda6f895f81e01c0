//! Where things stand: the smallest part of the file that a finding is about.

use crate::charter::Position;
use crate::document::{Node, Span, Value};

/// The tree that a charter was made from.
#[derive(Clone, Copy)]
pub(super) struct Places<'a>(&'a Node);

impl<'a> Places<'a> {
    pub(super) const fn new(root: &'a Node) -> Self {
        Self(root)
    }

    /// The part that begins here.
    pub(super) fn at(self, position: Position) -> Span {
        node_at(self.0, position).map_or(self.0.span, |node| node.span)
    }

    /// The first text of this wording within the part that begins here; the part itself when there is none.
    pub(super) fn word(self, position: Position, word: &str) -> Span {
        let Some(node) = node_at(self.0, position) else {
            return self.0.span;
        };
        text(node, word).unwrap_or(node.span)
    }

    /// The value of a field of the part that begins here.
    pub(super) fn field_of(self, position: Position, name: &str) -> Span {
        let part = node_at(self.0, position);
        let found = part.and_then(|node| value(node, name));
        found.or(part).map_or(self.0.span, |node| node.span)
    }

    /// The key that is reached by these names, or the deepest that there is.
    pub(super) fn field(self, path: &[&str]) -> Span {
        let (mut span, mut node) = (self.0.span, self.0);
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

fn node_at(node: &Node, position: Position) -> Option<&Node> {
    if node.span.at == position {
        return Some(node);
    }
    match &node.value {
        Value::Scalar { .. } => None,
        Value::List(items) => items.iter().find_map(|item| node_at(item, position)),
        Value::Map(entries) => entries
            .iter()
            .find_map(|(_, value)| node_at(value, position)),
    }
}

fn text(node: &Node, word: &str) -> Option<Span> {
    match &node.value {
        Value::Scalar { text, .. } => (text == word).then_some(node.span),
        Value::List(items) => items.iter().find_map(|item| text(item, word)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| text(value, word)),
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
