//! The model of a charter, apart from the rights of its grants.
//!
//! [`Charter`] is the resolved form: whoever holds one need not check it again. It comes from a
//! file that parsed, and from nowhere else.

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
use crate::kubernetes::PolicyRule;
use crate::plan::{PlanFormat, Risk};
use crate::rates::Rates;
use crate::rights::Rights;
use crate::version::VersionRule;

/// What a charter may ask of a task to state or prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stated {
    /// Why: every task does.
    Reason,
    /// The ticket that it belongs to.
    Ticket,
    /// That the agent holds a key: by DPoP, or by a client certificate.
    ProofOfPossession,
}

/// Whether decisions are acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide, record and mint.
    Enforce,
    /// Decide and record; mint nothing.
    Shadow,
}

/// How far an agent may go in one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Autonomy {
    /// Plan role only.
    Observe,
    /// Plan role, and credentials that can open a proposal.
    Propose,
    /// Apply, where the environment is not production.
    ExecuteSandbox,
    /// Apply in production.
    ExecuteProduction,
}

impl Autonomy {
    /// Whether the apply role is given.
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
    /// Its name; unique in the charter directory.
    pub name: Name,
    /// The hash of the file it came from.
    pub revision: Revision,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// One sentence.
    pub purpose: String,
    /// Who answers for it.
    pub owners: Owners,
    /// Whether decisions are acted on.
    pub mode: Mode,
    /// Who may open a task.
    pub agents: Vec<AgentRule>,
    /// How far an agent may go, by environment.
    pub environments: BTreeMap<Name, Autonomy>,
    /// Under which charters a task of this one may open tasks for other agents.
    pub delegates: BTreeSet<Name>,
    /// What it may be given, by name.
    pub grants: BTreeMap<Name, Grant>,
    /// What dominates every grant.
    pub prohibited: Vec<Prohibition>,
    /// Where an apply needs a plan.
    pub plans: Option<PlanRule>,
    /// Who must approve what.
    pub approvals: Vec<ApprovalRule>,
    /// Bounds.
    pub limits: Limits,
    /// What a task has to state.
    pub requires: BTreeSet<Stated>,
    /// Actions of AWS that the table of this version does not list, and that the charter means nevertheless.
    pub unlisted: BTreeSet<ActionPattern>,
    /// When it is not given what it allows.
    pub freezes: Vec<Freeze>,
    /// The hours in which it gives what it allows; always when absent.
    pub hours: Option<Hours>,
    /// What is given on easier terms in an emergency.
    pub emergency: Option<EmergencyRule>,
    /// What is counted, and what happens when there is too much of it.
    pub breakers: Vec<BreakerRule>,
    /// The builds of the agent that may act; every one when empty.
    pub versions: Vec<VersionRule>,
    /// When the charter ends, if it does.
    pub expires: Option<End>,
    /// How its parts are named, where it comes from a Kubernetes object.
    pub paths: FieldPaths,
}

impl Policy {
    /// The revision of a charter's bytes together with the policies that they name: another policy is another revision (T25).
    #[must_use]
    pub fn revision(content: &[u8], policies: &[Self]) -> Revision {
        let own = Revision::of(content);
        if policies.is_empty() {
            return own;
        }
        Revision::of(format!("{own}\n{}\n", Self::digest(policies)).as_bytes())
    }

    /// Over the paths and the texts of several, in their order.
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
    /// What judges plans that are submitted under it.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        self.plans.as_ref().map_or(&[], |rule| &rule.policies)
    }

    /// Over those.
    #[must_use]
    pub fn policies_digest(&self) -> Digest {
        let rule = self.plans.as_ref();
        rule.map_or_else(|| Policy::digest(&[]), |rule| rule.policies_digest)
    }

    /// The charter as it is on a day on which nothing holds it up: enforced, within its hours, in no freeze, before its end.
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

/// The three people or groups that answer for a charter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// For what it is for.
    pub business: String,
    /// For how it works.
    pub technical: String,
    /// For what can go wrong.
    pub security: String,
}

