//! Masking of secrets wherever a plan repeats them, not only where a mark says so.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::masks::{SENSITIVE, SENSITIVE_KEY, is_masked_key};
use crate::tree::Tree;
use crate::{numbers, scalars};

/// Shortest secret, in bytes, that is masked inside other texts. Three digits occur in every port.
const MIN_PART_BYTES: usize = 8;
/// Shortest secret, in bytes, that is masked as a whole value elsewhere. Shorter ones are masked at
/// their own place only.
const MIN_WHOLE_BYTES: usize = 6;
/// Shortest line of a secret, in bytes, that is masked by itself if it has no space: a key that is
/// indented elsewhere.
const MIN_LINE_BYTES: usize = 24;
/// Bytes of a longer secret that are searched for. A text that contains them is hidden as a whole.
const SOUGHT_BYTES: usize = 512;
/// Bytes of a secret that are encoded in other notations: more than is searched for of any of them.
const WRITTEN_BYTES: usize = 8 * SOUGHT_BYTES;
/// Bytes of all secrets that are encoded in other notations. Far fewer are searched for.
const WRITTEN_BYTES_IN_ALL: usize = 8 * SOUGHT_BYTES_IN_ALL;
/// Number of texts that are searched for inside other texts.
const SOUGHT_TEXTS: usize = 40_000;
/// Total length of the searched texts, which bounds the memory of the automaton.
const SOUGHT_BYTES_IN_ALL: usize = 1024 * 1024;

/// The texts of all sensitive values of a plan, for masking.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    whole: BTreeSet<String>,
    parts: Option<AhoCorasick>,
    /// True for each pattern of the automaton that is the beginning of a longer text.
    is_begin: Vec<bool>,
    /// Length of the shortest text that did not fit the automaton. A text of that length could
    /// contain it, so none of it is shown.
    unfollowed_bytes: Option<usize>,
    /// Replacements of keys that repeat a secret.
    keys: BTreeMap<String, String>,
}

/// A value without secrets. Only [`Secrets::mask`] makes one, and views accept nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Masked(Tree);

impl Masked {
    pub(crate) const NOTHING: &'static Self = &Self(Tree::Null);

    pub(crate) const fn tree(&self) -> &Tree {
        &self.0
    }
}

