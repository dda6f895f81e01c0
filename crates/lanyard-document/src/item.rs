//! Reading a document beside its description: what is unknown, missing or out of bounds is found
//! by the description, and a typed reader takes the values by name.

use std::collections::BTreeSet;
use std::str::FromStr;

use lanyard_vocabulary::text::escaped;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::findings::{Findings, near, suggest};
use crate::shape::{
    Absent, Choice, Chosen, Empty, Field, Kind, Kinds, List, Map, Open, Part, Shape, Word,
};
use crate::span::Span;
use crate::tree::{Node, Value};

/// A value of a document, beside the description of what can stand there.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The findings, to which those about the value are added.
    pub f: &'a Findings,
    /// The value as the document has it.
    pub node: &'a Node,
    shape: &'a Shape,
    /// The name that the author gave the value, in a map of such names.
    name: Option<&'a str>,
}

/// An entry of a map whose names the author chose.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The name that the author chose.
    pub name: &'a str,
    /// The name with its place.
    pub key: &'a Node,
    /// The value of that name.
    pub value: Item<'a>,
}

impl Findings {
    /// Begins to read a document, or a part of one, that has this description.
    pub const fn item<'a>(&'a self, node: &'a Node, shape: &'a Shape) -> Item<'a> {
        Item {
            f: self,
            node,
            shape,
            name: None,
        }
    }
}

impl<'a> Item<'a> {
    /// The place of the value.
    #[must_use]
    pub const fn span(self) -> Span {
        self.node.span
    }

    /// Adds a finding about the whole value.
    pub fn report(self, code: Code, message: impl Into<String>) {
        self.f.add(self.finding(code, message));
    }

