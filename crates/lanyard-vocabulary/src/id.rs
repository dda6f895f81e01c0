//! Identifiers: 128 random bits with a prefix for each kind.
//!
//! The full form is the prefix and 26 Crockford base-32 digits (`L-4Q9…`). People may type a unique
//! prefix of it; the owner of the set of ids resolves such an abbreviation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DIGITS: usize = 26;

/// The reason why a text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {expected} id: expected `{prefix}-` and 26 letters and digits", .found.escape_debug())]
pub struct ParseIdError {
    /// The expected kind of id, with its article.
    pub expected: &'static str,
    /// The prefix letter of that kind.
    pub prefix: &'static str,
    /// The text found instead, cut to 64 characters.
    pub found: String,
}

fn encode(value: u128) -> impl Iterator<Item = char> {
    (0..DIGITS).rev().map(move |place| {
        let digit = usize::try_from((value >> (place * 5)) & 31).unwrap_or(0);
        char::from(ALPHABET.get(digit).copied().unwrap_or(b'0'))
    })
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != DIGITS {
        return None;
    }
    text.bytes().try_fold(0_u128, |value, byte| {
        let upper = byte.to_ascii_uppercase();
        let digit = ALPHABET.iter().position(|known| *known == upper)?;
        if value >> 123 != 0 {
            return None;
        }
        Some((value << 5) | u128::try_from(digit).ok()?)
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $article:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The letter before the dash.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from 128 bits that the caller drew at random.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// Returns the 128 bits.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// The lower-case form, for systems that refuse capitals, such as Kubernetes object
            /// names.
            #[must_use]
            pub fn to_lowercase(self) -> String {
                self.to_string().to_ascii_lowercase()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = String::with_capacity(DIGITS + 2);
                text.push_str($prefix);
                text.push('-');
                text.extend(encode(self.0));
                f.pad(&text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.split_once('-')
                    .filter(|(prefix, _)| prefix.eq_ignore_ascii_case($prefix))
                    .and_then(|(_, digits)| decode(digits))
                    .map(Self)
                    .ok_or_else(|| ParseIdError {
                        expected: $article,
                        prefix: $prefix,
                        found: text.chars().take(64).collect(),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*

        /// Each kind of id, by the letter before its dash, with its name and article.
        const KINDS: &[(&str, &str)] = &[$(($prefix, $article)),*];
    };
}

ids! {
    /// The id of a task: a run of an agent under one charter revision in one environment.
    TaskId = "T", "a task";
    /// The id of a lease: an issued credential.
    LeaseId = "L", "a lease";
    /// The id of a submitted plan.
    PlanId = "P", "a plan";
    /// The id of a request for people's approval of a plan.
    ApprovalId = "A", "an approval";
    /// The id of a kill order.
    KillId = "K", "a kill order";
    /// The id of a proposal to lift a kill order.
    RearmId = "R", "a re-arm";
    /// The id of a pause.
    PauseId = "H", "a pause";
    /// The id of a reported action.
    ActionId = "X", "an action";
    /// The id of a recorded decision.
    DecisionId = "D", "a decision";
}

/// Tells if a text is an id, of whichever kind, in either case.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let parts = text.split_once('-');
    parts.is_some_and(|(prefix, digits)| kind(prefix).is_some() && decode(digits).is_some())
}

/// Says why a text that is written as an id is none: a letter of a kind, a dash, and letters and
/// digits that are too few, too many or wrong. `None` for a text of another form.
#[must_use]
pub fn miswritten(text: &str) -> Option<ParseIdError> {
    let (prefix, digits) = text.split_once('-')?;
    let (prefix, expected) = kind(prefix)?;
    let is_written_as_one = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_written_as_one && decode(digits).is_none()).then(|| ParseIdError {
        expected,
        prefix,
        found: text.chars().take(64).collect(),
    })
}

fn kind(prefix: &str) -> Option<(&'static str, &'static str)> {
    let mut kinds = KINDS.iter();
    kinds
        .find(|(known, _)| known.eq_ignore_ascii_case(prefix))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n18_a_miswritten_id_is_told_from_an_id_and_from_a_name() {
        let id = KillId::from_bits(7).to_string();
        assert!(is_id(&id) && is_id(&id.to_ascii_lowercase()));
        assert_eq!(miswritten(&id), None);
        for text in ["K-XXXX", "k-", "K-ZZZZZZZZZZZZZZZZZZZZZZZZZZ", &id[..27]] {
            assert!(!is_id(text), "{text}");
            let why = miswritten(text).unwrap();
            assert_eq!((why.expected, why.prefix), ("a kill order", "K"), "{text}");
        }
        for text in ["TICKET-7", "kill", "", "-", "Z-01", "K-a b", "production"] {
            assert!(!is_id(text) && miswritten(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_id_survives_printing_and_parsing() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0011_2233_4455_6677] {
            let id = LeaseId::from_bits(bits);
            assert_eq!(id.to_string().parse::<LeaseId>(), Ok(id));
            assert_eq!(id.to_lowercase().parse::<LeaseId>(), Ok(id));
        }
    }

    #[test]
    fn another_prefix_a_short_form_and_an_overflow_are_refused() {
        let task = TaskId::from_bits(7).to_string();
        assert!(task.parse::<LeaseId>().is_err());
        assert!("L-4Q9".parse::<LeaseId>().is_err());
        assert!("L-ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<LeaseId>().is_err());
        assert!("L-é".parse::<LeaseId>().is_err());
    }
}