impl Secrets {
    /// Collects the masked values of these trees, as they are and in the notations in which plans
    /// repeat them.
    pub(crate) fn of<'a>(trees: impl IntoIterator<Item = &'a Tree>) -> Self {
        let trees: Vec<&Tree> = trees.into_iter().collect();
        let mut values = Vec::new();
        for tree in &trees {
            tree.hidden_values(&mut values);
        }
        let mut secrets = Self::of_values(&values);
        let mut keys = BTreeSet::new();
        for tree in trees {
            tree.keys(&mut |key| {
                // A key that looks like a masked one is masked too, so that no two keys are shown
                // alike.
                if is_masked_key(key) || secrets.repeats(key) {
                    keys.insert(key);
                }
            });
        }
        let numbered = (1_usize..).zip(keys);
        secrets.keys = numbered
            .map(|(number, key)| (key.to_owned(), format!("{SENSITIVE_KEY} {number})")))
            .collect();
        secrets
    }

    /// Collects the texts in these values.
    pub(crate) fn of_values(values: &[Value]) -> Self {
        let mut found = Forms::default();
        for value in values {
            found.value(value);
        }
        let Forms {
            whole,
            parts,
            written: _,
            is_cut,
        } = found;
        let whole_parts = whole.iter().filter(|text| text.len() >= MIN_PART_BYTES);
        let all: BTreeSet<(&str, bool)> = whole_parts
            .chain(&parts)
            .map(
                |text| match text.get(..text.floor_char_boundary(SOUGHT_BYTES)) {
                    Some(begin) if begin.len() < text.len() => (begin, true),
                    _ => (text.as_str(), false),
                },
            )
            .collect();
        // The shortest come first: then a text that is shorter than every dropped secret can
        // contain none of them.
        let mut sought: Vec<(&str, bool)> = all.into_iter().collect();
        sought.sort_by_key(|(text, _)| text.len());
        let mut bytes = 0;
        let followed = sought
            .iter()
            .take(SOUGHT_TEXTS)
            .take_while(|(text, _)| {
                bytes += text.len();
                bytes <= SOUGHT_BYTES_IN_ALL
            })
            .count();
        let mut unfollowed_bytes = sought.get(followed).map(|(text, _)| text.len());
        if is_cut {
            unfollowed_bytes = Some(MIN_PART_BYTES);
        }
        let mut automaton = None;
        sought.truncate(followed);
        if followed > 0 {
            match AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                // A full transition table would take hundreds of megabytes for a few long secrets.
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(sought.iter().map(|(text, _)| text))
            {
                Ok(built) => automaton = Some(built),
                Err(_) => unfollowed_bytes = Some(MIN_PART_BYTES),
            }
        }
        Self {
            is_begin: sought.iter().map(|(_, is_begin)| *is_begin).collect(),
            whole,
            parts: automaton,
            unfollowed_bytes,
            keys: BTreeMap::new(),
        }
    }

    /// Masks the secrets in a value.
    pub(crate) fn mask(&self, mut tree: Tree) -> Masked {
        self.mask_in(&mut tree);
        Masked(tree)
    }

    fn mask_in(&self, tree: &mut Tree) {
        match tree {
            Tree::Null | Tree::Unknown | Tree::Hidden(_) => {}
            Tree::Plain(text) | Tree::Text(text) => {
                if self.is_one(&text.raw) {
                    tree.hide_leaves();
                } else {
                    text.masked = self.masked(&text.raw);
                }
            }
            Tree::Document { text, root, .. } => {
                text.masked = self.masked(&text.raw);
                self.mask_in(root);
            }
            Tree::Map(map) => {
                let raw = std::mem::take(map);
                for (key, mut inner) in raw {
                    self.mask_in(&mut inner);
                    map.insert(self.key(&key).into_owned(), inner);
                }
            }
            Tree::List(items) => items.iter_mut().for_each(|inner| self.mask_in(inner)),
        }
    }

    /// True if the whole text is a secret.
    pub(crate) fn is_one(&self, text: &str) -> bool {
        self.whole.contains(text)
    }

    fn repeats(&self, text: &str) -> bool {
        self.is_one(text) || self.masked(text).is_some()
    }

    /// Replaces the secrets in a text. `None` if there are none.
    pub(crate) fn masked(&self, text: &str) -> Option<String> {
        if self
            .unfollowed_bytes
            .is_some_and(|least| text.len() >= least)
        {
            return Some(SENSITIVE.to_owned());
        }
        let parts = self.parts.as_ref()?;
        let mut masked = String::new();
        let mut rest = 0;
        for found in parts.find_iter(text) {
            if self.is_begin.get(found.pattern().as_usize()) == Some(&true) {
                return Some(SENSITIVE.to_owned());
            }
            masked.push_str(text.get(rest..found.start()).unwrap_or_default());
            masked.push_str(SENSITIVE);
            rest = found.end();
        }
        if rest == 0 {
            return None;
        }
        masked.push_str(text.get(rest..).unwrap_or_default());
        Some(masked)
    }

    /// Masks a name: an address, in which instance keys stand in quotes, or a sentence.
    pub(crate) fn name<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.whole.is_empty() {
            return Cow::Borrowed(text);
        }
        if self.is_one(text) {
            return Cow::Borrowed(SENSITIVE);
        }
        let masked = self.masked(text).map_or(Cow::Borrowed(text), Cow::Owned);
        // A short secret is only matched as a whole, and an instance key is a whole.
        let is_key = |key: &str| {
            let raw: Option<String> = serde_json::from_str(&format!("\"{key}\"")).ok();
            raw.is_some_and(|raw| self.is_one(&raw))
        };
        if !masked.split('"').any(is_key) {
            return masked;
        }
        let each = masked
            .split('"')
            .map(|part| if is_key(part) { SENSITIVE } else { part });
        Cow::Owned(each.collect::<Vec<_>>().join("\""))
    }

    /// Returns the key of a map as it is shown.
    pub(crate) fn key<'a>(&self, key: &'a str) -> Cow<'a, str> {
        match self.keys.get(key) {
            Some(shown) => Cow::Owned(shown.clone()),
            None => Cow::Borrowed(key),
        }
    }
}

/// The texts under which secrets may be repeated.
#[derive(Default)]
struct Forms {
    /// Texts that equal a secret.
    whole: BTreeSet<String>,
    /// Texts that occur only inside others.
    parts: BTreeSet<String>,
    /// Bytes of the texts that were encoded for `parts`.
    written: usize,
    /// True if there were too many secrets to encode them all.
    is_cut: bool,
}

