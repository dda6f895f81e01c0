//! The difference of two long texts: by lines, and by words within long lines.

use std::collections::HashMap;

use lanyard_vocabulary::count::{counted, verb_for};
use lanyard_vocabulary::text::visible;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::shown::quoted;

/// Steps of all comparisons of one plan. Beyond them, both sides are shown in full.
pub(crate) const COMPARISON_STEPS: usize = 10_000_000;
/// Unchanged lines that are shown around a change.
const CONTEXT_LINES: usize = 1;
/// Longest line, in characters, that is shown as a whole. Longer ones are compared by words.
const LONG_LINE_CHARS: usize = 160;
/// Unchanged characters that are shown around a change.
const CONTEXT_CHARS: usize = 40;

/// Renders the difference of two texts line by line.
pub(crate) fn difference(before: &str, after: &str, steps: &mut usize) -> Vec<String> {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let mut shown = Vec::new();
    for part in parts(&old, &new, steps) {
        match part {
            Part::Same(lines) => same_lines(&lines, &mut shown),
            Part::Changed(gone, come) => match (gone.as_slice(), come.as_slice()) {
                ([one], [two]) if is_long(one) && is_long(two) => {
                    words(one, two, steps, &mut shown);
                }
                _ => {
                    shown.extend(gone.iter().map(|line| format!("- {}", shown_line(line))));
                    shown.extend(come.iter().map(|line| format!("+ {}", shown_line(line))));
                }
            },
        }
    }
    shown
}

/// Renders all lines of a text that is added or removed.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> {
    text.split_inclusive('\n')
        .map(|line| format!("| {}", shown_line(line)))
}

enum Part<'a> {
    Same(Vec<&'a str>),
    Changed(Vec<&'a str>, Vec<&'a str>),
}

/// Splits two sequences into equal and changed parts. Common ends are removed first, so that the
/// quadratic comparison stays small.
fn parts<'a>(old: &[&'a str], new: &[&'a str], steps: &mut usize) -> Vec<Part<'a>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (
        old.get(head..).unwrap_or_default(),
        new.get(head..).unwrap_or_default(),
    );
    let same_at_end = old_rest.iter().rev().zip(new_rest.iter().rev());
    let tail = same_at_end.take_while(|(a, b)| a == b).count();
    let middle = |of: &[&'a str]| -> Vec<&'a str> {
        let end = of.len().saturating_sub(tail);
        of.get(..end).unwrap_or_default().to_vec()
    };
    let (gone, come) = (middle(old_rest), middle(new_rest));
    let mut all = vec![Part::Same(old.get(..head).unwrap_or_default().to_vec())];
    let needed = gone.len().saturating_mul(come.len());
    if needed <= *steps {
        *steps -= needed;
        // Lines are replaced by numbers: comparing lines with a long common prefix at each step
        // would be slow.
        let mut known = HashMap::new();
        let mut numbers = |lines: &[&'a str]| -> Vec<usize> {
            let each = lines.iter().map(|line| {
                let next = known.len();
                *known.entry(*line).or_insert(next)
            });
            each.collect()
        };
        let (old, new) = (numbers(&gone), numbers(&come));
        for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
            let of = |lines: &[&'a str], range| -> Vec<&'a str> {
                let range: std::ops::Range<usize> = range;
                lines.get(range).unwrap_or_default().to_vec()
            };
            let (was, is) = (of(&gone, op.old_range()), of(&come, op.new_range()));
            all.push(match op.tag() {
                DiffTag::Equal => Part::Same(was),
                DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => Part::Changed(was, is),
            });
        }
    } else {
        all.push(Part::Changed(gone, come));
    }
    let end = old_rest.len().saturating_sub(tail);
    all.push(Part::Same(old_rest.get(end..).unwrap_or_default().to_vec()));
    all
}

fn same_lines(lines: &[&str], shown: &mut Vec<String>) {
    let short = lines.iter().all(|line| !is_long(line));
    if lines.len() <= 2 * CONTEXT_LINES && short {
        shown.extend(lines.iter().map(|line| format!("  {}", shown_line(line))));
    } else if !lines.is_empty() {
        shown.push(unchanged(lines.len(), "line"));
    }
}

fn unchanged(count: usize, what: &str) -> String {
    let (count, are) = (count as u64, verb_for(count as u64, "is", "are"));
    format!("  … {} {are} the same", counted(count, what))
}

fn is_long(line: &str) -> bool {
    line.chars().nth(LONG_LINE_CHARS).is_some()
}

/// Renders a line so that trailing white space and a missing final line break are visible.
fn shown_line(line: &str) -> String {
    let (line, end) = match line.strip_suffix('\n') {
        Some(line) => (line, ""),
        None => (line, " (and no line break)"),
    };
    let kept = line.trim_end();
    let odd = line.get(kept.len()..).unwrap_or_default();
    let odd: String = odd
        .chars()
        .map(|c| c.escape_unicode().to_string())
        .collect();
    format!("{}{odd}{end}", visible(kept))
}

/// Renders the difference within two long lines.
fn words(before: &str, after: &str, steps: &mut usize, shown: &mut Vec<String>) {
    for part in parts(&tokens(before), &tokens(after), steps) {
        match part {
            Part::Same(tokens) => {
                let text = tokens.concat();
                let count = text.chars().count();
                if count > 2 * CONTEXT_CHARS {
                    shown.push(unchanged(count, "character"));
                } else if count > 0 {
                    shown.push(format!("  {}", quoted(&text)));
                }
            }
            Part::Changed(gone, come) => {
                for (sign, tokens) in [("-", gone), ("+", come)] {
                    if !tokens.is_empty() {
                        shown.push(format!("{sign} {}", quoted(&tokens.concat())));
                    }
                }
            }
        }
    }
}

/// Splits a text into words and single characters between them.
fn tokens(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric();
        let end = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, more) = rest.split_at(end);
        all.push(token);
        rest = more;
    }
    all
}
