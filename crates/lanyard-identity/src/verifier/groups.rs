//! The groups of people: where tokens have them, and why a token names none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lanyard_vocabulary::operator::{Operator, OperatorRole};
use serde_json::{Map, Value};

use super::Issuer;
use crate::unique::type_of;

/// The path of a claim: its name, and the names of nested members from the outside in. A dot or a
/// slash is part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    claim: String,
    within: Vec<String>,
}

impl ClaimPath {
    /// Makes a path of `names`. `None` if there are none.
    #[must_use]
    pub fn of(names: Vec<String>) -> Option<Self> {
        let mut names = names.into_iter();
        Some(Self {
            claim: names.next()?,
            within: names.collect(),
        })
    }

    /// Finds the value, or where the path ends early.
    fn find<'a>(&self, claims: &'a BTreeMap<String, Value>) -> Result<&'a Value, PathEnd> {
        let is_there = |value: &&Value| !value.is_null();
        let mut at = claims
            .get(&self.claim)
            .filter(is_there)
            .ok_or(PathEnd::Claim)?;
        for (place, name) in self.within.iter().enumerate() {
            let Value::Object(members) = at else {
                let is = type_of(at);
                return Err(PathEnd::NoObject { place, is });
            };
            at = members
                .get(name)
                .filter(is_there)
                .ok_or(PathEnd::Member { place })?;
        }
        Ok(at)
    }

    /// Returns the nested path that a dotted name probably means, if the token has a value there.
    fn meant(&self, claims: &BTreeMap<String, Value>) -> Option<Self> {
        let dotted = self.within.is_empty() && self.claim.contains('.');
        let names = || self.claim.split('.').map(str::to_owned).collect();
        let meant = dotted.then(names).and_then(Self::of)?;
        meant.find(claims).is_ok().then_some(meant)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.claim).chain(&self.within)
    }

    /// Renders the path in the syntax of the configuration.
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

/// Renders the path for a message: a claim, or a member of one.
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

/// The point at which a path ends early.
enum PathEnd {
    Claim,
    Member { place: usize },
    NoObject { place: usize, is: &'static str },
}

/// The groups that a token names.
pub(super) struct TokenGroups {
    pub(super) groups: BTreeSet<String>,
    /// Explanation for a person without a role. Holds no value of a claim.
    pub(super) what: String,
}

impl TokenGroups {
    /// Makes the subject stand for the groups.
    pub(super) fn subject(subject: &str) -> Self {
        Self {
            groups: BTreeSet::from([subject.to_owned()]),
            what: "the subject of the token stands for itself".to_owned(),
        }
    }
}

impl Issuer {
    /// Reads the groups of a token. A string is one group as a whole: names of groups contain
    /// commas and spaces, and splitting would put people into groups that they do not belong to.
    pub(super) fn said(&self, claims: &BTreeMap<String, Value>) -> TokenGroups {
        let path = &self.groups_claim;
        let none = |what: String| TokenGroups {
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
            Value::String(group) => TokenGroups {
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
                        "{what}, and entries that are not text and are ignored ({})",
                        others.join(", ")
                    ),
                };
                // Issuers that leave the groups out may leave an empty list behind.
                let what = overage(claims)
                    .filter(|_| groups.is_empty())
                    .unwrap_or(what);
                TokenGroups { groups, what }
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                none(format!(
                    "{path} is {}, and must be a list of texts or one text",
                    type_of(other)
                ))
            }
        }
    }

    /// Explains why the claim is missing, and what to do.
    fn lost(&self, lost: &PathEnd, claims: &BTreeMap<String, Value>) -> String {
        let path = &self.groups_claim;
        if let Some(overage) = overage(claims) {
            return overage;
        }
        if let Some(meant) = path.meant(claims) {
            return format!(
                "the token has no {path}, but it has {meant}: to use that, write `groups_claim: {}` in lanyardd.yaml",
                meant.written()
            );
        }
        let name = |place: usize| {
            let name = path.names().nth(place).map(String::as_str);
            name.unwrap_or_default().escape_debug().to_string()
        };
        let configure = "have the identity provider put the groups into its ID tokens, or name the claim that has them in `groups_claim`";
        match lost {
            PathEnd::Claim => format!("the token has no claim `{}`: {configure}", name(0)),
            PathEnd::Member { place } => format!(
                "`{}` of the token has no member `{}`: {configure}",
                name(*place),
                name(place + 1)
            ),
            PathEnd::NoObject { place, is } => format!(
                "`{}` of the token is {is}, so that it has no member `{}`: {configure}",
                name(*place),
                name(place + 1)
            ),
        }
    }

    /// Returns a hint if the sender probably meant several groups.
    fn hint(&self, group: &str) -> &'static str {
        let mut parts = group
            .split([',', ';', ' ', '"', '[', ']'])
            .filter(|part| !part.is_empty());
        if !self.roles.contains_key(group) && parts.any(|part| self.roles.contains_key(part)) {
            ": if it stands for several groups, have the identity provider send a list"
        } else {
            ""
        }
    }

    /// Explains why a person has no role: the groups found, and the roles that the configuration
    /// maps. `None` if the person has a role.
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

/// Describes the groups of an earlier login, without its token.
pub(super) fn known(groups: usize) -> String {
    format!("the login was with {}", counted(groups))
}

/// Detects the group overage of Entra ID, which sends a reference if a person is in too many
/// groups.
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
