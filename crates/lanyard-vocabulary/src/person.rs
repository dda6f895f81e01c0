//! People, as issuers of operators vouch for them, and whether two accounts may be one person's.
//!
//! Two issuers know nothing of each other: the configuration says which of them draw on one
//! directory, and by which name. Where it says nothing, two accounts may be one person's, and do
//! not count as two people (S33). An issuer of a directory names its people: an account of which no
//! name is known may be anybody's of that directory. An issuer without a directory is believed to
//! give each person one account, for nothing else can be known of its people.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::name::Name;
use crate::text::is_hidden;

/// An account of a person. In the journal, an [`Identity`] with more fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// The issuer of the account.
    pub issuer: String,
    /// The subject at that issuer; `None` for a sponsor who is known by name alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The directory that the issuer draws on, by its name in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Name>,
    /// The person's name in the directory, or at the issuer if no directory is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The answer to the question if two accounts belong to one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    /// The accounts belong to one person.
    Same,
    /// The accounts belong to two people.
    Distinct,
    /// The configuration does not say.
    Unknown,
}

impl From<Identity> for Person {
    /// Makes an account of which only issuer and subject are known.
    fn from(identity: Identity) -> Self {
        Self {
            issuer: identity.issuer,
            subject: Some(identity.subject),
            directory: None,
            name: None,
        }
    }
}

impl Person {
    /// Compares two accounts of people.
    #[must_use]
    pub fn sameness(&self, other: &Self) -> Sameness {
        let same_issuer = self.issuer == other.issuer;
        let (known, directory) = match (&self.directory, &other.directory) {
            (Some(one), Some(two)) => (true, one == two),
            (None, None) | (Some(_), None) | (None, Some(_)) => (false, false),
        };
        if same_issuer && self.subject.is_some() && self.subject == other.subject {
            return Sameness::Same;
        }
        let names = self.name.as_ref().zip(other.name.as_ref());
        let names = names.map(|(one, two)| compared(one) == compared(two));
        let comparable = same_issuer || directory;
        // An issuer that names nobody says no more of its people than their subjects.
        let names_nobody = same_issuer
            && [self, other]
                .iter()
                .all(|it| it.directory.is_none() && it.name.is_none() && it.subject.is_some());
        match (comparable, names) {
            (true, Some(true)) => Sameness::Same,
            (true, Some(false)) => Sameness::Distinct,
            (true, None) if names_nobody => Sameness::Distinct,
            (true, None) => Sameness::Unknown,
            (false, _) if known => Sameness::Distinct,
            (false, _) => Sameness::Unknown,
        }
    }

    /// True if both accounts may belong to one person. Such accounts do not count as two people.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        self.sameness(other) != Sameness::Distinct
    }

    /// Explains why it is unknown whether two accounts belong to one person, and what an operator
    /// does about it.
    #[must_use]
    pub fn doubt(&self, other: &Self) -> String {
        if self.issuer == other.issuer
            || self.directory.is_some() && self.directory == other.directory
        {
            let nameless = [self, other].into_iter().find(|it| it.name.is_none());
            return format!(
                "no name in the directory is known of `{}`: the tokens of its issuer have to carry the `person_claim` of \
                 the configuration",
                nameless.unwrap_or(self)
            );
        }
        format!(
            "the configuration does not say whether people of `{}` are people of `{}`; give both issuers a `directory`",
            self.issuer.escape_debug(),
            other.issuer.escape_debug()
        )
    }
}

/// The form in which names are compared: NFKC and case-folded, without invisible characters. An
/// error in this direction takes two people for one, which only demands another person.
fn compared(name: &str) -> String {
    let normalizer = ComposingNormalizerBorrowed::new_nfkc();
    let seen: String = name.chars().filter(|c| !is_hidden(*c)).collect();
    // By way of the upper case, so that all forms of a letter become one: `ß` and `SS`, `ς` and
    // `σ`.
    let folded = normalizer.normalize(&seen).to_lowercase();
    let folded = folded.to_uppercase().to_lowercase();
    normalizer.normalize(&folded).into_owned()
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let called = self.subject.as_ref().or(self.name.as_ref());
        let called = called.map_or("", String::as_str);
        write!(
            f,
            "{}#{}",
            self.issuer.escape_debug(),
            called.escape_debug()
        )
    }
}

