//! Patterns with `*` and `?`, and which of them contain which.

use std::collections::BTreeSet;

/// Patterns for ARNs and actions: `*` for any run of characters, `?` for one. Linear in `text`'s
/// length times the number of stars (T27).
#[must_use]
pub fn wildcard_matches(pattern: &str, text: &str) -> bool {
    if pattern.is_ascii() && text.is_ascii() {
        return matches(pattern.as_bytes(), text.as_bytes(), |byte| byte.into());
    }
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    matches(&chars(pattern), &chars(text), |c| c)
}

fn matches<T: Copy + PartialEq>(pattern: &[T], text: &[T], as_char: fn(T) -> char) -> bool {
    let is = |item: Option<&T>, c: char| item.is_some_and(|item| as_char(*item) == c);
    let (mut p, mut t) = (0, 0);
    let mut backtrack: Option<(usize, usize)> = None;
    while t < text.len() {
        let one = pattern.get(p);
        if is(one, '*') {
            backtrack = Some((p + 1, t));
            p += 1;
        } else if one.is_some() && (is(one, '?') || one == text.get(t)) {
            p += 1;
            t += 1;
        } else {
            match backtrack {
                Some((after_star, matched_to)) => {
                    p = after_star;
                    t = matched_to + 1;
                    backtrack = Some((after_star, t));
                }
                None => return false,
            }
        }
    }
    pattern.iter().skip(p).all(|rest| as_char(*rest) == '*')
}

/// True if `wide` matches everything that `narrow` matches. May be false although it does.
#[must_use]
pub fn pattern_contains(wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    // A `?` stands for one character and would take the other side's `*` for one.
    if wide.contains('?') && narrow.contains('*') {
        return false;
    }
    wildcard_matches(wide, narrow)
}

/// True if one set is within the other, where an empty set means everything.
pub(crate) fn is_within<T: Ord>(one: &BTreeSet<T>, all: &BTreeSet<T>) -> bool {
    all.is_empty() || (!one.is_empty() && one.is_subset(all))
}
