//! Contact with the broker about one task: applies what the watch reports, and measures how long
//! the broker has been silent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lanyard_proto::v1;

use super::{Shared, Stop};
use crate::error::ClientError;
use crate::monotonic::MonotonicTime;
use crate::random::share;
use crate::watches::TaskWatch;

/// Shortest and longest pause between two attempts to open the watch again.
const REWATCH_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];
/// Longest silence of the watch if the broker announces no interval.
const DEFAULT_MESSAGE_INTERVAL: Duration = Duration::from_secs(15);

/// The arrival of the broker's last message, and the error since.
pub(crate) struct Contact {
    last: MonotonicTime,
    fault: Option<String>,
}

impl Contact {
    pub(crate) const fn new(now: MonotonicTime) -> Self {
        Self {
            last: now,
            fault: None,
        }
    }

    pub(crate) const fn silent_for(&self, now: MonotonicTime) -> Duration {
        now.since(self.last)
    }

    pub(crate) fn hear(&mut self, now: MonotonicTime) {
        *self = Self::new(now);
    }

    pub(crate) fn lose(&mut self, why: String) {
        self.fault = Some(why);
    }

    /// Says why no credential is handed out.
    pub(crate) fn complaint(&self, now: MonotonicTime) -> String {
        let silent = self.silent_for(now).as_secs();
        let fault = self
            .fault
            .as_deref()
            .unwrap_or("the broker does not answer");
        format!("no message arrived for {silent} s, so no credential is handed out: {fault}")
    }
}

/// Watches the task until it is closed, and opens the watch again after errors.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut pause = REWATCH_PAUSES[0];
    let mut stops = Stops::default();
    loop {
        match shared.client.clone().watch_task(shared.id.clone()).await {
            Ok(messages) => {
                pause = REWATCH_PAUSES[0];
                if listen(&shared, messages, &mut stops).await {
                    return;
                }
            }
            // The task belongs to somebody else or is gone, so none of its credentials is handed
            // out.
            Err(ClientError::NotFound(_)) => {
                shared.end();
                shared.stop.send_replace(Some(Stop::Closed));
                return;
            }
            Err(error) => shared.lose(bare(&error)),
        }
        let jittered = pause.mul_f64(f64::midpoint(1.0, share()));
        // A caller that waits for a credential cuts the pause short.
        drop(tokio::time::timeout(jittered, shared.wanted.notified()).await);
        pause = pause.saturating_mul(2).min(REWATCH_PAUSES[1]);
    }
}

fn bare(error: &ClientError) -> String {
    match error {
        ClientError::Unavailable(why) => why.clone(),
        ClientError::Denied(_)
        | ClientError::ApprovalPending(_)
        | ClientError::Killed(_)
        | ClientError::RefusedForNow(_)
        | ClientError::NotLoggedIn(_)
        | ClientError::FreshLogin(_)
        | ClientError::NotFound(_)
        | ClientError::Refused(_)
        | ClientError::Context(_) => error.to_string(),
    }
}

/// Applies messages until the connection ends. Returns true if the task is closed.
async fn listen(shared: &Shared, mut messages: TaskWatch, stops: &mut Stops) -> bool {
    let mut within = DEFAULT_MESSAGE_INTERVAL;
    loop {
        let message = match tokio::time::timeout(within, messages.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => {
                shared.lose("the connection ended".to_owned());
                return false;
            }
            Ok(Err(status)) => {
                shared.lose(bare(&status.into()));
                return false;
            }
            // A frozen connection would otherwise look like a task without news, and kills would go
            // unseen.
            Err(_) => {
                shared.lose("the connection is silent".to_owned());
                return false;
            }
        };
        within = message
            .next_within
            .and_then(|next| next.try_into().ok())
            .unwrap_or(DEFAULT_MESSAGE_INTERVAL);
        shared.apply_message(&message);
        // After `apply_message`: whoever waits for news must find the leases of this message
        // applied.
        shared.hear();
        match stops.news(&message) {
            Some(Stop::Closed) if shared.stop.borrow().is_some() => {}
            Some(news) => drop(shared.stop.send_replace(Some(news))),
            None => {}
        }
        if is_closed(&message) {
            shared.end();
            return true;
        }
    }
}

