//! People's approval of one plan: who gave it, whether it is enough, and what it was used for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{ApprovalId, LeaseId, PlanId, TaskId};
use crate::identity::{Identity, Operator, OperatorRole};
use crate::lease::Seq;
use crate::person::{Person, Sameness};
use crate::plan::Risk;
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
    /// Who declared the emergency: that person's approval does not count.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub besides: BTreeSet<Person>,
    /// The sponsors of the agent and of every task above: their approvals do not count (T19).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sponsors: BTreeSet<Person>,
    /// The risk of what is asked for: people who said yes to a lower one were shown something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// Two rules ask for approval, and nobody can meet both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nobody can approve this: {why}")]
pub struct Unsatisfiable {
    /// Why, in a sentence.
    pub why: String,
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
            sponsors: BTreeSet::new(),
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
    ///
    /// # Errors
    /// Where no group is in both.
    pub fn both(one: Option<Self>, two: Option<Self>) -> Result<Option<Self>, Unsatisfiable> {
        match (one, two) {
            (Some(one), Some(two)) => one.narrowed(&two).map(Some),
            (one, two) => Ok(one.or(two)),
        }
    }

    /// The narrower of two: the maximum of people, the minimum of times and uses, the groups in both.
    ///
    /// # Errors
    /// Where both name groups and none is in both: an empty set of groups would ask anybody (S42).
    pub fn narrowed(&self, other: &Self) -> Result<Self, Unsatisfiable> {
        let from = match (self.from.is_empty(), other.from.is_empty()) {
            (true, _) => other.from.clone(),
            (_, true) => self.from.clone(),
            (false, false) => self.from.intersection(&other.from).cloned().collect(),
        };
        if from.is_empty() && !(self.from.is_empty() && other.from.is_empty()) {
            return Err(Unsatisfiable {
                why: format!(
                    "one rule asks for approvals of `{}`, another for approvals of `{}`, and no group is in both",
                    approvers(&self.from),
                    approvers(&other.from)
                ),
            });
        }
        Ok(Self {
            people: self.people.max(other.people),
            from,
            expires: self.expires.min(other.expires),
            uses: self.uses.min(other.uses),
            also: self.also.union(&other.also).cloned().collect(),
            besides: self.besides.union(&other.besides).cloned().collect(),
            sponsors: self.sponsors.union(&other.sponsors).cloned().collect(),
            risk: self.risk.max(other.risk),
        })
    }

    /// Whether this person's approval counts for nothing, whatever groups the person is in.
    fn excludes(&self, person: &Person) -> bool {
        let mut excluded = self.besides.iter().chain(&self.sponsors);
        excluded.any(|other| other.may_be(person))
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
    /// Why whoever asked takes the request back, and since when: final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<(String, Timestamp)>,
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
    /// The requester, or the sponsor of a task of its lineage (T19).
    #[error(
        "whoever asked for an approval cannot give it, nor can a sponsor of the agent or of a task above"
    )]
    OwnRequest,
    /// The sponsor is known to another issuer, and may be this person (S33).
    #[error("the agent acts on behalf of `{sponsor}`, who may be you: {doubt}")]
    MaybeSponsor {
        /// The sponsor.
        sponsor: Box<Person>,
        /// Why the two may be one person.
        doubt: String,
    },
    /// An approval by another account, which may be the same person's (S33).
    #[error("`{other}` has approved this, and may be you: {doubt}")]
    MaybeTwice {
        /// Who approved before.
        other: Box<Person>,
        /// Why the two may be one person.
        doubt: String,
    },
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
    /// The agent took its request back.
    #[error("the request was taken back by whoever made it: {0}")]
    TakenBack(String),
    /// Somebody said no.
    #[error("this was denied: {0}")]
    Denied(String),
    /// Enough people said yes before.
    #[error("this is already approved")]
    Complete,
    /// A kill order came after the request.
    #[error("a kill order has ended this request: the agent has to submit the plan again")]
    Killed,
    /// The task that asked is over (S14).
    #[error("task `{0}` has ended, and this request with it")]
    TaskEnded(TaskId),
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
        let person = operator.person();
        if requester.agents.contains(&&operator.identity) {
            return Err(ConsentError::OwnRequest);
        }
        let needed = &self.requirement;
        for sponsor in requester.sponsors.iter().copied().chain(&needed.sponsors) {
            match sponsor.sameness(&person) {
                Sameness::Same => return Err(ConsentError::OwnRequest),
                Sameness::Distinct => {}
                Sameness::Unknown => {
                    return Err(ConsentError::MaybeSponsor {
                        sponsor: Box::new(sponsor.clone()),
                        doubt: sponsor.doubt(&person),
                    });
                }
            }
        }
        if needed.besides.iter().any(|other| other.may_be(&person)) {
            return Err(ConsentError::OwnEmergency);
        }
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
        if let Some((reason, _)) = &self.taken_back {
            return Err(ConsentError::TakenBack(reason.clone()));
        }
        for consent in &self.consents {
            let other = consent.operator.person();
            match other.sameness(&person) {
                Sameness::Same => return Err(ConsentError::Twice),
                Sameness::Distinct => {}
                Sameness::Unknown => {
                    return Err(ConsentError::MaybeTwice {
                        doubt: other.doubt(&person),
                        other: Box::new(other),
                    });
                }
            }
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
            && self.taken_back.is_none()
            && given.len() >= usize::try_from(self.requirement.people).unwrap_or(usize::MAX)
            && self.requirement.without(&given).next().is_none()
    }

    /// The consents of people who may still give one, of no two of which it is unknown whether they are one person.
    fn counted(&self, requirement: &Requirement) -> Vec<&Consent> {
        let mut counted: Vec<(Person, &Consent)> = Vec::new();
        for consent in &self.consents {
            let person = consent.operator.person();
            let counts = consent.operator.is(OperatorRole::Approver)
                && !requirement.excludes(&person)
                && requirement.asks(&consent.operator.groups)
                && !counted.iter().any(|(other, _)| other.may_be(&person));
            if counts {
                counted.push((person, consent));
            }
        }
        counted.into_iter().map(|(_, consent)| consent).collect()
    }

    /// Whether people can still say yes, and have to.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.denied.is_none() && self.taken_back.is_none() && !self.is_complete()
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
        if let Some((_, reason, _)) = &self.denied {
            return Err(Unusable::Denied(reason.clone()));
        }
        if let Some((reason, _)) = &self.taken_back {
            return Err(Unusable::TakenBack(reason.clone()));
        }
        let requirement = self.requirement.narrowed(current);
        let requirement =
            requirement.map_err(|nobody| Unusable::Unsatisfiable { why: nobody.why })?;
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
        "the charter in force asks for other people than when the plan was submitted ({why}); open a new task and \
         submit it again"
    )]
    Unsatisfiable {
        /// Why nobody meets both.
        why: String,
    },
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
    /// The agent took its request back.
    #[error("the request was taken back by whoever made it: {0}")]
    TakenBack(String),
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
#[derive(Debug, Clone, Default)]
pub struct Requester<'a> {
    /// The agents of the task and of every task above.
    pub agents: Vec<&'a Identity>,
    /// The people behind them.
    pub sponsors: Vec<&'a Person>,
}
