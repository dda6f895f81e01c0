//! The life of one issued credential. The secret is never here.
//!
//! ```text
//! Intent ──> Issued ──> Stopping(fenced → requested → acknowledged → presumed dead | proved dead)
//!    └───────────────────^
//! ```
//! A lease leaves the state when nothing can still be live under it.

use std::fmt;
use std::sync::Arc;

use lanyard_vocabulary::id::{ApprovalId, KillId, LeaseId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::Facets;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::task::Task;

/// The data that the provider needs to revoke the credential, chosen before the provider is called.
/// Each provider defines the form of its handles; a handle holds no secret in the clear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(pub Box<str>);

/// The grant, role and target of a lease. All leases of the same grant share one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrantRef {
    /// The grant's name in the charter.
    pub grant: Name,
    /// The plan role or the apply role.
    pub role: Role,
    /// The target where the credential works.
    pub target: Name,
}

/// An issued credential, or one that may have been issued, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The lease's id, which also names the credential at the provider.
    pub id: LeaseId,
    /// The task that asked for the credential.
    pub task: Arc<Task>,
    /// The grant, role and target of the credential.
    pub entry: Arc<GrantRef>,
    /// The record of the mint's step A.
    pub intent: Seq,
    /// The time of that record.
    pub asked: Timestamp,
    /// The handle that revokes the credential.
    pub handle: Handle,
    /// The end that the agent was told. The broker revokes the credential then.
    pub expires: Timestamp,
    /// The latest time at which the provider could still accept the credential if the broker did
    /// nothing more; [`Timestamp::NEVER`] where nothing but a revocation is sure to end the
    /// credential.
    pub worst_expiry: Timestamp,
    /// The time at which an intent without confirmation is given up and revoked.
    pub deadline: Timestamp,
    /// The approval that the mint relied on.
    pub approval: Option<ApprovalId>,
    /// True once the provider said when the credential ends. Until then only an acknowledged
    /// revocation ends the lease.
    pub confirmed: bool,
    /// The time at which the provider first acknowledged the revocation.
    pub taken: Option<Timestamp>,
    /// The lease's stage: intent, issued or stopping.
    pub stage: Stage,
}

impl Lease {
    /// The facts about the lease that scopes are matched against.
    #[must_use]
    pub fn facets(&self) -> Facets<'_> {
        Facets {
            task: self.task.facets(),
            target: &self.entry.target,
            lease: Some(self.id),
            role: self.entry.role,
        }
    }

    /// True if somebody may hold the credential and nobody has begun to stop it.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Intent | Stage::Issued { .. })
    }

    /// The time from which, past the provider's leeway, the credential cannot be live and no report
    /// asks about it. A credential that does not end by itself ([`Timestamp::NEVER`]) stays until
    /// it is known to be dead, and then until the end that the agent was told.
    #[must_use]
    pub fn retained_until(&self) -> Timestamp {
        match self.stage {
            Stage::Stopping { progress, .. }
                if progress.is_confirmed() && self.worst_expiry == Timestamp::NEVER =>
            {
                self.expires
            }
            Stage::Stopping { .. } | Stage::Intent | Stage::Issued { .. } => self.worst_expiry,
        }
    }

    /// The kill order that stops the lease, if one does.
    #[must_use]
    pub const fn killed_by(&self) -> Option<KillId> {
        match self.stage {
            Stage::Stopping { cause, .. } => cause.kill(),
            Stage::Intent | Stage::Issued { .. } => None,
        }
    }

    /// Returns the step that the lease waits for; `None` unless the lease is being stopped.
    #[must_use]
    pub const fn awaits(&self) -> Option<Awaits> {
        let Stage::Stopping { cause, progress } = self.stage else {
            return None;
        };
        Some(match progress {
            Progress::Fenced | Progress::Requested if cause.kill().is_some() => Awaits::Kill,
            Progress::Fenced | Progress::Requested => Awaits::Provider,
            Progress::Acknowledged(_) => Awaits::Bound,
            Progress::ProvedDead(_) if cause.kill().is_none() => Awaits::Nothing,
            Progress::PresumedDead(_) | Progress::ProvedDead(_) | Progress::Expired(_) => {
                Awaits::End
            }
        })
    }
}

/// The stages of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The intent is durable and the provider may have been called, so the credential may be live.
    Intent,
    /// The provider issued the credential, and the ledger recorded that.
    Issued {
        /// True once the secret is known to have reached the transport.
        delivered: bool,
    },
    /// The broker is ending the lease.
    Stopping {
        /// The first cause, except that a kill order replaces any other cause.
        cause: StopCause,
        /// The progress of the revocation.
        progress: Progress,
    },
}

