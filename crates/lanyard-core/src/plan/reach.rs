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

/// What narrowing a credential to a plan does, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowing {
    /// What the session can do.
    pub gives: Vec<String>,
    /// What the grant gives and the session does not.
    pub withholds: Vec<String>,
    /// What the plan changes and the grant does not give.
    pub lacks: Vec<String>,
}

impl Narrowing {
    /// How many lines of each kind are kept in the record of a plan, and how long one is, in characters.
    const KEPT_LINES: usize = 40;
    const KEPT_LINE_CHARS: usize = 1000;

    /// The lines as far as there is room in a record; the last one says how many more there are.
    #[must_use]
    pub fn kept(self) -> Self {
        let kept = |mut lines: Vec<String>| {
            let more = lines.len().saturating_sub(Self::KEPT_LINES);
            lines.truncate(Self::KEPT_LINES);
            for line in &mut lines {
                if let Some((end, _)) = line.char_indices().nth(Self::KEPT_LINE_CHARS) {
                    line.truncate(end);
                    line.push('…');
                }
            }
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            lines
        };
        Self {
            gives: kept(self.gives),
            withholds: kept(self.withholds),
            lacks: kept(self.lacks),
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
    /// `aws`, `aws-cn`; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
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
    /// The parts of a whole one; `None` when it is not one or holds what a policy would take for more than
    /// a name (T30).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next();
        let (arn, partition, service) = (part()?, part()?, part()?);
        let (region, account, resource) = (part()?, part()?, part()?);
        let plain = |text: &str| {
            let odd = |c: char| c.is_control() || c.is_whitespace() || "*?${}".contains(c);
            !text.contains(odd)
        };
        let whole = [partition, service, resource]
            .iter()
            .all(|part| !part.is_empty());
        (arn == "arn" && whole && plain(text)).then(|| Self {
            partition: Some(partition.to_owned()),
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
        let (partition, region) = (known(&self.partition), known(&self.region));
        write!(
            f,
            "arn:{partition}:{}:{region}:{}:{}",
            self.service,
            known(&self.account),
            self.resource
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
    /// Its namespace; empty where the plan names none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether the plan makes it: RBAC cannot narrow that to a name.
    pub created: bool,
}

impl KubernetesObject {
    /// Whether its kind is in no namespace, of the kinds whose objects plans name.
    #[must_use]
    pub fn is_of_the_cluster(&self) -> bool {
        self.group.is_empty()
            && matches!(self.resource.as_str(), "namespaces" | "persistentvolumes")
    }

    /// Whether it is in this namespace, which is a grant's: a manifest that names none is applied to the namespace of the
    /// credential, as `kubectl` does.
    #[must_use]
    pub fn is_in(&self, namespace: &str) -> bool {
        !self.is_of_the_cluster() && (self.namespace.is_empty() || self.namespace == namespace)
    }
}

impl fmt::Display for KubernetesObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{}/{}", self.resource, self.group, self.name)?;
        match self.namespace.as_str() {
            _ if self.is_of_the_cluster() => Ok(()),
            "" => f.write_str(" in the grant's namespace"),
            namespace => write!(f, " in {namespace}"),
        }
    }
}
