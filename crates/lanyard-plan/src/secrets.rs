//! Secrets are masked wherever a plan repeats them, and not only where a mark says so.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;
use serde_json::Value;

use crate::tree::Tree;
use crate::{numbers, scalars};

/// What is shown instead of a sensitive value.
pub(crate) const SENSITIVE: &str = "(sensitive)";
/// The begin of what is shown instead of a key that repeats a secret; a number follows, so that two keys stay two.
const SENSITIVE_KEY: &str = "(sensitive key";
/// A shorter secret is looked for as a whole value only: three digits stand in every port.
const MIN_PART_BYTES: usize = 8;
/// A shorter secret is masked at its own place only.
const MIN_WHOLE_BYTES: usize = 6;
/// A line of a secret that is as long, and has no space, is looked for by itself: a key that stands indented elsewhere.
const MIN_LINE_BYTES: usize = 24;
/// Of a longer text only the begin is looked for, and a text that holds the begin is hidden whole.
const SOUGHT_BYTES: usize = 512;
/// How much of a secret is written in the forms of other writers: more than is looked for of any of them.
const WRITTEN_BYTES: usize = 8 * SOUGHT_BYTES;
/// How much is written of all secrets in the forms of other writers. Far less of it is looked for.
const WRITTEN_BYTES_IN_ALL: usize = 8 * SOUGHT_BYTES_IN_ALL;
/// How many texts are looked for within other texts.
const SOUGHT_TEXTS: usize = 40_000;
/// How much text they may have together, which bounds the automaton.
const SOUGHT_BYTES_IN_ALL: usize = 1024 * 1024;

/// The texts of all sensitive values of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    whole: BTreeSet<String>,
    parts: Option<AhoCorasick>,
    /// By its place in the automaton: whether a text is the begin of a longer one.
    is_begin: Vec<bool>,
    /// The shortest text that is not looked for within other texts: a text as long could repeat it, so none of it is shown.
    unfollowed_bytes: Option<usize>,
    /// How keys that repeat a secret are shown.
    keys: BTreeMap<String, String>,
}

/// A value that repeats no secret. Only [`Secrets::mask`] makes one, and nothing else is shown.
#[derive(Debug, Clone)]
pub(crate) struct Masked(Tree);

impl Masked {
    pub(crate) const NOTHING: &'static Self = &Self(Tree::Null);

    pub(crate) const fn tree(&self) -> &Tree {
        &self.0
    }
}

impl Secrets {
    /// What is hidden in these trees, as it is and in the forms that it is repeated in.
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
                // A key that is called as a masked one is masked too, so that no two are shown alike.
                if Self::is_masked_key(key) || secrets.repeats(key) {
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

    /// The texts in these values.
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
        // The shortest first: a text that is shorter than all that are left over repeats none of those.
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
                // A table for every byte in every state would take hundreds of megabytes for a few long secrets.
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

    /// The value without secrets.
    pub(crate) fn mask(&self, mut tree: Tree) -> Masked {
        tree.mask(self);
        Masked(tree)
    }

    /// Whether the text is a secret.
    pub(crate) fn is_one(&self, text: &str) -> bool {
        self.whole.contains(text)
    }

    fn repeats(&self, text: &str) -> bool {
        self.is_one(text) || self.masked(text).is_some()
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

    /// A name as it is shown: an address, in which the keys of instances stand in quotes, or a sentence.
    pub(crate) fn name<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.whole.is_empty() {
            return Cow::Borrowed(text);
        }
        if self.is_one(text) {
            return Cow::Borrowed(SENSITIVE);
        }
        let masked = self.masked(text).map_or(Cow::Borrowed(text), Cow::Owned);
        // Of a short secret only the whole is looked for, and the key of an instance is a whole.
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

    /// The key of a map as it is shown.
    pub(crate) fn key<'a>(&self, key: &'a str) -> Cow<'a, str> {
        match self.keys.get(key) {
            Some(shown) => Cow::Owned(shown.clone()),
            None => Cow::Borrowed(key),
        }
    }

    pub(crate) fn is_masked_key(key: &str) -> bool {
        key.starts_with(SENSITIVE_KEY)
    }
}

/// What secrets are repeated as.
#[derive(Default)]
struct Forms {
    /// Texts that are a secret.
    whole: BTreeSet<String>,
    /// Texts that stand only within others.
    parts: BTreeSet<String>,
    /// The bytes of texts that were written for `parts`.
    written: usize,
    /// Whether there were too many secrets to write each as others do.
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
                // The same number, as a reader of YAML writes it in JSON.
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
        // What a shell or an editor added at the end is no part of the secret.
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
        // Of a long form only the begin is looked for, so no more of the text is written in other forms.
        let end = text.floor_char_boundary(WRITTEN_BYTES);
        let text = text.get(..end).unwrap_or(text);
        self.encoded(text);
        // As other writers have it: each within the next, since a text with a secret may stand in another one.
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
            // With other ends of its lines, or with none.
            for between in ["\n", "\r\n", " ", "", "\\n", "\\r\\n", "\\\\n"] {
                let joined = lines.join(between);
                self.part(joined.trim_end_matches('\\'));
                self.encoded(&joined);
                self.encoded(&format!("{joined}{between}"));
            }
        }
    }

    /// The whole in Base64, as what is beside the text is not known but for its start.
    fn encoded(&mut self, text: &str) {
        for before in [&b""[..], b"\0", b"\0\0"] {
            self.base64(before, text);
        }
    }

    /// What stands in Base64 of whatever has so many bytes, or three more, and so on, before the secret: every three bytes are four
    /// characters, and those at the edges depend on what is beside the secret.
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

/// As JSON has it.
fn in_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(&quoted).to_owned()
}

/// As Go writes JSON, and Terraform with it.
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

/// `%2f` where others write `%2F`.
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

/// As in the address of a database (RFC 3986, section 2.1).
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

/// Whether a text that nobody can read as a document may be, or may hold, an object of the kind Secret.
pub(crate) fn speaks_of_a_secret(text: &str) -> bool {
    static KIND: LazyLock<Option<Regex>> = LazyLock::new(|| {
        // With quotes, escaped or not, with a tag or an anchor before the word, and as HCL writes it.
        Regex::new(
            r#"(?-u:\b)kind\\*["']?\s*[:=]\s*(?:[&!]\S*\s+)*\\*["']?Secret(?:List)?(?-u:\b)"#,
        )
        .ok()
    });
    // The expression is a constant; if it did not compile, nothing would be shown.
    text.contains("Secret") && KIND.as_ref().is_none_or(|kind| kind.is_match(text))
}
