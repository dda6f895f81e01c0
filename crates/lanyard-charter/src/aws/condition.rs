//! Conditions on a statement: keys of a request's context, and the values of which one has to be
//! there.
//!
//! Every key has to hold, and a key that the request does not have does not hold: a condition only
//! ever narrows. Two statements narrow to the conditions of both (T17). Keys with several values in
//! one request are not in the language: their operators allow a request without the key.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::table;
use crate::pattern::{pattern_contains, wildcard_matches};

/// Keys that AWS sets for every service and that bound a session.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
const GLOBAL: &[(&str, Kind)] = &[
    ("aws:CalledViaFirst", Kind::Text),
    ("aws:CalledViaLast", Kind::Text),
    ("aws:RequestTag/", Kind::Text),
    ("aws:RequestedRegion", Kind::Text),
    ("aws:ResourceAccount", Kind::Text),
    ("aws:ResourceOrgID", Kind::Text),
    ("aws:ResourceTag/", Kind::Text),
    ("aws:SecureTransport", Kind::Truth),
    ("aws:SourceIp", Kind::Address),
    ("aws:SourceVpc", Kind::Text),
    ("aws:SourceVpce", Kind::Text),
    ("aws:ViaAWSService", Kind::Truth),
    ("aws:VpcSourceIp", Kind::Address),
];

/// Keys that AWS sets and that charters may not use: dates, keys with several values in one
/// request, and keys about the caller, which a session does not change.
const OTHER_GLOBAL: &[&str] = &[
    "aws:assumedroot",
    "aws:calledvia",
    "aws:currenttime",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:referer",
    "aws:resourceorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
];

/// The comparison that a condition's operator makes with a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Compared as text, with the wildcards `*` and `?`.
    Text,
    /// Compared as an ARN, with wildcards in the resource part.
    Arn,
    /// Compared as `true` or `false`.
    Truth,
    /// Compared as an address or a range in CIDR notation.
    Address,
}

/// A condition key, compared without regard to case, as IAM does.
#[derive(Debug, Clone)]
pub struct ConditionKey(String);

impl ConditionKey {
    /// The key with service and name as AWS writes them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key in lower case, as keys are compared.
    #[must_use]
    pub fn lower(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Parses a key, and returns how its values are compared.
    ///
    /// # Errors
    /// Why the key cannot be used in a condition.
    pub fn parse(text: &str) -> Result<(Self, Kind), String> {
        let lower = text.to_ascii_lowercase();
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-=._:/@ ".contains(c);
        if !text.chars().all(plain) {
            return Err("a condition key has letters, digits and +-=._:/@ alone".to_owned());
        }
        let is = |known: &str| {
            let known = known.to_ascii_lowercase();
            lower == known
                || known.ends_with('/') && lower.len() > known.len() && lower.starts_with(&known)
        };
        let named = |known: &str| {
            let rest = text.get(known.len()..).unwrap_or_default();
            Self(format!("{known}{rest}"))
        };
        if let Some((known, kind)) = GLOBAL.iter().find(|(known, _)| is(known)) {
            return Ok((named(known), *kind));
        }
        let tag = lower.split_inclusive('/').next().unwrap_or_default();
        if OTHER_GLOBAL.contains(&lower.as_str()) || OTHER_GLOBAL.contains(&tag) {
            return Err("conditions on this key are not in the language".to_owned());
        }
        let Some((known, kind)) = table::key(&lower) else {
            return Err("AWS lists no such condition key".to_owned());
        };
        let kind = match kind {
            "String" => Kind::Text,
            "ARN" => Kind::Arn,
            "Bool" => Kind::Truth,
            "IPAddress" => Kind::Address,
            several if several.starts_with("ArrayOf") => {
                return Err("it has several values in one request, and an operator for those allows a request that has none".to_owned());
            }
            _ => return Err("conditions on numbers and dates are not in the language".to_owned()),
        };
        Ok((named(known), kind))
    }

    /// True if requests of every action can have the key.
    pub(crate) fn is_global(&self) -> bool {
        let lower = self.lower();
        let tags = lower.starts_with("aws:resourcetag/") || lower.starts_with("aws:requesttag/");
        lower.starts_with("aws:") && !tags
    }
}

impl PartialEq for ConditionKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ConditionKey {}

impl PartialOrd for ConditionKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ConditionKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lower().cmp(&other.lower())
    }
}

impl fmt::Display for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The condition on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The comparison of the values.
    pub kind: Kind,
    /// The accepted values, at least one.
    pub values: BTreeSet<String>,
}

