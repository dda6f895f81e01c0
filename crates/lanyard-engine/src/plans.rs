//! Plans and the approvals that they wait for.

use std::collections::BTreeSet;
use std::sync::Arc;

use lanyard_core::approval::Seen;
use lanyard_core::charter::{ActionPattern, Name, Rights};
use lanyard_core::command::{Asked, Command};
use lanyard_core::decide::{Denial, Permit};
use lanyard_core::digest::Digest;
use lanyard_core::id::{ApprovalId, LeaseId, PlanId, TaskId};
use lanyard_core::identity::{Caller, Identity, Operator};
use lanyard_core::ledger::CommitError;
use lanyard_core::person::Person;
use lanyard_core::plan::{
    Effects, KubernetesObject, Narrowing, Plan, PlanFormat, PlanReach, Reading, Rehearsal, Unjudged,
};
use lanyard_core::provider::{MintRequest, Rehearsed};
use lanyard_core::state::TaskEntry;
use lanyard_core::task::Task;
use lanyard_core::time::Timestamp;

use crate::activity::Request;
use crate::engine::Engine;
use crate::issue::IssueError;
use crate::records::TooManyRecords;
use crate::tasks::{Requested, sponsored};

/// What an agent proposes.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Under which task.
    pub task: TaskId,
    /// For which apply grant.
    pub grant: Name,
    /// In what form the bytes are; recognised by the bytes where nothing is said.
    pub format: Option<PlanFormat>,
    /// The agent's own words.
    pub summary: String,
    /// The destructive actions that it asks for.
    pub destructive: BTreeSet<ActionPattern>,
}

/// A submission under way. The agent has its turn: the bytes of a plan are in memory, and looking at them takes a core for a
/// while. No agent has more than one, and it is taken before the bytes are.
pub struct Submission<'a> {
    engine: &'a Engine,
    caller: Caller,
    entry: TaskEntry,
    proposal: Proposal,
}

impl Drop for Submission<'_> {
    fn drop(&mut self) {
        self.engine.submitting.lock().remove(&self.entry.task.agent);
    }
}

fn is_made(rehearsed: &Rehearsed) -> bool {
    rehearsed.before.is_none()
}

/// Which of the objects are made, by their kind, namespace and name: objects of several kinds can have one name.
fn newly_made(
    rehearsed: &[Rehearsed],
    named: &[Option<KubernetesObject>],
) -> BTreeSet<KubernetesObject> {
    let each = rehearsed.iter().zip(named);
    let made = each.filter(|(it, _)| is_made(it));
    made.filter_map(|(_, named)| named.clone()).collect()
}

/// Whether these rights let somebody read the object.
fn may_get(rights: &Rights, object: &KubernetesObject) -> bool {
    match rights {
        Rights::Kubernetes(grant) => grant.reads(object),
        Rights::Token(_) | Rights::Aws(_) | Rights::Vault(_) | Rights::GitHub(_) => false,
    }
}

impl Submission<'_> {
    /// Takes the plan in. Its bytes are stored once it is decided that the grant would be given with it, and before the
    /// ledger refers to them.
    ///
    /// # Errors
    /// A grant that would not be given with this plan is denied now, before people are asked.
    pub async fn submit(self, content: Arc<[u8]>) -> Result<Plan, IssueError> {
        match self.taken_in(content).await {
            Ok(plan) => Ok(plan),
            Err(error) => {
                let asked = Asked {
                    proposed: Some(self.proposal.destructive.clone()),
                    ..Asked::default()
                };
                let asked = (self.entry.task.id, &self.proposal.grant, asked);
                let recorded = self.engine.recorded(&self.caller.identity, asked, error);
                Err(recorded.await)
            }
        }
    }

    async fn taken_in(&self, content: Arc<[u8]>) -> Result<Plan, IssueError> {
        let (engine, proposal) = (self.engine, &self.proposal);
        let Caller {
            identity, evidence, ..
        } = &self.caller;
        let sponsor = engine
            .sponsor_of(&self.caller, &self.entry, proposal)
            .await?;
        let (task, now) = (&self.entry.task.used_by(evidence), engine.now());
        let judge = &engine.parts.judge;
        let (format, mut reading) = judge.read(task, proposal.format, &content).await?;
        let mut plan = Plan {
            id: PlanId::from_bits(engine.draw()?),
            task: task.id,
            grant: proposal.grant.clone(),
            namespace: engine.namespace_of(task, &proposal.grant),
            format,
            digest: Digest::of(&content),
            size: u64::try_from(content.len()).unwrap_or(u64::MAX),
            summary: proposal.summary.clone(),
            destructive: proposal.destructive.clone(),
            effects: reading.effects,
            rehearsed: None,
            sensitive: reading.sensitive.clone(),
            beyond: None,
            counted: None,
            reach: None,
            narrowing: None,
            judgements: Vec::new(),
            rehearsal: None,
            submitted: now,
            approval: None,
        };
        engine.judge(task, &mut plan, Some(&content)).await?;
        let mut kept = vec![content];
        if !reading.objects.is_empty()
            && engine
                .weigh((task, sponsor), &mut plan, reading.reach.clone(), now)
                .is_ok()
        {
            // Only what would be given is rehearsed.
            let text = engine.rehearse(task, &mut plan, &mut reading).await;
            kept.extend(text);
        }
        let (requirement, requests) =
            match engine.weigh((task, sponsor), &mut plan, reading.reach, now) {
                Ok(permit) => {
                    if let Some(why) = permit.narrowing().and_then(Narrowing::refused) {
                        let form = "short enough to be approved";
                        return Err(Unjudged::Form { form, why }.into());
                    }
                    plan.beyond = permit.beyond().map(str::to_owned);
                    plan.counted = Some(permit.risk());
                    plan.narrowing = permit.narrowing().cloned().map(Narrowing::kept);
                    (permit.requirement().cloned(), permit.limits().requests)
                }
                Err(denial) => return Err(engine.denied(identity, (task, &plan), denial).await?),
            };
        judge.store(task, kept).await?;
        if requirement.is_some() {
            plan.approval = Some(ApprovalId::from_bits(engine.draw()?));
        }
        let submit = Command::SubmitPlan {
            plan: Box::new(plan.clone()),
            requirement,
            requests,
        };
        let metered = engine.meter(&self.caller.identity, &submit);
        metered.map_err(IssueError::TooManyRecords)?;
        engine.commit(submit).await.map_err(IssueError::Commit)?;
        Ok(plan)
    }
}

