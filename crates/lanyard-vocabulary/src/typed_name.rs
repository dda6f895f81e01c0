//! Agents as people name them: by the end of a subject, in any case of letters.
//!
//! A name that a person types means every identity whose subject is the name, or ends with the name
//! behind a `:` or a `/`, and the identity that is written like the name as a whole. Several
//! identities may be meant. What nobody sees on a screen decides nothing: white space, letters
//! without width, a separator at the end, and the script of a letter that looks like a Latin one
//! (Cyrillic `о` for `o`). Letters are compared one by one from the end, so that an index over
//! reversed subjects finds what is meant without a look at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use icu_normalizer::DecomposingNormalizerBorrowed;
use unicode_security::confusable_detection::skeleton;

use crate::agent::AgentName;
use crate::identity::Identity;

/// The characters that separate the parts of a subject.
const SEPARATORS: [char; 2] = [':', '/'];

/// True if a screen shows the letter.
fn is_seen(letter: char) -> bool {
    let is_format = matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !is_format && !letter.is_whitespace() && !letter.is_control()
}

/// The letters of a text from its end, small, as a reader sees them. Each letter by itself: where a
/// text is cut changes no letter.
fn letters(text: &str) -> impl Iterator<Item = char> {
    let folded = text.chars().rev().flat_map(folded);
    folded.filter(|letter| is_seen(*letter))
}

/// A letter as a reader sees it, from its end: ASCII stays ASCII, since `l` and `1` differ for
/// whoever types them, and a letter of another script that looks like ASCII is that.
fn folded(letter: char) -> impl Iterator<Item = char> {
    // Nearly every letter of a name is ASCII, and allocates nothing.
    let (plain, others) = match letter.is_ascii() {
        true => (Some(letter.to_ascii_lowercase()), Vec::new()),
        false => (None, look_alike(letter)),
    };
    plain.into_iter().chain(others.into_iter().rev())
}

/// Returns what a letter beyond ASCII is compared as: the letters that it is made of (compatibility
/// decomposition), each as the ASCII that it looks like (Unicode TS 39, section 4), if it looks
/// like any.
fn look_alike(letter: char) -> Vec<char> {
    let parts = DecomposingNormalizerBorrowed::new_nfkd();
    let parts = parts.normalize_iter(std::iter::once(letter));
    parts.flat_map(as_ascii).collect()
}

fn as_ascii(letter: char) -> Vec<char> {
    let small: Vec<char> = letter.to_lowercase().collect();
    // The small letter first: a capital `I` of any script looks like `l`, and is not meant so.
    for shown in [small.as_slice(), &[letter]] {
        let shown: String = shown.iter().collect();
        let skeleton: Vec<char> = skeleton(&shown).flat_map(char::to_lowercase).collect();
        if skeleton.iter().all(char::is_ascii) && !skeleton.is_empty() {
            return skeleton;
        }
    }
    small
}

/// The same without the separators at the end.
fn reversed(text: &str) -> impl Iterator<Item = char> {
    letters(text).skip_while(|letter| SEPARATORS.contains(letter))
}

/// The same of an identity as it is written, `issuer#subject`.
fn reversed_whole(identity: &Identity) -> impl Iterator<Item = char> {
    let subject = reversed(&identity.subject);
    subject.chain(['#']).chain(letters(&identity.issuer))
}

/// Returns what a typed text can stand for: itself, and what it is printed for (`\u{200b}`, `\\`),
/// since people copy what they read.
fn readings(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let printed = text.contains('\\').then(|| Cow::Owned(unescaped(text)));
    std::iter::once(Cow::Borrowed(text)).chain(printed)
}

/// A text that was printed with [`str::escape_debug`]. What is no escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let (letter, after) = escaped_letter(escape).unwrap_or(('\\', escape));
        out.push(letter);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn escaped_letter(escape: &str) -> Option<(char, &str)> {
    if let Some(digits) = escape.strip_prefix("u{") {
        let (digits, after) = digits.split_once('}')?;
        let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        return Some((letter, after));
    }
    let mut letters = escape.chars();
    let letter = match letters.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        same @ ('\\' | '"' | '\'') => same,
        _ => return None,
    };
    Some((letter, letters.as_str()))
}

