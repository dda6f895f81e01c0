//! The approval that a request needs: the strictest of all rules of both revisions, at this hour
//! and in this state.

use std::collections::BTreeSet;

use lanyard_charter::plan::Risk;
use lanyard_charter::requirement::{Requirement, Unsatisfiable};
use lanyard_charter::{Charter, Grant};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;

use super::{GrantRequest, Revisions, is_outside, terms};

/// The approval demanded for this grant in this environment and a plan of this risk, within the
/// hours and without an emergency.
///
/// # Errors
/// When the rules demand groups that have no member in common.
pub fn requirement(
    revisions: Revisions<'_>,
    grant: &Grant,
    environment: &Name,
    risk: Risk,
) -> Result<Option<Requirement>, Unsatisfiable> {
    let [pinned, in_force] = revisions.both();
    let needed = strictest(
        pinned.approval(grant.role, environment, risk)?,
        in_force.approval(grant.role, environment, risk)?,
    )?;
    Ok(needed.or_else(|| hands_on(revisions, grant).then(Requirement::of_one)))
}

/// True if the grant, in either revision, hands on rights that a person has to approve whatever the
/// charter's approvals say.
fn hands_on(revisions: Revisions<'_>, grant: &Grant) -> bool {
    let mut both = revisions.both().into_iter();
    both.any(|charter| charter.hands_on(&grant.name))
}

/// The approval demanded for this request now.
pub(super) fn required(
    revisions: Revisions<'_>,
    grant: &Grant,
    request: &GrantRequest<'_>,
    risk: Risk,
) -> Result<Option<Requirement>, Unsatisfiable> {
    let [pinned, in_force] = revisions.both();
    let needed = strictest(
        now(pinned, grant, request, risk)?,
        now(in_force, grant, request, risk)?,
    )?;
    if needed.is_none() && (request.watched || hands_on(revisions, grant)) {
        let declared = request.emergency.map(|emergency| emergency.by.clone());
        return Ok(Some(Requirement {
            // Whoever declared an emergency has had a say, and is no second person.
            besides: declared.into_iter().collect(),
            ..Requirement::of_one()
        }));
    }
    Ok(needed)
}

/// The sponsors of the caller, of the task and of its lineage.
pub(super) fn sponsors(request: &GrantRequest<'_>) -> BTreeSet<Person> {
    let above = request.ancestors.iter().map(|ancestor| ancestor.task);
    let tasks = std::iter::once(request.task).chain(above);
    let behind = tasks.filter_map(|task| task.sponsor.as_ref());
    behind.chain(request.sponsor).cloned().collect()
}

fn now(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
    risk: Risk,
) -> Result<Option<Requirement>, Unsatisfiable> {
    let usual = charter.approval(grant.role, &request.task.environment, risk)?;
    if let (Some(rule), Some(emergency)) = (terms(charter, grant, request), request.emergency) {
        return Ok(usual.map(|usual| Requirement {
            people: usual.people.min(rule.people),
            // Whoever declared it has had a say, and is no second person.
            besides: [emergency.by.clone()].into(),
            ..usual
        }));
    }
    let outside = is_outside(charter, grant.role, request);
    let nobody = usual.as_ref().is_none_or(|needed| needed.people == 0);
    if outside && nobody {
        return Ok(Some(Requirement::of_one()));
    }
    Ok(usual)
}

fn strictest(
    pinned: Option<Requirement>,
    in_force: Option<Requirement>,
) -> Result<Option<Requirement>, Unsatisfiable> {
    let both = Requirement::both(pinned, in_force)?;
    Ok(both.filter(|requirement| requirement.people > 0))
}
