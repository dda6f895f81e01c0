//! Secrets are masked wherever a plan repeats them, and not only where a mark says so.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::tree::Tree;

/// What is shown instead of a sensitive value.
pub(crate) const SENSITIVE: &str = "(sensitive)";
/// A shorter secret is looked for as a whole value only: three digits stand in every port.
const MIN_PART_BYTES: usize = 8;
/// A shorter secret is masked at its own place only.
const MIN_WHOLE_BYTES: usize = 6;
/// How many secrets are looked for within other texts.
const FOLLOWED_SECRETS: usize = 10_000;
/// How much text they may have together, which bounds the automaton.
const FOLLOWED_SECRETS_BYTES: usize = 512 * 1024;

/// The texts of all sensitive values of a plan.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    whole: BTreeSet<String>,
    parts: Option<AhoCorasick>,
    /// The shortest secret that is not looked for within other texts: a text as long could repeat it, so none of it is shown.
    unfollowed_bytes: Option<usize>,
}

impl Secrets {
    /// What is hidden in these trees, in clear and in Base64.
    pub(crate) fn of<'a>(trees: impl IntoIterator<Item = &'a Tree>) -> Self {
        let mut values = Vec::new();
        for tree in trees {
            tree.hidden_values(&mut values);
        }
        let mut whole = BTreeSet::new();
        for value in &values {
            texts(value, &mut whole);
        }
        let mut sought: Vec<&String> = whole
            .iter()
            .filter(|text| text.len() >= MIN_PART_BYTES)
            .collect();
        // The shortest first: a text that is shorter than all that are left over repeats none of those.
        sought.sort_by_key(|text| text.len());
        let mut bytes = 0;
        let followed = sought
            .iter()
            .take(FOLLOWED_SECRETS)
            .take_while(|text| {
                bytes += text.len();
                bytes <= FOLLOWED_SECRETS_BYTES
            })
            .count();
        let mut unfollowed_bytes = sought.get(followed).map(|text| text.len());
        let mut parts = None;
        if followed > 0 {
            match AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(sought.iter().take(followed))
            {
                Ok(built) => parts = Some(built),
                Err(_) => unfollowed_bytes = Some(MIN_PART_BYTES),
            }
        }
        Self {
            whole,
            parts,
            unfollowed_bytes,
        }
    }

    /// Whether the text is a secret.
    pub(crate) fn is_one(&self, text: &str) -> bool {
        self.whole.contains(text)
    }

    /// The text without the secrets in it; nothing where there are none.
    pub(crate) fn masked(&self, text: &str) -> Option<String> {
        if self
            .unfollowed_bytes
            .is_some_and(|least| text.len() >= least)
        {
            return Some(SENSITIVE.to_owned());
        }
        let parts = self.parts.as_ref()?;
        parts.is_match(text).then(|| {
            let mut masked = String::new();
            parts.replace_all_with(text, &mut masked, |_, _, masked| {
                masked.push_str(SENSITIVE);
                true
            });
            masked
        })
    }
}

fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            note(text, found);
            note(&STANDARD.encode(text), found);
            let decoded = STANDARD.decode(text).ok();
            if let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
                note(&text, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.values().for_each(|inner| texts(inner, found)),
    }
}

fn note(text: &str, found: &mut BTreeSet<String>) {
    // What a shell or an editor added at the end is no part of the secret.
    for text in [text, text.trim()] {
        if text.len() >= MIN_WHOLE_BYTES {
            found.insert(text.to_owned());
        }
    }
}
