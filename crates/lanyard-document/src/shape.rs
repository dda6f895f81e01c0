//! The description of a language of documents, as data: which fields a map has, which of them have
//! to be there, and what can stand in each.
//!
//! One description serves the reader ([`Item`](crate::Item)), the JSON Schema ([`Shape::schema`]),
//! the reference for people ([`Shape::reference`]) and the order of fields ([`Map::place`]). The
//! module knows no language: the charter and the configuration describe theirs with it.
//!
//! ```
//! use lanyard_document::shape::{Map, Shape, optional, required};
//! use lanyard_document::{Findings, Item, read};
//!
//! let rate = Shape::from(
//!     Map::new()
//!         .with(required("count", "How many are admitted.", Shape::number(1, 100)))
//!         .with(optional("burst", "How many at once.", Shape::number(1, 100)).or("10")),
//! );
//! let (findings, root) = (Findings::default(), read("{count: 5, brust: 3}").unwrap());
//! let section = findings.item(&root, &rate).section().unwrap();
//! assert_eq!(section.get("count").and_then(Item::number), Some(5));
//! assert_eq!(section.get("burst").and_then(Item::number), Some(10));
//! let said = findings.sorted();
//! assert_eq!(said[0].message, "there is no field `brust` here");
//! ```

mod reference;
mod schema;
mod untaken;

use std::cell::Cell;

use lanyard_vocabulary::time::Ttl;

use crate::code::Code;
use crate::span::Span;
use crate::tree::{Node, Style, Value};

/// The description of a value.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A map whose fields the language names.
    Map(Map),
    /// A map whose names the author chooses.
    Open(Open),
    /// A list whose items have one shape.
    List(List),
    /// A text that is not empty.
    Text,
    /// A text in a form of its own, such as a name or a digest.
    Form(Form),
    /// The one text that is possible.
    Constant(&'static str),
    /// Any of these words.
    Words(Vec<Word<()>>),
    /// A whole number within bounds.
    Number {
        /// The least number that is possible.
        from: u32,
        /// The greatest number that is possible.
        to: u32,
    },
    /// A span of time such as `90s`, `10m` or `2h`.
    Span {
        /// The longest span that is possible.
        longest: Ttl,
    },
    /// A text for short, or a map that says more.
    Either(Form, Map),
    /// A text for short, or a list of texts.
    OneOrList(Form, List),
    /// Maps of several kinds, told apart by the word in one of their fields.
    Kinds(Kinds),
}

impl Shape {
    /// Any word of the table.
    #[must_use]
    pub fn words<T>(table: &[Word<T>]) -> Self {
        let plain = |word: &Word<T>| Word {
            name: word.name,
            value: (),
            meaning: word.meaning,
        };
        Self::Words(table.iter().map(plain).collect())
    }

    /// A whole number from `from` to `to`.
    #[must_use]
    pub const fn number(from: u32, to: u32) -> Self {
        Self::Number { from, to }
    }

    /// A span of time of at most `longest`.
    #[must_use]
    pub const fn span(longest: Ttl) -> Self {
        Self::Span { longest }
    }
}

impl From<Form> for Shape {
    fn from(form: Form) -> Self {
        Self::Form(form)
    }
}

impl From<Map> for Shape {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<Open> for Shape {
    fn from(open: Open) -> Self {
        Self::Open(open)
    }
}

impl From<Kinds> for Shape {
    fn from(kinds: Kinds) -> Self {
        Self::Kinds(kinds)
    }
}

impl From<List> for Shape {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}

/// A word of an enumeration, with the value that the reader makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<T> {
    /// The word as documents spell it.
    pub name: &'static str,
    /// The value that the word stands for.
    pub value: T,
    /// The meaning in a few words, for the reference; empty where the word says enough.
    pub meaning: &'static str,
}

impl<T> Word<T> {
    /// Makes a word that says enough by itself.
    #[must_use]
    pub const fn new(name: &'static str, value: T) -> Self {
        Self {
            name,
            value,
            meaning: "",
        }
    }

    /// Makes a word with its meaning.
    #[must_use]
    pub const fn meaning(name: &'static str, value: T, meaning: &'static str) -> Self {
        Self {
            name,
            value,
            meaning,
        }
    }
}

/// A check of a text, with the reason of a refusal.
pub type Check = fn(&str) -> Result<(), &'static str>;

