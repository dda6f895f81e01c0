//! The timeline of a task: its records in the journal, as sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_charter::requirement::persons;
use lanyard_core::command::Command;
use lanyard_core::task::Task;
use lanyard_identity::Verified;
use lanyard_ledger::Embedded;
use lanyard_ledger::history::Query;
use lanyard_proto::v1;
use lanyard_vocabulary::count::verb_for;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::Scope;
use tonic::Status;

use super::caught_up::caught_up;
use super::phrases::{cause_of, how_far, reported};
use super::time;
use crate::broker::Broker;

/// Leases, plans and approvals of a task whose records are followed.
///
/// # Limit
/// - for: a timeline
/// - unit: ids
/// - beyond: the answer says that it is not the whole timeline
/// - test: `s28_a_timeline_reads_so_many_records_and_no_more`
const MAX_FOLLOWED_IDS: usize = 200;

/// Records that one timeline is made from, and events that it has.
///
/// # Limit
/// - for: a timeline
/// - unit: records
/// - beyond: the answer says that it is not the whole timeline
/// - test: `s28_a_timeline_reads_so_many_records_and_no_more`
const MAX_TIMELINE_RECORDS: usize = 1000;

/// The reader of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// The agent of the task: it sees that people decided, not who they are nor what they said to
    /// each other.
    Agent,
    /// A person with a role.
    Operator,
}

/// The events, and whether there are more.
pub(super) async fn of(
    broker: &Broker,
    task: TaskId,
    caller: &Verified,
) -> Result<(Vec<v1::TaskEvent>, bool), Status> {
    let reader = match caller {
        Verified::Agent(_) => Reader::Agent,
        Verified::Operator(..) => Reader::Operator,
    };
    caught_up(&broker.ledger, reader == Reader::Agent).await?;
    let ledger = Arc::clone(&broker.ledger);
    let collected = move || collect(&ledger, task, reader);
    Ok(broker.readings.run(caller, collected).await?)
}

/// The task as it was opened, where it left memory since.
pub(super) async fn opened(
    ledger: &Arc<Embedded>,
    task: TaskId,
    for_agent: bool,
) -> Result<Option<Task>, Status> {
    caught_up(ledger, for_agent).await?;
    let ledger = Arc::clone(ledger);
    let read = tokio::task::spawn_blocking(move || {
        let query = Query {
            mentions: Some(task.to_string()),
            kind: Some("open-task".to_owned()),
            limit: 1,
            ..Query::default()
        };
        let (found, _) = ledger.history().query(&query);
        let record = lanyard_records::decode(&found.first()?.1).ok()?;
        let Command::OpenTask { task: opened, .. } = record.command else {
            return None;
        };
        (opened.id == task).then_some(opened)
    });
    read.await
        .map_err(|_| Status::internal("the history could not be read"))
}

/// The records that refer to the task, and those that refer to what it had.
fn collect(ledger: &Embedded, task: TaskId, reader: Reader) -> (Vec<v1::TaskEvent>, bool) {
    let (mut records, mut truncated) = (BTreeMap::new(), false);
    let mut waiting = vec![task.to_string()];
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    while let Some(id) = waiting.pop() {
        let room = MAX_TIMELINE_RECORDS.saturating_sub(records.len());
        if room == 0 {
            truncated = true;
            break;
        }
        let query = Query {
            mentions: Some(id),
            limit: room,
            ..Query::default()
        };
        let (found, next) = ledger.history().query(&query);
        truncated |= next.is_some();
        for (index, bytes) in found {
            let Ok(record) = lanyard_records::decode(&bytes) else {
                continue;
            };
            for own in owned(&record.command, task) {
                if seen.contains(&own) {
                    continue;
                }
                if seen.len() <= MAX_FOLLOWED_IDS {
                    seen.insert(own.clone());
                    waiting.push(own);
                } else {
                    truncated = true;
                }
            }
            records.insert(index, record);
        }
    }
    let own = |id: &str| seen.contains(id);
    let asker = records.values().find_map(|record| {
        let Command::OpenTask { task: opened, .. } = &record.command else {
            return None;
        };
        (opened.id == task).then(|| opened.identity.clone())
    });
    let mut events = Vec::new();
    for (index, record) in records {
        // A record may name a plan of this task and be about another one: an agent that asks with a
        // plan that is not its own.
        if !is_about(&record.command, task, &own) {
            continue;
        }
        for (kind, text) in told(&record.command, (reader, asker.as_ref()), &own) {
            events.push(v1::TaskEvent {
                time: time(record.at),
                index,
                kind: kind.to_owned(),
                text,
            });
        }
    }
    truncated |= events.len() > MAX_TIMELINE_RECORDS;
    events.truncate(MAX_TIMELINE_RECORDS);
    (events, truncated)
}

/// Returns what a record gives to the task: leases, plans and approvals, whose own records follow.
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

