//! Outgoing webhooks and security events: approvals and their answers, pauses, kill orders,
//! re-arms, tripped breakers and emergencies.
//!
//! Each receiver resumes at its saved journal position. After a restart no event is lost, and some
//! are delivered twice, with the same id.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use lanyard_charter::Charter;
use lanyard_core::approval::Approval;
use lanyard_core::command::{Command, Record};
use lanyard_core::kill::{REARM_PROPOSAL_LIFE, RearmProposal, RearmStage};
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Plan;
use lanyard_core::state::{State, Unusual};
use lanyard_core::task::Task;
use lanyard_disk::{Disk, SystemDisk, directory_of, replace};
use lanyard_engine::charters::Charters;
use lanyard_journal::Cursor;
use lanyard_records::Unread;
use lanyard_vocabulary::id::ApprovalId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::about::{charter_of, concerned, counted_agent, named, of_order, of_pause, owners};
use super::event_sources::EventSources;
use super::retries::{Answer, Tries, store_rejected};
use super::security_events::Receiver;
use crate::signed_message::{ID, SIGNATURE, Secret, TIMESTAMP};

/// The longest that one delivery may take.
///
/// # Limit
/// - for: one delivery of an event
/// - unit: time
/// - beyond: the delivery failed, and is tried again
/// - test: `a_delivery_without_an_answer_times_out_and_is_tried_again`
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// The most journal records that one read takes.
const RECORDS_PER_READ: u64 = 256;
/// A lane without events saves its position only after so many records. A save costs an fsync;
/// reading the records again after a restart costs less.
const RECORDS_BETWEEN_SAVES: u64 = 4096;

/// The wire format of a receiver's events.
#[derive(Debug)]
pub(crate) enum Form {
    /// Events of every kind, as signed JSON.
    Webhook(Secret),
    /// Only kill orders, as security event tokens.
    SecurityEvents(Receiver),
}

/// A queue of events that are delivered in order. Kill orders have a queue of their own, so that
/// they never wait for the delivery of other events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The queue of kill orders.
    Kills,
    /// The queue of every other event.
    Others,
}

impl Lane {
    fn carries(self, command: &Command) -> bool {
        matches!(command, Command::Kill(_)) == (self == Self::Kills)
    }
}

/// An event, ready to be sent.
struct Message {
    id: String,
    body: String,
}

/// A configured receiver of webhooks or of security events.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) url: Url,
    form: Form,
    /// The position file of [`Lane::Others`], or of a receiver's only lane. The kill lane's file
    /// has the suffix `.kills`, and `.rejected` holds the events that were given up.
    cursor: PathBuf,
    client: Client,
}

impl Webhook {
    pub(crate) fn new(name: String, url: Url, form: Form, data_dir: &Path) -> Result<Self> {
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(DELIVERY_TIMEOUT)
            .build()?;
        let folder = match form {
            Form::Webhook(_) => "webhooks",
            Form::SecurityEvents(_) => "caep",
        };
        let cursor = data_dir.join(folder).join(&name);
        Ok(Self {
            name,
            url,
            form,
            cursor,
            client,
        })
    }

    /// Returns the messages to send for a record. Most records yield none.
    async fn messages(
        &self,
        events: &EventSources,
        (index, record): (u64, &Record),
    ) -> Result<Vec<Message>, CommitError> {
        match &self.form {
            Form::Webhook(_) => {
                let charters = events.engine.charters();
                let within = concerned(&events.engine, &record.command);
                let known = (charters, within.as_slice());
                let event = events
                    .engine
                    .context()
                    .query(|state| event(state, known, record));
                let event = event.await?;
                let message = event.map(|event| Message {
                    id: format!("lanyard-{index}"),
                    body: event.to_string(),
                });
                Ok(message.into_iter().collect())
            }
            Form::SecurityEvents(receiver) => {
                let Command::Kill(order) = &record.command else {
                    return Ok(Vec::new());
                };
                if order.is_drill() {
                    return Ok(Vec::new());
                }
                let tokens = receiver.events(events, order).await?;
                let numbered = tokens.into_iter().enumerate();
                let messages = numbered.map(|(number, body)| Message {
                    id: format!("lanyard-{index}-{number}"),
                    body,
                });
                Ok(messages.collect())
            }
        }
    }

