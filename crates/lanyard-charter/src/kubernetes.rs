//! The rights of a `kubernetes` grant, and the rights that no agent gets.

mod object;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::aws::ActionPattern;
use crate::usage::{SCOPE, Usage};

pub use object::KubernetesObject;

/// A rule of Kubernetes RBAC, without wildcards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PolicyRule {
    /// The API groups; the core group is `""`.
    pub api_groups: BTreeSet<String>,
    /// The resources, such as `deployments` and `pods/log`.
    pub resources: BTreeSet<String>,
    /// The verbs, such as `get` and `list`.
    pub verbs: BTreeSet<String>,
    /// The names of the objects; all if empty.
    pub resource_names: BTreeSet<String>,
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |of: &BTreeSet<String>| of.iter().cloned().collect::<Vec<_>>().join(", ");
        write!(f, "{} {}", list(&self.verbs), list(&self.resources))?;
        if self.resource_names.is_empty() {
            Ok(())
        } else {
            write!(f, " named {}", list(&self.resource_names))
        }
    }
}

/// The source of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubernetesRights {
    /// Rules of a Role that the broker creates.
    Rules(Vec<PolicyRule>),
    /// A ClusterRole that the cluster's owners maintain, bound in the namespace.
    ClusterRole(String),
}

/// The rights of a service-account token in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesGrant {
    /// The namespace in which the rights are bound.
    pub namespace: String,
    /// The rules, or the ClusterRole that holds them.
    pub rights: KubernetesRights,
    /// The `VERB RESOURCE.GROUP` combinations that a credential holds only if its approved plan
    /// names them.
    pub destructive: BTreeSet<ActionPattern>,
}

impl KubernetesGrant {
    /// The grant without its destructive combinations, except those named. RBAC cannot deny, so
    /// what is held back must be in no rule.
    #[must_use]
    pub fn holding_back(&self, named: &BTreeSet<ActionPattern>) -> Self {
        let KubernetesRights::Rules(rules) = &self.rights else {
            return self.clone();
        };
        let held: BTreeSet<&ActionPattern> = self.destructive.difference(named).collect();
        let mut kept = Vec::new();
        for rule in rules {
            let is_held = |verb: &str, resource: &str, group: &str| {
                held.iter().any(|it| it.is_of_rbac(verb, resource, group))
            };
            let pairs = rule
                .api_groups
                .iter()
                .flat_map(|group| rule.resources.iter().map(move |it| (group, it)));
            let touched = pairs.clone().any(|(group, resource)| {
                rule.verbs.iter().any(|verb| is_held(verb, resource, group))
            });
            if !touched {
                kept.push(rule.clone());
                continue;
            }
            for (group, resource) in pairs {
                let verbs = rule
                    .verbs
                    .iter()
                    .filter(|verb| !is_held(verb, resource, group));
                let verbs: BTreeSet<String> = verbs.cloned().collect();
                if !verbs.is_empty() {
                    kept.push(PolicyRule {
                        api_groups: [group.clone()].into(),
                        resources: [resource.clone()].into(),
                        verbs,
                        resource_names: rule.resource_names.clone(),
                    });
                }
            }
        }
        Self {
            rights: KubernetesRights::Rules(kept),
            ..self.clone()
        }
    }

    /// True if the grant may include part of a prohibition. The rules of a ClusterRole are unknown
    /// here, so it always may.
    #[must_use]
    pub fn may_touch(&self, prohibited: &PolicyRule) -> bool {
        match &self.rights {
            KubernetesRights::Rules(rules) => {
                rules.iter().any(|rule| rule.is_touched_by(prohibited))
            }
            KubernetesRights::ClusterRole(_) => true,
        }
    }
}

