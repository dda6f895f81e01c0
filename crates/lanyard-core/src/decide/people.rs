//! Who has to approve: the strictest of every rule of both revisions, at this hour and in this state of things.

use super::{GrantRequest, Revisions, is_outside, terms};
use crate::approval::Requirement;
use crate::charter::{Charter, Grant, Name, Role};
use crate::plan::Risk;

/// What people must have approved before this grant is issued in this environment for a plan of this risk, within the hours
/// and without an emergency.
#[must_use]
pub fn requirement(
    revisions: Revisions<'_>,
    grant: &Grant,
    environment: &Name,
    risk: Risk,
) -> Option<Requirement> {
    let needed = strictest(
        revisions
            .both()
            .map(|charter| usual(charter, grant.role, environment, risk)),
    );
    needed.or_else(|| hands_on(revisions, grant).then(Requirement::of_one))
}

/// Whether the grant hands on in either revision what a person has to approve, whatever the approvals say.
fn hands_on(revisions: Revisions<'_>, grant: &Grant) -> bool {
    revisions.both().iter().any(|charter| {
        let own = charter.grants.get(&grant.name);
        own.is_some_and(|own| own.rights.hands_on_approved())
    })
}

/// What people must have approved before this is issued now.
pub(super) fn required(
    revisions: Revisions<'_>,
    grant: &Grant,
    request: &GrantRequest<'_>,
    risk: Risk,
) -> Option<Requirement> {
    let needed = revisions
        .both()
        .map(|charter| now(charter, grant, request, risk));
    let needed = strictest(needed);
    if needed.is_none() && (request.watched || hands_on(revisions, grant)) {
        let declared = request.emergency.map(|emergency| emergency.by.clone());
        return Some(Requirement {
            // Whoever declared an emergency has had a say, and is no second person.
            besides: declared.into_iter().collect(),
            ..Requirement::of_one()
        });
    }
    needed
}

fn now(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
    risk: Risk,
) -> Option<Requirement> {
    let usual = usual(charter, grant.role, &request.task.environment, risk);
    if let (Some(rule), Some(emergency)) = (terms(charter, grant, request), request.emergency) {
        let usual = usual?;
        return Some(Requirement {
            people: usual.people.min(rule.people),
            // Whoever declared it has had a say, and is no second person.
            besides: [emergency.by.clone()].into(),
            ..usual
        });
    }
    let outside = is_outside(charter, grant.role, request);
    let nobody = usual.as_ref().is_none_or(|needed| needed.people == 0);
    if outside && nobody {
        return Some(Requirement::of_one());
    }
    usual
}

fn usual(charter: &Charter, role: Role, environment: &Name, risk: Risk) -> Option<Requirement> {
    let about = charter
        .approvals
        .iter()
        .filter(|rule| rule.is_about(role, environment, risk));
    let each = about.map(|rule| Requirement {
        people: rule.people,
        from: rule.from.clone(),
        expires: rule.expires,
        uses: rule.uses,
        also: std::collections::BTreeSet::new(),
        besides: std::collections::BTreeSet::new(),
        risk: None,
    });
    each.reduce(|one, two| one.narrowed(&two))
}

fn strictest(needed: [Option<Requirement>; 2]) -> Option<Requirement> {
    let strictest = needed
        .into_iter()
        .flatten()
        .reduce(|one, two| one.narrowed(&two));
    strictest.filter(|requirement| requirement.people > 0)
}
