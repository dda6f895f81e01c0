//! DecisionService.

use std::sync::Arc;

use lanyard_charter::Owners;
use lanyard_core::command::{Command, Intent, Record};
use lanyard_core::task::Task;
use lanyard_engine::activity::ALLOWED;
use lanyard_identity::Verified;
use lanyard_ledger::Embedded;
use lanyard_ledger::history::Query;
use lanyard_proto::v1;
use lanyard_proto::v1::decision_service_server::DecisionService;
use lanyard_vocabulary::id::{ApprovalId, DecisionId};
use lanyard_vocabulary::operator::OperatorRole;
use tonic::{Request, Response, Status};

use super::caught_up::caught_up;
use super::{Services, time};
use crate::fields::parsed;
use crate::refusal;

/// Records that mention an approval and are looked through for who gave it.
///
/// # Limit
/// - for: a decision that is explained
/// - unit: records
/// - beyond: people who approved later than that are not named; `lanyard audit query` has them
/// - test: `friction_an_allowed_decision_names_who_approved_it`
const MAX_APPROVAL_RECORDS: usize = 100;

/// The role of operators that read decisions.
const READERS: &[OperatorRole] = &[OperatorRole::Viewer];

/// A decision as the journal has it, with what other records say about it.
struct Found {
    index: u64,
    record: Record,
    /// The task that was asked under, where there was one.
    task: Option<Task>,
    approvers: Vec<String>,
}

#[tonic::async_trait]
impl DecisionService for Services {
    async fn get_decision(
        &self,
        request: Request<v1::GetDecisionRequest>,
    ) -> Result<Response<v1::GetDecisionResponse>, Status> {
        let caller = self.agent_or_operator(&request, READERS).await?;
        let id: DecisionId = parsed("id", &request.into_inner().id)?;
        let own = match &caller {
            Verified::Agent(caller) => Some(caller.identity.clone()),
            Verified::Operator(..) => None,
        };
        caught_up(&self.0.ledger, own.is_some()).await?;
        let ledger = Arc::clone(&self.0.ledger);
        let found = self.0.readings.run(&caller, move || find(&ledger, id));
        let found = found.await?;
        let may = |found: &Found| match (&own, &found.record.command) {
            (None, _) => true,
            (Some(own), Command::Deny { identity, .. }) => identity == own,
            (Some(own), _) => found
                .task
                .as_ref()
                .is_some_and(|task| task.identity == *own),
        };
        // The same answer for a decision of another agent and for one that never was (T15).
        let found = found
            .filter(may)
            .ok_or_else(|| refusal::not_found("decision"))?;
        let mut decision = described(found).ok_or_else(|| refusal::not_found("decision"))?;
        if own.is_some() {
            // People decided: an agent is told how many, and not who.
            decision.approvers.clear();
        }
        // A decision without a revision found no charter for whoever asked, who is not told of one
        // (T15).
        let is_of_charter = own.is_none() || !decision.revision.is_empty();
        let charter = decision.charter.parse().ok().filter(|_| is_of_charter);
        let charter = charter.and_then(|name| self.0.engine.charters().in_force(&name));
        decision.owners = charter.map(|charter| owners(&charter.owners));
        Ok(Response::new(v1::GetDecisionResponse {
            decision: Some(decision),
        }))
    }
}

pub(super) fn owners(owners: &Owners) -> v1::CharterOwners {
    v1::CharterOwners {
        business: owners.business.clone(),
        technical: owners.technical.clone(),
        security: owners.security.clone(),
    }
}

