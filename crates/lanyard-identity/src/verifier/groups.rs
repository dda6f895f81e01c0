//! The groups of people: where the tokens of an issuer have them, and why a token says none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lanyard_vocabulary::operator::{Operator, OperatorRole};
use serde_json::{Map, Value};

use super::Issuer;
use crate::unique::type_of;

/// A place among the claims of a token: the name of a claim, and of what lies in it, from the outside in. Each name is whole:
/// a dot or a slash in it is part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    claim: String,
    within: Vec<String>,
}

impl ClaimPath {
    /// Of these names; none without a name.
    #[must_use]
    pub fn of(names: Vec<String>) -> Option<Self> {
        let mut names = names.into_iter();
        Some(Self {
            claim: names.next()?,
            within: names.collect(),
        })
    }

    /// What stands there, or how far the claims go.
    fn find<'a>(&self, claims: &'a BTreeMap<String, Value>) -> Result<&'a Value, Lost> {
        let is_there = |value: &&Value| !value.is_null();
        let mut at = claims
            .get(&self.claim)
            .filter(is_there)
            .ok_or(Lost::Claim)?;
        for (place, name) in self.within.iter().enumerate() {
            let Value::Object(members) = at else {
                let is = type_of(at);
                return Err(Lost::NoObject { place, is });
            };
            at = members
                .get(name)
                .filter(is_there)
                .ok_or(Lost::Member { place })?;
        }
        Ok(at)
    }

    /// The place that somebody means who writes dots between names, where the token has something there.
    fn meant(&self, claims: &BTreeMap<String, Value>) -> Option<Self> {
        let dotted = self.within.is_empty() && self.claim.contains('.');
        let names = || self.claim.split('.').map(str::to_owned).collect();
        let meant = dotted.then(names).and_then(Self::of)?;
        meant.find(claims).is_ok().then_some(meant)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.claim).chain(&self.within)
    }

    /// As it is written in the configuration.
    fn written(&self) -> String {
        let names: Vec<_> = self
            .names()
            .map(|name| name.escape_debug().to_string())
            .collect();
        match names.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }
}

impl From<&str> for ClaimPath {
    fn from(claim: &str) -> Self {
        Self {
            claim: claim.to_owned(),
            within: Vec::new(),
        }
    }
}

/// As the message has it: a claim, or what lies in one.
impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((last, between)) = self.within.split_last() {
            write!(f, "`{}` in ", last.escape_debug())?;
            for name in between.iter().rev() {
                write!(f, "`{}` in ", name.escape_debug())?;
            }
        }
        write!(f, "claim `{}`", self.claim.escape_debug())
    }
}

/// Where a path ends before its time.
enum Lost {
    Claim,
    Member { place: usize },
    NoObject { place: usize, is: &'static str },
}

/// What a token says of groups.
pub(super) struct Said {
    pub(super) groups: BTreeSet<String>,
    /// What was there, for whoever has no role; nothing of a value is in it.
    pub(super) what: String,
}

impl Said {
    /// Where somebody's subject stands for the groups.
    pub(super) fn subject(subject: &str) -> Self {
        Self {
            groups: BTreeSet::from([subject.to_owned()]),
            what: "the subject of the token stands for itself".to_owned(),
        }
    }
}

impl Issuer {
    /// The groups in a token. A text is one group, whole: names of groups have commas and spaces, and to split them would
    /// put people into groups that nobody put them in.
    pub(super) fn said(&self, claims: &BTreeMap<String, Value>) -> Said {
        let path = &self.groups_claim;
        let none = |what: String| Said {
            groups: BTreeSet::new(),
            what,
        };
        let found = match path.find(claims) {
            Ok(found) => found,
            Err(lost) => return none(self.lost(&lost, claims)),
        };
        match found {
            Value::String(group) if group.trim().is_empty() => {
                none(format!("{path} is an empty text"))
            }
            Value::String(group) => Said {
                groups: BTreeSet::from([group.clone()]),
                what: format!(
                    "{path} is one text, which counts as one group{}",
                    self.hint(group)
                ),
            },
            Value::Array(listed) => {
                let groups: BTreeSet<String> = listed
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect();
                let others: BTreeSet<_> = listed
                    .iter()
                    .filter(|one| !one.is_string())
                    .map(type_of)
                    .collect();
                let what = format!("{path} has {}", counted(groups.len()));
                let others: Vec<_> = others.into_iter().collect();
                let what = match others.as_slice() {
                    [] => what,
                    others => format!(
                        "{what}, and entries that are no text and count as none ({})",
                        others.join(", ")
                    ),
                };
                // An issuer that leaves the groups out may leave an empty list behind.
                let what = overage(claims)
                    .filter(|_| groups.is_empty())
                    .unwrap_or(what);
                Said { groups, what }
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                none(format!(
                    "{path} is {}, and groups are a list of texts or one text",
                    type_of(other)
                ))
            }
        }
    }

