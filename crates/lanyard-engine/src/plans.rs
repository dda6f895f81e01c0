//! Plans: read, judged, narrowed, stored and submitted.

use std::collections::BTreeSet;
use std::sync::Arc;

use lanyard_charter::ActionPattern;
use lanyard_charter::plan::PlanFormat;
use lanyard_charter::reach::{Effects, Narrowing, PlanReach};
use lanyard_core::command::{Command, RequestOptions};
use lanyard_core::decide::{Denial, Permit};
use lanyard_core::plan::{Plan, Reading, Rehearsal, Unjudged};
use lanyard_core::provider::{MintRequest, Rehearsed};
use lanyard_core::state::TaskEntry;
use lanyard_core::task::Task;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{ApprovalId, LeaseId, PlanId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::activity::Request;
use crate::context::Context;
use crate::decisions::{Decisions, Question};
use crate::issue::IssueError;
use crate::requests::{Requested, Requests, sponsored};
use crate::tasks::Tasks;

/// A plan as an agent proposes it.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The task of the plan.
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

/// Takes plans in, one at a time for each agent.
pub struct Plans {
    pub(crate) context: Arc<Context>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) tasks: Arc<Tasks>,
    /// The agents that submit a plan at this moment.
    pub(crate) submitting: Mutex<BTreeSet<AgentName>>,
}

/// A submission under way. The agent has its turn: the bytes of a plan are in memory, and looking
/// at them takes a core for a while. No agent has more than one, and it is taken before the bytes
/// are.
pub struct Submission<'a> {
    plans: &'a Plans,
    caller: Caller,
    entry: TaskEntry,
    proposal: Proposal,
}

impl Drop for Submission<'_> {
    fn drop(&mut self) {
        self.plans.submitting.lock().remove(&self.entry.task.agent);
    }
}

fn is_made(rehearsed: &Rehearsed) -> bool {
    rehearsed.before.is_none()
}

impl Submission<'_> {
    /// Takes the plan in. Its bytes are stored once it is decided that the grant would be given
    /// with it, and before the ledger refers to them.
    ///
    /// # Errors
    /// A grant that would not be given with this plan is denied now, before people are asked.
    pub async fn submit(self, content: Arc<[u8]>) -> Result<Plan, IssueError> {
        match self.taken_in(content).await {
            Ok(plan) => Ok(plan),
            Err(error) => {
                let asked = RequestOptions {
                    proposed: Some(self.proposal.destructive.clone()),
                    ..RequestOptions::default()
                };
                let asked = (self.entry.task.id, &self.proposal.grant, asked);
                let recorded = self
                    .plans
                    .requests
                    .recorded(&self.caller.identity, asked, error);
                Err(recorded.await)
            }
        }
    }

    async fn taken_in(&self, content: Arc<[u8]>) -> Result<Plan, IssueError> {
        let (plans, proposal) = (self.plans, &self.proposal);
        let Caller {
            identity, evidence, ..
        } = &self.caller;
        let sponsor = plans
            .sponsor_of(&self.caller, &self.entry, proposal)
            .await?;
        let (task, now) = (&self.entry.task.used_by(evidence), plans.context.now());
        let judge = &plans.decisions.judge;
        let (format, mut reading) = judge.read(task, proposal.format, &content).await?;
        let mut plan = Plan {
            id: PlanId::from_bits(plans.context.draw()?),
            task: task.id,
            grant: proposal.grant.clone(),
            namespace: plans.namespace_of(task, &proposal.grant),
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
        plans
            .decisions
            .judge(task, &mut plan, Some(&content))
            .await?;
        let mut kept = vec![content];
        if !reading.objects.is_empty()
            && plans
                .weigh((task, sponsor), &mut plan, reading.reach.clone(), now)
                .is_ok()
        {
            // Only what would be given is rehearsed.
            let text = plans.rehearse(task, &mut plan, &mut reading).await;
            kept.extend(text);
        }
        let (requirement, requests) =
            match plans.weigh((task, sponsor), &mut plan, reading.reach, now) {
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
                Err(denial) => return Err(plans.denied(identity, (task, &plan), denial).await?),
            };
        judge.store(task, kept).await?;
        if requirement.is_some() {
            plan.approval = Some(ApprovalId::from_bits(plans.context.draw()?));
        }
        let submit = Command::SubmitPlan {
            plan: Box::new(plan.clone()),
            requirement,
            requests,
        };
        let metered = plans.requests.meter(&self.caller.identity, &submit);
        metered.map_err(IssueError::TooManyRecords)?;
        plans
            .context
            .commit(submit)
            .await
            .map_err(IssueError::Commit)?;
        Ok(plan)
    }
}

