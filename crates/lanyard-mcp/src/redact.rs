//! Redaction of foreign texts for models: one bounded line, without control characters, and without
//! anything that looks like a key.
//!
//! No answer of a broker should contain a secret. If one does, it ends here (T50, T53).

use lanyard_vocabulary::text::visible;

/// Longest text that is shown.
///
/// # Limit
/// - for: a text that a model reads
/// - unit: characters
/// - beyond: the text is cut, and ends with `…`
/// - test: `control_characters_are_escaped_and_text_is_cut`
const MAX_SHOWN_CHARACTERS: usize = 2000;
/// Shortest run of characters that may be a key.
const KEY_CHARACTERS: usize = 20;
/// Length of an id.
const ID_CHARACTERS: usize = 28;
const MASK: &str = "[hidden]";

/// Renders a text as one redacted line.
pub(crate) fn line(text: &str) -> String {
    let cut = match text.char_indices().nth(MAX_SHOWN_CHARACTERS) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    };
    let mut shown = String::with_capacity(cut.len());
    let text = visible(cut);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let run = rest.find(|c| !in_key(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        shown.push_str(&masked(word));
        let gap = after.find(in_key).unwrap_or(after.len());
        let (between, after) = after.split_at(gap);
        shown.push_str(between);
        rest = after;
    }
    if cut.len() < text.len() && text.chars().count() > MAX_SHOWN_CHARACTERS {
        shown.push('…');
    }
    shown
}

fn in_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/_=.~-".contains(c)
}

/// Returns the word, or a mask. Ids in the path of a URL are ignored, since an id beside other
/// words only looks like a key.
fn masked(word: &str) -> String {
    let Some(address) = word.strip_prefix("//") else {
        return if is_key(word) { MASK } else { word }.to_owned();
    };
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let is_id = |piece: &str| {
        piece.len() == ID_CHARACTERS && !piece.contains(|c: char| c.is_ascii_lowercase())
    };
    let pieces = path.split('/');
    let words: Vec<&str> = pieces.filter(|piece| !is_id(piece)).collect();
    if is_key(host) || is_key(&words.join("/")) {
        return format!("//{MASK}");
    }
    word.to_owned()
}

/// True if a word may be a key. Keys in Base64 mix upper case, lower case and digits; ids lack
/// lower case, and digests lack upper case.
fn is_key(word: &str) -> bool {
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    word.len() >= KEY_CHARACTERS
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_brokers_are_not_redacted() {
        for said in [
            "denied by charter ticket-router (plans.required, line 28): an apply needs a plan [D-0123456789ABCDEFGHJKMNPQRS]",
            "approval A-0123456789ABCDEFGHJKMNPQRS of plan P-0123456789ABCDEFGHJKMNPQRS is needed first: 0 of 2 approvals given",
            "read https://lanyard.acme.example/approvals/A-0123456789ABCDEFGHJKMNPQRS",
            "the digest is sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "expires 2026-11-22T03:50:00Z",
        ] {
            assert_eq!(line(said), said);
        }
    }

    // T50, T53
    #[test]
    fn t53_text_that_looks_like_a_key_is_masked() {
        for key in [
            "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZ2VudDpyb3V0ZXIifQ.c2lnbmF0dXJlMDAx",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
        ] {
            for said in [
                format!("the provider said: {key}"),
                format!("token={key}, sorry"),
                format!("https://evil.example/{key}"),
                format!("\"{key}\""),
            ] {
                let shown = line(&said);
                assert!(
                    !shown.contains(key) && shown.contains(MASK),
                    "{said}: {shown}"
                );
            }
        }
    }

    // T21, T78
    #[test]
    fn control_characters_are_escaped_and_text_is_cut() {
        let shown = line("one\ntwo \u{1b}[2J \u{202e}");
        assert!(
            !shown.contains(['\n', '\u{1b}', '\u{202e}']) && shown.starts_with("one"),
            "{shown}"
        );
        assert!(line(&"word ".repeat(100_000)).chars().count() <= MAX_SHOWN_CHARACTERS + 1);
    }
}
