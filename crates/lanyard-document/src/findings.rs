//! The findings about a document, which are collected while reading goes on, so that one run
//! reports every fault of a file; the readers of single values; and the names near a misspelt one.

use std::cell::RefCell;
use std::str::FromStr;

use lanyard_vocabulary::text::escaped;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use crate::code::{Code, Severity};
use crate::diagnostic::Diagnostic;
use crate::tree::{Node, Value};

/// The findings so far.
#[derive(Debug, Default)]
pub struct Findings(RefCell<Vec<Diagnostic>>);

impl Findings {
    /// Adds a finding to the list.
    pub fn add(&self, finding: Diagnostic) {
        self.0.borrow_mut().push(finding);
    }

    /// True if no finding so far keeps the document out of force.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let findings = self.0.borrow();
        let mut severities = findings.iter().map(Diagnostic::severity);
        severities.all(|severity| severity == Severity::Warning)
    }

    /// The findings in the order of the file.
    #[must_use]
    pub fn sorted(self) -> Vec<Diagnostic> {
        let mut all = self.0.into_inner();
        all.sort_by_key(|finding| (finding.span.start, finding.severity()));
        all.dedup();
        all
    }

    /// Reads a text that is not empty, or reports a fault.
    pub fn text<'a>(&self, node: &'a Node) -> Option<&'a str> {
        match &node.value {
            Value::Scalar { text, .. } if !text.trim().is_empty() => Some(text),
            Value::Scalar { .. } => {
                self.add(Diagnostic::new(
                    Code::Kind,
                    node.span,
                    "this must not be empty".to_owned(),
                ));
                None
            }
            Value::List(_) | Value::Map(_) => {
                self.add(Diagnostic::new(
                    Code::Kind,
                    node.span,
                    "expected a text here".to_owned(),
                ));
                None
            }
        }
    }

    /// Reads and parses a text, or reports the parser's error.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, node: &Node) -> Option<T> {
        match self.text(node)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(Diagnostic::new(Code::Value, node.span, format!("{error}")));
                None
            }
        }
    }

    /// Reads a whole number from `least` to `most`, or reports a fault.
    pub fn number(&self, node: &Node, least: u32, most: u32) -> Option<u32> {
        let text = self.text(node)?;
        let number = text
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!(
                "expected a whole number from {least} to {most}, found `{}`",
                escaped(text)
            );
            self.add(Diagnostic::new(Code::Value, node.span, message));
        }
        number
    }

    /// Reads a duration such as `90s`, `10m` or `2h`, of at most `most`, or reports a fault.
    pub fn span_of_time(&self, node: &Node, most: Ttl) -> Option<Ttl> {
        let text = self.text(node)?;
        let Some(ttl) = parse_time(text) else {
            let message = format!("`{}` is not a span of time", escaped(text));
            self.add(Diagnostic::new(Code::Value, node.span, message).help("write 90s, 10m or 2h"));
            return None;
        };
        if ttl > most {
            self.add(Diagnostic::new(
                Code::Value,
                node.span,
                format!("{ttl} is more than the {most} that is possible"),
            ));
            return None;
        }
        Some(ttl)
    }

    /// Reads a day (2026-12-20) or a time (2026-12-20T18:00:00Z), or reports a fault. A day means
    /// its first moment in UTC, or as an end the moment after it.
    pub fn time(&self, node: &Node, is_end: bool) -> Option<Timestamp> {
        let text = self.text(node)?;
        let day = text
            .parse::<jiff::civil::Date>()
            .ok()
            .filter(|_| text.len() == 10);
        let moment = match day {
            Some(day) => {
                let day = if is_end {
                    day.tomorrow().ok()
                } else {
                    Some(day)
                };
                let zoned = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
                zoned.map(|zoned| zoned.timestamp())
            }
            None => text.parse::<jiff::Timestamp>().ok(),
        };
        let seconds = moment.and_then(|moment| u64::try_from(moment.as_second()).ok());
        if seconds.is_none() {
            let message = format!("`{}` is not a time", escaped(text));
            self.add(
                Diagnostic::new(Code::Value, node.span, message)
                    .help("write 2026-12-20 or 2026-12-20T18:00:00Z"),
            );
        }
        seconds.map(Timestamp::from_secs)
    }
}

