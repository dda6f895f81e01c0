//! A task, and its credentials: cached while valid, renewed in time, and dropped when the broker
//! ends them.
//!
//! ```no_run
//! # async fn demo() -> Result<(), lanyard_client::ClientError> {
//! use lanyard_client::{Client, v1};
//! let client = Client::connect("contexts/agent.json".as_ref()).await?;
//! let asked = v1::OpenTaskRequest { charter: "ticket-router".into(), ..Default::default() };
//! let task = client.begin(asked).await?;
//! let held = task.credential("read-tickets", None).await?;
//! println!("{} is good for {:?}", held.lease_id, held.lifetime());
//! task.close().await?;
//! # Ok(()) }
//! ```

mod cached;
mod contact;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanyard_proto::v1;
use tokio::sync::{Mutex as Turn, Notify, watch};
use tokio::task::JoinHandle;

use crate::calls::Client;
use crate::error::{BrokerRefusal, ClientError};
use crate::monotonic::MonotonicTime;
use crate::random::share;
pub use cached::Held;
use cached::{Backoff, Usability};
use contact::Contact;
pub use contact::Stops;

/// The time for which a caller waits until the broker is in contact again, or until the broker
/// notices the end of a lease.
const CONTACT_WAIT: Duration = Duration::from_secs(2);
/// The number of slots from which empty slots are removed.
const SLOTS_BEFORE_SWEEP: usize = 100;
/// Pause between two attempts while another lease of the same approval ends.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The end of a task, or of some of its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A kill order reached the task.
    Killed {
        /// Id of the kill order, for `lanyard kill show`.
        kill_id: String,
        /// Order and reason, as one line for people.
        line: String,
    },
    /// The task was closed or expired.
    Closed,
}

/// A task of the caller. Clones share its credentials.
#[derive(Clone)]
pub struct Task {
    shared: Arc<Shared>,
    /// Stops the watch when the last clone is dropped.
    watcher: Arc<Watcher>,
}

struct Watcher(JoinHandle<()>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The grant of a credential, and its plan, if any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    grant: String,
    plan: Option<String>,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) id: String,
    slots: Mutex<BTreeMap<Need, Arc<Slot>>>,
    contact: Mutex<Contact>,
    last_message: Mutex<LastMessage>,
    /// Counts messages and changes of the task, to wake callers that wait.
    pub(crate) heard: watch::Sender<u64>,
    /// Wakes the watch from its pause, because a caller waits for the broker.
    pub(crate) wanted: Notify,
    pub(crate) stop: watch::Sender<Option<Stop>>,
}

/// The broker's last message about the task's leases. Messages and the answer to a mint come over
/// two connections, so a message that was put together before a lease began can arrive after the
/// lease is cached.
#[derive(Default)]
struct LastMessage {
    live: BTreeSet<String>,
    /// The first journal record that the last message does not know. `None` before the first
    /// message.
    next_record: Option<u64>,
    /// The task is closed, or this client is closing it: none of its credentials may be cached.
    over: bool,
}

impl LastMessage {
    /// Returns true if the broker has said that the lease has ended.
    fn has_ended(&self, lease: &Held) -> bool {
        // A broker that sends 0 does not say what its message knows. The message counts at once,
        // which may end a lease too early but never too late.
        let knows = |next: u64| next == 0 || next > lease.record;
        let is_known = self.next_record.is_some_and(knows);
        self.over || (is_known && !self.live.contains(&lease.lease_id))
    }
}

/// The cache entry of one grant and plan.
#[derive(Default)]
struct Slot {
    held: Mutex<Option<Arc<Held>>>,
    backoff: Mutex<Backoff>,
    /// Backoff of renewals in the background. Kept apart from `backoff`, so that their failures
    /// delay no caller.
    background: Mutex<Backoff>,
    /// Held during a request to the broker, so that concurrent callers cause one request.
    turn: Turn<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every statement leaves the value consistent, so a poisoned lock is safe to use.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Opens a task whose credentials the returned value caches.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn begin(&self, asked: v1::OpenTaskRequest) -> Result<Task, ClientError> {
        let opened = self.clone().open_task(asked).await?;
        let task = opened.task.unwrap_or_default();
        Ok(self.task(task.id))
    }

