//! Conversions of the messages in charter.proto: what records keep of charters.

use lanyard_charter::{Breaker, BreakerRule, Budget, Event, Per, Rate, Rates, RequestLimits, Then};
use lanyard_core::command::LeaseLimits;
use lanyard_core::emergency::Emergency;
use lanyard_document::Position;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;

use crate::stored::{Stored, enumerations, messages, put, take};
use crate::unread::Unread;
use crate::v1;

enumerations! {
    Role => Role { Plan, Apply }
    Event => BreakerEvent {
        Denied, Minted, OutsideHours, NewTarget, ProviderError, Rejected, Action, FailedAction,
        FailedApply, Retried,
    }
    Per => CountedPer { Charter, Agent, Task, Target }
    Then => BreakerConsequence {
        StopTask, StopAgent, PauseTarget, Pause, RequireApproval, SuspendApply, Alert,
    }
}

messages! {
    Position => Position { one line, one column }
    BreakerRule => BreakerRule { req breaker, req at, opt path }
    Breaker => Breaker { one on, opt action, one count, one within, one per, one then, opt lasts }
    Rate => Rate { one count, one per }
    Budget => Budget { one mints, one time }
    RequestLimits => RequestLimits { one open, one cooldown }
    Emergency => Emergency { one charter, req by, one reason, one at, one until }
}

impl Stored for LeaseLimits {
    type Wire = v1::LeaseLimits;

    fn store(&self) -> v1::LeaseLimits {
        let Self {
            live,
            mints,
            budget,
        } = self;
        v1::LeaseLimits {
            live: put::one(live),
            mints: mints.iter().map(|rate| rate.store()).collect(),
            budget: put::opt(budget),
        }
    }

    fn restore(wire: v1::LeaseLimits) -> Result<Self, Unread> {
        let mints: Vec<Rate> = take::many(wire.mints, "LeaseLimits.mints")?;
        Ok(Self {
            live: take::one(wire.live, "LeaseLimits.live")?,
            mints: Rates::from(mints),
            budget: take::opt(wire.budget, "LeaseLimits.budget")?,
        })
    }
}

impl Stored for (Name, Revision) {
    type Wire = v1::CharterRevision;

    fn store(&self) -> v1::CharterRevision {
        let (charter, revision) = self;
        v1::CharterRevision {
            charter: put::one(charter),
            revision: put::one(revision),
        }
    }

    fn restore(wire: v1::CharterRevision) -> Result<Self, Unread> {
        Ok((
            take::one(wire.charter, "CharterRevision.charter")?,
            take::one(wire.revision, "CharterRevision.revision")?,
        ))
    }
}