    /// Why nothing stands where the groups should, and what to do about it.
    fn lost(&self, lost: &Lost, claims: &BTreeMap<String, Value>) -> String {
        let path = &self.groups_claim;
        if let Some(overage) = overage(claims) {
            return overage;
        }
        if let Some(meant) = path.meant(claims) {
            return format!(
                "the token has no {path}, and something in {meant}: for that, write `groups_claim: {}` in lanyardd.yaml",
                meant.written()
            );
        }
        let name = |place: usize| {
            let name = path.names().nth(place).map(String::as_str);
            name.unwrap_or_default().escape_debug().to_string()
        };
        let configure = "have the identity provider put the groups into its ID tokens, or name the claim that has them in `groups_claim`";
        match lost {
            Lost::Claim => format!("the token has no claim `{}`: {configure}", name(0)),
            Lost::Member { place } => format!(
                "`{}` of the token has no member `{}`: {configure}",
                name(*place),
                name(place + 1)
            ),
            Lost::NoObject { place, is } => format!(
                "`{}` of the token is {is}, and `{}` is looked for in it: {configure}",
                name(*place),
                name(place + 1)
            ),
        }
    }

    /// For a text that is several groups in the eyes of whoever sent it.
    fn hint(&self, group: &str) -> &'static str {
        let mut parts = group
            .split([',', ';', ' ', '"', '[', ']'])
            .filter(|part| !part.is_empty());
        if !self.roles.contains_key(group) && parts.any(|part| self.roles.contains_key(part)) {
            ": have the identity provider send a list, where several are meant"
        } else {
            ""
        }
    }

    /// Why a person has no role: what was looked at and found, and what the configuration makes of groups; none where they have one.
    pub(super) fn no_role(&self, operator: &Operator, what: &str) -> Option<String> {
        if !operator.roles.is_empty() {
            return None;
        }
        let roles: BTreeSet<OperatorRole> = self.roles.values().flatten().copied().collect();
        let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let maps = if roles.is_empty() {
            "the configuration maps no group of this issuer to a role".to_owned()
        } else {
            format!(
                "the configuration maps groups of this issuer to the roles {}, and none of those found",
                roles.join(", ")
            )
        };
        Some(format!("{what}; {maps}"))
    }
}

fn counted(groups: usize) -> String {
    match groups {
        0 => "no group".to_owned(),
        1 => "1 group".to_owned(),
        more => format!("{more} groups"),
    }
}

/// Of groups that are known from before, without the token.
pub(super) fn known(groups: usize) -> String {
    format!("the login was with {}", counted(groups))
}

/// What Entra ID writes instead of groups when there are too many for a token.
fn overage(claims: &BTreeMap<String, Value>) -> Option<String> {
    let elsewhere = claims.get("_claim_names").and_then(Value::as_object);
    let in_claims =
        elsewhere.is_some_and(|names: &Map<String, Value>| names.contains_key("groups"));
    let is_so = |value: &Value| *value == Value::Bool(true) || value.as_str() == Some("true");
    (in_claims || claims.get("hasgroups").is_some_and(is_so)).then(|| {
        "the identity provider left the groups out of the token because the person is in too many (overage, over 200 at Entra \
         ID): have it emit only groups that are assigned to the application, or define app roles and name them with \
         `groups_claim: roles`"
            .to_owned()
    })
}
