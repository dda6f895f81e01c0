//! Positions in the configuration.

use lanyard_document::{Node, Span, Value, read};

/// The configuration as a tree.
pub(super) struct Places(Option<Node>);

impl Places {
    pub(super) fn of(text: &str) -> Self {
        Self(read(text).ok())
    }

    /// The position at the end of a path, or of the deepest part that exists. A part is a field's
    /// name, or for a list an item's number or its `name`.
    pub(super) fn span(&self, path: &[&str]) -> Span {
        let Some(root) = &self.0 else {
            return Span::start();
        };
        let mut at = root;
        for part in path {
            match inner(at, part) {
                Some(found) => at = found,
                None => break,
            }
        }
        at.span
    }

    pub(super) fn has(&self, path: &[&str]) -> bool {
        let first = self.0.as_ref();
        path.iter()
            .fold(first, |at, part| inner(at?, part))
            .is_some()
    }
}

fn inner<'a>(node: &'a Node, part: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|(key, _)| scalar(key) == Some(part))
            .map(|(_, value)| value),
        Value::List(items) => match part.parse::<usize>() {
            Ok(number) => items.get(number),
            Err(_) => items
                .iter()
                .find(|item| inner(item, "name").and_then(scalar) == Some(part)),
        },
        Value::Scalar { .. } => None,
    }
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::List(_) | Value::Map(_) => None,
    }
}