/// The person on whose behalf a workload acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sponsor {
    /// The issuer names nobody.
    #[default]
    Nobody,
    /// The issuer names this person.
    Person(Person),
    /// The issuer names somebody whom the configuration does not map to a person. Such a workload
    /// gets nothing (S1).
    Unmapped {
        /// The reason, in one sentence.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(issuer: &str, subject: &str, directory: Option<&str>, name: Option<&str>) -> Person {
        Person {
            issuer: issuer.to_owned(),
            subject: Some(subject.to_owned()),
            directory: directory.map(|name| name.parse().unwrap()),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn s33_two_accounts_are_two_people_only_where_that_is_known() {
        let cases = [
            (
                ("a", "1", None, None),
                ("a", "1", None, None),
                Sameness::Same,
            ),
            (
                ("a", "1", None, None),
                ("a", "2", None, None),
                Sameness::Distinct,
            ),
            // Nothing is configured of two issuers, or of one of them.
            (
                ("a", "1", None, None),
                ("b", "2", None, None),
                Sameness::Unknown,
            ),
            (
                ("a", "1", None, None),
                ("b", "1", None, None),
                Sameness::Unknown,
            ),
            (
                ("a", "1", Some("corp"), None),
                ("b", "2", None, None),
                Sameness::Unknown,
            ),
            (
                ("a", "1", None, Some("x")),
                ("b", "2", None, Some("y")),
                Sameness::Unknown,
            ),
            // Two directories hold two sets of people.
            (
                ("a", "1", Some("corp"), None),
                ("b", "1", Some("partner"), None),
                Sameness::Distinct,
            ),
            (
                ("a", "1", Some("corp"), Some("x")),
                ("b", "1", Some("partner"), Some("x")),
                Sameness::Distinct,
            ),
            // One directory: by name, whatever its case.
            (
                ("a", "1", Some("corp"), Some("x")),
                ("b", "1", Some("corp"), Some("y")),
                Sameness::Distinct,
            ),
            (
                ("a", "1", Some("corp"), Some("Ann@x")),
                ("b", "2", Some("corp"), Some("ann@X")),
                Sameness::Same,
            ),
            (
                ("a", "1", Some("corp"), Some("x")),
                ("b", "2", Some("corp"), None),
                Sameness::Unknown,
            ),
            // Two accounts at one issuer with one name.
            (
                ("a", "1", None, Some("x")),
                ("a", "2", None, Some("x")),
                Sameness::Same,
            ),
            (
                ("a", "1", None, Some("x")),
                ("a", "1", None, Some("y")),
                Sameness::Same,
            ),
            // A directory, or an issuer that names people, and an account without a name.
            (
                ("a", "1", Some("corp"), None),
                ("a", "2", Some("corp"), None),
                Sameness::Unknown,
            ),
            (
                ("a", "1", Some("corp"), Some("x")),
                ("a", "2", Some("corp"), None),
                Sameness::Unknown,
            ),
            (
                ("a", "1", Some("corp"), None),
                ("a", "1", Some("corp"), None),
                Sameness::Same,
            ),
            (
                ("a", "1", None, Some("x")),
                ("a", "2", None, None),
                Sameness::Unknown,
            ),
            // One account was seen before the configuration named the directory.
            (
                ("a", "1", None, None),
                ("a", "2", Some("corp"), Some("x")),
                Sameness::Unknown,
            ),
            (
                ("a", "1", Some("old"), Some("y")),
                ("a", "2", Some("corp"), None),
                Sameness::Unknown,
            ),
        ];
        for ((i, s, d, n), (j, t, e, m), expected) in cases {
            let (one, two) = (person(i, s, d, n), person(j, t, e, m));
            assert_eq!(one.sameness(&two), expected, "{one:?} {two:?}");
            assert_eq!(two.sameness(&one), expected, "{two:?} {one:?}");
        }
    }

    #[test]
    fn s33_a_name_is_one_person_s_however_its_letters_are_written() {
        let named = |account: &str, name| person("a", account, Some("corp"), Some(name));
        for (one, two) in [
            ("Ren\u{e9}@x", "Rene\u{301}@x"),
            ("REN\u{c9}@X", "rene\u{301}@x"),
            ("\u{ff52}ene", "rene"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{1e9e}", "ss"),
            ("\u{3c3}\u{3c2}", "\u{3a3}\u{3a3}"),
            ("\u{fb01}n", "FIN"),
            ("\u{212a}im", "kim"),
            ("\u{1e69}", "s\u{307}\u{323}"),
            ("a\u{200b}nn", "ann"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
        ] {
            let both = named("1", one).sameness(&named("2", two));
            assert_eq!(both, Sameness::Same, "{one:?} {two:?}");
        }
        for (one, two) in [("ren\u{e9}", "rene"), ("ann", "anne"), ("\u{430}nn", "ann")] {
            let both = named("1", one).sameness(&named("2", two));
            assert_eq!(both, Sameness::Distinct, "{one:?} {two:?}");
        }
    }

    #[test]
    fn s01_a_sponsor_known_by_name_alone_is_held_against_names() {
        let sponsor = Person {
            subject: None,
            ..person("a", "", None, Some("ann@x"))
        };
        let with = |name| person("a", "1", None, name);
        assert_eq!(sponsor.sameness(&with(Some("ANN@x"))), Sameness::Same);
        assert_eq!(sponsor.sameness(&with(Some("bob@x"))), Sameness::Distinct);
        assert_eq!(sponsor.sameness(&with(None)), Sameness::Unknown);
    }

    #[test]
    fn s33_an_identity_of_an_earlier_record_is_read_as_a_person() {
        let read: Person = serde_json::from_str(r#"{"issuer":"a","subject":"1"}"#).unwrap();
        assert_eq!(read, person("a", "1", None, None));
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, r#"{"issuer":"a","subject":"1"}"#);
    }
}
