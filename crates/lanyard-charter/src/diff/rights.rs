//! The rights that one grant gives and another does not, by provider.

use std::collections::BTreeSet;

use super::within;

use crate::aws::{ActionPattern, AwsGrant};
use crate::charter::{Charter, Grant, Prohibited};
use crate::github::GitHubGrant;
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule};
use crate::pattern::pattern_contains;
use crate::rights::Rights;
use crate::token::TokenGrant;
use crate::vault::{VaultGives, VaultGrant};

/// The rights that this charter's grant gives and the other's does not.
pub(super) fn given(grant: &Grant, charter: &Charter, other: &Grant, of: &Charter) -> Vec<String> {
    match (&grant.rights, &other.rights) {
        (Rights::Token(one), Rights::Token(two)) => token(one, two),
        (Rights::Aws(one), Rights::Aws(two)) => aws((one, charter), (two, of)),
        (Rights::Kubernetes(one), Rights::Kubernetes(two)) => kubernetes(one, two),
        (Rights::Vault(one), Rights::Vault(two)) => vault(one, two),
        (Rights::GitHub(one), Rights::GitHub(two)) => github(one, two),
        (
            Rights::Token(_)
            | Rights::Aws(_)
            | Rights::Kubernetes(_)
            | Rights::Vault(_)
            | Rights::GitHub(_),
            _,
        ) => {
            vec![format!("a credential of {}", grant.rights.provider())]
        }
    }
}

fn token(one: &TokenGrant, two: &TokenGrant) -> Vec<String> {
    if one.audience != two.audience {
        return vec![format!("audience {}", one.audience)];
    }
    let scopes = one.scopes.difference(&two.scopes);
    scopes.map(|scope| format!("scope {scope}")).collect()
}

fn aws((one, charter): (&AwsGrant, &Charter), (two, of): (&AwsGrant, &Charter)) -> Vec<String> {
    let mut given = Vec::new();
    let prohibited = |charter: &Charter| -> Vec<ActionPattern> {
        let rules = charter.prohibited.iter();
        rules
            .filter_map(|rule| match &rule.what {
                Prohibited::Aws(patterns) => Some(patterns.clone()),
                Prohibited::Kubernetes(_) => None,
            })
            .flatten()
            .collect()
    };
    let (here, there) = (prohibited(charter), prohibited(of));
    let within = |wide: &ActionPattern, narrow: &ActionPattern| {
        pattern_contains(&wide.lower(), &narrow.lower())
    };
    for statement in &one.allow {
        for action in &statement.actions {
            let denied = here.iter().chain(&one.except);
            if denied.clone().any(|pattern| within(pattern, action)) {
                continue;
            }
            for pattern in two
                .except
                .iter()
                .filter(|it| within(it, action) || within(action, it))
            {
                if !denied.clone().any(|kept| within(kept, pattern)) {
                    given.push(format!("{action}, of which {pattern} was excepted"));
                }
            }
            for resource in &statement.resources {
                let known = two.allow.iter().any(|other| {
                    let mut actions = other.actions.iter();
                    let mut resources = other.resources.iter();
                    actions.any(|wide| within(wide, action))
                        && resources.any(|wide| pattern_contains(&wide.0, &resource.0))
                        && statement.when.within(&other.when)
                        && (statement.unnarrowed.is_none() || other.unnarrowed.is_some())
                });
                if !known {
                    let mut line = format!("{action} on {resource}");
                    if !statement.when.is_empty() {
                        line.push_str(&format!(", when {}", statement.when));
                    }
                    if statement.unnarrowed.is_some() {
                        line.push_str(", whatever a plan changes");
                    }
                    given.push(line);
                }
            }
            let touches =
                |pattern: &&ActionPattern| within(pattern, action) || within(action, pattern);
            for pattern in there.iter().filter(touches) {
                if !here.iter().any(|kept| within(kept, pattern)) {
                    given.push(format!("{action}, of which {pattern} was prohibited"));
                }
            }
            for pattern in two
                .destructive
                .iter()
                .filter(|pattern| within(action, pattern))
            {
                if !one.destructive.iter().any(|kept| within(kept, pattern)) {
                    given.push(format!("{pattern} without being named by the plan"));
                }
            }
        }
    }
    given
}