    /// Makes a finding about the whole value, for a remedy to be added.
    pub fn finding(self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, self.node.span, message.into())
    }

    /// Reads the fields of a map. Unknown and missing ones are reported here, and so are those that
    /// cannot stand together.
    #[must_use]
    pub fn section(self) -> Option<Section<'a>> {
        let map = match self.shape {
            Shape::Map(map) | Shape::Either(_, map) => map,
            Shape::Kinds(kinds) => &self.told(kinds)?.map,
            Shape::Open(_)
            | Shape::List(_)
            | Shape::OneOrList(..)
            | Shape::Text
            | Shape::Form(_)
            | Shape::Constant(_)
            | Shape::Words(_)
            | Shape::Number { .. }
            | Shape::Span { .. } => {
                self.misread("a map of fields");
                return None;
            }
        };
        let Value::Map(entries) = &self.node.value else {
            self.report(Code::Kind, "expected fields and values here");
            return None;
        };
        let section = Section {
            item: self,
            map,
            entries,
        };
        section.check();
        Some(section)
    }

    /// Reads the word that tells the kind of a map.
    #[must_use]
    pub fn kind(self) -> Option<&'static str> {
        let Shape::Kinds(kinds) = self.shape else {
            self.misread("maps of several kinds");
            return None;
        };
        Some(self.told(kinds)?.word)
    }

    /// The kind of the map.
    fn told(self, kinds: &'a Kinds) -> Option<&'a Kind> {
        let Value::Map(entries) = &self.node.value else {
            self.report(Code::Kind, "expected fields and values here");
            return None;
        };
        let mut written = entries.iter();
        let Some((_, word)) = written.find(|(key, _)| key.text() == Some(kinds.tag)) else {
            let message = format!("the field `{}` is missing here", kinds.tag);
            self.at_its_start(Code::Missing, message);
            return None;
        };
        let table: Vec<_> = kinds.all.iter().map(|it| Word::new(it.word, it)).collect();
        let kind = self.f.word(word, &table)?;
        kind.map.field(kinds.tag)?.take();
        Some(kind)
    }

    /// Adds a finding about something that is not there.
    fn at_its_start(self, code: Code, message: String) {
        self.f.add(Diagnostic::new(code, self.start(), message));
    }

    /// The place before the value, of what is not there.
    const fn start(self) -> Span {
        let span = self.node.span;
        Span {
            end: span.start,
            ..span
        }
    }

    /// Reads the entries of a map whose names the author chose.
    #[must_use]
    pub fn entries(self) -> Vec<Entry<'a>> {
        let Shape::Open(Open {
            names,
            values,
            empty,
            most,
        }) = self.shape
        else {
            self.misread("a map of names");
            return Vec::new();
        };
        let Value::Map(entries) = &self.node.value else {
            self.report(Code::Kind, "expected fields and values here");
            return Vec::new();
        };
        if !self.has_size(entries.len(), *empty, *most) {
            return Vec::new();
        }
        let entry = |(key, value): &'a (Node, Node)| {
            let name = key.text()?;
            if let Some(Err(why)) = names.check.map(|check| check(name)) {
                let message = format!("`{}`: {why}", escaped(name));
                self.f.add(Diagnostic::new(Code::Value, key.span, message));
                return None;
            }
            let value = Item {
                node: value,
                shape: values,
                name: Some(name),
                ..self
            };
            Some(Entry { name, key, value })
        };
        entries.iter().filter_map(entry).collect()
    }

    /// Reads the items of a list.
    #[must_use]
    pub fn items(self) -> Vec<Self> {
        let (Shape::List(list) | Shape::OneOrList(_, list)) = self.shape else {
            self.misread("a list");
            return Vec::new();
        };
        let List { of, empty, most } = list;
        let Value::List(items) = &self.node.value else {
            self.report(Code::Kind, "expected a list here");
            return Vec::new();
        };
        if !self.has_size(items.len(), *empty, *most) {
            return Vec::new();
        }
        let item = |node| Self {
            node,
            shape: of,
            name: None,
            ..self
        };
        items.iter().map(item).collect()
    }

    fn has_size(self, count: usize, empty: Option<Empty>, most: Option<usize>) -> bool {
        if let Some(empty) = empty.filter(|_| count == 0) {
            let message = match empty.of.zip(self.name) {
                Some((of, name)) => format!("{of} `{}`: {}", escaped(name), empty.message),
                None => empty.message.to_owned(),
            };
            let finding = self.finding(empty.code, message);
            self.f.add(match empty.help {
                Some(help) => finding.help(help),
                None => finding,
            });
        }
        let Some(most) = most.filter(|most| count > *most) else {
            return true;
        };
        let message = format!("{most} entries are possible here at most, and these are {count}");
        self.report(Code::Value, message);
        false
    }

    /// Reads a text in the form that the description names.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        let check = match self.shape {
            Shape::Text => None,
            Shape::Form(form) | Shape::Either(form, _) | Shape::OneOrList(form, _) => form.check,
            Shape::Map(_)
            | Shape::Kinds(_)
            | Shape::Open(_)
            | Shape::List(_)
            | Shape::Constant(_)
            | Shape::Words(_)
            | Shape::Number { .. }
            | Shape::Span { .. } => {
                self.misread("a text");
                return None;
            }
        };
        let text = self.f.text(self.node)?;
        if let Some(Err(why)) = check.map(|check| check(text)) {
            self.report(Code::Value, format!("`{}`: {why}", escaped(text)));
            return None;
        }
        Some(text)
    }

    /// Reads a text and parses it; the parser's error is the finding.
    #[must_use]
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(self) -> Option<T> {
        self.text()?;
        self.f.parsed(self.node)
    }

    /// Reads a list of texts.
    #[must_use]
    pub fn texts(self) -> BTreeSet<String> {
        let texts = self.items().into_iter().filter_map(Self::text);
        texts.map(str::to_owned).collect()
    }

    /// Reads a number within its bounds.
    #[must_use]
    pub fn number(self) -> Option<u32> {
        let Shape::Number { from, to } = self.shape else {
            self.misread("a number");
            return None;
        };
        self.f.number(self.node, *from, *to)
    }

    /// Reads a span of time within its bound.
    #[must_use]
    pub fn span_of_time(self) -> Option<Ttl> {
        let Shape::Span { longest } = self.shape else {
            self.misread("a span of time");
            return None;
        };
        self.f.span_of_time(self.node, *longest)
    }

    /// Reads a day or a moment, as [`Findings::time`] does.
    #[must_use]
    pub fn time(self, is_end: bool) -> Option<Timestamp> {
        self.text()?;
        self.f.time(self.node, is_end)
    }

    /// Reads a word of the table that the description was made from.
    #[must_use]
    pub fn word<T: Copy>(self, table: &[Word<T>]) -> Option<T> {
        let Shape::Words(words) = self.shape else {
            self.misread("a word");
            return None;
        };
        let names = |name: &str| words.iter().any(|word| word.name == name);
        if words.len() != table.len() || !table.iter().all(|word| names(word.name)) {
            self.misread("a word of another table");
            return None;
        }
        self.f.word(self.node, table)
    }

    /// Reads the one text that is possible.
    pub fn constant(self) {
        match self.shape {
            Shape::Constant(text) => {
                self.f.word(self.node, &[Word::new(text, ())]);
            }
            Shape::Map(_)
            | Shape::Kinds(_)
            | Shape::OneOrList(..)
            | Shape::Open(_)
            | Shape::List(_)
            | Shape::Text
            | Shape::Form(_)
            | Shape::Words(_)
            | Shape::Number { .. }
            | Shape::Span { .. }
            | Shape::Either(..) => self.misread("a constant"),
        }
    }

    /// Reports that the reader and the description differ. Such a fault of the program keeps every
    /// document out of force, so that the first test that reads one fails.
    fn misread(self, wanted: &str) {
        let message = format!("this version reads {wanted} here and describes something else");
        self.report(Code::Kind, message);
    }
}

