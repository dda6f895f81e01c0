//! The section `kubernetes` of a prohibition: requests, in every namespace.

use std::collections::BTreeSet;

use lanyard_document::shape::{List, Map, Shape, optional};
use lanyard_document::{Code, Diagnostic, Item};

use crate::kubernetes::{KubernetesGrant, PolicyRule};
use crate::prohibition::{KindProhibition, Prohibition};
use crate::target_kind::TargetKind;
use crate::usage::Usage;
use crate::world::{Check, ProhibitedSection};

/// Prohibited Kubernetes requests, in every namespace. `*` means everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProhibitedRequests(pub PolicyRule);

pub(super) fn section() -> ProhibitedSection {
    let part = |name, meaning| optional(name, meaning, List::of(Shape::Text)).absent("all");
    let shape = Map::new()
        .with(part("apiGroups", "The API groups."))
        .with(part("resources", "The resources in the plural."))
        .with(part("verbs", "The verbs of RBAC."));
    ProhibitedSection {
        meaning: "These requests, in every namespace.",
        shape: shape.into(),
        read: |item| rule(item).map(|rule| ProhibitedRequests(rule).into()),
    }
}

/// Reads a rule of a prohibition, where a missing list and `*` mean everything.
fn rule(item: Item<'_>) -> Option<PolicyRule> {
    let section = item.section()?;
    let all = || ["*".to_owned()].into();
    let part = |name| section.get(name).map_or_else(all, Item::texts);
    Some(PolicyRule {
        api_groups: part("apiGroups"),
        resources: part("resources"),
        verbs: part("verbs"),
        resource_names: BTreeSet::new(),
    })
}

impl KindProhibition for ProhibitedRequests {
    fn kind(&self) -> TargetKind {
        TargetKind::KUBERNETES
    }

    fn line(&self) -> String {
        self.0.to_string()
    }

    fn forbids(&self, usage: &Usage) -> bool {
        PolicyRule::asked(usage).is_some_and(|rule| rule.is_touched_by(&self.0))
    }
}

/// Warns of a rule that no grant touches, unless every cluster has what it is about: it may be
/// misspelt.
pub(super) fn lint(check: &Check<'_>, prohibition: &Prohibition) {
    let Some(ProhibitedRequests(rule)) = prohibition.what.get() else {
        return;
    };
    let grants = check.charter.grants.values();
    let mut clusters = grants.filter_map(|grant| grant.rights.get::<KubernetesGrant>());
    let reached = clusters.any(|rights| rights.may_touch(rule));
    if !reached && !rule.resources.iter().all(|name| is_known_kind(name)) {
        let message = "no grant could reach what is prohibited here".to_owned();
        let span = check.places.at(prohibition.at);
        check
            .f
            .add(Diagnostic::new(Code::IdleProhibition, span, message));
    }
}

/// True for kinds that every cluster has, whose names are no typos.
fn is_known_kind(name: &str) -> bool {
    const KINDS: &[&str] = &[
        "*",
        "certificatesigningrequests",
        "clusterrolebindings",
        "clusterroles",
        "configmaps",
        "cronjobs",
        "customresourcedefinitions",
        "daemonsets",
        "deployments",
        "endpoints",
        "endpointslices",
        "events",
        "horizontalpodautoscalers",
        "ingresses",
        "jobs",
        "leases",
        "limitranges",
        "mutatingwebhookconfigurations",
        "namespaces",
        "networkpolicies",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "poddisruptionbudgets",
        "pods",
        "priorityclasses",
        "replicasets",
        "replicationcontrollers",
        "resourcequotas",
        "rolebindings",
        "roles",
        "secrets",
        "serviceaccounts",
        "services",
        "statefulsets",
        "storageclasses",
        "validatingadmissionpolicies",
        "validatingwebhookconfigurations",
    ];
    KINDS.contains(&name.split('/').next().unwrap_or_default())
}
