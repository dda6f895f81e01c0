//! The rights of a `kubernetes` grant.

use std::collections::BTreeSet;

/// Rules of Kubernetes RBAC, without wildcards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
}