    /// Attaches to an open task. Whether the task exists shows when a credential is requested.
    #[must_use]
    pub fn task(&self, id: String) -> Task {
        let shared = Arc::new(Shared {
            client: self.clone(),
            id,
            slots: Mutex::default(),
            contact: Mutex::new(Contact::new(MonotonicTime::now())),
            last_message: Mutex::default(),
            heard: watch::channel(0).0,
            wanted: Notify::new(),
            stop: watch::channel(None).0,
        });
        let watcher = Watcher(tokio::spawn(contact::follow(Arc::clone(&shared))));
        Task {
            shared,
            watcher: Arc::new(watcher),
        }
    }
}

impl Task {
    /// Returns the broker's id of the task.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Returns a credential of `grant`: the cached one while it is valid, else a new one.
    /// Concurrent callers cause one request. After 20 seconds of silence of the broker, or the time
    /// set with [`Client::fresh_for`], the task hands out no credential.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn credential(
        &self,
        grant: &str,
        plan: Option<&str>,
    ) -> Result<Arc<Held>, ClientError> {
        let need = Need {
            grant: grant.to_owned(),
            plan: plan.map(str::to_owned),
        };
        let slot = self.shared.slot(need.clone());
        if let Some((held, usability @ (Usability::Good | Usability::Aging))) = slot.at_hand() {
            self.shared.in_contact().await?;
            // While this call waited, a message may have ended the credential.
            let still = slot.at_hand();
            if still.is_some_and(|(still, _)| Arc::ptr_eq(&still, &held)) {
                if usability == Usability::Aging {
                    self.renew_beside(slot, need);
                }
                return Ok(held);
            }
        }
        let _turn = slot.turn.lock().await;
        // The previous holder of the turn may have renewed it.
        match slot.at_hand() {
            Some((held, Usability::Good | Usability::Aging)) => Ok(held),
            Some((held, Usability::Spent)) => match self.shared.renew(&slot, &need).await {
                // An approval allows one lease at a time, so the old credential is used to its end.
                Err(ClientError::ApprovalPending(said)) if is_busy(&said) => {
                    if held.ends > MonotonicTime::now() {
                        return Ok(held);
                    }
                    self.shared.renew_after(&slot, &need).await
                }
                renewed => renewed,
            },
            None => self.shared.renew_after(&slot, &need).await,
        }
    }

    /// Requests the next credential in the background while the cached one is still handed out.
    /// Failure is harmless.
    fn renew_beside(&self, slot: Arc<Slot>, need: Need) {
        let task = self.clone();
        tokio::spawn(async move {
            let Ok(_turn) = slot.turn.try_lock() else {
                return;
            };
            let waits = locked(&slot.background)
                .pause(MonotonicTime::now())
                .is_some();
            let aging = slot
                .at_hand()
                .is_some_and(|(_, usability)| usability == Usability::Aging);
            if aging && !waits {
                // Not reported: a caller learns of the error once the cached credential is spent.
                match task.shared.renew(&slot, &need).await {
                    Ok(_) => locked(&slot.background).succeeded(),
                    Err(error) => {
                        let why = error.to_string();
                        locked(&slot.background).failed(MonotonicTime::now(), share(), &why);
                    }
                }
            }
        });
    }

    /// Returns the stream of stops. The value is `None` until the first.
    #[must_use]
    pub fn stops(&self) -> watch::Receiver<Option<Stop>> {
        self.shared.stop.subscribe()
    }

    /// Returns how long ago the broker's last message about the task arrived.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        locked(&self.shared.contact).silent_for(MonotonicTime::now())
    }

    /// Lists the cached credentials with their grants.
    #[must_use]
    pub fn held(&self) -> Vec<(String, Arc<Held>)> {
        let slots = locked(&self.shared.slots);
        let held = slots.iter().filter_map(|(need, slot)| {
            let (held, _) = slot.at_hand()?;
            Some((need.grant.clone(), held))
        });
        held.collect()
    }

    /// Returns true if the task is open. Waits for a message if the broker has been silent.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no message arrives in time.
    pub async fn is_open(&self) -> Result<bool, ClientError> {
        self.shared.in_contact().await?;
        Ok(!self.is_over())
    }

    /// True once the broker reported the task as closed or unknown.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.watcher.0.is_finished()
    }

    /// Releases all cached credentials and returns the ids of their leases.
    ///
    /// # Errors
    /// See [`ClientError`]. A credential that cannot be released leaves the cache all the same, and
    /// its lease expires.
    pub async fn release(&self) -> Result<Vec<String>, ClientError> {
        let slots: Vec<_> = locked(&self.shared.slots).values().cloned().collect();
        let mut ids = Vec::new();
        for slot in slots {
            // Waiting for the turn includes a credential that is being requested right now.
            let _turn = slot.turn.lock().await;
            let held = locked(&slot.held).take();
            ids.extend(held.map(|held| held.lease_id.clone()));
        }
        let mut client = self.shared.client.clone();
        let mut released = Ok(());
        for id in &ids {
            let request = v1::ReleaseLeaseRequest { id: id.clone() };
            released = released.and(client.release_lease(request).await.map(drop));
        }
        released.map(|()| ids)
    }

    /// Empties the cache, and closes the task with all its leases at the broker.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn close(&self) -> Result<(), ClientError> {
        self.forget();
        let id = self.shared.id.clone();
        let request = v1::CloseTaskRequest { id };
        self.shared.client.clone().close_task(request).await?;
        Ok(())
    }

    /// Stops handing out credentials, without a call to the broker. For a task that is being
    /// closed.
    pub fn forget(&self) {
        self.shared.end();
    }
}