/// A text in a form of its own.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The form with its article, as the reference shows it: `a name`.
    pub what: &'static str,
    /// The regular expression of ECMA-262 by which editors know the form. It refuses nothing that
    /// the reader accepts.
    pub pattern: &'static str,
    /// The reader's check; `None` where the field's own reader checks and has more to say.
    pub check: Option<Check>,
}

impl Form {
    /// Makes a form that the field's own reader checks.
    #[must_use]
    pub const fn new(what: &'static str, pattern: &'static str) -> Self {
        Self {
            what,
            pattern,
            check: None,
        }
    }

    /// Returns the form with a check that every reader of it makes.
    #[must_use]
    pub const fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// A name of Lanyard's own, read as a `Name`.
    pub const NAME: Self = Self::new("a name", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");
    /// A SHA-256 digest, read as a `Digest`.
    pub const DIGEST: Self = Self::new("a digest: `sha256:…`", "^sha256:[0-9a-f]{64}$");
    /// A day or a moment, read by [`Item::time`](crate::Item::time).
    pub const TIME: Self = Self::new(
        "a day or a moment: `2026-12-20`, `2026-12-20T18:00:00Z`",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.+)?$",
    );
    /// Any text that is not empty, for the names of an [`Open`] map.
    pub const ANY: Self = Self::new("a text", "^.");
}

/// The finding about a list or a map without entries.
#[derive(Debug, Clone, Copy)]
pub struct Empty {
    /// The code of the finding.
    pub code: Code,
    /// The message of the finding.
    pub message: &'static str,
    /// The remedy, if one can be named.
    pub help: Option<&'static str>,
    /// The kind of thing that the author's name of the value names: `condition`. The message then
    /// begins with both.
    pub of: Option<&'static str>,
}

impl Empty {
    /// Makes a finding without a remedy.
    #[must_use]
    pub const fn new(code: Code, message: &'static str) -> Self {
        Self {
            code,
            message,
            help: None,
            of: None,
        }
    }

    /// Returns the finding about a value in an [`Open`] map, which begins with the value's name:
    /// ``condition `aws:SourceIp`: ``.
    #[must_use]
    pub const fn of(mut self, what: &'static str) -> Self {
        self.of = Some(what);
        self
    }

    /// Returns the finding with this remedy.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }
}

/// A list whose items have one shape.
#[derive(Debug, Clone)]
pub struct List {
    /// The shape of each item.
    pub of: Box<Shape>,
    /// The finding about a list without items; `None` if the list may be empty.
    pub empty: Option<Empty>,
    /// The greatest number of items; `None` if the size of the document is the only bound.
    pub most: Option<usize>,
}

impl List {
    /// Makes a list of these, which may be empty.
    #[must_use]
    pub fn of(shape: impl Into<Shape>) -> Self {
        Self {
            of: Box::new(shape.into()),
            empty: None,
            most: None,
        }
    }

    /// Returns the list with at least one item, where this is the finding otherwise.
    #[must_use]
    pub const fn not_empty(mut self, finding: Empty) -> Self {
        self.empty = Some(finding);
        self
    }

    /// Returns the list with this many items at most.
    #[must_use]
    pub const fn at_most(mut self, items: usize) -> Self {
        self.most = Some(items);
        self
    }
}

/// A map whose names the author chooses.
#[derive(Debug, Clone)]
pub struct Open {
    /// The form of the names.
    pub names: Form,
    /// The shape of each value.
    pub values: Box<Shape>,
    /// The finding about a map without entries; `None` if the map may be empty.
    pub empty: Option<Empty>,
    /// The greatest number of entries; `None` if the size of the document is the only bound.
    pub most: Option<usize>,
}

impl Open {
    /// Makes a map from such names to such values, which may be empty.
    #[must_use]
    pub fn of(names: Form, values: impl Into<Shape>) -> Self {
        Self {
            names,
            values: Box::new(values.into()),
            empty: None,
            most: None,
        }
    }

    /// Returns the map with at least one entry, where this is the finding otherwise.
    #[must_use]
    pub const fn not_empty(mut self, finding: Empty) -> Self {
        self.empty = Some(finding);
        self
    }

    /// Returns the map with this many entries at most.
    #[must_use]
    pub const fn at_most(mut self, entries: usize) -> Self {
        self.most = Some(entries);
        self
    }
}

/// Maps of several kinds, told apart by the word in one of their fields.
#[derive(Debug, Clone)]
pub struct Kinds {
    /// The name of that field.
    pub tag: &'static str,
    /// The kinds, in the order in which people are told of them.
    pub all: Vec<Kind>,
}