impl Findings {
    /// Reads a word of a table, or reports a fault with the nearest one.
    pub fn word<T: Copy>(&self, node: &Node, table: &[Word<T>]) -> Option<T> {
        let text = self.text(node)?;
        if let Some(word) = table.iter().find(|word| word.name == text) {
            return Some(word.value);
        }
        let known: Vec<&str> = table.iter().map(|word| word.name).collect();
        let message = format!("`{}` is none of {}", escaped(text), known.join(", "));
        let finding = Diagnostic::new(Code::Value, node.span, message);
        self.add(suggest(finding, text, known.iter().copied()));
        None
    }
}

/// The fields of a map, held to their description.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// The map as a whole.
    pub item: Item<'a>,
    map: &'a Map,
    entries: &'a [(Node, Node)],
}

impl<'a> Section<'a> {
    /// Takes the value of a field: the one that is written, or the one that holds in its absence.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Item<'a>> {
        let Some(field) = self.map.field(name) else {
            let message = format!("this version reads a field `{name}` and does not describe it");
            self.item.report(Code::Kind, message);
            return None;
        };
        field.take();
        let node = match (self.written(name), &field.absent) {
            (Some(node), _) | (None, Absent::Value(node)) => node,
            (None, Absent::Nothing | Absent::Means(_)) => return None,
        };
        Some(Item {
            node,
            shape: &field.shape,
            name: None,
            ..self.item
        })
    }

    /// The value of a field as the document has it.
    fn written(&self, name: &str) -> Option<&'a Node> {
        let mut entries = self.entries.iter();
        let found = entries.find(|(key, _)| key.text() == Some(name));
        found.map(|(_, value)| value)
    }

    fn check(&self) {
        for part in self.map.parts() {
            match part {
                Part::Field(field) => self.need(field),
                Part::Choice(choice) => self.choose(choice),
            }
        }
        // A field that nobody reads would be taken for one that holds (T26).
        let fields = self.map.fields();
        let strange = self.entries.iter().filter(|_| !self.map.is_partial());
        for (key, _) in strange {
            let unknown = key.text().filter(|name| self.map.field(name).is_none());
            if let Some(name) = unknown {
                let message = format!("there is no field `{}` here", escaped(name));
                let finding = Diagnostic::new(Code::UnknownField, key.span, message);
                let known = fields.clone().map(|field| field.name);
                self.item.f.add(near(finding, name, known));
            }
        }
    }

    fn need(&self, field: &Field) {
        if field.is_required && self.written(field.name).is_none() {
            let message = format!("the field `{}` is missing here", field.name);
            self.item.at_its_start(Code::Missing, message);
        }
    }

    fn choose(&self, choice: &Choice) {
        let begun = choice.ways.iter().filter(|way| {
            let mut fields = way.iter();
            fields.any(|field| self.written(field.name).is_some())
        });
        let begun: Vec<_> = begun.collect();
        match (begun.as_slice(), choice.chosen) {
            ([], Chosen::ExactlyOne | Chosen::AtLeastOne) => {
                let span = match choice.code {
                    Some(_) => self.item.span(),
                    None => self.item.start(),
                };
                self.refuse(choice, Code::Missing, span);
            }
            ([_, _, ..], Chosen::ExactlyOne) => {
                self.refuse(choice, Code::Value, self.item.span());
            }
            // The last way is the one too many.
            ([_, .., last], Chosen::AtMostOne) => {
                let mut fields = last.iter();
                let written = fields.find_map(|field| self.written(field.name));
                let span = written.map_or(self.item.span(), |node| node.span);
                self.refuse(choice, Code::Value, span);
            }
            ([..], _) => begun
                .into_iter()
                .flatten()
                .for_each(|field| self.need(field)),
        }
    }

    /// Adds the finding about a choice of too few or too many.
    fn refuse(&self, choice: &Choice, usual: Code, span: Span) {
        let words = || format!("write {}", choice.in_words());
        let message = choice.message.clone().unwrap_or_else(words);
        let finding = Diagnostic::new(choice.code.unwrap_or(usual), span, message);
        self.item.f.add(match choice.help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }
}
