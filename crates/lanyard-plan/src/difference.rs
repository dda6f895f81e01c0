//! The difference between two values, path by path. Every difference is shown in full.

use std::collections::BTreeSet;

use crate::lists::{self, Pair};
use crate::masks::{SENSITIVE, is_masked_key, speaks_of_a_secret};
use crate::shown::{MAX_SHOWN_BYTES, quoted};
use crate::texts;
use crate::tree::{Notation, Text, Tree};

/// Longest value, in characters, that is shown on the line of its path.
const INLINE_CHARS: usize = 160;
/// Upper bound in bytes for [`INLINE_CHARS`] characters of UTF-8.
const INLINE_BYTES: usize = 4 * INLINE_CHARS;
const UNKNOWN: &str = "(known after apply)";
/// Bytes of paths that are built for one resource, shown or not. A long key above many short ones
/// is copied into each of their paths.
///
/// # Limit
/// - for: one resource or object of a plan
/// - unit: bytes
/// - beyond: the plan is refused when it is submitted: its approvers would have to read too much
/// - test: `a21_a_path_is_not_put_together_for_each_of_very_many`
const MAX_PATH_BYTES: usize = 32 * MAX_SHOWN_BYTES;

/// The lines that show a difference, and the paths of differing values that are masked.
#[derive(Debug)]
pub(crate) struct Differences {
    lines: Vec<String>,
    /// Paths at which masked values differ.
    pub(crate) sensitive: Vec<String>,
    bytes: usize,
    path_bytes: usize,
    steps: usize,
}

#[derive(Clone, Copy)]
enum Sign {
    Come,
    Gone,
}

impl Sign {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Come => "+",
            Self::Gone => "-",
        }
    }
}

impl Differences {
    pub(crate) const fn new(steps: usize) -> Self {
        Self {
            lines: Vec::new(),
            sensitive: Vec::new(),
            bytes: 0,
            path_bytes: 0,
            steps,
        }
    }

    /// Returns the steps that are left for comparing texts.
    pub(crate) const fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds the lines for the difference between `before` and `after`.
    pub(crate) fn compare(&mut self, path: &str, before: &Tree, after: &Tree) {
        if before == after || self.is_full() {
            return;
        }
        match (before, after) {
            (Tree::Hidden(_), _) | (_, Tree::Hidden(_)) => {
                if !before.is_same_value(after) {
                    self.hidden(path, before, after);
                }
            }
            (Tree::Null, after) => self.all(path, after, Sign::Come),
            (before, Tree::Null) => self.all(path, before, Sign::Gone),
            (before, Tree::Unknown) => match inline(before) {
                Some(before) => self.line(&format!("~ {path} = {before} -> {UNKNOWN}")),
                None => {
                    self.all(path, before, Sign::Gone);
                    self.line(&format!("+ {path} = {UNKNOWN}"));
                }
            },
            (Tree::Map(one), Tree::Map(two)) => {
                let keys: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
                for key in keys {
                    // Checked before the path is built: a path is as long as its keys, and a full
                    // view must not cost more time.
                    if self.is_full() {
                        return;
                    }
                    let (was, is) = (side(one, key), side(two, key));
                    if was != is {
                        let own = self.below(path, key);
                        self.compare(&own, was, is);
                    }
                }
            }
            (Tree::List(one), Tree::List(two)) => self.list(path, one, two),
            (
                Tree::Document {
                    text: one,
                    notation,
                    root: was,
                },
                Tree::Document {
                    text: two,
                    notation: now,
                    root: is,
                },
            ) if notation == now => self.document(path, *notation, [one, two], [was, is]),
            (
                Tree::Text(one) | Tree::Document { text: one, .. },
                Tree::Text(two) | Tree::Document { text: two, .. },
            ) if !before.has_hidden()
                && !after.has_hidden()
                && !is_base64(before)
                && !is_base64(after) =>
            {
                self.texts(path, one, two);
            }
            (Tree::Text(one), Tree::Text(two)) => self.texts(path, one, two),
            (before, after) => match (inline(before), inline(after)) {
                (Some(was), Some(is)) if !before.has_hidden() && !after.has_hidden() => {
                    self.line(&format!("~ {path} = {was} -> {is}"));
                }
                _ => {
                    self.all(path, before, Sign::Gone);
                    self.all(path, after, Sign::Come);
                }
            },
        }
    }

