//! Fields in the order of a description, each with the comments above it.
//!
//! A map is left as it stands where the order is not certain to change nothing else: where it has a
//! field that is not described, or where a comment would lose its place.

use crate::diagnostic::Diagnostic;
use crate::print::comments_of;
use crate::shape::{Map, Shape};
use crate::tree::{Node, Value, read};

/// Puts the fields of a document into the order of its description.
///
/// # Errors
/// As [`read`].
pub fn in_order(text: &str, shape: &Shape) -> Result<String, Diagnostic> {
    /// Maps of one document that are put into order. The others are left as they stand.
    ///
    /// # Limit
    /// - for: a charter
    /// - unit: maps
    /// - beyond: the fields of the other maps stay as they are
    /// - test: `fields_are_put_into_the_order_of_the_description`
    const MAX_ORDERED_MAPS: usize = 1000;
    let root = read(text)?;
    let mut ordered = text.to_owned();
    if !ordered.ends_with('\n') {
        ordered.push('\n');
    }
    for _ in 0..MAX_ORDERED_MAPS {
        let tree = read(&ordered)?;
        match moved(&ordered, &tree, shape) {
            Some(next) => ordered = next,
            None => break,
        }
    }
    let same = read(&ordered).is_ok_and(|tree| alike(&root, &tree));
    if same && sorted_comments(text) == sorted_comments(&ordered) {
        Ok(ordered)
    } else {
        Ok(text.to_owned())
    }
}

fn sorted_comments(text: &str) -> Vec<&str> {
    let mut all = comments_of(text);
    all.sort_unstable();
    all
}

