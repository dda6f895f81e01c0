//! A task, and the credentials under it: kept while they are good, renewed in good time, dropped when the broker says so.
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

mod contact;
mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanyard_proto::v1;
use tokio::sync::{Mutex as Turn, Notify, watch};
use tokio::task::JoinHandle;

use crate::calls::Client;
use crate::error::{ClientError, Said};
use crate::moment::Moment;
use crate::random::share;
use contact::Contact;
pub use contact::Stops;
pub use kept::Held;
use kept::{Backoff, Worth};

/// How long somebody who asks waits for the broker to be heard of again.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most places that hold nothing.
const SLOTS: usize = 100;
/// How long until it is asked again whether a lease has ended.
const BUSY: Duration = Duration::from_millis(100);

/// What ended a task, or credentials of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A kill order that reaches the task.
    Killed {
        /// The kill order, as `lanyard kill show` takes it.
        kill_id: String,
        /// The order, its scope and its reason, in a line for people.
        line: String,
    },
    /// It was closed, or its time was up.
    Closed,
}

/// A task of the caller's. Clones are the same.
#[derive(Clone)]
pub struct Task {
    shared: Arc<Shared>,
    /// Ends with the last clone.
    watcher: Arc<Watcher>,
}

struct Watcher(JoinHandle<()>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is asked for: a grant, and the plan that goes with it.
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
    told: Mutex<Told>,
    /// Counts what is heard.
    pub(crate) heard: watch::Sender<u64>,
    /// Somebody waits for the broker to be heard of.
    pub(crate) wanted: Notify,
    pub(crate) stop: watch::Sender<Option<Stop>>,
}

/// What the broker has told of the task's leases. A message and the answer to a mint come by two ways, so that a message which
/// was put together before the lease began can arrive after the lease is kept.
#[derive(Default)]
struct Told {
    live: BTreeSet<String>,
    /// The first record of the journal that the last message does not know; nothing was told yet where it is absent.
    next_record: Option<u64>,
    /// The task is closed, or is being closed here: nothing more is kept of it.
    over: bool,
}

impl Told {
    /// Whether the broker has said that the lease has ended.
    fn has_ended(&self, lease: &Held) -> bool {
        // A broker that does not say what a message knows is believed at once: that ends a lease too early, and none too late.
        let knows = |next: u64| next == 0 || next > lease.record;
        let is_known = self.next_record.is_some_and(knows);
        self.over || (is_known && !self.live.contains(&lease.lease_id))
    }
}

/// The place of one credential.
#[derive(Default)]
struct Slot {
    held: Mutex<Option<Arc<Held>>>,
    backoff: Mutex<Backoff>,
    /// Of attempts that nobody waits for, whatever they failed of.
    beside: Mutex<Backoff>,
    /// Whose turn it is to ask the broker: one at a time.
    turn: Turn<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is whole after every statement: a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Opens a task, and keeps credentials under it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn begin(&self, asked: v1::OpenTaskRequest) -> Result<Task, ClientError> {
        let opened = self.clone().open_task(asked).await?;
        let task = opened.task.unwrap_or_default();
        Ok(self.task(task.id))
    }

