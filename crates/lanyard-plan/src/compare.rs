//! What differs between two values, place by place.

use serde_json::Value;

use crate::shown::line;

/// How deep values are compared one by one.
const DEEPEST: usize = 12;

/// What differs: where, what was, and what will be.
pub(crate) type Differences = Vec<(String, Option<String>, Option<String>)>;

/// One place in what was and in what will be.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a> {
    pub(crate) before: Option<&'a Value>,
    pub(crate) after: Option<&'a Value>,
    pub(crate) unknown: Option<&'a Value>,
    pub(crate) hidden: [Option<&'a Value>; 2],
}

impl<'a> Sides<'a> {
    /// Goes down where both sides go on, and notes what differs.
    pub(crate) fn compare(self, path: &str, depth: usize, found: &mut Differences) {
        let absent = |side: Option<&Value>| side.is_none_or(Value::is_null);
        let unknown = self.unknown.and_then(Value::as_bool) == Some(true);
        if !unknown
            && (self.before == self.after || absent(self.before) && absent(self.after))
            && self.unknown.is_none_or(empty)
        {
            return;
        }
        let hidden = self
            .hidden
            .iter()
            .any(|side| side.and_then(Value::as_bool) == Some(true));
        if hidden || unknown || depth >= DEEPEST || !self.is_tree() {
            let shown = |side: Option<&Value>| {
                let side = side.filter(|side| !side.is_null())?;
                Some(if hidden {
                    "(sensitive)".to_owned()
                } else {
                    line(&side.to_string())
                })
            };
            let after = if unknown {
                Some("(known after apply)".to_owned())
            } else {
                shown(self.after)
            };
            let path = if path.is_empty() {
                "value".to_owned()
            } else {
                line(path)
            };
            return found.push((path, shown(self.before), after));
        }
        for key in self.keys() {
            let inner = self.at(&key);
            let path = match &key {
                Key::Name(name) if path.is_empty() => (*name).to_owned(),
                Key::Name(name) => format!("{path}.{name}"),
                Key::Place(place) => format!("{path}[{place}]"),
            };
            inner.compare(&path, depth + 1, found);
        }
    }

    /// Whether there is something to go down into on either side, and nothing else on the other.
    fn is_tree(self) -> bool {
        let tree = |side: &Value| side.is_object() || side.is_array();
        let sides = [self.before, self.after];
        let mut known = sides.into_iter().flatten().filter(|side| !side.is_null());
        let some = sides.into_iter().flatten().any(tree);
        some && known.all(tree)
            && !(self.before.is_some_and(Value::is_array)
                && self.after.is_some_and(Value::is_object))
            && !(self.before.is_some_and(Value::is_object)
                && self.after.is_some_and(Value::is_array))
    }

    fn keys(self) -> Vec<Key<'a>> {
        let mut names = std::collections::BTreeSet::new();
        let mut places = 0;
        for side in [self.before, self.after, self.unknown]
            .into_iter()
            .flatten()
        {
            match side {
                Value::Object(map) => names.extend(map.keys().map(String::as_str)),
                Value::Array(items) => places = places.max(items.len()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        names
            .into_iter()
            .map(Key::Name)
            .chain((0..places).map(Key::Place))
            .collect()
    }

    fn at(self, key: &Key<'a>) -> Self {
        let inner = |side: Option<&'a Value>| match key {
            Key::Name(name) => side?.get(*name),
            Key::Place(place) => side?.get(*place),
        };
        Self {
            before: inner(self.before),
            after: inner(self.after),
            unknown: inner(self.unknown),
            hidden: self.hidden.map(inner),
        }
    }
}

#[derive(Clone, Copy)]
enum Key<'a> {
    Name(&'a str),
    Place(usize),
}

/// Whether nothing in it is true.
fn empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().all(empty),
        Value::Array(items) => items.iter().all(empty),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            value.as_bool() != Some(true)
        }
    }
}

/// A line for each difference.
pub(crate) fn lines(found: &Differences) -> Vec<String> {
    let each = found
        .iter()
        .map(|(path, before, after)| match (before, after) {
            (None, Some(after)) => format!("    + {path} = {after}"),
            (Some(before), None) => format!("    - {path} = {before}"),
            (before, after) => {
                let shown = |side: &Option<String>| side.clone().unwrap_or_default();
                format!("    ~ {path} = {} -> {}", shown(before), shown(after))
            }
        });
    each.collect()
}
