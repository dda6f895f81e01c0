//! Freezes, hours and ends of charters, and the emergencies that suspend some of them.

use lanyard_charter::{Charter, EmergencyRule, Freeze, Grant, Hours, Mode, Outside};
use lanyard_document::Position;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use super::{Denial, DenialBuilder, GrantRequest, Revisions, Rule};
use crate::emergency::Emergency;

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
    emergency_terms(charter, grant, request.emergency?, request.now)
}

fn emergency_terms<'a>(
    charter: &'a Charter,
    grant: &Grant,
    emergency: &Emergency,
    now: Timestamp,
) -> Option<&'a EmergencyRule> {
    let lasts = emergency.charter == charter.name && emergency.lasts(now);
    let rule = charter.emergency.as_ref()?;
    (lasts && rule.grants.contains(&grant.name)).then_some(rule)
}

/// The reason why a charter gives a grant to nobody for now, whoever asks and with whatever plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withheld {
    /// The charter only records decisions.
    Shadow,
    /// The agent may not apply in the environment.
    Autonomy,
    /// A freeze of the charter holds.
    Frozen {
        /// The first moment after the freeze.
        until: Timestamp,
    },
    /// The charter gives nothing outside its hours.
    OutOfHours {
        /// The time at which the hours begin next.
        opens: Option<Timestamp>,
    },
}

/// Returns what keeps a charter from giving a grant to anybody in this environment now; `None` if
/// somebody could have it.
#[must_use]
pub fn withheld(
    charter: &Charter,
    grant: &Grant,
    environment: &Name,
    emergency: Option<&Emergency>,
    now: Timestamp,
) -> Option<Withheld> {
    if charter.mode == Mode::Shadow {
        return Some(Withheld::Shadow);
    }
    let autonomy = charter.environments.get(environment);
    if grant.role == Role::Apply && !autonomy.is_some_and(|autonomy| autonomy.applies()) {
        return Some(Withheld::Autonomy);
    }
    let terms = emergency.and_then(|it| emergency_terms(charter, grant, it, now));
    if terms.is_some() {
        return None;
    }
    if let Some(freeze) = frozen(charter, grant.role, environment, now) {
        return Some(Withheld::Frozen { until: freeze.to });
    }
    let hours = closed(charter, grant.role, environment, now);
    let hours = hours.filter(|hours| hours.outside == Outside::Deny)?;
    Some(Withheld::OutOfHours {
        opens: hours.opens(now),
    })
}

/// The freeze that holds for the role in the environment.
fn frozen<'a>(
    charter: &'a Charter,
    role: Role,
    environment: &Name,
    now: Timestamp,
) -> Option<&'a Freeze> {
    let mut freezes = charter.freezes.iter();
    freezes.find(|freeze| freeze.is_about(role, environment) && freeze.holds(now))
}

pub(super) fn thawed(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    let environment = &request.task.environment;
    let Some(freeze) = frozen(charter, grant.role, environment, request.now) else {
        return Ok(());
    };
    let denial = DenialBuilder(charter).no(
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

/// The hours of the charter that a moment is outside of.
fn closed<'a>(
    charter: &'a Charter,
    role: Role,
    environment: &Name,
    now: Timestamp,
) -> Option<&'a Hours> {
    let hours = charter.hours.as_ref();
    hours.filter(|hours| hours.is_about(role, environment) && hours.until(now).is_none())
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
    let hours = closed(charter, role, &request.task.environment, request.now)?;
    Some(ClosedHours {
        shown: hours.shown(),
        at: hours.at,
        opens: hours.opens(request.now),
    })
}

pub(super) fn is_outside(charter: &Charter, role: Role, request: &GrantRequest<'_>) -> bool {
    closed(charter, role, &request.task.environment, request.now).is_some()
}

pub(super) fn in_hours(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    let hours = closed(charter, grant.role, &request.task.environment, request.now);
    let denied = hours.filter(|it| it.outside == Outside::Deny);
    let Some(hours) = denied else { return Ok(()) };
    let opens = hours.opens(request.now);
    let next = match opens {
        Some(opens) => format!("wait until {opens}, or ask for the charter to be changed"),
        None => "wait for them, or ask for the charter to be changed".to_owned(),
    };
    let denial = DenialBuilder(charter).no(
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