    /// A task that is open already. Whether it is, is seen when a credential is asked for.
    #[must_use]
    pub fn task(&self, id: String) -> Task {
        let shared = Arc::new(Shared {
            client: self.clone(),
            id,
            slots: Mutex::default(),
            contact: Mutex::new(Contact::new(Moment::now())),
            told: Mutex::default(),
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
    /// The task, as the broker names it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// A credential under this grant: the one at hand while it is good, else another. Any number may ask at once: the broker is
    /// asked once. After 20 seconds without a word of the broker, or as long as [`Client::fresh_for`] says, nothing is handed out.
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
        if let Some((held, worth @ (Worth::Good | Worth::Aging))) = slot.at_hand() {
            self.shared.in_contact().await?;
            // The wait may have brought the news of its end.
            let still = slot.at_hand();
            if still.is_some_and(|(still, _)| Arc::ptr_eq(&still, &held)) {
                if worth == Worth::Aging {
                    self.renew_beside(slot, need);
                }
                return Ok(held);
            }
        }
        let _turn = slot.turn.lock().await;
        // Whoever had the turn before may have brought it.
        match slot.at_hand() {
            Some((held, Worth::Good | Worth::Aging)) => Ok(held),
            Some((held, Worth::Spent)) => match self.shared.renew(&slot, &need).await {
                // An approval carries one lease at a time: this one, to its end.
                Err(ClientError::ApprovalPending(said)) if is_busy(&said) => {
                    if held.ends > Moment::now() {
                        return Ok(held);
                    }
                    self.shared.renew_after(&slot, &need).await
                }
                renewed => renewed,
            },
            None => self.shared.renew_after(&slot, &need).await,
        }
    }

    /// Asks for another while the one at hand is still handed out; it does not matter whether that works.
    fn renew_beside(&self, slot: Arc<Slot>, need: Need) {
        let task = self.clone();
        tokio::spawn(async move {
            let Ok(_turn) = slot.turn.try_lock() else {
                return;
            };
            let waits = locked(&slot.beside).pause(Moment::now()).is_some();
            let aging = slot
                .at_hand()
                .is_some_and(|(_, worth)| worth == Worth::Aging);
            if aging && !waits {
                // It is not an error yet: whoever asks once the old one is spent is told.
                match task.shared.renew(&slot, &need).await {
                    Ok(_) => locked(&slot.beside).succeeded(),
                    Err(error) => {
                        let why = error.to_string();
                        locked(&slot.beside).failed(Moment::now(), share(), &why);
                    }
                }
            }
        });
    }

    /// What ended it, or credentials of it, once something has.
    #[must_use]
    pub fn stops(&self) -> watch::Receiver<Option<Stop>> {
        self.shared.stop.subscribe()
    }

    /// How long ago the broker was heard of about it.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        locked(&self.shared.contact).silent_for(Moment::now())
    }

    /// What is at hand, by grant.
    #[must_use]
    pub fn held(&self) -> Vec<(String, Arc<Held>)> {
        let slots = locked(&self.shared.slots);
        let held = slots.iter().filter_map(|(need, slot)| {
            let (held, _) = slot.at_hand()?;
            Some((need.grant.clone(), held))
        });
        held.collect()
    }

    /// Whether it is open, as far as the broker has said: waits until it has been heard of.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when it is not heard of.
    pub async fn is_open(&self) -> Result<bool, ClientError> {
        self.shared.in_contact().await?;
        Ok(!self.is_over())
    }

    /// Whether the broker has said that it is closed, or unknown.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.watcher.0.is_finished()
    }

