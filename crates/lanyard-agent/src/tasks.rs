//! The tasks whose credentials are cached, by context and id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use lanyard_client::v1::OpenTaskRequest;
use lanyard_client::{Client, ClientError, ContextError, Contexts, Task};
use prost::Message as _;
use tonic::Status;

/// Metadata key of the context of a call.
pub(crate) const CONTEXT: &str = "lanyard-context";
/// Smallest value for the tolerated silence of the broker. The broker sends a message every five
/// seconds, so one may be lost.
pub const MIN_FRESH_TIME: Duration = Duration::from_secs(10);
/// Tasks whose credentials the local agent caches at once.
///
/// # Limit
/// - for: a local agent
/// - unit: tasks
/// - beyond: the call fails as unavailable until a task is closed
/// - test: `a_local_agent_caches_a_limited_number_of_tasks`
const MAX_TASKS: usize = 1000;

/// The cached tasks and connections.
pub(crate) struct Tasks {
    clients: Mutex<BTreeMap<PathBuf, (Stamp, Client)>>,
    tasks: Mutex<BTreeMap<(PathBuf, String), Task>>,
    standing: Standing,
    fresh: Duration,
}

/// Ids of tasks that were opened on demand, by context and request. The lock of an entry is held
/// while its task is opened: concurrent equal requests share one task, and other requests do not
/// wait.
type Standing = Mutex<BTreeMap<(PathBuf, Vec<u8>), Arc<tokio::sync::Mutex<Option<String>>>>>;

/// Modification time and size, by which a changed file is noticed.
type Stamp = (Option<SystemTime>, u64);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every statement leaves the value consistent, so a poisoned lock is safe to use.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that one more task fits.
fn has_room(tasks: usize) -> Result<(), ClientError> {
    if tasks < MAX_TASKS {
        return Ok(());
    }
    let line = format!("the local agent looks after {MAX_TASKS} tasks: close some first");
    Err(ClientError::Unavailable(line))
}

impl Tasks {
    pub(crate) fn new(fresh: Duration) -> Self {
        Self {
            clients: Mutex::default(),
            tasks: Mutex::default(),
            standing: Standing::default(),
            fresh: fresh.max(MIN_FRESH_TIME),
        }
    }

    /// Returns the context file of a call: the one that the call names, or the user's current one.
    pub(crate) fn context(headers: &HeaderMap) -> Result<PathBuf, ClientError> {
        let asked = headers.get(CONTEXT).map(|value| value.to_str());
        let asked = asked.transpose().map_err(|_| {
            ClientError::from(Status::invalid_argument("lanyard-context: expected ASCII"))
        })?;
        let contexts = Contexts::of_user();
        let named = asked.map(str::to_owned).or_else(|| {
            let set = std::env::var("LANYARD_CONTEXT").ok();
            set.filter(|it| !it.is_empty())
        });
        Ok(match (named, contexts) {
            (Some(asked), Ok(contexts)) => contexts.find(Path::new(&asked))?,
            (Some(asked), Err(_)) => PathBuf::from(asked),
            (None, contexts) => {
                let contexts = contexts?;
                let current = contexts.current().ok_or(ContextError::NoneCurrent)?;
                contexts.existing(&current)?
            }
        })
    }

    /// Returns the connection of a context, and connects again when the context file has changed.
    pub(crate) async fn client(&self, context: &Path) -> Result<Client, ClientError> {
        let found = std::fs::metadata(context).ok();
        let stamp = found.map_or((None, 0), |found| (found.modified().ok(), found.len()));
        let known = locked(&self.clients).get(context).cloned();
        if let Some((_, client)) = known.filter(|(known, _)| *known == stamp) {
            return Ok(client);
        }
        let client = Client::connect(context).await?.fresh_for(self.fresh);
        // The file may name another identity now, which must not get the credentials of the
        // previous one.
        locked(&self.tasks).retain(|(of, _), _| of != context);
        let entry = (stamp, client.clone());
        locked(&self.clients).insert(context.to_path_buf(), entry);
        Ok(client)
    }

    /// Returns a task, and keeps in contact with the broker about it from then on.
    pub(crate) async fn task(&self, context: &Path, id: &str) -> Result<Task, ClientError> {
        let key = (context.to_path_buf(), id.to_owned());
        let client = self.client(context).await;
        // If the broker cannot be reached, cached credentials stay usable as long as the contact is
        // fresh.
        if let Some(task) = locked(&self.tasks).get(&key) {
            return Ok(task.clone());
        }
        let client = client?;
        let mut tasks = locked(&self.tasks);
        tasks.retain(|_, task| !task.is_over());
        has_room(tasks.len())?;
        let task = tasks
            .entry(key)
            .or_insert_with(|| client.task(id.to_owned()));
        Ok(task.clone())
    }

    /// Returns the open task of an equal earlier request, or opens one.
    pub(crate) async fn standing(
        &self,
        context: &Path,
        asked: OpenTaskRequest,
    ) -> Result<Task, ClientError> {
        let key = (context.to_path_buf(), asked.encode_to_vec());
        let place = {
            let mut standing = locked(&self.standing);
            if standing.len() >= MAX_TASKS {
                standing.retain(|_, place| Arc::strong_count(place) > 1);
            }
            Arc::clone(standing.entry(key).or_default())
        };
        let mut opened = place.lock().await;
        if let Some(id) = opened.as_ref() {
            let task = self.task(context, id).await?;
            if task.is_open().await? {
                return Ok(task);
            }
        }
        let mut client = self.client(context).await?;
        let task = client.open_task(asked).await?.task.unwrap_or_default();
        *opened = Some(task.id.clone());
        self.task(context, &task.id).await
    }

    /// Returns a task if credentials of it are cached.
    pub(crate) fn known(&self, context: &Path, id: &str) -> Option<Task> {
        let key = (context.to_path_buf(), id.to_owned());
        locked(&self.tasks).get(&key).cloned()
    }

    /// Lists the cached tasks with their contexts.
    pub(crate) fn all(&self) -> Vec<(PathBuf, Task)> {
        let tasks = locked(&self.tasks);
        let all = tasks.iter();
        all.map(|((context, _), task)| (context.clone(), task.clone()))
            .collect()
    }

    /// Empties the cache and releases all credentials. Returns the errors.
    pub(crate) async fn end(&self) -> Vec<ClientError> {
        let tasks = std::mem::take(&mut *locked(&self.tasks));
        let mut faults = Vec::new();
        for task in tasks.into_values() {
            faults.extend(task.release().await.err());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_agent_caches_a_limited_number_of_tasks() {
        assert!(has_room(999).is_ok());
        let refused = has_room(1000).unwrap_err().to_string();
        assert!(
            refused.ends_with("looks after 1000 tasks: close some first"),
            "{refused}"
        );
    }
}
