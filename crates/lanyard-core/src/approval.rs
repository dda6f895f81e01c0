//! Approvals of one plan by people: who approved, whether that suffices, and which apply sessions
//! used the approval.

use serde::{Deserialize, Serialize};

use lanyard_charter::plan::Risk;
use lanyard_vocabulary::count::{counted, verb_for};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{ApprovalId, LeaseId, PlanId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::{Operator, OperatorRole};
use lanyard_vocabulary::person::{Person, Sameness};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;

use lanyard_charter::requirement::Requirement;

/// An approval by one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The approver, with the groups and roles held at that time.
    pub operator: Operator,
    /// The time of the approval.
    pub at: Timestamp,
    /// The comment, in the approver's words.
    pub comment: String,
    /// The number of changing sensitive values, which are masked, that the approver acknowledged.
    #[serde(default)]
    pub acknowledged: u32,
}

/// The parts of a plan that the approver confirms to have been shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The digest of the plan's bytes.
    pub digest: Digest,
    /// The number of sensitive values that the plan changes, which are masked.
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

/// A request for approval, with its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The id of the approval.
    pub id: ApprovalId,
    /// The plan to approve.
    pub plan: PlanId,
    /// The digest of the plan's bytes, which approvers confirm.
    pub digest: Digest,
    /// The task that asks.
    pub task: TaskId,
    /// The approval that the charter demands.
    pub requirement: Requirement,
    /// The time of the request.
    pub requested: Timestamp,
    /// The record of the request. A newer kill order that covers the task voids the approval.
    pub seq: Seq,
    /// The approvals given so far.
    pub consents: Vec<Consent>,
    /// The person who rejected the plan, with reason and time. Final.
    pub denied: Option<(Operator, String, Timestamp)>,
    /// The reason why and when the agent withdrew its request. Final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<(String, Timestamp)>,
    /// The number of apply sessions that began under the approval.
    pub used: u32,
    /// The newest lease of the open apply session.
    pub session: Option<LeaseId>,
}

/// The reason why an approval by this person is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// The person does not have the approver role.
    #[error("you do not have the approver role")]
    NotApprover,
    /// The person is in none of the demanded groups.
    #[error("you are in none of the groups that may approve this: {0}")]
    NotInGroup(String),
    /// The person asked, or sponsors a task of the lineage (T19).
    #[error(
        "whoever asked for an approval cannot give it, nor can a sponsor of the agent or of a task above"
    )]
    OwnRequest,
    /// The sponsor's account is at another issuer and may belong to this person (S33).
    #[error("the agent acts on behalf of `{sponsor}`, who may be you: {doubt}")]
    MaybeSponsor {
        /// The sponsor of the task.
        sponsor: Box<Person>,
        /// The reason why the two accounts may belong to one person.
        doubt: String,
    },
    /// An earlier approver's account is at another issuer and may belong to this person (S33).
    #[error("`{other}` has approved this, and may be you: {doubt}")]
    MaybeTwice {
        /// The person who approved earlier.
        other: Box<Person>,
        /// The reason why the two accounts may belong to one person.
        doubt: String,
    },
    /// The person declared the emergency (T19).
    #[error("you declared the emergency: the approval has to be another person's")]
    OwnEmergency,
    /// The person approved before (T19).
    #[error("you have already approved this")]
    Twice,
    /// The person was shown other content (T18, T21).
    #[error("the plan that you saw has the digest {seen}, the plan to approve has {actual}")]
    OtherDigest {
        /// The digest that the person confirms.
        seen: Digest,
        /// The digest of the plan.
        actual: Digest,
    },
    /// The plan changes masked sensitive values that the person did not acknowledge (S2).
    #[error(
        "the plan changes {} that {} not shown, and you acknowledged {acknowledged}: look at \
         `lanyard approval show`, and repeat with `--acknowledge-sensitive {actual}`",
        counted((*actual).into(), "sensitive value"),
        verb_for((*actual).into(), "is", "are")
    )]
    NotAcknowledged {
        /// The number that the person acknowledged.
        acknowledged: u32,
        /// The number in the plan.
        actual: u32,
    },
    /// The agent withdrew its request, for this reason.
    #[error("the request was taken back by whoever made it: {0}")]
    TakenBack(String),
    /// A person rejected the plan, for this reason.
    #[error("this was denied: {0}")]
    Denied(String),
    /// Enough people approved before.
    #[error("this is already approved")]
    Complete,
    /// A kill order covers the request.
    #[error("a kill order has ended this request: the agent has to submit the plan again")]
    Killed,
    /// The task that asked has ended (S14).
    #[error("task `{0}` has ended, and this request with it")]
    TaskEnded(TaskId),
}

