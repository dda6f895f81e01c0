//! Reading: turns the YAML parser's events into a tree or a diagnostic.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's events are an open set"
)]

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle};
use lanyard_vocabulary::text::escaped;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::{Position, Span};

/// The largest document, in bytes.
///
/// # Limit
/// - for: a charter, a configuration
/// - unit: bytes
/// - beyond: the file is refused with LC003 before it is read
/// - test: `t24_a_document_has_so_many_bytes_and_levels_and_no_more`
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// The deepest nesting.
///
/// # Limit
/// - for: a charter, a configuration
/// - unit: levels
/// - beyond: the file is refused with LC004
/// - test: `t24_a_document_has_so_many_bytes_and_levels_and_no_more`
pub const MAX_DOCUMENT_DEPTH: usize = 64;

/// A value with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The range of the value.
    pub span: Span,
    /// The value at the node.
    pub value: Value,
}

impl Node {
    /// True if the value is a text.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.value, Value::Scalar { .. })
    }

    /// The text, if the value is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// The kinds of value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, also if it looks like a number.
    Scalar {
        /// The text without quotes and escapes.
        text: String,
        /// The style in which the text was written.
        style: Style,
    },
    /// A list of nodes.
    List(Vec<Node>),
    /// Keys with their values, in the order of the file.
    Map(Vec<(Node, Node)>),
}

/// The style in which a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A style without quotes.
    Plain,
    /// A style with quotes.
    Quoted,
    /// On lines of its own, after `|` or `>`.
    Block,
}

/// Reads one document.
///
/// # Errors
/// One diagnostic: nothing can be said beyond the first fault of the YAML itself.
pub fn read(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let message = format!(
            "the file has {} bytes and may have {MAX_DOCUMENT_BYTES}",
            text.len()
        );
        return Err(Diagnostic::new(Code::TooLarge, start_of_file(), message));
    }
    read_of_any_size(text)
}

/// Reads one document as [`read`] does, without a limit on its size, which the caller enforces.
///
/// # Errors
/// One diagnostic, as of [`read`].
pub fn read_of_any_size(text: &str) -> Result<Node, Diagnostic> {
    Reader::of(text, None).document()
}

/// Reads one document of any size as `kubectl` does: aliases and merge keys stand for what their
/// anchors hold. What the documents of a file copied so far is counted by the caller, from zero on.
///
/// # Errors
/// One diagnostic, as of [`read`]; also where aliases stand for more than [`MAX_ALIASED_BYTES`], or
/// where readers of YAML disagree about a merge key.
pub fn read_with_aliases(text: &str, copied_bytes: &mut usize) -> Result<Node, Diagnostic> {
    let anchors = Anchors {
        held: HashMap::new(),
        copied_bytes: *copied_bytes,
    };
    let mut reader = Reader::of(text, Some(anchors));
    let root = reader.document();
    if let Some(anchors) = reader.anchors {
        *copied_bytes = anchors.copied_bytes;
    }
    root
}

/// The bytes that all anchors and aliases of a plan may stand for together, each value counted as
/// 16 bytes and its text. A few lines of aliases of aliases can stand for billions of values.
///
/// # Limit
/// - for: a plan in Kubernetes manifests
/// - unit: bytes
/// - beyond: the plan is refused when it is submitted
/// - test: `d18_aliases_stand_for_so_much_and_no_more`
pub const MAX_ALIASED_BYTES: usize = 1024 * 1024;
/// The size that a value counts for besides its text, in bytes.
const VALUE_BYTES: usize = 16;

/// The values of a document's anchors.
struct Anchors {
    /// The values by the parser's number of the anchor.
    held: HashMap<usize, Node>,
    /// The bytes that anchors and aliases have copied so far.
    copied_bytes: usize,
}

/// Counts a copy before it is made, because the copy takes the memory.
fn count(copied_bytes: &mut usize, more: usize, span: Span) -> Result<(), Diagnostic> {
    *copied_bytes = copied_bytes.saturating_add(more);
    if *copied_bytes <= MAX_ALIASED_BYTES {
        return Ok(());
    }
    let message = format!(
        "anchors and aliases stand for more than {} KiB up to here; write out what they stand for, or split the file",
        MAX_ALIASED_BYTES / 1024
    );
    Err(Diagnostic::new(Code::Alias, span, message))
}

impl Node {
    /// The counted size of a value and the number of levels below it.
    fn extent(&self) -> (usize, usize) {
        let join = |(bytes, levels): (usize, usize), (more, below): (usize, usize)| {
            (bytes.saturating_add(more), levels.max(below + 1))
        };
        let (own, inner) = match &self.value {
            Value::Scalar { text, .. } => (text.len(), (0, 0)),
            Value::List(items) => (0, items.iter().map(Self::extent).fold((0, 0), join)),
            Value::Map(entries) => {
                let each = entries.iter().flat_map(|(key, value)| [key, value]);
                (0, each.map(Self::extent).fold((0, 0), join))
            }
        };
        (
            inner.0.saturating_add(own).saturating_add(VALUE_BYTES),
            inner.1,
        )
    }
}

