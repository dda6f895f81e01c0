//! Grants that could extend their own rights, with the path.

use crate::aws::{Power, power};
use crate::charter::{Charter, Grant};
use crate::kubernetes::{KubernetesRights, PolicyRule};
use crate::rights::Rights;

/// Resources that start or change pods, which may use any service account of the namespace and
/// mount its secrets.
const WORKLOADS: &[&str] = &[
    "pods",
    "deployments",
    "daemonsets",
    "statefulsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
];
const CHANGING: &[&str] = &["create", "update", "patch"];

impl Charter {
    /// The grants that could extend their own rights.
    pub fn admin_equivalent(&self) -> impl Iterator<Item = &Grant> {
        let grants = self.grants.values();
        grants.filter(|grant| !paths(&grant.rights).is_empty())
    }
}

/// The words of the grant that lead to more rights, each with the path.
pub(super) fn paths(rights: &Rights) -> Vec<(String, String)> {
    match rights {
        Rights::Aws(rights) => {
            let statements = rights.allow.iter();
            let each = statements.flat_map(|statement| {
                let actions = statement.actions.iter();
                actions.map(move |action| (action, &statement.when))
            });
            each.filter_map(|(pattern, when)| {
                let (action, Power::Raises(how)) = power(rights, pattern, when)? else {
                    return None;
                };
                let through = if pattern.is_wild() {
                    format!(" ({action})")
                } else {
                    String::new()
                };
                Some((pattern.0.clone(), format!("{pattern}{through}: {how}")))
            })
            .collect()
        }
        Rights::Kubernetes(rights) => match &rights.rights {
            KubernetesRights::Rules(rules) => rules.iter().filter_map(workload).collect(),
            KubernetesRights::ClusterRole(_) => Vec::new(),
        },
        Rights::GitHub(rights) => rights
            .powers()
            .map(|(name, how)| (name.to_owned(), format!("{name}: {how}")))
            .collect(),
        // What its policies hold is known to that Vault alone.
        Rights::Token(_) | Rights::Vault(_) => Vec::new(),
    }
}

fn workload(rule: &PolicyRule) -> Option<(String, String)> {
    let verb = CHANGING.iter().find(|verb| rule.verbs.contains(**verb))?;
    let resource = WORKLOADS
        .iter()
        .find(|resource| rule.resources.contains(**resource))?;
    let path = format!(
        "{verb} {resource}: its pods may name any service account of the namespace, and mount its secrets"
    );
    Some(((*resource).to_owned(), path))
}
