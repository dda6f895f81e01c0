//! Verifies service-account tokens of agents with the API server of their cluster
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>).

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::{Api, PostParams};
use kube::core::Status;
use lanyard_vocabulary::secret::Secret;

use crate::Cluster;

/// The longest key set that is read, in bytes.
///
/// # Limit
/// - for: a cluster
/// - unit: bytes
/// - beyond: the set is refused, and the last fetched keys stay in use
/// - test: `t44_the_keys_of_a_cluster_have_a_bound`
const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// The identity behind a token that the API server accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// The user name, `system:serviceaccount:<namespace>:<name>`.
    pub username: String,
    /// Further claims: the service account's `uid`, and `pod`, `pod_uid` and `node` where the token
    /// is bound to them.
    pub claims: BTreeMap<String, String>,
}

/// The reason why a token has no reviewed identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The API server rejected the token.
    #[error("the API server rejected it")]
    Refused,
    /// The API server accepts the token, but for another audience than the broker.
    #[error("the API server accepts it for another audience")]
    Audience,
    /// The API server gives no answer, or forbids the broker to ask.
    #[error("the API server did not answer the review: {0}")]
    Unanswered(&'static str),
}

/// Members of `user.extra` that become claims, and the claims' names.
const EXTRA_CLAIMS: &[(&str, &str)] = &[
    ("authentication.kubernetes.io/pod-name", "pod"),
    ("authentication.kubernetes.io/pod-uid", "pod_uid"),
    ("authentication.kubernetes.io/node-name", "node"),
];

impl Cluster {
    /// Asks the API server whether it accepts `token` for `audience`.
    ///
    /// # Errors
    /// See [`ReviewError`].
    pub async fn review(
        &self,
        token: &Secret<String>,
        audience: &str,
    ) -> Result<Reviewed, ReviewError> {
        let asked = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![audience.to_owned()]),
                token: Some(token.expose().clone()),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client());
        let answer = reviews.create(&PostParams::default(), &asked).await;
        let answer = answer.map_err(|error| unanswered(&error))?;
        let status = answer.status.unwrap_or_default();
        if status.authenticated != Some(true) || status.error.is_some_and(|it| !it.is_empty()) {
            return Err(ReviewError::Refused);
        }
        // A server that does not support audiences leaves the field out: it has checked none.
        let audiences = status.audiences.unwrap_or_default();
        if !audiences.iter().any(|one| one == audience) {
            return Err(ReviewError::Audience);
        }
        reviewed(status.user.unwrap_or_default()).ok_or(ReviewError::Refused)
    }

    /// The public keys of the cluster's service-account tokens, as a JWK set.
    ///
    /// # Errors
    /// [`ReviewError::Unanswered`].
    pub async fn service_account_keys(&self) -> Result<Vec<u8>, ReviewError> {
        let request = http::Request::get("/openid/v1/jwks").body(Vec::new());
        let request = request.map_err(|_| ReviewError::Unanswered("no request"))?;
        let answer = self.client().request_text(request).await;
        let text = answer.map_err(|error| unanswered(&error))?;
        bounded(text)
    }
}

fn bounded(keys: String) -> Result<Vec<u8>, ReviewError> {
    if keys.len() > MAX_KEY_SET_BYTES {
        return Err(ReviewError::Unanswered("its key set is too large"));
    }
    Ok(keys.into_bytes())
}

fn unanswered(error: &kube::Error) -> ReviewError {
    let kube::Error::Api(status) = error else {
        return ReviewError::Unanswered("it cannot be reached");
    };
    ReviewError::Unanswered(match status.as_ref() {
        Status { code: 401, .. } => "it rejects the broker's own credential",
        Status { code: 403, .. } => "the broker lacks the right to create token reviews",
        _ => "it answers with an error",
    })
}

fn reviewed(user: UserInfo) -> Option<Reviewed> {
    let username = user.username.filter(|name| !name.is_empty())?;
    let extra = user.extra.unwrap_or_default();
    let of_extra = EXTRA_CLAIMS.iter().filter_map(|(name, claim)| {
        let value = extra.get(*name)?.first()?;
        Some(((*claim).to_owned(), value.clone()))
    });
    let uid = user.uid.map(|uid| ("uid".to_owned(), uid));
    Some(Reviewed {
        username,
        claims: of_extra.chain(uid).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t44_the_keys_of_a_cluster_have_a_bound() {
        let read = |bytes: usize| bounded("k".repeat(bytes)).is_ok();
        assert!(read(MAX_KEY_SET_BYTES) && !read(MAX_KEY_SET_BYTES + 1));
    }
}
