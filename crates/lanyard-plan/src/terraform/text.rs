//! A plan as its approvers read it: what becomes of each resource, attribute by attribute, without what is sensitive.

use serde_json::Value;

use super::{Effect, ResourceChange, TerraformPlan};
use crate::shown::line;

impl TerraformPlan {
    /// In words. Sensitive values are masked as Terraform itself masks them.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let effect = change.effect();
            if effect != Effect::Nothing {
                resource(&mut text, change, effect);
            }
        }
        if text.is_empty() {
            text.push_str("nothing changes\n");
        }
        text
    }
}

fn resource(text: &mut String, change: &ResourceChange, effect: Effect) {
    let (sign, word) = match effect {
        Effect::Nothing => (" ", "does not change"),
        Effect::Create => ("+", "is created"),
        Effect::Update => ("~", "is updated in place"),
        Effect::Replace => ("-/+", "is destroyed and created anew"),
        Effect::Destroy => ("-", "is destroyed"),
    };
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    add(format!("{sign} {} {word}", line(&change.address)));
    let parts = &change.change;
    let mut found = Vec::new();
    let sides = Sides {
        before: Some(&parts.before),
        after: Some(&parts.after),
        unknown: Some(&parts.after_unknown),
        hidden: [Some(&parts.before_sensitive), Some(&parts.after_sensitive)],
    };
    sides.compare("", 0, &mut found);
    if effect == Effect::Destroy {
        return;
    }
    for (path, before, after) in found {
        add(match (before, after) {
            (None, Some(after)) => format!("    + {path} = {after}"),
            (Some(before), None) => format!("    - {path} = {before}"),
            (before, after) => format!(
                "    ~ {path} = {} -> {}",
                before.unwrap_or_default(),
                after.unwrap_or_default()
            ),
        });
    }
}

/// How deep attributes are compared one by one.
const DEEPEST: usize = 12;

/// What differs: where, what was, and what will be.
type Differences = Vec<(String, Option<String>, Option<String>)>;

/// One place in what was and in what will be.
#[derive(Clone, Copy)]
struct Sides<'a> {
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    unknown: Option<&'a Value>,
    hidden: [Option<&'a Value>; 2],
}

impl<'a> Sides<'a> {
    fn compare(self, path: &str, depth: usize, found: &mut Differences) {
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