/// True if two trees mean the same, in whatever order their fields are.
fn alike(one: &Node, two: &Node) -> bool {
    match (&one.value, &two.value) {
        (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            let has = |(key, value): &(Node, Node)| {
                let mut found = b.iter().filter(|(other, _)| alike(key, other));
                found.any(|(_, other)| alike(value, other))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        _ => false,
    }
}

/// The text with the first map in order that is not; `None` if there is no such map.
fn moved(text: &str, node: &Node, shape: &Shape) -> Option<String> {
    match (&node.value, shape) {
        (Value::Map(entries), Shape::Map(map) | Shape::Either(_, map)) => {
            of_map(text, node, entries, map).or_else(|| {
                let mut inner = entries.iter().filter_map(|(key, value)| {
                    let field = map.field(key.text()?)?;
                    moved(text, value, &field.shape)
                });
                inner.next()
            })
        }
        (Value::Map(entries), Shape::Open(open)) => {
            let mut values = entries.iter();
            values.find_map(|(_, value)| moved(text, value, &open.values))
        }
        (Value::List(items), Shape::List(list) | Shape::OneOrList(_, list)) => {
            items.iter().find_map(|item| moved(text, item, &list.of))
        }
        // The kinds of a charter are fields, and no other document is put into order.
        (Value::Map(_) | Value::List(_) | Value::Scalar { .. }, _) => None,
    }
}

fn of_map(text: &str, node: &Node, entries: &[(Node, Node)], map: &Map) -> Option<String> {
    let places = entries.iter().map(|(key, _)| map.place(key.text()?));
    let places: Vec<usize> = places.collect::<Option<_>>()?;
    if places.is_sorted() {
        return None;
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|at| places.get(*at));
    if text.get(node.span.start..)?.starts_with('{') {
        in_brackets(text, entries, &order)
    } else {
        on_lines(text, entries, &order)
    }
}

/// The end of what is written of a value, without the space and the comments behind it.
fn end(text: &str, key: &Node, value: &Node) -> Option<usize> {
    let source = |node: &Node| text.get(node.span.start..node.span.end);
    let in_brackets = source(value)?.starts_with(['[', '{']);
    match &value.value {
        Value::Map(entries) if !in_brackets => {
            let (key, value) = entries.last()?;
            end(text, key, value)
        }
        Value::List(items) if !in_brackets => {
            let item = items.last()?;
            end(text, item, item)
        }
        Value::Map(_) | Value::List(_) | Value::Scalar { .. } => {
            let written = source(value)?.trim_end().len();
            Some(key.span.end.max(value.span.start + written))
        }
    }
}

/// Moves the entries of a map in brackets; what is between them stays.
fn in_brackets(text: &str, entries: &[(Node, Node)], order: &[usize]) -> Option<String> {
    let pieces = entries.iter().map(|(key, value)| {
        let end = end(text, key, value)?;
        Some(key.span.start..end)
    });
    let pieces: Vec<_> = pieces.collect::<Option<_>>()?;
    let (first, last) = (pieces.first()?, pieces.last()?);
    if !comments_of(text.get(first.start..last.end)?).is_empty() {
        return None;
    }
    let mut made = text.get(..first.start)?.to_owned();
    for (at, piece) in pieces.iter().enumerate() {
        made.push_str(text.get(pieces.get(*order.get(at)?)?.clone())?);
        let next = pieces.get(at + 1).map_or(text.len(), |next| next.start);
        made.push_str(text.get(piece.end..next)?);
    }
    Some(made)
}

/// An entry on lines of its own.
struct Lines<'a> {
    /// The comments and blank lines above the entry, but for those above the first one.
    above: &'a str,
    /// The entry from its key to the end of its last line.
    body: &'a str,
}

/// Moves the entries of a map that has lines of its own, with the comments above each.
fn on_lines(text: &str, entries: &[(Node, Node)], order: &[usize]) -> Option<String> {
    let line_after = |at: usize| Some(at + text.get(at..)?.find('\n')? + 1);
    let first = entries.first()?.0.span.start;
    let mut all = Vec::new();
    let mut begin = first;
    for (key, value) in entries {
        let line = text
            .get(..key.span.start)?
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let next = line_after(end(text, key, value)?)?;
        all.push(Lines {
            above: text.get(begin..line).unwrap_or_default(),
            body: text.get(key.span.start..next)?,
        });
        begin = next;
    }
    let line = text.get(..first)?.rfind('\n').map_or(0, |at| at + 1);
    let before = text.get(line..first)?;
    let comment = text.get(..line)?.lines().next_back();
    let is_commented = comment.is_some_and(|line| line.trim_start().starts_with('#'));
    if is_commented && before.trim().is_empty() && order.first() != Some(&0) {
        return None;
    }
    let indent = " ".repeat(before.chars().count());
    let mut made = text.get(..line)?.to_owned();
    for (place, at) in order.iter().enumerate() {
        let Lines { above, body } = all.get(*at)?;
        if place > 0 {
            made.push_str(above);
            made.push_str(&indent);
        } else if before.trim().is_empty() {
            made.push_str(above.trim_start_matches('\n'));
            made.push_str(before);
        } else if above.trim().is_empty() {
            // The first entry stands behind the dash of a list.
            made.push_str(before);
        } else {
            return None;
        }
        made.push_str(body);
    }
    made.push_str(text.get(begin..)?);
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{List, optional};

    fn shape() -> Shape {
        let inner = Map::new()
            .with(optional("a", "", Shape::Text))
            .with(optional("b", "", Shape::Text))
            .with(optional("c", "", List::of(Shape::Text)));
        Map::new()
            .with(optional("first", "", Shape::Text))
            .with(optional("items", "", List::of(inner.clone())))
            .with(optional("last", "", inner))
            .into()
    }

    #[test]
    fn fields_are_put_into_the_order_of_the_description() {
        for (given, ordered) in [
            (
                "first: 1\nlast: {a: 1, b: 2}\n",
                "first: 1\nlast: {a: 1, b: 2}\n",
            ),
            ("last: {b: 2, a: 1}", "last: {a: 1, b: 2}\n"),
            (
                "# head\n\nlast:\n  b: 2 # here\n  # of a\n  a: |\n    x\n     y\n# of items\nitems:\n  - b: 2\n    a: 1\n\n  - c: [1,\n      2]\n    a: 1\n# end\n",
                "# head\n\n# of items\nitems:\n  - a: 1\n    b: 2\n\n  - a: 1\n    c: [1,\n      2]\nlast:\n  # of a\n  a: |\n    x\n     y\n  b: 2 # here\n# end\n",
            ),
        ] {
            assert_eq!(in_order(given, &shape()).unwrap(), ordered, "{given}");
        }
    }

    #[test]
    fn a_map_is_left_where_a_comment_or_a_strange_field_would_lose_its_place() {
        for text in [
            "items:\n  - b: 2\n    # of a\n    a: 1\n",
            "last:\n  # of b\n  b: 2\n  a: 1\n",
            "last: {b: 2, # of b\n  a: 1}\n",
            "last: {b: 2, strange: 3, a: 1}\n",
        ] {
            assert_eq!(in_order(text, &shape()).unwrap(), text);
        }
    }
}
