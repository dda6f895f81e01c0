//! What is odd about a charter and does not keep it out of force.

use std::collections::BTreeSet;

use super::places::Places;
use super::{agents, powers, reads};
use crate::charter::{
    ActionPattern, ApprovalRule, Charter, Grant, Name, Prohibited, Rights, Role, World,
    pattern_contains,
};
use crate::document::{Code, Diagnostic, Findings, Node};
use crate::time::Ttl;

/// Beyond this, a credential that leaks is of use for long.
const LONG: Ttl = Ttl::at_least_a_second(3600);

pub(super) fn look(f: &Findings, charter: &Charter, root: &Node, world: &World) {
    let places = Places::new(root);
    agents::look(f, charter, &places);
    environments(f, charter, &places);
    prohibitions(f, charter, &places);
    approvals(f, charter, &places);
    plans(f, charter, &places);
    lifetimes(f, charter, &places);
    owners(f, charter, &places);
    for grant in charter.grants.values() {
        resources(f, grant, &places);
        actions(f, grant, &places);
        accounts(f, grant, &places, world);
        powers_of(f, grant, &places);
    }
    let production = |grant: &&Grant| grant.role == Role::Apply && grant.is_in_production(world);
    let bounded = charter.limits.revocable_within.is_some();
    if !bounded && let Some(grant) = charter.grants.values().find(production) {
        let message = format!(
            "grant {} applies in production, and nothing bounds how long its credentials outlive a kill",
            grant.name
        );
        let span = places.field(&["spec", "limits"]);
        f.add(Diagnostic::new(Code::NoBound, span, message).help("write limits.revocable_within"));
    }
}

fn environments(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let used: BTreeSet<&Name> = charter
        .grants
        .values()
        .flat_map(|grant| &grant.environments)
        .collect();
    for name in charter.environments.keys().filter(|n| !used.contains(n)) {
        let span = places.field(&["spec", "environments", name.as_str()]);
        let message = format!("no grant is for {name}");
        f.add(Diagnostic::new(Code::UnusedEnvironment, span, message));
    }
}

fn prohibitions(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let rights = || charter.grants.values().map(|grant| &grant.rights);
    let allowed: BTreeSet<String> = rights()
        .filter_map(|rights| match rights {
            Rights::Aws(rights) => Some(&rights.allow),
            Rights::Token(_) | Rights::Kubernetes(_) | Rights::Vault(_) | Rights::GitHub(_) => None,
        })
        .flatten()
        .flat_map(|statement| statement.actions.iter().map(ActionPattern::lower))
        .collect();
    for prohibition in &charter.prohibited {
        let reached = match &prohibition.what {
            Prohibited::Aws(patterns) => patterns.iter().map(ActionPattern::lower).any(|one| {
                let mut actions = allowed.iter();
                actions.any(|two| pattern_contains(&one, two) || pattern_contains(two, &one))
            }),
            Prohibited::Kubernetes(rule) => rights().any(|rights| match rights {
                Rights::Kubernetes(rights) => rights.may_touch(rule),
                Rights::Token(_) | Rights::Aws(_) | Rights::Vault(_) | Rights::GitHub(_) => false,
            }),
        };
        if !reached {
            let message = "no grant could reach what is prohibited here".to_owned();
            let span = places.at(prohibition.at);
            f.add(Diagnostic::new(Code::IdleProhibition, span, message));
        }
    }
}

fn approvals(f: &Findings, charter: &Charter, places: &Places<'_>) {
    for rule in &charter.approvals {
        let span = places.at(rule.at);
        if !charter.grants.values().any(|grant| is_about(rule, grant)) {
            let message = match &rule.environment {
                Some(environment) => {
                    format!("no grant with the {} role is for {environment}", rule.role)
                }
                None => format!("no grant has the {} role", rule.role),
            };
            f.add(Diagnostic::new(Code::IdleApproval, span, message));
            continue;
        }
        if rule.people > 0 && rule.from.is_empty() {
            let message = "everybody with the approver role may approve this".to_owned();
            let finding = Diagnostic::new(Code::AnybodyApproves, span, message);
            f.add(finding.help("name groups in `from`"));
        }
        if rule.uses > 1 {
            let message = format!("one approval is good for {} applies", rule.uses);
            f.add(Diagnostic::new(Code::ManyUses, span, message));
        }
    }
}

