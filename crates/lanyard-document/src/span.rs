//! Places in a document: by bytes for programs, by line and column for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The position of a value in its file: the line and column of its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A range of a document, with the position of its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The offset of the first byte.
    pub start: usize,
    /// The byte after the last.
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