const fn start_of_file() -> Span {
    Span {
        start: 0,
        end: 0,
        at: Position { line: 1, column: 1 },
    }
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
    /// `None` if anchors are refused.
    anchors: Option<Anchors>,
}

impl<'a> Reader<'a> {
    fn of(text: &'a str, anchors: Option<Anchors>) -> Self {
        Self {
            events: Parser::new_from_str(text),
            text,
            anchors,
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        let mut event = self.events.next_event();
        while let Some(Ok((Event::Comment(..), _))) = event {
            event = self.events.next_event();
        }
        match event {
            Some(Ok((event, span))) => {
                let span = self.span(span.start, span.end);
                Ok((event, span))
            }
            Some(Err(error)) => {
                let span = self.span(*error.marker(), *error.marker());
                Err(self.fault(error.kind(), span))
            }
            None => Err(Diagnostic::new(
                Code::Yaml,
                start_of_file(),
                "the document ends too early".into(),
            )),
        }
    }

    /// The diagnostic of a fault of the YAML itself. The parser names tokens; the faults of files
    /// written by hand (indentation, tabs, quotes) are described in words of the file.
    fn fault(&self, kind: &ErrorKind, span: Span) -> Diagnostic {
        // The parser points at the comment of the line before the one that is indented too far.
        let span = match kind {
            ErrorKind::CommentInterceptedScalar => self.first_of_line(span.at.line + 1),
            _ => span,
        };
        let why = match kind {
            ErrorKind::CommentInterceptedScalar => {
                "this line is indented further than the line above it, and so goes on with the text of that line, which a \
                 comment has ended: give both lines the same indent"
            }
            ErrorKind::MappingValueNotAllowed => {
                "a value begins here with `:` where none can stand: indent the line like its neighbours, or put the text into \
                 quotes"
            }
            ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
                "no key of the map around it stands here: indent the line like its neighbours"
            }
            ErrorKind::ExpectedBlockSequenceEntry => {
                "no `-` of the list around it stands here: indent the line like its neighbours"
            }
            ErrorKind::SimpleKeyExpected => "a key is not followed by `:`",
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation => "a tab indents this line: YAML indents with spaces",
            ErrorKind::UnclosedQuotedScalar => "the quote that opens here is never closed",
            ErrorKind::InvalidQuotedScalarIndent => {
                "the text in quotes before this place is not closed, or goes on in a line that is not indented"
            }
            ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnclosedFlowCollection { open: '[' } => {
                "the `[` that opens here is never closed"
            }
            ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnclosedFlowCollection { open: '{' } => {
                "the `{` that opens here is never closed"
            }
            other => {
                return Diagnostic::new(Code::Yaml, span, format!("this is not YAML: {other}"));
            }
        };
        Diagnostic::new(Code::Yaml, span, format!("this is not YAML: {why}"))
    }

    /// The first character of a line that is not white space.
    fn first_of_line(&self, line: u32) -> Span {
        let own = self
            .text
            .lines()
            .nth(usize::try_from(line).unwrap_or(1).saturating_sub(1));
        let indent = own.map_or(0, |own| own.len() - own.trim_start().len());
        Span::of_line(self.text, line, u32::try_from(indent).unwrap_or(0) + 1)
    }

    fn span(&self, start: granit_parser::Marker, end: granit_parser::Marker) -> Span {
        let byte =
            |marker: &granit_parser::Marker| marker.byte_offset().unwrap_or(0).min(self.text.len());
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (first, last) = (byte(&start), byte(&end));
        let at = Position {
            line: small(start.line()),
            column: small(start.col() + 1),
        };
        Span {
            start: first,
            end: last.max(first),
            at,
        }
    }