/// Records which kill orders of a task were reported, so that each is reported once.
#[derive(Debug, Default)]
pub struct Stops {
    known: Option<BTreeSet<String>>,
}

impl Stops {
    /// Returns the stop that this message adds; a kill takes precedence over the end of the task.
    /// An order that ended a lease before the first message and does not hold the task now is not
    /// reported.
    pub fn news(&mut self, message: &v1::WatchTaskResponse) -> Option<Stop> {
        let first = self.known.is_none();
        let known = self.known.get_or_insert_default();
        let mut kill = None;
        for order in &message.orders {
            let new = known.insert(order.id.clone());
            let holds = || {
                message
                    .task
                    .as_ref()
                    .is_some_and(|task| reaches(order, task))
            };
            if new && kill.is_none() && (!first || holds()) {
                let line = format!(
                    "stopped by kill order {}: {}",
                    order.id,
                    order.reason.escape_debug()
                );
                let kill_id = order.id.clone();
                kill = Some(Stop::Killed { kill_id, line });
            }
        }
        kill.or_else(|| is_closed(message).then_some(Stop::Closed))
    }
}

/// Returns true if a kill order holds the whole task: then every lease that the message covers is
/// dead, listed or not.
pub(super) fn is_held(message: &v1::WatchTaskResponse) -> bool {
    let task = message.task.as_ref();
    task.is_some_and(|task| message.orders.iter().any(|order| reaches(order, task)))
}

fn is_closed(message: &v1::WatchTaskResponse) -> bool {
    message.task.as_ref().is_none_or(|task| task.closed)
}

/// True if the order holds the whole task now. Only the order's scope and the task's own fields are
/// compared.
fn reaches(order: &v1::KillOrder, task: &v1::Task) -> bool {
    use v1::scope::Kind;
    let kind = order.scope.as_ref().and_then(|scope| scope.kind.as_ref());
    let covers = match kind {
        Some(Kind::All(_)) => true,
        Some(Kind::Environment(name)) => *name == task.environment,
        Some(Kind::Charter(name)) => *name == task.charter,
        Some(Kind::Agent(name)) => *name == task.agent,
        Some(Kind::TaskId(id)) => *id == task.id || task.parent_task_ids.contains(id),
        Some(Kind::Target(_) | Kind::LeaseId(_)) | None => false,
    };
    covers && order.lifted == "nothing"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(orders: &[(&str, v1::scope::Kind)]) -> v1::WatchTaskResponse {
        let order = |(id, kind): &(&str, v1::scope::Kind)| v1::KillOrder {
            id: (*id).to_owned(),
            scope: Some(v1::Scope {
                kind: Some(kind.clone()),
            }),
            reason: "it\nruns wild".into(),
            lifted: "nothing".into(),
            ..Default::default()
        };
        v1::WatchTaskResponse {
            task: Some(v1::Task {
                id: "T-1".into(),
                ..Default::default()
            }),
            orders: orders.iter().map(order).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_kill_is_reported_once_and_an_old_one_never() {
        use v1::scope::Kind;
        let old = ("K-1", Kind::LeaseId("L-1".into()));
        let new = ("K-2", Kind::Target("tickets".into()));
        let mut stops = Stops::default();
        assert_eq!(stops.news(&message(std::slice::from_ref(&old))), None);
        let told = stops.news(&message(&[new.clone(), old.clone()]));
        let line = "stopped by kill order K-2: it\\nruns wild".to_owned();
        let kill_id = "K-2".to_owned();
        assert_eq!(told, Some(Stop::Killed { kill_id, line }));
        assert_eq!(stops.news(&message(&[new, old])), None);
    }

    #[test]
    fn an_order_over_the_whole_task_is_reported_at_once() {
        let all = ("K-3", v1::scope::Kind::All(true));
        assert!(Stops::default().news(&message(&[all])).is_some());
    }

    #[test]
    fn silence_is_explained() {
        let mut contact = Contact::new(MonotonicTime::at(0));
        contact.lose("connection refused".into());
        let line = contact.complaint(MonotonicTime::at(31_000));
        let whole =
            "no message arrived for 31 s, so no credential is handed out: connection refused";
        assert_eq!(line, whole);
        contact.hear(MonotonicTime::at(31_000));
        assert_eq!(
            contact.silent_for(MonotonicTime::at(32_000)),
            Duration::from_secs(1)
        );
    }
}