/// The causes for which the broker ends a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// The agent released the credential.
    Released,
    /// The lease's task was closed.
    TaskClosed,
    /// The lease reached its end.
    Expired,
    /// The provider failed or did not answer in time, so the credential may exist (T55).
    Unconfirmed,
    /// The secret did not reach the agent (T56).
    Undelivered,
    /// The provider issued more than was requested (T79).
    Excessive,
    /// A kill order covers the lease.
    Killed(KillId),
    /// A kill order for other leases stops this one too, because the provider can only revoke both
    /// together.
    Collateral(KillId),
}

impl StopCause {
    /// The kill order behind the cause, if there is one.
    #[must_use]
    pub const fn kill(self) -> Option<KillId> {
        match self {
            Self::Killed(id) | Self::Collateral(id) => Some(id),
            Self::Released
            | Self::TaskClosed
            | Self::Expired
            | Self::Unconfirmed
            | Self::Undelivered
            | Self::Excessive => None,
        }
    }
}

/// The progress of a revocation. Progress only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// The broker issues nothing more under the lease.
    Fenced,
    /// The broker called the provider.
    Requested,
    /// The provider acknowledged the revocation, at this time.
    Acknowledged(Timestamp),
    /// The revocation was acknowledged and read back, and the provider's settle time has passed.
    PresumedDead(Timestamp),
    /// The provider refused a use of the credential, or answered that the credential is not valid.
    ProvedDead(Timestamp),
    /// The credential's natural end has passed, with the provider's leeway.
    Expired(Timestamp),
}

impl Progress {
    const fn rank(self) -> u8 {
        match self {
            Self::Fenced => 0,
            Self::Requested => 1,
            Self::Acknowledged(_) => 2,
            Self::PresumedDead(_) => 3,
            Self::ProvedDead(_) => 4,
            Self::Expired(_) => 5,
        }
    }

    /// True if `self` is further than `other`.
    #[must_use]
    pub const fn is_beyond(self, other: Self) -> bool {
        self.rank() > other.rank()
    }

    /// True if the credential is dead: presumed, proved, or expired.
    #[must_use]
    pub const fn is_confirmed(self) -> bool {
        self.rank() >= 3
    }

    /// The time at which the credential was known to be dead.
    #[must_use]
    pub const fn dead_at(self) -> Option<Timestamp> {
        match self {
            Self::Fenced | Self::Requested | Self::Acknowledged(_) => None,
            Self::PresumedDead(at) | Self::ProvedDead(at) | Self::Expired(at) => Some(at),
        }
    }

    /// True if the provider acknowledged the revocation. A lease that expired first was never
    /// acknowledged.
    #[must_use]
    pub const fn is_taken(self) -> bool {
        matches!(
            self,
            Self::Acknowledged(_) | Self::PresumedDead(_) | Self::ProvedDead(_)
        )
    }

    /// True while the provider has to be called.
    #[must_use]
    pub const fn is_due(self) -> bool {
        self.rank() < 2
    }
}

/// The step that a stopping lease waits for, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaits {
    /// The provider has to acknowledge a revocation that a kill order demands. Such leases go
    /// first.
    Kill,
    /// The provider has to acknowledge the revocation.
    Provider,
    /// The provider acknowledged, and its settle time has to pass.
    Bound,
    /// The credential is dead. The ledger keeps the lease until no report can ask about it.
    End,
    /// The credential is proved dead and no kill order covers it, so the ledger may forget the
    /// lease.
    Nothing,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fenced => "fenced",
            Self::Requested => "requested",
            Self::Acknowledged(_) => "acknowledged",
            Self::PresumedDead(_) => "presumed dead",
            Self::ProvedDead(_) => "proved dead",
            Self::Expired(_) => "expired",
        })
    }
}

/// The description of a lease that a provider has to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRef {
    /// The id of the lease.
    pub id: LeaseId,
    /// The task of the lease.
    pub task: TaskId,
    /// The handle that revokes the credential.
    pub handle: Handle,
    /// The time at which the intent was recorded.
    pub asked: Timestamp,
    /// The latest time at which the credential could be live.
    pub worst_expiry: Timestamp,
    /// The kill order behind the revocation. Without one, a provider must not revoke other leases
    /// along with this one.
    pub kill: Option<KillId>,
}

impl From<&Lease> for LeaseRef {
    fn from(lease: &Lease) -> Self {
        Self {
            kill: lease.killed_by(),
            id: lease.id,
            task: lease.task.id,
            handle: lease.handle.clone(),
            asked: lease.asked,
            worst_expiry: lease.worst_expiry,
        }
    }
}
