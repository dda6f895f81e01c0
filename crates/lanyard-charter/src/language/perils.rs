//! Rights that need two people in every environment: opening the network perimeter, and deleting
//! resources that hold state.

use crate::aws::matched;
use crate::kubernetes::{KubernetesRights, PolicyRule};
use crate::rights::Rights;

/// Kubernetes kinds that decide who reaches whom.
const DOORS: &[&str] = &[
    "gateways",
    "httproutes",
    "ingresses",
    "networkpolicies",
    "services",
];
/// Kubernetes kinds whose deletion deletes data.
const STORES: &[&str] = &[
    "customresourcedefinitions",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "statefulsets",
];
const CHANGING: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const DELETING: &[&str] = &["delete", "deletecollection"];

/// The first such right of a grant, and why it is grave.
pub(super) fn found(rights: &Rights) -> Option<(String, &'static str)> {
    const OPENS: &str = "can open the network perimeter";
    const DELETES: &str = "can delete what holds state";
    match rights {
        Rights::Aws(rights) => rights
            .allow
            .iter()
            .flat_map(|statement| &statement.actions)
            .find_map(|pattern| {
                let held = matched(&pattern.lower()).into_iter();
                let given = held.filter(|action| !rights.denies(action));
                let mut why = given.filter_map(|action| {
                    let opens = action.opens_perimeter().then_some(OPENS);
                    opens.or_else(|| action.deletes_state().then_some(DELETES))
                });
                Some((pattern.0.clone(), why.next()?))
            }),
        Rights::Kubernetes(rights) => {
            let KubernetesRights::Rules(rules) = &rights.rights else {
                return None;
            };
            rules.iter().find_map(|rule| {
                let opens = kind(rule, DOORS, CHANGING).map(|word| (word, OPENS));
                opens.or_else(|| kind(rule, STORES, DELETING).map(|word| (word, DELETES)))
            })
        }
        Rights::GitHub(rights) => rights
            .deletes()
            .then(|| ("administration".to_owned(), DELETES)),
        Rights::Token(_) | Rights::Vault(_) => None,
    }
}

fn kind(rule: &PolicyRule, kinds: &[&str], verbs: &[&str]) -> Option<String> {
    let verb = verbs.iter().any(|verb| rule.verbs.contains(*verb));
    let resource = rule
        .resources
        .iter()
        .find(|one| kinds.contains(&one.as_str()));
    resource.filter(|_| verb).cloned()
}