    /// Returns the lanes of this receiver.
    pub(crate) const fn lanes(&self) -> &'static [Lane] {
        match self.form {
            Form::Webhook(_) => &[Lane::Kills, Lane::Others],
            Form::SecurityEvents(_) => &[Lane::Kills],
        }
    }

    /// Returns the position file of a lane. A webhook has a separate one for kill orders; a
    /// receiver of security events has only the kill lane, and so one file.
    fn cursor(&self, lane: Lane) -> PathBuf {
        match (&self.form, lane) {
            (Form::Webhook(_), Lane::Kills) => self.suffixed("kills"),
            (Form::Webhook(_), Lane::Others) | (Form::SecurityEvents(_), _) => self.cursor.clone(),
        }
    }

    fn suffixed(&self, suffix: &str) -> PathBuf {
        let name = format!("{}.{suffix}", self.name);
        self.cursor.with_file_name(name)
    }

    /// Returns the index of the first record still to deliver. A new receiver starts at `end`, the
    /// end of the journal.
    async fn start(&self, lane: Lane, end: u64) -> Result<u64> {
        // Versions without a kill lane kept one position for all events.
        for cursor in [self.cursor(lane), self.cursor.clone()] {
            if let Some(position) = read_position(&SystemDisk, &cursor)? {
                return Ok(position);
            }
        }
        self.save(lane, end).await?;
        Ok(end)
    }

    async fn save(&self, lane: Lane, position: u64) -> Result<()> {
        let cursor = self.cursor(lane);
        // On a blocking thread, because the write is fsynced.
        let saved = move || save_position(&SystemDisk, &cursor, position);
        Ok(tokio::task::spawn_blocking(saved).await??)
    }

    /// Retries until the receiver accepts the message, or until the retries are used up; then the
    /// message goes to the file of rejected events. Returns true if the receiver accepted it.
    async fn deliver_or_give_up(&self, message: &Message, now: impl Fn() -> Timestamp) -> bool {
        let Message { id, body } = message;
        let mut tries = Tries::begin(now());
        loop {
            let Err(error) = self.deliver(id, now().as_secs(), body.clone()).await else {
                return true;
            };
            let answer = Answer::of(error.status());
            let Some(wait) = tries.again(answer, now()) else {
                let why = error.to_string();
                tracing::error!(
                    webhook = self.name,
                    id,
                    why,
                    "webhook delivery given up after retries"
                );
                let file = self.suffixed("rejected");
                match store_rejected(&file, (id, body), (&why, now())) {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::error!(webhook = self.name, id, file = %file.display(), "the file of rejected events is full: the event is dropped");
                    }
                    Err(error) => {
                        tracing::error!(webhook = self.name, id, %error, file = %file.display(), "cannot write the file of rejected events: the event is dropped");
                    }
                }
                return false;
            };
            tracing::warn!(webhook = self.name, id, %error, "webhook delivery failed, will be retried");
            tokio::time::sleep(wait).await;
        }
    }

    async fn deliver(&self, id: &str, at: u64, body: String) -> Result<(), reqwest::Error> {
        let request = self.client.post(self.url.clone());
        let request = match &self.form {
            Form::Webhook(secret) => {
                let signature = secret.sign(id, at, body.as_bytes());
                let request = request.header("content-type", "application/json");
                let request = request.header(ID, id).header(TIMESTAMP, at);
                request.header(SIGNATURE, signature)
            }
            Form::SecurityEvents(receiver) => receiver.headed(request),
        };
        // The URL may contain a secret, and these errors are logged.
        let answer = request.body(body).send().await;
        let answer = answer.map_err(reqwest::Error::without_url)?;
        answer
            .error_for_status()
            .map(drop)
            .map_err(reqwest::Error::without_url)
    }
}

/// The files with the positions of the lanes of all webhooks and receivers, each lane with the file
/// that it starts from without one of its own: see [`Webhook::start`].
pub(crate) fn positions(
    data_dir: &Path,
    webhooks: &[String],
    receivers: &[String],
) -> Vec<Vec<PathBuf>> {
    let hooks = webhooks.iter().flat_map(|name| {
        let of_all = data_dir.join("webhooks").join(name);
        let of_kills = of_all.with_file_name(format!("{name}.kills"));
        [vec![of_kills, of_all.clone()], vec![of_all]]
    });
    let receivers = receivers
        .iter()
        .map(|name| vec![data_dir.join("caep").join(name)]);
    hooks.chain(receivers).collect()
}