impl Engine {
    /// The person on whose behalf the caller says that it acts.
    async fn sponsor_of<'a>(
        &self,
        caller: &'a Caller,
        entry: &TaskEntry,
        proposal: &Proposal,
    ) -> Result<Option<&'a Person>, IssueError> {
        match sponsored(caller, &entry.task.charter) {
            Ok(sponsor) => Ok(sponsor),
            Err(denial) => {
                let asked = Requested {
                    what: Request::Plan,
                    task: Some(proposal.task),
                    environment: Some(entry.task.environment.clone()),
                    grant: Some(proposal.grant.clone()),
                    asked: Asked::default(),
                };
                let (decision, denial) = self.deny(&caller.identity, asked, denial).await?;
                Err(IssueError::Denied { decision, denial })
            }
        }
    }

    /// What the submission comes to where the plan is denied; the denial is recorded.
    async fn denied(
        &self,
        identity: &Identity,
        (task, plan): (&Task, &Plan),
        denial: Denial,
    ) -> Result<IssueError, IssueError> {
        let asked = Requested {
            what: Request::Plan,
            task: Some(plan.task),
            environment: Some(task.environment.clone()),
            grant: Some(plan.grant.clone()),
            asked: Asked {
                proposed: Some(plan.destructive.clone()),
                ..Asked::default()
            },
        };
        let (decision, denial) = self.deny(identity, asked, denial).await?;
        Ok(IssueError::Denied { decision, denial })
    }

    /// Begins a submission, before its bytes are taken in.
    ///
    /// # Errors
    /// A task that is not the caller's, or another submission of the same agent that is under way.
    pub async fn begin_submission(
        &self,
        caller: impl Into<Caller>,
        proposal: Proposal,
    ) -> Result<Submission<'_>, IssueError> {
        let caller = caller.into();
        let entry = self.task_of(&caller.identity, proposal.task).await?;
        self.sponsor_of(&caller, &entry, &proposal).await?;
        if !self.submitting.lock().insert(entry.task.agent.clone()) {
            return Err(IssueError::Busy);
        }
        Ok(Submission {
            engine: self,
            caller,
            entry,
            proposal,
        })
    }

    /// Lets the target say what the plan's objects would do: which are made, and how the others differ. The text is what
    /// the plan then refers to.
    async fn rehearse(
        &self,
        task: &Task,
        plan: &mut Plan,
        reading: &mut Reading,
    ) -> Option<Arc<[u8]>> {
        let charter = self.charters().in_force(&task.charter);
        let grant = charter
            .as_ref()
            .and_then(|charter| charter.grants.get(&plan.grant));
        let (grant, provider) = (grant?, self.provider_of(task, &plan.grant)?);
        let rehearsed = match provider.rehearse(&grant.rights, &reading.objects).await {
            Ok(rehearsed) => rehearsed,
            Err(error) => {
                plan.rehearsal = Some(Rehearsal::Not(error.to_string()));
                return None;
            }
        };
        let changed = |it: &Rehearsed| it.before.as_ref().is_some_and(|before| *before != it.after);
        let count = |is: &dyn Fn(&Rehearsed) -> bool| {
            u32::try_from(rehearsed.iter().filter(|it| is(it)).count()).unwrap_or(u32::MAX)
        };
        plan.rehearsed = Some(Effects {
            created: count(&is_made),
            updated: count(&changed),
            ..Effects::default()
        });
        let new = newly_made(&rehearsed, &reading.named);
        let objects = std::mem::take(&mut reading.reach.kubernetes.named);
        // What the agent may not read, its credential does not tell either.
        let known = objects.into_iter().map(|object| KubernetesObject {
            created: new.contains(&object) || !may_get(&grant.rights, &object),
            ..object
        });
        reading.reach.kubernetes.named = known.collect();
        match self.parts.judge.compared(task, rehearsed).await {
            Ok(text) => {
                plan.rehearsal = Some(Rehearsal::Done(Digest::of(&text)));
                Some(text)
            }
            Err(error) => {
                plan.rehearsal = Some(Rehearsal::Not(error.to_string()));
                None
            }
        }
    }

    /// The namespace that a grant on a cluster is for, by the charter in force.
    fn namespace_of(&self, task: &Task, grant: &Name) -> Option<String> {
        let charter = self.charters().in_force(&task.charter)?;
        let rights = &charter.grants.get(grant)?.rights;
        rights.namespace().map(str::to_owned)
    }

    /// What is allowed, after the plan is narrowed as far as a credential can be: what does not fit is the whole
    /// grant, and the approvers see that.
    fn weigh(
        &self,
        (task, sponsor): (&Task, Option<&Person>),
        plan: &mut Plan,
        reach: PlanReach,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        let rights = self.charters().in_force(&task.charter);
        let rights =
            rights.and_then(|charter| Some(charter.grants.get(&plan.grant)?.rights.clone()));
        plan.reach = rights.and_then(|rights| reach.about(&rights));
        let mut permit = self.decide(task, (&plan.grant, None), (Some(plan), sponsor), now)?;
        if plan.reach.is_some()
            && !(permit.whole().is_none() && self.fits(task, plan, &permit, now))
        {
            plan.reach = None;
            permit = self.decide(task, (&plan.grant, None), (Some(plan), sponsor), now)?;
        }
        Ok(permit)
    }

    /// Whether the provider takes a credential that is narrowed so.
    fn fits(&self, task: &Task, plan: &Plan, permit: &Permit, now: Timestamp) -> bool {
        let lease = LeaseId::from_bits(u128::MAX);
        let request = MintRequest::of(lease, task, permit, Some(plan), now);
        self.provider_of(task, &plan.grant)
            .is_some_and(|provider| provider.prepare(&request).is_ok())
    }

    /// One person's yes, to what that person was shown.
    ///
    /// # Errors
    /// As of the ledger: see [`lanyard_core::approval::ConsentError`].
    pub async fn approve(
        &self,
        approval: ApprovalId,
        seen: impl Into<Seen>,
        operator: Operator,
        comment: String,
    ) -> Result<(), CommitError> {
        let Seen { digest, sensitive } = seen.into();
        self.commit(Command::Approve {
            approval,
            digest,
            operator,
            comment,
            acknowledged: sensitive,
        })
        .await
        .map(drop)
    }

    /// Takes a yes back. What was issued under it goes on; the next session has to do without it.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn withdraw(
        &self,
        approval: ApprovalId,
        by: Identity,
        reason: String,
    ) -> Result<(), CommitError> {
        let withdraw = Command::Withdraw {
            approval,
            by,
            reason,
        };
        self.commit(withdraw).await.map(drop)
    }

    /// Takes a request back, on behalf of the agent that made it.
    ///
    /// # Errors
    /// The identity causes too many records; within, as of the ledger.
    pub async fn take_back(
        &self,
        approval: ApprovalId,
        by: Identity,
        reason: String,
    ) -> Result<Result<(), CommitError>, TooManyRecords> {
        let withdraw = Command::Withdraw {
            approval,
            by: by.clone(),
            reason,
        };
        self.meter(&by, &withdraw)?;
        Ok(self.commit(withdraw).await.map(drop))
    }

    /// Takes note of what a person may do now, where that person has said yes to something under other rights (T22).
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn recognize(&self, operator: &Operator) -> Result<(), CommitError> {
        if self.peek(|state| state.knows_otherwise(operator)) != Some(true) {
            return Ok(());
        }
        let recognize = Command::Recognize(Box::new(operator.clone()));
        self.commit(recognize).await.map(drop)
    }

    /// One person's no: final.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn reject(
        &self,
        approval: ApprovalId,
        operator: Operator,
        reason: String,
    ) -> Result<(), CommitError> {
        self.commit(Command::Reject {
            approval,
            operator,
            reason,
        })
        .await
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a16_objects_of_one_name_are_made_or_not_by_their_kinds_and_namespaces() {
        let object = |resource: &str, namespace: &str| KubernetesObject {
            group: String::new(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: "web".to_owned(),
            created: true,
        };
        let rehearsed = |before: bool| Rehearsed {
            before: before.then(|| serde_json::json!({})),
            after: serde_json::json!({"metadata": {"name": "web"}}),
        };
        let (service, elsewhere) = (object("services", "a"), object("services", "b"));
        let named = [
            Some(object("deployments", "a")),
            Some(service.clone()),
            None,
            Some(elsewhere),
        ];
        let said = [true, false, false, true].map(rehearsed);
        assert_eq!(newly_made(&said, &named), BTreeSet::from([service]));
        assert!(newly_made(&[], &named).is_empty());
    }
}