impl Approval {
    /// Checks whether this person may approve.
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

    /// True if enough people approved.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let given = self.counted(&self.requirement);
        self.denied.is_none()
            && self.taken_back.is_none()
            && given.len() >= usize::try_from(self.requirement.people).unwrap_or(usize::MAX)
            && missing(&self.requirement, &given).next().is_none()
    }

    /// The approvals that count: of people who may still approve, without pairs of accounts that
    /// may belong to one person.
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

    /// The people whose approval counts under the requirement that holds now. People who lost the
    /// role or the group since count for nothing, and neither do further accounts that may be those
    /// of a person who approved already.
    #[must_use]
    pub fn counting(&self, current: &Requirement) -> Vec<Identity> {
        let Ok(requirement) = self.requirement.narrowed(current) else {
            return Vec::new();
        };
        let counted = self.counted(&requirement).into_iter();
        counted
            .map(|consent| consent.operator.identity.clone())
            .collect()
    }

    /// True if the request still needs approvals and can get them.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.denied.is_none() && self.taken_back.is_none() && !self.is_complete()
    }

    /// The time of the deciding approval.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        self.consents
            .last()
            .map_or(self.requested, |consent| consent.at)
    }

    /// Checks whether an apply session may begin now, under the requirement that holds now (T20,
    /// T22).
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
        if let Some(group) = missing(&requirement, &counted).next() {
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

/// The groups of which nobody is among these people, and somebody has to be.
fn missing<'a>(
    requirement: &'a Requirement,
    consents: &'a [&Consent],
) -> impl Iterator<Item = &'a String> {
    let said = move |group: &&String| {
        consents
            .iter()
            .any(|consent| consent.operator.groups.contains(*group))
    };
    requirement.also.iter().filter(move |group| !said(group))
}

/// The reason why no apply session may begin under an approval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Too few people approved.
    #[error("{given} of {needed} approvals given")]
    Pending {
        /// The number of approvals that count.
        given: usize,
        /// The number of people demanded.
        needed: u32,
    },
    /// Enough people approved, but none of this group.
    #[error("nobody of {0} has approved yet")]
    Missing(String),
    /// The charter in force demands other groups than when the plan was submitted, and nobody can
    /// meet both.
    #[error(
        "the charter in force asks for other people than when the plan was submitted ({why}); open a new task and \
         submit it again"
    )]
    Unsatisfiable {
        /// The contradiction, in one sentence.
        why: String,
    },
    /// The plan's risk is higher now than the risk that the approvers were shown.
    #[error(
        "the plan was approved as one of {then} risk, and its risk is {now} now; submit it again"
    )]
    RiskRose {
        /// The risk that the approvers were shown.
        then: Risk,
        /// The risk as judged now.
        now: Risk,
    },
    /// A person rejected the plan, for this reason.
    #[error("denied: {0}")]
    Denied(String),
    /// The agent withdrew its request, for this reason.
    #[error("the request was taken back by whoever made it: {0}")]
    TakenBack(String),
    /// The approval expired at this time.
    #[error("the approval ended at {0}")]
    Expired(Timestamp),
    /// All of this many apply sessions were used.
    #[error("the approval was good for {}, and no more of them is left", counted((*.0).into(), "apply session"))]
    Used(u32),
    /// The last apply session's lease is still live.
    #[error("a lease of this approval is still live: {0}")]
    Busy(LeaseId),
}

/// The agents and sponsors behind a request, none of whom may approve it.
#[derive(Debug, Clone, Default)]
pub struct Requester<'a> {
    /// The agents of the task and its lineage.
    pub agents: Vec<&'a Identity>,
    /// The sponsors of those agents.
    pub sponsors: Vec<&'a Person>,
}
