//! The commands that change the state: each is one record of the journal, and the audit trail.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::action::Report;
use crate::approval::Requirement;
use crate::charter::{ActionPattern, BreakerRule, Limits, Name, RequestLimits, Revision};
use crate::condition::Acceptance;
use crate::decide::{Denial, Rule};
use crate::digest::Digest;
use crate::drill::Drill;
use crate::emergency::Emergency;
use crate::enrolment::EnrolmentStep;
use crate::id::{ApprovalId, DecisionId, KillId, LeaseId, PauseId, PlanId, RearmId, TaskId};
use crate::identity::{Confirmation, Evidence, Identity, Login, Operator};
use crate::kill::{KillOrder, RearmProposal};
use crate::lease::{Entry, Handle, Progress, StopCause};
use crate::pause::Pause;
use crate::person::Person;
use crate::plan::Plan;
use crate::scope::AgentName;
use crate::task::Task;
use crate::time::{BootClock, Timestamp, Ttl};
use crate::trip::Trip;

/// A command and when it was given. This is what a journal record holds, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What.
    pub command: Command,
}

/// Everything that can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Command {
    /// A revision of a charter comes into force.
    CharterInForce {
        /// Its name.
        charter: Name,
        /// The revision.
        revision: Revision,
        /// What it counts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        breakers: Vec<BreakerRule>,
    },
    /// A charter is in force no more: gone, or unreadable.
    CharterWithdrawn {
        /// Its name.
        charter: Name,
        /// Why.
        reason: String,
    },
    /// A task begins.
    OpenTask {
        /// All of it.
        task: Task,
        /// The caller's request id, which makes a retry safe.
        request: Option<String>,
    },
    /// A task ends; so do its leases.
    CloseTask {
        /// Which.
        task: TaskId,
    },
    /// Something was denied.
    Deny {
        /// The decision's id, for `explain`.
        decision: DecisionId,
        /// Who asked.
        identity: Identity,
        /// That agent's name.
        agent: AgentName,
        /// The task, where there was one.
        task: Option<TaskId>,
        /// The environment of the task, or in which one was to be opened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<Name>,
        /// The grant, where one was asked for.
        grant: Option<Name>,
        /// The rest of what was asked.
        #[serde(default, skip_serializing_if = "Asked::is_plain")]
        asked: Asked,
        /// Why.
        denial: Denial,
    },
    /// So many denials were not journaled one by one.
    DenyMore {
        /// Whose; of many agents when there is none.
        agent: Option<AgentName>,
        /// By which charter; by none where there is none of the names that were asked for, or nobody whom a charter names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charter: Option<Name>,
        /// By which rule.
        rule: Rule,
        /// From when on.
        since: Timestamp,
        /// How many.
        count: u32,
    },
    /// A: a credential is about to be asked of a provider.
    BeginMint(Box<Intent>),
    /// C: the provider gave it as asked.
    ConfirmMint {
        /// Which lease.
        lease: LeaseId,
        /// When it ends.
        expires: Timestamp,
        /// The handle, where it is only known now.
        handle: Option<Handle>,
    },
    /// The provider gave a longer life than was asked for: it could be live until then (T79).
    Outlives {
        /// Which lease.
        lease: LeaseId,
        /// Until when.
        until: Timestamp,
    },
    /// After D: these secrets were handed to the transport.
    Delivered {
        /// Which leases.
        leases: Vec<LeaseId>,
    },
    /// These leases are to end.
    Stop {
        /// Which leases.
        leases: Vec<LeaseId>,
        /// Why.
        cause: StopCause,
    },
    /// How far revocations got.
    Advance {
        /// Lease by lease.
        progress: Vec<(LeaseId, Progress)>,
    },
    /// Nothing can be live under these any more: they leave the state.
    Forget {
        /// Which leases.
        leases: Vec<LeaseId>,
    },
    /// A plan is submitted.
    SubmitPlan {
        /// All of it, without its bytes.
        plan: Box<Plan>,
        /// What people have to do, where the charter asks them.
        requirement: Option<Requirement>,
        /// How often they may be asked.
        #[serde(default)]
        requests: RequestLimits,
    },
    /// A person says yes.
    Approve {
        /// To what.
        approval: ApprovalId,
        /// The digest of what that person was shown.
        digest: Digest,
        /// Who.
        operator: Operator,
        /// In their words.
        comment: String,
        /// How many sensitive values that change, and are not shown, that person acknowledged.
        #[serde(default)]
        acknowledged: u32,
    },
    /// A person says no.
    Reject {
        /// To what.
        approval: ApprovalId,
        /// Who.
        operator: Operator,
        /// Why.
        reason: String,
    },
    /// A person takes a yes back.
    Withdraw {
        /// Of what.
        approval: ApprovalId,
        /// Who.
        by: Identity,
        /// Why.
        reason: String,
    },
    /// A person who said yes to something has other groups or roles than then (T22).
    Recognize(Box<Operator>),
    /// A kill order.
    Kill(KillOrder),
    /// A person lifts a kill order that reaches nothing.
    WithdrawKill {
        /// Which.
        kill: KillId,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// A pause.
    Pause(Box<Pause>),
    /// A person ends a pause.
    Resume {
        /// Which.
        pause: PauseId,
        /// Who.
        by: Identity,
        /// Why.
        reason: String,
    },
    /// A person declares an emergency.
    DeclareEmergency(Box<Emergency>),
    /// A person ends an emergency before its time.
    EndEmergency {
        /// Under which charter.
        charter: Name,
        /// Who.
        by: Identity,
        /// Why.
        reason: String,
    },
    /// Somebody reports what was done with a credential.
    Report(Box<Report>),
    /// A breaker tripped that only says so.
    Alert(Box<Trip>),
    /// A person proposes to lift a kill order by a step.
    ProposeRearm(RearmProposal),
    /// Another person confirms it.
    ConfirmRearm {
        /// Which proposal.
        rearm: RearmId,
        /// Of which order.
        kill: KillId,
        /// Who.
        by: Person,
        /// Why it is right although leases of the order are not known to be dead, where that is so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        despite: Option<String>,
    },
    /// Something was seen at a target that is not as the ledger has it.
    Observe {
        /// Where.
        target: Name,
        /// What.
        what: Observation,
    },
    /// Somebody proved who they are, and may show that for a while by a key.
    BeginSession(Box<SessionBegun>),
    /// An agent is invited, enrols a key, replaces it, or is removed.
    Enrolment(EnrolmentStep),
    /// A drill was held.
    Drill(Box<Drill>),
    /// The daemon started.
    Started {
        /// The version of the software.
        version: String,
    },
    /// Where the clock of the broker stands against the time since the boot of its machine.
    Clock(BootClock),
    /// Operators lift a reason that kept the broker from issuing.
    Accept(Box<Acceptance>),
}

