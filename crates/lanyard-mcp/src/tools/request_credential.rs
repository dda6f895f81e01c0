//! Tool `request_credential`: makes the local agent obtain a credential, and answers with a handle.

use std::time::Duration;

use lanyard_vocabulary::id::{ApprovalId, LeaseId, PlanId, TaskId};
use lanyard_vocabulary::name::Name;
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time;
use crate::approval::{self, PromptOutcome};
use crate::broker::Issued;
use crate::call::{Call, TaskArguments};
use crate::credential::{Kind, Wanted};
use crate::handle::{Usage, usage};
use crate::refused::{Failure, Reason, Refused};
use crate::reply::Reply;
use crate::text::Sentence;
use crate::tool::Tool;

pub(crate) struct RequestCredential;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// Name of the grant, from list_charters.
    #[schemars(with = "String")]
    grant: Name,
    /// Task of the request, from an earlier answer. Leave it out to open a task: then give charter,
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
    /// Plan from submit_plan, for a grant that needs one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    plan_id: Option<PlanId>,
    /// Seconds to wait for people's approval, at most 300. Without it, a pending approval is
    /// answered at once.
    #[serde(default)]
    #[schemars(range(max = 300))]
    wait_seconds: u16,
}

/// Longest wait for people in one call.
///
/// # Limit
/// - for: a call of a tool
/// - unit: seconds
/// - beyond: the call is refused
/// - test: `invalid_arguments_are_refused_with_the_expected_form`
const MAX_WAIT_SECONDS: u16 = 300;

/// A handle for the credential, never the credential itself.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum Output {
    /// The local agent holds the credential.
    Issued {
        /// Task for further requests, and for release in the end.
        #[schemars(with = "String")]
        task_id: TaskId,
        #[schemars(with = "String")]
        lease_id: LeaseId,
        #[schemars(with = "String")]
        grant: Name,
        kind: Kind,
        /// Expiry of this credential. The commands obtain another one by themselves while the task
        /// is open.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<String>,
        usage: Usage,
    },
    /// People must approve first.
    ApprovalPending {
        #[schemars(with = "String")]
        task_id: TaskId,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        approval_id: Option<ApprovalId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        plan_id: Option<PlanId>,
        /// Page where a person decides.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// The missing approval, as a sentence for the user.
        message: String,
        /// Next step for you.
        next: String,
    },
}

impl Tool for RequestCredential {
    const NAME: &'static str = "request_credential";
    const TITLE: &'static str = "Ask for a credential";
    const DESCRIPTION: &'static str = "Asks for a credential under a grant. The answer is a handle (task_id, lease_id, expiry) with the command lines by which tools \
        use the credential; the secret is never in it, and you must never print it. Without task_id a task is opened: give charter, \
        environment and an honest reason. For an `apply` grant call submit_plan first and pass its plan_id. Status `approval_pending` \
        means that people have to agree: tell the user, and call again as `next` says. A denial is final: show its message.";
    type Input = Input;
    type Output = Output;

    fn annotations() -> ToolAnnotations {
        let annotations = ToolAnnotations::new().read_only(false).destructive(false);
        annotations.idempotent(false).open_world(true)
    }

    async fn run(call: &Call<'_>, input: Input) -> Result<Reply<Output>, Failure> {
        if input.wait_seconds > MAX_WAIT_SECONDS {
            let why = format!("wait_seconds is at most {MAX_WAIT_SECONDS}");
            return Err(Refused::input(why).into());
        }
        let wait = Duration::from_secs(input.wait_seconds.into());
        let under = TaskArguments {
            task_id: input.task_id,
            charter: input.charter,
            environment: input.environment,
            reason: input.reason,
            ticket: input.ticket,
        };
        let wanted = Wanted {
            task: call.task(under).await?,
            grant: input.grant,
            plan: input.plan_id,
        };
        let reply = request(call, &wanted, wait).await;
        reply.map_err(Failure::under(wanted.task))
    }
}

async fn request(
    call: &Call<'_>,
    wanted: &Wanted,
    wait: Duration,
) -> Result<Reply<Output>, Refused> {
    let pending = match call.broker.credential(wanted).await {
        Ok(issued) => return Ok(Reply::Done(handle(call, wanted, issued))),
        Err(refused) if refused.reason == Reason::ApprovalPending => refused,
        Err(refused) => return Err(refused),
    };
    let wait = match approval::ask(call, &pending, wanted.task).await {
        PromptOutcome::Round(round) => return Ok(Reply::Ask(round)),
        PromptOutcome::Opened(at_least) => wait.max(at_least),
        PromptOutcome::Declined | PromptOutcome::NotPossible => wait,
    };
    let asked = pending.about.approval.filter(|_| !wait.is_zero());
    let Some(approval) = asked else {
        return Ok(Reply::Done(waiting(wanted, pending)));
    };
    if !approval::decided(call, approval, wait).await {
        return Ok(Reply::Done(waiting(wanted, pending)));
    }
    match call.broker.credential(wanted).await {
        Ok(issued) => Ok(Reply::Done(handle(call, wanted, issued))),
        Err(refused) if refused.reason == Reason::ApprovalPending => {
            Ok(Reply::Done(waiting(wanted, refused)))
        }
        Err(refused) => Err(refused),
    }
}

fn handle(call: &Call<'_>, wanted: &Wanted, issued: Issued) -> Output {
    Output::Issued {
        task_id: wanted.task,
        lease_id: issued.lease,
        grant: wanted.grant.clone(),
        kind: issued.kind,
        expires: time(issued.expires),
        usage: usage(issued.kind, call.program, wanted),
    }
}

fn waiting(wanted: &Wanted, pending: Refused) -> Output {
    let plan = pending.about.plan.or(wanted.plan);
    let named = plan.map_or_else(String::new, |plan| format!(", plan_id {plan}"));
    Output::ApprovalPending {
        task_id: wanted.task,
        approval_id: pending.about.approval,
        plan_id: plan,
        url: pending.about.url.map(String::from),
        message: pending.line,
        next: format!(
            "Tell the user that an approval is pending. Once it is given, call request_credential again with task_id {}, grant \
             {}{named}; wait_seconds makes the call wait.",
            wanted.task, wanted.grant
        ),
    }
}