/// A map of one kind.
#[derive(Debug, Clone)]
pub struct Kind {
    /// The word that tells the kind.
    pub word: &'static str,
    /// The fields, the one with the word among them.
    pub map: Map,
}

impl Kinds {
    /// Makes a description without kinds, which this field tells apart.
    #[must_use]
    pub const fn told_by(tag: &'static str) -> Self {
        Self {
            tag,
            all: Vec::new(),
        }
    }

    /// Returns the description with one kind more: its word, the word's meaning, the other fields.
    #[must_use]
    pub fn with(mut self, word: &'static str, meaning: &'static str, fields: Map) -> Self {
        let tag = required(self.tag, meaning, Shape::Constant(word));
        let map = Map::new().with(tag).and(fields);
        self.all.push(Kind { word, map });
        self
    }
}

/// A map whose fields the language names, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub struct Map {
    parts: Vec<Part>,
    /// True if fields that are not described are another reader's, and not unknown.
    is_partial: bool,
}

/// A field of a map, or fields of which only some can stand together.
#[derive(Debug, Clone)]
pub enum Part {
    /// A field by itself.
    Field(Field),
    /// Fields that stand for each other.
    Choice(Choice),
}

/// A field of a map.
#[derive(Debug, Clone)]
pub struct Field {
    /// The name as documents spell it.
    pub name: &'static str,
    /// The meaning, in sentences that begin with a capital and end with a full stop.
    pub meaning: &'static str,
    /// The shape of the value.
    pub shape: Shape,
    /// True if the map is not whole without the field. In a [`Choice`], if that way is chosen.
    pub is_required: bool,
    /// The value, or the meaning, of its absence.
    pub absent: Absent,
    taken: Cell<bool>,
}

/// The value, or the meaning, of a field that is absent.
#[derive(Debug, Clone)]
pub enum Absent {
    /// The meaning of the field says it, or the field is required.
    Nothing,
    /// A value, which the reader then finds in the field's place.
    Value(Node),
    /// A few words for people: `everywhere`.
    Means(&'static str),
}

/// Makes a field that has to be there.
#[must_use]
pub fn required(name: &'static str, meaning: &'static str, shape: impl Into<Shape>) -> Field {
    Field {
        name,
        meaning,
        shape: shape.into(),
        is_required: true,
        absent: Absent::Nothing,
        taken: Cell::new(false),
    }
}

/// Makes a field that may be absent.
#[must_use]
pub fn optional(name: &'static str, meaning: &'static str, shape: impl Into<Shape>) -> Field {
    let mut field = required(name, meaning, shape);
    field.is_required = false;
    field
}

impl Field {
    /// Returns the field with the value that holds when the field is absent.
    #[must_use]
    pub fn or(mut self, value: &'static str) -> Self {
        self.absent = Absent::Value(Node {
            span: Span::start(),
            value: Value::Scalar {
                text: value.to_owned(),
                style: Style::Plain,
            },
        });
        self
    }

    /// Returns the field with words for what its absence means.
    #[must_use]
    pub fn absent(mut self, means: &'static str) -> Self {
        self.absent = Absent::Means(means);
        self
    }

    pub(crate) fn take(&self) {
        self.taken.set(true);
    }
}

impl From<Field> for Part {
    fn from(field: Field) -> Self {
        Self::Field(field)
    }
}

impl From<Choice> for Part {
    fn from(choice: Choice) -> Self {
        Self::Choice(choice)
    }
}

/// The number of alternatives that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// A single way, never none.
    ExactlyOne,
    /// Any number of ways but none.
    AtLeastOne,
    /// No way, or a single one.
    AtMostOne,
}

/// Alternatives: ways of saying something, each with its fields.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The number of ways that can be chosen.
    pub chosen: Chosen,
    /// The ways, each with the fields that belong together.
    pub ways: Vec<Vec<Field>>,
    /// The code of the finding about too few or too many; `None` for the usual ones.
    pub code: Option<Code>,
    /// The message of that finding, where it can say why; `None` for the choice in words.
    pub message: Option<String>,
    /// The remedy, if one can be named.
    pub help: Option<&'static str>,
}

impl Choice {
    /// Makes a choice of exactly one of the ways.
    #[must_use]
    pub fn exactly_one(ways: impl IntoIterator<Item = Vec<Field>>) -> Self {
        Self::of(Chosen::ExactlyOne, ways)
    }

    /// Makes a choice of at least one of the ways.
    #[must_use]
    pub fn at_least_one(ways: impl IntoIterator<Item = Vec<Field>>) -> Self {
        Self::of(Chosen::AtLeastOne, ways)
    }

