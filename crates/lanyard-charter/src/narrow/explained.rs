//! Explains to approvers what narrowing to a plan does.

use std::collections::BTreeSet;

use super::ToPlan;
use super::plan::both;
use crate::aws::{AwsGrant, only_reads};
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule};
use crate::reach::{Arn, KubernetesObject, Narrowing, PlanReach};
use crate::rights::Rights;

impl Rights {
    /// Lists what a session narrowed to this reach is given, and what it is not.
    #[must_use]
    pub fn narrowing(&self, reach: Option<&PlanReach>) -> Narrowing {
        let narrowed = match reach.map(|reach| (reach, self.to_plan(reach))) {
            Some((reach, ToPlan::Narrowed(rights) | ToPlan::Partly(rights, _))) => {
                Some((reach, rights))
            }
            Some((_, ToPlan::Whole(_) | ToPlan::Nothing)) | None => None,
        };
        let Some((reach, rights)) = narrowed else {
            return Narrowing {
                gives: self.lines(),
                ..Narrowing::default()
            };
        };
        let (withholds, lacks) = match (self, &rights) {
            (Self::Aws(grant), _) => {
                let arns = &reach.aws.named;
                (grant.withholds(arns), grant.lacks(arns))
            }
            (Self::Kubernetes(grant), Self::Kubernetes(narrowed)) => {
                let objects = &reach.kubernetes.named;
                (grant.withholds(narrowed), narrowed.lacks(objects))
            }
            (Self::Kubernetes(_) | Self::Token(_) | Self::Vault(_) | Self::GitHub(_), _) => {
                (Vec::new(), Vec::new())
            }
        };
        Narrowing {
            gives: rights.lines(),
            withholds,
            lacks,
        }
    }

    /// Lists briefly what the rights can change, for somebody who submitted a plan of something
    /// else.
    #[must_use]
    pub fn changes_in_short(&self) -> String {
        match self {
            Self::Aws(grant) => {
                let changing = grant.allow.iter().filter(|statement| {
                    let mut actions = statement.actions.iter();
                    actions.any(|action| !only_reads(action, &statement.when))
                });
                let resources = changing.flat_map(|statement| &statement.resources);
                shortened(resources.map(ToString::to_string))
            }
            Self::Kubernetes(grant) => match &grant.rights {
                KubernetesRights::Rules(rules) => {
                    let resources = rules.iter().flat_map(|rule| &rule.resources);
                    let resources: BTreeSet<&String> = resources.collect();
                    let resources = shortened(resources.into_iter().cloned());
                    format!("{resources} in namespace `{}`", grant.namespace)
                }
                KubernetesRights::ClusterRole(name) => {
                    format!("ClusterRole {name} in namespace `{}`", grant.namespace)
                }
            },
            Self::Token(_) | Self::Vault(_) | Self::GitHub(_) => self.lines().join("; "),
        }
    }
}

impl PlanReach {
    /// Lists briefly what the plan changes.
    #[must_use]
    pub fn in_short(&self) -> String {
        let aws = self.aws.named.iter().map(ToString::to_string);
        let objects = self.kubernetes.named.iter().map(ToString::to_string);
        shortened(aws.chain(objects))
    }
}

/// How many objects a message names.
const NAMED: usize = 3;

fn shortened(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let named = named.join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn joined<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|it| it.to_string()).collect();
    all.join(", ")
}

impl AwsGrant {
    fn withholds(&self, arns: &BTreeSet<Arn>) -> Vec<String> {
        let lines = self.allow.iter().filter_map(|statement| {
            let split = statement.split(arns);
            if split.narrowed.is_empty() || split.resources == statement.resources {
                return None;
            }
            let (actions, wide) = (joined(&split.narrowed), joined(&statement.resources));
            Some(if split.resources.is_empty() {
                format!("{actions} on {wide}: the plan changes nothing there")
            } else {
                format!("{actions} on whatever else {wide} matches")
            })
        });
        lines.collect()
    }

    /// The ARNs that no statement can change.
    fn lacks(&self, arns: &BTreeSet<Arn>) -> Vec<String> {
        let changes = |arn: &Arn| {
            self.allow.iter().any(|statement| {
                let mut actions = statement.actions.iter();
                let begin = format!("{}:", arn.service);
                let acts = actions.any(|action| {
                    action.lower().starts_with(&begin) && !only_reads(action, &statement.when)
                });
                let mut resources = statement.resources.iter();
                acts && resources.any(|it| it.0 == "*" || !both(&it.0, arn).is_empty())
            })
        };
        arns.iter()
            .filter(|arn| !changes(arn))
            .map(ToString::to_string)
            .collect()
    }
}

impl KubernetesGrant {
    fn rules(&self) -> &[PolicyRule] {
        match &self.rights {
            KubernetesRights::Rules(rules) => rules,
            KubernetesRights::ClusterRole(_) => &[],
        }
    }

    /// The combinations of group, resource and verb that the remaining rules lack.
    fn withholds(&self, narrowed: &Self) -> Vec<String> {
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
    fn lacks(&self, objects: &BTreeSet<KubernetesObject>) -> Vec<String> {
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
