//! Commands that change the state. The journal keeps each command as one record, so the commands
//! are the audit trail too.

use std::collections::BTreeSet;

use lanyard_charter::requirement::Requirement;
use lanyard_charter::{ActionPattern, BreakerRule, Limits, RequestLimits};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{
    ApprovalId, DecisionId, KillId, LeaseId, PauseId, PlanId, RearmId, TaskId,
};
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::{Login, Operator};
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::time::{BootClock, Timestamp, Ttl};
use serde::{Deserialize, Serialize};

use crate::action::Report;
use crate::condition::Acceptance;
use crate::decide::{Denial, Rule};
use crate::drill::Drill;
use crate::emergency::Emergency;
use crate::enrolment::EnrolmentStep;
use crate::kill::{KillOrder, RearmProposal};
use crate::lease::{GrantRef, Handle, Progress, StopCause};
use crate::pause::Pause;
use crate::plan::Plan;
use crate::signing_key::SigningKeyStep;
use crate::task::Task;
use crate::trip::Trip;

/// A command with the time at which the writer accepted it: one record of the journal, stored as
/// JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The time at which the writer accepted the command.
    pub at: Timestamp,
    /// The command that was accepted.
    pub command: Command,
}

/// Every change of state that the ledger knows, one variant each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Command {
    /// The broker puts a revision of a charter in force.
    CharterInForce {
        /// The name of the charter.
        charter: Name,
        /// The revision in force from this record on.
        revision: Revision,
        /// The circuit breakers of that revision: the ledger counts for them from this record on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        breakers: Vec<BreakerRule>,
    },
    /// The broker takes a charter out of force, because its file is gone or cannot be read.
    CharterWithdrawn {
        /// The name of the charter.
        charter: Name,
        /// The reason why the broker withdrew the charter, for people.
        reason: String,
    },
    /// An agent opens a task.
    OpenTask {
        /// The task with all its fields.
        task: Task,
        /// The caller's request id: a second request with it returns the same task.
        request: Option<String>,
    },
    /// An agent or the broker closes a task; the leases of the task are stopped with it.
    CloseTask {
        /// The task to close.
        task: TaskId,
    },
    /// The broker denied or refused a request.
    Deny {
        /// The decision's id, which `lanyard explain` takes.
        decision: DecisionId,
        /// The identity that asked.
        identity: Identity,
        /// The name that charters use for that identity.
        agent: AgentName,
        /// The task of the request; `None` when the request was to open one.
        task: Option<TaskId>,
        /// The environment of the task, or the one named in the request to open a task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<Name>,
        /// The grant that was asked for; `None` when the request named no grant.
        grant: Option<Name>,
        /// The options of the request besides its grant.
        #[serde(default, skip_serializing_if = "RequestOptions::is_plain")]
        asked: RequestOptions,
        /// The rule that denied, with its explanation.
        denial: Denial,
    },
    /// Denials beyond the sampling rate: counted, and not recorded one by one.
    #[serde(rename = "deny-more")]
    DenialsSuppressed {
        /// The agent that was denied; `None` when the count covers several agents.
        agent: Option<AgentName>,
        /// The charter that denied; `None` when the request named no known charter, or when no
        /// charter names the caller.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charter: Option<Name>,
        /// The rule that denied.
        rule: Rule,
        /// The start of the interval counted; the record's time ends that interval.
        since: Timestamp,
        /// The number of denials counted.
        count: u32,
    },
    /// Step A of a mint: the intent is durable before the provider is called.
    BeginMint(Box<Intent>),
    /// Step C of a mint: the provider issued the credential as requested.
    ConfirmMint {
        /// The lease to confirm.
        lease: LeaseId,
        /// The end that the provider gave the credential.
        expires: Timestamp,
        /// The handle that revokes the credential, when the provider chose it during the mint.
        handle: Option<Handle>,
    },
    /// The provider issued a credential that outlives the requested end (T79).
    #[serde(rename = "outlives")]
    ExpiryExtended {
        /// The lease of that credential.
        lease: LeaseId,
        /// The latest time at which the provider could still accept the credential.
        until: Timestamp,
    },
    /// Step D of a mint: the broker handed these secrets to the transport.
    Delivered {
        /// The leases whose secrets were handed over.
        leases: Vec<LeaseId>,
    },
    /// The broker begins to end these leases.
    Stop {
        /// The leases to stop.
        leases: Vec<LeaseId>,
        /// The cause, the same for all of them.
        cause: StopCause,
    },
    /// Records progress of revocations.
    Advance {
        /// The new progress of each lease.
        progress: Vec<(LeaseId, Progress)>,
    },
    /// No credential can be live under these leases any more, so the state drops them.
    Forget {
        /// The leases to drop.
        leases: Vec<LeaseId>,
    },
    /// An agent submits a plan.
    SubmitPlan {
        /// The plan without its bytes, which the plan store keeps under their digest.
        plan: Box<Plan>,
        /// The approval that the charter demands; `None` when the charter demands none.
        requirement: Option<Requirement>,
        /// The bounds on how often the charter lets agents ask for an approval.
        #[serde(default)]
        requests: RequestLimits,
    },
    /// A person approves a request.
    Approve {
        /// The approval that the person answers.
        approval: ApprovalId,
        /// The digest of the document that the person was shown.
        digest: Digest,
        /// The approver, with the roles and groups held at that time.
        operator: Operator,
        /// The approver's comment, in the approver's words.
        comment: String,
        /// The number of changing sensitive values, which are masked, that the approver
        /// acknowledged.
        #[serde(default)]
        acknowledged: u32,
    },
    /// A person rejects a request.
    Reject {
        /// The approval that the person answers.
        approval: ApprovalId,
        /// The person who rejects.
        operator: Operator,
        /// The reason, in the person's words.
        reason: String,
    },
    /// An approver takes an approval back, or the agent that asked withdraws its request.
    Withdraw {
        /// The approval to withdraw.
        approval: ApprovalId,
        /// The identity that withdraws.
        by: Identity,
        /// The reason, in that identity's words.
        reason: String,
    },
    /// The groups and roles that a person's login carries: the first that are known, or others than
    /// before. The person's approvals are counted again (T22).
    Recognize(Box<Operator>),
    /// Engages a kill order.
    Kill(KillOrder),
    /// A person lifts a kill order that reached nothing when it was given.
    WithdrawKill {
        /// The order to lift.
        kill: KillId,
        /// The person who lifts it.
        by: Person,
        /// The reason, in the person's words.
        reason: String,
    },
    /// A pause begins: by a person, or by a circuit breaker.
    Pause(Box<Pause>),
    /// A person ends a pause.
    Resume {
        /// The pause to end.
        pause: PauseId,
        /// The person who ends it.
        by: Identity,
        /// The reason, in the person's words.
        reason: String,
    },
    /// A person declares an emergency.
    DeclareEmergency(Box<Emergency>),
    /// A person ends an emergency before its time.
    EndEmergency {
        /// The charter under which the emergency was declared.
        charter: Name,
        /// The person who ends it.
        by: Identity,
        /// The reason, in the person's words.
        reason: String,
    },
    /// An agent, a tool or a webhook reports what was done with a credential.
    Report(Box<Report>),
    /// A circuit breaker whose consequence is `alert` tripped.
    Alert(Box<Trip>),
    /// A person proposes to lift a kill order by one step.
    ProposeRearm(RearmProposal),
    /// A second person confirms a proposal.
    ConfirmRearm {
        /// The proposal to confirm.
        rearm: RearmId,
        /// The kill order that the proposal lifts.
        kill: KillId,
        /// The person who confirms.
        by: Person,
        /// The reason why lifting is right although leases of the order are not known to be dead;
        /// `None` when all are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        despite: Option<String>,
    },
    /// The broker found a difference between a target and the ledger.
    Observe {
        /// The target where the difference was found.
        target: Name,
        /// The difference that was found.
        what: Observation,
    },
    /// A caller proved its identity and holds a session, bound to a key, that stands for the proof
    /// until its end.
    BeginSession(Box<SessionBegun>),
    /// A step of an agent's enrolment: invited, enrolled, key replaced, removed.
    Enrolment(EnrolmentStep),
    /// The broker held a drill.
    Drill(Box<Drill>),
    /// Records a start of the daemon.
    Started {
        /// The version of `lanyardd`.
        version: String,
    },
    /// The broker's wall clock beside the time since its machine booted, from which a clock that
    /// was set back is detected.
    Clock(BootClock),
    /// Operators accept a condition that kept the broker from issuing.
    Accept(Box<Acceptance>),
    /// A change of the keys with which the broker signs.
    SigningKey(SigningKeyStep),
}