/// True if a record is about this task, and does not only name something of it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is about a task"
)]
fn is_about(command: &Command, task: TaskId, own: &dyn Fn(&str) -> bool) -> bool {
    match command {
        Command::OpenTask { task: opened, .. } => {
            opened.id == task || opened.lineage.iter().any(|above| above.task == task)
        }
        Command::CloseTask { task: closed } => *closed == task,
        Command::Deny { task: of, .. } => *of == Some(task),
        Command::SubmitPlan { plan, .. } => plan.task == task,
        Command::BeginMint(intent) => intent.task == task,
        Command::Report(report) => report.task == task,
        Command::Approve { approval, .. }
        | Command::Reject { approval, .. }
        | Command::Withdraw { approval, .. } => own(&approval.to_string()),
        Command::Kill(order) => match &order.scope {
            Scope::Task(of) => *of == task,
            Scope::Lease(lease) => own(&lease.to_string()),
            Scope::All
            | Scope::Environment(_)
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Agent(_) => false,
        },
        Command::Pause(pause) => pause.reach.task == Some(task),
        Command::ConfirmMint { lease, .. } => own(&lease.to_string()),
        // Of these, what is said is picked lease by lease.
        Command::Delivered { .. } | Command::Stop { .. } | Command::Advance { .. } => true,
        _ => false,
    }
}

/// Says what a record tells, about what is the task's own.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is about a task"
)]
fn told(
    command: &Command,
    (reader, asker): (Reader, Option<&Identity>),
    own: &dyn Fn(&str) -> bool,
) -> Vec<(&'static str, String)> {
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
            let kind = if denial.rule.is_refusal() {
                "refused"
            } else {
                "denied"
            };
            one(kind, format!("{kind}{what}: {denial} [{decision}]"))
        }
        Command::SubmitPlan {
            plan, requirement, ..
        } => {
            let asks = requirement.as_ref().map(|needed| {
                let people = persons(needed.people);
                let have = verb_for(needed.people.into(), "has", "have");
                format!("; {people} {have} to approve")
            });
            let (id, risk) = (plan.id, plan.risk());
            let asks = asks.unwrap_or_default();
            one(
                "planned",
                format!("plan {id} submitted, {risk} risk: {}{asks}", plan.summary),
            )
        }
        Command::Approve { .. } | Command::Reject { .. } | Command::Withdraw { .. } => {
            decided(command, reader, asker)
        }
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

/// Says what people decided, or the agent that asked them; to an agent, no more than that they did.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is decided by people"
)]
fn decided(
    command: &Command,
    reader: Reader,
    asker: Option<&Identity>,
) -> Vec<(&'static str, String)> {
    let (kind, what, by, said) = match command {
        Command::Approve {
            operator, comment, ..
        } => ("approved", "approved", &operator.identity, comment),
        Command::Reject {
            operator, reason, ..
        } => ("rejected", "approval denied", &operator.identity, reason),
        Command::Withdraw { by, reason, .. } if asker == Some(by) => {
            ("withdrawn", "request taken back", by, reason)
        }
        Command::Withdraw { by, reason, .. } => ("withdrawn", "approval taken back", by, reason),
        _ => return Vec::new(),
    };
    let text = match reader {
        Reader::Agent => what.to_owned(),
        Reader::Operator => format!("{what} by {by}: {said}"),
    };
    vec![(kind, text)]
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

fn each(
    leases: &[lanyard_vocabulary::id::LeaseId],
    own: &dyn Fn(&str) -> bool,
    kind: &'static str,
    text: impl Fn(&lanyard_vocabulary::id::LeaseId) -> String,
) -> Vec<(&'static str, String)> {
    let about = leases.iter().filter(|lease| own(&lease.to_string()));
    about.map(|lease| (kind, text(lease))).collect()
}

#[cfg(test)]
mod tests {
    use lanyard_core::ledger::Ledger as _;
    use lanyard_ledger::Settings;
    use lanyard_testkit::clock::ManualClock;
    use lanyard_testkit::ids::Ids;
    use lanyard_testkit::world;

    use super::*;

    /// A ledger with an open task in it.
    async fn opened_in(folder: &std::path::Path) -> (Arc<Embedded>, Task) {
        let settings = Settings::with_history(folder.join("history"));
        let now = Arc::new(|| ManualClock::START);
        let (ledger, _) = Embedded::open(&folder.join("journal"), &settings, now).unwrap();
        let task = world::task(&Ids::seeded(28), ManualClock::START);
        let in_force = Command::CharterInForce {
            charter: task.charter.clone(),
            revision: task.revision.clone(),
            breakers: Vec::new(),
        };
        ledger.commit(in_force).await.unwrap();
        let open = Command::OpenTask {
            task: task.clone(),
            request: None,
        };
        ledger.commit(open).await.unwrap();
        (Arc::new(ledger), task)
    }

    #[tokio::test]
    async fn s28_a_timeline_reads_so_many_records_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, task) = opened_in(folder.path()).await;
        let close = Command::CloseTask { task: task.id };
        for _ in 1..MAX_TIMELINE_RECORDS {
            ledger.commit(close.clone()).await.unwrap();
        }
        caught_up(&ledger, false).await.unwrap();
        let (events, truncated) = collect(&ledger, task.id, Reader::Operator);
        assert_eq!((events.len(), truncated), (MAX_TIMELINE_RECORDS, false));
        ledger.commit(close).await.unwrap();
        caught_up(&ledger, false).await.unwrap();
        let (events, truncated) = collect(&ledger, task.id, Reader::Operator);
        assert_eq!((events.len(), truncated), (MAX_TIMELINE_RECORDS, true));
    }

    #[tokio::test]
    async fn s51_the_history_says_whose_a_task_was_that_left_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, task) = opened_in(folder.path()).await;
        assert_eq!(opened(&ledger, task.id, false).await.unwrap(), Some(task));
        let unknown = TaskId::from_bits(1);
        assert_eq!(opened(&ledger, unknown, false).await.unwrap(), None);
    }
}
