//! Printing documents in one layout, with their comments, blank lines and quotes.
//!
//! Two spaces a level. A list or map in brackets on one line stays on it while it fits. The printer
//! reads its result again and compares it before returning it.

use granit_parser::{Event, Parser};

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::tree::{Node, Style, Value, read};

/// The longest line with a list or map in brackets, in characters.
const WIDTH: usize = 120;

/// Prints the document.
///
/// # Errors
/// As [`read`]; also if the layout would change the meaning or lose a comment, which is a fault of
/// the printer.
pub fn print(text: &str) -> Result<String, Diagnostic> {
    let root = read(text)?;
    let comments = comments(text);
    let mut printer = Printer {
        text,
        comments: &comments,
        next: 0,
        out: String::with_capacity(text.len()),
    };
    printer.document(&root);
    let printed = printer.out;
    let kept = self::comments(&printed);
    let same = |one: &Comment<'_>, two: &Comment<'_>| one.text == two.text;
    let all = comments.len() == kept.len() && comments.iter().zip(&kept).all(|(a, b)| same(a, b));
    match read(&printed) {
        Ok(again) if all && alike(&root, &again) => Ok(printed),
        Ok(_) | Err(_) => {
            let message = "this file cannot be laid out without a change of its meaning".to_owned();
            Err(Diagnostic::new(Code::Yaml, Span::start(), message))
        }
    }
}

/// True if two trees mean the same, whatever their positions and quotes.
fn alike(one: &Node, two: &Node) -> bool {
    match (&one.value, &two.value) {
        (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            let pair = |((k1, v1), (k2, v2)): (&(Node, Node), &(Node, Node))| {
                alike(k1, k2) && alike(v1, v2)
            };
            a.len() == b.len() && a.iter().zip(b).all(pair)
        }
        _ => false,
    }
}

/// A comment, from `#` to the end of its line.
struct Comment<'a> {
    start: usize,
    line: u32,
    /// The column, from 0, in characters.
    column: usize,
    text: &'a str,
    /// True if something precedes the comment on its line.
    trails: bool,
}

fn comments(text: &str) -> Vec<Comment<'_>> {
    let mut found = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((Event::Comment(..), span)) = event else {
            continue;
        };
        let Some(start) = span.start.byte_offset() else {
            continue;
        };
        let before = text.get(..start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let rest = text.get(start..).unwrap_or_default();
        found.push(Comment {
            start,
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: span.start.col(),
            text: rest.lines().next().unwrap_or_default().trim_end(),
            trails: !line.trim().is_empty(),
        });
    }
    found
}

/// The comments of a document, in their order.
pub(crate) fn comments_of(text: &str) -> Vec<&str> {
    comments(text).into_iter().map(|it| it.text).collect()
}

struct Printer<'a> {
    text: &'a str,
    comments: &'a [Comment<'a>],
    next: usize,
    out: String,
}

impl<'a> Printer<'a> {
    fn document(&mut self, root: &Node) {
        self.leading(root.span.start, 0);
        self.value(root, 0, usize::MAX, false);
        self.trailing(self.last_line(root));
        self.end_line();
        self.leading(usize::MAX, 0);
    }

    /// The next comment, if it begins before this byte.
    fn pending(&self, until: usize) -> Option<&'a Comment<'a>> {
        self.comments
            .get(self.next)
            .filter(|comment| comment.start < until)
    }

    /// Prints comments on lines of their own that begin before this byte.
    fn leading(&mut self, until: usize, indent: usize) {
        while let Some(comment) = self.pending(until) {
            self.end_line();
            self.blank(comment.start);
            self.indent(indent);
            self.out.push_str(comment.text);
            self.end_line();
            self.next += 1;
        }
    }

