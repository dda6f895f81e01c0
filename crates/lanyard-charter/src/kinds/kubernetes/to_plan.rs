//! What of a `kubernetes` grant a plan needs, and how grants on one namespace compare.

use std::collections::BTreeSet;

use crate::kubernetes::{
    KubernetesGrant, KubernetesObject, KubernetesRights, PolicyRule, acts_when_read,
};
use crate::narrow::joined;
use crate::pattern::is_within;

/// Verbs that change nothing.
const READING: &[&str] = &["get", "list", "watch"];

pub(super) fn to_objects(
    rules: &[PolicyRule],
    namespace: &str,
    objects: &BTreeSet<KubernetesObject>,
) -> Option<Vec<PolicyRule>> {
    let mut narrowed = BTreeSet::new();
    let mut writes = false;
    for rule in rules {
        let acts = |resource: &String| acts_when_read(resource);
        let (acting, plain): (BTreeSet<String>, BTreeSet<String>) =
            rule.resources.iter().cloned().partition(acts);
        let reads = |verb: &&String| READING.contains(&verb.as_str());
        let reading: BTreeSet<String> = rule.verbs.iter().filter(reads).cloned().collect();
        if !reading.is_empty() && !plain.is_empty() {
            narrowed.insert(PolicyRule {
                verbs: reading,
                resources: plain,
                ..rule.clone()
            });
        }
        let pairs = rule
            .api_groups
            .iter()
            .flat_map(|group| rule.resources.iter().map(move |resource| (group, resource)));
        for (group, resource) in pairs {
            let kind = resource.split('/').next().unwrap_or_default();
            let is_part = resource.contains('/');
            let writing: BTreeSet<&String> = rule
                .verbs
                .iter()
                .filter(|verb| acting.contains(resource) || !reads(verb))
                .collect();
            let about: Vec<_> = objects
                .iter()
                .filter(|it| it.group == *group && it.resource == kind && it.is_in(namespace))
                .collect();
            let of = |verbs: BTreeSet<String>, names: BTreeSet<String>| PolicyRule {
                api_groups: [group.clone()].into(),
                resources: [resource.clone()].into(),
                verbs,
                resource_names: names,
            };
            let made = about.iter().any(|object| object.created);
            if made && !is_part && writing.iter().any(|verb| *verb == "create") {
                writes = true;
                let verbs = ["create".to_owned()].into();
                narrowed.insert(of(verbs, rule.resource_names.clone()));
            }
            let names = &rule.resource_names;
            let named: BTreeSet<String> = about
                .iter()
                .map(|object| object.name.clone())
                .filter(|name| names.is_empty() || names.contains(name))
                .collect();
            // A part is created of an object that has a name, so RBAC binds the rule to that name.
            let verbs = writing
                .into_iter()
                .filter(|verb| changes_one(verb) || is_part && *verb == "create")
                .cloned();
            let verbs: BTreeSet<String> = verbs.collect();
            if !named.is_empty() && !verbs.is_empty() {
                writes = true;
                narrowed.insert(of(verbs, named));
            }
        }
    }
    writes.then(|| narrowed.into_iter().collect())
}

/// True if a request with this verb names one object. A rule's names do not restrict the other
/// verbs.
fn changes_one(verb: &str) -> bool {
    !matches!(verb, "create" | "deletecollection")
}

impl KubernetesGrant {
    fn rules(&self) -> &[PolicyRule] {
        match &self.rights {
            KubernetesRights::Rules(rules) => rules,
            KubernetesRights::ClusterRole(_) => &[],
        }
    }

    /// The combinations of group, resource and verb that the remaining rules lack.
    pub(super) fn withholds(&self, narrowed: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for rule in self.rules() {
            for (group, resource) in rule.pairs() {
                let held = |verb: &&String, named: bool| {
                    narrowed.rules().iter().any(|it| {
                        it.api_groups.contains(group)
                            && it.resources.contains(resource)
                            && it.verbs.contains(*verb)
                            && (!named || it.resource_names == rule.resource_names)
                    })
                };
                let (some, gone): (Vec<&String>, Vec<&String>) = rule
                    .verbs
                    .iter()
                    .filter(|verb| !held(verb, true))
                    .partition(|verb| held(verb, false));
                let dot = if group.is_empty() { "" } else { "." };
                let of = format!("{resource}{dot}{group} in {}", self.namespace);
                if !gone.is_empty() {
                    lines.push(format!("{} of {of}: the plan changes none", joined(gone)));
                }
                if !some.is_empty() {
                    lines.push(format!("{} of other {of}", joined(some)));
                }
            }
        }
        lines
    }

    /// The objects that no rule can change.
    pub(super) fn lacks(&self, objects: &BTreeSet<KubernetesObject>) -> Vec<String> {
        let changes = |object: &&KubernetesObject| {
            object.is_in(&self.namespace)
                && self.rules().iter().any(|rule| {
                    let writes = |verb: &String| !matches!(verb.as_str(), "get" | "list" | "watch");
                    let names = &rule.resource_names;
                    rule.api_groups.contains(&object.group)
                        && rule.resources.contains(&object.resource)
                        && rule.verbs.iter().any(writes)
                        && (names.is_empty() || names.contains(&object.name))
                })
        };
        let lacking = objects.iter().filter(|object| !changes(object));
        lacking.map(ToString::to_string).collect()
    }
}

impl PolicyRule {
    fn pairs(&self) -> impl Iterator<Item = (&String, &String)> {
        let groups = self.api_groups.iter();
        groups.flat_map(|group| self.resources.iter().map(move |resource| (group, resource)))
    }
}

impl PolicyRule {
    pub(super) fn narrowed(&self, other: &Self) -> Option<Self> {
        let both = |one: &BTreeSet<String>, two: &BTreeSet<String>| -> BTreeSet<String> {
            one.intersection(two).cloned().collect()
        };
        let resource_names = match (
            self.resource_names.is_empty(),
            other.resource_names.is_empty(),
        ) {
            (true, _) => other.resource_names.clone(),
            (_, true) => self.resource_names.clone(),
            (false, false) => {
                let names = both(&self.resource_names, &other.resource_names);
                if names.is_empty() {
                    return None;
                }
                names
            }
        };
        let rule = Self {
            api_groups: both(&self.api_groups, &other.api_groups),
            resources: both(&self.resources, &other.resources),
            verbs: both(&self.verbs, &other.verbs),
            resource_names,
        };
        let some =
            !rule.api_groups.is_empty() && !rule.resources.is_empty() && !rule.verbs.is_empty();
        some.then_some(rule)
    }
}

impl PolicyRule {
    /// Splits a rule into rules of one group, resource, verb and name, which together mean the
    /// same.
    pub(super) fn atoms(&self) -> Vec<Self> {
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
    pub(super) fn holds(&self, atom: &Self) -> bool {
        atom.api_groups.is_subset(&self.api_groups)
            && atom.resources.is_subset(&self.resources)
            && atom.verbs.is_subset(&self.verbs)
            && is_within(&atom.resource_names, &self.resource_names)
    }

    pub(super) fn line(&self) -> String {
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
