//! Syntax of ids and names. The local agent neither caches nor forwards anything else.

/// Letters and digits of an id after its prefix.
const ID_DIGITS: usize = 26;
/// Longest name of a grant.
///
/// # Limit
/// - for: a name that the local agent is asked for
/// - unit: bytes
/// - beyond: the call is refused
/// - test: `only_well_formed_ids_and_names_are_accepted`
const MAX_NAME_BYTES: usize = 63;

pub(crate) fn is_task(text: &str) -> bool {
    is_id(text, "T-")
}

pub(crate) fn is_plan(text: &str) -> bool {
    is_id(text, "P-")
}

fn is_id(text: &str, kind: &str) -> bool {
    let digits = text.strip_prefix(kind);
    digits.is_some_and(|digits| {
        digits.len() == ID_DIGITS && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ids_and_names_are_accepted() {
        assert!(is_task("T-6MQ9XACBS2THWJ6FGEKT572N9S"));
        assert!(is_plan("P-6MQ9XACBS2THWJ6FGEKT572N9S"));
        for bad in [
            "",
            "T-",
            "T-1\"; touch x",
            "P-6MQ9XACBS2THWJ6FGEKT572N9S",
            "T-6MQ9XACBS2THWJ6FGEKT572N9S ",
        ] {
            assert!(!is_task(bad), "{bad}");
        }
        assert!(is_name("read-tickets"));
        assert!(is_name(&"a".repeat(63)));
        for bad in ["", "a b", "a/b", &"a".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