    /// Prints the comment that follows, on its line, what was printed last: in the same column if
    /// that is free.
    fn trailing(&mut self, line: u32) {
        let Some(comment) = self.pending(usize::MAX) else {
            return;
        };
        if !comment.trails || comment.line != line {
            return;
        }
        let written = self
            .out
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count();
        let spaces = comment.column.saturating_sub(written).max(1);
        self.out.extend(std::iter::repeat_n(' ', spaces));
        self.out.push_str(comment.text);
        self.next += 1;
        self.end_line();
    }

    /// Prints a blank line if one stood before this byte.
    fn blank(&mut self, start: usize) {
        let before = self.text.get(..start).unwrap_or_default();
        let mut lines = before.rsplit('\n');
        let own = lines.next().unwrap_or_default();
        let above = lines.next();
        let stood = above.is_some_and(|line| line.trim().is_empty());
        let first = own.trim_start_matches([' ', '-']).is_empty();
        if stood && first && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn end_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    /// Prints a value after what is printed. With `inline`, a map begins on the same line, after
    /// the dash of a list.
    fn value(&mut self, node: &Node, indent: usize, until: usize, inline: bool) {
        match &node.value {
            Value::Scalar { .. } => {
                let scalar = self.scalar(node, indent);
                self.out.push_str(&scalar);
            }
            Value::List(items) if self.stays_flow(node) || items.is_empty() => self.flow(node),
            Value::Map(entries) if self.stays_flow(node) || entries.is_empty() => self.flow(node),
            Value::List(items) => {
                let column = self.column(node);
                for (place, item) in items.iter().enumerate() {
                    let until = items.get(place + 1).map_or(until, |next| next.span.start);
                    if place > 0 || !inline {
                        self.begin(item.span.start, indent);
                    }
                    self.out.push_str("- ");
                    self.value(item, indent + 2, until, true);
                    self.close(item);
                }
                self.closing(column, until, indent);
            }
            Value::Map(entries) => {
                let column = self.column(node);
                for (place, (key, value)) in entries.iter().enumerate() {
                    let until = entries
                        .get(place + 1)
                        .map_or(until, |(next, _)| next.span.start);
                    if place > 0 || !inline {
                        self.begin(key.span.start, indent);
                    }
                    self.entry(key, value, indent, until);
                }
                self.closing(column, until, indent);
            }
        }
    }

    fn entry(&mut self, key: &Node, value: &Node, indent: usize, until: usize) {
        let written = self.scalar(key, indent);
        self.out.push_str(&written);
        self.out.push(':');
        let block = match &value.value {
            Value::Scalar { .. } => false,
            Value::List(items) => !items.is_empty() && !self.stays_flow(value),
            Value::Map(entries) => !entries.is_empty() && !self.stays_flow(value),
        };
        if block {
            if self.pending(value.span.start).is_some() {
                self.trailing(key.span.at.line);
            }
            self.end_line();
            self.value(value, indent + 2, until, false);
        } else if value.span.end > value.span.start {
            self.out.push(' ');
            self.value(value, indent + 2, until, false);
        }
        self.close(value);
    }

    /// Begins the line of the part at this byte, after the comments before it.
    fn begin(&mut self, start: usize, indent: usize) {
        self.end_line();
        self.leading(start, indent);
        self.blank(start);
        self.indent(indent);
    }

    fn close(&mut self, node: &Node) {
        if !self.out.ends_with('\n') {
            self.trailing(self.last_line(node));
        }
        self.end_line();
    }

    /// Prints comments after the last item that are indented like the items.
    fn closing(&mut self, column: usize, until: usize, indent: usize) {
        while let Some(comment) = self
            .pending(until)
            .filter(|comment| comment.column >= column)
        {
            self.leading(comment.start + 1, indent);
        }
    }

    fn column(&self, node: &Node) -> usize {
        let start = self.text.get(..node.span.start).unwrap_or_default();
        let line = start.rsplit('\n').next().unwrap_or_default();
        let stands = usize::try_from(node.span.at.column)
            .unwrap_or(1)
            .saturating_sub(1);
        // Of a map behind a dash, and of a list, the column is that of its first character.
        stands.max(line.chars().count())
    }

    /// The line of a value's last character.
    fn last_line(&self, node: &Node) -> u32 {
        let written = self
            .text
            .get(node.span.start..node.span.end)
            .unwrap_or_default();
        let breaks = written.trim_end().matches('\n').count();
        node.span.at.line + u32::try_from(breaks).unwrap_or(u32::MAX)
    }

    fn source(&self, node: &Node) -> &'a str {
        self.text
            .get(node.span.start..node.span.end)
            .unwrap_or_default()
    }