/// The records that mention something, oldest first.
fn records(ledger: &Embedded, mentions: String, limit: usize) -> Vec<(u64, Record)> {
    let query = Query {
        mentions: Some(mentions),
        limit,
        ..Query::default()
    };
    let (found, _) = ledger.history().query(&query);
    let read = found.into_iter();
    read.filter_map(|(index, bytes)| Some((index, lanyard_records::decode(&bytes).ok()?)))
        .collect()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, these are decisions"
)]
fn find(ledger: &Embedded, id: DecisionId) -> Option<Found> {
    let found = records(ledger, id.to_string(), 1);
    let (index, record) = found.into_iter().next()?;
    let (task, approval) = match &record.command {
        Command::BeginMint(intent) => (Some(intent.task), approval_of(intent)),
        Command::Deny { task, .. } => (*task, None),
        _ => return None,
    };
    let task = task.and_then(|task| {
        let query = Query {
            mentions: Some(task.to_string()),
            kind: Some("open-task".to_owned()),
            limit: 1,
            ..Query::default()
        };
        let (found, _) = ledger.history().query(&query);
        let opened = lanyard_records::decode(&found.first()?.1).ok()?;
        match opened.command {
            Command::OpenTask { task: opened, .. } if opened.id == task => Some(opened),
            _ => None,
        }
    });
    let counted = match &record.command {
        Command::BeginMint(intent) => intent.approved_by.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    // Records from before whose yes counted was noted: everybody whose yes stood then.
    let approvers = match approval {
        Some(id) if counted.is_empty() => approvers(ledger, id, index),
        Some(_) | None => counted,
    };
    Some(Found {
        index,
        record,
        task,
        approvers,
    })
}

fn approval_of(intent: &Intent) -> Option<ApprovalId> {
    intent.approval.as_ref().map(|(id, _)| *id)
}

/// Names the people whose yes stood when the credential was asked of the provider.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this gives an approval or takes it back"
)]
fn approvers(ledger: &Embedded, id: ApprovalId, before: u64) -> Vec<String> {
    let mut people: Vec<String> = Vec::new();
    for (index, record) in records(ledger, id.to_string(), MAX_APPROVAL_RECORDS) {
        if index >= before {
            break;
        }
        match record.command {
            Command::Approve { operator, .. } => people.push(operator.identity.to_string()),
            Command::Withdraw { by, .. } => {
                let by = by.to_string();
                people.retain(|one| *one != by);
            }
            _ => {}
        }
    }
    people
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, these are decisions"
)]
fn described(found: Found) -> Option<v1::Decision> {
    let Found {
        index,
        record,
        task,
        approvers,
    } = found;
    let known = v1::Decision {
        index,
        time: time(record.at),
        ..of_task(task.as_ref())
    };
    match record.command {
        Command::BeginMint(intent) => Some(v1::Decision {
            approved_by: u32::try_from(approvers.len()).unwrap_or(u32::MAX),
            approvers,
            ..allowed(*intent, known)
        }),
        Command::Deny {
            decision,
            identity,
            agent,
            task,
            environment,
            grant,
            asked,
            denial,
        } => {
            let refused = denial.rule.is_refusal();
            let code = denial.code();
            let environment = environment.map(|name| name.to_string());
            let limit = denial.limit.map(|limit| *limit);
            Some(v1::Decision {
                id: decision.to_string(),
                outcome: if refused { "refused" } else { "denied" }.to_owned(),
                reason_code: code.to_string(),
                identity: identity.to_string(),
                agent: agent.0,
                task_id: task.map(|id| id.to_string()).unwrap_or_default(),
                environment: environment.unwrap_or(known.environment),
                grant: grant.map(|name| name.to_string()).unwrap_or_default(),
                plan_id: asked.plan.map(|id| id.to_string()).unwrap_or_default(),
                charter: denial.charter.to_string(),
                revision: denial.revision.map(|it| it.to_string()).unwrap_or_default(),
                rule: denial.rule.to_string(),
                line: denial.at.map(|at| at.line).unwrap_or_default(),
                path: denial.path.map(String::from).unwrap_or_default(),
                message: denial.message,
                next: denial.next,
                limit: limit
                    .as_ref()
                    .map(|it| it.name.to_string())
                    .unwrap_or_default(),
                limit_value: limit.map(|it| it.value).unwrap_or_default(),
                retry_after: denial.retry_after.and_then(time),
                held_by: denial
                    .held_by
                    .map(|what| what.to_string())
                    .unwrap_or_default(),
                ..known
            })
        }
        _ => None,
    }
}

fn of_task(task: Option<&Task>) -> v1::Decision {
    task.map(|task| v1::Decision {
        agent: task.agent.to_string(),
        identity: task.identity.to_string(),
        task_id: task.id.to_string(),
        environment: task.environment.to_string(),
        charter: task.charter.to_string(),
        ..v1::Decision::default()
    })
    .unwrap_or_default()
}

fn allowed(intent: Intent, known: v1::Decision) -> v1::Decision {
    let approval = intent.approval.as_ref();
    v1::Decision {
        id: intent.decision.to_string(),
        outcome: "allowed".to_owned(),
        reason_code: ALLOWED.to_owned(),
        task_id: intent.task.to_string(),
        revision: intent.in_force.to_string(),
        grant: intent.entry.grant.to_string(),
        role: intent.entry.role.to_string(),
        target: intent.entry.target.to_string(),
        lease_id: intent.lease.to_string(),
        expire_time: time(intent.expires),
        plan_id: intent
            .asked
            .plan
            .map(|id| id.to_string())
            .unwrap_or_default(),
        approval_id: approval.map(|(id, _)| id.to_string()).unwrap_or_default(),
        people_needed: approval
            .map(|(_, needed)| needed.people)
            .unwrap_or_default(),
        ..known
    }
}
