//! Reading: events of the YAML parser become a tree, or a diagnostic.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's events are an open set"
)]

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle};

use super::{Code, Diagnostic, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH};
use crate::charter::Position;

/// Where something stands: bytes, and the position of its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line and column of the first character.
    pub at: Position,
}

impl Span {
    /// Before the first character.
    #[must_use]
    pub const fn start() -> Self {
        Self {
            start: 0,
            end: 0,
            at: Position { line: 1, column: 1 },
        }
    }
}

impl Span {
    /// From this place, counted from 1, to the end of its line.
    #[must_use]
    pub fn of_line(text: &str, line: u32, column: u32) -> Self {
        let skipped = usize::try_from(line).unwrap_or(1).saturating_sub(1);
        let before: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
        let rest = text.get(before..).unwrap_or_default();
        let own = rest.lines().next().unwrap_or_default();
        let chars = usize::try_from(column).unwrap_or(1).saturating_sub(1);
        let inner = own
            .char_indices()
            .nth(chars)
            .map_or(own.len(), |(at, _)| at);
        Self {
            start: before + inner,
            end: before + own.len(),
            at: Position { line, column },
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where.
    pub span: Span,
    /// What.
    pub value: Value,
}

impl Node {
    /// Whether it is a text, and not a list or a map.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.value, Value::Scalar { .. })
    }
}

/// The three kinds of value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, whether or not it looks like a number.
    Scalar {
        /// The text.
        text: String,
        /// How it was written.
        style: Style,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the file.
    Map(Vec<(Node, Node)>),
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In quotes.
    Quoted,
    /// On lines of its own, behind `|` or `>`.
    Block,
}

/// Reads one document.
///
/// # Errors
/// One diagnostic: beyond the first fault of the YAML itself nothing can be said.
pub fn read(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let message = format!(
            "the file has {} bytes and may have {MAX_DOCUMENT_BYTES}",
            text.len()
        );
        return Err(Diagnostic::new(Code::TooLarge, start_of_file(), message));
    }
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        text,
    };
    let root = reader.document()?;
    Ok(root)
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
}

impl<'a> Reader<'a> {
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

    /// The diagnostic of a fault of the YAML itself. The parser speaks of its tokens; the faults that people make when they
    /// write by hand (indents, tabs, quotes) are said in words of the file.
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
        let plain_node = |anchor: usize, tagged: bool| match (anchor, tagged) {
            (0, false) => Ok(()),
            (0, true) => Err(Diagnostic::new(
                Code::Tag,
                span,
                "tags are not used here".to_owned(),
            )),
            _ => Err(Diagnostic::new(
                Code::Anchor,
                span,
                "anchors are not used here".to_owned(),
            )),
        };
        let (value, end) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                plain_node(anchor, tag.is_some())?;
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                    _ => Style::Quoted,
                };
                (
                    Value::Scalar {
                        text: text.into_owned(),
                        style,
                    },
                    span.end,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                plain_node(anchor, tag.is_some())?;
                let (list, end) = self.list(depth)?;
                (Value::List(list), end)
            }
            Event::MappingStart(_, anchor, tag) => {
                plain_node(anchor, tag.is_some())?;
                let (map, end) = self.map(depth)?;
                (Value::Map(map), end)
            }
            other => return Err(refused(&other, span)),
        };
        Ok(Node {
            span: Span { end, ..span },
            value,
        })
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
        let mut seen = std::collections::HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok((map, span.end));
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar { text, .. } = &key.value else {
                return Err(Diagnostic::new(
                    Code::Key,
                    key.span,
                    "a key has to be text".to_owned(),
                ));
            };
            if text == "<<" {
                return Err(Diagnostic::new(
                    Code::MergeKey,
                    key.span,
                    "merge keys are not used here".to_owned(),
                ));
            }
            if let Some(line) = seen.insert(text.clone(), key.span.at.line) {
                let message = format!(
                    "`{}` stands twice: first in line {line}",
                    super::escaped(text)
                );
                return Err(Diagnostic::new(Code::DuplicateKey, key.span, message));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            map.push((key, value));
        }
    }
}

fn refused(event: &Event<'_>, span: Span) -> Diagnostic {
    let message = match event {
        Event::Alias(_) => "aliases are not used here",
        _ => "this part of YAML is not used here",
    };
    Diagnostic::new(Code::Alias, span, message.to_owned())
}
