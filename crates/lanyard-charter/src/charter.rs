//! The model of a charter, apart from the rights of its grants.
//!
//! [`Charter`] is the resolved form: the parser makes it from a valid file, and nothing else does,
//! so readers need not check it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use lanyard_document::{FieldPaths, Position};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Ttl;
use serde::{Deserialize, Serialize};

use crate::agent::AgentRule;
use crate::aws::ActionPattern;
use crate::breaker::BreakerRule;
use crate::calendar::{End, Freeze, Hours};
use crate::plan::{PlanFormat, Risk};
use crate::prohibition::Prohibition;
use crate::rates::Rates;
use crate::rights::Rights;
use crate::version::VersionRule;

/// Facts that a charter can demand of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stated {
    /// The reason. Every task states one.
    Reason,
    /// The ticket that the task belongs to.
    Ticket,
    /// Proof that the agent holds a key, by DPoP or by a client certificate.
    ProofOfPossession,
}

/// The effect of a charter's decisions: enforced, or recorded alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decisions are recorded, and credentials are minted.
    Enforce,
    /// Decisions are recorded, and nothing is minted.
    Shadow,
}

/// The most that an agent may do in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Autonomy {
    /// The plan role alone.
    Observe,
    /// The plan role, and credentials that can open a proposal.
    Propose,
    /// The apply role, in an environment other than production.
    ExecuteSandbox,
    /// The apply role, in production.
    ExecuteProduction,
}

impl Autonomy {
    /// True if the apply role is allowed.
    #[must_use]
    pub const fn applies(self) -> bool {
        match self {
            Self::Observe | Self::Propose => false,
            Self::ExecuteSandbox | Self::ExecuteProduction => true,
        }
    }
}

impl fmt::Display for Autonomy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Observe => "observe",
            Self::Propose => "propose",
            Self::ExecuteSandbox => "execute-sandbox",
            Self::ExecuteProduction => "execute-production",
        })
    }
}

/// A charter that holds together: every name in it is declared, every rule of the language is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charter {
    /// The charter's name, unique in the broker.
    pub name: Name,
    /// The revision of the file.
    pub revision: Revision,
    /// The labels of the file's `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The charter's purpose, in one sentence.
    pub purpose: String,
    /// The people or groups who answer for the charter.
    pub owners: Owners,
    /// The effect of decisions: enforced, or recorded alone.
    pub mode: Mode,
    /// The agents that may open a task.
    pub agents: Vec<AgentRule>,
    /// The autonomy of agents, by environment.
    pub environments: BTreeMap<Name, Autonomy>,
    /// The charters under which a task of this charter may open tasks for other agents.
    pub delegates: BTreeSet<Name>,
    /// The grants, by name.
    pub grants: BTreeMap<Name, Grant>,
    /// The prohibitions, which dominate every grant.
    pub prohibited: Vec<Prohibition>,
    /// The environments in which an apply needs a plan.
    pub plans: Option<PlanRule>,
    /// The approvals that people must give.
    pub approvals: Vec<ApprovalRule>,
    /// The limits of tasks and credentials.
    pub limits: Limits,
    /// The facts that a task must state or prove.
    pub requires: BTreeSet<Stated>,
    /// AWS actions that this version's table does not list and the charter uses nevertheless.
    pub unlisted: BTreeSet<ActionPattern>,
    /// The freezes of the calendar.
    pub freezes: Vec<Freeze>,
    /// The hours in which the charter allows what it grants; always if absent.
    pub hours: Option<Hours>,
    /// The easier terms of an emergency.
    pub emergency: Option<EmergencyRule>,
    /// The circuit breakers of the charter.
    pub breakers: Vec<BreakerRule>,
    /// The builds of the agent that may act; all if empty.
    pub versions: Vec<VersionRule>,
    /// The end of the charter.
    pub expires: Option<End>,
    /// The field paths of the charter's parts, if it comes from a Kubernetes object.
    pub paths: FieldPaths,
}

impl Policy {
    /// The revision of a charter's bytes together with the policies that they name: another policy
    /// is another revision (T25).
    #[must_use]
    pub fn revision(content: &[u8], policies: &[Self]) -> Revision {
        let own = Revision::of(content);
        if policies.is_empty() {
            return own;
        }
        Revision::of(format!("{own}\n{}\n", Self::digest(policies)).as_bytes())
    }

    /// The digest of several policies: their paths and texts, in order.
    #[must_use]
    pub fn digest(policies: &[Self]) -> Digest {
        let lines = policies.iter().map(|policy| {
            let digest = Digest::of(policy.text.as_bytes());
            format!("{digest} {}\n", policy.path)
        });
        Digest::of(lines.collect::<String>().as_bytes())
    }
}

impl Charter {
    /// The grants that could extend their own rights.
    pub fn admin_equivalent(&self) -> impl Iterator<Item = &Grant> {
        let grants = self.grants.values();
        grants.filter(|grant| !grant.rights.powers().is_empty())
    }

