//! What people are asked, and what they answer.

use crate::approval::{ConsentError, Requester, Seen};
use crate::charter::RequestLimits;
use crate::id::{ApprovalId, TaskId};
use crate::identity::{Identity, Operator};
use crate::plan::Plan;
use crate::time::Timestamp;

use super::{Refusal, State};

impl State {
    /// A plan, with how often people may be asked where they have to be.
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
        asked.map_or(Ok(()), |most| self.may_ask(plan.task, most, now))
    }

    pub(super) fn admit_consent(
        &self,
        approval: ApprovalId,
        seen: Seen,
        operator: &Operator,
    ) -> Result<(), Refusal> {
        let approval = self.known_approval(approval)?;
        if approval.digest != seen.digest {
            let (seen, actual) = (seen.digest, approval.digest);
            return Err(ConsentError::OtherDigest { seen, actual }.into());
        }
        self.with_requester(approval.task, |requester| {
            approval.admits(operator, requester)
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

    /// Whoever may say yes may say no, also after a yes.
    pub(super) fn admit_rejection(
        &self,
        approval: ApprovalId,
        operator: &Operator,
    ) -> Result<(), Refusal> {
        let approval = self.known_approval(approval)?;
        match self.with_requester(approval.task, |requester| {
            approval.admits(operator, requester)
        }) {
            Err(Refusal::Consent(ConsentError::Twice | ConsentError::Complete)) => Ok(()),
            other => other,
        }
    }

    pub(super) fn admit_withdrawal(
        &self,
        approval: ApprovalId,
        by: &Identity,
    ) -> Result<(), Refusal> {
        let consents = &self.known_approval(approval)?.consents;
        let mut own = consents.iter().map(|consent| &consent.operator.identity);
        if own.any(|identity| identity == by) {
            Ok(())
        } else {
            let yes = format!("yes of yours to approval {approval}");
            Err(Refusal::Unknown(yes))
        }
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

    /// Whether this agent may ask people again (T23).
    fn may_ask(&self, task: TaskId, most: RequestLimits, now: Timestamp) -> Result<(), Refusal> {
        let asking = &self.known_task(task)?.task;
        let own = self.approvals.values().filter_map(|approval| {
            let entry = self.tasks.get(&approval.task)?;
            let task = &entry.task;
            let same = task.agent == asking.agent && task.charter == asking.charter;
            same.then_some((approval, entry.is_open(now)))
        });
        let (mut waiting, mut quiet) = (0, None);
        for (approval, open) in own {
            match &approval.denied {
                Some((.., at)) => quiet = quiet.max(Some(*at + most.cooldown)),
                None => waiting += u32::from(open && !approval.is_complete()),
            }
        }
        if let Some(until) = quiet.filter(|until| *until > now) {
            let agent = asking.agent.to_string();
            return Err(Refusal::CoolingDown { agent, until });
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

    /// What a person may do now counts for what that person said yes to, until it is used.
    pub(super) fn recognize(&mut self, operator: &Operator) {
        let approvals = self.approvals.values_mut();
        let consents = approvals.flat_map(|approval| &mut approval.consents);
        for consent in consents.filter(|it| it.operator.identity == operator.identity) {
            consent.operator.clone_from(operator);
        }
    }

    pub(super) fn withdraw(&mut self, approval: ApprovalId, by: &Identity) {
        self.on_approval(approval, |approval| {
            approval.consents.retain(|it| it.operator.identity != *by);
        });
    }
}