impl Slot {
    fn at_hand(&self) -> Option<(Arc<Held>, Usability)> {
        let (mut held, now) = (locked(&self.held), MonotonicTime::now());
        if held.as_ref()?.ends <= now {
            *held = None;
        }
        let held = held.as_ref()?;
        Some((Arc::clone(held), held.usability(now)))
    }
}

/// True if the approval is valid, and another lease under it is still alive.
fn is_busy(said: &BrokerRefusal) -> bool {
    said.facts.contains_key("busy_lease_id")
}

impl Shared {
    fn slot(&self, need: Need) -> Arc<Slot> {
        let mut slots = locked(&self.slots);
        if slots.len() >= SLOTS_BEFORE_SWEEP {
            // Slots without waiting callers and without a credential can be created again at no
            // cost.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.at_hand().is_some());
        }
        Arc::clone(slots.entry(need).or_default())
    }

    /// Requests a credential from the broker. The caller holds the slot's turn.
    async fn renew(&self, slot: &Slot, need: &Need) -> Result<Arc<Held>, ClientError> {
        {
            let backoff = locked(&slot.backoff);
            if let Some(pause) = backoff.pause(MonotonicTime::now()) {
                let (why, pause) = (backoff.why(), pause.as_secs_f64().ceil());
                let line = format!("{why}; next attempt in {pause:.0} s");
                return Err(ClientError::Unavailable(line));
            }
        }
        let request = v1::IssueCredentialRequest {
            task_id: self.id.clone(),
            grant: need.grant.clone(),
            plan_id: need.plan.clone().unwrap_or_default(),
            ..Default::default()
        };
        let asked = MonotonicTime::now();
        let answer = self.client.clone().issue_credential(request).await;
        let issued = match answer {
            Ok(issued) => issued,
            Err(error) => {
                if let ClientError::Unavailable(why) = &error {
                    locked(&slot.backoff).failed(MonotonicTime::now(), share(), why);
                }
                return Err(error);
            }
        };
        locked(&slot.backoff).succeeded();
        // The lifetime starts at the broker's answer. Counting from the request errs on the early
        // side.
        let held = Held::new(issued, asked, share()).ok_or_else(|| {
            ClientError::refused("the broker's answer has no credential or no lifetime")
        })?;
        let held = Arc::new(held);
        if !self.keep(slot, &held) {
            let request = v1::ReleaseLeaseRequest {
                id: held.lease_id.clone(),
            };
            // If this fails, the lease expires unused: no caller was given the credential.
            drop(self.client.clone().release_lease(request).await);
            let line = format!("task `{}` ended while its credential was issued", self.id);
            return Err(ClientError::refused(line));
        }
        self.hear();
        Ok(held)
    }

