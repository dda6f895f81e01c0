//! How two `aws` grants compare: what one gives beyond the other, and what both give.

use std::collections::BTreeSet;

use crate::aws::{ActionPattern, AwsGrant, AwsStatement};
use crate::pattern::pattern_contains;
use crate::prohibited_actions::ProhibitedActions;
use crate::prohibition::Prohibition;

pub(super) fn beyond(
    one: &AwsGrant,
    two: &AwsGrant,
    prohibited: [&[Prohibition]; 2],
) -> Vec<String> {
    let mut given = Vec::new();
    let actions = |rules: &[Prohibition]| -> Vec<ActionPattern> {
        ProhibitedActions::of(rules).cloned().collect()
    };
    let [here, there] = prohibited.map(actions);
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

fn within<T: Ord + Clone>(
    one: &BTreeSet<T>,
    other: &BTreeSet<T>,
    contains: impl Fn(&T, &T) -> bool,
) -> BTreeSet<T> {
    let kept = |from: &BTreeSet<T>, by: &BTreeSet<T>| -> Vec<T> {
        from.iter()
            .filter(|entry| by.iter().any(|wide| contains(wide, entry)))
            .cloned()
            .collect()
    };
    kept(one, other)
        .into_iter()
        .chain(kept(other, one))
        .collect()
}

impl AwsStatement {
    pub(crate) fn narrowed(&self, other: &Self) -> Option<Self> {
        let actions = within(&self.actions, &other.actions, |wide, narrow| {
            pattern_contains(&wide.0.to_ascii_lowercase(), &narrow.0.to_ascii_lowercase())
        });
        let resources = within(&self.resources, &other.resources, |wide, narrow| {
            pattern_contains(&wide.0, &narrow.0)
        });
        let when = self.when.narrowed(&other.when)?;
        // What one of the two lets a plan narrow is narrowed.
        let both = self.unnarrowed.as_ref().zip(other.unnarrowed.as_ref());
        let unnarrowed = both.map(|(one, two)| one.min(two).clone());
        (!actions.is_empty() && !resources.is_empty()).then_some(Self {
            actions,
            resources,
            when,
            unnarrowed,
        })
    }
}