    fn all(&mut self, path: &str, value: &Tree, sign: Sign) {
        if self.is_full() {
            return;
        }
        let mark = sign.as_str();
        match value {
            Tree::Null => {}
            Tree::Map(map) if !map.is_empty() => {
                for (key, inner) in map {
                    if self.is_full() {
                        return;
                    }
                    if *inner != Tree::Null {
                        let own = self.below(path, key);
                        self.all(&own, inner, sign);
                    }
                }
            }
            Tree::List(items) if !items.is_empty() => {
                for (place, item) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    let own = self.at(path, None, place);
                    self.item(&own, item, sign);
                }
            }
            Tree::Document {
                text,
                notation,
                root,
            } => {
                self.all(&format!("{path}{{{notation}}}"), root, sign);
                // The tree has no comments, but programs act on some: `#include` in user data, `#!`
                // in a script.
                if *notation == Notation::Yaml && !commented(&text.raw).is_empty() {
                    if !may_show_comments(text, root) {
                        self.name(path);
                        self.line(&format!("{mark} {path} = {SENSITIVE}"));
                    } else {
                        self.block(path, text, sign);
                    }
                }
            }
            Tree::Hidden(_) => {
                self.name(path);
                self.line(&format!("{mark} {path} = {}", scalar(value)));
            }
            Tree::Text(text) if is_block(text.shown()) => self.block(path, text, sign),
            Tree::Plain(_) | Tree::Text(_) | Tree::Unknown | Tree::Map(_) | Tree::List(_) => {
                if let Tree::Plain(text) | Tree::Text(text) = value {
                    self.note_masked(path, text);
                }
                self.line(&format!("{mark} {path} = {}", scalar(value)));
            }
        }
    }

    /// Adds a text of several lines, line by line.
    fn block(&mut self, path: &str, text: &Text, sign: Sign) {
        self.note_masked(path, text);
        self.line(&format!("{} {path} =", sign.as_str()));
        for line in texts::lines(text.shown()) {
            self.line(&format!("    {line}"));
        }
    }

    /// Adds an entry of a list: on one line if it fits, otherwise value by value.
    fn item(&mut self, path: &str, item: &Tree, sign: Sign) {
        match inline(item) {
            Some(text) if !item.has_hidden() => {
                self.line(&format!("{} {path} = {text}", sign.as_str()));
            }
            Some(_) | None if *item == Tree::Null => {
                self.line(&format!("{} {path} = null", sign.as_str()));
            }
            Some(_) | None => self.all(path, item, sign),
        }
    }

    fn hidden(&mut self, path: &str, before: &Tree, after: &Tree) {
        self.name(path);
        let said = |side: &Tree| match side {
            Tree::Hidden(hidden) => hidden.shown(),
            Tree::Null
            | Tree::Plain(_)
            | Tree::Text(_)
            | Tree::Unknown
            | Tree::Map(_)
            | Tree::List(_)
            | Tree::Document { .. } => SENSITIVE,
        };
        let (was, is) = (said(before), said(after));
        let line = match (before, after) {
            (Tree::Null, _) => format!("+ {path} = {is}"),
            (_, Tree::Null) => format!("- {path} = {was}"),
            _ => format!("~ {path} = {was} -> {is}"),
        };
        self.line(&line);
    }

    fn texts(&mut self, path: &str, before: &Text, after: &Text) {
        let (was, is) = (before.shown(), after.shown());
        self.note_masked(path, before);
        self.note_masked(path, after);
        let short = |text: &str| !is_block(text) && text.chars().count() <= INLINE_CHARS;
        if was == is {
            return self.line(&format!("~ {path} = {SENSITIVE} -> {SENSITIVE}"));
        }
        if short(was) && short(is) {
            return self.line(&format!("~ {path} = {} -> {}", quoted(was), quoted(is)));
        }
        self.line(&format!("~ {path}:"));
        for line in texts::difference(was, is, &mut self.steps) {
            self.line(&format!("    {line}"));
        }
    }

    fn document(&mut self, path: &str, notation: Notation, texts: [&Text; 2], roots: [&Tree; 2]) {
        let [one, two] = texts;
        let [was, is] = roots;
        let before = self.lines.len();
        self.compare(&format!("{path}{{{notation}}}"), was, is);
        let differs_by_more = match notation {
            Notation::Json => self.lines.len() == before,
            Notation::Yaml => {
                self.lines.len() == before || commented(&one.raw) != commented(&two.raw)
            }
            Notation::Base64 => false,
        };
        if !differs_by_more {
            return;
        }
        // A difference in notation or comments can matter to the program that reads the text.
        if !may_show_comments(one, was) || !may_show_comments(two, is) {
            self.name(path);
            self.line(&format!("~ {path} = {SENSITIVE} -> {SENSITIVE}"));
        } else {
            self.texts(path, one, two);
        }
    }

    fn list(&mut self, path: &str, before: &[Tree], after: &[Tree]) {
        for pair in lists::paired(before, after) {
            if self.is_full() {
                return;
            }
            match pair {
                Pair::Same { name, was, is } => {
                    let own = self.at(path, name, is.0);
                    self.compare(&own, was.1, is.1);
                }
                Pair::Moved { was, is } => {
                    let what = inline(is.1).filter(|_| !is.1.has_hidden());
                    let what = what.map_or_else(String::new, |text| format!(" = {text}"));
                    let (was, is) = (was.0, is.0);
                    self.line(&format!("~ {path}[{is}] was at [{was}]{what}"));
                }
                Pair::Gone(place, item) => {
                    let own = self.at(path, None, place);
                    self.item(&own, item, Sign::Gone);
                }
                Pair::Come(place, item) => {
                    let own = self.at(path, None, place);
                    self.item(&own, item, Sign::Come);
                }
            }
        }
    }

    fn note_masked(&mut self, path: &str, text: &Text) {
        if text.masked.is_some() {
            self.name(path);
        }
    }

    fn name(&mut self, path: &str) {
        if self.sensitive.last().is_none_or(|last| last != path) {
            self.bytes += path.len();
            self.sensitive.push(path.to_owned());
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.bytes > MAX_SHOWN_BYTES || self.path_bytes > MAX_PATH_BYTES
    }

    /// Returns the path of a map's entry. A masked key is recorded as sensitive, so that the view
    /// says something is hidden.
    fn below(&mut self, path: &str, key: &str) -> String {
        let own = join(path, key);
        self.path_bytes = self.path_bytes.saturating_add(own.len());
        if is_masked_key(key) {
            self.name(&own);
        }
        own
    }

    /// Returns the path of a list's entry.
    fn at(&mut self, path: &str, name: Option<(&str, &str)>, place: usize) -> String {
        let own = match name {
            Some((key, name)) => format!("{path}[{key}={}]", quoted(name)),
            None => format!("{path}[{place}]"),
        };
        self.path_bytes = self.path_bytes.saturating_add(own.len());
        own
    }

    fn line(&mut self, line: &str) {
        if !self.is_full() {
            self.bytes += line.len() + 5;
            self.lines.push(format!("    {line}"));
        }
    }
}