fn is_about(rule: &ApprovalRule, grant: &Grant) -> bool {
    let there = |name: &Name| grant.environments.contains(name);
    grant.role == rule.role && rule.environment.as_ref().is_none_or(there)
}

fn plans(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let Some(rule) = &charter.plans else { return };
    for name in &rule.environments {
        let needed = charter
            .grants
            .values()
            .any(|grant| grant.role == rule.role && grant.environments.contains(name));
        if !needed {
            let message = format!("no grant with the {} role is for {name}", rule.role);
            let span = places.word(rule.at, name.as_str());
            f.add(Diagnostic::new(Code::IdlePlan, span, message));
        }
    }
}

fn lifetimes(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let most = charter.limits.ttl;
    if most > LONG {
        let message = format!("credentials may live for {most}");
        let span = places.field(&["spec", "limits", "ttl"]);
        f.add(Diagnostic::new(Code::LongTtl, span, message));
    }
    for grant in charter.grants.values() {
        let longer = grant.ttl.filter(|ttl| *ttl > most);
        if let Some(ttl) = longer {
            let message = format!("the charter's limit of {most} is less than {ttl}");
            let span = places.field_of(grant.at, "ttl");
            f.add(Diagnostic::new(Code::IdleTtl, span, message));
        }
    }
}

fn owners(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let owners = &charter.owners;
    if owners.security == owners.technical || owners.security == owners.business {
        let message = format!("{} answers for security and for more", owners.security);
        let span = places.field(&["spec", "owners", "security"]);
        f.add(Diagnostic::new(Code::OneOwner, span, message));
    }
}

fn actions(f: &Findings, grant: &Grant, places: &Places<'_>) {
    let Rights::Aws(rights) = &grant.rights else {
        return;
    };
    for action in rights.allow.iter().flat_map(|statement| &statement.actions) {
        let Some(meant) = reads::unknown(action) else {
            continue;
        };
        let message = format!("grant {}: AWS lists no action {action}", grant.name);
        let finding = Diagnostic::new(
            Code::UnknownAction,
            places.word(grant.at, &action.0),
            message,
        );
        f.add(match meant {
            Some(meant) => finding.help(meant),
            None => finding,
        });
    }
}

fn powers_of(f: &Findings, grant: &Grant, places: &Places<'_>) {
    for (word, path) in powers::paths(&grant.rights) {
        let message = format!("grant {} could raise its own power: {path}", grant.name);
        let span = places.word(grant.at, &word);
        f.add(Diagnostic::new(Code::AdminEquivalent, span, message));
    }
}

fn accounts(f: &Findings, grant: &Grant, places: &Places<'_>, world: &World) {
    let (Rights::Aws(rights), Some(own)) = (&grant.rights, world.accounts.get(&grant.target))
    else {
        return;
    };
    let resources = rights
        .allow
        .iter()
        .flat_map(|statement| &statement.resources);
    for resource in resources {
        let account = resource.0.split(':').nth(4).unwrap_or_default();
        if account.is_empty() || account.contains('*') || account == own || account == "aws" {
            continue;
        }
        let message = format!(
            "grant {}: {resource} is in account {account}, and target {} is account {own}",
            grant.name, grant.target
        );
        let span = places.word(grant.at, &resource.0);
        f.add(Diagnostic::new(Code::ForeignAccount, span, message));
    }
}

fn resources(f: &Findings, grant: &Grant, places: &Places<'_>) {
    let Rights::Aws(rights) = &grant.rights else {
        return;
    };
    let every = |pattern: &str| {
        pattern == "*"
            || pattern
                .splitn(6, ':')
                .nth(5)
                .is_some_and(|name| name == "*")
    };
    let resources = rights
        .allow
        .iter()
        .flat_map(|statement| &statement.resources);
    if grant.role == Role::Apply {
        for resource in resources.filter(|resource| every(&resource.0)) {
            let message = format!("grant {} can change every resource: {resource}", grant.name);
            let span = places.word(grant.at, &resource.0);
            f.add(Diagnostic::new(Code::EveryResource, span, message));
        }
    }
}
