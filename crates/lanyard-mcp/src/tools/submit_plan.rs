//! Tool `submit_plan`: declares what an apply will do, before it does it.

use lanyard_charter::plan::MAX_BYTES_PER_PLAN;
use lanyard_proto::v1;
use lanyard_vocabulary::id::{ApprovalId, PlanId, TaskId};
use lanyard_vocabulary::name::Name;
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lines;
use crate::call::{Call, TaskArguments};
use crate::refused::{Failure, Refused};
use crate::reply::Reply;
use crate::text::{Sentence, Text};
use crate::tool::Tool;

/// Destructive actions that a plan may name.
///
/// # Limit
/// - for: a plan
/// - unit: destructive actions
/// - beyond: the plan is refused
/// - test: `invalid_arguments_are_refused_with_the_expected_form`
const MAX_ACTIONS: usize = 100;

pub(crate) struct SubmitPlan;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// Grant of role `apply` that the plan is for.
    #[schemars(with = "String")]
    grant: Name,
    /// Task of the plan, from an earlier answer. Leave it out to open a task: then give charter,
    /// environment and reason.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    task_id: Option<TaskId>,
    /// To open a task: the charter.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    charter: Option<Name>,
    /// To open a task: the environment.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    environment: Option<Name>,
    /// To open a task: the reason, in a sentence. People read it, word for word.
    #[serde(default)]
    reason: Option<Sentence>,
    /// To open a task: its ticket, if the charter requires one.
    #[serde(default)]
    ticket: Option<Sentence>,
    /// The complete plan. People see it, and the apply must do what it says. At most 4 MiB.
    content: Text<MAX_BYTES_PER_PLAN>,
    /// Format of the content. Leave it out: the format is recognised.
    #[serde(default)]
    format: Option<Format>,
    /// Effect of the plan, in a sentence. People read it, word for word.
    summary: Sentence,
    /// Destructive actions to allow by name, if the grant requires that.
    #[serde(default)]
    #[schemars(length(max = 100))]
    destructive: Vec<Text<200>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// JSON as `terraform show -json` prints it.
    #[serde(alias = "terraform-json")]
    TerraformJson,
    /// Kubernetes manifests, as they are applied.
    Manifests,
    /// A unified diff of manifests.
    #[serde(alias = "manifest-diff")]
    ManifestDiff,
    /// Text of any other kind.
    Text,
}

/// A plan that the broker accepted.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    #[schemars(with = "String")]
    plan_id: PlanId,
    /// Task for further requests.
    #[schemars(with = "String")]
    task_id: TaskId,
    /// Approval that the plan waits for; absent if the charter requires none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    approval_id: Option<ApprovalId>,
    /// Format in which the broker read the plan.
    format: &'static str,
    /// `low`, `medium` or `high`.
    risk: &'static str,
    /// Reasons for the risk, highest first.
    reasons: Vec<String>,
    /// Further notes for the approvers.
    warnings: Vec<String>,
    /// Objects to which the credential is narrowed; empty if it covers the whole grant.
    reach: Vec<String>,
    /// Changes of the plan that the grant does not cover: an apply would fail there.
    not_covered: Vec<String>,
    /// Next step for you.
    next: String,
}

impl Tool for SubmitPlan {
    const NAME: &'static str = "submit_plan";
    const TITLE: &'static str = "Submit a plan";
    const DESCRIPTION: &'static str = "Submits a plan for a grant of role `apply`: the exact content that is going to be applied, and a sentence that says what it does. \
        Charters may want people to approve it; they see the content. Then call request_credential with the plan_id. If the plan changes, \
        submit it again: an approval is for these bytes alone. Put no secrets into it.";
    type Input = Input;
    type Output = Output;

    fn annotations() -> ToolAnnotations {
        let annotations = ToolAnnotations::new().read_only(false).destructive(false);
        annotations.idempotent(false).open_world(true)
    }

    async fn run(call: &Call<'_>, input: Input) -> Result<Reply<Output>, Failure> {
        if input.destructive.len() > MAX_ACTIONS {
            let why = format!("destructive has at most {MAX_ACTIONS} entries");
            return Err(Refused::input(why).into());
        }
        let under = TaskArguments {
            task_id: input.task_id,
            charter: input.charter,
            environment: input.environment,
            reason: input.reason,
            ticket: input.ticket,
        };
        let task = call.task(under).await?;
        let header = v1::PlanHeader {
            task_id: task.to_string(),
            grant: input.grant.to_string(),
            format: format(input.format.as_ref()).into(),
            summary: input.summary.into_inner(),
            destructive: input
                .destructive
                .into_iter()
                .map(Text::into_inner)
                .collect(),
        };
        let content = input.content.into_inner().into_bytes();
        let submitted = call.broker.submit_plan(header, content).await;
        let plan = submitted.map_err(Failure::under(task))?;
        let output = taken(task, &input.grant, &plan).map_err(Failure::under(task))?;
        // Lets `task_status` list the plans of a task without their ids.
        call.session.planned(task, output.plan_id).await;
        Ok(Reply::Done(output))
    }
}

fn taken(task: TaskId, grant: &Name, plan: &v1::Plan) -> Result<Output, Refused> {
    let id: PlanId = plan.id.parse().map_err(|_| Refused::unreadable("plan"))?;
    let approval = plan.approval_id.parse().ok();
    let ask = format!("call request_credential with task_id {task}, grant {grant}, plan_id {id}");
    Ok(Output {
        plan_id: id,
        task_id: task,
        approval_id: approval,
        format: form(plan.format()),
        risk: risk(plan.risk()),
        reasons: lines(&plan.reasons),
        warnings: lines(&plan.warnings),
        reach: lines(&plan.reach),
        not_covered: lines(&plan.lacks),
        next: match approval {
            Some(approval) => format!(
                "People have to approve it first: tell the user that approval {approval} waits (lanyard approval show {approval}). Then {ask}."
            ),
            None => format!("Nobody has to approve it: {ask}."),
        },
    })
}

const fn format(format: Option<&Format>) -> v1::PlanFormat {
    match format {
        None => v1::PlanFormat::Unspecified,
        Some(Format::TerraformJson) => v1::PlanFormat::TerraformJson,
        Some(Format::Manifests) => v1::PlanFormat::Manifests,
        Some(Format::ManifestDiff) => v1::PlanFormat::ManifestDiff,
        Some(Format::Text) => v1::PlanFormat::Text,
    }
}

/// Names a format as charters and `lanyard plan submit` do.
const fn form(format: v1::PlanFormat) -> &'static str {
    match format {
        v1::PlanFormat::Unspecified => "unknown",
        v1::PlanFormat::TerraformJson => "terraform-json",
        v1::PlanFormat::Manifests => "manifests",
        v1::PlanFormat::ManifestDiff => "manifest-diff",
        v1::PlanFormat::Text => "text",
    }
}

/// Names a risk in one word.
pub(super) const fn risk(risk: v1::Risk) -> &'static str {
    match risk {
        v1::Risk::Unspecified => "unknown",
        v1::Risk::Low => "low",
        v1::Risk::Medium => "medium",
        v1::Risk::High => "high",
    }
}