impl Plans {
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
                    asked: RequestOptions::default(),
                };
                let (decision, denial) =
                    self.requests.deny(&caller.identity, asked, denial).await?;
                Err(IssueError::Denied { decision, denial })
            }
        }
    }

    /// Records the denial of a plan and returns the result of its submission.
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
            asked: RequestOptions {
                proposed: Some(plan.destructive.clone()),
                ..RequestOptions::default()
            },
        };
        let (decision, denial) = self.requests.deny(identity, asked, denial).await?;
        Ok(IssueError::Denied { decision, denial })
    }

    /// Begins a submission, before its bytes are taken in.
    ///
    /// # Errors
    /// A task that is not the caller's, or another submission of the same agent that is under way.
    pub async fn begin_submission(
        &self,
        caller: &Caller,
        proposal: Proposal,
    ) -> Result<Submission<'_>, IssueError> {
        let entry = self.tasks.get(&caller.identity, proposal.task).await?;
        self.sponsor_of(caller, &entry, &proposal).await?;
        if !self.submitting.lock().insert(entry.task.agent.clone()) {
            return Err(IssueError::Busy);
        }
        Ok(Submission {
            plans: self,
            caller: caller.clone(),
            entry,
            proposal,
        })
    }

    /// Lets the target say what the plan's objects would do: which are made, and how the others
    /// differ. The text is what the plan then refers to.
    async fn rehearse(
        &self,
        task: &Task,
        plan: &mut Plan,
        reading: &mut Reading,
    ) -> Option<Arc<[u8]>> {
        let charter = self.context.charters.in_force(&task.charter);
        let grant = charter
            .as_ref()
            .and_then(|charter| charter.grants.get(&plan.grant));
        let (grant, provider) = (grant?, self.decisions.provider_of(task, &plan.grant)?);
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
        let each = reading.objects.iter().zip(&rehearsed);
        let made: Vec<_> = each
            .filter(|(_, it)| is_made(it))
            .map(|(it, _)| it)
            .collect();
        let reach = std::mem::take(&mut reading.reach);
        reading.reach = grant.rights.rehearsed(reach, &made);
        match self.decisions.judge.compared(task, rehearsed).await {
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
        let charter = self.context.charters.in_force(&task.charter)?;
        let rights = &charter.grants.get(grant)?.rights;
        rights.namespace().map(str::to_owned)
    }

    /// Decides what is allowed, after the plan is narrowed as far as a credential can be: what does
    /// not fit is the whole grant, and the approvers see that.
    fn weigh(
        &self,
        (task, sponsor): (&Task, Option<&Person>),
        plan: &mut Plan,
        reach: PlanReach,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        let rights = self.context.charters.in_force(&task.charter);
        let rights =
            rights.and_then(|charter| Some(charter.grants.get(&plan.grant)?.rights.clone()));
        plan.reach = rights.and_then(|rights| rights.reached(reach));
        let decided = |plan: &Plan| {
            self.decisions.decide_now(&Question {
                task,
                grant: &plan.grant,
                ttl: None,
                plan: Some(plan),
                sponsor,
                now,
            })
        };
        let mut permit = decided(plan)?;
        if plan.reach.is_some()
            && !(permit.whole().is_none() && self.fits(task, plan, &permit, now))
        {
            plan.reach = None;
            permit = decided(plan)?;
        }
        Ok(permit)
    }

    /// Tells if the provider takes a credential that is narrowed so.
    fn fits(&self, task: &Task, plan: &Plan, permit: &Permit, now: Timestamp) -> bool {
        let lease = LeaseId::from_bits(u128::MAX);
        let request = MintRequest::of(lease, task, permit, Some(plan), now);
        self.decisions
            .provider_of(task, &plan.grant)
            .is_some_and(|provider| provider.prepare(&request).is_ok())
    }
}
