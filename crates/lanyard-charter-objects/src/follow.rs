//! Follows the API server: one task per namespace, for as long as the daemon runs.
//!
//! Only a list is trusted; a watch merely triggers the next list. No request waits for a read:
//! [`Source`] answers with the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use lanyard_vocabulary::name::Name;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::absence::{Gap, KnownObjects, Times};
use crate::api::{Api, Unread, Watched};
use crate::object::Content;
use crate::policies::{ConfigMaps, Missing, policy_keys};

/// Time limit of one call; a quarter of `stale_after` if that is less.
///
/// # Limit
/// - for: a call to the API server whose charters are read
/// - unit: of time
/// - beyond: the namespace counts as unread, and its charters stay in force for `stale_after`
/// - test: `what_cannot_be_read_is_not_gone`
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Duration of one watch. ConfigMaps are read again after each.
const WATCH_WINDOW: Duration = Duration::from_secs(5);
/// The wait between an event and the next list. Tools apply many objects at once, and each status
/// that this broker writes causes an event too.
const GATHER_TIME: Duration = Duration::from_millis(200);
/// Interval at which a list is read although the watch reports no change.
const RELIST_INTERVAL: Duration = Duration::from_secs(300);
/// The first pause after a failure; each further failure doubles it up to [`LAST_RETRY_INTERVAL`].
const FIRST_RETRY_INTERVAL: Duration = Duration::from_millis(500);
const LAST_RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// ConfigMaps that the charters of one namespace may name.
///
/// # Limit
/// - for: a namespace of `charter_objects`
/// - unit: ConfigMaps
/// - beyond: the first ones by name are read; the charters that need the others are not in force
/// - test: `the_number_of_config_maps_is_limited`
pub(crate) const MAX_CONFIG_MAPS_PER_NAMESPACE: usize = 100;

/// The objects and policies of one namespace, as read last.
#[derive(Debug, Default)]
struct NamespaceState {
    objects: KnownObjects,
    policies: ConfigMaps,
}

/// The last reading of every namespace.
pub struct Source {
    started: Instant,
    times: Times,
    known: BTreeMap<Name, Mutex<NamespaceState>>,
    changes: watch::Sender<u64>,
    api: RwLock<Option<Api>>,
}

impl Source {
    /// A source for these namespaces that has read nothing yet.
    #[must_use]
    pub fn new(namespaces: impl IntoIterator<Item = Name>, stale_after: Duration) -> Self {
        let known = namespaces.into_iter().map(|name| (name, Mutex::default()));
        Self {
            started: Instant::now(),
            times: Times::of(stale_after),
            known: known.collect(),
            changes: watch::Sender::new(0),
            api: RwLock::default(),
        }
    }

    /// A counter of changes, to wait on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Passes each namespace to `each`: its objects, their policies, and its gap.
    pub fn look(&self, mut each: impl FnMut(&Name, &KnownObjects, &ConfigMaps, Option<Gap>)) {
        let now = self.started.elapsed();
        for (namespace, known) in &self.known {
            let known = known.lock();
            let gap = known.objects.gap(now, &self.times);
            each(namespace, &known.objects, &known.policies, gap);
        }
    }

    /// Deletes the held objects of a namespace, after an operator's confirmation.
    pub fn confirm_deletions(&self, namespace: &Name) {
        let known = self.known.get(namespace);
        if known.is_some_and(|known| known.lock().objects.confirm_deletions()) {
            self.note();
        }
    }

    /// The connection to the API server; `None` until one was made.
    pub(crate) fn api(&self) -> Option<Api> {
        self.api.read().clone()
    }