impl Forms {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.note(&number.to_string()),
            Value::String(text) => {
                self.text(text);
                if let Some(digits) = numbers::digits(text) {
                    self.text(digits);
                }
                let decoded = STANDARD.decode(text).ok();
                if let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    self.text(&text);
                }
                // A YAML reader may write the same number differently in JSON.
                if let Ok(Value::Number(number)) = scalars::plain(text.trim()) {
                    self.note(&number.to_string());
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(map) => map.values().for_each(|inner| self.value(inner)),
        }
    }

    fn text(&mut self, text: &str) {
        self.note(text);
        self.note(&STANDARD.encode(text));
        // A shell or an editor may have added white space at the end, which is not part of the
        // secret.
        let text = text.trim();
        if text.len() < MIN_PART_BYTES {
            return;
        }
        self.is_cut |= self.written > WRITTEN_BYTES_IN_ALL;
        if self.is_cut {
            return;
        }
        for line in text.lines().map(str::trim) {
            if line.len() >= MIN_LINE_BYTES && !line.contains(char::is_whitespace) {
                self.part(line);
            }
        }
        // Only the beginning of a long form is searched for, so the rest need not be encoded.
        let end = text.floor_char_boundary(WRITTEN_BYTES);
        let text = text.get(..end).unwrap_or(text);
        self.encoded(text);
        // Each form is encoded once more, since a text with a secret may be embedded in another
        // text.
        for form in [in_json(text), in_go(text)] {
            self.part(&form);
            self.part(&in_json(&form));
        }
        let percent = percent_encoded(text);
        for form in [
            percent.replace("%20", "+"),
            lower_escapes(&percent),
            percent,
            in_xml(text, "&#39;", "&#34;"),
            in_xml(text, "&apos;", "&quot;"),
            in_xml(text, "'", "\""),
            in_hex(text),
            in_hex(text).to_ascii_uppercase(),
            text.replace('\'', "''"),
            text.replace('\'', "'\\''"),
        ] {
            self.part(&form);
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        if lines.len() > 1 {
            // The lines may be joined by other line breaks, or by none.
            for between in ["\n", "\r\n", " ", "", "\\n", "\\r\\n", "\\\\n"] {
                let joined = lines.join(between);
                self.part(joined.trim_end_matches('\\'));
                self.encoded(&joined);
                self.encoded(&format!("{joined}{between}"));
            }
        }
    }

    /// Adds the Base64 of a text at each of the three alignments, as its neighbours in the encoded
    /// data are unknown.
    fn encoded(&mut self, text: &str) {
        for before in [&b""[..], b"\0", b"\0\0"] {
            self.base64(before, text);
        }
    }

    /// Adds the Base64 characters that depend on the secret alone, for a secret after
    /// `before.len()` bytes (modulo 3). Three bytes become four characters; those at the edges also
    /// depend on the neighbours.
    fn base64(&mut self, before: &[u8], text: &str) {
        let bytes = [before, text.as_bytes()].concat();
        let first = (before.len() * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        for encoded in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            if let Some(stem) = encoded.get(first..end) {
                self.part(stem);
            }
        }
    }

    fn part(&mut self, text: &str) {
        self.written = self.written.saturating_add(text.len());
        if text.len() >= MIN_PART_BYTES {
            self.parts.insert(text.to_owned());
        }
    }

    fn note(&mut self, text: &str) {
        for text in [text, text.trim()] {
            if text.len() >= MIN_WHOLE_BYTES {
                self.whole.insert(text.to_owned());
            }
        }
    }
}

/// Escapes a text as in a JSON string.
fn in_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(&quoted).to_owned()
}

/// Escapes a text as Go, and so Terraform, does in JSON.
fn in_go(text: &str) -> String {
    let mut written = in_json(text);
    for (sign, escape) in [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")] {
        written = written.replace(sign, escape);
    }
    written
}

fn in_xml(text: &str, apostrophe: &str, quote: &str) -> String {
    let written = text.replace('&', "&amp;").replace('<', "&lt;");
    let written = written.replace('>', "&gt;").replace('\'', apostrophe);
    written.replace('"', quote)
}

fn in_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Turns escapes such as `%2F` into `%2f`, which some encoders write.
fn lower_escapes(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut written, part| {
        let (escape, rest) = part.split_at(part.len().min(2));
        written.push('%');
        written.push_str(&escape.to_ascii_lowercase());
        written.push_str(rest);
        written
    })
}

/// Percent-encodes a text as in the URL of a database (RFC 3986, section 2.1).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
