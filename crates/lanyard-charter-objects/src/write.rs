//! Writes the verdict about each charter to its object's status. Nothing waits for a write, and
//! nothing depends on one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::api::Unread;
use crate::follow::{Source, stopped};
use crate::object::Origin;
use crate::status::Verdict;

/// The first pause after a failure; each further failure doubles it up to [`LAST_RETRY_INTERVAL`].
const FIRST_RETRY_INTERVAL: Duration = Duration::from_secs(1);
const LAST_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Writes verdicts to the statuses of their objects.
pub struct StatusWriter {
    source: Arc<Source>,
    verdicts: watch::Receiver<Arc<Vec<Verdict>>>,
    /// The resource version of each object's last status write, by uid. Until the object is read
    /// again, its known status is the one before that write.
    written: BTreeMap<String, String>,
}

impl StatusWriter {
    /// A writer of these verdicts, which writes whenever they change.
    #[must_use]
    pub const fn new(source: Arc<Source>, verdicts: watch::Receiver<Arc<Vec<Verdict>>>) -> Self {
        Self {
            source,
            verdicts,
            written: BTreeMap::new(),
        }
    }

    /// Writes until `stop` is true.
    pub async fn follow(mut self, stop: watch::Receiver<bool>) {
        let mut changes = self.source.changes();
        let writes = async {
            let mut pause = FIRST_RETRY_INTERVAL;
            loop {
                changes.mark_unchanged();
                if let Err(error) = self.write_all().await {
                    tracing::warn!(%error, "cannot write the status of charters; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_RETRY_INTERVAL);
                    continue;
                }
                pause = FIRST_RETRY_INTERVAL;
                tokio::select! {
                    Ok(()) = self.verdicts.changed() => {}
                    Ok(()) = changes.changed() => {}
                    else => return,
                }
            }
        };
        tokio::select! {
            () = writes => {}
            () = stopped(stop) => {}
        }
    }

    /// Writes every status that differs from its verdict.
    ///
    /// # Errors
    /// The first failure, after all writes were tried.
    async fn write_all(&mut self) -> Result<(), Unread> {
        let verdicts = Arc::clone(&self.verdicts.borrow_and_update());
        let Some(api) = self.source.api() else {
            return Ok(());
        };
        let mut first = Ok(());
        for verdict in &*verdicts {
            let Some((version, status)) = self.due(verdict) else {
                continue;
            };
            let of = (&verdict.origin, version.as_str());
            match api.write_status(of, &status).await {
                // An object that was changed or deleted meanwhile will be read and judged again.
                Err(error) if error.is_conflict() || error.is_missing() => {}
                Err(error) => {
                    first = first.and(Err(error));
                    continue;
                }
                Ok(()) => {}
            }
            self.written.insert(verdict.origin.uid.clone(), version);
        }
        let is_there = |uid: &String| verdicts.iter().any(|it| it.origin.uid == *uid);
        self.written.retain(|uid, _| is_there(uid));
        first
    }

    /// Returns the status to write for a verdict, and the resource version that the write requires.
    fn due(&self, verdict: &Verdict) -> Option<(String, serde_json::Value)> {
        let Origin { namespace, uid, .. } = &verdict.origin;
        let mut due = None;
        self.source.look(|of, books, _, _| {
            if of.as_str() != namespace {
                return;
            }
            let object = books.object(uid);
            let object = object.filter(|it| self.written.get(uid) != Some(&it.version));
            let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second());
            due = object.zip(now.ok()).and_then(|(object, now)| {
                let status = verdict.status(&now.to_string(), &object.status)?;
                Some((object.version.clone(), status))
            });
        });
        due
    }
}
