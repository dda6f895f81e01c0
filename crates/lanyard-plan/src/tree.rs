//! A value of a plan with its marks: what is sensitive, and what is only known after the apply.

mod embedded;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::masks::{SENSITIVE, is_masked_key};

pub(crate) use embedded::{Notation, is_unread};

/// Annotation in which kubectl stores another copy of the applied object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields in which Secrets, and the matching resources of Terraform's providers, hold their values.
const SECRET_FIELDS: &[&str] = &[
    "binaryData",
    "binary_data",
    "binary_data_wo",
    "data",
    "data_wo",
    "stringData",
    "string_data",
];
/// A field that only Secrets have.
const SECRET_ALONE: &str = "stringData";
/// Replaces a text that mentions a Secret and whose values cannot be found.
const UNREADABLE_SECRET: &str = "(not shown: it speaks of `kind: Secret`, and cannot be read)";

/// A value with its marks in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Tree {
    Null,
    /// A number, a boolean, or an unquoted YAML scalar, shown as written.
    Plain(Text),
    Text(Text),
    /// Known only after the apply.
    Unknown,
    Hidden(Hidden),
    Map(BTreeMap<String, Self>),
    List(Vec<Self>),
    /// A text that contains a document.
    Document {
        text: Text,
        notation: Notation,
        root: Box<Self>,
    },
}

/// A text, and its masked form if it repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    pub(crate) raw: String,
    pub(crate) masked: Option<String>,
}

impl Text {
    pub(crate) fn new(raw: &str) -> Self {
        Self {
            raw: raw.to_owned(),
            masked: None,
        }
    }

    pub(crate) fn shown(&self) -> &str {
        self.masked.as_deref().unwrap_or(&self.raw)
    }
}

/// A sensitive value. It can only be compared, and its texts collected for masking elsewhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Hidden {
    canonical: String,
    is_unknown: bool,
    /// True for a text that mentions a Secret and cannot be parsed.
    is_unread: bool,
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive)")
    }
}

impl Hidden {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.canonical).unwrap_or(Value::Null)
    }

    /// Returns the value without its mask.
    pub(crate) fn revealed(&self) -> Tree {
        let value = self.value();
        match value.as_str().filter(|_| self.is_unread) {
            Some(text) => Tree::Text(Text::new(text)),
            None => Tree::marked(&value, Marks::default(), 0),
        }
    }

    /// Returns the text that replaces the value.
    pub(crate) const fn shown(&self) -> &'static str {
        if self.is_unread {
            UNREADABLE_SECRET
        } else {
            SENSITIVE
        }
    }
}

/// Marks of a value, in the shape of the value.
#[derive(Clone, Copy, Default)]
pub(crate) struct Marks<'a> {
    pub(crate) sensitive: Option<&'a Value>,
    pub(crate) unknown: Option<&'a Value>,
}

impl<'a> Marks<'a> {
    fn key(self, key: &str) -> Self {
        Self {
            sensitive: self.sensitive.and_then(|mark| mark.get(key)),
            unknown: self.unknown.and_then(|mark| mark.get(key)),
        }
    }

    fn place(self, place: usize) -> Self {
        Self {
            sensitive: self.sensitive.and_then(|mark| mark.get(place)),
            unknown: self.unknown.and_then(|mark| mark.get(place)),
        }
    }
}

/// True if a mark or one below it is set. An unknown kind of mark counts as set.
pub(crate) fn is_set(mark: &Value) -> bool {
    match mark {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => items.iter().any(is_set),
        Value::Object(map) => map.values().any(is_set),
    }
}

