//! Allow comments: `# lanyard:allow LC210 because …` silences a warning on its own line or the next
//! one.

use std::ops::Range;

use lanyard_document::Position;
use lanyard_document::{Code, Diagnostic, Severity, Span};
use lanyard_vocabulary::text::escaped;

const MARK: &str = "lanyard:allow";

struct Allow {
    span: Span,
    /// The range of the comment with the space before it, and with its line if it stands alone.
    whole: Range<usize>,
    code: Option<Code>,
    word: String,
    has_reason: bool,
    used: bool,
}

/// Removes allowed findings and adds findings about the comments. A run without lints cannot tell
/// that a comment is unused.
pub(super) fn apply(text: &str, findings: Vec<Diagnostic>, looked: bool) -> Vec<Diagnostic> {
    let mut allows = allows(text);
    if allows.is_empty() {
        return findings;
    }
    let mut left: Vec<_> = findings
        .into_iter()
        .filter(|finding| {
            let line = finding.span.at.line;
            let allow = allows.iter_mut().find(|allow| {
                let near = allow.span.at.line == line || allow.span.at.line + 1 == line;
                near && allow.code == Some(finding.code)
            });
            let allowed = finding.severity() == Severity::Warning
                && allow.as_ref().is_some_and(|allow| allow.has_reason);
            if let Some(allow) = allow {
                allow.used = true;
            }
            !allowed
        })
        .collect();
    let complaints = allows.iter().filter_map(complaint);
    left.extend(complaints.filter(|finding| looked || finding.code != Code::UnusedAllow));
    left.sort_by_key(|finding| (finding.span.start, finding.severity()));
    left
}

fn complaint(allow: &Allow) -> Option<Diagnostic> {
    let Some(code) = allow.code else {
        let message = format!("`{}` is no code of a finding", escaped(&allow.word));
        let names = Code::ALL.iter().map(|code| code.id());
        let finding = Diagnostic::new(Code::AllowReason, allow.span, message);
        return Some(lanyard_document::suggest(finding, &allow.word, names));
    };
    let finding = |code, message| Some(Diagnostic::new(code, allow.span, message));
    if code.severity() == Severity::Error {
        let message = format!("{code} is an error, and only warnings can be allowed");
        return finding(Code::AllowError, message);
    }
    if !allow.has_reason {
        let message = format!("{code} is allowed here without a reason");
        return finding(Code::AllowReason, message)
            .map(|finding| finding.help("write it behind the code"));
    }
    let message = format!("{code} is not found here any more");
    let bytes = allow.whole.clone();
    (!allow.used).then(|| Diagnostic::new(Code::UnusedAllow, allow.span, message).fix(bytes, ""))
}

fn allows(text: &str) -> Vec<Allow> {
    let mut found = Vec::new();
    let mut start = 0;
    for (line, number) in text.split_inclusive('\n').zip(1_u32..) {
        if let Some((at, said)) = comment(line) {
            let mut words = said.split_whitespace();
            let word = words.next().unwrap_or_default().to_owned();
            let column = line.get(..at).map_or(0, |before| before.chars().count());
            found.push(Allow {
                span: Span {
                    start: start + at,
                    end: start + line.trim_end().len(),
                    at: Position {
                        line: number,
                        column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
                    },
                },
                whole: whole(line, at, start),
                code: Code::find(&word),
                word,
                has_reason: words.any(|word| word != "because" && word.len() > 1),
                used: false,
            });
        }
        start += line.len();
    }
    found
}

fn whole(line: &str, at: usize, start: usize) -> Range<usize> {
    let before = line.get(..at).unwrap_or_default().trim_end();
    let end = if before.is_empty() {
        line.len()
    } else {
        line.trim_end_matches(['\r', '\n']).len()
    };
    start + before.len()..start + end
}

/// The offset of the comment in the line, and the text after the mark.
fn comment(line: &str) -> Option<(usize, &str)> {
    line.match_indices('#').find_map(|(at, _)| {
        let before = line.get(..at)?.chars().next_back();
        before.is_none_or(char::is_whitespace).then_some(())?;
        let said = line.get(at + 1..)?.trim_start();
        Some((at, said.strip_prefix(MARK)?))
    })
}
