//! PlanService.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::ActionPattern;
use lanyard_charter::plan::{MAX_BYTES_PER_PLAN, PlanFormat};
use lanyard_charter::reach::PlanReach;
use lanyard_core::plan::{Judgement, Plan, Rehearsal};
use lanyard_engine::plans::Proposal;
use lanyard_identity::Verified;
use lanyard_plan::Document;
use lanyard_proto::v1;
use lanyard_proto::v1::plan_service_server::PlanService;
use lanyard_proto::v1::submit_plan_request::Part;
use lanyard_vocabulary::id::PlanId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::text::visible;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{Services, plan_list, time};
use crate::fields::{parsed, text};
use crate::refusal;
use crate::shares::{Share, Shares};

/// The bytes of plans that are being submitted, part of what the bodies of requests may take.
///
/// # Limit
/// - for: all agents together
/// - unit: bytes
/// - beyond: the submission is refused with `RESOURCE_EXHAUSTED`
/// - test: `s07_an_identity_holds_two_plans_in_memory_at_the_most`
const MAX_SUBMITTED_BYTES: u64 = 24 << 20;
/// The bytes of plans that one identity is submitting: two of the largest size.
///
/// # Limit
/// - for: an identity of an agent
/// - unit: bytes
/// - beyond: the submission is refused with `RESOURCE_EXHAUSTED`
/// - test: `s07_an_identity_holds_two_plans_in_memory_at_the_most`
const MAX_SUBMITTED_BYTES_PER_IDENTITY: u64 = 8 << 20;
/// Destructive actions that a plan asks for by name: they are in its record, and in that of a
/// denial.
///
/// # Limit
/// - for: a plan
/// - unit: actions
/// - beyond: the plan is refused when it is submitted
/// - test: `s05_a_plan_names_so_many_destructive_actions_and_no_more`
const MAX_DESTRUCTIVE_ACTIONS: usize = 100;
/// The longest of them, in bytes; those that a charter can list are shorter.
const DESTRUCTIVE_ACTION_BYTES: usize = 320;
/// The longest time that the header of a plan may take, and then its bytes.
///
/// # Limit
/// - for: a plan that is being submitted
/// - unit: of time
/// - beyond: the submission is refused with `DEADLINE_EXCEEDED`
/// - test: `a_plan_that_does_not_come_is_given_up`
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// The most bytes of a plan that one message holds.
const CHUNK_BYTES: usize = 32 * 1024;

/// The role of operators that read the exact bytes of plans.
const APPROVERS: &[OperatorRole] = &[OperatorRole::Approver];
/// The roles of operators that read plans.
const READERS: &[OperatorRole] = &[OperatorRole::Approver, OperatorRole::Viewer];

#[tonic::async_trait]
impl PlanService for Services {
    async fn submit_plan(
        &self,
        request: Request<Streaming<v1::SubmitPlanRequest>>,
    ) -> Result<Response<v1::SubmitPlanResponse>, Status> {
        let verified = self.caller(&request).await?;
        let is_known = self.0.is_known(&verified);
        let caller = crate::callers::agent(verified)?;
        if !is_known {
            // A stranger has no task: nobody waits for one to say which.
            return Err(refusal::not_found("task").into());
        }
        let share = self.0.plan_bytes.of(caller.identity.clone());
        let mut parts = request.into_inner();
        let proposal = within(UPLOAD_TIMEOUT, header(&mut parts)).await?;
        // The task and the turn come before the bytes: whoever may not submit takes no memory.
        let submission = self
            .0
            .engine
            .plans()
            .begin_submission(&caller, proposal)
            .await;
        let submission = submission.map_err(|error| self.refused(error))?;
        let (content, _share) = within(UPLOAD_TIMEOUT, content(parts, share)).await?;
        let plan = submission
            .submit(content)
            .await
            .map_err(|error| self.refused(error))?;
        Ok(Response::new(v1::SubmitPlanResponse {
            plan: Some(message(&plan, Reader::Agent)),
        }))
    }

    async fn list_plans(
        &self,
        request: Request<v1::ListPlansRequest>,
    ) -> Result<Response<v1::ListPlansResponse>, Status> {
        let whose = match self.agent_or_operator(&request, READERS).await? {
            Verified::Agent(caller) => Some(caller.identity),
            Verified::Operator(..) => None,
        };
        let listed = plan_list::list(&self.0.engine, whose, request.into_inner());
        Ok(Response::new(listed.await?))
    }

    type ReadPlanStream = Pin<Box<dyn Stream<Item = Result<v1::ReadPlanResponse, Status>> + Send>>;

