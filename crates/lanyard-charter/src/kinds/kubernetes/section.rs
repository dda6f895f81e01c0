//! The section `kubernetes` of a grant.

use std::collections::BTreeSet;

use lanyard_document::{Code, Diagnostic, Findings, Node, Value as Yaml};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use crate::aws::ActionPattern;
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule};
use crate::places::Places;
use crate::rights::Rights;
use crate::section::names::target;
use crate::section::words::texts;
use crate::target_kind::TargetKind;
use crate::world::World;

pub(super) fn section_of(f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
    let fields = f.map(node)?;
    let target = target(f, &fields, world, TargetKind::KUBERNETES);
    let namespace = fields
        .required("namespace")
        .and_then(|node| f.parsed::<Name>(node));
    let rules = fields.optional("rules").map(|node| {
        let rules: Vec<_> = f
            .list(node)
            .iter()
            .filter_map(|item| rule(f, item))
            .collect();
        KubernetesRights::Rules(rules)
    });
    let role = fields
        .optional("clusterRole")
        .and_then(|node| f.text(node))
        .map(|name| KubernetesRights::ClusterRole(name.to_owned()));
    let held = fields.optional("destructive");
    let destructive: BTreeSet<_> = held
        .map(|node| texts(f, node, verb_on_resource))
        .unwrap_or_default()
        .into_iter()
        .map(ActionPattern)
        .collect();
    fields.finish();
    let rights = match (rules, role) {
        (Some(rights), None) | (None, Some(rights)) => rights,
        _ => {
            let message = "write either `rules` or `clusterRole`".to_owned();
            f.add(Diagnostic::new(Code::Value, node.span, message));
            return None;
        }
    };
    if let (Some(node), KubernetesRights::ClusterRole(_)) = (held, &rights) {
        let message = "nothing can be held back from a ClusterRole, whose rules are the cluster's; write `rules`".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    }
    if rights == KubernetesRights::Rules(Vec::new()) {
        f.add(Diagnostic::new(
            Code::EmptyGrant,
            node.span,
            "this grant allows nothing".to_owned(),
        ));
        return None;
    }
    Some((
        target?,
        KubernetesGrant {
            namespace: namespace?.to_string(),
            rights,
            destructive,
        }
        .into(),
    ))
}

/// Reads a verb on a resource: `delete deployments.apps`.
fn verb_on_resource(text: &str) -> Result<(), &'static str> {
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "./-".contains(c);
        !part.is_empty() && part.chars().all(known)
    };
    match text.split_once(' ') {
        Some((verb, resource)) if plain(verb) && plain(resource) => Ok(()),
        Some(_) | None => Err("write VERB RESOURCE, as in `delete deployments.apps`"),
    }
}

fn no_wildcard(text: &str) -> Result<(), &'static str> {
    if text.contains('*') {
        Err("wildcards are not used in the rules of a grant")
    } else {
        Ok(())
    }
}

fn rule(f: &Findings, node: &Node) -> Option<PolicyRule> {
    let rule = policy_rule(f, node)?;
    dangerous(f, node, &rule);
    Some(rule)
}

/// Reads an RBAC rule without wildcards, whatever it gives.
pub fn policy_rule(f: &Findings, node: &Node) -> Option<PolicyRule> {
    let fields = f.map(node)?;
    let api_groups = fields.required("apiGroups").map(|node| groups(f, node));
    let resources = fields
        .required("resources")
        .map(|node| texts(f, node, no_wildcard));
    let verbs = fields
        .required("verbs")
        .map(|node| texts(f, node, no_wildcard));
    let names = fields
        .optional("resourceNames")
        .map(|node| texts(f, node, no_wildcard));
    fields.finish();
    Some(PolicyRule {
        api_groups: api_groups?,
        resources: resources?,
        verbs: verbs?,
        resource_names: names.unwrap_or_default(),
    })
}

/// Reads API groups. The empty text is the core group.
fn groups(f: &Findings, node: &Node) -> BTreeSet<String> {
    f.list(node)
        .iter()
        .filter_map(|item| match &item.value {
            Yaml::Scalar { text, .. } if text.is_empty() => Some(String::new()),
            Yaml::Scalar { text, .. } if no_wildcard(text).is_ok() => Some(text.clone()),
            Yaml::Scalar { .. } | Yaml::List(_) | Yaml::Map(_) => {
                let message = "expected an API group without wildcards".to_owned();
                f.add(Diagnostic::new(Code::Value, item.span, message));
                None
            }
        })
        .collect()
}

/// Checks for rights that no grant may have, whatever its role.
fn dangerous(f: &Findings, node: &Node, rule: &PolicyRule) {
    let places = Places::new(node);
    for what in rule.never_given() {
        let message = format!("`{}` is never given to an agent", escaped(what));
        let span = places.word(node.span.at, what);
        f.add(Diagnostic::new(Code::DangerousRbac, span, message));
    }
}