impl AgentName {
    /// True if a person who types this name can mean the identity.
    #[must_use]
    pub fn can_mean(&self, identity: &Identity) -> bool {
        readings(&self.0).any(|name| {
            let mut subject = reversed(&identity.subject);
            let mut typed = reversed(&name).peekable();
            if typed.peek().is_none() {
                return false;
            }
            let is_end = typed.all(|letter| subject.next() == Some(letter))
                && subject
                    .next()
                    .is_none_or(|before| SEPARATORS.contains(&before));
            let is_whole = || letters(&name).any(|letter| letter == '#');
            is_end || is_whole() && reversed_whole(identity).eq(reversed(&name))
        })
    }

    /// True if the names look the same, but for case and white space.
    #[must_use]
    pub fn is_spelled_like(&self, other: &Self) -> bool {
        letters(&self.0).eq(letters(&other.0))
    }

    /// True if some identity can be meant by both names: one of them is an end of the other.
    #[must_use]
    pub fn can_mean_one_with(&self, other: &Self) -> bool {
        let as_subject = |name: &Self| Identity {
            issuer: String::new(),
            subject: name.0.clone(),
        };
        self.can_mean(&as_subject(other)) || other.can_mean(&as_subject(self))
    }

    /// The identity that this name is the written form of.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let (issuer, subject) = self.0.split_once('#')?;
        Some(Identity {
            issuer: unescaped(issuer),
            subject: unescaped(subject),
        })
    }
}

/// The keys under which a typed name is looked for among the [`Ends`] of an identity.
#[must_use]
pub fn keys(name: &AgentName) -> BTreeSet<String> {
    let keys = readings(&name.0).map(|name| reversed(&name).collect::<String>());
    keys.filter(|key| !key.is_empty()).collect()
}

/// An identity as one text, of which every name that can mean the identity is a beginning.
#[derive(Debug)]
pub struct Ends {
    whole: String,
    /// The positions at which the names end: before each separator of the subject, at the end of
    /// the subject, and at the end.
    at: Vec<usize>,
}

impl Ends {
    /// The beginnings of this identity.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        let mut whole: String = reversed(&identity.subject).collect();
        let separators = whole.match_indices(SEPARATORS);
        let mut at: Vec<usize> = separators.map(|(place, _)| place).collect();
        at.push(whole.len());
        at.retain(|place| *place > 0);
        whole.extend(std::iter::once('#').chain(letters(&identity.issuer)));
        at.push(whole.len());
        Self { whole, at }
    }

    /// The keys of the names that can mean the identity.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.at.iter().filter_map(|place| self.whole.get(..*place))
    }
}

/// Identities, found by the names that people type.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// The number of times that each was counted in, by its reversed subject.
    found: BTreeMap<ReversedSubject, usize>,
}

/// A reversed subject, and whose it is.
type ReversedSubject = (String, Identity);

fn place(identity: &Identity) -> ReversedSubject {
    (reversed(&identity.subject).collect(), identity.clone())
}

/// Before every identity of this reversed subject.
const fn start(subject: String) -> ReversedSubject {
    let least = Identity {
        issuer: String::new(),
        subject: String::new(),
    };
    (subject, least)
}

impl Identities {
    /// Counts an identity in.
    pub fn insert(&mut self, identity: &Identity) {
        *self.found.entry(place(identity)).or_default() += 1;
    }

