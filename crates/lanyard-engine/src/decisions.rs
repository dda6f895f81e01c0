//! Decisions: what the charters say about a request, on one snapshot of the charters and the state.
//!
//! A snapshot is read once, and the decision is a pure function of it. The state may change before
//! the decision is used: an intent is checked again by the ledger when A is committed, and a secret
//! by the gate at D.

use std::sync::Arc;

use lanyard_charter::requirement::{Requirement, persons};
use lanyard_charter::{Charter, Grant};
use lanyard_core::approval::Approval;
use lanyard_core::decide::{
    Ancestor, Denial, GrantRequest, HeldBy, Permit, ReasonCode, Revisions, Rule, decide,
    not_in_force, revision_lost, unread,
};
use lanyard_core::emergency::Emergency;
use lanyard_core::judge::Judge;
use lanyard_core::kill::EngagedOrder;
use lanyard_core::ledger::CommitError;
use lanyard_core::pause::{Demand, Pause};
use lanyard_core::plan::{Plan, Unjudged};
use lanyard_core::provider::Provider;
use lanyard_core::state::{Refusal, State};
use lanyard_core::task::Task;
use lanyard_vocabulary::id::ApprovalId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use crate::context::Context;
use crate::issue::IssueError;

/// The revision that a task is pinned to, and the revision of its charter in force.
pub(crate) struct Pair {
    pub(crate) pinned: Arc<Charter>,
    pub(crate) in_force: Arc<Charter>,
}

impl Pair {
    fn revisions(&self) -> Revisions<'_> {
        Revisions {
            pinned: &self.pinned,
            in_force: &self.in_force,
        }
    }
}

/// The question that the charters are asked.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) task: &'a Task,
    pub(crate) grant: &'a Name,
    /// The lifetime asked for; `None` asks for the longest that the charter allows.
    pub(crate) ttl: Option<Ttl>,
    pub(crate) plan: Option<&'a Plan>,
    /// The sponsor of the caller.
    pub(crate) sponsor: Option<&'a Person>,
    pub(crate) now: Timestamp,
}

/// Everything outside the question that its decision depends on.
pub(crate) struct Snapshot {
    own: Pair,
    /// The tasks of the lineage with their charters, nearest first.
    lineage: Vec<(Arc<Task>, Pair)>,
    state: FromState,
}

/// The part of a snapshot that one look at the state reads.
struct FromState {
    lineage: Vec<Option<Arc<Task>>>,
    emergency: Option<Emergency>,
    /// The pause that demands a person's approval of what the grant gives.
    pause: Option<Pause>,
    /// The order that stops what the grant gives.
    stopper: Option<EngagedOrder>,
    /// The approval that the plan waits for.
    approval: Option<Approval>,
    epoch: Seq,
}

impl FromState {
    fn read(state: &State, asked: &Question<'_>, grant: Option<&Grant>) -> Self {
        let Question { task, now, .. } = *asked;
        let facets = grant.map(|grant| task.lease_facets(&grant.target, grant.role, None));
        let facets = facets.as_ref();
        let pause = facets.and_then(|facets| state.pausing(facets, Demand::Approval, now));
        let stopper = facets.and_then(|facets| state.kills().stopper(facets));
        let approval = asked.plan.and_then(|plan| plan.approval);
        Self {
            lineage: lineage(state, task),
            emergency: state.emergency(&task.charter).cloned(),
            pause: pause.cloned(),
            stopper: stopper.cloned(),
            approval: approval.and_then(|id| state.approval(id)).cloned(),
            epoch: state.kills().epoch(),
        }
    }
}

/// The tasks above a task, nearest first; `None` for each that is forgotten.
fn lineage(state: &State, task: &Task) -> Vec<Option<Arc<Task>>> {
    let above = task.lineage.iter();
    let above = above.map(|above| Some(Arc::clone(&state.task(above.task)?.task)));
    above.collect()
}

impl Snapshot {
    /// The newest kill order.
    pub(crate) const fn epoch(&self) -> Seq {
        self.state.epoch
    }

    /// The charter in force of the task.
    pub(crate) fn in_force(&self) -> &Charter {
        &self.own.in_force
    }

    fn grant(&self, name: &Name) -> Option<&Grant> {
        self.own.in_force.grants.get(name)
    }
}

/// The approval that carries a credential.
pub(crate) struct Approved {
    pub(crate) id: ApprovalId,
    pub(crate) requirement: Requirement,
    pub(crate) by: Vec<Identity>,
}

/// The part that answers questions by the charters and the state.
pub(crate) struct Decisions {
    pub(crate) context: Arc<Context>,
    pub(crate) judge: Arc<dyn Judge>,
}

