//! Freezes, hours and ends of charters, and the emergencies that suspend some of them.

use super::{Denial, GrantRequest, Revisions, Rule, Sayer};
use crate::charter::{Charter, EmergencyRule, Grant, Hours, Outside, Position, Role};
use crate::time::{Timestamp, Ttl};

/// The end of a credential: the earliest end of its task, a charter, its hours or an emergency, or
/// the beginning of a freeze.
pub(super) fn until(
    revisions: Revisions<'_>,
    grant: &Grant,
    request: &GrantRequest<'_>,
    ttl: Ttl,
) -> Timestamp {
    let usual = (request.now + ttl).min(request.task.expires);
    let ends = revisions
        .both()
        .map(|charter| ends(charter, grant, request));
    ends.into_iter().flatten().fold(usual, Timestamp::min)
}

/// The first time at which a revision no longer allows this.
pub(super) fn ends(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Option<Timestamp> {
    let (role, environment) = (grant.role, &request.task.environment);
    let end = charter.expires.map(|end| end.when);
    if terms(charter, grant, request).is_some() {
        let over = request.emergency.map(|emergency| emergency.until);
        return over.into_iter().chain(end).min();
    }
    let freezes = charter.freezes.iter();
    let begins = freezes
        .filter(|freeze| freeze.is_about(role, environment))
        .map(|freeze| freeze.from)
        .filter(|from| *from > request.now);
    let hours = charter.hours.as_ref();
    let closes = hours
        .filter(|hours| hours.is_about(role, environment))
        .and_then(|hours| hours.until(request.now));
    begins.chain(closes).chain(end).min()
}

/// The emergency terms under which this revision allows the grant now.
pub(super) fn terms<'a>(
    charter: &'a Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Option<&'a EmergencyRule> {
    let emergency = request.emergency?;
    let lasts = emergency.charter == charter.name && emergency.lasts(request.now);
    let rule = charter.emergency.as_ref()?;
    (lasts && rule.grants.contains(&grant.name)).then_some(rule)
}

pub(super) fn thawed(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    let environment = &request.task.environment;
    let freeze = charter
        .freezes
        .iter()
        .find(|freeze| freeze.is_about(grant.role, environment) && freeze.holds(request.now));
    let Some(freeze) = freeze else { return Ok(()) };
    let denial = Sayer(charter).no(
        Rule::Freezes,
        Some(freeze.at),
        format!(
            "{} is frozen in {environment} until {}: {}",
            grant.role, freeze.to, freeze.reason
        ),
        "wait, or ask for the charter to be changed",
    );
    Err(Denial {
        retry_after: Some(freeze.to),
        ..denial
    })
}

/// The hours that this request is outside of.
fn closed<'a>(charter: &'a Charter, role: Role, request: &GrantRequest<'_>) -> Option<&'a Hours> {
    charter.hours.as_ref().filter(|hours| {
        hours.is_about(role, &request.task.environment) && hours.until(request.now).is_none()
    })
}

/// The hours of a charter that a request is outside of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedHours {
    /// The hours as people write them: `mon tue 08:00 to 18:00 Europe/Berlin`.
    pub shown: String,
    /// The position of the hours in the charter.
    pub at: Position,
    /// The time at which the hours begin next.
    pub opens: Option<Timestamp>,
}

pub(super) fn outside(
    charter: &Charter,
    role: Role,
    request: &GrantRequest<'_>,
) -> Option<ClosedHours> {
    let hours = closed(charter, role, request)?;
    Some(ClosedHours {
        shown: hours.shown(),
        at: hours.at,
        opens: hours.opens(request.now),
    })
}

pub(super) fn is_outside(charter: &Charter, role: Role, request: &GrantRequest<'_>) -> bool {
    closed(charter, role, request).is_some()
}

pub(super) fn in_hours(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    let denied = closed(charter, grant.role, request).filter(|it| it.outside == Outside::Deny);
    let Some(hours) = denied else { return Ok(()) };
    let opens = hours.opens(request.now);
    let next = match opens {
        Some(opens) => format!("wait until {opens}, or ask for the charter to be changed"),
        None => "wait for them, or ask for the charter to be changed".to_owned(),
    };
    let denial = Sayer(charter).no(
        Rule::Hours,
        Some(hours.at),
        format!(
            "{} is not given in {} outside the hours {}",
            grant.role,
            request.task.environment,
            hours.shown()
        ),
        &next,
    );
    Err(Denial {
        retry_after: opens,
        ..denial
    })
}