impl Command {
    /// Every kind of record, by the name that the journal writes.
    pub const KINDS: [&str; 36] = [
        "charter-in-force",
        "charter-withdrawn",
        "open-task",
        "close-task",
        "deny",
        "deny-more",
        "begin-mint",
        "confirm-mint",
        "outlives",
        "delivered",
        "stop",
        "advance",
        "forget",
        "submit-plan",
        "approve",
        "reject",
        "withdraw",
        "recognize",
        "kill",
        "withdraw-kill",
        "pause",
        "resume",
        "declare-emergency",
        "end-emergency",
        "report",
        "alert",
        "propose-rearm",
        "confirm-rearm",
        "observe",
        "begin-session",
        "enrolment",
        "drill",
        "started",
        "clock",
        "accept",
        "signing-key",
    ];
}

/// A session: whose it is, and how that identity was proved. The session's token is not part of the
/// record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBegun {
    /// The id of the session.
    pub session: String,
    /// The identity that the session stands for.
    pub identity: Identity,
    /// The evidence that a workload presented; `None` for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The login of a person; `None` for workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// The key that every use of the session has to prove possession of.
    pub key: Confirmation,
    /// The time at which the session ends.
    pub until: Timestamp,
}

/// The numbers of differences between the targets and the ledger that the broker has found since
/// the journal began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Credentials at a target without a lease in the ledger.
    pub strays: u64,
    /// Leases without a credential at their target.
    pub missing: u64,
    /// Changes by others of the objects that keep credentials revoked.
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

