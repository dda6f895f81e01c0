//! Answering: what became of each charter, written to the status of its object. Nothing waits for it, and nothing depends on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::api::Unread;
use crate::follow::{Source, told};
use crate::object::Origin;
use crate::status::Verdict;

/// The first pause after a failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// Writes verdicts to the objects that they are about.
pub struct StatusWriter {
    source: Arc<Source>,
    verdicts: watch::Receiver<Arc<Vec<Verdict>>>,
    /// By uid, the version that was written to: until the object is read again, it still looks as before.
    written: BTreeMap<String, String>,
}

impl StatusWriter {
    /// Of these verdicts, whenever there are new ones.
    #[must_use]
    pub const fn new(source: Arc<Source>, verdicts: watch::Receiver<Arc<Vec<Verdict>>>) -> Self {
        Self {
            source,
            verdicts,
            written: BTreeMap::new(),
        }
    }

    /// Writes until told to stop.
    pub async fn follow(mut self, stop: watch::Receiver<bool>) {
        let mut changes = self.source.changes();
        let writes = async {
            let mut pause = FIRST_PAUSE;
            loop {
                changes.mark_unchanged();
                if let Err(error) = self.write_all().await {
                    tracing::warn!(%error, "the status of charters is not written: tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                    continue;
                }
                pause = FIRST_PAUSE;
                tokio::select! {
                    Ok(()) = self.verdicts.changed() => {}
                    Ok(()) = changes.changed() => {}
                    else => return,
                }
            }
        };
        tokio::select! {
            () = writes => {}
            () = told(stop) => {}
        }
    }

    /// Every status that says something else than it should.
    ///
    /// # Errors
    /// The first that could not be written; all are tried.
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
                // What has changed, or is gone, is read again and judged again.
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

    /// What has to be written for this verdict, and to which version of the object.
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
