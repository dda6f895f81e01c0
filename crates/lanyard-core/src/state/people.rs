//! Requests to people, and their answers.

use std::time::Duration;

use lanyard_charter::RequestLimits;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{ApprovalId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;

use super::{Refusal, State};
use crate::approval::{Approval, ConsentError, Requester, Seen};
use crate::plan::Plan;

/// The time for which the newest groups of a person are remembered. No token and no session lives
/// longer.
const GROUPS_REMEMBERED: Duration = Duration::from_secs(48 * 3600);
/// The time by which a login with unchanged groups must be newer before it is journaled. A bearer
/// token of this age is no longer accepted.
const RECOGNITION_INTERVAL: Duration = Duration::from_secs(300);

/// Plans that one task submits.
///
/// # Limit
/// - for: a task
/// - unit: plans
/// - beyond: a plan is refused; another task can be opened for it
/// - test: `s05_plans_are_bounded_by_task`
pub(crate) const MAX_PLANS_PER_TASK: usize = 100;

impl State {
    /// Checks a plan, and the agent's quota of requests if the plan needs an approval.
    pub(super) fn admit_plan(
        &self,
        plan: &Plan,
        asked: Option<RequestLimits>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let entry = self.known_task(plan.task)?;
        if self.plans.contains_key(&plan.id) {
            return Err(Refusal::Exists(format!("plan {}", plan.id)));
        }
        if !entry.is_open(now) {
            return Err(Refusal::TaskEnded(plan.task));
        }
        if self.plans_of.get(&plan.task).map_or(0, Vec::len) >= MAX_PLANS_PER_TASK {
            return Err(Refusal::TooManyPlans {
                task: plan.task,
                most: MAX_PLANS_PER_TASK,
            });
        }
        asked.map_or(Ok(()), |most| self.may_ask(plan.task, most, now))
    }

    pub(super) fn admit_consent(
        &self,
        approval: ApprovalId,
        seen: Seen,
        (operator, now): (&Operator, Timestamp),
    ) -> Result<(), Refusal> {
        let approval = self.known_approval(approval)?;
        self.still_asked(approval, now)?;
        if approval.digest != seen.digest {
            let (seen, actual) = (seen.digest, approval.digest);
            return Err(ConsentError::OtherDigest { seen, actual }.into());
        }
        self.with_requester(approval.task, |requester| {
            approval.admits(&self.as_known(operator), requester)
        })?;
        let plan = self.plans.get(&approval.plan);
        let actual = plan.map_or(0, |plan| plan.sensitive.count);
        if seen.sensitive != actual {
            let acknowledged = seen.sensitive;
            return Err(ConsentError::NotAcknowledged {
                acknowledged,
                actual,
            }
            .into());
        }
        Ok(())
    }

    /// Checks that a request can still be answered: its task is open and no kill order covers it
    /// (S14).
    fn still_asked(&self, approval: &Approval, now: Timestamp) -> Result<(), ConsentError> {
        match self.void(approval, now) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// Says why a request can never be granted any more; `None` if it can.
    #[must_use]
    pub fn void(&self, approval: &Approval, now: Timestamp) -> Option<ConsentError> {
        let entry = self.tasks.get(approval.task);
        let Some(entry) = entry.filter(|entry| entry.is_open(now)) else {
            return Some(ConsentError::TaskEnded(approval.task));
        };
        let killed = self
            .kills
            .kills_task(&entry.task, Role::Apply, approval.seq);
        killed.then_some(ConsentError::Killed)
    }

    /// Checks a rejection: whoever may approve may reject, also after having approved.
    pub(super) fn admit_rejection(
        &self,
        approval: ApprovalId,
        (operator, now): (&Operator, Timestamp),
    ) -> Result<(), Refusal> {
        let approval = self.known_approval(approval)?;
        self.still_asked(approval, now)?;
        match self.with_requester(approval.task, |requester| {
            approval.admits(&self.as_known(operator), requester)
        }) {
            Err(Refusal::Consent(ConsentError::Twice | ConsentError::Complete)) => Ok(()),
            other => other,
        }
    }

    /// The agent that asked withdraws the request, and a person withdraws their own approval. A
    /// request that is void, denied or withdrawn stays as it is: it ended for another reason.
    pub(super) fn admit_withdrawal(
        &self,
        approval: ApprovalId,
        (by, now): (&Identity, Timestamp),
    ) -> Result<(), Refusal> {
        let asked = self.known_approval(approval)?;
        let consents = &asked.consents;
        let mut own = consents.iter().map(|consent| &consent.operator.identity);
        if !self.asks_for(asked, by) && !own.any(|identity| identity == by) {
            let yes = format!("yes of yours to approval {approval}");
            return Err(Refusal::Unknown(yes));
        }
        if let Some((reason, _)) = &asked.taken_back {
            return Err(ConsentError::TakenBack(reason.clone()).into());
        }
        if let Some((_, reason, _)) = &asked.denied {
            return Err(ConsentError::Denied(reason.clone()).into());
        }
        Ok(self.still_asked(asked, now)?)
    }

    fn with_requester(
        &self,
        task: TaskId,
        admits: impl FnOnce(&Requester<'_>) -> Result<(), ConsentError>,
    ) -> Result<(), Refusal> {
        let task = &self.known_task(task)?.task;
        let mut requester = Requester::default();
        let mut lineage = vec![task];
        for above in &task.lineage {
            // A task goes with all that was opened under it, and not before.
            lineage.push(&self.known_task(above.task)?.task);
        }
        for task in lineage {
            requester.agents.push(&task.identity);
            requester.sponsors.extend(&task.sponsor);
        }
        Ok(admits(&requester)?)
    }

    /// The charter and agent of the task that asks.
    pub(super) fn asking(&self, task: TaskId) -> Option<(Name, AgentName)> {
        let task = &self.tasks.get(task)?.task;
        Some((task.charter.clone(), task.agent.clone()))
    }

    /// Checks the agent's quota of requests to people (T23).
    fn may_ask(&self, task: TaskId, most: RequestLimits, now: Timestamp) -> Result<(), Refusal> {
        let asking = &self.known_task(task)?.task;
        let of_agent = (asking.charter.clone(), asking.agent.clone());
        let own = self.approvals.asked_by(&of_agent).filter_map(|approval| {
            let task = &self.tasks.get(approval.task)?.task;
            // A request holds its place for as long as it could have waited: to close its task
            // early, and open another, asks people as much as to leave it open (S14).
            let held = task.expires.max(approval.requested + most.cooldown);
            Some((approval, now < held))
        });
        let (mut waiting, mut quiet) = (0, None);
        for (approval, held) in own {
            match (&approval.denied, &approval.taken_back) {
                (Some((.., at)), _) => quiet = quiet.max(Some(*at + most.cooldown)),
                // People have read it: a request that is taken back, and made again, asks them
                // twice.
                (None, Some(_)) => {
                    waiting += u32::from(now < approval.requested + most.cooldown);
                }
                (None, None) => waiting += u32::from(held && !approval.is_complete()),
            }
        }
        if let Some(until) = quiet.filter(|until| *until > now) {
            let agent = asking.agent.to_string();
            let cooldown = most.cooldown;
            return Err(Refusal::CoolingDown {
                agent,
                cooldown,
                until,
            });
        }
        if waiting >= most.open {
            return Err(Refusal::TooManyRequests {
                agent: asking.agent.to_string(),
                waiting,
                most: most.open,
            });
        }
        Ok(())
    }

    /// Updates the person's unused approvals to the roles and groups that the person has now.
    pub(super) fn recognize(&mut self, operator: &Operator) {
        let own = self.approvals.of_person(&operator.identity);
        let own: Vec<ApprovalId> = own.map(|approval| approval.id).collect();
        for id in own {
            self.approvals.update(id, |approval| {
                let consents = approval.consents.iter_mut();
                for consent in consents.filter(|it| it.operator.identity == operator.identity) {
                    if consent.operator.vouched <= operator.vouched {
                        consent.operator.clone_from(operator);
                    }
                }
            });
        }
        if let Some(vouched) = operator.vouched {
            // What nobody can show any more, nobody has to be told apart from.
            let horizon = vouched.before(GROUPS_REMEMBERED);
            self.people
                .retain(|_, known| known.vouched.is_some_and(|at| at > horizon));
            self.people
                .insert(operator.identity.clone(), operator.clone());
        }
    }

    /// True if the person's groups or roles differ from those known, and the token or session is
    /// not older than the known one.
    #[must_use]
    pub fn knows_otherwise(&self, operator: &Operator) -> bool {
        let known = self.people.get(&operator.identity);
        if known.is_some_and(|known| known.vouched > operator.vouched) {
            return false;
        }
        let differs = |other: &Operator| {
            Operator {
                vouched: operator.vouched,
                ..other.clone()
            } != *operator
        };
        let approvals = self.approvals.of_person(&operator.identity);
        let mut own = approvals
            .flat_map(|it| &it.consents)
            .map(|consent| &consent.operator);
        if own.any(|other| {
            let newer = other.vouched <= operator.vouched;
            other.identity == operator.identity && newer && differs(other)
        }) {
            return true;
        }
        match known {
            // That somebody logged in again with the same groups is worth a record now and then:
            // what is older than that login does not count by itself any more.
            Some(known) => {
                let noted = known.vouched.map(|at| at + RECOGNITION_INTERVAL);
                differs(known) || noted < operator.vouched
            }
            None => operator.vouched.is_some() && !operator.roles.is_empty(),
        }
    }

    /// The operator without the groups and roles that a newer login of the same person no longer
    /// has (S37).
    #[must_use]
    pub fn as_known(&self, operator: &Operator) -> Operator {
        let known = self.people.get(&operator.identity);
        match known.filter(|known| known.vouched > operator.vouched) {
            None => operator.clone(),
            Some(known) => Operator {
                groups: &operator.groups & &known.groups,
                roles: &operator.roles & &known.roles,
                ..operator.clone()
            },
        }
    }

    /// True if this identity runs the task that asks for the approval.
    fn asks_for(&self, approval: &Approval, who: &Identity) -> bool {
        let task = self.tasks.get(approval.task);
        task.is_some_and(|entry| entry.task.identity == *who)
    }

    /// Withdraws the whole request if its asker withdraws, or a person's own approval.
    pub(super) fn withdraw(
        &mut self,
        approval: ApprovalId,
        (by, reason): (&Identity, &str),
        at: Timestamp,
    ) {
        let own = self.approvals.get(approval);
        let is_own = own.is_some_and(|approval| self.asks_for(approval, by));
        self.on_approval(approval, |approval| {
            if is_own {
                approval.taken_back = Some((reason.to_owned(), at));
            } else {
                approval.consents.retain(|it| it.operator.identity != *by);
            }
        });
    }
}
