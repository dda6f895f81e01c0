//! What of an `aws` grant a plan needs, and what that leaves out.

use std::collections::BTreeSet;

use crate::aws::{
    ActionPattern, Arn, AwsGrant, AwsStatement, ResourcePattern, is_of_a_backend, only_reads,
};
use crate::narrow::joined;
use crate::pattern::pattern_contains;
use crate::rights::{Rights, ToPlan};

/// A statement after narrowing.
pub(super) struct Split {
    /// The actions that stay as they are.
    pub(super) kept: BTreeSet<ActionPattern>,
    /// The actions that are limited to the plan's objects.
    pub(super) narrowed: BTreeSet<ActionPattern>,
    /// The plan's objects within the statement's resources.
    pub(super) resources: BTreeSet<ResourcePattern>,
}

impl AwsStatement {
    /// True for an action that names no resource. Such an action cannot be narrowed, so it stays
    /// and does not count as part of the plan (S22).
    fn is_free(&self) -> bool {
        self.resources.iter().any(|pattern| pattern.0 == "*")
    }

    pub(super) fn split(&self, arns: &BTreeSet<Arn>) -> Split {
        let free = self.is_free() || self.unnarrowed.is_some();
        let stays =
            |action: &ActionPattern| free || passes(action) || only_reads(action, &self.when);
        let (kept, narrowed) = self.actions.iter().cloned().partition(stays);
        let resources = self
            .resources
            .iter()
            .flat_map(|pattern| arns.iter().flat_map(move |arn| both(&pattern.0, arn)))
            .map(ResourcePattern)
            .collect();
        Split {
            kept,
            narrowed,
            resources,
        }
    }

    /// Says what the statement can change whatever the plan names, except what a Terraform backend
    /// does with its state.
    fn beyond(&self) -> Option<String> {
        let changes = |action: &&ActionPattern| !only_reads(action, &self.when);
        let line = |actions: BTreeSet<&ActionPattern>, of: &str| {
            let actions: Vec<_> = actions.into_iter().map(ToString::to_string).collect();
            (!actions.is_empty()).then(|| format!("{} on {of}", actions.join(", ")))
        };
        let changing = self.actions.iter().filter(changes);
        if self.is_free() {
            return line(changing.collect(), "any resource");
        }
        self.unnarrowed.as_ref()?;
        let more = changing.filter(|action| !is_of_a_backend(action));
        let resources: Vec<_> = self.resources.iter().map(ToString::to_string).collect();
        line(more.collect(), &resources.join(", "))
    }
}

/// True if the action passes on a role. The grant names the role, and no plan does.
fn passes(action: &ActionPattern) -> bool {
    action.lower() == "iam:passrole"
}

impl AwsGrant {
    /// True if no plan narrows the statement and it changes no more than a Terraform backend does
    /// with its state.
    #[must_use]
    pub fn is_for_state(&self) -> bool {
        self.allow.iter().all(|statement| {
            let split = statement.split(&BTreeSet::new());
            split.narrowed.is_empty()
                && statement.beyond().is_none()
                && !statement.actions.iter().any(passes)
        })
    }

    pub(super) fn to_arns(&self, arns: &BTreeSet<Arn>) -> ToPlan {
        let mut writes = false;
        let mut beyond = BTreeSet::new();
        let mut passed = BTreeSet::new();
        let mut allow = Vec::new();
        for statement in &self.allow {
            beyond.extend(statement.beyond());
            if statement.actions.iter().any(passes) {
                passed.extend(statement.resources.iter().map(ToString::to_string));
            }
            let split = statement.split(arns);
            if !split.kept.is_empty() {
                allow.push(AwsStatement {
                    actions: split.kept,
                    ..statement.clone()
                });
            }
            if !split.narrowed.is_empty() && !split.resources.is_empty() {
                writes = true;
                allow.push(AwsStatement {
                    actions: split.narrowed,
                    resources: split.resources,
                    ..statement.clone()
                });
            }
        }
        if !writes && beyond.is_empty() {
            return ToPlan::Nothing;
        }
        let rights = Rights::from(Self {
            allow,
            ..self.clone()
        });
        let mut more: Vec<String> = beyond.into_iter().collect();
        if !passed.is_empty() {
            let roles: Vec<String> = passed.into_iter().collect();
            more.push(format!("iam:PassRole of {}", roles.join(", ")));
        }
        if more.is_empty() {
            return ToPlan::Narrowed(rights);
        }
        ToPlan::Partly(rights, more.join("; "))
    }
}

/// The part of the pattern that concerns this ARN, or what is beneath it.
pub(super) fn both(pattern: &str, arn: &Arn) -> Vec<String> {
    let beneath = match arn.service.as_str() {
        "dynamodb" => Some("/*"),
        "logs" | "lambda" => Some(":*"),
        _ => None,
    };
    let own = format!("{}{}", arn.resource, beneath.unwrap_or_default());
    let resources = std::iter::once(arn.resource.clone()).chain(beneath.map(|_| own));
    resources
        .filter_map(|resource| meet(pattern, arn, &resource))
        .collect()
}

/// The intersection of pattern and ARN: parts that the plan leaves open are as in the pattern.
fn meet(pattern: &str, arn: &Arn, resource: &str) -> Option<String> {
    let parts: Vec<&str> = pattern.splitn(6, ':').collect();
    let [head, partition, service, region, account, wide] = parts.as_slice() else {
        return None;
    };
    let part = |of: &str, known: Option<&String>| match known {
        None => Some(of.to_owned()),
        Some(known) => pattern_contains(of, known).then(|| known.clone()),
    };
    let partition = part(partition, arn.partition.as_ref())?;
    let region = part(region, arn.region.as_ref())?;
    let account = part(account, arn.account.as_ref())?;
    let met = format!(
        "{head}:{partition}:{}:{region}:{account}:{resource}",
        arn.service
    );
    let within = pattern_contains(service, &arn.service) && pattern_contains(wide, resource);
    (within && pattern_contains(pattern, &met)).then_some(met)
}

impl AwsGrant {
    pub(super) fn withholds(&self, arns: &BTreeSet<Arn>) -> Vec<String> {
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
    pub(super) fn lacks(&self, arns: &BTreeSet<Arn>) -> Vec<String> {
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
