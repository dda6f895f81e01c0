//! Requirements: the approval that the rules of a charter demand, and the stricter of two.

use std::collections::BTreeSet;

use lanyard_vocabulary::count::counted;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Ttl;
use serde::{Deserialize, Serialize};

use crate::charter::{Charter, Grant};
use crate::plan::Risk;

/// The approval that a charter demands, fixed when the plan is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The number of distinct people who have to approve.
    pub people: u32,
    /// The groups whose members may approve. Empty means everybody with the approver role.
    pub from: BTreeSet<String>,
    /// The time after the deciding approval within which an apply session may begin.
    pub expires: Ttl,
    /// The number of apply sessions that may begin.
    pub uses: u32,
    /// Groups of which at least one approver each has to be a member. Their members may approve
    /// whatever `from` says.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
    /// The person who declared the emergency, whose approval does not count.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub besides: BTreeSet<Person>,
    /// The sponsors of the agent and of its lineage, whose approvals do not count (T19).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sponsors: BTreeSet<Person>,
    /// The risk that approvers are shown. Approvals of a lower risk do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// Two rules demand approvals that no group of people can give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nobody can approve this: {why}")]
pub struct Unsatisfiable {
    /// The contradiction, in one sentence.
    pub why: String,
}

/// Describes the groups that approvers come from, for a sentence.
#[must_use]
pub fn approvers(from: &BTreeSet<String>) -> String {
    if from.is_empty() {
        return "all approvers".to_owned();
    }
    let names: Vec<&str> = from.iter().map(String::as_str).collect();
    names.join(", ")
}

/// Formats a number of people: `1 person`, `2 people`.
#[must_use]
pub fn persons(count: u32) -> String {
    counted(count.into(), "person")
}

impl Requirement {
    /// Requires one person with the approver role, for one apply session within 30 minutes.
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

    /// True if a member of these groups may approve.
    #[must_use]
    pub fn asks(&self, groups: &BTreeSet<String>) -> bool {
        self.from.is_empty() || !self.from.is_disjoint(groups) || !self.also.is_disjoint(groups)
    }

    /// Combines two optional requirements into one that meets both.
    ///
    /// # Errors
    /// When the two have no group in common.
    pub fn both(one: Option<Self>, two: Option<Self>) -> Result<Option<Self>, Unsatisfiable> {
        match (one, two) {
            (Some(one), Some(two)) => one.narrowed(&two).map(Some),
            (one, two) => Ok(one.or(two)),
        }
    }

    /// Combines two requirements: the larger number of people, the shorter time, the fewer
    /// sessions, the groups in both.
    ///
    /// # Errors
    /// When both name groups and have none in common. An empty set would mean everybody (S42).
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

    /// True if this person's approval does not count, whatever groups the person is in.
    #[must_use]
    pub fn excludes(&self, person: &Person) -> bool {
        let mut excluded = self.besides.iter().chain(&self.sponsors);
        excluded.any(|other| other.may_be(person))
    }
}

impl Charter {
    /// The strictest of the rules of `approvals` about a role in an environment, for a plan of this
    /// risk. It may ask for nobody.
    ///
    /// # Errors
    /// Where the rules ask for people of groups of which none is in all of them.
    pub fn approval(
        &self,
        role: Role,
        environment: &Name,
        risk: Risk,
    ) -> Result<Option<Requirement>, Unsatisfiable> {
        let about = self
            .approvals
            .iter()
            .filter(|rule| rule.is_about(role, environment, risk));
        let mut all = None;
        for rule in about {
            let one = Requirement {
                people: rule.people,
                from: rule.from.clone(),
                expires: rule.expires,
                uses: rule.uses,
                ..Requirement::of_one()
            };
            all = Requirement::both(all, Some(one))?;
        }
        Ok(all)
    }

    /// True if the grant of this name hands on secrets that a person has to approve, whatever
    /// `approvals` says.
    #[must_use]
    pub fn hands_on(&self, grant: &Name) -> bool {
        let own = self.grants.get(grant);
        own.is_some_and(|own| own.rights.hands_on_approved())
    }

    /// The approval demanded under this charter alone before the grant is issued in an environment
    /// for a plan of this risk, within the hours and without an emergency.
    ///
    /// # Errors
    /// As of [`Charter::approval`].
    pub fn requirement(
        &self,
        grant: &Grant,
        environment: &Name,
        risk: Risk,
    ) -> Result<Option<Requirement>, Unsatisfiable> {
        let needed = self.approval(grant.role, environment, risk)?;
        let needed = needed.filter(|needed| needed.people > 0);
        Ok(needed.or_else(|| self.hands_on(&grant.name).then(Requirement::of_one)))
    }
}
