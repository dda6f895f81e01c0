//! The section `kubernetes` of a grant.

use std::collections::BTreeSet;

use lanyard_document::shape::{Choice, Empty, Form, List, Map, Shape, optional, required};
use lanyard_document::{Code, Diagnostic, Item, Section, Value as Yaml};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use crate::aws::ActionPattern;
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule};
use crate::places::Places;
use crate::rights::Rights;

const NOTHING: &str = "this grant allows nothing";

pub(super) fn shape() -> Map {
    let rules = List::of(policy_rule_shape()).not_empty(Empty::new(Code::EmptyGrant, NOTHING));
    let destructive = "Rights of the rules that are given only where the approved plan names them: \
                       `delete deployments.apps`.";
    Map::new()
        .with(required(
            "namespace",
            "The namespace in which the rights are bound.",
            Form::NAME,
        ))
        .with(
            Choice::exactly_one([
                vec![required("rules", "What may be done there.", rules)],
                vec![required(
                    "clusterRole",
                    "A role that the cluster's owners made.",
                    Shape::Text,
                )],
            ])
            .code(Code::Value),
        )
        .with(optional("destructive", destructive, List::of(VERB_ON_RESOURCE)).absent("none"))
}

pub(super) fn section_of(section: &Section<'_>) -> Option<Rights> {
    let namespace = section.get("namespace").and_then(Item::parsed::<Name>);
    let rules = section.get("rules").map(|item| {
        let rules = item.items().into_iter().filter_map(rule);
        (item, rules.collect::<Vec<_>>())
    });
    let role = section.get("clusterRole").map(Item::text);
    let held = section.get("destructive");
    let destructive = held.map(Item::texts).unwrap_or_default().into_iter();
    let destructive: BTreeSet<_> = destructive.map(ActionPattern).collect();
    let rights = match (rules, role) {
        (Some((item, rules)), None) => {
            if rules.is_empty() {
                item.report(Code::EmptyGrant, NOTHING);
                return None;
            }
            KubernetesRights::Rules(rules)
        }
        (None, Some(name)) => KubernetesRights::ClusterRole(name?.to_owned()),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    if let (Some(item), KubernetesRights::ClusterRole(_)) = (held, &rights) {
        let message = "nothing can be held back from a ClusterRole, whose rules are the cluster's; write `rules`";
        item.report(Code::Value, message);
        return None;
    }
    let namespace = namespace?.to_string();
    Some(
        KubernetesGrant {
            namespace,
            rights,
            destructive,
        }
        .into(),
    )
}

/// A verb on a resource: `delete deployments.apps`.
const VERB_ON_RESOURCE: Form =
    Form::new("`VERB RESOURCE.GROUP`", "^[a-z0-9./-]+ [a-z0-9./-]+$").checked(verb_on_resource);

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

fn rule(item: Item<'_>) -> Option<PolicyRule> {
    let rule = policy_rule(item)?;
    dangerous(item, &rule);
    Some(rule)
}

/// Describes an RBAC rule.
#[must_use]
pub fn policy_rule_shape() -> Map {
    let group = Form::new("a text without wildcards", "^[^*]*$");
    let plain = Form::new("a text without wildcards", "^[^*]+$").checked(no_wildcard);
    let resources = "The resources in the plural, with a subresource where one is meant: \
                     `pods/log`.";
    let names = "The objects by their names.";
    Map::new()
        .with(required(
            "apiGroups",
            "The API groups; `\"\"` is the core group.",
            List::of(group),
        ))
        .with(required("resources", resources, List::of(plain)))
        .with(required("verbs", "The verbs of RBAC.", List::of(plain)))
        .with(optional("resourceNames", names, List::of(plain)).absent("every object"))
}

/// Reads an RBAC rule without wildcards, whatever it gives.
#[must_use]
pub fn policy_rule(item: Item<'_>) -> Option<PolicyRule> {
    let section = item.section()?;
    let api_groups = section.get("apiGroups").map(groups);
    let texts = |name| section.get(name).map(Item::texts);
    let (resources, verbs) = (texts("resources"), texts("verbs"));
    let names = texts("resourceNames");
    Some(PolicyRule {
        api_groups: api_groups?,
        resources: resources?,
        verbs: verbs?,
        resource_names: names.unwrap_or_default(),
    })
}

/// Reads API groups. The empty text is the core group.
fn groups(item: Item<'_>) -> BTreeSet<String> {
    let items = item.items().into_iter();
    let groups = items.filter_map(|item| match &item.node.value {
        Yaml::Scalar { text, .. } if no_wildcard(text).is_ok() => Some(text.clone()),
        Yaml::Scalar { .. } | Yaml::List(_) | Yaml::Map(_) => {
            item.report(Code::Value, "expected an API group without wildcards");
            None
        }
    });
    groups.collect()
}

/// Checks for rights that no grant may have, whatever its role.
fn dangerous(item: Item<'_>, rule: &PolicyRule) {
    let places = Places::new(item.node);
    for what in rule.never_given() {
        let message = format!("`{}` is never given to an agent", escaped(what));
        let span = places.word(item.span().at, what);
        item.f
            .add(Diagnostic::new(Code::DangerousRbac, span, message));
    }
}
