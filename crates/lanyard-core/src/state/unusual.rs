//! Approvals that deserve a second look. Nothing here decides: whoever approved had the right to.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::Hours;
use lanyard_vocabulary::id::ApprovalId;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::person::Sameness;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;

use super::State;

/// The time after a request in which nobody has read a plan.
const UNREAD_FOR: Duration = Duration::from_secs(10);
/// The window in which the approvals of one person for one agent are counted.
const HABIT_WINDOW: Duration = Duration::from_secs(3600);
/// Approvals within [`HABIT_WINDOW`] that look like a habit.
const HABITUAL_APPROVALS: usize = 5;

/// A pattern that makes an approval unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unusual {
    /// The person approved within 10 s of the request.
    InSeconds,
    /// The person approved outside of the hours that the charter has for the apply role there.
    OutsideHours,
    /// The person approved what one agent asked under one charter for the fifth time, or a later
    /// one, within an hour.
    InARow,
}

impl Unusual {
    /// Every pattern, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::InSeconds, Self::OutsideHours, Self::InARow];

    /// The word of the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InSeconds => "in-seconds",
            Self::OutsideHours => "outside-hours",
            Self::InARow => "in-a-row",
        }
    }
}

impl State {
    /// The patterns in the approval that this person gave at this time, under a charter with these
    /// hours. None for an approval that has left memory.
    #[must_use]
    pub fn unusual(
        &self,
        approval: ApprovalId,
        (by, at): (&Operator, Timestamp),
        hours: Option<&Hours>,
    ) -> BTreeSet<Unusual> {
        let mut patterns = BTreeSet::new();
        let Some(approval) = self.approvals.get(approval) else {
            return patterns;
        };
        if at.since(approval.requested) < UNREAD_FOR {
            patterns.insert(Unusual::InSeconds);
        }
        let Some(entry) = self.tasks.get(approval.task) else {
            return patterns;
        };
        let hours = hours.filter(|hours| hours.is_about(Role::Apply, &entry.task.environment));
        if hours.is_some_and(|hours| hours.until(at).is_none()) {
            patterns.insert(Unusual::OutsideHours);
        }
        let person = by.person();
        let asking = (entry.task.charter.clone(), entry.task.agent.clone());
        let consents = self.approvals.asked_by(&asking).flat_map(|it| &it.consents);
        let own = consents.filter(|consent| {
            let is_recent = consent.at <= at && at.since(consent.at) < HABIT_WINDOW;
            is_recent && consent.operator.person().sameness(&person) == Sameness::Same
        });
        if own.count() >= HABITUAL_APPROVALS {
            patterns.insert(Unusual::InARow);
        }
        patterns
    }
}
