//! What is told to others as it happens: requests for approval and their answers, pauses, kill orders, emergencies.
//!
//! Each webhook follows the journal from where it was, so that a restart loses nothing and tells some of it twice.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use lanyard_core::approval::Approval;
use lanyard_core::command::{Command, Record};
use lanyard_core::id::ApprovalId;
use lanyard_core::identity::Identity;
use lanyard_core::kill::{REARM_PROPOSAL_LIFE, RearmProposal, RearmStage};
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Plan;
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_core::time::Timestamp;
use lanyard_disk::{Disk, SystemDisk, directory_of, replace};
use lanyard_engine::charters::Charters;
use lanyard_journal::Cursor;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::about::{charter_of, counted_agent, owners};
use super::retries::{Answer, Tries, put_aside};
use super::security_events::Receiver;
use super::{ID, SIGNATURE, Secret, TIMESTAMP};
use crate::wire::Broker;

/// How long one delivery may take.
///
/// # Limit
/// - for: an event that a receiver is told
/// - unit: time
/// - beyond: the event is told again later
/// - test: `a_receiver_that_does_not_answer_is_told_again_later`
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many records are read at once.
const RECORDS_PER_READ: u64 = 256;
/// How many records of which nothing was told are read before a lane keeps its place: to keep it is a synced write, and records
/// that are read again cost less.
const RECORDS_BETWEEN_PLACES: u64 = 4096;

/// In what form a receiver is told.
#[derive(Debug)]
pub(crate) enum Form {
    /// Everything that people may want to know, as a signed JSON document.
    Webhook(Secret),
    /// Kills alone, as security event tokens.
    SecurityEvents(Receiver),
}

/// What is told one after the other. Kills do not wait for anything else to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Kill orders.
    Kills,
    /// Everything else.
    Others,
}

impl Lane {
    fn carries(self, command: &Command) -> bool {
        matches!(command, Command::Kill(_)) == (self == Self::Kills)
    }
}

/// One thing to tell.
struct Message {
    id: String,
    body: String,
}

/// One receiver.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) url: Url,
    form: Form,
    /// Where its lanes are in the journal: this path, and further ones that begin like it.
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

    /// What is told of a record; of most nothing.
    async fn messages(
        &self,
        broker: &Broker,
        (index, record): (u64, &Record),
    ) -> Result<Vec<Message>, CommitError> {
        match &self.form {
            Form::Webhook(_) => {
                let charters = broker.engine.charters();
                let event = broker.engine.query(|state| event(state, charters, record));
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
                let tokens = receiver.events(broker, order).await?;
                let told = tokens.into_iter().enumerate();
                let messages = told.map(|(place, body)| Message {
                    id: format!("lanyard-{index}-{place}"),
                    body,
                });
                Ok(messages.collect())
            }
        }
    }

    /// The lanes that something is told in.
    pub(crate) const fn lanes(&self) -> &'static [Lane] {
        match self.form {
            Form::Webhook(_) => &[Lane::Kills, Lane::Others],
            Form::SecurityEvents(_) => &[Lane::Kills],
        }
    }

    /// Where a lane keeps its place. Of a webhook, kills have one of their own; receivers of security events are told of
    /// nothing else.
    fn cursor(&self, lane: Lane) -> PathBuf {
        match (&self.form, lane) {
            (Form::Webhook(_), Lane::Kills) => self.beside("kills"),
            (Form::Webhook(_), Lane::Others) | (Form::SecurityEvents(_), _) => self.cursor.clone(),
        }
    }

    fn beside(&self, what: &str) -> PathBuf {
        let name = format!("{}.{what}", self.name);
        self.cursor.with_file_name(name)
    }

    /// The first record that a lane was not told of. What came before there was a webhook is not told.
    async fn from(&self, lane: Lane, now: u64) -> Result<u64> {
        // Before kills had a lane, their place was that of all.
        for cursor in [self.cursor(lane), self.cursor.clone()] {
            if let Some(place) = place_at(&SystemDisk, &cursor)? {
                return Ok(place);
            }
        }
        self.keep(lane, now).await?;
        Ok(now)
    }

    async fn keep(&self, lane: Lane, place: u64) -> Result<()> {
        let cursor = self.cursor(lane);
        // Away from the threads that serve: every place is synced.
        let kept = tokio::task::spawn_blocking(move || keep_at(&SystemDisk, &cursor, place));
        Ok(kept.await??)
    }

    /// Delivers until the receiver took it, or until it is to be put aside; says whether it was taken.
    async fn tell(&self, message: &Message, now: impl Fn() -> Timestamp) -> bool {
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
                    "giving up on an event: its receiver did not take it"
                );
                let file = self.beside("rejected");
                match put_aside(&file, (id, body), (&why, now())) {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::error!(webhook = self.name, id, file = %file.display(), "the file of rejected events is full: the event is not kept");
                    }
                    Err(error) => {
                        tracing::error!(webhook = self.name, id, %error, file = %file.display(), "a rejected event cannot be kept");
                    }
                }
                return false;
            };
            tracing::warn!(webhook = self.name, id, %error, "an event was not taken: it is told again");
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
        // An address that a secret is part of is in no log.
        let answer = request.body(body).send().await;
        let answer = answer.map_err(reqwest::Error::without_url)?;
        answer
            .error_for_status()
            .map(drop)
            .map_err(reqwest::Error::without_url)
    }
}

