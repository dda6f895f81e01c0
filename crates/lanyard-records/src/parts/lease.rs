//! Conversions of the messages in lease.proto: the life of a credential.

use lanyard_charter::requirement::Requirement;
use lanyard_core::command::Intent;
use lanyard_core::lease::{GrantRef, Handle, Progress, StopCause};
use lanyard_vocabulary::id::{ApprovalId, KillId, LeaseId};
use lanyard_vocabulary::time::Timestamp;

use crate::stored::{Stored, messages, put, take};
use crate::unread::Unread;
use crate::v1;
use crate::v1::{Cause, ProgressStep};

messages! {
    Intent => Intent {
        one lease, one decision, one task, opt environment, req entry, one in_force, many above,
        one handle, one expires, one worst_expiry, one deadline, opt approval, many approved_by,
        usual asked, one outside_hours, req limits, opt request, opt evidence, one document_digest,
    }
    GrantRef => Entry { one grant, one role, one target }
}

impl Stored for Handle {
    type Wire = String;

    fn store(&self) -> String {
        self.0.clone().into()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Ok(Self(wire.into()))
    }
}

impl Stored for (ApprovalId, Requirement) {
    type Wire = v1::ReliedOn;

    fn store(&self) -> v1::ReliedOn {
        let (approval, requirement) = self;
        v1::ReliedOn {
            approval: put::one(approval),
            requirement: put::req(requirement),
        }
    }

    fn restore(wire: v1::ReliedOn) -> Result<Self, Unread> {
        Ok((
            take::one(wire.approval, "ReliedOn.approval")?,
            take::req(wire.requirement, "ReliedOn.requirement")?,
        ))
    }
}

impl Stored for StopCause {
    type Wire = v1::StopCause;

    fn store(&self) -> v1::StopCause {
        let cause = match self {
            Self::Released => Cause::Released,
            Self::TaskClosed => Cause::TaskClosed,
            Self::Expired => Cause::Expired,
            Self::Unconfirmed => Cause::Unconfirmed,
            Self::Undelivered => Cause::Undelivered,
            Self::Excessive => Cause::Excessive,
            Self::Killed(_) => Cause::Killed,
            Self::Collateral(_) => Cause::Collateral,
        };
        v1::StopCause {
            cause: cause.into(),
            kill: put::opt(&self.kill()),
        }
    }

    fn restore(wire: v1::StopCause) -> Result<Self, Unread> {
        let kill = |kill| take::req::<KillId>(kill, "StopCause.kill");
        Ok(match Cause::try_from(wire.cause) {
            Ok(Cause::Released) => Self::Released,
            Ok(Cause::TaskClosed) => Self::TaskClosed,
            Ok(Cause::Expired) => Self::Expired,
            Ok(Cause::Unconfirmed) => Self::Unconfirmed,
            Ok(Cause::Undelivered) => Self::Undelivered,
            Ok(Cause::Excessive) => Self::Excessive,
            Ok(Cause::Killed) => Self::Killed(kill(wire.kill)?),
            Ok(Cause::Collateral) => Self::Collateral(kill(wire.kill)?),
            Ok(Cause::Unspecified) | Err(_) => return Err(Unread::choice("StopCause.cause")),
        })
    }
}

impl Stored for Progress {
    type Wire = v1::Progress;

    fn store(&self) -> v1::Progress {
        let (step, at) = match self {
            Self::Fenced => (ProgressStep::Fenced, None),
            Self::Requested => (ProgressStep::Requested, None),
            Self::Acknowledged(at) => (ProgressStep::Acknowledged, Some(*at)),
            Self::PresumedDead(at) => (ProgressStep::PresumedDead, Some(*at)),
            Self::ProvedDead(at) => (ProgressStep::ProvedDead, Some(*at)),
            Self::Expired(at) => (ProgressStep::Expired, Some(*at)),
        };
        v1::Progress {
            step: step.into(),
            at: put::opt(&at),
        }
    }

    fn restore(wire: v1::Progress) -> Result<Self, Unread> {
        let at = |at| take::req::<Timestamp>(at, "Progress.at");
        Ok(match ProgressStep::try_from(wire.step) {
            Ok(ProgressStep::Fenced) => Self::Fenced,
            Ok(ProgressStep::Requested) => Self::Requested,
            Ok(ProgressStep::Acknowledged) => Self::Acknowledged(at(wire.at)?),
            Ok(ProgressStep::PresumedDead) => Self::PresumedDead(at(wire.at)?),
            Ok(ProgressStep::ProvedDead) => Self::ProvedDead(at(wire.at)?),
            Ok(ProgressStep::Expired) => Self::Expired(at(wire.at)?),
            Ok(ProgressStep::Unspecified) | Err(_) => return Err(Unread::choice("Progress.step")),
        })
    }
}

impl Stored for (LeaseId, Progress) {
    type Wire = v1::LeaseProgress;

    fn store(&self) -> v1::LeaseProgress {
        let (lease, progress) = self;
        v1::LeaseProgress {
            lease: put::one(lease),
            progress: put::req(progress),
        }
    }

    fn restore(wire: v1::LeaseProgress) -> Result<Self, Unread> {
        Ok((
            take::one(wire.lease, "LeaseProgress.lease")?,
            take::req(wire.progress, "LeaseProgress.progress")?,
        ))
    }
}
