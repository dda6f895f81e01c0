//! People's approval of one plan: who gave it, whether it is enough, and what it was used for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{ApprovalId, LeaseId, PlanId, TaskId};
use crate::identity::{Identity, Operator, OperatorRole};
use crate::lease::Seq;
use crate::plan::Risk;
use crate::scope::AgentName;
use crate::time::{Timestamp, Ttl};

/// What the charter asks for, taken when the plan was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// How many distinct people.
    pub people: u32,
    /// Members of any of these groups; anybody with the approver role when empty.
    pub from: BTreeSet<String>,
    /// How long after the deciding approval it may be used.
    pub expires: Ttl,
    /// For how many apply sessions.
    pub uses: u32,
    /// One of the people has to be in each of these groups, whose members may approve whatever `from` says.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
    /// Whose approval does not count: they have had their say.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub besides: BTreeSet<Identity>,
    /// The risk of what is asked for: people who said yes to a lower one were shown something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// The groups that people who approve come from, for a sentence.
#[must_use]
pub fn approvers(from: &BTreeSet<String>) -> String {
    if from.is_empty() {
        return "all approvers".to_owned();
    }
    let names: Vec<&str> = from.iter().map(String::as_str).collect();
    names.join(", ")
}

/// `1 person`, `2 people`.
#[must_use]
pub fn persons(count: u32) -> String {
    let word = if count == 1 { "person" } else { "people" };
    format!("{count} {word}")
}

/// As many people as there are not: what two lists of groups without a common one come to.
const IMPOSSIBLE: u32 = u32::MAX;

impl Requirement {
    /// One person with the approver role, for one use within half an hour.
    #[must_use]
    pub const fn of_one() -> Self {
        Self {
            people: 1,
            from: BTreeSet::new(),
            expires: Ttl::at_least_a_second(1800),
            uses: 1,
            also: BTreeSet::new(),
            besides: BTreeSet::new(),
            risk: None,
        }
    }

    /// Whether somebody of these groups is asked.
    #[must_use]
    pub fn asks(&self, groups: &BTreeSet<String>) -> bool {
        self.from.is_empty() || !self.from.is_disjoint(groups) || !self.also.is_disjoint(groups)
    }

    /// The groups of which nobody is among these people, and somebody has to be.
    pub fn without<'a>(&'a self, consents: &'a [&Consent]) -> impl Iterator<Item = &'a String> {
        let said = move |group: &&String| {
            consents
                .iter()
                .any(|consent| consent.operator.groups.contains(*group))
        };
        self.also.iter().filter(move |group| !said(group))
    }

    /// Both, where there are two.
    #[must_use]
    pub fn both(one: Option<Self>, two: Option<Self>) -> Option<Self> {
        match (one, two) {
            (Some(one), Some(two)) => Some(one.narrowed(&two)),
            (one, two) => one.or(two),
        }
    }

    /// The narrower of two: the maximum of people, the minimum of times and uses, the groups in both.
    #[must_use]
    pub fn narrowed(&self, other: &Self) -> Self {
        let from = match (self.from.is_empty(), other.from.is_empty()) {
            (true, _) => other.from.clone(),
            (_, true) => self.from.clone(),
            (false, false) => self.from.intersection(&other.from).cloned().collect(),
        };
        let impossible = from.is_empty() && !(self.from.is_empty() && other.from.is_empty());
        Self {
            people: if impossible {
                IMPOSSIBLE
            } else {
                self.people.max(other.people)
            },
            from,
            expires: self.expires.min(other.expires),
            uses: self.uses.min(other.uses),
            also: self.also.union(&other.also).cloned().collect(),
            besides: self.besides.union(&other.besides).cloned().collect(),
            risk: self.risk.max(other.risk),
        }
    }
}

/// One person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Who.
    pub operator: Operator,
    /// When.
    pub at: Timestamp,
    /// In their words.
    pub comment: String,
    /// How many sensitive values that change, and are not shown, that person acknowledged.
    #[serde(default)]
    pub acknowledged: u32,
}

/// What a person was shown of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many sensitive values it changes, which are not shown.
    pub sensitive: u32,
}

impl From<Digest> for Seen {
    fn from(digest: Digest) -> Self {
        Self {
            digest,
            sensitive: 0,
        }
    }
}

/// One request for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The plan.
    pub plan: PlanId,
    /// The digest that people approve.
    pub digest: Digest,
    /// The task that asks.
    pub task: TaskId,
    /// What is asked for.
    pub requirement: Requirement,
    /// When it was asked for.
    pub requested: Timestamp,
    /// The record that asked: an order newer than this makes it dead.
    pub seq: Seq,
    /// Who said yes.
    pub consents: Vec<Consent>,
    /// Who said no, and why: final.
    pub denied: Option<(Operator, String, Timestamp)>,
    /// How many apply sessions were opened under it.
    pub used: u32,
    /// The session that is open: its newest lease.
    pub session: Option<LeaseId>,
}

/// Why a consent is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// Not an approver.
    #[error("you do not have the approver role")]
    NotApprover,
    /// In none of the groups.
    #[error("you are in none of the groups that may approve this: {0}")]
    NotInGroup(String),
    /// The requester or its sponsor (T19).
    #[error("whoever asked for an approval cannot give it")]
    OwnRequest,
    /// Whoever declared the emergency (T19).
    #[error("you declared the emergency: the approval has to be another person's")]
    OwnEmergency,
    /// The same person twice (T19).
    #[error("you have already approved this")]
    Twice,
    /// Another content than the one that was shown (T18, T21).
    #[error("the plan that you saw has the digest {seen}, the plan to approve has {actual}")]
    OtherDigest {
        /// What the approver names.
        seen: Digest,
        /// What would be approved.
        actual: Digest,
    },
    /// Sensitive values change, and nobody approves them without knowing (S2).
    #[error(
        "the plan changes {actual} sensitive value(s), which are not shown, and you acknowledged {acknowledged}: look at \
         `lanyard approval show`, and repeat with `--acknowledge-sensitive {actual}`"
    )]
    NotAcknowledged {
        /// How many the approver names.
        acknowledged: u32,
        /// How many there are.
        actual: u32,
    },
    /// Somebody said no.
    #[error("this was denied: {0}")]
    Denied(String),
    /// Enough people said yes before.
    #[error("this is already approved")]
    Complete,
    /// A kill order came after the request.
    #[error("a kill order has ended this request")]
    Killed,
}

