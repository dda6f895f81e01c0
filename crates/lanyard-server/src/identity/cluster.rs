//! Agents of a Kubernetes cluster: its API server is asked about each token. Where it does not answer, the cluster's keys
//! are enough for a while: they know nothing of a pod that was deleted meanwhile.

use std::time::Duration;

use lanyard_core::identity::{Caller, Method};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_identity::{RejectedToken, SKEW};
use lanyard_provider_kubernetes::{Cluster, ReviewError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// How long the keys alone are enough after the API server last answered.
const BELIEVED: Duration = Duration::from_secs(300);
/// How many questions are under way at once.
const ASKED: usize = 64;

/// One cluster.
pub(crate) struct ClusterDoor {
    cluster: Cluster,
    answered: Mutex<Timestamp>,
    places: Semaphore,
}

impl ClusterDoor {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            answered: Mutex::new(Timestamp::EPOCH),
            places: Semaphore::new(ASKED),
        }
    }

    /// Whether the cluster stands for the agent that this token named; with what it says besides.
    pub(crate) async fn stand_for(
        &self,
        caller: &mut Caller,
        (token, audience): (&str, &str),
        now: Timestamp,
    ) -> Result<(), RejectedToken> {
        let place = self.places.acquire().await;
        let token = Secret::new(token.to_owned());
        let reviewed = self.cluster.review(&token, audience).await;
        drop(place);
        match reviewed {
            Ok(reviewed) => {
                *self.answered.lock() = now;
                if reviewed.username != caller.identity.subject {
                    return Err(RejectedToken::Disowned("it is somebody else's"));
                }
                caller.evidence.method = Method::TokenReview;
                caller.evidence.claims.extend(reviewed.claims);
                Ok(())
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
                if now <= until && answered <= now + SKEW {
                    caller.evidence.method = Method::ClusterKeys;
                    Ok(())
                } else {
                    Err(RejectedToken::Unanswered(why))
                }
            }
        }
    }

    /// The keys of its tokens.
    pub(crate) async fn keys(&self) -> Result<Vec<u8>, ReviewError> {
        self.cluster.service_account_keys().await
    }
}