fn vault(one: &VaultGrant, two: &VaultGrant) -> Vec<String> {
    let policies = one.policies.difference(&two.policies);
    let mut given: Vec<String> = policies.map(|policy| format!("policy {policy}")).collect();
    match (&one.gives, &two.gives) {
        (VaultGives::Secret { path }, other) if *other != one.gives => {
            given.push(format!("secret {path}"));
        }
        (VaultGives::Token { .. }, VaultGives::Secret { .. }) => given.push("a token".to_owned()),
        (VaultGives::Token { uses }, VaultGives::Token { uses: Some(other) })
            if uses.is_none_or(|uses| uses > *other) =>
        {
            let uses = uses.map_or_else(|| "any number of".to_owned(), |uses| uses.to_string());
            given.push(format!("{uses} requests"));
        }
        (VaultGives::Token { .. } | VaultGives::Secret { .. }, _) => {}
    }
    given
}

fn github(one: &GitHubGrant, two: &GitHubGrant) -> Vec<String> {
    let mut given = Vec::new();
    for repository in &one.repositories {
        let known = two.repositories.contains(repository);
        for (name, access) in &one.permissions {
            let before = two.permissions.get(name).filter(|_| known);
            if before.is_none_or(|before| access > before) {
                given.push(format!("{name}: {access} in {repository}"));
            }
        }
    }
    if two.proposes && !one.proposes {
        given.push("more than proposals".to_owned());
    }
    given
}

fn kubernetes(one: &KubernetesGrant, two: &KubernetesGrant) -> Vec<String> {
    if one.namespace != two.namespace {
        return vec![format!("namespace {}", one.namespace)];
    }
    match (&one.rights, &two.rights) {
        (KubernetesRights::ClusterRole(name), other) => {
            let same = *other == one.rights;
            (!same)
                .then(|| format!("ClusterRole {name}"))
                .into_iter()
                .collect()
        }
        (KubernetesRights::Rules(rules), KubernetesRights::Rules(others)) => {
            let known = |asked: &PolicyRule| others.iter().any(|rule| rule.holds(asked));
            let atoms = rules.iter().flat_map(PolicyRule::atoms);
            let more = atoms.filter(|atom| !known(atom)).map(|atom| atom.line());
            let unheld = two.destructive.difference(&one.destructive);
            let unheld = unheld.map(|what| format!("{what} without being named by the plan"));
            more.chain(unheld).collect()
        }
        (KubernetesRights::Rules(rules), KubernetesRights::ClusterRole(_)) => {
            rules.iter().map(PolicyRule::line).collect()
        }
    }
}

impl PolicyRule {
    /// Splits a rule into rules of one group, resource, verb and name, which together mean the
    /// same.
    fn atoms(&self) -> Vec<Self> {
        let names: Vec<BTreeSet<String>> = if self.resource_names.is_empty() {
            vec![BTreeSet::new()]
        } else {
            self.resource_names
                .iter()
                .map(|name| [name.clone()].into())
                .collect()
        };
        let mut atoms = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    atoms.extend(names.iter().map(|names| Self {
                        api_groups: [group.clone()].into(),
                        resources: [resource.clone()].into(),
                        verbs: [verb.clone()].into(),
                        resource_names: names.clone(),
                    }));
                }
            }
        }
        atoms
    }

    /// True if this rule contains the atom.
    fn holds(&self, atom: &Self) -> bool {
        atom.api_groups.is_subset(&self.api_groups)
            && atom.resources.is_subset(&self.resources)
            && atom.verbs.is_subset(&self.verbs)
            && within(&atom.resource_names, &self.resource_names)
    }

    fn line(&self) -> String {
        let words = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
        let group = words(&self.api_groups);
        let group = if group.is_empty() {
            String::new()
        } else {
            format!(".{group}")
        };
        let names = words(&self.resource_names);
        let names = if names.is_empty() {
            String::new()
        } else {
            format!("/{names}")
        };
        format!(
            "{} {}{group}{names}",
            words(&self.verbs),
            words(&self.resources)
        )
    }
}