/// Verbs that only read.
const READING_VERBS: &[&str] = &["get", "list", "watch"];
/// Subresources that do more than read with a reading verb: a websocket exec is a GET (T36).
const MORE_THAN_READING: &[&str] = &[
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/proxy",
    "pods/ephemeralcontainers",
    "services/proxy",
];
/// Resources that no agent gets, with any verb (T36).
const NEVER: &[&str] = &[
    "secrets",
    "nodes/proxy",
    "serviceaccounts/token",
    "certificatesigningrequests",
    "certificatesigningrequests/approval",
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "clusterroles",
    "clusterrolebindings",
    "roles",
    "rolebindings",
];
/// The API group of charters. Whoever writes a charter can allow himself anything.
const OWN_GROUP: &str = "lanyard.dev";
const NEVER_VERBS: &[&str] = &["escalate", "bind", "impersonate", "approve", "sign"];
/// Resources that open a stream, which outlives its credential.
const STREAMS: &[&str] = &[
    "pods/log",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/proxy",
    "services/proxy",
];

/// True if a `get` of the resource opens a connection into a container, or to what the container
/// reaches.
pub(crate) fn acts_when_read(resource: &str) -> bool {
    MORE_THAN_READING.contains(&resource)
}

impl ActionPattern {
    /// True if the pattern is this verb on this resource: `delete deployments.apps`,
    /// `deletecollection pods`.
    #[must_use]
    pub fn is_of_rbac(&self, verb: &str, resource: &str, group: &str) -> bool {
        let Some((own, what)) = self.0.split_once(' ') else {
            return false;
        };
        let whole = match group {
            "" => resource.to_owned(),
            group => format!("{resource}.{group}"),
        };
        own == verb && what == whole
    }
}

impl PolicyRule {
    /// The resources of the rule that no agent ever gets. A wildcard includes them all.
    pub fn never_given(&self) -> impl Iterator<Item = &str> {
        let resources = self
            .resources
            .iter()
            .filter(|resource| resource.contains('*') || NEVER.contains(&resource.as_str()));
        let verbs = self
            .verbs
            .iter()
            .filter(|verb| verb.contains('*') || NEVER_VERBS.contains(&verb.as_str()));
        let groups = self.api_groups.iter();
        let groups = groups.filter(|group| group.contains('*') || *group == OWN_GROUP);
        resources.chain(verbs).chain(groups).map(String::as_str)
    }

    /// The parts of the rule that do more than read.
    pub fn more_than_reading(&self) -> impl Iterator<Item = &str> {
        let verbs = self
            .verbs
            .iter()
            .filter(|verb| !READING_VERBS.contains(&verb.as_str()));
        let resources = self
            .resources
            .iter()
            .filter(|resource| MORE_THAN_READING.contains(&resource.as_str()));
        verbs.chain(resources).map(String::as_str)
    }

    /// True if part of the rule is prohibited, where `*` means everything. RBAC cannot deny, so
    /// such a rule cannot be granted at all.
    #[must_use]
    pub fn is_touched_by(&self, prohibited: &Self) -> bool {
        let touch = |one: &BTreeSet<String>, two: &BTreeSet<String>| {
            one.contains("*") || two.contains("*") || !one.is_disjoint(two)
        };
        touch(&prohibited.api_groups, &self.api_groups)
            && touch(&prohibited.resources, &self.resources)
            && touch(&prohibited.verbs, &self.verbs)
    }

    /// True if the rule opens streams that outlive the credential: a watch, a log, a shell.
    #[must_use]
    pub fn opens_streams(&self) -> bool {
        self.verbs.contains("watch")
            || self
                .resources
                .iter()
                .any(|resource| STREAMS.contains(&resource.as_str()))
    }
}

impl PolicyRule {
    /// The request that a use of a credential makes: `get deployments.apps/web`.
    pub(crate) fn asked(usage: &Usage) -> Option<Self> {
        if usage.is_of_aws() || usage.action == SCOPE {
            return None;
        }
        let (resource, rest) = match usage.resource.split_once('.') {
            Some((resource, rest)) => (resource, Some(rest)),
            None => (usage.resource.as_str(), None),
        };
        let (group, name) = match rest.map(|rest| rest.split_once('/')) {
            Some(Some((group, name))) => (group, Some(name)),
            Some(None) => (rest.unwrap_or_default(), None),
            None => ("", None),
        };
        Some(Self {
            api_groups: [group.to_owned()].into(),
            resources: [resource.to_owned()].into(),
            verbs: [usage.action.clone()].into(),
            resource_names: name.map(str::to_owned).into_iter().collect(),
        })
    }
}
