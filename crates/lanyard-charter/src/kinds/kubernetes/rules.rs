//! Rules of `kubernetes` grants that no charter can turn off.

use lanyard_document::Code;
use lanyard_vocabulary::role::Role;

use crate::charter::Grant;
use crate::kubernetes::{KubernetesGrant, PolicyRule};
use crate::world::Check;

pub(super) fn held_back(
    check: &Check<'_>,
    grant: &Grant,
    rights: &KubernetesGrant,
    all: &[PolicyRule],
) {
    for action in &rights.destructive {
        let gives = |rule: &PolicyRule| {
            rule.verbs.iter().any(|verb| {
                rule.resources.iter().any(|resource| {
                    let mut groups = rule.api_groups.iter();
                    groups.any(|group| action.is_of_rbac(verb, resource, group))
                })
            })
        };
        if !all.iter().any(gives) {
            let name = &grant.name;
            let message =
                format!("grant {name}: {action} is called destructive and is not allowed");
            check.report(grant, &action.0, Code::Destructive, message);
        }
    }
}

pub(super) fn namespace(check: &Check<'_>, grant: &Grant, rights: &KubernetesGrant) {
    let namespace = &rights.namespace;
    if check.world.own_namespaces.contains(namespace) {
        let message = format!(
            "grant {} is for namespace `{namespace}`, which is the broker's own",
            grant.name
        );
        let finding = check.about(grant, namespace, Code::OwnNamespace, message);
        check
            .f
            .add(finding.help("name the namespace of a workload"));
    }
}

pub(super) fn kubernetes(check: &Check<'_>, grant: &Grant, rule: &PolicyRule) {
    let name = &grant.name;
    if grant.role == Role::Plan {
        for what in rule.more_than_reading() {
            let message =
                format!("grant {name} has the plan role, and {what} can do more than read");
            check.report(grant, what, Code::PlanWrites, message);
        }
    }
}
