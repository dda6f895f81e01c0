//! State of one client: the tasks opened for it, and its concurrent calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_proto::v1;
use lanyard_vocabulary::id::{PlanId, TaskId};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};

use crate::broker::Broker;
use crate::refused::{Reason, Refused};

/// Tasks that one client may have open.
///
/// # Limit
/// - for: a client
/// - unit: tasks
/// - beyond: a further task is refused with `quota` until one is released
/// - test: `a_session_limits_open_tasks`
const MAX_TASKS: usize = 32;
/// Plans that are remembered for a task.
///
/// # Limit
/// - for: a task
/// - unit: plans
/// - beyond: later plans are not listed with their task
/// - test: `a_session_remembers_a_limited_number_of_plans`
const MAX_REMEMBERED_PLANS: usize = 100;
/// Calls of one client that may run at the same time.
///
/// # Limit
/// - for: a client
/// - unit: calls
/// - beyond: a further call is refused with `quota`
/// - test: `a_session_limits_concurrent_calls`
const MAX_CALLS: usize = 16;

/// The session of one client.
pub(crate) struct Session {
    open: Mutex<BTreeSet<TaskId>>,
    plans: Mutex<BTreeMap<PlanId, TaskId>>,
    calls: Arc<Semaphore>,
    gone: watch::Sender<bool>,
}

/// The outcome for the tasks at the end of a session.
#[derive(Debug, Default)]
pub struct Ending {
    /// Tasks that were closed together with their leases.
    pub closed: Vec<TaskId>,
    /// Tasks that could not be closed, with the reason. They expire.
    pub left: Vec<(TaskId, String)>,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            open: Mutex::default(),
            plans: Mutex::default(),
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
            gone: watch::Sender::new(false),
        }
    }

    /// Reserves room for a call.
    pub(crate) fn call(&self) -> Result<OwnedSemaphorePermit, Refused> {
        let line = format!("{MAX_CALLS} calls are in progress: wait until one of them ends");
        let place = Arc::clone(&self.calls).try_acquire_owned();
        place.map_err(|_| Refused::here(Reason::Quota, line))
    }

    /// Records that the client has disconnected.
    pub(crate) fn leave(&self) {
        self.gone.send_replace(true);
    }

    /// Completes when the client has disconnected.
    pub(crate) async fn gone(&self) {
        // `self` owns the sender, so waiting cannot fail.
        let left = self.gone.subscribe().wait_for(|gone| *gone).await.is_ok();
        debug_assert!(left);
    }

    /// Opens a task and records it, so that the end of the session closes it.
    pub(crate) async fn open(
        &self,
        broker: &Broker,
        ask: v1::OpenTaskRequest,
    ) -> Result<TaskId, Refused> {
        // INVARIANT: the lock is held until the answer arrives. The end of the session therefore
        // waits for the new task and closes it as well.
        let mut open = self.open.lock().await;
        if *self.gone.borrow() {
            return Err(Refused::here(Reason::Unavailable, "this session has ended"));
        }
        if open.len() >= MAX_TASKS {
            let line = format!(
                "{MAX_TASKS} tasks are open in this session: release one of them, or use it by its task_id"
            );
            return Err(Refused::here(Reason::Quota, line));
        }
        let task = broker.open_task(ask).await?;
        open.insert(task);
        Ok(task)
    }

    /// Removes a task that was closed or has ended.
    pub(crate) async fn forget(&self, task: TaskId) {
        self.open.lock().await.remove(&task);
        self.plans.lock().await.retain(|_, of| *of != task);
    }

    /// Lists the tasks that this session opened.
    pub(crate) async fn tasks(&self) -> Vec<TaskId> {
        self.open.lock().await.iter().copied().collect()
    }

    pub(crate) async fn planned(&self, task: TaskId, plan: PlanId) {
        let mut plans = self.plans.lock().await;
        if plans.len() < MAX_REMEMBERED_PLANS {
            plans.insert(plan, task);
        }
    }

    /// Lists the plans that this session submitted for a task.
    pub(crate) async fn plans_of(&self, task: TaskId) -> Vec<PlanId> {
        let plans = self.plans.lock().await;
        let of = plans.iter().filter(|(_, of)| **of == task);
        of.map(|(plan, _)| *plan).collect()
    }

    /// Closes every task that this session opened, including one that is being opened right now.
    pub(crate) async fn end(&self, broker: &Arc<Broker>) -> Ending {
        self.leave();
        let mut closing = tokio::task::JoinSet::new();
        // Taking the lock waits for a task that is being opened, so that task is closed as well.
        for task in std::mem::take(&mut *self.open.lock().await) {
            let broker = Arc::clone(broker);
            closing.spawn(async move { (task, broker.close_task(task).await) });
        }
        let mut ending = Ending::default();
        while let Some(closed) = closing.join_next().await {
            match closed {
                Ok((task, Ok(()))) => ending.closed.push(task),
                Ok((task, Err(refused))) => ending.left.push((task, refused.line)),
                Err(_) => {}
            }
        }
        ending.closed.sort();
        ending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_limits_concurrent_calls() {
        let session = Session::new();
        let held: Vec<_> = (0..MAX_CALLS).map(|_| session.call()).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(session.call().is_err());
        drop(held);
        assert!(session.call().is_ok());
    }

    #[tokio::test]
    async fn a_session_remembers_a_limited_number_of_plans() {
        let (session, task) = (Session::new(), TaskId::from_bits(1));
        for place in 0..=MAX_REMEMBERED_PLANS {
            session
                .planned(task, PlanId::from_bits(place as u128))
                .await;
        }
        assert_eq!(session.plans_of(task).await.len(), MAX_REMEMBERED_PLANS);
    }
}