/// What is given on easier terms once a person says that there is an emergency: no freeze and no hours hold it up, and fewer
/// people approve, besides the one who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyRule {
    /// Which grants.
    pub grants: BTreeSet<Name>,
    /// How many people approve, besides whoever declared it.
    pub people: u32,
    /// How long it lasts.
    pub lasts: Ttl,
    /// Where it stands.
    pub at: Position,
}

/// One named entry: a role on one target, with its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name within the charter.
    pub name: Name,
    /// plan or apply.
    pub role: Role,
    /// Where it may be used.
    pub environments: BTreeSet<Name>,
    /// On what.
    pub target: Name,
    /// What it allows there.
    pub rights: Rights,
    /// The longest life of a credential under it, where it is shorter than the charter's.
    pub ttl: Option<Ttl>,
    /// Where it stands.
    pub at: Position,
}

/// What no grant can give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prohibition {
    /// What is prohibited.
    pub what: Prohibited,
    /// Why, in the words that the agent is told.
    pub reason: String,
    /// Where it stands.
    pub at: Position,
}

/// The two kinds of prohibition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prohibited {
    /// These AWS actions, on every resource.
    Aws(Vec<ActionPattern>),
    /// These Kubernetes requests, in every namespace.
    Kubernetes(PolicyRule),
}

/// Where an apply needs a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRule {
    /// Of this role.
    pub role: Role,
    /// In these environments.
    pub environments: BTreeSet<Name>,
    /// In which forms a plan is taken. Where there are policies and nothing else is said, in that of Terraform: a plan in another
    /// form could pass by them.
    pub formats: BTreeSet<PlanFormat>,
    /// What judges every plan that is submitted under the charter.
    pub policies: Vec<Policy>,
    /// Over those.
    pub policies_digest: Digest,
    /// Where it stands.
    pub at: Position,
}

/// A policy in Rego, of a file beside the charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its path, from the charter's folder.
    pub path: String,
    /// What is in it.
    pub text: Arc<str>,
    /// Where the charter names it.
    pub at: Position,
}

/// Who must approve what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRule {
    /// For this role.
    pub role: Role,
    /// In this environment; everywhere when absent.
    pub environment: Option<Name>,
    /// For plans of this risk and above; for every one when absent.
    pub risk: Option<Risk>,
    /// How many distinct people.
    pub people: u32,
    /// Members of any of these groups; written `group:<name>` in the file, without the prefix here.
    pub from: BTreeSet<String>,
    /// How long after the last approval it may be used.
    pub expires: Ttl,
    /// How many apply sessions it is good for.
    pub uses: u32,
    /// Where it stands.
    pub at: Position,
}

impl PlanRule {
    /// Whether it is about this role there.
    #[must_use]
    pub fn is_about(&self, role: Role, environment: &Name) -> bool {
        self.role == role && self.environments.contains(environment)
    }
}

impl ApprovalRule {
    /// Whether it is about this role there, at this risk.
    #[must_use]
    pub fn is_about(&self, role: Role, environment: &Name, risk: Risk) -> bool {
        let of = self.environment.as_ref();
        self.role == role
            && of.is_none_or(|name| name == environment)
            && self.risk.is_none_or(|least| risk >= least)
    }
}

/// Bounds on what one charter may have out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest life of a credential.
    pub ttl: Ttl,
    /// The longest life of a task.
    pub task: Ttl,
    /// How many credentials of one agent may live at once.
    pub live_leases: u32,
    /// How many may be minted within windows of time.
    pub mints: Rates,
    /// What one task may have in all.
    pub budget: Option<Budget>,
    /// How much of people's attention one agent may ask for.
    pub requests: RequestLimits,
    /// Refuse a credential whose declared worst case is longer.
    pub revocable_within: Option<Ttl>,
}

/// What one task may have in all. When it is spent and nothing of the task is live, the task closes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How many credentials.
    pub mints: u32,
    /// How much time of credentials, added up.
    pub time: Ttl,
}

/// How often one agent may ask people under one charter (T23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLimits {
    /// How many requests may wait at once.
    pub open: u32,
    /// For how long after a denial nothing can be asked.
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
