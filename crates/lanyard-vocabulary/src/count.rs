//! Numbers of things in sentences: `1 lease`, `2 leases`.

/// A number of things, whose word takes an `s` in the plural, or `es` behind a hiss, or `ies` for a
/// `y` behind a consonant; people are the plural of a person.
#[must_use]
pub fn counted(count: u64, word: &str) -> String {
    format!("{count} {}", word_for(count, word))
}

/// The word alone: `lease`, or `leases`.
#[must_use]
pub fn word_for(count: u64, word: &str) -> String {
    if count == 1 {
        return word.to_owned();
    }
    if let Some(before) = word.strip_suffix("person") {
        return format!("{before}people");
    }
    let consonant = |c: char| !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u');
    let behind_consonant = word
        .strip_suffix('y')
        .filter(|stem| stem.ends_with(consonant));
    if let Some(stem) = behind_consonant {
        return format!("{stem}ies");
    }
    let hisses = ["s", "x", "ch", "sh"].iter().any(|end| word.ends_with(end));
    if hisses {
        return format!("{word}es");
    }
    format!("{word}s")
}

/// The verb that goes with a number of things: `is` or `are`, `waits` or `wait`.
#[must_use]
pub const fn verb_for<'a>(count: u64, one: &'a str, more: &'a str) -> &'a str {
    if count == 1 { one } else { more }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n13_one_thing_is_no_plural() {
        for (count, word, said) in [
            (0, "lease", "0 leases"),
            (1, "lease", "1 lease"),
            (2, "lease", "2 leases"),
            (1, "identity", "1 identity"),
            (3, "identity", "3 identities"),
            (2, "day", "2 days"),
            (2, "process", "2 processes"),
            (2, "branch", "2 branches"),
            (1, "person", "1 person"),
            (2, "person", "2 people"),
            (1, "sensitive value", "1 sensitive value"),
            (2, "sensitive value", "2 sensitive values"),
        ] {
            assert_eq!(counted(count, word), said);
        }
        assert_eq!(
            (verb_for(1, "is", "are"), verb_for(0, "is", "are")),
            ("is", "are")
        );
    }
}