/// The first record that some lane has yet to read; `u64::MAX` for none. A lane without a position
/// starts at the journal's end, and needs nothing.
///
/// # Errors
/// When a position cannot be read: it may be any.
pub(crate) fn first_undelivered(lanes: &[Vec<PathBuf>]) -> io::Result<u64> {
    let mut first = u64::MAX;
    for lane in lanes {
        for cursor in lane {
            if let Some(position) = read_position(&SystemDisk, cursor)? {
                first = first.min(position);
                break;
            }
        }
    }
    Ok(first)
}

/// Delivers the events of one lane until `stop` is set.
pub(crate) async fn follow(
    webhook: Arc<Webhook>,
    lane: Lane,
    events: Arc<EventSources>,
    mut stop: watch::Receiver<bool>,
) {
    let delivered = async {
        if let Err(error) = deliver_all(&webhook, lane, &events).await {
            let error = format!("{error:#}");
            tracing::error!(
                webhook = webhook.name,
                ?lane,
                error,
                "webhook delivery stopped: no further event is sent before the broker restarts"
            );
        }
    };
    tokio::select! {
        () = delivered => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Reads a saved position; `None` if there is no file. A position that is not a number counts as 0:
/// the receiver gets all events again, with the same ids, and misses none.
fn read_position(disk: &dyn Disk, cursor: &Path) -> io::Result<Option<u64>> {
    match disk.read(cursor) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let position = text.trim().parse().ok();
            if position.is_none() {
                tracing::error!(cursor = %cursor.display(), "position file of a webhook is damaged: all events are delivered again, from record 0");
            }
            Ok(Some(position.unwrap_or(0)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn save_position(disk: &dyn Disk, cursor: &Path, position: u64) -> io::Result<()> {
    disk.create_directories(directory_of(cursor))?;
    replace(disk, cursor, position.to_string().as_bytes()).map(drop)
}

async fn deliver_all(webhook: &Webhook, lane: Lane, events: &EventSources) -> Result<()> {
    let mut position = webhook.start(lane, events.ledger.tree().0).await?;
    let mut saved = Saved {
        position,
        is_behind: false,
    };
    let mut cursor = events.ledger.records(position);
    while let Some(durable) = events.ledger.grown(cursor.index()).await {
        let until = durable.min(cursor.index() + RECORDS_PER_READ);
        let (back, records) = read(cursor, until).await?;
        cursor = back;
        for (index, record) in records {
            match record {
                Ok(record) if lane.carries(&record.command) => {
                    for message in webhook.messages(events, (index, &record)).await? {
                        let now = || events.engine.clock().now();
                        if !webhook.deliver_or_give_up(&message, now).await {
                            events.given_up.fetch_add(1, Ordering::Relaxed);
                        }
                        saved.is_behind = true;
                    }
                    if let Some(position) = saved.due(index + 1) {
                        webhook.save(lane, position).await?;
                    }
                }
                // Every receiver has a kill lane, so that one lane counts the record once.
                Err(why) if lane == Lane::Kills => {
                    tracing::error!(webhook = webhook.name, index, %why, "a record cannot be decoded: its event, if it has one, is not sent");
                    events.given_up.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_) | Err(_) => {}
            }
            position = index + 1;
        }
        if let Some(position) = saved.due(position) {
            webhook.save(lane, position).await?;
        }
    }
    Ok(())
}

/// The position of a lane as it was last saved.
struct Saved {
    position: u64,
    /// An event was delivered or given up since the last save.
    is_behind: bool,
}

impl Saved {
    /// Returns the position if it has to be saved now: an event was handled since the last save, or
    /// [`RECORDS_BETWEEN_SAVES`] records went by.
    const fn due(&mut self, position: u64) -> Option<u64> {
        let is_far = position.saturating_sub(self.position) >= RECORDS_BETWEEN_SAVES;
        if !self.is_behind && !is_far {
            return None;
        }
        self.is_behind = false;
        self.position = position;
        Some(position)
    }
}

/// A record's index in the journal, and the record if this version can decode it.
type Indexed = (u64, Result<Record, Unread>);

async fn read(mut cursor: Cursor, until: u64) -> Result<(Cursor, Vec<Indexed>)> {
    tokio::task::spawn_blocking(move || {
        let mut records = Vec::new();
        cursor.read(until, |entry| {
            records.push((entry.index, lanyard_records::decode(entry.record)));
        })?;
        Ok((cursor, records))
    })
    .await?
}

/// Returns the event of a record. Most records have none.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the listed commands are announced"
)]
pub(super) fn event(
    state: &State,
    (charters, within): (&Charters, &[Arc<Charter>]),
    record: &Record,
) -> Option<Value> {
    let (kind, mut data) = match &record.command {
        Command::SubmitPlan { plan, .. } => {
            let asked = plan.approval?;
            ("approval.requested", of_approval(state, asked))
        }
        Command::Approve {
            approval,
            operator,
            comment,
            ..
        } => {
            let said = (&operator.identity, "comment", comment.as_str());
            let mut data = answered(state, *approval, said);
            let unusual = unusual(state, charters, (*approval, operator, record.at));
            if !unusual.is_empty() {
                data.insert("unusual".to_owned(), json!(unusual));
            }
            ("approval.given", data)
        }
        Command::Reject {
            approval,
            operator,
            reason,
        } => {
            let said = (&operator.identity, "reason", reason.as_str());
            ("approval.denied", answered(state, *approval, said))
        }
        Command::Withdraw {
            approval,
            by,
            reason,
        } => {
            let said = (by, "reason", reason.as_str());
            ("approval.withdrawn", answered(state, *approval, said))
        }
        Command::Kill(order) if !order.is_drill() => {
            let mut data = object(&json!({
                "kill": order.id, "scope": order.scope.to_string(), "reason": order.reason, "by": order.by.to_string(),
                "evidence": numbers(&order.evidence),
                "show": format!("lanyard kill show {}", order.id),
            }));
            data.extend(of_order(state, order));
            ("kill.engaged", data)
        }
        Command::WithdrawKill { kill, by, reason } => (
            "kill.withdrawn",
            object(&json!({
                "kill": kill, "by": by.to_string(), "reason": reason,
                "show": format!("lanyard kill show {kill}"),
            })),
        ),
        Command::ProposeRearm(proposal) => ("rearm.proposed", of_rearm(state, proposal)),
        Command::ConfirmRearm {
            rearm, kill, by, ..
        } => (
            "rearm.confirmed",
            object(&json!({
                "rearm": rearm, "kill": kill, "by": by.to_string(),
                "show": format!("lanyard kill show {kill}"),
            })),
        ),
        Command::Pause(pause) => {
            let mut data = object(&json!({
                "pause": pause.id, "reach": pause.reach.to_string(), "reason": pause.reason, "by": pause.by.to_string(),
                "until": pause.until.map(|until| until.to_string()),
                "evidence": numbers(&pause.evidence),
                "show": format!("lanyard pause show {}", pause.id),
                "resume": format!("lanyard resume {} --reason …", pause.id),
            }));
            data.extend(of_pause(state, pause));
            ("pause.engaged", data)
        }
        Command::Alert(trip) => (
            "breaker.tripped",
            object(&json!({
                "charter": trip.charter, "reason": trip.reason(), "agent": counted_agent(&trip.of),
                "counted": trip.of.to_string(),
                "evidence": numbers(&trip.evidence),
            })),
        ),
        Command::DeclareEmergency(emergency) => (
            "emergency.declared",
            object(&json!({
                "charter": emergency.charter, "by": emergency.by.to_string(), "reason": emergency.reason,
                "until": emergency.until.to_string(),
            })),
        ),
        _ => return None,
    };
    let of_one = charter_of(state, &record.command, &data);
    let of_one = of_one.and_then(|name| owners(charters, &name));
    let of_only = || match within {
        [only] => owners(charters, &only.name),
        [] | [_, ..] => None,
    };
    if let Some(owners) = of_one.or_else(of_only) {
        data.insert("owners".to_owned(), owners);
    }
    if !within.is_empty() {
        data.insert("charters".to_owned(), named(within));
    }
    Some(json!({"type": kind, "timestamp": record.at.to_string(), "data": data}))
}

/// Describes a proposal for the person who may confirm it. The event carries no link to confirm,
/// because a re-arm can only be confirmed in Lanyard.
fn of_rearm(state: &State, proposal: &RearmProposal) -> serde_json::Map<String, Value> {
    let order = state.kills().get(proposal.kill);
    let scope = order.map(|engaged| engaged.order.scope.to_string());
    let role = match proposal.stage {
        RearmStage::Plan => "plan",
        RearmStage::Apply => "apply",
    };
    object(&json!({
        "rearm": proposal.id, "kill": proposal.kill, "scope": scope, "role": role, "by": proposal.by.to_string(),
        "reason": proposal.reason, "until": (proposal.at + REARM_PROPOSAL_LIFE).to_string(),
        "show": format!("lanyard rearm show {}", proposal.kill),
    }))
}

/// Returns the patterns that make an approval unusual, in the words of the metric.
fn unusual(
    state: &State,
    charters: &Charters,
    (id, by, at): (ApprovalId, &Operator, Timestamp),
) -> Vec<&'static str> {
    let task = || state.task(state.approval(id)?.task);
    let charter = task().and_then(|entry| charters.in_force(&entry.task.charter));
    let hours = charter.as_ref().and_then(|charter| charter.hours.as_ref());
    let patterns = state.unusual(id, (by, at), hours).into_iter();
    patterns.map(Unusual::as_str).collect()
}

/// Describes a request for approval with the answer to it. `word` names the field of the text.
fn answered(
    state: &State,
    id: ApprovalId,
    (by, word, text): (&Identity, &str, &str),
) -> serde_json::Map<String, Value> {
    let mut data = of_approval(state, id);
    data.insert("by".to_owned(), json!(by.to_string()));
    data.insert(word.to_owned(), json!(text));
    data
}

/// Returns the journal indexes of records, as `lanyard audit show` takes them.
fn numbers(records: &[Seq]) -> Vec<u64> {
    records.iter().map(|record| record.0).collect()
}

fn object(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Describes a request for its approvers. The event carries no link to approve, because approvals
/// are given in Lanyard only. If a late delivery finds that the request has left memory, the event
/// has its id only, and `ended`.
fn of_approval(state: &State, id: ApprovalId) -> serde_json::Map<String, Value> {
    let of_state = || {
        let approval: &Approval = state.approval(id)?;
        let (plan, task) = (state.plan(approval.plan)?, &state.task(approval.task)?.task);
        Some(described(approval, plan, task))
    };
    let described = of_state().unwrap_or_else(
        || json!({"approval": id, "ended": true, "show": format!("lanyard audit query {id}")}),
    );
    object(&described)
}

fn described(approval: &Approval, plan: &Plan, task: &Task) -> Value {
    let id = approval.id;
    json!({
        "approval": id,
        "plan": plan.id,
        "digest": approval.digest.to_string(),
        "charter": task.charter,
        "environment": task.environment,
        "agent": task.agent.to_string(),
        "task": task.id,
        "grant": plan.grant,
        "summary": plan.summary,
        "reason": task.reason,
        "ticket": task.ticket,
        "risk": plan.risk().to_string(),
        "people_given": approval.consents.len(),
        "people_needed": approval.requirement.people,
        "groups": approval.requirement.from,
        "complete": approval.is_complete(),
        "show": format!("lanyard approval show {id}"),
    })
}

#[cfg(test)]
mod tests {
    use lanyard_disk::Files;
    use lanyard_disk::simulated::SimulatedDisk;
    use lanyard_journal::merkle::Frontier;
    use lanyard_journal::{Journal, Options};
    use lanyard_vocabulary::id::TaskId;

    use super::*;

    fn webhook(folder: &Path) -> Webhook {
        webhook_at(folder, "https://chat.example/hook")
    }

    fn webhook_at(folder: &Path, url: &str) -> Webhook {
        // Fails if another test installed it first, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let secret = folder.join("secret");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, mode).unwrap();
        let form = Form::Webhook(Secret::load(&secret).unwrap());
        Webhook::new("chat".to_owned(), url.parse().unwrap(), form, folder).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_without_an_answer_times_out_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        // The system accepts the connection, and no program reads from it.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let webhook = webhook_at(folder.path(), &url);
        let delivered = webhook.deliver("lanyard-1", 0, "{}".to_owned());
        let longer = DELIVERY_TIMEOUT + Duration::from_millis(1);
        let timed_out = tokio::time::timeout(longer, delivered).await;
        let error = timed_out.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let now = Timestamp::EPOCH;
        assert!(
            Tries::begin(now)
                .again(Answer::of(error.status()), now)
                .is_some()
        );
    }

    #[tokio::test]
    async fn s13_kills_have_a_lane_and_a_position_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let webhook = webhook(folder.path());
        assert_eq!(webhook.lanes(), [Lane::Kills, Lane::Others]);
        let other = Command::CloseTask {
            task: TaskId::from_bits(1),
        };
        assert!(Lane::Others.carries(&other) && !Lane::Kills.carries(&other));
        // Without a position of its own, the kill lane starts at the common one.
        webhook.save(Lane::Others, 7).await.unwrap();
        assert_eq!(webhook.start(Lane::Kills, 100).await.unwrap(), 7);
        webhook.save(Lane::Kills, 50).await.unwrap();
        assert_eq!(webhook.start(Lane::Kills, 100).await.unwrap(), 50);
        assert_eq!(webhook.start(Lane::Others, 100).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_decoded_is_read_as_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Files = SimulatedDisk::shared();
        let (options, directory) = (Options::default(), folder.path());
        let opened = Journal::open(&disk, directory, options, Frontier::default(), |_, _| {});
        let known = lanyard_records::encode(&Record {
            at: Timestamp::EPOCH,
            command: Command::CloseTask {
                task: TaskId::from_bits(1),
            },
        });
        let (mut journal, _) = opened.unwrap();
        journal.append(&[known.clone(), vec![9], known]).unwrap();
        let (_, records) = read(Cursor::on(&disk, directory, 0), 3).await.unwrap();
        let decoded = records
            .iter()
            .map(|(index, record)| (*index, record.is_ok()));
        assert!(decoded.eq([(0, true), (1, false), (2, true)]));
    }

    #[tokio::test]
    async fn the_slowest_lane_of_any_receiver_holds_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let webhook = webhook(folder.path());
        let (hooks, receivers) = (["chat".to_owned()], ["idp".to_owned()]);
        let lanes = positions(folder.path(), &hooks, &receivers);
        assert_eq!(first_undelivered(&lanes).unwrap(), u64::MAX);
        webhook.save(Lane::Others, 70).await.unwrap();
        assert_eq!(first_undelivered(&lanes).unwrap(), 70);
        webhook.save(Lane::Others, 700).await.unwrap();
        webhook.save(Lane::Kills, 80).await.unwrap();
        assert_eq!(first_undelivered(&lanes).unwrap(), 80);
        let receiver = folder.path().join("caep/idp");
        save_position(&SystemDisk, &receiver, 9).unwrap();
        assert_eq!(first_undelivered(&lanes).unwrap(), 9);
        // Damaged, it may be any.
        std::fs::write(&receiver, "?").unwrap();
        assert_eq!(first_undelivered(&lanes).unwrap(), 0);
    }

    #[test]
    fn s28_a_position_is_saved_after_an_event_and_every_4096_records() {
        let mut saved = Saved {
            position: 10,
            is_behind: false,
        };
        let mut written = Vec::new();
        for position in (10..50_000).step_by(256) {
            written.extend(saved.due(position));
        }
        let saves = written.len() as u64;
        assert!(
            (50_000 / (RECORDS_BETWEEN_SAVES + 256)..=50_000 / RECORDS_BETWEEN_SAVES)
                .contains(&saves)
        );
        saved.is_behind = true;
        let last = saved.position + 1;
        assert_eq!(saved.due(last), Some(last));
        assert_eq!(saved.due(last + 1), None);
    }

    #[test]
    fn after_a_crash_a_position_is_the_old_or_the_new_one_and_a_damaged_one_is_0() {
        let (disk, cursor) = (SimulatedDisk::shared(), Path::new("/data/webhooks/chat"));
        save_position(disk.as_ref(), cursor, 98).unwrap();
        disk.record();
        save_position(disk.as_ref(), cursor, 1234).unwrap();
        for moment in 0..disk.moments() {
            for seed in 0..32 {
                let cut = disk.cut(moment, seed);
                let position = read_position(cut.as_ref(), cursor).unwrap();
                assert!(
                    matches!(position, Some(98 | 1234)),
                    "{moment}, {seed}: {position:?}"
                );
                save_position(cut.as_ref(), cursor, 1235).unwrap();
                assert_eq!(read_position(cut.as_ref(), cursor).unwrap(), Some(1235));
            }
        }
        for (text, position) in [
            ("", 0),
            ("1", 1),
            ("123", 123),
            ("1\u{0}4", 0),
            ("\u{0}\u{0}", 0),
        ] {
            disk.tamper(cursor, |bytes| *bytes = text.into());
            assert_eq!(
                read_position(disk.as_ref(), cursor).unwrap(),
                Some(position)
            );
        }
    }
}