/// True if the mark has the shape of the value. If not, the whole value is sensitive, because the
/// mark concerns an unknown part of it.
fn fits(value: &Value, mark: &Value) -> bool {
    match (value, mark) {
        (_, Value::Null | Value::Bool(_)) | (Value::Null, _) => true,
        (Value::Object(_), Value::Object(_)) => true,
        (Value::Array(items), Value::Array(marks)) => !marks.iter().skip(items.len()).any(is_set),
        (
            Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => !is_set(mark),
    }
}

impl Tree {
    /// Makes a tree of a manifest. A null in a manifest was written on purpose: the cluster removes
    /// the field or sets its default.
    pub(crate) fn of_manifest(value: &Value) -> Self {
        let mut tree = Self::plain(value);
        tree.write_nulls();
        tree
    }

    fn write_nulls(&mut self) {
        match self {
            Self::Null => *self = Self::Plain(Text::new("null")),
            Self::Map(map) => map.values_mut().for_each(Self::write_nulls),
            Self::List(items) => items.iter_mut().for_each(Self::write_nulls),
            Self::Plain(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Hidden(_)
            | Self::Document { .. } => {}
        }
    }

    /// Makes a tree of a value and its marks.
    pub(crate) fn of(value: &Value, marks: Marks<'_>) -> Self {
        let mut tree = Self::marked(value, marks, 0);
        tree.hide_secret_objects(false);
        tree
    }

    /// Makes a tree of a value without marks.
    pub(crate) fn plain(value: &Value) -> Self {
        Self::of(value, Marks::default())
    }

    /// Makes the tree of a value at the given depth.
    fn marked(value: &Value, marks: Marks<'_>, depth: usize) -> Self {
        let below = depth + 1;
        let is_unknown = marks.unknown == Some(&Value::Bool(true));
        if let Some(mark) = marks.sensitive
            && is_set(mark)
            && (!mark.is_object() && !mark.is_array() || !fits(value, mark))
        {
            // A mark on an absent value hides nothing.
            if value.is_null() && !marks.unknown.is_some_and(is_set) {
                return Self::Null;
            }
            return Self::hidden(value, marks.unknown.is_some_and(is_set));
        }
        match value {
            Value::Null if is_unknown => Self::Unknown,
            Value::Null => match marks.unknown {
                Some(Value::Object(unknown)) if unknown.values().any(is_set) => Self::Map(
                    unknown
                        .keys()
                        .map(|key| {
                            (
                                key.clone(),
                                Self::marked(&Value::Null, marks.key(key), below),
                            )
                        })
                        .collect(),
                ),
                Some(Value::Array(unknown)) if unknown.iter().any(is_set) => Self::List(
                    (0..unknown.len())
                        .map(|place| Self::marked(&Value::Null, marks.place(place), below))
                        .collect(),
                ),
                Some(
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_),
                )
                | None => Self::Null,
            },
            Value::Bool(_) | Value::Number(_) => Self::Plain(Text::new(&value.to_string())),
            Value::String(text) => embedded::read(text, depth),
            Value::Array(items) => {
                let unknown = marks.unknown.and_then(Value::as_array).map_or(0, Vec::len);
                let each = (0..items.len().max(unknown)).map(|place| {
                    let item = items.get(place).unwrap_or(&Value::Null);
                    Self::marked(item, marks.place(place), below)
                });
                Self::List(each.collect())
            }
            Value::Object(map) => {
                let unknown = marks.unknown.and_then(Value::as_object);
                let more = unknown.into_iter().flat_map(serde_json::Map::keys);
                let more = more.filter(|key| !map.contains_key(*key));
                let all = map.iter().chain(more.map(|key| (key, &Value::Null)));
                Self::Map(
                    all.map(|(key, inner)| {
                        (key.clone(), Self::marked(inner, marks.key(key), below))
                    })
                    .collect(),
                )
            }
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        embedded::read(text, 0)
    }

    fn hidden(value: &Value, is_unknown: bool) -> Self {
        Self::Hidden(Hidden {
            canonical: value.to_string(),
            is_unknown,
            is_unread: false,
        })
    }

    /// Makes a hidden value of a text that mentions a Secret and cannot be parsed.
    pub(crate) fn unread(text: &str) -> Self {
        Self::Hidden(Hidden {
            canonical: Value::from(text).to_string(),
            is_unknown: false,
            is_unread: true,
        })
    }

    /// Returns the value without its marks.
    fn value(&self) -> Value {
        match self {
            Self::Null | Self::Unknown => Value::Null,
            Self::Plain(text) => {
                serde_json::from_str(&text.raw).unwrap_or_else(|_| Value::String(text.raw.clone()))
            }
            Self::Text(text) | Self::Document { text, .. } => Value::String(text.raw.clone()),
            Self::Hidden(hidden) => hidden.value(),
            Self::Map(map) => map
                .iter()
                .map(|(key, inner)| (key.clone(), inner.value()))
                .collect(),
            Self::List(items) => items.iter().map(Self::value).collect(),
        }
    }

    /// True if both values are known and equal, whatever their marks.
    pub(crate) fn is_same_value(&self, other: &Self) -> bool {
        let sure = !self.has_unknown() && !other.has_unknown();
        sure && self.value() == other.value()
    }

    pub(crate) fn has_unknown(&self) -> bool {
        match self {
            Self::Null | Self::Plain(_) | Self::Text(_) | Self::Document { .. } => false,
            Self::Unknown => true,
            Self::Hidden(hidden) => hidden.is_unknown,
            Self::Map(map) => map.values().any(Self::has_unknown),
            Self::List(items) => items.iter().any(Self::has_unknown),
        }
    }

    /// True if part of the value is masked.
    pub(crate) fn has_hidden(&self) -> bool {
        match self {
            Self::Null | Self::Unknown => false,
            Self::Plain(text) | Self::Text(text) => text.masked.is_some(),
            Self::Document { text, root, .. } => text.masked.is_some() || root.has_hidden(),
            Self::Hidden(_) => true,
            Self::Map(map) => map
                .iter()
                .any(|(key, inner)| is_masked_key(key) || inner.has_hidden()),
            Self::List(items) => items.iter().any(Self::has_hidden),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(key),
            Self::Document { root, .. } => root.get(key),
            Self::Null
            | Self::Plain(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Hidden(_)
            | Self::List(_) => None,
        }
    }

    /// Returns the shown text of a scalar.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text.shown()),
            Self::Null
            | Self::Unknown
            | Self::Hidden(_)
            | Self::Map(_)
            | Self::List(_)
            | Self::Document { .. } => None,
        }
    }

    /// True if a value is set: not null, false or empty.
    pub(crate) fn says_something(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Plain(text) => !matches!(&*text.raw, "false" | "null" | "~" | ""),
            Self::Text(text) => !text.raw.trim().is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Document { root, .. } => **root != Self::Map(BTreeMap::new()),
            Self::Unknown | Self::Hidden(_) => true,
        }
    }

    fn is_of_kind_secret(&self) -> Option<bool> {
        match self.get("kind").and_then(Self::scalar) {
            Some(kind) => Some(matches!(kind, "Secret" | "SecretList")),
            None => self.get(SECRET_ALONE).map(|_| true),
        }
    }

    /// Hides the values of Secrets at any depth: in the object itself, inside another object, in a
    /// document inside a text, and in kubectl's copy of the last applied object.
    pub(crate) fn hide_secret_objects(&mut self, within_secret: bool) {
        let is_secret = self.is_of_kind_secret().unwrap_or(within_secret);
        match self {
            Self::Null | Self::Plain(_) | Self::Text(_) | Self::Unknown | Self::Hidden(_) => {}
            Self::List(items) => {
                for item in items {
                    item.hide_secret_objects(is_secret);
                }
            }
            Self::Document { root, .. } => root.hide_secret_objects(false),
            Self::Map(map) => {
                for (key, inner) in map {
                    if is_secret && SECRET_FIELDS.contains(&key.as_str()) {
                        inner.hide_leaves();
                    } else if key == LAST_APPLIED {
                        inner.hide_last_applied(is_secret);
                    } else {
                        inner.hide_secret_objects(is_secret);
                    }
                }
            }
        }
    }

    fn hide_last_applied(&mut self, of_secret: bool) {
        match self {
            Self::Document { root, .. } => {
                // A copy without a kind may be that of a Secret.
                let is_secret = of_secret || root.is_of_kind_secret().unwrap_or(true);
                root.hide_secret_objects(is_secret);
                if is_secret && let Self::Map(map) = &mut **root {
                    for field in SECRET_FIELDS {
                        if let Some(inner) = map.get_mut(*field) {
                            inner.hide_leaves();
                        }
                    }
                }
            }
            Self::Text(text) if of_secret || text.raw.contains("Secret") => self.hide_leaves(),
            Self::Null
            | Self::Plain(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Hidden(_)
            | Self::Map(_)
            | Self::List(_) => self.hide_secret_objects(of_secret),
        }
    }

    pub(crate) fn hide_leaves(&mut self) {
        match self {
            Self::Null | Self::Hidden(_) => {}
            Self::Map(map) => map.values_mut().for_each(Self::hide_leaves),
            Self::List(items) => items.iter_mut().for_each(Self::hide_leaves),
            Self::Plain(_) | Self::Text(_) | Self::Unknown | Self::Document { .. } => {
                *self = Self::hidden(&self.value(), *self == Self::Unknown);
            }
        }
    }

    /// Collects all hidden values.
    pub(crate) fn hidden_values(&self, found: &mut Vec<Value>) {
        match self {
            Self::Null | Self::Plain(_) | Self::Text(_) | Self::Unknown => {}
            Self::Hidden(hidden) => found.push(hidden.value()),
            Self::Document { root, .. } => root.hidden_values(found),
            Self::Map(map) => map.values().for_each(|inner| inner.hidden_values(found)),
            Self::List(items) => items.iter().for_each(|inner| inner.hidden_values(found)),
        }
    }

    /// Visits every key of the maps in the value.
    pub(crate) fn keys<'a>(&'a self, note: &mut impl FnMut(&'a str)) {
        match self {
            Self::Null | Self::Plain(_) | Self::Text(_) | Self::Unknown | Self::Hidden(_) => {}
            Self::Document { root, .. } => root.keys(note),
            Self::List(items) => items.iter().for_each(|item| item.keys(note)),
            Self::Map(map) => {
                for (key, inner) in map {
                    note(key);
                    inner.keys(note);
                }
            }
        }
    }
}
