//! The contact with the broker about one task: what it says is done at once, and how long it has been silent is known.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lanyard_proto::v1;

use super::{Shared, Stop};
use crate::error::ClientError;
use crate::moment::Moment;
use crate::random::share;
use crate::watches::TaskWatch;

/// The least and the longest time between two attempts to hear of the broker again.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];
/// How long a message is waited for where the broker does not say.
const NEXT: Duration = Duration::from_secs(15);

/// When the broker was last heard of, and what has been wrong since.
pub(crate) struct Contact {
    last: Moment,
    fault: Option<String>,
}

impl Contact {
    pub(crate) const fn new(now: Moment) -> Self {
        Self {
            last: now,
            fault: None,
        }
    }

    pub(crate) const fn silent_for(&self, now: Moment) -> Duration {
        now.since(self.last)
    }

    pub(crate) fn hear(&mut self, now: Moment) {
        *self = Self::new(now);
    }

    pub(crate) fn lose(&mut self, why: String) {
        self.fault = Some(why);
    }

    /// Why nothing is handed out.
    pub(crate) fn complaint(&self, now: Moment) -> String {
        let silent = self.silent_for(now).as_secs();
        let fault = self.fault.as_deref().unwrap_or("it does not answer");
        format!("it has not been heard of for {silent} s, so nothing is handed out: {fault}")
    }
}

/// Follows the task until it is closed.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut pause = AGAIN[0];
    let mut stops = Stops::default();
    loop {
        match shared.client.clone().watch_task(shared.id.clone()).await {
            Ok(messages) => {
                pause = AGAIN[0];
                if listen(&shared, messages, &mut stops).await {
                    return;
                }
            }
            // It is not ours, or no more: nothing of it is handed out.
            Err(ClientError::NotFound(_)) => {
                shared.end();
                shared.stop.send_replace(Some(Stop::Closed));
                return;
            }
            Err(error) => shared.lose(bare(&error)),
        }
        let jittered = pause.mul_f64(f64::midpoint(1.0, share()));
        // Whoever waits does not wait for the pause.
        drop(tokio::time::timeout(jittered, shared.wanted.notified()).await);
        pause = pause.saturating_mul(2).min(AGAIN[1]);
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

/// Takes messages until the connection ends; whether the task is over.
async fn listen(shared: &Shared, mut messages: TaskWatch, stops: &mut Stops) -> bool {
    let mut within = NEXT;
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
            Err(_) => {
                shared.lose("the connection is silent".to_owned());
                return false;
            }
        };
        within = message
            .next_within
            .and_then(|next| next.try_into().ok())
            .unwrap_or(NEXT);
        shared.told(&message);
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

/// What the messages about one task have told: news is news once.
#[derive(Debug, Default)]
pub struct Stops {
    known: Option<BTreeSet<String>>,
}

impl Stops {
    /// The stop that this message brings the news of, a kill before the task's end. An order that ended a lease before the first
    /// message, and does not hold the task now, is none.
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

/// Whether a kill order holds the whole task: every lease that the message knows is dead, listed or not.
pub(super) fn is_held(message: &v1::WatchTaskResponse) -> bool {
    let task = message.task.as_ref();
    task.is_some_and(|task| message.orders.iter().any(|order| reaches(order, task)))
}

fn is_closed(message: &v1::WatchTaskResponse) -> bool {
    message.task.as_ref().is_none_or(|task| task.closed)
}

/// Whether the order holds the whole task now, as far as the task itself says.
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
    fn a_kill_is_news_once_and_an_old_one_is_none() {
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
    fn an_order_over_the_whole_task_is_news_from_the_beginning() {
        let all = ("K-3", v1::scope::Kind::All(true));
        assert!(Stops::default().news(&message(&[all])).is_some());
    }

    #[test]
    fn silence_is_explained() {
        let mut contact = Contact::new(Moment::at(0));
        contact.lose("connection refused".into());
        let line = contact.complaint(Moment::at(31_000));
        let whole =
            "it has not been heard of for 31 s, so nothing is handed out: connection refused";
        assert_eq!(line, whole);
        contact.hear(Moment::at(31_000));
        assert_eq!(
            contact.silent_for(Moment::at(32_000)),
            Duration::from_secs(1)
        );
    }
}
