//! Service accounts of a Kubernetes cluster. The broker asks the cluster's API server about each
//! token. While the API server does not answer, the cluster's keys suffice for a limited time,
//! because keys do not show that a pod was deleted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::identity::Method;
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_identity::{CLOCK_SKEW, RejectedToken};
use lanyard_provider_kubernetes::{Cluster, ReviewError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long the keys alone suffice after the API server last answered.
const BELIEVED: Duration = Duration::from_secs(300);
/// How many questions may be under way at once.
const ASKED: usize = 64;

/// How long setting up a connection may take: a credential plugin is a program of somebody else's.
///
/// # Limit
/// - for: a cluster whose agents call
/// - unit: of time
/// - beyond: agents of that cluster are kept out, and connecting is tried again every five seconds
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

/// A cluster with its connection.
pub(crate) struct ClusterDoor {
    place: Place,
    connection: tokio::sync::Mutex<Connection>,
    problem: Mutex<Option<String>>,
    answered: Mutex<Timestamp>,
    places: Semaphore,
}

/// The connection to a cluster, made on first use: a cluster whose configuration cannot be read
/// keeps out its own agents alone.
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

    /// Why the cluster cannot be asked, if its configuration is at fault.
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
            tracing::error!(why, place = ?self.place, "a cluster cannot be asked about its agents, who are refused until it can");
        }
        *problem = Some(why);
        Err(unanswered)
    }

    /// The cluster's answer about the service account of a token, with the API server's details.
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
                    return Err(RejectedToken::Disowned("it is somebody else's"));
                }
                Ok((Method::TokenReview, reviewed.claims))
            }
            Err(ReviewError::Refused) => {
                *self.answered.lock() = now;
                Err(RejectedToken::Disowned("the API server does not accept it"))
            }
            Err(ReviewError::Audience) => Err(RejectedToken::Audience),
            Err(ReviewError::Unanswered(why)) => {
                let answered = *self.answered.lock();
                let until = answered + BELIEVED;
                tracing::warn!(why, %until, "a cluster does not say whether a token is good");
                // An answer of the future is of a clock that was set back since.
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

    /// What answers at the address does not matter: nobody is asked before an agent comes.
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