    /// True if the value stood in brackets, contains no comment, and fits on a line.
    fn stays_flow(&self, node: &Node) -> bool {
        let flow = self.source(node).starts_with(['[', '{']);
        let inside = |comment: &Comment<'_>| {
            node.span.start < comment.start && comment.start < node.span.end
        };
        flow && !self.comments.iter().any(inside) && self.flow_text(node).chars().count() <= WIDTH
    }

    fn flow(&mut self, node: &Node) {
        let text = self.flow_text(node);
        self.out.push_str(&text);
    }

    fn flow_text(&self, node: &Node) -> String {
        match &node.value {
            Value::Scalar { text, style } => {
                let source = self.source(node).trim_end();
                if *style == Style::Block || source.is_empty() || source.contains('\n') {
                    quoted(text)
                } else {
                    source.to_owned()
                }
            }
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flow_text(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entry = |(key, value): &(Node, Node)| {
                    format!("{}: {}", self.flow_text(key), self.flow_text(value))
                };
                let entries: Vec<String> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// Prints a scalar outside of brackets.
    fn scalar(&self, node: &Node, indent: usize) -> String {
        let Value::Scalar { text, style } = &node.value else {
            return String::new();
        };
        if *style != Style::Block {
            return self.flow_text(node);
        }
        // A block: its lines as they are, at the indentation of this level.
        let before = self.text.get(..node.span.start).unwrap_or_default();
        let shared = before.rsplit('\n').next().unwrap_or_default().len();
        let head = before.trim_end().rsplit(char::is_whitespace).next();
        let Some(head) = head.filter(|head| matches!(*head, "|" | "|-" | ">" | ">-")) else {
            return quoted(text);
        };
        let mut block = head.to_owned();
        for (place, line) in self.source(node).trim_end().lines().enumerate() {
            block.push('\n');
            let rest = if place == 0 {
                Some(line)
            } else {
                line.get(shared..)
            };
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                block.extend(std::iter::repeat_n(' ', indent));
                block.push_str(rest);
            }
        }
        block
    }
}

/// Quotes a text with double quotes, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control()
                || u32::from(c) > 0xFFFF
                || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') =>
            {
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_laid_out_with_its_comments_blank_lines_and_quotes() {
        let given = "# first\n\n\na:   1   # one\nb:\n- x\n-   y: 'z'\n    # of w\n    w:  {p: 1,q: [ 2,3 ]}\n\n    # behind\n\n\n# before c\nc: # of c\n      d: \"e\"\nf: |\n    text\n      more\ng: plain\n  goes on\nh: [1, # one\n  2]\n# last\n";
        let printed = "# first\n\na: 1     # one\nb:\n  - x\n  - y: 'z'\n    # of w\n    w: {p: 1, q: [2, 3]}\n\n    # behind\n\n# before c\nc: # of c\n  d: \"e\"\nf: |\n  text\n    more\ng: \"plain goes on\"\nh:\n  - 1  # one\n  - 2\n# last\n";
        let found = print(given).unwrap();
        assert_eq!(found, printed, "{found}");
        assert_eq!(print(&found).unwrap(), printed);
    }

    #[test]
    fn what_cannot_be_read_is_said_as_ever() {
        assert_eq!(print("a: &b c\n").unwrap_err().code, Code::Anchor);
    }
}