/// Tells one webhook what happens, until told to stop.
pub(crate) async fn follow(
    webhook: Arc<Webhook>,
    lane: Lane,
    broker: Arc<Broker>,
    mut stop: watch::Receiver<bool>,
) {
    let told = async {
        if let Err(error) = tell_all(&webhook, lane, &broker).await {
            let error = format!("{error:#}");
            tracing::error!(webhook = webhook.name, ?lane, error, "nothing more is told");
        }
    };
    tokio::select! {
        () = told => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// The place in this file; none where there is no file. One that is no number any more is the first: what was told is told
/// again, under the same ids, and nothing is passed over.
fn place_at(disk: &dyn Disk, cursor: &Path) -> io::Result<Option<u64>> {
    match disk.read(cursor) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let place = text.trim().parse().ok();
            if place.is_none() {
                tracing::error!(cursor = %cursor.display(), "the place of a webhook cannot be read: everything is told again");
            }
            Ok(Some(place.unwrap_or(0)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn keep_at(disk: &dyn Disk, cursor: &Path, place: u64) -> io::Result<()> {
    disk.create_directories(directory_of(cursor))?;
    replace(disk, cursor, place.to_string().as_bytes()).map(drop)
}

async fn tell_all(webhook: &Webhook, lane: Lane, broker: &Broker) -> Result<()> {
    let mut place = webhook.from(lane, broker.ledger.tree().0).await?;
    let mut kept = Kept {
        place,
        is_told: false,
    };
    let mut cursor = broker.ledger.records(place);
    while let Some(durable) = broker.ledger.grown(cursor.index()).await {
        let until = durable.min(cursor.index() + RECORDS_PER_READ);
        let (back, records) = read(cursor, until).await?;
        cursor = back;
        for (index, record) in records {
            if lane.carries(&record.command) {
                let told = (index, &record);
                for message in webhook.messages(broker, told).await? {
                    if !webhook.tell(&message, || broker.engine.now()).await {
                        broker.given_up.fetch_add(1, Ordering::Relaxed);
                    }
                    kept.is_told = true;
                }
                if let Some(place) = kept.due(index + 1) {
                    webhook.keep(lane, place).await?;
                }
            }
            place = index + 1;
        }
        if let Some(place) = kept.due(place) {
            webhook.keep(lane, place).await?;
        }
    }
    Ok(())
}

/// The place of a lane that was written last.
struct Kept {
    place: u64,
    /// Whether something was told since.
    is_told: bool,
}

impl Kept {
    /// The place, where it is to be written: something was told before it, or a restart would read very many records again.
    const fn due(&mut self, place: u64) -> Option<u64> {
        let is_far = place.saturating_sub(self.place) >= RECORDS_BETWEEN_PLACES;
        if !self.is_told && !is_far {
            return None;
        }
        self.is_told = false;
        self.place = place;
        Some(place)
    }
}

async fn read(mut cursor: Cursor, until: u64) -> Result<(Cursor, Vec<(u64, Record)>)> {
    tokio::task::spawn_blocking(move || {
        let mut records = Vec::new();
        cursor.read(until, |entry| {
            // A record of a kind that this version does not tell of is none.
            if let Ok(record) = serde_json::from_slice::<Record>(entry.record) {
                records.push((entry.index, record));
            }
        })?;
        Ok((cursor, records))
    })
    .await?
}

/// What is told of a record; of most nothing.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is told"
)]
fn event(state: &State, charters: &Charters, record: &Record) -> Option<Value> {
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
            ("approval.given", answered(state, *approval, said))
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
        Command::Kill(order) if !order.is_drill() => (
            "kill.engaged",
            object(&json!({
                "kill": order.id, "scope": order.scope.to_string(), "reason": order.reason, "by": order.by.to_string(),
                "show": format!("lanyard kill show {}", order.id),
            })),
        ),
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
        Command::Pause(pause) => (
            "pause.engaged",
            object(&json!({
                "pause": pause.id, "reach": pause.reach.to_string(), "reason": pause.reason, "by": pause.by.to_string(),
                "until": pause.until.map(|until| until.to_string()),
                "resume": format!("lanyard resume {}", pause.id),
            })),
        ),
        Command::Alert(trip) => (
            "breaker.tripped",
            object(&json!({
                "charter": trip.charter, "reason": trip.reason(), "agent": counted_agent(&trip.of),
                "counted": trip.of.to_string(),
                "evidence": trip.evidence.iter().map(|record| record.0).collect::<Vec<_>>(),
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
    if let Some(owners) =
        charter_of(state, &record.command, &data).and_then(|name| owners(charters, &name))
    {
        data.insert("owners".to_owned(), owners);
    }
    Some(json!({"type": kind, "timestamp": record.at.to_string(), "data": data}))
}

/// What the second person wants to know before looking. A re-arm is confirmed in Lanyard alone.
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

/// A request, with what a person said to it.
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

fn object(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// What an approver wants to know before looking. A yes is given in Lanyard alone, so there is nothing here to give it with.
/// A receiver that was down is told late: of what has left memory since, the id is left.
fn of_approval(state: &State, id: ApprovalId) -> serde_json::Map<String, Value> {
    let of_state = || {
        let approval: &Approval = state.approval(id)?;
        let (plan, task) = (state.plan(approval.plan)?, &state.task(approval.task)?.task);
        Some(described(approval, plan, task))
    };
    let told = of_state().unwrap_or_else(
        || json!({"approval": id, "ended": true, "show": format!("lanyard audit query {id}")}),
    );
    object(&told)
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
    use lanyard_core::id::TaskId;
    use lanyard_disk::simulated::SimulatedDisk;

    use super::*;

    fn webhook(folder: &Path) -> Webhook {
        webhook_at(folder, "https://chat.example/hook")
    }

    fn webhook_at(folder: &Path, url: &str) -> Webhook {
        // Installed by another test before, it is there all the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let secret = folder.join("secret");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, mode).unwrap();
        let form = Form::Webhook(Secret::load(&secret).unwrap());
        Webhook::new("chat".to_owned(), url.parse().unwrap(), form, folder).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_does_not_answer_is_told_again_later() {
        let folder = tempfile::tempdir().unwrap();
        // The system takes the connection; nobody reads what comes over it.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let webhook = webhook_at(folder.path(), &url);
        let delivered = webhook.deliver("lanyard-1", 0, "{}".to_owned());
        let patience = DELIVERY_TIMEOUT + Duration::from_millis(1);
        let given_up = tokio::time::timeout(patience, delivered).await;
        let error = given_up.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let now = Timestamp::EPOCH;
        assert!(
            Tries::begin(now)
                .again(Answer::of(error.status()), now)
                .is_some()
        );
    }

    #[tokio::test]
    async fn s13_kills_have_a_lane_and_a_place_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let webhook = webhook(folder.path());
        assert_eq!(webhook.lanes(), [Lane::Kills, Lane::Others]);
        let other = Command::CloseTask {
            task: TaskId::from_bits(1),
        };
        assert!(Lane::Others.carries(&other) && !Lane::Kills.carries(&other));
        // Where kills were told with everything else before, they go on from there.
        webhook.keep(Lane::Others, 7).await.unwrap();
        assert_eq!(webhook.from(Lane::Kills, 100).await.unwrap(), 7);
        webhook.keep(Lane::Kills, 50).await.unwrap();
        assert_eq!(webhook.from(Lane::Kills, 100).await.unwrap(), 50);
        assert_eq!(webhook.from(Lane::Others, 100).await.unwrap(), 7);
    }

    #[test]
    fn s28_a_lane_writes_its_place_where_something_was_told_and_now_and_then_else() {
        let mut kept = Kept {
            place: 10,
            is_told: false,
        };
        let mut written = Vec::new();
        for place in (10..50_000).step_by(256) {
            written.extend(kept.due(place));
        }
        let written_places = written.len() as u64;
        assert!(
            (50_000 / (RECORDS_BETWEEN_PLACES + 256)..=50_000 / RECORDS_BETWEEN_PLACES)
                .contains(&written_places)
        );
        kept.is_told = true;
        let last = kept.place + 1;
        assert_eq!(kept.due(last), Some(last));
        assert_eq!(kept.due(last + 1), None);
    }

    #[test]
    fn a_crash_leaves_the_place_of_a_webhook_as_it_was_or_as_it_is_and_damage_passes_over_nothing()
    {
        let (disk, cursor) = (SimulatedDisk::shared(), Path::new("/data/webhooks/chat"));
        keep_at(disk.as_ref(), cursor, 98).unwrap();
        disk.record();
        keep_at(disk.as_ref(), cursor, 1234).unwrap();
        for moment in 0..disk.moments() {
            for seed in 0..32 {
                let cut = disk.cut(moment, seed);
                let place = place_at(cut.as_ref(), cursor).unwrap();
                assert!(
                    matches!(place, Some(98 | 1234)),
                    "{moment}, {seed}: {place:?}"
                );
                keep_at(cut.as_ref(), cursor, 1235).unwrap();
                assert_eq!(place_at(cut.as_ref(), cursor).unwrap(), Some(1235));
            }
        }
        for (text, place) in [
            ("", 0),
            ("1", 1),
            ("123", 123),
            ("1\u{0}4", 0),
            ("\u{0}\u{0}", 0),
        ] {
            disk.tamper(cursor, |bytes| *bytes = text.into());
            assert_eq!(place_at(disk.as_ref(), cursor).unwrap(), Some(place));
        }
    }
}
