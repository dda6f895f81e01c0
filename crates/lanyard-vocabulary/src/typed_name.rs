//! Agents as people name them: by the end of a subject, in any case of letters.
//!
//! A name that a person types means every identity whose subject is the name, or ends with the name behind a `:` or a `/`, and
//! the identity that is written like the name as a whole. Several identities may be meant. What nobody sees on a screen decides
//! nothing: white space, letters without width, a separator at the end. Letters are compared one by one from the end, so that an
//! index over reversed subjects finds what is meant without a look at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::agent::AgentName;
use crate::identity::Identity;

/// What the parts of a subject are separated by.
const SEPARATORS: [char; 2] = [':', '/'];

/// True if a screen shows the letter.
fn is_seen(letter: char) -> bool {
    let is_format = matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !is_format && !letter.is_whitespace() && !letter.is_control()
}

/// The letters of a text from its end, small. Each letter by itself: where a text is cut changes no letter.
fn letters(text: &str) -> impl Iterator<Item = char> {
    let seen = text.chars().rev().filter(|letter| is_seen(*letter));
    seen.flat_map(|letter| letter.to_lowercase().rev())
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

/// What a typed text can stand for: itself, and what it is printed for (`\u{200b}`, `\\`), since people copy what they read.
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
            let mut letters = reversed(&name).peekable();
            if letters.peek().is_none() {
                return false;
            }
            let is_end = letters.all(|letter| subject.next() == Some(letter))
                && subject
                    .next()
                    .is_none_or(|before| SEPARATORS.contains(&before));
            is_end || name.contains('#') && reversed_whole(identity).eq(reversed(&name))
        })
    }

    /// True if the names differ in case, white space and invisible letters alone.
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
    /// Where the names end: before each separator of the subject, at the end of the subject, and at the end.
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
    /// How often each was counted in, by its reversed subject.
    found: BTreeMap<Place, usize>,
}

/// A reversed subject, and whose it is.
type Place = (String, Identity);

fn place(identity: &Identity) -> Place {
    (reversed(&identity.subject).collect(), identity.clone())
}

/// Before every identity of this reversed subject.
const fn start(subject: String) -> Place {
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

    /// The identities that this name can mean, each once. Costs what is found, and not what there is.
    pub fn meant<'a>(&'a self, name: &'a AgentName) -> impl Iterator<Item = &'a Identity> {
        // Stretches of the index: a whole subject, or what goes on behind a separator.
        let mut stretches = Vec::new();
        for key in keys(name) {
            stretches.extend(SEPARATORS.map(|next| (format!("{key}{next}"), false)));
            stretches.push((key, true));
        }
        for written in readings(&name.0) {
            let subjects = written.match_indices('#');
            let subjects = subjects.filter_map(|(at, _)| written.get(at + 1..));
            stretches.extend(subjects.map(|subject| (reversed(subject).collect(), true)));
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
        "[aAb:/# Σς\\u{200b}]{0,8}"
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
