//! The admission webhook, which reviews a charter before the API server stores it. The webhook
//! decides nothing: a charter comes into force when it is read.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use lanyard_charter_objects::{MAX_REVIEW_BYTES, reviewed};
use tokio::sync::Semaphore;

use super::CharterBook;

/// Reviews that are worked out at a time.
///
/// # Limit
/// - for: all callers of the admission webhook together
/// - unit: reviews
/// - beyond: the review waits for its turn
/// - test: `reviews_have_turns_memory_and_an_end`
const MAX_REVIEWS: usize = 2;
/// The bodies of reviews that are in memory at a time.
///
/// # Limit
/// - for: all callers of the admission webhook together
/// - unit: KiB
/// - beyond: the review waits for its turn
/// - test: `reviews_have_turns_memory_and_an_end`
const MAX_REVIEWED_KIB: usize = 32 << 10;
/// The time for a review, the wait for its turn included: the API server waits for five seconds.
///
/// # Limit
/// - for: a review
/// - unit: of time
/// - beyond: the review is answered with 503, and the API server goes on without an answer
/// - test: `reviews_have_turns_memory_and_an_end`
const REVIEW_TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Clone)]
struct Desk {
    charters: Arc<CharterBook>,
    turns: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

/// Routes the requests at `admission_listen`.
pub(crate) fn router(charters: Arc<CharterBook>) -> Router {
    let desk = Desk {
        charters,
        turns: Arc::new(Semaphore::new(MAX_REVIEWS)),
        memory: Arc::new(Semaphore::new(MAX_REVIEWED_KIB)),
    };
    Router::new()
        .route("/charters", post(review))
        .with_state(desk)
}

async fn review(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Response {
    let answer = tokio::time::timeout(REVIEW_TIMEOUT, answer(desk, &headers, body));
    let busy = "the broker has no turn for this review in time";
    let answered = answer.await;
    answered.unwrap_or_else(|_| (StatusCode::SERVICE_UNAVAILABLE, busy).into_response())
}

async fn answer(desk: Desk, headers: &HeaderMap, body: Body) -> Response {
    let refused = |code: StatusCode, why: String| (code, why).into_response();
    // Whoever says how much will come gets the memory for it, and no more.
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    let Some(length) = length else {
        let why = "a review has a content-length".to_owned();
        return refused(StatusCode::LENGTH_REQUIRED, why);
    };
    if length > MAX_REVIEW_BYTES {
        let why = format!("a review has {MAX_REVIEW_BYTES} bytes at most");
        return refused(StatusCode::PAYLOAD_TOO_LARGE, why);
    }
    let kib = u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX);
    let gone = "the broker ends".to_owned();
    let Ok(memory) = Arc::clone(&desk.memory).acquire_many_owned(kib).await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, gone);
    };
    let Ok(body) = to_bytes(body, length).await else {
        return refused(StatusCode::BAD_REQUEST, "half a body".to_owned());
    };
    let Ok(turn) = Arc::clone(&desk.turns).acquire_owned().await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, gone);
    };
    // The turn ends with the work, which goes on when the API server waits no longer.
    let work = tokio::task::spawn_blocking(move || {
        let (_turn, _memory) = (turn, memory);
        let review = reviewed(&body)?;
        Ok(match desk.charters.reviewed(&review.object) {
            Ok(warnings) => review.allowed(&warnings),
            Err(findings) => review.refused(&findings),
        })
    });
    match work.await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(malformed)) => {
            let malformed: lanyard_charter_objects::Malformed = malformed;
            refused(StatusCode::BAD_REQUEST, malformed.to_string())
        }
        Err(_) => refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the review could not be worked out".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::charters::tests::broker;

    fn body() -> String {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "q1",
                "resource": {"group": "lanyard.dev", "version": "v1", "resource": "charters"},
                "operation": "CREATE",
                "namespace": "shop",
                "object": {"apiVersion": "lanyard.dev/v1", "kind": "Charter", "metadata": {"name": "a"}, "spec": {}},
            },
        })
        .to_string()
    }

    async fn asked(desk: &Desk, length: Option<usize>, body: String) -> (StatusCode, String) {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let answer = review(State(desk.clone()), headers, body.into()).await;
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, MAX_REVIEW_BYTES).await.unwrap();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn reviews_have_turns_memory_and_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let desk = Desk {
            charters: broker(directory.path()).await.charters,
            turns: Arc::new(Semaphore::new(MAX_REVIEWS)),
            memory: Arc::new(Semaphore::new(MAX_REVIEWED_KIB)),
        };
        let usual = body();
        let length = Some(usual.len());
        for (length, body, code) in [
            (None, usual.clone(), StatusCode::LENGTH_REQUIRED),
            (
                Some(MAX_REVIEW_BYTES + 1),
                usual.clone(),
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            // More than was said.
            (Some(10), usual.clone(), StatusCode::BAD_REQUEST),
            (Some(7), "nothing".to_owned(), StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(asked(&desk, length, body).await.0, code);
        }
        let turns = Arc::clone(&desk.turns);
        let held = turns.acquire_many(MAX_REVIEWS as u32).await.unwrap();
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(asked(&desk, length, usual.clone()).await.0, busy);
        drop(held);
        let memory = Arc::clone(&desk.memory);
        let held = memory.acquire_many(MAX_REVIEWED_KIB as u32).await.unwrap();
        assert_eq!(asked(&desk, length, usual.clone()).await.0, busy);
        drop(held);
        let (code, text) = asked(&desk, length, usual).await;
        assert_eq!(code, StatusCode::OK);
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["response"]["uid"], "q1");
        assert_eq!(desk.turns.available_permits(), MAX_REVIEWS);
        assert_eq!(desk.memory.available_permits(), MAX_REVIEWED_KIB);
    }
}
