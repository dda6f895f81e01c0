//! What happened to a task, from the journal, in sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_core::action::Report;
use lanyard_core::command::{Command, Record};
use lanyard_core::id::TaskId;
use lanyard_core::lease::{Progress, StopCause};
use lanyard_core::time::Timestamp;
use lanyard_ledger::Embedded;
use lanyard_ledger::history::{MOST, Query};
use lanyard_proto::v1;
use tonic::Status;

use super::{audit, time};

/// How many of its leases, plans and approvals are followed.
const FOLLOWED: usize = 200;

/// The events, and whether there are more.
pub(super) async fn of(
    ledger: &Arc<Embedded>,
    task: TaskId,
) -> Result<(Vec<v1::TaskEvent>, bool), Status> {
    audit::caught_up(ledger).await?;
    let ledger = Arc::clone(ledger);
    let read = tokio::task::spawn_blocking(move || collect(&ledger, task)).await;
    read.map_err(|_| Status::internal("the history could not be read"))
}

/// The records that mention the task, and those that mention what it had.
fn collect(ledger: &Embedded, task: TaskId) -> (Vec<v1::TaskEvent>, bool) {
    let (mut records, mut truncated) = (BTreeMap::new(), false);
    let mut waiting = vec![task.to_string()];
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    while let Some(id) = waiting.pop() {
        let query = Query {
            mentions: Some(id),
            limit: MOST,
            ..Query::default()
        };
        let (found, next) = ledger.history().query(&query);
        truncated |= next.is_some();
        for (index, bytes) in found {
            let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
                continue;
            };
            for own in owned(&record.command, task) {
                if seen.len() < FOLLOWED && seen.insert(own.clone()) {
                    waiting.push(own);
                }
            }
            records.insert(index, record);
        }
    }
    let own = |id: &str| seen.contains(id);
    let mut events = Vec::new();
    for (index, record) in records {
        for (kind, text) in told(&record.command, &own) {
            events.push(v1::TaskEvent {
                time: time(record.at),
                index,
                kind: kind.to_owned(),
                text,
            });
        }
    }
    truncated |= events.len() > MOST;
    events.truncate(MOST);
    (events, truncated)
}

/// What a record gives to the task: leases, plans and approvals, whose own records follow.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this gives something"
)]
fn owned(command: &Command, task: TaskId) -> Vec<String> {
    match command {
        Command::BeginMint(intent) if intent.task == task => vec![intent.lease.to_string()],
        Command::SubmitPlan { plan, .. } if plan.task == task => {
            let approval = plan.approval.map(|id| id.to_string());
            approval.into_iter().chain([plan.id.to_string()]).collect()
        }
        _ => Vec::new(),
    }
}