impl Decisions {
    /// Reads everything that the decision depends on. The state is read in one look.
    ///
    /// # Errors
    /// The denial of a task that has no pair of revisions to be judged by, or stands under one.
    pub(crate) fn snapshot(&self, asked: &Question<'_>) -> Result<Snapshot, Denial> {
        let gone = |task: &Task| self.without_revisions(task);
        let own = self.revisions(asked.task);
        let own = own.ok_or_else(|| gone(asked.task))?;
        let grant = own.in_force.grants.get(asked.grant);
        let context = &self.context;
        let mut state = context.peek(|state| FromState::read(state, asked, grant));
        let mut lineage = Vec::with_capacity(state.lineage.len());
        for above in std::mem::take(&mut state.lineage) {
            let above = above.ok_or_else(|| gone(asked.task))?;
            let pair = self.revisions(&above).ok_or_else(|| gone(&above))?;
            lineage.push((above, pair));
        }
        Ok(Snapshot {
            own,
            lineage,
            state,
        })
    }

    /// Decides by the charters of the task and of the tasks above it.
    pub(crate) fn decide(
        &self,
        asked: &Question<'_>,
        snapshot: &Snapshot,
    ) -> Result<Permit, Denial> {
        let ancestors = snapshot.lineage.iter().map(|(task, pair)| Ancestor {
            task,
            revisions: pair.revisions(),
        });
        let ancestors: Vec<_> = ancestors.collect();
        // Of an unknown grant the decision says so itself.
        let worst_case = snapshot
            .grant(asked.grant)
            .map(|grant| self.context.targets.worst_case(grant));
        let request = GrantRequest {
            task: asked.task,
            grant: asked.grant,
            ttl: asked.ttl,
            plan: asked.plan,
            sponsor: asked.sponsor,
            watched: snapshot.state.pause.is_some(),
            ancestors: &ancestors,
            emergency: snapshot.state.emergency.as_ref(),
            worst_case: worst_case.unwrap_or(std::time::Duration::MAX),
            now: asked.now,
        };
        decide(snapshot.own.revisions(), &request)
    }

    /// Decides as [`Decisions::decide`] does on a snapshot of this moment.
    pub(crate) fn decide_now(&self, asked: &Question<'_>) -> Result<Permit, Denial> {
        self.decide(asked, &self.snapshot(asked)?)
    }

    /// A decision that says yes, with the snapshot and the provider that serves the grant's target.
    pub(crate) fn permit(
        &self,
        asked: &Question<'_>,
    ) -> Result<(Permit, Snapshot, Arc<dyn Provider>), Denial> {
        let snapshot = self.snapshot(asked)?;
        let permit = self.decide(asked, &snapshot)?;
        let providers = &self.context.targets.providers;
        let provider = snapshot.grant(asked.grant);
        let provider = provider.and_then(|grant| providers.get(&grant.target).cloned());
        let provider = provider.ok_or_else(|| not_in_force(&asked.task.charter))?;
        Ok((permit, snapshot, provider))
    }

    /// The approval that a permit asks for; `None` if the permit asks for none.
    ///
    /// # Errors
    /// When people have not approved yet.
    pub(crate) fn approval_for(
        &self,
        asked: &Question<'_>,
        snapshot: &Snapshot,
        permit: &Permit,
    ) -> Result<Option<Approved>, IssueError> {
        let Some(requirement) = permit.requirement() else {
            return Ok(None);
        };
        // An agent that is stopped learns so, and does not ask people for what they could not give.
        if let Some(order) = &snapshot.state.stopper {
            let killed = Refusal::Killed(Box::new(order.clone()));
            return Err(IssueError::Commit(CommitError::Refused(killed)));
        }
        let (Some(plan), Some(id)) = (asked.plan, asked.plan.and_then(|plan| plan.approval)) else {
            let needed = plan_needed(asked, snapshot, permit, requirement);
            return Err(IssueError::PlanNeeded(Box::new(needed)));
        };
        let approval = &snapshot.state.approval;
        let approval = approval.as_ref().ok_or(IssueError::NotFound("approval"))?;
        approval
            .usable(asked.now, requirement)
            .map_err(|why| IssueError::ApprovalNeeded {
                plan: plan.id,
                approval: id,
                why,
            })?;
        Ok(Some(Approved {
            id,
            by: approval.counting(requirement),
            requirement: requirement.clone(),
        }))
    }