/// A difference between a target and the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    /// A credential bears the broker's marks and belongs to no lease of the ledger. The broker
    /// revokes it.
    Stray(LeaseId),
    /// Leases that are in the ledger, while their target has no trace of them.
    Missing(Vec<LeaseId>),
    /// Somebody else changed an object that keeps credentials revoked. The broker restores it. One
    /// line says what changed.
    Edited(String),
}

/// The options of a request besides its grant. With them, a decision can be made again as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestOptions {
    /// The lifetime asked for; `None` asks for the longest that the charter allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// The plan that the request refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// The destructive actions of a plan that was proposed and not submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<BTreeSet<ActionPattern>>,
}

impl RequestOptions {
    /// True if the request has no options besides its grant.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.ttl.is_none() && self.plan.is_none() && self.proposed.is_none()
    }
}

/// Step A of a mint: the decision, and all that is needed to revoke the credential if the broker
/// dies before step C.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The id chosen for the lease.
    pub lease: LeaseId,
    /// The decision that allowed the mint.
    pub decision: DecisionId,
    /// The task that asked.
    pub task: TaskId,
    /// The environment of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Name>,
    /// The grant, role and target.
    pub entry: GrantRef,
    /// The revision in force, which the decision was made under.
    pub in_force: Revision,
    /// The revisions in force of the charters of the tasks above, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<(Name, Revision)>,
    /// The handle that revokes the credential.
    pub handle: Handle,
    /// The time at which the broker ends the lease.
    pub expires: Timestamp,
    /// The latest time at which the provider could still accept the credential if the broker did
    /// nothing more.
    pub worst_expiry: Timestamp,
    /// The time at which an unconfirmed intent is given up and revoked.
    pub deadline: Timestamp,
    /// The approval that the mint relies on, with the requirement that the approval must still meet
    /// at the commit.
    pub approval: Option<(ApprovalId, Requirement)>,
    /// The people whose approval counted; empty in records of versions that did not note them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<Identity>,
    /// The options of the request besides its grant.
    #[serde(default, skip_serializing_if = "RequestOptions::is_plain")]
    pub asked: RequestOptions,
    /// True if the mint happens outside the hours of a charter, with an approval or in an
    /// emergency.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_hours: bool,
    /// The limits that the writer enforces at the commit.
    pub limits: LeaseLimits,
    /// The caller's request id: a second request with it returns the same lease.
    pub request: Option<String>,
    /// The evidence of this request, when it differs from the evidence at the task's opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// SHA-256, in hex, of the document that bounds the credential at the provider.
    pub document_digest: String,
}

/// The limits of a charter that only the writer can enforce, because they count other commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLimits {
    /// The highest number of live leases of one agent under one charter.
    pub live: u32,
    /// The highest rates of mints of one agent under one charter.
    pub mints: lanyard_charter::Rates,
    /// The budget of the task: credentials and lifetime in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<lanyard_charter::Budget>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n18_every_kind_of_record_has_its_name() {
        // serde lists the names that it knows.
        let unknown = serde_json::from_str::<Command>(r#"{"type": "nosuch"}"#);
        let said = unknown.unwrap_err().to_string();
        let known: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, Command::KINDS);
    }
}
