//! Tool `task_status`: the state of a task.

use lanyard_proto::v1;
use lanyard_vocabulary::id::{ApprovalId, KillId, LeaseId, PlanId, TaskId};
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::submit_plan::risk;
use super::{some, time};
use crate::broker::leases;
use crate::call::Call;
use crate::redact;
use crate::refused::{Failure, Refused};
use crate::reply::Reply;
use crate::tool::Tool;

/// Plans of a task that are shown.
const SHOWN_PLANS: usize = 10;

pub(crate) struct TaskStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The task to look at.
    #[schemars(with = "String")]
    task_id: TaskId,
    /// A plan of the task; without it, the plans submitted in this session.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    plan_id: Option<PlanId>,
}

/// The state of a task.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    #[schemars(with = "String")]
    task_id: TaskId,
    charter: String,
    environment: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    /// True if credentials can be requested in the task. False while `kill_orders` has one.
    open: bool,
    /// Time at which the task expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// Leases that are still alive.
    #[schemars(with = "Vec<String>")]
    live_leases: Vec<LeaseId>,
    /// Kill orders that stop the task, or ended a lease of it. If there is one: stop the work, and
    /// tell the user.
    kill_orders: Vec<Order>,
    plans: Vec<Plan>,
}

#[derive(Serialize, JsonSchema)]
struct Order {
    #[schemars(with = "String")]
    kill_id: KillId,
    reason: String,
    /// Part of the order that was lifted since: `nothing`, `plan` or `everything`.
    lifted: String,
}

#[derive(Serialize, JsonSchema)]
struct Plan {
    #[schemars(with = "String")]
    plan_id: PlanId,
    grant: String,
    summary: String,
    risk: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

#[derive(Serialize, JsonSchema)]
struct Approval {
    #[schemars(with = "String")]
    approval_id: ApprovalId,
    state: State,
    people_needed: u32,
    people_agreed: usize,
    /// Reason why somebody denied the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// People have not decided yet.
    Pending,
    /// Enough people have approved.
    Approved,
    /// Somebody denied it: final.
    Denied,
}

impl Tool for TaskStatus {
    const NAME: &'static str = "task_status";
    const TITLE: &'static str = "Show the state of a task";
    const DESCRIPTION: &'static str = "Shows the state of a task: whether it is open, its live leases, kill orders that stop it, and its plans with the state of \
        their approvals. Look here when a tool stops working in the middle, and instead of asking for a credential again and again.";
    type Input = Input;
    type Output = Output;

    fn annotations() -> ToolAnnotations {
        ToolAnnotations::new().read_only(true).open_world(false)
    }

    async fn run(call: &Call<'_>, input: Input) -> Result<Reply<Output>, Failure> {
        let task = input.task_id;
        let status = status(call, task, input.plan_id).await;
        Ok(Reply::Done(status.map_err(Failure::under(task))?))
    }
}

async fn status(call: &Call<'_>, id: TaskId, plan: Option<PlanId>) -> Result<Output, Refused> {
    let state = call.broker.task(id).await?;
    let task = state.task.ok_or_else(|| Refused::unreadable("task"))?;
    let known = match plan {
        Some(plan) => vec![plan],
        None => call.session.plans_of(id).await,
    };
    let mut plans = Vec::new();
    for plan in known.into_iter().take(SHOWN_PLANS) {
        // Each plan costs up to two calls to the broker, which the bound above limits.
        plans.push(planned(call, plan).await?);
    }
    Ok(Output {
        task_id: id,
        charter: redact::line(&task.charter),
        environment: redact::line(&task.environment),
        reason: redact::line(&task.reason),
        ticket: some(&task.ticket),
        open: !task.closed,
        expires: time(task.expire_time),
        live_leases: leases(&state.live_lease_ids),
        kill_orders: state.orders.iter().filter_map(order).collect(),
        plans,
    })
}

fn order(order: &v1::KillOrder) -> Option<Order> {
    Some(Order {
        kill_id: order.id.parse().ok()?,
        reason: redact::line(&order.reason),
        lifted: redact::line(&order.lifted),
    })
}

async fn planned(call: &Call<'_>, id: PlanId) -> Result<Plan, Refused> {
    let plan = call.broker.plan(id).await?;
    let approval = match plan.approval_id.parse() {
        Ok(approval) => Some(approved(call, approval).await?),
        Err(_) => None,
    };
    Ok(Plan {
        plan_id: id,
        grant: redact::line(&plan.grant),
        summary: redact::line(&plan.summary),
        risk: risk(plan.risk()),
        approval,
    })
}

async fn approved(call: &Call<'_>, id: ApprovalId) -> Result<Approval, Refused> {
    let approval = call.broker.approval(id).await?;
    let denied = some(&approval.denied);
    Ok(Approval {
        approval_id: id,
        state: match (&denied, approval.complete) {
            (Some(_), _) => State::Denied,
            (None, true) => State::Approved,
            (None, false) => State::Pending,
        },
        people_needed: approval.people_needed,
        people_agreed: approval.consents.len(),
        denied,
    })
}