    /// Asks every charter that has a say and was not asked: one may have come into force since the
    /// plan was submitted. While a plan is submitted its bytes are given, and stored later. Where a
    /// charter cannot be asked, the plan stays without a judgement, and the decision denies it.
    ///
    /// # Errors
    /// [`Unjudged::TooMuch`], when it is not the turn of this identity.
    pub(crate) async fn judge(
        &self,
        task: &Task,
        plan: &mut Plan,
        content: Option<&Arc<[u8]>>,
    ) -> Result<(), Unjudged> {
        for charter in self.with_a_say(task) {
            if plan.judged_by(charter.policies_digest()).is_some() {
                continue;
            }
            match self.judge.judge((&charter, task), plan, content).await {
                Ok(judgement) => plan.judgements.push(judgement),
                // The plan will be judged another time: no decision yet.
                Err(busy @ Unjudged::TooMuch(_)) => return Err(busy),
                Err(error) => {
                    tracing::error!(%error, plan = %plan.id, charter = %charter.name, "a plan could not be judged");
                }
            }
        }
        Ok(())
    }

    /// The revisions that decide about a task: of its own charter, and of those of the tasks above
    /// it.
    fn with_a_say(&self, task: &Task) -> Vec<Arc<Charter>> {
        let lineage = self.context.peek(|state| lineage(state, task));
        let above = lineage.iter().flatten().map(AsRef::as_ref);
        let pairs = std::iter::once(task).chain(above);
        let pairs = pairs.filter_map(|task| self.revisions(task));
        pairs
            .flat_map(|pair| [pair.pinned, pair.in_force])
            .collect()
    }

    /// The provider of the target of a grant, as the charter in force names the target.
    pub(crate) fn provider_of(&self, task: &Task, grant: &Name) -> Option<Arc<dyn Provider>> {
        let charter = self.context.charters.in_force(&task.charter)?;
        let target = &charter.grants.get(grant)?.target;
        self.context.targets.providers.get(target).cloned()
    }

    /// Says why a task has no pair of revisions to be judged by.
    pub(crate) fn without_revisions(&self, task: &Task) -> Denial {
        let charters = &self.context.charters;
        match charters.in_force(&task.charter) {
            Some(_) => revision_lost(&task.charter, &task.revision),
            None if charters.unread(&task.charter).is_some() => unread(&task.charter),
            None => not_in_force(&task.charter),
        }
    }

    /// The two revisions that decide about a task: its pinned one, and the one in force.
    pub(crate) fn revisions(&self, task: &Task) -> Option<Pair> {
        let charters = &self.context.charters;
        Some(Pair {
            pinned: charters.revision(&task.charter, &task.revision)?,
            in_force: charters.in_force(&task.charter)?,
        })
    }
}

/// The denial of a request that people have to approve, and for which no plan was submitted: which
/// rule asks for the approval, and how a plan is submitted.
fn plan_needed(
    asked: &Question<'_>,
    snapshot: &Snapshot,
    permit: &Permit,
    needed: &Requirement,
) -> Denial {
    let (task, grant) = (asked.task, permit.grant());
    let (environment, charter) = (&task.environment, snapshot.in_force());
    let mut rules = charter.approvals.iter();
    let rule =
        rules.find(|rule| rule.people > 0 && rule.is_about(grant.role, environment, permit.risk()));
    let pause = snapshot.state.pause.as_ref();
    let held_by = pause.filter(|_| rule.is_none());
    let (why, at, opens) = match (rule, pause) {
        (Some(rule), _) => ("rule `approvals`".to_owned(), Some(rule.at), None),
        (None, Some(pause)) => {
            let why = format!("pause {} over {}: {}", pause.id, pause.reach, pause.reason);
            (why, None, pause.until)
        }
        (None, None) => match permit.closed_hours() {
            Some(hours) => {
                let why = format!("it is outside the hours {}", hours.shown);
                (why, Some(hours.at), hours.opens)
            }
            None => ("rule `approvals`".to_owned(), None, None),
        },
    };
    let wait = opens.map_or_else(String::new, |at| format!(", or wait until {at}"));
    Denial {
        revision: Some(permit.in_force().clone()),
        rule: Rule::AwaitsApproval,
        path: at.and_then(|at| charter.paths.at(at)).map(Box::from),
        at,
        message: format!(
            "grant `{}` in {environment} takes the approval of {}: {why}",
            grant.name,
            persons(needed.people)
        ),
        next: format!(
            "show them what you will do with `lanyard plan submit --task {} --grant {} --summary … FILE`, and ask again \
             with --plan once they approved{wait}",
            task.id, grant.name
        ),
        reason_code: Some(ReasonCode::ApprovalRequired),
        retry_after: opens,
        held_by: held_by.map(|pause| HeldBy::Pause(pause.id)),
        ..not_in_force(&task.charter)
    }
}
