//! Delegation: a task that was opened for another agent gets what its own charter and those of its
//! lineage allow.

use lanyard_charter::plan::Risk;
use lanyard_charter::requirement::Requirement;
use lanyard_charter::{Charter, Grant, Limits, Prohibition, Rights};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::time::Timestamp;

use super::{Denial, DenialBuilder, GrantRequest, Revisions, Rule, acted_on, ends, tighter, under};
use crate::task::Task;

/// The most tasks that there may be above one: three in a row.
///
/// # Limit
/// - for: a task
/// - unit: tasks above it
/// - beyond: the task is not opened (rule `delegates`)
/// - test: `tasks_are_opened_under_each_other_three_deep_by_their_own_agents_and_in_one_place`
pub const MAX_LINEAGE: usize = 2;

/// A task of the lineage, with the charter revisions that take part in the decision.
#[derive(Debug, Clone, Copy)]
pub struct Ancestor<'a> {
    /// The task that delegates.
    pub task: &'a Task,
    /// The revisions of its charter.
    pub revisions: Revisions<'a>,
}

/// The part of a grant that the lineage leaves.
pub(super) struct Beneath {
    pub(super) rights: Rights,
    pub(super) prohibited: Vec<Prohibition>,
    pub(super) requirement: Option<Requirement>,
    pub(super) limits: Option<Limits>,
    pub(super) ends: Option<Timestamp>,
    pub(super) in_force: Vec<(Name, Revision)>,
}

/// Narrows a grant by every task of the lineage, nearest first.
pub(super) fn beneath(
    (rights, risk): (Rights, Risk),
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Result<Beneath, Denial> {
    let mut left = Beneath {
        rights,
        prohibited: Vec::new(),
        requirement: None,
        limits: None,
        ends: None,
        in_force: Vec::new(),
    };
    let mut below = request.task;
    for ancestor in request.ancestors {
        let above = GrantRequest {
            task: ancestor.task,
            ancestors: &[],
            // Its own credentials are what these were declared and asked for.
            emergency: None,
            watched: false,
            sponsor: None,
            ..*request
        };
        for charter in ancestor.revisions.both() {
            may_delegate(charter, below)?;
            left.rights = ceiling(charter, &left.rights, grant, &above)?;
            left.prohibited = super::union(&charter.prohibited, &left.prohibited);
            let limits = left.limits.as_ref();
            let limits = limits.map_or_else(
                || charter.limits.clone(),
                |own| tighter(own, &charter.limits),
            );
            left.limits = Some(limits);
            left.ends = left
                .ends
                .into_iter()
                .chain(ends(charter, grant, &above))
                .min();
        }
        left.ends = left.ends.into_iter().chain([ancestor.task.expires]).min();
        let needed = super::people::required(ancestor.revisions, grant, &above, risk)
            .and_then(|needed| Requirement::both(left.requirement.take(), needed));
        left.requirement =
            needed.map_err(|nobody| DenialBuilder(ancestor.revisions.in_force).nobody(&nobody))?;
        let in_force = ancestor.revisions.in_force;
        left.in_force
            .push((in_force.name.clone(), in_force.revision.clone()));
        below = ancestor.task;
    }
    Ok(left)
}

/// Checks whether a charter lets its tasks open tasks under the charter of `below`.
///
/// # Errors
/// The rule that denies.
pub fn may_delegate(charter: &Charter, below: &Task) -> Result<(), Denial> {
    if charter.delegates.contains(&below.charter) {
        return Ok(());
    }
    let names: Vec<&str> = charter.delegates.iter().map(Name::as_str).collect();
    let next = if names.is_empty() {
        "this charter delegates to none".to_owned()
    } else {
        format!("it delegates to {}", names.join(", "))
    };
    let message = format!(
        "a task under this charter opens none under charter {}",
        below.charter
    );
    Err(DenialBuilder(charter).no(Rule::Delegates, None, message, &next))
}

/// The part of these rights that a charter of the lineage allows too, by all of its grants
/// together.
fn ceiling(
    charter: &Charter,
    rights: &Rights,
    grant: &Grant,
    above: &GrantRequest<'_>,
) -> Result<Rights, Denial> {
    let alike = |other: &&Grant| other.role == grant.role && other.target == grant.target;
    let mut first = None;
    let mut kept: Option<Rights> = None;
    for other in charter.grants.values().filter(alike) {
        let asked = GrantRequest {
            grant: &other.name,
            ..*above
        };
        match under(charter, &asked) {
            Ok(own) => {
                if let Some(both) = rights.narrowed(&own.rights) {
                    kept = Some(kept.map_or_else(|| both.clone(), |kept| kept.with(&both)));
                }
            }
            Err(denial) => first = first.or(Some(denial)),
        }
    }
    let nothing = || {
        let message = format!(
            "nothing of grant {} is allowed by the charter of the task above it",
            grant.name
        );
        DenialBuilder(charter).no(
            Rule::Delegates,
            None,
            message,
            "ask for less, or let that charter allow it",
        )
    };
    kept.ok_or_else(|| first.unwrap_or_else(nothing))
}

/// Denies a request that only shadow mode or unlisted versions of the lineage's charters keep from
/// being allowed.
pub(super) fn acted_on_above(
    request: &GrantRequest<'_>,
    permit: &super::Permit,
) -> Result<(), Denial> {
    for ancestor in request.ancestors {
        for charter in ancestor.revisions.both() {
            acted_on(charter, ancestor.task, permit)?;
        }
    }
    Ok(())
}
