//! A no: by which rule of which charter, why, and what to do next.

use std::borrow::Cow;
use std::fmt;

use lanyard_charter::Charter;
use lanyard_charter::requirement::Unsatisfiable;
use lanyard_document::{Position, nearest};
use lanyard_vocabulary::id::{KillId, PauseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::time::{Timestamp, Ttl};
use serde::{Deserialize, Serialize};

use super::reason::ReasonCode;

/// A denial: the rule of a charter that said no, and what to do next. Displayed as one
/// self-contained line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Denial {
    /// The charter's name, as it was asked for.
    pub charter: Name,
    /// The revision that said no; none when there is no such charter in force.
    pub revision: Option<Revision>,
    /// The rule that said no.
    pub rule: Rule,
    /// The position of the rule in the charter's file.
    pub at: Option<Position>,
    /// The field of the rule, where the charter comes from a Kubernetes object and has no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Box<str>>,
    /// The reason, in a sentence.
    pub message: String,
    /// The remedy, in a sentence.
    pub next: String,
    /// The number of people who would have had to approve. Set where everything else allowed the
    /// request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<u32>,
    /// The code that a program branches on. Records from before there were codes have none: see
    /// [`Denial::code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<ReasonCode>,
    /// The limit that is reached, where the request met one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Box<LimitReached>>,
    /// The first moment at which the same request could be allowed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Timestamp>,
    /// The kill order or the pause without which the request would have got further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<HeldBy>,
}

/// The stop, by people or a breaker, that stands in the way of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldBy {
    /// A kill order that is engaged.
    Kill(KillId),
    /// A pause that is in force.
    Pause(PauseId),
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(id) => id.fmt(f),
            Self::Pause(id) => id.fmt(f),
        }
    }
}

/// A limit, by the name that the charter or docs/limits.md has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReached {
    /// The name of the limit, such as `limits.live_leases`.
    pub name: Cow<'static, str>,
    /// The value as a person would write it: `5`, `30 per 1h`.
    pub value: String,
}

impl Denial {
    /// Returns the code that a program branches on, of records of every age.
    #[must_use]
    pub fn code(&self) -> ReasonCode {
        self.reason_code.unwrap_or_else(|| self.rule.code())
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.rule.is_refusal() {
            "refused under"
        } else {
            "denied by"
        };
        write!(f, "{verb} charter {} ", self.charter)?;
        match &self.limit {
            Some(limit) => write!(f, "({}", limit.name)?,
            None => write!(f, "({}", self.rule)?,
        }
        match (&self.path, self.at) {
            (Some(path), _) => write!(f, ", {path}")?,
            (None, Some(at)) => write!(f, ", line {}", at.line)?,
            (None, None) => {}
        }
        write!(f, "): {}; {}", self.message, self.next)
    }
}

/// The kinds of rule that can say no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// No charter of that name is in force.
    NotInForce,
    /// The charter's list `agents`.
    Agents,
    /// The charter's list `environments`.
    Environments,
    /// The autonomy of the environment.
    Autonomy,
    /// The charter's list `grants`.
    Grants,
    /// The charter's `mode: shadow`.
    Shadow,
    /// `requires`: the task does not state it.
    Requires,
    /// `expires`: the charter has ended.
    Expires,
    /// The charter's list `freezes`.
    Freezes,
    /// The charter's list `hours`.
    Hours,
    /// The terms of the charter's `emergency`.
    Emergency,
    /// `delegates`: of a charter above.
    Delegates,
    /// `versions`: this build of the agent is not among them.
    Versions,
    /// The charter's list `prohibited`.
    Prohibited,
    /// The environments of the charter's `plans.required`.
    PlanRequired,
    /// `plans.policies`: what judges a plan.
    Policies,
    /// The charter's list `approvals`.
    Approvals,
    /// The configuration does not say whom the agent's issuer names as its sponsor.
    Sponsor,
    /// The charter's section `limits`.
    Limits,
    /// The task has ended, or never was this agent's.
    Task,
    /// A kill order that is engaged.
    Kill,
    /// A pause that is in force.
    Pause,
    /// `breakers`: one has tripped, and what it does is not recorded yet.
    Breakers,
    /// The plan or the people's word that `approvals`, `hours` or a pause asks for is not there
    /// yet.
    AwaitsApproval,
    /// A number of leases, mints, requests, tasks or records is reached.
    Quota,
}

impl Rule {
    /// Tells if the charter allows the request, and something else holds it up: no breaker counts
    /// such an answer, because whoever waits for people or for a limit does nothing that the
    /// charter forbids.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Kill | Self::Pause | Self::Breakers | Self::AwaitsApproval | Self::Quota
        )
    }
}