/// What a record says, about what is the task's own.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is about a task"
)]
fn told(command: &Command, own: &dyn Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let one = |kind, text| vec![(kind, text)];
    match command {
        Command::OpenTask { task, .. } => {
            let ticket = task.ticket.as_ref().map(|ticket| format!(" ({ticket})"));
            let ticket = ticket.unwrap_or_default();
            let text = format!("opened by {}: {}{ticket}", task.agent, task.reason);
            one("opened", text)
        }
        Command::Deny {
            decision,
            grant,
            denial,
            ..
        } => {
            let what = grant.as_ref().map(|grant| format!(" {grant}"));
            let what = what.unwrap_or_default();
            one("denied", format!("denied{what}: {denial} [{decision}]"))
        }
        Command::SubmitPlan {
            plan, requirement, ..
        } => {
            let asks = requirement.as_ref().map(|needed| {
                let people = lanyard_core::approval::persons(needed.people);
                format!("; {people} have to approve")
            });
            let (id, risk) = (plan.id, plan.risk());
            let asks = asks.unwrap_or_default();
            one(
                "planned",
                format!("plan {id} submitted, {risk} risk: {}{asks}", plan.summary),
            )
        }
        Command::Approve {
            operator, comment, ..
        } => one(
            "approved",
            format!("approved by {}: {comment}", operator.identity),
        ),
        Command::Reject {
            operator, reason, ..
        } => one(
            "rejected",
            format!("approval denied by {}: {reason}", operator.identity),
        ),
        Command::Withdraw { by, reason, .. } => one(
            "withdrawn",
            format!("approval taken back by {by}: {reason}"),
        ),
        Command::Report(report) => one("action", reported(report)),
        Command::Kill(order) => one(
            "killed",
            format!(
                "kill order {} over {}: {}",
                order.id, order.scope, order.reason
            ),
        ),
        Command::Pause(pause) => one(
            "paused",
            format!("pause {} over {}: {}", pause.id, pause.reach, pause.reason),
        ),
        Command::CloseTask { .. } => one("closed", "closed".to_owned()),
        other => of_leases(other, own),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is about leases"
)]
fn of_leases(command: &Command, own: &dyn Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let one = |kind, text| vec![(kind, text)];
    match command {
        Command::BeginMint(intent) => {
            let (lease, entry, decision) = (intent.lease, &intent.entry, intent.decision);
            let text = format!(
                "asked for {} ({} on {}): lease {lease} [{decision}]",
                entry.grant, entry.role, entry.target
            );
            one("asked", text)
        }
        Command::ConfirmMint { lease, expires, .. } => {
            one("issued", format!("lease {lease} issued until {expires}"))
        }
        Command::Delivered { leases } => each(leases, own, "delivered", |lease| {
            format!("lease {lease} handed over")
        }),
        Command::Stop { leases, cause } => {
            let why = cause_of(*cause);
            each(leases, own, "stopped", |lease| {
                format!("lease {lease} stopped: {why}")
            })
        }
        Command::Advance { progress } => {
            let about = progress.iter().filter(|(lease, _)| own(&lease.to_string()));
            let said = about.filter_map(|(lease, progress)| {
                Some(("revoked", format!("lease {lease}: {}", how_far(*progress)?)))
            });
            said.collect()
        }
        _ => Vec::new(),
    }
}

fn reported(report: &Report) -> String {
    let with = |before: &str, text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{before}{text}")
        }
    };
    format!(
        "{} {}{} {}, says {}{}",
        report.tool,
        report.name,
        with(" on ", &report.on),
        report.outcome,
        report.by,
        with(": ", &report.detail)
    )
}

fn each(
    leases: &[lanyard_core::id::LeaseId],
    own: &dyn Fn(&str) -> bool,
    kind: &'static str,
    text: impl Fn(&lanyard_core::id::LeaseId) -> String,
) -> Vec<(&'static str, String)> {
    let about = leases.iter().filter(|lease| own(&lease.to_string()));
    about.map(|lease| (kind, text(lease))).collect()
}

fn cause_of(cause: StopCause) -> String {
    match cause {
        StopCause::Released => "given back".to_owned(),
        StopCause::TaskClosed => "its task was closed".to_owned(),
        StopCause::Expired => "its time was up".to_owned(),
        StopCause::Unconfirmed => "the provider did not confirm it".to_owned(),
        StopCause::Undelivered => "it never reached the agent".to_owned(),
        StopCause::Excessive => "the provider gave more than was asked".to_owned(),
        StopCause::Killed(order) => format!("kill order {order}"),
        StopCause::Collateral(order) => format!("taken along by kill order {order}"),
    }
}

fn how_far(progress: Progress) -> Option<String> {
    let at = |word: &str, at: Timestamp| Some(format!("{word} at {at}"));
    match progress {
        Progress::Fenced | Progress::Requested => None,
        Progress::Acknowledged(when) => at("revocation acknowledged", when),
        Progress::PresumedDead(when) => at("presumed dead", when),
        Progress::ProvedDead(when) => at("proved dead", when),
        Progress::Expired(when) => at("expired", when),
    }
}