    pub(crate) fn note(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn call_timeout(&self) -> Duration {
        CALL_TIMEOUT.min(self.times.stale_after / 4)
    }

    fn failed(&self, namespace: &Name, why: &str) {
        let Some(known) = self.known.get(namespace) else {
            return;
        };
        if known.lock().objects.failed(why.to_owned()) {
            tracing::warn!(%namespace, why, "cannot read the charters of a namespace: its charters stay in force for `stale_after`");
            self.note();
        }
    }

    /// Reads one list, then watches until the next list is due.
    async fn round(&self, api: &Api, namespace: &Name) -> Result<(), Unread> {
        let Some(known) = self.known.get(namespace) else {
            return Ok(());
        };
        let begun = Instant::now();
        let (objects, version) = api.list(namespace.as_str()).await?;
        // Wait at least twice as long as the list took, so that a namespace that changes all the
        // time spends at most a third of the time on lists.
        let gathering = GATHER_TIME.max(begun.elapsed() * 2);
        let lacks = known.lock().objects.lacks(&objects);
        // Ask after the list: a definition that exists now also existed during the list.
        if lacks && !api.takes_charters().await? {
            return Err(Unread::NoDefinition);
        }
        let texts = objects.iter().filter_map(|object| match &object.content {
            Content::Text(text) => Some(text),
            Content::Unreadable(_) => None,
        });
        let named: BTreeSet<String> = texts.flat_map(|text| policy_keys(text)).collect();
        let mut changed = self.read_policies(api, namespace, &named).await;
        let is_unsettled = {
            let mut known = known.lock();
            let now = self.started.elapsed();
            changed |= known.objects.listed(objects, now, &self.times);
            known.policies.keep(&named);
            known.objects.is_unsettled()
        };
        if changed {
            self.note();
        }
        if is_unsettled {
            tokio::time::sleep(self.times.settle).await;
            return Ok(());
        }
        let window = WATCH_WINDOW.min(self.times.stale_after / 4);
        let listed = Instant::now();
        while listed.elapsed() < RELIST_INTERVAL {
            match api.watch(namespace.as_str(), &version, window).await? {
                Watched::Changed => {
                    tokio::time::sleep(gathering).await;
                    return Ok(());
                }
                Watched::Unchanged => {
                    known.lock().objects.unchanged(self.started.elapsed());
                    if self.read_policies(api, namespace, &named).await {
                        self.note();
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the ConfigMaps that charters name; returns whether any of them changed.
    async fn read_policies(&self, api: &Api, namespace: &Name, named: &BTreeSet<String>) -> bool {
        let mut changed = false;
        for name in named.iter().take(MAX_CONFIG_MAPS_PER_NAMESPACE) {
            let found = match api.config_map(namespace.as_str(), name).await {
                Ok(Some(texts)) => {
                    let texts = texts.into_iter().map(|(key, text)| (key, text.into()));
                    Ok(texts.collect())
                }
                Ok(None) => Err(Missing::Absent(name.clone())),
                Err(error) => Err(Missing::Unread {
                    name: name.clone(),
                    why: error.to_string(),
                }),
            };
            if let Some(known) = self.known.get(namespace) {
                changed |= known.lock().policies.note(name, found);
            }
        }
        changed
    }
}

/// Reads every namespace until `stop` is true. Calls `connect` until it gives a client.
pub async fn follow<C, F>(source: Arc<Source>, connect: C, stop: watch::Receiver<bool>)
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Client, String>> + Send,
{
    let reads = async {
        let mut pause = FIRST_RETRY_INTERVAL;
        let api = loop {
            let connected = tokio::time::timeout(CALL_TIMEOUT, connect()).await;
            match connected.unwrap_or_else(|_| Err("no connection in time".to_owned())) {
                Ok(client) => break Api::new(client, source.call_timeout()),
                Err(why) => {
                    let namespaces = source.known.keys();
                    namespaces.for_each(|namespace| source.failed(namespace, &why));
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY_INTERVAL);
        };
        *source.api.write() = Some(api.clone());
        source.note();
        let mut namespaces = JoinSet::new();
        for namespace in source.known.keys() {
            let (source, api) = (Arc::clone(&source), api.clone());
            namespaces.spawn(follow_one(source, api, namespace.clone()));
        }
        namespaces.join_all().await;
    };
    tokio::select! {
        () = reads => {}
        () = stopped(stop) => {}
    }
}

/// Completes when `stop` is true.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // A dropped sender counts as a stop.
    drop(stop.wait_for(|stop| *stop).await);
}

async fn follow_one(source: Arc<Source>, api: Api, namespace: Name) {
    let most = LAST_RETRY_INTERVAL.min(source.times.stale_after / 4);
    let mut pause = FIRST_RETRY_INTERVAL;
    loop {
        match source.round(&api, &namespace).await {
            Ok(()) => pause = FIRST_RETRY_INTERVAL,
            Err(error) => {
                source.failed(&namespace, &error.to_string());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(most);
            }
        }
    }
}