    /// The policies that judge plans submitted under the charter.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        self.plans.as_ref().map_or(&[], |rule| &rule.policies)
    }

    /// The digest of those policies.
    #[must_use]
    pub fn policies_digest(&self) -> Digest {
        let rule = self.plans.as_ref();
        rule.map_or_else(|| Policy::digest(&[]), |rule| rule.policies_digest)
    }

    /// The charter as it is when nothing suspends it: enforced, within its hours, in no freeze,
    /// before its end.
    #[must_use]
    pub fn on_a_good_day(self) -> Self {
        Self {
            mode: Mode::Enforce,
            freezes: Vec::new(),
            hours: None,
            expires: None,
            ..self
        }
    }
}

/// The people or groups who answer for a charter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// The owner of the charter's purpose.
    pub business: String,
    /// The owner of its operation.
    pub technical: String,
    /// The owner of its risks.
    pub security: String,
}

/// The terms of an emergency: no freeze and no hours apply, and fewer people approve, not counting
/// the person who declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyRule {
    /// The grants that have the easier terms.
    pub grants: BTreeSet<Name>,
    /// The number of people who approve, not counting the person who declared the emergency.
    pub people: u32,
    /// The length of an emergency.
    pub lasts: Ttl,
    /// The position in the charter.
    pub at: Position,
}

/// A grant: a role on one target with its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The grant's name, unique in the charter.
    pub name: Name,
    /// The plan role or the apply role.
    pub role: Role,
    /// The environments in which the grant may be used.
    pub environments: BTreeSet<Name>,
    /// The target where the credentials work.
    pub target: Name,
    /// The rights on the target.
    pub rights: Rights,
    /// The longest lifetime of a credential, if shorter than the charter's.
    pub ttl: Option<Ttl>,
    /// The grant's position in the charter.
    pub at: Position,
}

/// The rule that an apply needs a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRule {
    /// The role that needs a plan.
    pub role: Role,
    /// The environments in which it does.
    pub environments: BTreeSet<Name>,
    /// The accepted formats. With policies and no stated format, only Terraform's: a plan in
    /// another format could evade them.
    pub formats: BTreeSet<PlanFormat>,
    /// The policies that judge every plan submitted under the charter.
    pub policies: Vec<Policy>,
    /// The digest of those policies.
    pub policies_digest: Digest,
    /// The rule's position in the charter.
    pub at: Position,
}

/// A Rego policy in a file beside the charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The file's path, relative to the charter's folder.
    pub path: String,
    /// The content of the file.
    pub text: Arc<str>,
    /// The position at which the charter names the file.
    pub at: Position,
}

/// A rule that people must approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRule {
    /// The role that needs an approval.
    pub role: Role,
    /// The environment; all if absent.
    pub environment: Option<Name>,
    /// The lowest risk of a plan that the rule covers; every plan if absent.
    pub risk: Option<Risk>,
    /// The number of distinct people who must approve.
    pub people: u32,
    /// The groups whose members may approve, without the file's prefix `group:`.
    pub from: BTreeSet<String>,
    /// The time after the last approval within which an apply session may begin.
    pub expires: Ttl,
    /// The number of apply sessions that may begin.
    pub uses: u32,
    /// The rule's position in the charter.
    pub at: Position,
}

impl PlanRule {
    /// True if the rule covers this role in this environment.
    #[must_use]
    pub fn is_about(&self, role: Role, environment: &Name) -> bool {
        self.role == role && self.environments.contains(environment)
    }
}

impl ApprovalRule {
    /// True if the rule covers this role in this environment at this risk.
    #[must_use]
    pub fn is_about(&self, role: Role, environment: &Name, risk: Risk) -> bool {
        let of = self.environment.as_ref();
        self.role == role
            && of.is_none_or(|name| name == environment)
            && self.risk.is_none_or(|least| risk >= least)
    }
}

/// The limits of a charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest lifetime of a credential.
    pub ttl: Ttl,
    /// The longest lifetime of a task.
    pub task: Ttl,
    /// The most credentials of one agent that may live at once.
    pub live_leases: u32,
    /// The most credentials of one agent that may be minted within windows of time.
    pub mints: Rates,
    /// The budget of one task.
    pub budget: Option<Budget>,
    /// The bounds on how often one agent may ask people for approval.
    pub requests: RequestLimits,
    /// The longest worst case of revocation that is accepted.
    pub revocable_within: Option<Ttl>,
}

/// The budget of one task. A task closes itself once the budget is used up and nothing is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The most credentials that the task may get.
    pub mints: u32,
    /// The lifetimes of those credentials, added up.
    pub time: Ttl,
}

/// The bounds on how often one agent may ask people under one charter (T23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLimits {
    /// The most requests that may wait at once.
    pub open: u32,
    /// The time that the agent must wait after a rejection.
    pub cooldown: Ttl,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            open: 10,
            cooldown: Ttl::at_least_a_second(60),
        }
    }
}
