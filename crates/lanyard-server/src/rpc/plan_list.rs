//! The plans that are asked after, page by page.

use lanyard_charter::plan::Risk;
use lanyard_core::plan::Plan;
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_engine::Engine;
use lanyard_proto::v1;
use lanyard_vocabulary::id::{PlanId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::time::Timestamp;
use tonic::Status;

use super::{task, time};
use crate::fields::parsed;
use crate::refusal;

/// Plans of one answer. An agent's page ends with a task, and is longer by the plans of that task.
///
/// # Limit
/// - for: a call
/// - unit: plans
/// - beyond: the answer names the page that follows
/// - test: `plans_are_listed_by_task_with_what_became_of_each`
pub(crate) const MAX_PLANS_PER_PAGE: usize = 1000;

/// The filters of a request.
struct Asked<'a> {
    charter: &'a str,
    environment: &'a str,
    now: Timestamp,
}

impl Asked<'_> {
    fn is_about(&self, task: &Task) -> bool {
        let is = |asked: &str, found: &str| asked.is_empty() || asked == found;
        is(self.charter, task.charter.as_str()) && is(self.environment, task.environment.as_str())
    }

    /// The plan as a list shows it, where it is asked for.
    fn listed(&self, state: &State, plan: &Plan) -> Option<v1::ListedPlan> {
        let task = &state.task(plan.task)?.task;
        if !self.is_about(task) {
            return None;
        }
        let approval = plan.approval.and_then(|id| state.approval(id));
        let becomes = match approval {
            None => v1::PlanState::NoApprovalNeeded,
            Some(it) if it.denied.is_some() => v1::PlanState::Denied,
            Some(it) if it.taken_back.is_some() || state.void(it, self.now).is_some() => {
                v1::PlanState::Void
            }
            Some(it) if it.is_complete() => v1::PlanState::Approved,
            Some(_) => v1::PlanState::Waiting,
        };
        let given = approval.map_or(0, |it| it.consents.len());
        Some(v1::ListedPlan {
            id: plan.id.to_string(),
            task_id: plan.task.to_string(),
            charter: task.charter.to_string(),
            environment: task.environment.to_string(),
            agent: task.agent.to_string(),
            grant: plan.grant.to_string(),
            summary: plan.summary.clone(),
            risk: risk(plan.risk()).into(),
            submit_time: time(plan.submitted),
            approval_id: plan.approval.map(|id| id.to_string()).unwrap_or_default(),
            state: becomes.into(),
            people_given: u32::try_from(given).unwrap_or(u32::MAX),
            people_needed: approval.map_or(0, |it| it.requirement.people),
        })
    }
}

/// The risk for the wire.
pub(super) const fn risk(risk: Risk) -> v1::Risk {
    match risk {
        Risk::Low => v1::Risk::Low,
        Risk::Medium => v1::Risk::Medium,
        Risk::High => v1::Risk::High,
    }
}

/// Lists one page. A page looks at no more plans than its size, asked for or not, because the state
/// is locked meanwhile.
pub(super) async fn list(
    engine: &Engine,
    whose: Option<Identity>,
    request: v1::ListPlansRequest,
) -> Result<v1::ListPlansResponse, Status> {
    let size = match usize::try_from(request.page_size).unwrap_or(0) {
        0 => MAX_PLANS_PER_PAGE,
        size => size.min(MAX_PLANS_PER_PAGE),
    };
    let asked = Asked {
        charter: &request.charter,
        environment: &request.environment,
        now: engine.clock().now(),
    };
    let token = Some(request.page_token.as_str()).filter(|token| !token.is_empty());
    let (plans, next_page_token) = match (request.task_id.as_str(), whose) {
        ("", None) => {
            let after = token.map(|token| parsed("page_token", token)).transpose()?;
            of_all(engine, &asked, (after, size)).await?
        }
        ("", Some(own)) => {
            let after = token.map(task::place).transpose()?;
            of_agent(engine, &asked, &own, (after, size)).await?
        }
        (task, whose) => {
            let task = parsed("task_id", task)?;
            (of_task(engine, &asked, task, whose).await?, String::new())
        }
    };
    Ok(v1::ListPlansResponse {
        plans,
        next_page_token,
    })
}

async fn of_all(
    engine: &Engine,
    asked: &Asked<'_>,
    (after, size): (Option<PlanId>, usize),
) -> Result<(Vec<v1::ListedPlan>, String), Status> {
    let listed = engine.context().query(|state| {
        let mut plans = state.plans(after);
        let (mut found, mut last) = (Vec::new(), None);
        for plan in plans.by_ref().take(size) {
            last = Some(plan.id);
            found.extend(asked.listed(state, plan));
        }
        (found, last.filter(|_| plans.next().is_some()))
    });
    let (plans, next) = listed.await.map_err(refusal::commit)?;
    Ok((plans, next.map(|id| id.to_string()).unwrap_or_default()))
}

/// The plans of the open tasks that the agent opened, task by task: the page of an agent names
/// nothing of others (T15).
async fn of_agent(
    engine: &Engine,
    asked: &Asked<'_>,
    own: &Identity,
    (after, size): (Option<(Timestamp, TaskId)>, usize),
) -> Result<(Vec<v1::ListedPlan>, String), Status> {
    let listed = engine.context().query(|state| {
        let mut tasks = state.open_tasks_opened_by(own, after);
        let (mut found, mut last) = (Vec::new(), None);
        for (place, entry) in tasks.by_ref().take(task::MAX_TASKS_PER_PAGE) {
            last = Some(place);
            if entry.task.identity == *own {
                let plans = state.plans_of(entry.task.id);
                found.extend(plans.filter_map(|plan| asked.listed(state, plan)));
            }
            if found.len() >= size {
                break;
            }
        }
        (found, last.filter(|_| tasks.next().is_some()))
    });
    let (plans, next) = listed.await.map_err(refusal::commit)?;
    let next = next.map(|(ends, id)| format!("{}.{id}", ends.as_millis()));
    Ok((plans, next.unwrap_or_default()))
}

async fn of_task(
    engine: &Engine,
    asked: &Asked<'_>,
    task: TaskId,
    whose: Option<Identity>,
) -> Result<Vec<v1::ListedPlan>, Status> {
    let listed = engine.context().query(|state| {
        let entry = state.task(task)?;
        let may = whose.is_none_or(|own| entry.task.identity == own);
        let plans = state.plans_of(task);
        may.then(|| plans.filter_map(|plan| asked.listed(state, plan)).collect())
    });
    let listed = listed.await.map_err(refusal::commit)?;
    // The same answer for a task of another agent and for one that never was (T15).
    Ok(listed.ok_or_else(|| refusal::not_found("task"))?)
}