    /// Gives back what is at hand; the leases.
    ///
    /// # Errors
    /// See [`ClientError`]. What could not be given back is forgotten all the same, and ends with its time.
    pub async fn release(&self) -> Result<Vec<String>, ClientError> {
        let slots: Vec<_> = locked(&self.shared.slots).values().cloned().collect();
        let mut ids = Vec::new();
        for slot in slots {
            // What is being asked for at this moment is given back as well.
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

    /// Forgets what is at hand, and ends the task with every lease of it.
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

    /// Hands nothing out any more: for a task that is being closed.
    pub fn forget(&self) {
        self.shared.end();
    }
}

impl Slot {
    fn at_hand(&self) -> Option<(Arc<Held>, Worth)> {
        let (mut held, now) = (locked(&self.held), Moment::now());
        if held.as_ref()?.ends <= now {
            *held = None;
        }
        let held = held.as_ref()?;
        Some((Arc::clone(held), held.worth(now)))
    }
}

/// Whether the approval is good, and a lease of it is in the way.
fn is_busy(said: &Said) -> bool {
    said.facts.contains_key("busy_lease_id")
}

impl Shared {
    fn slot(&self, need: Need) -> Arc<Slot> {
        let mut slots = locked(&self.slots);
        if slots.len() >= SLOTS {
            // Those that nobody waits at, and that hold nothing.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.at_hand().is_some());
        }
        Arc::clone(slots.entry(need).or_default())
    }

    /// Asks the broker; it is the caller's turn.
    async fn renew(&self, slot: &Slot, need: &Need) -> Result<Arc<Held>, ClientError> {
        {
            let backoff = locked(&slot.backoff);
            if let Some(pause) = backoff.pause(Moment::now()) {
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
        let asked = Moment::now();
        let answer = self.client.clone().issue_credential(request).await;
        let issued = match answer {
            Ok(issued) => issued,
            Err(error) => {
                if let ClientError::Unavailable(why) = &error {
                    locked(&slot.backoff).failed(Moment::now(), share(), why);
                }
                return Err(error);
            }
        };
        locked(&slot.backoff).succeeded();
        // It lives from the answer on; counted from the question it is never held for too long.
        let held = Held::new(issued, asked, share()).ok_or_else(|| {
            ClientError::refused("the broker issued something without a credential or a lifetime")
        })?;
        let held = Arc::new(held);
        if !self.keep(slot, &held) {
            let request = v1::ReleaseLeaseRequest {
                id: held.lease_id.clone(),
            };
            // Where that fails, it ends with its time: nobody was given it.
            drop(self.client.clone().release_lease(request).await);
            let line = format!("{} ended while a credential of it was issued", self.id);
            return Err(ClientError::refused(line));
        }
        self.hear();
        Ok(held)
    }

    /// Keeps a credential, unless its lease has ended meanwhile. The lock on what was told is held until the credential is in
    /// its place: a message that ends the lease finds it there.
    fn keep(&self, slot: &Slot, lease: &Arc<Held>) -> bool {
        let told = locked(&self.told);
        let lives = !told.has_ended(lease);
        if lives {
            *locked(&slot.held) = Some(Arc::clone(lease));
        }
        lives
    }

    /// The same, right after the end of the one before: the broker may take a moment to see that end.
    async fn renew_after(&self, slot: &Slot, need: &Need) -> Result<Arc<Held>, ClientError> {
        let until = Moment::now().after(PATIENCE);
        loop {
            match self.renew(slot, need).await {
                Err(ClientError::ApprovalPending(said))
                    if is_busy(&said) && Moment::now() < until =>
                {
                    tokio::time::sleep(BUSY).await;
                }
                renewed => return renewed,
            }
        }
    }

    /// Waits a little until the broker is heard of, where it has not been for a while.
    async fn in_contact(&self) -> Result<(), ClientError> {
        let mut heard = self.heard.subscribe();
        if self.is_fresh() {
            return Ok(());
        }
        self.wanted.notify_one();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.is_fresh() && heard.changed().await.is_ok() {}
        });
        // Whether it came in time is seen below.
        drop(waited.await);
        if self.is_fresh() {
            return Ok(());
        }
        let complaint = locked(&self.contact).complaint(Moment::now());
        Err(ClientError::Unavailable(complaint))
    }

    fn is_fresh(&self) -> bool {
        locked(&self.contact).silent_for(Moment::now()) < self.client.fresh()
    }

    pub(crate) fn hear(&self) {
        locked(&self.contact).hear(Moment::now());
        self.heard
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn lose(&self, why: String) {
        locked(&self.contact).lose(why);
    }

    /// Takes what the broker has told: drops each lease that the message knows and does not list.
    pub(crate) fn told(&self, message: &v1::WatchTaskResponse) {
        let mut told = locked(&self.told);
        told.live = match contact::is_held(message) {
            // The order is told at once, and each lease that it ends a moment later.
            true => BTreeSet::new(),
            false => message.live_lease_ids.iter().cloned().collect(),
        };
        told.next_record = Some(message.next_record);
        self.drop_ended(&told);
    }

    /// Nothing is kept of it from now on.
    pub(crate) fn end(&self) {
        let mut told = locked(&self.told);
        told.over = true;
        self.drop_ended(&told);
        drop(told);
        self.heard
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn drop_ended(&self, told: &Told) {
        for slot in locked(&self.slots).values() {
            let mut held = locked(&slot.held);
            if held.as_ref().is_some_and(|held| told.has_ended(held)) {
                *held = None;
            }
        }
    }
}