fn side<'a>(map: &'a std::collections::BTreeMap<String, Tree>, key: &str) -> &'a Tree {
    map.get(key).unwrap_or(&Tree::Null)
}

/// Appends a key to a path, quoted if the path could otherwise be read in two ways.
pub(crate) fn join(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.is_empty() || !key.chars().all(plain) {
        format!("{path}[{}]", quoted(key))
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// True for Base64, whose decoded content is shown instead: nobody reads Base64.
const fn is_base64(value: &Tree) -> bool {
    matches!(
        value,
        Tree::Document {
            notation: Notation::Base64,
            ..
        }
    )
}

fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
}

/// Returns the lines that may contain a comment.
fn commented(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains('#')).collect()
}

/// True if a document's raw text may be shown for what its tree lacks: the tree masks no value, and
/// no comment mentions a Secret.
fn may_show_comments(text: &Text, root: &Tree) -> bool {
    !root.has_hidden() && !speaks_of_a_secret(&commented(&text.raw).join("\n"))
}

/// Renders a value on one line if it is short.
fn inline(value: &Tree) -> Option<String> {
    let mut text = String::new();
    let is_short = write_inline(value, &mut text) && text.chars().count() <= INLINE_CHARS;
    is_short.then_some(text)
}

/// Appends a value to `text` and gives up when the line gets too long. Nested lists are rendered
/// once per level, so each attempt must stay bounded by what is shown.
fn write_inline(value: &Tree, text: &mut String) -> bool {
    match value {
        Tree::Map(map) => {
            text.push('{');
            let known = map.iter().filter(|(_, inner)| **inner != Tree::Null);
            for (place, (key, inner)) in known.enumerate() {
                if key.len() > INLINE_BYTES {
                    return false;
                }
                text.push_str(if place == 0 { "" } else { ", " });
                text.push_str(&join("", key));
                text.push_str(": ");
                if text.len() > INLINE_BYTES || !write_inline(inner, text) {
                    return false;
                }
            }
            text.push('}');
        }
        Tree::List(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { ", " });
                if text.len() > INLINE_BYTES || !write_inline(item, text) {
                    return false;
                }
            }
            text.push(']');
        }
        Tree::Document { .. } => return false,
        Tree::Plain(own) | Tree::Text(own) if own.shown().len() > INLINE_BYTES => return false,
        Tree::Text(own) if is_block(own.shown()) => return false,
        Tree::Null | Tree::Plain(_) | Tree::Text(_) | Tree::Unknown | Tree::Hidden(_) => {
            text.push_str(&scalar(value));
        }
    }
    text.len() <= INLINE_BYTES
}

/// Renders a value without children.
fn scalar(value: &Tree) -> String {
    match value {
        Tree::Null => "null".to_owned(),
        Tree::Plain(text) => crate::shown::whole(text.shown()),
        Tree::Unknown => UNKNOWN.to_owned(),
        Tree::Hidden(hidden) => hidden.shown().to_owned(),
        Tree::Text(text) | Tree::Document { text, .. } => quoted(text.shown()),
        Tree::Map(_) => "{}".to_owned(),
        Tree::List(_) => "[]".to_owned(),
    }
}