impl Kind {
    /// Checks that a value fits a key of this kind.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(self, value: &str) -> Result<(), &'static str> {
        if value.is_empty() || value.contains("${") {
            return Err("policy variables and empty values are not used here");
        }
        if !value
            .chars()
            .all(|c| (' '..='\u{ff}').contains(&c) && !c.is_control())
        {
            return Err("it holds a character that STS does not take");
        }
        match self {
            Self::Text => Ok(()),
            Self::Arn => {
                let parts: Vec<&str> = value.splitn(6, ':').collect();
                let (head, resource) = (parts.get(..5), parts.get(5));
                let plain =
                    head.is_some_and(|head| head.iter().all(|part| !part.contains(['*', '?'])));
                let whole =
                    parts.first() == Some(&"arn") && resource.is_some_and(|it| !it.is_empty());
                if plain && whole {
                    Ok(())
                } else {
                    Err("write an ARN, with wildcards in its resource part only")
                }
            }
            Self::Truth if value == "true" || value == "false" => Ok(()),
            Self::Truth => Err("write true or false"),
            Self::Address => {
                let (address, bits) = value.split_once('/').unwrap_or((value, ""));
                let most = match address.parse() {
                    Ok(std::net::IpAddr::V4(_)) => 32,
                    Ok(std::net::IpAddr::V6(_)) => 128,
                    Err(_) => return Err("write an address, or a range such as 192.0.2.0/24"),
                };
                let range = bits.is_empty() && !value.contains('/')
                    || bits.parse::<u8>().is_ok_and(|bits| bits <= most);
                if range {
                    Ok(())
                } else {
                    Err("write an address, or a range such as 192.0.2.0/24")
                }
            }
        }
    }

    /// True if `wide` accepts everything that `narrow` accepts. May be false although it does.
    fn contains(self, wide: &str, narrow: &str) -> bool {
        match self {
            Self::Text | Self::Arn => pattern_contains(wide, narrow),
            Self::Truth | Self::Address => wide == narrow,
        }
    }

    /// True if a request's value meets a condition's value. A range is met only by the same text,
    /// because AWS decides which addresses it contains.
    fn meets(self, value: &str, found: &str) -> bool {
        match self {
            Self::Text | Self::Arn => wildcard_matches(value, found),
            Self::Truth | Self::Address => value == found,
        }
    }
}

/// All conditions of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(BTreeMap<ConditionKey, Test>);

impl Conditions {
    /// True if there are no conditions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the keys with their conditions.
    pub fn iter(&self) -> impl Iterator<Item = (&ConditionKey, &Test)> {
        self.0.iter()
    }

    /// Adds a condition. Returns false if the key had one.
    pub fn add(&mut self, key: ConditionKey, test: Test) -> bool {
        if self.0.contains_key(&key) {
            return false;
        }
        self.0.insert(key, test);
        true
    }

    /// The condition on this key.
    #[must_use]
    pub fn on(&self, key: &str) -> Option<&Test> {
        self.0.get(&ConditionKey(key.to_owned()))
    }

    /// True if a request with this context meets all conditions.
    #[must_use]
    pub fn matches(&self, context: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, test)| {
            let mut found = context
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(&key.0));
            found.any(|(_, found)| {
                test.values
                    .iter()
                    .any(|value| test.kind.meets(value, found))
            })
        })
    }

    /// True if every request that meets these conditions meets the others. May be false although it
    /// does.
    #[must_use]
    pub fn within(&self, wide: &Self) -> bool {
        wide.0.iter().all(|(key, asked)| {
            let held = self.0.get(key).filter(|test| test.kind == asked.kind);
            held.is_some_and(|test| {
                let mut values = test.values.iter();
                values.all(|narrow| {
                    asked
                        .values
                        .iter()
                        .any(|wide| asked.kind.contains(wide, narrow))
                })
            })
        })
    }

    /// The conditions of both; `None` if no request is known to meet both.
    #[must_use]
    pub fn narrowed(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        for (key, test) in &other.0 {
            let Some(own) = self.0.get(key) else {
                both.0.insert(key.clone(), test.clone());
                continue;
            };
            if own.kind != test.kind {
                return None;
            }
            let kept = |from: &Test, by: &Test| -> Vec<String> {
                let known =
                    |value: &&String| by.values.iter().any(|wide| from.kind.contains(wide, value));
                from.values.iter().filter(known).cloned().collect()
            };
            let values: BTreeSet<_> = kept(own, test).into_iter().chain(kept(test, own)).collect();
            if values.is_empty() {
                return None;
            }
            both.0.insert(
                key.clone(),
                Test {
                    kind: own.kind,
                    values,
                },
            );
        }
        Some(both)
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, test)) in self.0.iter().enumerate() {
            let and = if number == 0 { "" } else { " and " };
            let values: Vec<&str> = test.values.iter().map(String::as_str).collect();
            write!(f, "{and}{key} is {}", values.join(" or "))?;
        }
        Ok(())
    }
}