    async fn read_plan(
        &self,
        request: Request<v1::ReadPlanRequest>,
    ) -> Result<Response<Self::ReadPlanStream>, Status> {
        let caller = self.agent_or_operator(&request, APPROVERS).await?;
        let id: PlanId = parsed("id", &request.into_inner().id)?;
        let found = self.0.engine.context().query(|state| {
            let plan = state.plan(id)?;
            let asked = plan.approval.and_then(|id| state.approval(id));
            let may = match &caller {
                Verified::Agent(caller) => state.task(plan.task)?.task.identity == caller.identity,
                // Nothing is masked in it, so it is for those whose yes it needs.
                Verified::Operator(operator, _) => {
                    asked.is_none_or(|it| it.requirement.asks(&operator.groups))
                }
            };
            may.then_some((plan.digest, plan.size))
        });
        let (digest, size) = found
            .await
            .map_err(refusal::commit)?
            .ok_or_else(|| refusal::not_found("plan"))?;
        if let Verified::Operator(operator, _) = &caller {
            let by = &operator.identity;
            tracing::info!(plan = %id, %digest, %by, "the exact bytes of a plan were read");
        }
        // The bytes are in memory until the reader has taken them.
        let readings = &self.0.readings;
        let share = readings.hold(&caller, size)?;
        let plans = self.0.plans.clone();
        let read = readings.run(&caller, move || plans.get(digest)).await?;
        let content = read.map_err(|_| unreadable())?;
        let content = Arc::new(content);
        let starts = (0..content.len()).step_by(CHUNK_BYTES);
        let chunks = starts.map(move |start| {
            let _held = &share;
            let end = content.len().min(start + CHUNK_BYTES);
            let chunk = content.get(start..end).unwrap_or_default().to_vec();
            Ok(v1::ReadPlanResponse { chunk })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn get_plan(
        &self,
        request: Request<v1::GetPlanRequest>,
    ) -> Result<Response<v1::GetPlanResponse>, Status> {
        let caller = self.agent_or_operator(&request, READERS).await?;
        let id = parsed("id", &request.into_inner().id)?;
        let found = self.0.engine.context().query(|state| {
            let plan = state.plan(id)?;
            let task = &state.task(plan.task)?.task;
            let may = match &caller {
                Verified::Agent(caller) => task.identity == caller.identity,
                Verified::Operator(..) => true,
            };
            may.then(|| plan.clone())
        });
        let plan = found
            .await
            .map_err(refusal::commit)?
            .ok_or_else(|| refusal::not_found("plan"))?;
        let plans = self.0.plans.clone();
        let reader = match &caller {
            Verified::Agent(..) => Reader::Agent,
            Verified::Operator(..) => Reader::Operator,
        };
        let (digest, format) = (plan.digest, plan.format);
        // An agent does not learn through the broker what is there now.
        let rehearsal = plan
            .rehearsal
            .clone()
            .filter(|_| reader == Reader::Operator);
        let read = self.0.readings.run(&caller, move || {
            let content = plans.get(digest).ok()?;
            let text = Document::read(format, &content).ok()?.text();
            Some(match rehearsal {
                None => text,
                Some(Rehearsal::Not(why)) => format!("not rehearsed: {}\n\n{text}", visible(&why)),
                Some(Rehearsal::Done(digest)) => {
                    let came = String::from_utf8(plans.get(digest).ok()?).ok()?;
                    format!("at the time of the submission, on the target:\n{came}\nas submitted:\n{text}")
                }
            })
        });
        let content = read.await?.ok_or_else(unreadable)?;
        Ok(Response::new(v1::GetPlanResponse {
            plan: Some(message(&plan, reader)),
            content,
        }))
    }
}

pub(super) fn unreadable() -> Status {
    Status::unavailable(
        "the stored plan cannot be read, or is not what was stored: it is neither shown, approved nor applied; submit it again",
    )
}

/// Returns the shares of what plans may take while they are submitted.
pub(crate) fn submitted_bytes() -> Shares<Identity> {
    Shares::new(MAX_SUBMITTED_BYTES, MAX_SUBMITTED_BYTES_PER_IDENTITY)
}

/// An agent's turn does not wait longer than this for the parts of its plan.
async fn within<T>(
    deadline: Duration,
    received: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let received = tokio::time::timeout(deadline, received).await;
    received.unwrap_or_else(|_| {
        let seconds = deadline.as_secs();
        Err(Status::deadline_exceeded(format!(
            "the plan was not received within {seconds} s"
        )))
    })
}

/// Reads what comes before any bytes.
async fn header(parts: &mut Streaming<v1::SubmitPlanRequest>) -> Result<Proposal, Status> {
    let first = parts.message().await?.and_then(|message| message.part);
    let Some(Part::Header(header)) = first else {
        return Err(refusal::invalid("part", "the first message has to be the header").into());
    };
    proposal(header)
}

/// The bytes, each of them counted against the caller's share before it is kept.
async fn content(
    mut parts: Streaming<v1::SubmitPlanRequest>,
    mut share: Share<Identity>,
) -> Result<(Arc<[u8]>, Share<Identity>), Status> {
    let mut content = Vec::new();
    while let Some(message) = parts.message().await? {
        let Some(Part::Chunk(chunk)) = message.part else {
            return Err(refusal::invalid("part", "after the header only chunks follow").into());
        };
        if content.len() + chunk.len() > MAX_BYTES_PER_PLAN {
            return Err(refusal::invalid(
                "chunk",
                format!(
                    "this plan has more than {} bytes by this chunk, and a plan has {MAX_BYTES_PER_PLAN} (4 MiB) at most; split it",
                    content.len()
                ),
            ).into());
        }
        share
            .grow(chunk.len() as u64)
            .map_err(|full| refusal::full("bytes of plans in memory", full))?;
        content.extend_from_slice(&chunk);
    }
    if content.is_empty() {
        let why = "the plan is empty: whatever was to write it failed, or wrote to another file";
        return Err(refusal::invalid("chunk", why).into());
    }
    Ok((Arc::from(content), share))
}

fn proposal(header: v1::PlanHeader) -> Result<Proposal, Status> {
    let unknown = |_| refusal::invalid("format", "is no format that this broker knows");
    let format = match v1::PlanFormat::try_from(header.format).map_err(unknown)? {
        v1::PlanFormat::TerraformJson => Some(PlanFormat::TerraformJson),
        v1::PlanFormat::Manifests => Some(PlanFormat::Manifests),
        v1::PlanFormat::ManifestDiff => Some(PlanFormat::ManifestDiff),
        v1::PlanFormat::Text => Some(PlanFormat::Text),
        v1::PlanFormat::Unspecified => None,
    };
    let named = header.destructive.len();
    if named > MAX_DESTRUCTIVE_ACTIONS {
        let why = format!("names {named} actions and may name {MAX_DESTRUCTIVE_ACTIONS}");
        return Err(refusal::invalid("destructive", why).into());
    }
    let too_long = |action: &&String| action.len() > DESTRUCTIVE_ACTION_BYTES;
    if let Some(action) = header.destructive.iter().find(too_long) {
        let why = format!(
            "has an action of {} bytes, and one may have {DESTRUCTIVE_ACTION_BYTES}",
            action.len()
        );
        return Err(refusal::invalid("destructive", why).into());
    }
    Ok(Proposal {
        task: parsed("task_id", &header.task_id)?,
        grant: parsed("grant", &header.grant)?,
        format,
        summary: text("summary", header.summary)?,
        destructive: header.destructive.into_iter().map(ActionPattern).collect(),
    })
}

/// The reader of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// The agent that proposes it, which is told what its own bytes say.
    Agent,
    /// A person, who is also told what the target said of them.
    Operator,
}

pub(super) fn message(plan: &Plan, reader: Reader) -> v1::Plan {
    let effects = match reader {
        Reader::Agent => plan.effects,
        Reader::Operator => plan.rehearsed.unwrap_or(plan.effects),
    };
    let format = match plan.format {
        PlanFormat::TerraformJson => v1::PlanFormat::TerraformJson,
        PlanFormat::Manifests => v1::PlanFormat::Manifests,
        PlanFormat::ManifestDiff => v1::PlanFormat::ManifestDiff,
        PlanFormat::Text => v1::PlanFormat::Text,
    };
    let narrowing = plan.narrowing.clone().unwrap_or_default();
    v1::Plan {
        id: plan.id.to_string(),
        task_id: plan.task.to_string(),
        grant: plan.grant.to_string(),
        format: format.into(),
        digest: plan.digest.to_string(),
        size: plan.size,
        summary: plan.summary.clone(),
        submit_time: time(plan.submitted),
        approval_id: plan.approval.map(|id| id.to_string()).unwrap_or_default(),
        effects: Some(v1::PlanEffects {
            created: effects.created,
            updated: effects.updated,
            replaced: effects.replaced,
            destroyed: effects.destroyed,
            forgotten: effects.forgotten,
            imported: effects.imported,
            moved: effects.moved,
        }),
        risk: plan_list::risk(plan.risk()).into(),
        reasons: not_narrowed(plan)
            .into_iter()
            .chain(each(plan, |judgement| &judgement.reasons))
            .collect(),
        warnings: each(plan, |judgement| &judgement.warned),
        reach: plan.reach.as_ref().map(reach).unwrap_or_default(),
        destructive: plan.destructive.iter().map(|it| it.0.clone()).collect(),
        sensitive_count: plan.sensitive.count,
        sensitive: plan.sensitive.names.clone(),
        beyond: plan.beyond.clone().unwrap_or_default(),
        gives: narrowing.gives,
        withholds: match reader {
            Reader::Agent => Vec::new(),
            Reader::Operator => narrowing.withholds,
        },
        lacks: narrowing.lacks,
    }
}

/// Says why the risk that people are asked for is higher than that of what the plan says: a rule of
/// the charter for a lower risk is not about the plan then, and whoever wrote that rule would look
/// for the reason in vain.
fn not_narrowed(plan: &Plan) -> Option<String> {
    if plan.judged_risk() >= plan.risk() {
        return None;
    }
    let (judged, counts) = (plan.judged_risk(), plan.risk());
    let why = match &plan.beyond {
        Some(beyond) => format!("the credential can do more than the plan says: {beyond}"),
        None => format!(
            "the credential of grant {} cannot be narrowed to what the plan says",
            plan.grant
        ),
    };
    Some(format!(
        "{counts}, and not {judged} as the plan's content: {why}; a rule of the charter for {judged} risk does not apply"
    ))
}

/// Returns what the judges say, each thing once.
fn each(plan: &Plan, of: impl Fn(&Judgement) -> &Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in plan.judgements.iter().flat_map(of) {
        if !all.contains(line) {
            all.push(line.clone());
        }
    }
    all
}

fn reach(reach: &PlanReach) -> Vec<String> {
    let whole = reach.parts().filter(|part| part.is_whole());
    whole.flat_map(|part| part.named()).collect()
}

#[cfg(test)]
mod tests {
    use lanyard_charter::plan::MAX_BYTES_PER_PLAN;

    use super::*;
    use crate::shares::Full;

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_does_not_come_is_given_up() {
        let began = tokio::time::Instant::now();
        let given_up = within(UPLOAD_TIMEOUT, std::future::pending::<Result<(), Status>>()).await;
        assert_eq!(given_up.unwrap_err().code(), tonic::Code::DeadlineExceeded);
        assert_eq!(began.elapsed(), UPLOAD_TIMEOUT);
    }

    #[test]
    fn s05_a_plan_names_so_many_destructive_actions_and_no_more() {
        let header = |count: usize, bytes: usize| {
            let ids = lanyard_testkit::ids::Ids::seeded(5);
            proposal(v1::PlanHeader {
                task_id: ids.task().to_string(),
                grant: "change".to_owned(),
                format: v1::PlanFormat::Text.into(),
                summary: "x".to_owned(),
                destructive: (0..count).map(|n| format!("{n:0>bytes$}")).collect(),
            })
        };
        let (most, longest) = (MAX_DESTRUCTIVE_ACTIONS, DESTRUCTIVE_ACTION_BYTES);
        assert!(header(most, longest).is_ok());
        for refused in [header(most + 1, longest), header(1, longest + 1)] {
            let refused = refused.err().map(|status| status.code());
            assert_eq!(refused, Some(tonic::Code::InvalidArgument));
        }
    }

    #[test]
    fn s07_an_identity_holds_two_plans_in_memory_at_the_most() {
        let bytes = submitted_bytes();
        let who = |subject: u64| Identity {
            issuer: "https://issuer.example".to_owned(),
            subject: subject.to_string(),
        };
        let plan = MAX_BYTES_PER_PLAN as u64;
        let two = [bytes.take(who(0), plan), bytes.take(who(0), plan)];
        assert!(two.iter().all(Result::is_ok));
        let own = Full::Owner(MAX_SUBMITTED_BYTES_PER_IDENTITY);
        assert_eq!(bytes.take(who(0), 1).unwrap_err(), own);
        let rest = MAX_SUBMITTED_BYTES / MAX_SUBMITTED_BYTES_PER_IDENTITY;
        let others: Vec<_> = (1..rest)
            .map(|at| {
                bytes
                    .take(who(at), MAX_SUBMITTED_BYTES_PER_IDENTITY)
                    .unwrap()
            })
            .collect();
        let all = Full::All(MAX_SUBMITTED_BYTES);
        assert_eq!(bytes.take(who(rest), 1).unwrap_err(), all);
        drop(others);
        assert!(bytes.take(who(rest), plan).is_ok());
    }
}