    /// Makes a choice of at most one of the ways.
    #[must_use]
    pub fn at_most_one(ways: impl IntoIterator<Item = Vec<Field>>) -> Self {
        Self::of(Chosen::AtMostOne, ways)
    }

    fn of(chosen: Chosen, ways: impl IntoIterator<Item = Vec<Field>>) -> Self {
        Self {
            chosen,
            ways: ways.into_iter().collect(),
            code: None,
            message: None,
            help: None,
        }
    }

    /// Returns the choice with this code for its finding.
    #[must_use]
    pub const fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Returns the choice with this message for its finding.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Returns the choice with this remedy for its finding.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }

    /// The choice for people: `` one of `rules` or `clusterRole` ``.
    #[must_use]
    pub fn in_words(&self) -> String {
        let number = match self.chosen {
            Chosen::ExactlyOne => "one of",
            Chosen::AtLeastOne => "at least one of",
            Chosen::AtMostOne => "at most one of",
        };
        let way = |way: &Vec<Field>| {
            let names: Vec<_> = way
                .iter()
                .map(|field| format!("`{}`", field.name))
                .collect();
            names.join(" with ")
        };
        let ways: Vec<String> = self.ways.iter().map(way).collect();
        let or = if self.ways.iter().any(|way| way.len() > 1) {
            ", or "
        } else {
            " or "
        };
        match ways.split_last() {
            Some((last, first)) if !first.is_empty() => {
                format!("{number} {}{or}{last}", first.join(", "))
            }
            Some(_) | None => format!("{number} {}", ways.concat()),
        }
    }
}

impl Map {
    /// Makes a map without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the map with this field, or these alternatives, behind those that it has.
    #[must_use]
    pub fn with(mut self, part: impl Into<Part>) -> Self {
        self.parts.push(part.into());
        self
    }

    /// Returns the map as a part of one, whose other fields another reader knows.
    #[must_use]
    pub const fn partial(mut self) -> Self {
        self.is_partial = true;
        self
    }

    /// Returns the map with the fields and alternatives of another behind its own.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.parts.extend(more.parts);
        self.is_partial |= more.is_partial;
        self
    }

    /// The fields that stand by themselves, and the alternatives.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Every field, those of alternatives included, in the order in which they are written.
    pub fn fields(&self) -> impl Iterator<Item = &Field> + Clone {
        self.parts.iter().flat_map(Part::fields)
    }

    /// The choices among the parts.
    pub fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(_) => None,
            Part::Choice(choice) => Some(choice),
        })
    }

    /// True if fields that are not described are another reader's.
    pub(crate) const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().find(|field| field.name == name)
    }

    /// The field's place in the order in which fields are written; `None` without such a field.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.fields().position(|field| field.name == name)
    }
}

impl Part {
    fn fields(&self) -> impl Iterator<Item = &Field> + Clone {
        let (field, choice) = match self {
            Self::Field(field) => (Some(field), None),
            Self::Choice(choice) => (None, Some(choice)),
        };
        let ways = choice.into_iter().flat_map(|choice| &choice.ways);
        field.into_iter().chain(ways.flatten())
    }
}

impl Shape {
    /// The maps that can stand at a path, each with its own path: the map itself, that of a list's
    /// items or of an open map's values, or one for each kind.
    fn maps(&self, path: &str) -> Vec<Place<'_>> {
        match self {
            Self::Map(map) | Self::Either(_, map) => vec![Place {
                path: path.to_owned(),
                kind: None,
                map,
            }],
            Self::Kinds(kinds) => {
                let all = kinds.all.iter();
                all.map(|kind| Place {
                    path: path.to_owned(),
                    kind: Some((kinds.tag, kind.word)),
                    map: &kind.map,
                })
                .collect()
            }
            Self::List(list) | Self::OneOrList(_, list) => list.of.maps(&format!("{path}[]")),
            Self::Open(open) => open.values.maps(&format!("{path}.*")),
            Self::Text
            | Self::Form(_)
            | Self::Constant(_)
            | Self::Words(_)
            | Self::Number { .. }
            | Self::Span { .. } => Vec::new(),
        }
    }
}

/// A map within a description.
struct Place<'a> {
    path: String,
    /// The field that tells the kinds apart and the word of this one, where there are several.
    kind: Option<(&'static str, &'static str)>,
    map: &'a Map,
}

/// The path of a field below another.
fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests;
