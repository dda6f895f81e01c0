//! What a plan touches, as far as it names it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::Rights;

/// How many things a plan changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// Made anew.
    pub created: u32,
    /// Changed in place.
    pub updated: u32,
    /// Destroyed and made anew.
    pub replaced: u32,
    /// Destroyed.
    pub destroyed: u32,
    /// No longer managed, and left as they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgotten: u32,
    /// Managed from now on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub imported: u32,
    /// Managed under another address.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moved: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} created, {} updated, {} replaced, {} destroyed",
            self.created, self.updated, self.replaced, self.destroyed
        )?;
        let state = [
            (self.forgotten, "forgotten"),
            (self.imported, "imported"),
            (self.moved, "moved"),
        ];
        for (count, word) in state.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {word}")?;
        }
        Ok(())
    }
}

/// Sensitive values that a plan changes: what they are is not shown, so people are told where they are, and acknowledge each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensitive {
    /// How many.
    pub count: u32,
    /// Where, as far as there is room: the plan's text names all of them.
    pub names: Vec<String>,
}

impl Sensitive {
    /// How many names are kept in the record of a plan, and how long one is, in characters.
    const KEPT_NAMES: usize = 50;
    const KEPT_NAME_CHARS: usize = 200;

    /// Counts one more, and keeps the begin of its name where it is one of the first.
    pub fn note(&mut self, name: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(1);
        if self.names.len() < Self::KEPT_NAMES {
            let begin = name().chars().take(Self::KEPT_NAME_CHARS).collect();
            self.names.push(begin);
        }
    }
}

/// What a plan changes, by what its credential can be narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReach {
    /// In AWS.
    pub aws: Named<Arn>,
    /// In Kubernetes.
    pub kubernetes: Named<KubernetesObject>,
}

impl PlanReach {
    /// What of it is about rights of this kind; nothing when none of it is.
    #[must_use]
    pub fn about(self, rights: &Rights) -> Option<Self> {
        let none = Self::default();
        let of = match rights {
            Rights::Token(_) | Rights::Vault(_) | Rights::GitHub(_) => return None,
            Rights::Aws(_) => Self {
                aws: self.aws,
                ..Self::default()
            },
            Rights::Kubernetes(_) => Self {
                kubernetes: self.kubernetes,
                ..Self::default()
            },
        };
        (of != none).then_some(of)
    }
}

/// What has a name, and what has none yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<T: Ord> {
    /// What has one.
    pub named: BTreeSet<T>,
    /// Where in the plan the others are.
    pub unnamed: BTreeSet<String>,
}

impl<T: Ord> Default for Named<T> {
    fn default() -> Self {
        Self {
            named: BTreeSet::new(),
            unnamed: BTreeSet::new(),
        }
    }
}

impl<T: Ord> Named<T> {
    /// Whether a credential can be narrowed to it: there is something, and all of it has a name.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.named.is_empty() && self.unnamed.is_empty()
    }
}

/// An ARN, of which a plan may leave the region and the account to the provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arn {
    /// `sqs`.
    pub service: String,
    /// Empty where the service has none; any when absent.
    pub region: Option<String>,
    /// Empty where the service has none; any when absent.
    pub account: Option<String>,
    /// What follows the fifth colon. It may hold `?` where the provider chooses characters, and nothing else that is wild.
    pub resource: String,
}

impl Arn {
    /// The parts of a whole one, in any partition; `None` when it is not one or holds what a policy would take for more than
    /// a name (T30).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next();
        let (arn, _partition, service) = (part()?, part()?, part()?);
        let (region, account, resource) = (part()?, part()?, part()?);
        let plain = |text: &str| {
            let odd = |c: char| c.is_control() || c.is_whitespace() || "*?${}".contains(c);
            !text.contains(odd)
        };
        (arn == "arn" && !service.is_empty() && !resource.is_empty() && plain(text)).then(|| Self {
            service: service.to_owned(),
            region: Some(region.to_owned()),
            account: Some(account.to_owned()),
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        let (region, account) = (known(&self.region), known(&self.account));
        write!(
            f,
            "arn:*:{}:{region}:{account}:{}",
            self.service, self.resource
        )
    }
}

/// An object of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KubernetesObject {
    /// The API group; empty for the core group.
    pub group: String,
    /// `deployments`.
    pub resource: String,
    /// Its namespace; empty for what has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether the plan makes it: RBAC cannot narrow that to a name.
    pub created: bool,
}

impl fmt::Display for KubernetesObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(
            f,
            "{}{dot}{}/{} in {}",
            self.resource, self.group, self.name, self.namespace
        )
    }
}
