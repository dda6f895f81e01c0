//! Conversions of the parts in record.proto: what the broker records of itself.

use lanyard_core::command::Observation;
use lanyard_core::condition::{Acceptance, Kind};
use lanyard_core::drill::{Drill, DrillOutcome};
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::time::BootClock;

use crate::stored::{Stored, messages, put, take};
use crate::unread::Unread;
use crate::v1;
use crate::v1::drill_outcome::Outcome;
use crate::v1::observation::What;

messages! {
    BootClock => BootClock { one boot, one offset_millis, one sure_millis }
    Acceptance => Acceptance { one kind, many of, req by, one reason, opt second }
    Drill => Drill { one target, opt lease, opt kill, req outcome }
}

impl Stored for Kind {
    type Wire = String;

    fn store(&self) -> String {
        self.as_str().to_owned()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        wire.parse().map_err(|_| Unread::Value {
            field: "Acceptance.kind",
            value: wire,
        })
    }
}

impl Stored for (Person, String) {
    type Wire = v1::SecondOperator;

    fn store(&self) -> v1::SecondOperator {
        let (by, reason) = self;
        v1::SecondOperator {
            by: put::req(by),
            reason: put::one(reason),
        }
    }

    fn restore(wire: v1::SecondOperator) -> Result<Self, Unread> {
        Ok((
            take::req(wire.by, "SecondOperator.by")?,
            take::one(wire.reason, "SecondOperator.reason")?,
        ))
    }
}

impl Stored for Observation {
    type Wire = v1::Observation;

    fn store(&self) -> v1::Observation {
        let what = match self {
            Self::Stray(lease) => What::Stray(lease.store()),
            Self::Missing(leases) => What::Missing(v1::LeaseIds {
                leases: put::many(leases),
            }),
            Self::Edited(what) => What::Edited(what.clone()),
        };
        v1::Observation { what: Some(what) }
    }

    fn restore(wire: v1::Observation) -> Result<Self, Unread> {
        Ok(match wire.what {
            Some(What::Stray(lease)) => Self::Stray(Stored::restore(lease)?),
            Some(What::Missing(wire)) => Self::Missing(take::many(wire.leases, "LeaseIds.leases")?),
            Some(What::Edited(what)) => Self::Edited(what),
            None => return Err(Unread::choice("Observation.what")),
        })
    }
}

impl Stored for DrillOutcome {
    type Wire = v1::DrillOutcome;

    fn store(&self) -> v1::DrillOutcome {
        let outcome = match self {
            Self::Passed {
                fenced_micros,
                taken_millis,
                dead_millis,
            } => Outcome::Passed(v1::DrillPassed {
                fenced_micros: *fenced_micros,
                taken_millis: *taken_millis,
                dead_millis: *dead_millis,
            }),
            Self::Failed { why } => Outcome::Failed(v1::DrillFailed { why: why.clone() }),
        };
        v1::DrillOutcome {
            outcome: Some(outcome),
        }
    }

    fn restore(wire: v1::DrillOutcome) -> Result<Self, Unread> {
        Ok(match wire.outcome {
            Some(Outcome::Passed(v1::DrillPassed {
                fenced_micros,
                taken_millis,
                dead_millis,
            })) => Self::Passed {
                fenced_micros,
                taken_millis,
                dead_millis,
            },
            Some(Outcome::Failed(v1::DrillFailed { why })) => Self::Failed { why },
            None => return Err(Unread::choice("DrillOutcome.outcome")),
        })
    }
}