/// A session: who it is of, and how that was proved. The token is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBegun {
    /// Its id.
    pub session: String,
    /// Whose.
    pub identity: Identity,
    /// How a workload was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// How a person logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// The key that it is bound to.
    pub key: Confirmation,
    /// When it ends.
    pub until: Timestamp,
}

/// How often what was seen at the targets, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Credentials that no lease stood for.
    pub strays: u64,
    /// Leases with nothing at their target.
    pub missing: u64,
    /// Edits by others of what keeps credentials revoked.
    pub edited: u64,
}

impl Observed {
    pub(crate) fn take(&mut self, what: &Observation) {
        match what {
            Observation::Stray(_) => self.strays += 1,
            Observation::Missing(leases) => self.missing += leases.len() as u64,
            Observation::Edited(_) => self.edited += 1,
        }
    }
}

/// What can be seen at a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    /// It carries the broker's marks and is no lease of the ledger: it is being revoked.
    Stray(LeaseId),
    /// These leases are in the ledger, and nothing of them is at the target.
    Missing(Vec<LeaseId>),
    /// Somebody else changed what keeps credentials revoked; it is being set right.
    Edited(String),
}

/// What a request says besides its grant: with it, a decision can be made again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// For how long, where it was for less than it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// With which plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// The destructive actions of a plan that was proposed and not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<BTreeSet<ActionPattern>>,
}

impl Asked {
    /// Whether it says nothing.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.ttl.is_none() && self.plan.is_none() && self.proposed.is_none()
    }
}

/// What is decided at A.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The lease.
    pub lease: LeaseId,
    /// The decision that allowed it.
    pub decision: DecisionId,
    /// Its task.
    pub task: TaskId,
    /// The environment of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Name>,
    /// The charter's entry.
    pub entry: Entry,
    /// The revision in force that the decision looked at.
    pub in_force: Revision,
    /// The same of the charters above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<(Name, Revision)>,
    /// What it is revoked by.
    pub handle: Handle,
    /// When the lease ends.
    pub expires: Timestamp,
    /// Until when it could be live at worst.
    pub worst_expiry: Timestamp,
    /// When it is given up.
    pub deadline: Timestamp,
    /// The approval it is minted under, with what it must still meet.
    pub approval: Option<(ApprovalId, Requirement)>,
    /// What was asked besides the grant.
    #[serde(default, skip_serializing_if = "Asked::is_plain")]
    pub asked: Asked,
    /// Whether it is outside the charter's hours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_hours: bool,
    /// The limits that the commit enforces.
    pub limits: LeaseLimits,
    /// The caller's request id.
    pub request: Option<String>,
    /// How the agent was proved, where that was not as when its task was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// SHA-256 of the document that bounds the credential, in hex.
    pub document_digest: String,
}

/// The limits of [`Limits`] that are counted in the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLimits {
    /// Live leases of one agent under one charter.
    pub live: u32,
    /// Mints of one agent under one charter.
    pub mints: crate::charter::Rates,
    /// What the task may have in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<crate::charter::Budget>,
}

impl From<&Limits> for LeaseLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            live: limits.live_leases,
            mints: limits.mints.clone(),
            budget: limits.budget,
        }
    }
}
