//! Diagnostics: findings with a position, a message and a remedy.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use lanyard_vocabulary::text::{escaped, folded, folded_below, is_hidden};

use crate::code::{Code, Severity};
use crate::span::Span;

/// A finding in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of finding.
    pub code: Code,
    /// The part of the document that the finding is about.
    pub span: Span,
    /// The message, in a plain sentence.
    pub message: String,
    /// The remedy, if there is one.
    pub help: Option<String>,
    /// A replacement that repairs the fault and changes nothing else.
    pub fix: Option<Fix>,
}

/// Another text for a part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// The bytes that go.
    pub bytes: std::ops::Range<usize>,
    /// The text that replaces the span.
    pub text: String,
}

impl Fix {
    /// The file with this fix; `None` when it is not of this file.
    #[must_use]
    pub fn apply(&self, text: &str) -> Option<String> {
        let (before, after) = (text.get(..self.bytes.start)?, text.get(self.bytes.end..)?);
        Some(format!("{before}{}{after}", self.text))
    }
}

impl Diagnostic {
    /// Makes a finding without a remedy.
    #[must_use]
    pub const fn new(code: Code, span: Span, message: String) -> Self {
        Self {
            code,
            span,
            message,
            help: None,
            fix: None,
        }
    }

    /// The severity of the finding's kind.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Returns the finding with this remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns the finding with this fix.
    #[must_use]
    pub fn fix(mut self, bytes: std::ops::Range<usize>, text: impl Into<String>) -> Self {
        self.fix = Some(Fix {
            bytes,
            text: text.into(),
        });
        self
    }

    /// `file:line:column: error[LC012]: message (help)`: one line, for logs.
    #[must_use]
    pub fn line(&self, name: &str) -> String {
        let (at, severity, code) = (self.span.at, self.severity(), self.code);
        let mut line = format!(
            "{}:{at}: {severity}[{code}]: {}",
            escaped(name),
            self.message
        );
        if let Some(help) = &self.help {
            line.push_str(&format!(" ({help})"));
        }
        line
    }
}

/// The findings as a person reads them: the line, the place underlined, the help.
#[must_use]
pub fn render(name: &str, text: &str, findings: &[Diagnostic]) -> String {
    render_within(name, text, findings, None)
}

/// The findings as a person reads them, on a screen of so many columns if there is one.
#[must_use]
pub fn render_within(
    name: &str,
    text: &str,
    findings: &[Diagnostic],
    columns: Option<usize>,
) -> String {
    let renderer = match columns {
        Some(columns) => Renderer::plain().term_width(columns),
        None => Renderer::plain(),
    };
    let fitted = |shown: &str| match columns {
        Some(columns) => folded_finding(shown, columns),
        None => shown.to_owned(),
    };
    // A control character in the file must not reach a terminal; each is one byte and stays one.
    let shown: String = text
        .chars()
        .map(|c| {
            if is_hidden(c) && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    let same_places = shown.len() == text.len();
    findings
        .iter()
        .map(|finding| {
            let level = match finding.severity() {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARNING,
            };
            if !same_places {
                return format!("{}\n", fitted(&finding.line(name)));
            }
            let span =
                finding.span.start..finding.span.end.max(finding.span.start).min(shown.len());
            let snippet = Snippet::source(shown.as_str())
                .path(name)
                .annotation(AnnotationKind::Primary.span(first_line(&shown, span)));
            let title = level
                .primary_title(finding.message.as_str())
                .id(finding.code.id());
            let group = title.element(snippet);
            let group: Group<'_> = match &finding.help {
                Some(help) => group.element(Level::HELP.message(help.as_str())),
                None => group,
            };
            format!("{}\n", fitted(&renderer.render(&[group])))
        })
        .collect()
}

/// Folds the sentences of a rendered finding, which are its first line and its help. A line of the
/// file stays whole.
fn folded_finding(rendered: &str, columns: usize) -> String {
    let lines = rendered.lines().enumerate().map(|(place, line)| {
        let before = line.find(HELP).map(|at| at + HELP.len());
        let is_help = line.trim_start().starts_with(HELP);
        match before.filter(|_| is_help) {
            Some(indent) => folded_below(line, columns, indent),
            None if place == 0 => folded(line, columns),
            None => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The beginning of a finding's help.
const HELP: &str = "= help: ";

/// A finding over many lines is shown by its first.
fn first_line(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let line = text
        .get(span.clone())
        .and_then(|part| part.find('\n'))
        .map(|end| span.start + end);
    span.start..line.unwrap_or(span.end)
}