fn parse_time(text: &str) -> Option<Ttl> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Ttl::from_secs(number.parse::<u32>().ok()?.checked_mul(seconds)?).ok()
}

/// Suggests a name as [`suggest`] does, and adds a fix if it differs by one typing error.
pub(crate) fn near<'a>(
    finding: Diagnostic,
    found: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let span = finding.span;
    let slips = |name: &&str| strsim::damerau_levenshtein(name, found) == 1;
    let mut one = known.clone().into_iter().filter(slips);
    let finding = suggest(finding, found, known);
    match (one.next(), one.next()) {
        (Some(name), None) => finding.fix(span.start..span.end, name),
        _ => finding,
    }
}

/// Adds the nearest known name as the finding's remedy.
#[must_use]
pub fn suggest<'a>(
    finding: Diagnostic,
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match nearest(found, known) {
        Some(name) => finding.help(format!("did you mean `{name}`?")),
        None => finding,
    }
}

/// The shortest text that is taken for a part of a name.
const SHORTEST_PART_BYTES: usize = 3;

/// The nearest known name, if one is near: in another case, with a slip or two, or shortened. Names
/// that share one of two words, such as `move-tickets` and `read-tickets`, are not near.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = found.trim().to_lowercase();
    let near = known.into_iter().filter_map(|name| {
        let shown = name.to_lowercase();
        let shorter = lower.len().min(shown.len());
        let is_part =
            shorter >= SHORTEST_PART_BYTES && (shown.contains(&lower) || lower.contains(&shown));
        let distance = strsim::damerau_levenshtein(&shown, &lower);
        let is_near = is_part || distance <= shorter / 8 + 1;
        (is_near && !lower.is_empty()).then_some((distance, name))
    });
    near.min().map(|(_, name)| name)
}

/// Known names near a name that does not exist, nearest first: in another case, with a typing
/// error, shortened or extended.
pub fn near_names<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Vec<&'a str> {
    const BYTES_OF_THE_WIDEST_LETTER: usize = 4;
    let found = found.trim().to_lowercase();
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let is_part = found.len().min(name.len()) >= SHORTEST_PART_BYTES
            && (name.contains(&found) || found.contains(&name));
        let most = found.len().min(name.len()).max(3) / 3 + 1;
        // Most names are out of question by their length: nothing is measured that can be neither
        // near nor a part.
        if !is_part
            && found.len().abs_diff(name.len()) > most.saturating_mul(BYTES_OF_THE_WIDEST_LETTER)
        {
            return None;
        }
        let distance = strsim::damerau_levenshtein(&name, &found);
        let is_near = distance <= most;
        // A part is nearer than a slip: a name is shortened more often than mistyped.
        (is_part || is_near).then_some((!is_part, distance))
    };
    let known = known.into_iter();
    let near = known.filter_map(|name| Some((distance(name)?, name)));
    let near: std::collections::BTreeSet<_> = near.collect();
    near.into_iter().take(most).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn n10_a_name_of_which_one_word_is_another_is_not_near() {
        let grants = ["read-tickets", "move-tickets"];
        for (found, near) in [
            ("raed-tickets", Some("read-tickets")),
            ("Read-Tickets", Some("read-tickets")),
            ("read-ticket", Some("read-tickets")),
            ("read", Some("read-tickets")),
            ("write-tickets", None),
            ("close-tickets", None),
            ("restart", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(found, grants), near, "{found}");
        }
        assert_eq!(
            nearest("prod", ["staging", "production"]),
            Some("production")
        );
        assert_eq!(nearest("dev", ["staging", "production"]), None);
        assert_eq!(nearest("tokn", ["token", "aws"]), Some("token"));
        assert_eq!(nearest("awx", ["token", "aws"]), Some("aws"));
        assert_eq!(
            nearest("s3:GetObjet", ["s3:GetObject", "s3:PutObject"]),
            Some("s3:GetObject")
        );
    }
}
