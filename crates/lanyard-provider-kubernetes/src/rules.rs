//! Compares the rights that a credential has with those that were granted.

use std::collections::BTreeSet;

use lanyard_charter::PolicyRule;
use ring::digest::SHA256;

/// Returns true for a right that every authenticated user of a cluster has: to ask about its own
/// rights.
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles>
fn is_baseline(group: &str, resource: &str, verb: &str) -> bool {
    const ABOUT_ITSELF: &[(&str, &str)] = &[
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authentication.k8s.io", "selfsubjectreviews"),
    ];
    verb == "create" && ABOUT_ITSELF.contains(&(group, resource))
}

fn triples(rule: &PolicyRule) -> impl Iterator<Item = (&str, &str, &str)> {
    rule.api_groups.iter().flat_map(move |group| {
        rule.resources.iter().flat_map(move |resource| {
            rule.verbs
                .iter()
                .map(move |verb| (group.as_str(), resource.as_str(), verb.as_str()))
        })
    })
}

fn names_within(found: &BTreeSet<String>, granted: &BTreeSet<String>) -> bool {
    granted.is_empty() || (!found.is_empty() && found.is_subset(granted))
}

/// Returns the first right in `found` that no rule of `granted` gives. Conservative: a right that
/// only two granted rules together give counts as exceeding.
#[must_use]
pub fn exceeding(found: &[PolicyRule], granted: &[PolicyRule]) -> Option<String> {
    found.iter().find_map(|rule| {
        let (group, resource, verb) = triples(rule).find(|&(group, resource, verb)| {
            let covered = granted.iter().any(|allowed| {
                allowed.api_groups.contains(group)
                    && allowed.resources.contains(resource)
                    && allowed.verbs.contains(verb)
                    && names_within(&rule.resource_names, &allowed.resource_names)
            });
            !covered && !is_baseline(group, resource, verb)
        })?;
        let dot = if group.is_empty() { "" } else { "." };
        Some(format!("{verb} {resource}{dot}{group}"))
    })
}

/// SHA-256 over the rules in a canonical order, to which a configuration pins a ClusterRole.
#[must_use]
pub fn digest(rules: &[PolicyRule]) -> String {
    let sorted: BTreeSet<&PolicyRule> = rules.iter().collect();
    let hash = ring::digest::digest(&SHA256, serde_json::json!(sorted).to_string().as_bytes());
    let hex: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(group: &str, resource: &str, verbs: &[&str], names: &[&str]) -> PolicyRule {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        PolicyRule {
            api_groups: texts(&[group]),
            resources: texts(&[resource]),
            verbs: texts(verbs),
            resource_names: texts(names),
        }
    }

    #[test]
    fn what_was_granted_and_the_baseline_do_not_exceed() {
        let granted = [rule("apps", "deployments", &["get", "list"], &[])];
        let about_itself = rule(
            "authorization.k8s.io",
            "selfsubjectaccessreviews",
            &["create"],
            &[],
        );
        let found = [rule("apps", "deployments", &["get"], &[]), about_itself];
        assert_eq!(exceeding(&found, &granted), None);
    }

    #[test]
    fn more_than_was_granted_is_named() {
        let granted = [rule("apps", "deployments", &["get"], &["web"])];
        let cases = [
            (
                rule("apps", "deployments", &["get", "delete"], &["web"]),
                "delete deployments.apps",
            ),
            (rule("", "secrets", &["get"], &[]), "get secrets"),
            (rule("*", "*", &["*"], &[]), "* *.*"),
            (
                rule("apps", "deployments", &["get"], &[]),
                "get deployments.apps",
            ),
            (
                rule("apps", "deployments", &["get"], &["web", "other"]),
                "get deployments.apps",
            ),
        ];
        for (found, named) in cases {
            assert_eq!(exceeding(&[found], &granted).as_deref(), Some(named));
        }
    }

    #[test]
    fn the_digest_is_of_the_rules_and_not_of_their_order() {
        let (one, two) = (
            rule("", "pods", &["get"], &[]),
            rule("apps", "deployments", &["get"], &[]),
        );
        assert_eq!(
            digest(&[one.clone(), two.clone()]),
            digest(&[two, one.clone()])
        );
        assert_ne!(digest(&[one]), digest(&[rule("", "pods", &["list"], &[])]));
    }
}