impl Rule {
    /// The code of an answer of which no more is known than its rule.
    #[must_use]
    pub const fn code(self) -> ReasonCode {
        match self {
            Self::NotInForce => ReasonCode::NotInForce,
            Self::Agents => ReasonCode::Agent,
            Self::Environments => ReasonCode::Environment,
            Self::Autonomy => ReasonCode::Autonomy,
            Self::Grants => ReasonCode::Grant,
            Self::Shadow => ReasonCode::Shadow,
            Self::Requires => ReasonCode::Requires,
            Self::Expires => ReasonCode::Expired,
            Self::Freezes => ReasonCode::Frozen,
            Self::Hours => ReasonCode::OutOfHours,
            Self::Emergency => ReasonCode::Emergency,
            Self::Delegates => ReasonCode::Delegates,
            Self::Versions => ReasonCode::Version,
            Self::Prohibited => ReasonCode::Prohibited,
            Self::PlanRequired => ReasonCode::PlanRequired,
            Self::Policies => ReasonCode::Policy,
            Self::Approvals => ReasonCode::NobodyApproves,
            Self::Sponsor => ReasonCode::Sponsor,
            Self::Limits => ReasonCode::Limit,
            Self::Task => ReasonCode::TaskEnded,
            Self::Kill => ReasonCode::Killed,
            Self::Pause => ReasonCode::Paused,
            Self::Breakers => ReasonCode::BreakerTripped,
            Self::AwaitsApproval => ReasonCode::ApprovalPending,
            Self::Quota => ReasonCode::Quota,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotInForce => "not in force",
            Self::Agents => "agents",
            Self::Environments => "environments",
            Self::Autonomy => "autonomy",
            Self::Grants => "grants",
            Self::Shadow => "mode",
            Self::Requires => "requires",
            Self::Expires => "expires",
            Self::Freezes => "freezes",
            Self::Hours => "hours",
            Self::Emergency => "emergency",
            Self::Delegates => "delegates",
            Self::Versions => "versions",
            Self::Prohibited => "prohibited",
            Self::PlanRequired => "plans.required",
            Self::Policies => "plans.policies",
            Self::Approvals => "approvals",
            Self::Sponsor => "sponsor",
            Self::Limits => "limits",
            Self::Task => "task",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Breakers => "breakers",
            Self::AwaitsApproval => "approval",
            Self::Quota => "quota",
        })
    }
}

pub(super) struct DenialBuilder<'a>(pub(super) &'a Charter);

impl DenialBuilder<'_> {
    /// No, because nobody could approve it.
    pub(super) fn nobody(&self, nobody: &Unsatisfiable) -> Denial {
        self.no(
            Rule::Approvals,
            None,
            nobody.to_string(),
            "open a new task where the charter has changed, or ask its owners to name a group in all rules of `approvals` that are about this",
        )
    }

    pub(super) fn no(
        &self,
        rule: Rule,
        at: Option<Position>,
        message: String,
        next: &str,
    ) -> Denial {
        Denial {
            charter: self.0.name.clone(),
            revision: Some(self.0.revision.clone()),
            rule,
            path: at.and_then(|at| self.0.paths.at(at)).map(Box::from),
            at,
            message,
            next: next.to_owned(),
            would: None,
            reason_code: Some(rule.code()),
            limit: None,
            retry_after: None,
            held_by: None,
        }
    }
}

/// The denial when it is not known on whose behalf the agent acts: that person could approve what
/// the agent asks for.
#[must_use]
pub fn unmapped_sponsor(charter: &Name, why: &str) -> Denial {
    Denial {
        rule: Rule::Sponsor,
        message: format!("it is not known on whose behalf the agent acts: {why}"),
        next: "ask the platform team to set `sponsor` of the agent's issuer in the configuration"
            .to_owned(),
        ..not_in_force(charter)
    }
}

/// The denial when the revision that a task was opened under is lost, and its charter is in force.
#[must_use]
pub fn revision_lost(charter: &Name, revision: &Revision) -> Denial {
    Denial {
        message: format!("the revision `{revision}` that the task was opened under is lost"),
        next: "close the task and open another one".to_owned(),
        ..not_in_force(charter)
    }
}

/// The denial when the charter was in force, and what it comes from has not been read for too long.
#[must_use]
pub fn unread(charter: &Name) -> Denial {
    Denial {
        message: "the charter is not in force while the broker cannot read it from the API server"
            .to_owned(),
        next: "try again later, or tell the platform team".to_owned(),
        ..not_in_force(charter)
    }
}

/// The denial when no charter of that name is in force.
#[must_use]
pub fn not_in_force(charter: &Name) -> Denial {
    Denial {
        charter: charter.clone(),
        revision: None,
        rule: Rule::NotInForce,
        at: None,
        path: None,
        message: "no such charter is in force for you".to_owned(),
        next: "check the name, or ask the platform team whether it loads".to_owned(),
        would: None,
        reason_code: None,
        limit: None,
        retry_after: None,
        held_by: None,
    }
}

/// Says what to name instead: the nearest of the known names, and all of them.
pub(super) fn named<'a>(what: &str, found: &Name, known: impl Iterator<Item = &'a Name>) -> String {
    let known: Vec<&str> = known.map(Name::as_str).collect();
    if known.is_empty() {
        return "ask the charter's owners for one".to_owned();
    }
    let near = nearest(found.as_str(), known.iter().copied());
    let near = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    format!("{what} {}{near}", known.join(", "))
}

/// The denial, with the limit that the request is over.
pub(super) fn over(denial: Denial, name: &'static str, value: Ttl) -> Denial {
    Denial {
        limit: Some(Box::new(LimitReached {
            name: name.into(),
            value: value.to_string(),
        })),
        ..denial
    }
}
