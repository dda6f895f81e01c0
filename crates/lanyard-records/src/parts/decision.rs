//! Conversions of the messages in decision.proto: denials and refusals.

use std::collections::BTreeSet;

use lanyard_charter::ActionPattern;
use lanyard_core::command::RequestOptions;
use lanyard_core::decide::{Denial, HeldBy, LimitReached, ReasonCode, Rule};
use lanyard_vocabulary::id::{KillId, PauseId};

use crate::stored::{Stored, enumerations, messages, put, take};
use crate::unread::Unread;
use crate::v1;
use crate::v1::held_by::By;

enumerations! {
    Rule => Rule {
        NotInForce, Agents, Environments, Autonomy, Grants, Shadow, Requires, Expires, Freezes,
        Hours, Emergency, Delegates, Versions, Prohibited, PlanRequired, Policies, Approvals,
        Sponsor, Limits, Task, Kill, Pause, Breakers, AwaitsApproval, Quota,
    }
}

messages! {
    RequestOptions => Asked { opt ttl, opt plan, opt proposed }
    Denial => Denial {
        one charter, opt revision, one rule, opt at, opt path, one message, one next, opt would,
        opt reason_code, opt limit, opt retry_after, opt held_by,
    }
    LimitReached => LimitReached { one name, one value }
}

impl Stored for HeldBy {
    type Wire = v1::HeldBy;

    fn store(&self) -> v1::HeldBy {
        v1::HeldBy {
            by: Some(match self {
                Self::Kill(id) => By::Kill(id.store()),
                Self::Pause(id) => By::Pause(id.store()),
            }),
        }
    }

    fn restore(wire: v1::HeldBy) -> Result<Self, Unread> {
        match wire.by {
            Some(By::Kill(id)) => KillId::restore(id).map(Self::Kill),
            Some(By::Pause(id)) => PauseId::restore(id).map(Self::Pause),
            None => Err(Unread::choice("HeldBy.by")),
        }
    }
}

impl Stored for ReasonCode {
    type Wire = String;

    fn store(&self) -> String {
        self.as_str().to_owned()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Self::find(&wire).ok_or(Unread::Value {
            field: "Denial.reason_code",
            value: wire,
        })
    }
}

impl Stored for ActionPattern {
    type Wire = String;

    fn store(&self) -> String {
        self.0.clone()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Ok(Self(wire))
    }
}

impl Stored for BTreeSet<ActionPattern> {
    type Wire = v1::ActionPatterns;

    fn store(&self) -> v1::ActionPatterns {
        v1::ActionPatterns {
            patterns: put::many(self),
        }
    }

    fn restore(wire: v1::ActionPatterns) -> Result<Self, Unread> {
        take::many(wire.patterns, "ActionPatterns.patterns")
    }
}