impl Approval {
    /// Whether this operator may say yes.
    ///
    /// # Errors
    /// See [`ConsentError`].
    pub fn admits(
        &self,
        operator: &Operator,
        requester: &Requester<'_>,
    ) -> Result<(), ConsentError> {
        if !operator.is(OperatorRole::Approver) {
            return Err(ConsentError::NotApprover);
        }
        if requester.is(&operator.identity) {
            return Err(ConsentError::OwnRequest);
        }
        if self.requirement.besides.contains(&operator.identity) {
            return Err(ConsentError::OwnEmergency);
        }
        let needed = &self.requirement;
        if !needed.asks(&operator.groups) {
            let groups: Vec<_> = needed
                .from
                .union(&needed.also)
                .map(String::as_str)
                .collect();
            return Err(ConsentError::NotInGroup(groups.join(", ")));
        }
        if let Some((_, reason, _)) = &self.denied {
            return Err(ConsentError::Denied(reason.clone()));
        }
        if self
            .consents
            .iter()
            .any(|consent| consent.operator.identity == operator.identity)
        {
            return Err(ConsentError::Twice);
        }
        if self.is_complete() {
            Err(ConsentError::Complete)
        } else {
            Ok(())
        }
    }

    /// Whether enough people said yes.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let given = self.counted(&self.requirement);
        self.denied.is_none()
            && given.len() >= usize::try_from(self.requirement.people).unwrap_or(usize::MAX)
            && self.requirement.without(&given).next().is_none()
    }

    /// The consents of people who may still give one.
    fn counted(&self, requirement: &Requirement) -> Vec<&Consent> {
        let counts = |consent: &&Consent| {
            consent.operator.is(OperatorRole::Approver)
                && !requirement.besides.contains(&consent.operator.identity)
                && requirement.asks(&consent.operator.groups)
        };
        self.consents.iter().filter(counts).collect()
    }

    /// Whether people can still say yes, and have to.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.denied.is_none() && !self.is_complete()
    }

    /// When the deciding consent was given.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        self.consents
            .last()
            .map_or(self.requested, |consent| consent.at)
    }

    /// Whether it can carry an apply session now, under the requirement that holds now (T20, T22).
    ///
    /// # Errors
    /// One line that says what is missing.
    pub fn usable(&self, now: Timestamp, current: &Requirement) -> Result<(), Unusable> {
        let requirement = self.requirement.narrowed(current);
        if let Some((_, reason, _)) = &self.denied {
            return Err(Unusable::Denied(reason.clone()));
        }
        if requirement.people == IMPOSSIBLE {
            return Err(Unusable::Nobody);
        }
        if let (Some(then), Some(now)) = (self.requirement.risk, current.risk)
            && now > then
        {
            return Err(Unusable::RiskRose { then, now });
        }
        let counted = self.counted(&requirement);
        if counted.len() < usize::try_from(requirement.people).unwrap_or(usize::MAX) {
            return Err(Unusable::Pending {
                given: counted.len(),
                needed: requirement.people,
            });
        }
        if let Some(group) = requirement.without(&counted).next() {
            return Err(Unusable::Missing(group.clone()));
        }
        if now > self.decided_at() + requirement.expires {
            return Err(Unusable::Expired(self.decided_at() + requirement.expires));
        }
        if self.session.is_none() && self.used >= requirement.uses {
            return Err(Unusable::Used(requirement.uses));
        }
        Ok(())
    }
}

/// Why an approval does not carry an apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not enough people yet.
    #[error("{given} of {needed} approvals given")]
    Pending {
        /// How many count.
        given: usize,
        /// How many are needed.
        needed: u32,
    },
    /// Enough people, and none of this group.
    #[error("nobody of {0} has approved yet")]
    Missing(String),
    /// The charter asks other groups now than when the plan was submitted.
    #[error(
        "the charter in force asks for people of other groups than when the plan was submitted; open a new task \
         and submit it again"
    )]
    Nobody,
    /// What people said yes to was less of a risk than it is now.
    #[error(
        "the plan was approved as one of {then} risk, and its risk is {now} now; submit it again"
    )]
    RiskRose {
        /// What was shown.
        then: Risk,
        /// What counts now.
        now: Risk,
    },
    /// Somebody said no.
    #[error("denied: {0}")]
    Denied(String),
    /// Too late.
    #[error("the approval ended at {0}")]
    Expired(Timestamp),
    /// No session left.
    #[error("the approval was good for {0} apply session(s), and they are used")]
    Used(u32),
    /// A lease of its session is still live.
    #[error("a lease of this approval is still live: {0}")]
    Busy(LeaseId),
}

/// Who asked: nobody of these can approve.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// The agent's identity.
    pub identity: &'a Identity,
    /// The agent's name.
    pub agent: &'a AgentName,
    /// The person behind it.
    pub sponsor: Option<&'a Identity>,
}

impl Requester<'_> {
    fn is(&self, identity: &Identity) -> bool {
        self.identity == identity || self.sponsor == Some(identity)
    }
}
