//! Token Status Lists, made from the leases and kept briefly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lanyard_core::ledger::CommitError;
use lanyard_core::time::Timestamp;
use lanyard_provider_token::introspection::LeaseView;
use lanyard_provider_token::status;
use tokio::sync::Mutex;

use crate::wire::Broker;

/// The greatest age of a list when it is served.
const FRESH: Duration = Duration::from_millis(250);
/// How many leases are read without a pause.
const CHUNK: usize = 4096;

/// The lists as last served. One is made at a time, and everybody who waits gets it.
#[derive(Debug, Default)]
pub(crate) struct StatusLists(Mutex<BTreeMap<String, (Timestamp, String)>>);

/// Handles `GET /oauth2/status-lists/{list}`, for everybody, like the keys.
pub(crate) async fn status_list(
    State(broker): State<Arc<Broker>>,
    Path(list): Path<String>,
) -> Response {
    let now = broker.engine.now();
    let mut served = broker.status_lists.0.lock().await;
    served.retain(|_, (at, _)| now.since(*at) < FRESH);
    if let Some((_, token)) = served.get(&list) {
        return answered(token.clone());
    }
    match made(&broker, &list, now).await {
        Ok(Some(token)) => {
            served.insert(list, (now, token.clone()));
            answered(token)
        }
        Ok(None) => (StatusCode::NOT_FOUND, "there is no such list\n").into_response(),
        // A verifier that gets no list goes by the one that it has, until that is too old.
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn made(broker: &Broker, list: &str, now: Timestamp) -> Result<Option<String>, CommitError> {
    let Some(members) = broker.lists.members(list, now) else {
        return Ok(None);
    };
    let mut invalid = Vec::new();
    for some in members.chunks(CHUNK) {
        let found = broker.engine.query(|state| {
            let dead = some.iter().filter(|member| {
                let view = LeaseView::of(state, member.lease);
                !view.is_some_and(|view| view.valid)
            });
            dead.map(|member| member.index).collect::<Vec<_>>()
        });
        invalid.extend(found.await?);
    }
    let of = (broker.issuer.as_str(), list);
    Ok(status::list_token(&broker.keyring, of, invalid, now))
}

fn answered(token: String) -> Response {
    let caching = format!("max-age={}", status::TTL.as_secs());
    let headers = [
        (
            header::CONTENT_TYPE,
            "application/statuslist+jwt".to_owned(),
        ),
        (header::CACHE_CONTROL, caching),
    ];
    (headers, token).into_response()
}