    /// Caches a credential unless its lease has ended meanwhile, and returns whether it did. The
    /// lock of the last message is held until the credential is in its slot, so that a message that
    /// ends the lease finds it there.
    fn keep(&self, slot: &Slot, lease: &Arc<Held>) -> bool {
        let last = locked(&self.last_message);
        let lives = !last.has_ended(lease);
        if lives {
            *locked(&slot.held) = Some(Arc::clone(lease));
        }
        lives
    }

    /// Requests a credential right after the previous lease ended. The broker may see that end a
    /// moment later, so a busy approval is retried for a short time.
    async fn renew_after(&self, slot: &Slot, need: &Need) -> Result<Arc<Held>, ClientError> {
        let until = MonotonicTime::now().after(CONTACT_WAIT);
        loop {
            match self.renew(slot, need).await {
                Err(ClientError::ApprovalPending(said))
                    if is_busy(&said) && MonotonicTime::now() < until =>
                {
                    tokio::time::sleep(BUSY_RETRY_INTERVAL).await;
                }
                renewed => return renewed,
            }
        }
    }

    /// Waits briefly for a message of the broker if the contact is no longer fresh.
    async fn in_contact(&self) -> Result<(), ClientError> {
        let mut heard = self.heard.subscribe();
        if self.is_fresh() {
            return Ok(());
        }
        self.wanted.notify_one();
        let waited = tokio::time::timeout(CONTACT_WAIT, async {
            while !self.is_fresh() && heard.changed().await.is_ok() {}
        });
        // The check below sees whether a message came in time.
        drop(waited.await);
        if self.is_fresh() {
            return Ok(());
        }
        let complaint = locked(&self.contact).complaint(MonotonicTime::now());
        Err(ClientError::Unavailable(complaint))
    }

    fn is_fresh(&self) -> bool {
        locked(&self.contact).silent_for(MonotonicTime::now()) < self.client.fresh()
    }

    pub(crate) fn hear(&self) {
        locked(&self.contact).hear(MonotonicTime::now());
        self.heard
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn lose(&self, why: String) {
        locked(&self.contact).lose(why);
    }

    /// Applies a message: drops each cached lease that the message knows and does not list.
    pub(crate) fn apply_message(&self, message: &v1::WatchTaskResponse) {
        let mut last = locked(&self.last_message);
        last.live = match contact::is_held(message) {
            // The order arrives at once, and the end of each lease that it ends a moment later.
            true => BTreeSet::new(),
            false => message.live_lease_ids.iter().cloned().collect(),
        };
        last.next_record = Some(message.next_record);
        self.drop_ended(&last);
    }

    /// Empties the cache and keeps it empty.
    pub(crate) fn end(&self) {
        let mut last = locked(&self.last_message);
        last.over = true;
        self.drop_ended(&last);
        drop(last);
        self.heard
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Drops the cached leases that `last` says have ended.
    fn drop_ended(&self, last: &LastMessage) {
        for slot in locked(&self.slots).values() {
            let mut held = locked(&slot.held);
            if held.as_ref().is_some_and(|held| last.has_ended(held)) {
                *held = None;
            }
        }
    }
}