    fn document(&mut self) -> Result<Node, Diagnostic> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let message =
                        "a file holds one document, and here a second one begins".to_owned();
                    return Err(Diagnostic::new(Code::SecondDocument, span, message));
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                Event::StreamEnd => {
                    return root.ok_or_else(|| {
                        Diagnostic::new(
                            Code::Empty,
                            start_of_file(),
                            "the file is empty".to_owned(),
                        )
                    });
                }
                other => return Err(refused(&other, span)),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > MAX_DOCUMENT_DEPTH {
            let message = format!("nested deeper than {MAX_DOCUMENT_DEPTH} levels");
            return Err(Diagnostic::new(Code::TooDeep, span, message));
        }
        let takes_anchors = self.anchors.is_some();
        let plain_node = |anchor: usize, tagged: bool| match (anchor, tagged) {
            (_, true) => Err(Diagnostic::new(
                Code::Tag,
                span,
                "tags are not used here".to_owned(),
            )),
            (anchor, false) if anchor == 0 || takes_anchors => Ok(anchor),
            _ => Err(Diagnostic::new(
                Code::Anchor,
                span,
                "anchors are not used here".to_owned(),
            )),
        };
        let (anchor, value, end) = match event {
            Event::Alias(anchor) if takes_anchors => return self.aliased(anchor, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let anchor = plain_node(anchor, tag.is_some())?;
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                    _ => Style::Quoted,
                };
                (
                    anchor,
                    Value::Scalar {
                        text: text.into_owned(),
                        style,
                    },
                    span.end,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                let anchor = plain_node(anchor, tag.is_some())?;
                let (list, end) = self.list(depth)?;
                (anchor, Value::List(list), end)
            }
            Event::MappingStart(_, anchor, tag) => {
                let anchor = plain_node(anchor, tag.is_some())?;
                let (map, end) = self.map(depth)?;
                (anchor, Value::Map(map), end)
            }
            other => return Err(refused(&other, span)),
        };
        let node = Node {
            span: Span { end, ..span },
            value,
        };
        if anchor != 0
            && let Some(Anchors { held, copied_bytes }) = &mut self.anchors
        {
            count(copied_bytes, node.extent().0, span)?;
            held.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// The value that an alias stands for.
    fn aliased(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        let no = |code, message: String| Err(Diagnostic::new(code, span, message));
        let Some(Anchors { held, copied_bytes }) = &mut self.anchors else {
            return no(Code::Alias, "aliases are not used here".to_owned());
        };
        // An anchor is kept once its value has ended, so an alias within it finds none.
        let Some(held) = held.get(&anchor) else {
            let message = "this alias stands in the value of its own anchor".to_owned();
            return no(Code::Alias, message);
        };
        let (bytes, levels) = held.extent();
        if depth.saturating_add(levels) > MAX_DOCUMENT_DEPTH {
            let message = format!("nested deeper than {MAX_DOCUMENT_DEPTH} levels");
            return no(Code::TooDeep, message);
        }
        count(copied_bytes, bytes, span)?;
        Ok(held.clone())
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Diagnostic> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((list, span.end));
            }
            list.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Vec<(Node, Node)>, usize), Diagnostic> {
        let mut map: Vec<(Node, Node)> = Vec::new();
        let mut merged: Vec<(Node, Node)> = Vec::new();
        let mut has_merge_key = false;
        let mut seen = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                // A key of the map's own comes before one that is merged in.
                let is_new =
                    |(key, _): &(Node, Node)| key.text().is_none_or(|it| !seen.contains_key(it));
                map.extend(merged.into_iter().filter(is_new));
                return Ok((map, span.end));
            }
            let key = self.node(event, span, depth + 1)?;
            let Some(text) = key.text() else {
                return Err(Diagnostic::new(
                    Code::Key,
                    key.span,
                    "a key has to be text".to_owned(),
                ));
            };
            if text == "<<" {
                let message = match key.value {
                    Value::Scalar {
                        style: Style::Plain,
                        ..
                    } if self.anchors.is_some() && !has_merge_key => {
                        has_merge_key = true;
                        let (event, span) = self.next()?;
                        let value = self.node(event, span, depth + 1)?;
                        merged = merge(value)?;
                        if let Some(text) = merged
                            .iter()
                            .find_map(|(key, _)| key.text().filter(|text| seen.contains_key(*text)))
                        {
                            // The library of kubectl lets the merged value win there, and others
                            // the map's own.
                            let message = format!(
                                "`{}` stands before the merge key and is merged in as well, and readers of YAML take different \
                                 ones; put `<<` first",
                                escaped(text)
                            );
                            return Err(Diagnostic::new(Code::MergeKey, key.span, message));
                        }
                        continue;
                    }
                    _ if self.anchors.is_some() => "`<<` stands here once, without quotes",
                    _ => "merge keys are not used here",
                };
                let message = message.to_owned();
                return Err(Diagnostic::new(Code::MergeKey, key.span, message));
            }
            if let Some(line) = seen.insert(text.to_owned(), key.span.at.line) {
                let message = format!("`{}` stands twice: first in line {line}", escaped(text));
                return Err(Diagnostic::new(Code::DuplicateKey, key.span, message));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            map.push((key, value));
        }
    }
}

/// The entries that a merge key adds: those of one map, or of several, of which the first with a
/// key decides its value.
fn merge(value: Node) -> Result<Vec<(Node, Node)>, Diagnostic> {
    let span = value.span;
    let maps = match value.value {
        Value::List(items) => items,
        Value::Scalar { .. } | Value::Map(_) => vec![value],
    };
    let mut all: Vec<(Node, Node)> = Vec::new();
    // Kept over all maps: made anew for each, the work would grow with the square of the text.
    let mut known = std::collections::HashSet::new();
    for map in maps {
        let Value::Map(entries) = map.value else {
            let message = "a merge key takes a map, or a list of maps".to_owned();
            return Err(Diagnostic::new(Code::MergeKey, span, message));
        };
        let mut is_new =
            |(key, _): &(Node, Node)| key.text().is_none_or(|text| known.insert(text.to_owned()));
        all.extend(entries.into_iter().filter(|entry| is_new(entry)));
    }
    Ok(all)
}

fn refused(event: &Event<'_>, span: Span) -> Diagnostic {
    let message = match event {
        Event::Alias(_) => "aliases are not used here",
        _ => "this part of YAML is not used here",
    };
    Diagnostic::new(Code::Alias, span, message.to_owned())
}