    /// Counts an identity out, which leaves when it was counted out as often as in.
    pub fn remove(&mut self, identity: &Identity) {
        let place = place(identity);
        if let Some(count) = self.found.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.found.remove(&place);
            }
        }
    }

    /// True if the index holds this identity.
    #[must_use]
    pub fn contains(&self, identity: &Identity) -> bool {
        self.found.contains_key(&place(identity))
    }

    /// The identities behind this one, in the order of the index.
    pub fn after(&self, after: Option<&Identity>) -> impl Iterator<Item = &Identity> {
        let behind = after.map_or(Bound::Unbounded, |after| Bound::Excluded(place(after)));
        let found = self.found.range((behind, Bound::Unbounded));
        found.map(|((_, identity), _)| identity)
    }

    /// The identities that this name can mean, each once. Costs what is found, and not what there
    /// is.
    pub fn meant<'a>(&'a self, name: &'a AgentName) -> impl Iterator<Item = &'a Identity> {
        // Stretches of the index: a whole subject, or what goes on behind a separator.
        let mut stretches = Vec::new();
        for key in keys(name) {
            stretches.extend(SEPARATORS.map(|next| (format!("{key}{next}"), false)));
            stretches.push((key, true));
        }
        for whole in keys(name) {
            let subjects = whole.match_indices('#');
            let subjects = subjects.filter_map(|(at, _)| whole.get(..at));
            stretches.extend(subjects.map(|subject| (subject.to_owned(), true)));
        }
        let near = stretches.into_iter().flat_map(|(from, is_whole)| {
            let places = self.found.range(start(from.clone())..);
            let is_within = move |subject: &str| match is_whole {
                true => subject == from,
                false => subject.starts_with(&from),
            };
            let places = places.map(|(place, _)| place);
            places.take_while(move |(subject, _)| is_within(subject))
        });
        let mut seen = BTreeSet::new();
        let meant = near.map(|(_, identity)| identity);
        meant.filter(move |identity| name.can_mean(identity) && seen.insert(*identity))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(subject: &str) -> Identity {
        Identity {
            issuer: "https://Issuer.example/".to_owned(),
            subject: subject.to_owned(),
        }
    }

    fn name(text: &str) -> AgentName {
        AgentName(text.to_owned())
    }

    #[test]
    fn u01_a_name_means_what_ends_so_behind_a_separator_in_any_case() {
        let agent = of("ns:Team/Payments:Router");
        for text in [
            "router",
            "ROUTER",
            "payments:router",
            "Team/Payments:Router",
            "ns:team/payments:router",
            " router ",
            "rou\u{200b}ter",
            "router:",
            "https://issuer.example/#ns:team/payments:router",
        ] {
            assert!(name(text).can_mean(&agent), "{text}");
        }
        for text in [
            "",
            " ",
            ":",
            "outer",
            "payments",
            "ns",
            "team",
            "x:router",
            "https://issuer.example/",
            "https://issuer.example/#router",
            "#ns:team/payments:router",
        ] {
            assert!(!name(text).can_mean(&agent), "{text:?}");
        }
    }

    #[test]
    fn u01_what_no_screen_shows_keeps_no_agent_from_an_order() {
        for subject in [
            "evil:router ",
            "evil:router\u{200b}",
            "evil: router",
            "evil:\u{2060}router",
            "evil:router/",
            "evil:rou\u{ad}ter",
            "evil:router\n",
            "evil:router\u{a0}",
            "evil:\u{202e}router",
            "evil:router::",
        ] {
            assert!(name("router").can_mean(&of(subject)), "{subject:?}");
            // As a log or a screen prints the identity.
            let printed = of(subject).to_string();
            assert!(name(&printed).can_mean(&of(subject)), "{printed}");
        }
        // A Windows account is printed with two of them.
        let account = of("CORP\\svc-router");
        for text in ["corp\\svc-router", "corp\\\\svc-router"] {
            assert!(name(text).can_mean(&account), "{text}");
        }
    }

    #[test]
    fn u01_a_look_alike_in_another_script_keeps_no_agent_from_an_order() {
        for subject in [
            // Cyrillic, Greek, full width, mathematical, a ligature, other separators.
            "evil:r\u{43e}uter",
            "evil:\u{433}\u{43e}uter",
            "evil:r\u{3bf}uter",
            "evil:\u{ff52}\u{ff4f}\u{ff55}\u{ff54}\u{ff45}\u{ff52}",
            "evil:\u{1d42b}\u{1d428}\u{1d42e}\u{1d42d}\u{1d41e}\u{1d42b}",
            "evil:\u{1d411}OUTER",
            "evil:rout\u{435}r",
            "evil:ROUT\u{415}R",
            "evil\u{ff1a}router",
            "evil\u{2215}router",
        ] {
            assert!(name("router").can_mean(&of(subject)), "{subject:?}");
            let mut index = Identities::default();
            index.insert(&of(subject));
            assert_eq!(index.meant(&name("ROUTER")).count(), 1, "{subject:?}");
            // The other way round: whoever copies the look-alike stops what it looks like.
            let written = subject
                .rsplit([':', '\u{ff1a}', '\u{2215}'])
                .next()
                .unwrap();
            assert!(name(written).can_mean(&of("agent:router")), "{subject:?}");
        }
        for (typed, subject) in [
            ("file", "x:\u{fb01}le"),
            ("id", "x:\u{406}d"),
            ("r\u{e9}sum\u{e9}", "x:re\u{301}sume\u{301}"),
            ("https://issuer.example/#x:\u{430}", "x:a"),
        ] {
            assert!(name(typed).can_mean(&of(subject)), "{typed} {subject}");
        }
        // What is told apart by eye, and what nobody takes for a Latin letter.
        for (typed, subject) in [
            ("agent1", "x:agentl"),
            ("r0uter", "x:router"),
            ("resume", "x:r\u{e9}sum\u{e9}"),
            ("router", "x:\u{8def}\u{7531}"),
            ("am", "x:arn"),
        ] {
            assert!(!name(typed).can_mean(&of(subject)), "{typed} {subject}");
        }
    }

    #[test]
    fn u01_two_names_can_mean_one_agent_where_one_ends_with_the_other() {
        let pairs = [
            ("router", "agent:router", true),
            ("https://i#x:router", "ROUTER", true),
            ("router", "router", true),
            ("router", "agent", false),
            ("a:router", "b:router", false),
        ];
        for (one, other, expected) in pairs {
            assert_eq!(
                name(one).can_mean_one_with(&name(other)),
                expected,
                "{one} {other}"
            );
            assert_eq!(
                name(other).can_mean_one_with(&name(one)),
                expected,
                "{other} {one}"
            );
        }
    }

    /// Few letters, so that ends are shared.
    fn text() -> impl Strategy<Value = String> {
        "[aAbа：＃ﬁé:/# Σς\\u{200b}\\u{301}]{0,8}"
    }

    proptest! {
        /// The index and the keys of orders find what a look at every identity finds.
        #[test]
        fn u01_what_a_name_means_is_found_as_by_a_look_at_all(
            all in proptest::collection::vec((text(), text()), 0..12),
            gone in 0..6usize,
            typed in text(),
        ) {
            let all: Vec<Identity> = all.into_iter().map(|(issuer, subject)| Identity { issuer, subject }).collect();
            let typed = name(&typed);
            let mut index = Identities::default();
            all.iter().for_each(|identity| index.insert(identity));
            let (gone, left) = all.split_at(gone.min(all.len()));
            gone.iter().for_each(|identity| index.remove(identity));
            let left: BTreeSet<&Identity> = left.iter().collect();
            let meant = left.iter().copied().filter(|identity| typed.can_mean(identity));
            prop_assert_eq!(index.meant(&typed).collect::<BTreeSet<_>>(), meant.collect::<BTreeSet<_>>());
            prop_assert_eq!(index.after(None).collect::<BTreeSet<_>>(), left.clone());
            for identity in left {
                let ends = Ends::of(identity);
                let is_found = ends.keys().any(|key| keys(&typed).contains(key));
                prop_assert_eq!(is_found, typed.can_mean(identity), "{:?}", identity);
            }
        }
    }
}
