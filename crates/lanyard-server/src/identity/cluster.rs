//! Service accounts of a Kubernetes cluster. The broker asks the cluster's API server about each
//! token. While the API server does not answer, the cluster's keys suffice for a limited time,
//! because keys do not show that a pod was deleted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_document::shape::{Map, Shape, optional};
use lanyard_document::{Item, Section};
use lanyard_identity::{CLOCK_SKEW, RejectedToken};
use lanyard_provider_kubernetes::{Cluster, ReviewError};
use lanyard_vocabulary::identity::Method;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::values::{PATH, path};

/// The time for which tokens are accepted by the cluster's keys alone after the API server last
/// answered.
const BELIEVED: Duration = Duration::from_secs(300);
/// The most token reviews in flight.
const ASKED: usize = 64;

/// The longest that connecting may take. A kubeconfig can name a credential plugin, which is a
/// program that may hang.
///
/// # Limit
/// - for: a cluster whose agents call
/// - unit: of time
/// - beyond: the cluster's agents are refused, and connecting is tried again every five seconds
/// - test: `a_cluster_whose_configuration_is_missing_keeps_its_agents_out_and_is_tried_again`
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after a failed connection.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(5);

/// The location of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
}

/// Describes a cluster: the one of this pod, or that of a kubeconfig.
pub(crate) fn place_shape() -> Map {
    Map::new()
        .with(
            optional("kubeconfig", "The kubeconfig of the cluster.", PATH)
                .absent("the service account of this pod"),
        )
        .with(
            optional("context", "The context in the kubeconfig.", Shape::Text)
                .absent("the current one"),
        )
}

/// Reads a cluster: `{}`, or a map with a kubeconfig.
pub(crate) fn place(item: Item<'_>, base: &Path) -> Option<Place> {
    Some(place_of(&item.section()?, base))
}

/// Reads the fields of a cluster.
pub(crate) fn place_of(section: &Section<'_>, base: &Path) -> Place {
    let kubeconfig = section.get("kubeconfig").and_then(|item| path(item, base));
    let context = section.get("context").and_then(Item::text);
    Place {
        kubeconfig,
        context: context.map(str::to_owned),
    }
}

/// A cluster with its connection.
pub(crate) struct ClusterDoor {
    place: Place,
    connection: tokio::sync::Mutex<Connection>,
    problem: Mutex<Option<String>>,
    answered: Mutex<Timestamp>,
    places: Semaphore,
}

/// The connection to a cluster, made on first use, so that an unreadable configuration refuses that
/// cluster's agents only.
enum Connection {
    Is(Arc<Cluster>),
    FailedAt(Instant),
    NotTried,
}

impl ClusterDoor {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            connection: tokio::sync::Mutex::new(Connection::NotTried),
            problem: Mutex::default(),
            answered: Mutex::new(Timestamp::EPOCH),
            places: Semaphore::new(ASKED),
        }
    }

    /// Returns why the cluster cannot be asked, if its configuration is at fault.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    /// The connection; a failed one is tried again after a wait.
    pub(crate) async fn connected(&self) -> Result<Arc<Cluster>, ReviewError> {
        let unanswered = ReviewError::Unanswered("its configuration cannot be used");
        let mut connection = self.connection.lock().await;
        match &*connection {
            Connection::Is(cluster) => return Ok(Arc::clone(cluster)),
            Connection::FailedAt(at) if at.elapsed() < RECONNECT_INTERVAL => {
                return Err(unanswered);
            }
            Connection::FailedAt(_) | Connection::NotTried => {}
        }
        let Place {
            kubeconfig,
            context,
        } = &self.place;
        let connect = Cluster::connect(kubeconfig.as_deref(), context.as_deref());
        let why = match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(cluster)) => {
                let cluster = Arc::new(cluster);
                *connection = Connection::Is(Arc::clone(&cluster));
                *self.problem.lock() = None;
                return Ok(cluster);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} s", CONNECT_TIMEOUT.as_secs()),
        };
        *connection = Connection::FailedAt(Instant::now());
        let mut problem = self.problem.lock();
        if problem.as_ref() != Some(&why) {
            tracing::error!(why, place = ?self.place, "cannot connect to a cluster: its agents are refused until the connection works");
        }
        *problem = Some(why);
        Err(unanswered)
    }

    /// Asks the cluster's API server about a service account's token.
    pub(crate) async fn stand_for(
        &self,
        subject: &str,
        (token, audience): (&str, &str),
        now: Timestamp,
    ) -> Result<(Method, BTreeMap<String, String>), RejectedToken> {
        let place = self.places.acquire().await;
        let token = Secret::new(token.to_owned());
        let reviewed = match self.connected().await {
            Ok(cluster) => cluster.review(&token, audience).await,
            Err(error) => Err(error),
        };
        drop(place);
        match reviewed {
            Ok(reviewed) => {
                *self.answered.lock() = now;
                if reviewed.username != subject {
                    return Err(RejectedToken::Disowned(
                        "the API server says that it belongs to another account",
                    ));
                }
                Ok((Method::TokenReview, reviewed.claims))
            }
            Err(ReviewError::Refused) => {
                *self.answered.lock() = now;
                Err(RejectedToken::Disowned("the API server rejected it"))
            }
            Err(ReviewError::Audience) => Err(RejectedToken::Audience),
            Err(ReviewError::Unanswered(why)) => {
                let answered = *self.answered.lock();
                let until = answered + BELIEVED;
                tracing::warn!(why, %until, "a cluster did not answer a token review");
                // An answer with a later time was given before the clock was set back.
                if now <= until && answered <= now + CLOCK_SKEW {
                    Ok((Method::ClusterKeys, BTreeMap::new()))
                } else {
                    Err(RejectedToken::Unanswered(why))
                }
            }
        }
    }

    /// The keys of the cluster's tokens.
    pub(crate) async fn keys(&self) -> Result<Vec<u8>, ReviewError> {
        self.connected().await?.service_account_keys().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kubeconfig with an address where no server needs to answer: the door connects only when an
    /// agent comes.
    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"#;

    #[tokio::test(start_paused = true)]
    async fn a_cluster_whose_configuration_is_missing_keeps_its_agents_out_and_is_tried_again() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = directory.path().join("kubeconfig");
        let door = ClusterDoor::new(Place {
            kubeconfig: Some(kubeconfig.clone()),
            context: None,
        });
        assert_eq!(door.problem(), None);
        assert!(door.keys().await.is_err());
        assert!(
            door.problem().unwrap().contains("kubeconfig"),
            "{:?}",
            door.problem()
        );
        std::fs::write(&kubeconfig, KUBECONFIG).unwrap();
        assert!(door.connected().await.is_err(), "not at every request");
        tokio::time::advance(RECONNECT_INTERVAL).await;
        assert!(door.connected().await.is_ok());
        assert_eq!(door.problem(), None);
    }
}
