//! The life of one issued credential. The secret is never here.
//!
//! ```text
//! Intent ──> Issued ──> Stopping(fenced → requested → acknowledged → presumed dead | proved dead)
//!    └───────────────────^
//! ```
//! A lease leaves the state when nothing can still be live under it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::charter::{Name, Role};
use crate::id::{ApprovalId, KillId, LeaseId, TaskId};
use crate::scope::Facets;
use crate::task::Task;
use crate::time::Timestamp;

/// A record's place in the journal; it also orders kills against intents.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Later than every record.
    pub const END: Self = Self(u64::MAX);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the provider needs to revoke the credential, chosen before the provider is called. Its form is
/// the provider's own; it holds no secret in the clear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(pub Box<str>);

/// Which entry of which charter a lease is under, shared by all leases of that entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The grant's name.
    pub grant: Name,
    /// plan or apply.
    pub role: Role,
    /// Where the credential works.
    pub target: Name,
}

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// The task that it belongs to.
    pub task: Arc<Task>,
    /// The charter's entry.
    pub entry: Arc<Entry>,
    /// The record of its intent.
    pub intent: Seq,
    /// When the intent was recorded.
    pub asked: Timestamp,
    /// What it is revoked by.
    pub handle: Handle,
    /// When the agent was told that it ends; the broker ends it then.
    pub expires: Timestamp,
    /// The latest moment at which the provider could still accept it if the broker did nothing more;
    /// [`Timestamp::NEVER`] where nothing but a revocation is sure to end it.
    pub worst_expiry: Timestamp,
    /// When an intent that was not confirmed is given up and revoked.
    pub deadline: Timestamp,
    /// The approval that it was minted under.
    pub approval: Option<ApprovalId>,
    /// Whether the provider has said when it ends. Until then only a revocation that was taken ends it.
    pub confirmed: bool,
    /// When its provider first took its revocation.
    pub taken: Option<Timestamp>,
    /// Where it is in its life.
    pub stage: Stage,
}

impl Lease {
    /// What scopes are matched against.
    #[must_use]
    pub fn facets(&self) -> Facets<'_> {
        Facets {
            environment: &self.task.environment,
            target: &self.entry.target,
            charter: &self.task.charter,
            agent: &self.task.agent,
            identity: &self.task.identity,
            task: self.task.id,
            lineage: &self.task.lineage,
            lease: Some(self.id),
            role: self.entry.role,
        }
    }

    /// Whether a credential may be in somebody's hands and has not been stopped.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Intent | Stage::Issued { .. })
    }

    /// From when on, with the leeway of its provider, nothing of it could be live or asked after. A credential that does
    /// not end by itself ([`Timestamp::NEVER`]) is never over before it is known to be dead, and then as one is whose
    /// time was up.
    #[must_use]
    pub fn over(&self) -> Timestamp {
        match self.stage {
            Stage::Stopping { progress, .. }
                if progress.is_confirmed() && self.worst_expiry == Timestamp::NEVER =>
            {
                self.expires
            }
            Stage::Stopping { .. } | Stage::Intent | Stage::Issued { .. } => self.worst_expiry,
        }
    }

    /// The kill order behind its end.
    #[must_use]
    pub const fn killed_by(&self) -> Option<KillId> {
        match self.stage {
            Stage::Stopping { cause, .. } => cause.kill(),
            Stage::Intent | Stage::Issued { .. } => None,
        }
    }

    /// What it waits for, when it is being stopped.
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

/// Where a lease is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Recorded; the provider may have been called. Possibly live.
    Intent,
    /// The provider answered and that is recorded.
    Issued {
        /// Whether the secret is known to have been handed to the transport.
        delivered: bool,
    },
    /// It is being ended.
    Stopping {
        /// Why; the first cause stays, but a kill replaces a gentler one.
        cause: StopCause,
        /// How far that got.
        progress: Progress,
    },
}

/// Why a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// The agent gave it back.
    Released,
    /// Its task was closed.
    TaskClosed,
    /// Its time was up.
    Expired,
    /// The provider failed, or did not answer in time: the credential may exist (T55).
    Unconfirmed,
    /// The secret never reached the agent (T56).
    Undelivered,
    /// The provider gave more than was asked (T79).
    Excessive,
    /// A kill order.
    Killed(KillId),
    /// A kill order for others took it along.
    Collateral(KillId),
}

impl StopCause {
    /// The kill order behind it.
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

/// How far a revocation got. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// The broker issues nothing more under it.
    Fenced,
    /// The provider was called.
    Requested,
    /// The provider said that it took the order.
    Acknowledged(Timestamp),
    /// Acknowledged, read back, and the declared bound has passed.
    PresumedDead(Timestamp),
    /// A use of the credential, or the provider's own check of it, was refused.
    ProvedDead(Timestamp),
    /// Its natural end has passed, with every leeway of the provider.
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

    /// Whether this is further than `other`.
    #[must_use]
    pub const fn is_beyond(self, other: Self) -> bool {
        self.rank() > other.rank()
    }

    /// Whether nothing can be done with the credential any more, as far as can be known.
    #[must_use]
    pub const fn is_confirmed(self) -> bool {
        self.rank() >= 3
    }

    /// When it was known to be dead, as far as can be known.
    #[must_use]
    pub const fn dead_at(self) -> Option<Timestamp> {
        match self {
            Self::Fenced | Self::Requested | Self::Acknowledged(_) => None,
            Self::PresumedDead(at) | Self::ProvedDead(at) | Self::Expired(at) => Some(at),
        }
    }

    /// Whether the provider took the revocation. A lease whose time ran out first is none of those.
    #[must_use]
    pub const fn is_taken(self) -> bool {
        matches!(
            self,
            Self::Acknowledged(_) | Self::PresumedDead(_) | Self::ProvedDead(_)
        )
    }

    /// Whether the provider still has to be called.
    #[must_use]
    pub const fn is_due(self) -> bool {
        self.rank() < 2
    }
}

/// What a lease that is being stopped waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaits {
    /// The provider has to take its revocation, and a kill is behind it: before every other.
    Kill,
    /// The provider has to take its revocation.
    Provider,
    /// The provider has; its declared bound has to pass.
    Bound,
    /// It is dead, and stays in the books until nothing of it could be live or asked after.
    End,
    /// Proved dead, and no kill asks after it: it can be forgotten.
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

/// What names a lease to a provider when it is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRef {
    /// Its id.
    pub id: LeaseId,
    /// Its task.
    pub task: TaskId,
    /// What it is revoked by.
    pub handle: Handle,
    /// When it was asked for.
    pub asked: Timestamp,
    /// Until when it could be live.
    pub worst_expiry: Timestamp,
    /// The kill order behind its end: only that may take neighbours along.
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
