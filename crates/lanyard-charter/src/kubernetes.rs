//! The rights of a `kubernetes` grant, and what no agent is given.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::aws::ActionPattern;

/// Rules of Kubernetes RBAC, without wildcards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PolicyRule {
    /// The empty group is written `""`.
    pub api_groups: BTreeSet<String>,
    /// `deployments`, `pods/log`.
    pub resources: BTreeSet<String>,
    /// `get`, `list`, …
    pub verbs: BTreeSet<String>,
    /// Limits the rule to these objects, where not empty.
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

/// Where the rules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubernetesRights {
    /// A Role made for the charter.
    Rules(Vec<PolicyRule>),
    /// A ClusterRole that the cluster's owners made, bound in the namespace.
    ClusterRole(String),
}

/// What a service-account token may do, in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesGrant {
    /// The namespace that the rights are bound in.
    pub namespace: String,
    /// The rights.
    pub rights: KubernetesRights,
    /// `VERB RESOURCE.GROUP` of the rules that a credential holds only where the approved plan names them.
    pub destructive: BTreeSet<ActionPattern>,
}

impl KubernetesGrant {
    /// The grant without what it calls destructive, but for what a plan names. RBAC knows no denial: what is held back is in no rule.
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

    /// Whether it may hold something of a prohibition; of a ClusterRole that is not known here.
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
/// Subresources that a reading verb turns into more than reading: a websocket exec is a GET (T36).
const MORE_THAN_READING: &[&str] = &[
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/proxy",
    "pods/ephemeralcontainers",
    "services/proxy",
];
/// What no agent gets, with any verb (T36).
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
/// The API group of charters: whoever writes a charter gives himself what it allows.
const OWN_GROUP: &str = "lanyard.dev";
const NEVER_VERBS: &[&str] = &["escalate", "bind", "impersonate", "approve", "sign"];
/// What opens a stream, which goes on after its credential is dead.
const STREAMS: &[&str] = &[
    "pods/log",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/proxy",
    "services/proxy",
];

/// Whether reading this is more than reading: a `get` of it opens a connection into a container, or to what it reaches.
pub(crate) fn acts_when_read(resource: &str) -> bool {
    MORE_THAN_READING.contains(&resource)
}

impl ActionPattern {
    /// Whether it is this verb on this resource: `delete deployments.apps`, `deletecollection pods`.
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
    /// What of it no agent is ever given. A wildcard holds all of that.
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

    /// What of it can do more than read.
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

    /// Whether any of it is in a prohibition, whose `*` means everything. RBAC knows no denial: such a rule
    /// cannot be given at all.
    #[must_use]
    pub fn is_touched_by(&self, prohibited: &Self) -> bool {
        let touch = |one: &BTreeSet<String>, two: &BTreeSet<String>| {
            one.contains("*") || two.contains("*") || !one.is_disjoint(two)
        };
        touch(&prohibited.api_groups, &self.api_groups)
            && touch(&prohibited.resources, &self.resources)
            && touch(&prohibited.verbs, &self.verbs)
    }

    /// Whether it opens what goes on after the credential is dead: a watch, a log, a shell.
    #[must_use]
    pub fn opens_streams(&self) -> bool {
        self.verbs.contains("watch")
            || self
                .resources
                .iter()
                .any(|resource| STREAMS.contains(&resource.as_str()))
    }
}
