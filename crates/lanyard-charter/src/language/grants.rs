//! The section `grants`, by provider.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::name::Name;

use super::bounds::{MAX_TTL, at_most};
use super::names::{named, target};
use super::words::{ROLES, texts};
use super::{aws, github, vault};
use crate::aws::ActionPattern;
use crate::charter::{Autonomy, Grant};
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule};
use crate::rights::Rights;
use crate::token::TokenGrant;
use crate::world::{TargetKind, World};

pub(super) fn all(
    f: &Findings,
    node: &Node,
    world: &World,
    known: &BTreeMap<Name, Autonomy>,
) -> BTreeMap<Name, Grant> {
    let mut grants = BTreeMap::new();
    if !at_most(f, node, "grants", f.list(node).len()) {
        return grants;
    }
    for item in f.list(node) {
        let Some(grant) = grant(f, item, world, known) else {
            continue;
        };
        if grants.contains_key(&grant.name) {
            let message = format!("there is a grant `{}` already", grant.name);
            f.add(Diagnostic::new(Code::DuplicateGrant, item.span, message));
        }
        grants.insert(grant.name.clone(), grant);
    }
    grants
}

fn grant(
    f: &Findings,
    node: &Node,
    world: &World,
    known: &BTreeMap<Name, Autonomy>,
) -> Option<Grant> {
    let fields = f.map(node)?;
    let name = fields.required("name").and_then(|node| f.parsed(node));
    let role = fields
        .required("role")
        .and_then(|node| f.one_of(node, ROLES));
    let environments = fields
        .required("environments")
        .map(|node| named(f, node, known));
    let lifetime = fields
        .optional("ttl")
        .and_then(|node| f.span_of_time(node, MAX_TTL));
    let sections = [
        fields.optional("token").map(|node| token(f, node, world)),
        fields.optional("aws").map(|node| aws::aws(f, node, world)),
        fields
            .optional("kubernetes")
            .map(|node| kubernetes(f, node, world)),
        fields
            .optional("vault")
            .map(|node| vault::vault(f, node, world)),
        fields
            .optional("github")
            .map(|node| github::github(f, node, world)),
    ];
    fields.finish();
    let mut sections = sections.into_iter().flatten();
    let (Some(section), None) = (sections.next(), sections.next()) else {
        let message =
            "a grant is for one of `token`, `aws`, `kubernetes`, `vault` and `github`".to_owned();
        f.add(Diagnostic::new(Code::GrantKind, node.span, message));
        return None;
    };
    let (target, rights) = section?;
    let (name, role, environments) = (name?, role?, environments?);
    Some(Grant {
        name,
        role,
        environments,
        target,
        rights,
        ttl: lifetime,
        at: node.span.at,
    })
}

fn token(f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
    let fields = f.map(node)?;
    let target = target(f, &fields, world, TargetKind::Token);
    let audience = fields.required("audience").and_then(|node| f.text(node));
    let scopes = fields
        .optional("scopes")
        .map(|node| texts(f, node, scope_token))
        .unwrap_or_default();
    fields.finish();
    Some((
        target?,
        Rights::Token(TokenGrant {
            audience: audience?.to_owned(),
            scopes,
        }),
    ))
}

/// Checks a scope token (RFC 6749 section 3.3).
fn scope_token(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if text.bytes().all(allowed) {
        Ok(())
    } else {
        Err("a scope has no spaces, quotes or backslashes")
    }
}

fn kubernetes(f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
    let fields = f.map(node)?;
    let target = target(f, &fields, world, TargetKind::Kubernetes);
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
        Rights::Kubernetes(KubernetesGrant {
            namespace: namespace?.to_string(),
            rights,
            destructive,
        }),
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
    super::rules::dangerous(f, node, &rule);
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
    use lanyard_document::Value;
    f.list(node)
        .iter()
        .filter_map(|item| match &item.value {
            Value::Scalar { text, .. } if text.is_empty() => Some(String::new()),
            Value::Scalar { text, .. } if no_wildcard(text).is_ok() => Some(text.clone()),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
                let message = "expected an API group without wildcards".to_owned();
                f.add(Diagnostic::new(Code::Value, item.span, message));
                None
            }
        })
        .collect()
}

/// Reads a rule of a prohibition, where a missing list and `*` mean everything.
pub(super) fn prohibited_rule(f: &Findings, node: &Node) -> Option<PolicyRule> {
    let fields = f.map(node)?;
    let part = |name| {
        fields
            .optional(name)
            .map(|node| texts(f, node, |_| Ok(())))
            .unwrap_or_else(|| ["*".to_owned()].into())
    };
    let rule = PolicyRule {
        api_groups: part("apiGroups"),
        resources: part("resources"),
        verbs: part("verbs"),
        resource_names: BTreeSet::new(),
    };
    fields.finish();
    Some(rule)
}
