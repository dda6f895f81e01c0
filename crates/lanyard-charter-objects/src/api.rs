//! Calls to the API server: each has an end, each answer a largest size, and an answer counts only if the API server itself
//! gave it about what was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::api::{GetParams, ListParams, Patch, PatchParams, WatchParams};
use kube::client::Body;
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::object::{Object, Origin};

const API_VERSION: &str = "lanyard.dev/v1";
/// Who writes the status, as the API server records it.
const FIELD_MANAGER: &str = "lanyardd";
/// Objects that a page of a list holds: an object can have 1.5 MiB, and a page is in memory whole.
const PAGE: u32 = 20;
/// The largest answer of an API server that is read about charters.
///
/// # Limit
/// - for: a call to the API server whose charters are read
/// - unit: bytes
/// - beyond: the namespace is not read, and what is in force stays so for `stale_after`
/// - test: `an_answer_without_end_is_cut_off`
const MAX_ANSWER_BYTES: usize = 40 << 20;
/// Objects in one namespace.
///
/// # Limit
/// - for: a namespace of `charter_objects`
/// - unit: Charter objects
/// - beyond: the namespace is not read, and what is in force stays so for `stale_after`
/// - test: `a_namespace_holds_so_many_objects_and_no_more`
const MAX_OBJECTS_PER_NAMESPACE: usize = 2000;

/// Nothing was read. The text is for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Nothing came back in time.
    #[error("the API server does not answer: {0}")]
    Silent(String),
    /// The API server says no.
    #[error("the API server answers {code}: {message}")]
    Refused {
        /// As of HTTP.
        code: u16,
        /// Its words.
        message: String,
    },
    /// Something else answered.
    #[error("the answer is not the API server's own, or not about this: {0}")]
    Foreign(String),
    /// The definition of charters is being deleted.
    #[error("the CustomResourceDefinition `charters.lanyard.dev` is gone, or being deleted")]
    NoDefinition,
    /// There is more than is read.
    #[error("there are more than {MAX_OBJECTS_PER_NAMESPACE} Charter objects in the namespace")]
    TooMany,
}

impl Unread {
    /// Whether the API server says that there is no such thing.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// Whether the API server says that somebody else has changed the object.
    pub(crate) const fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }
}

/// The API server, as this broker's own user.
#[derive(Clone)]
pub struct Api {
    client: Client,
    call: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    #[serde(borrow)]
    api_version: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    metadata: ListMetadata,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Resources {
    kind: String,
    #[serde(rename = "groupVersion")]
    version: String,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMap {
    kind: String,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// How a watch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Something happened: a list says what.
    Changed,
    /// Nothing did, for as long as was asked.
    Unchanged,
}

fn charters(namespace: &str) -> Request {
    Request::new(format!(
        "/apis/{API_VERSION}/namespaces/{namespace}/charters"
    ))
}

fn unbuilt(error: impl std::fmt::Display) -> Unread {
    Unread::Foreign(format!("the request cannot be built: {error}"))
}

impl Api {
    /// Over this client; each call has so long.
    #[must_use]
    pub const fn new(client: Client, call: Duration) -> Self {
        Self { client, call }
    }

    /// The body of an answer of 200 to 299.
    async fn answer(&self, request: http::Request<Vec<u8>>) -> Result<Vec<u8>, Unread> {
        let answered = async {
            let response = self.client.send(request.map(Body::from)).await;
            let (head, body) = response.map_err(silent)?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| Unread::Silent(error.to_string()))?;
            let (code, body) = (head.status.as_u16(), body.to_bytes().to_vec());
            if head.status.is_success() {
                return Ok(body);
            }
            let status = serde_json::from_slice::<Status>(&body);
            let message = status.map_or_else(|_| "no message".to_owned(), |it| it.message);
            Err(Unread::Refused {
                code,
                message: message.chars().take(300).collect(),
            })
        };
        let in_time = tokio::time::timeout(self.call, answered).await;
        in_time.unwrap_or_else(|_| Err(Unread::Silent(format!("not in {:?}", self.call))))
    }

    /// Every Charter object of a namespace, and the version of the list.
    ///
    /// # Errors
    /// When the list is not complete.
    pub(crate) async fn list(&self, namespace: &str) -> Result<(Vec<Object>, String), Unread> {
        let mut page = ListParams::default().limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let request = charters(namespace).list(&page).map_err(unbuilt)?;
            let body = self.answer(request).await?;
            let list: List<'_> = serde_json::from_slice(&body)
                .map_err(|error| Unread::Foreign(error.to_string()))?;
            if list.api_version != API_VERSION || list.kind != "CharterList" {
                return Err(Unread::Foreign(format!("it is a {}", list.kind)));
            }
            for item in list.items {
                let object =
                    Object::read(item).map_err(|error| Unread::Foreign(error.to_string()))?;
                objects.push(object);
            }
            if objects.len() > MAX_OBJECTS_PER_NAMESPACE {
                return Err(Unread::TooMany);
            }
            match list.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok((objects, list.metadata.resource_version)),
            }
        }
    }

    /// Whether new charters could be made: while their definition is being deleted, its objects vanish from lists.
    ///
    /// # Errors
    /// When nobody says so.
    pub(crate) async fn takes_charters(&self) -> Result<bool, Unread> {
        let request = http::Request::get(format!("/apis/{API_VERSION}")).body(Vec::new());
        let body = match self.answer(request.map_err(unbuilt)?).await {
            Err(missing) if missing.is_missing() => return Ok(false),
            answered => answered?,
        };
        let found: Resources =
            serde_json::from_slice(&body).map_err(|error| Unread::Foreign(error.to_string()))?;
        if found.kind != "APIResourceList" || found.version != API_VERSION {
            return Err(Unread::Foreign(format!("it is a {}", found.kind)));
        }
        let mut resources = found.resources.iter();
        let charters = resources.find(|resource| resource.name == "charters");
        Ok(charters.is_some_and(|it| it.verbs.iter().any(|verb| verb == "create")))
    }

    /// Waits until something happens to a Charter object of the namespace, for so long.
    ///
    /// # Errors
    /// When the watch breaks, or the version is too old for one.
    pub(crate) async fn watch(
        &self,
        namespace: &str,
        version: &str,
        window: Duration,
    ) -> Result<Watched, Unread> {
        let seconds = u32::try_from(window.as_secs()).unwrap_or(u32::MAX).max(1);
        let parameters = WatchParams {
            bookmarks: false,
            ..WatchParams::default().timeout(seconds)
        };
        let request = charters(namespace).watch_metadata(&parameters, version);
        let request = request.map_err(unbuilt)?;
        let watched = async {
            let response = self.client.send(request.map(Body::from)).await;
            let response = response.map_err(silent)?;
            if !response.status().is_success() {
                let code = response.status().as_u16();
                let message = "the watch is refused".to_owned();
                return Err(Unread::Refused { code, message });
            }
            // Whatever comes, an error among it, is looked up in a list.
            match response.into_body().into_data_stream().next().await {
                Some(Ok(_)) => Ok(Watched::Changed),
                Some(Err(error)) => Err(Unread::Silent(error.to_string())),
                None => Ok(Watched::Unchanged),
            }
        };
        let in_time = tokio::time::timeout(window + self.call, watched).await;
        in_time.unwrap_or_else(|_| Err(Unread::Silent("the watch does not end".to_owned())))
    }

    /// The texts of a ConfigMap; none where there is none.
    ///
    /// # Errors
    /// When nobody says so.
    pub(crate) async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, Unread> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        let request = Request::new(path).get(name, &GetParams::default());
        let body = match self.answer(request.map_err(unbuilt)?).await {
            Err(missing) if missing.is_missing() => return Ok(None),
            answered => answered?,
        };
        let found: ConfigMap =
            serde_json::from_slice(&body).map_err(|error| Unread::Foreign(error.to_string()))?;
        if found.kind != "ConfigMap" {
            return Err(Unread::Foreign(format!("it is a {}", found.kind)));
        }
        Ok(Some(found.data))
    }

    /// Writes what became of a charter, as it was at this version: one that has changed since is not written to.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub(crate) async fn write_status(
        &self,
        (origin, version): (&Origin, &str),
        status: &Value,
    ) -> Result<(), Unread> {
        let patch = Patch::Merge(serde_json::json!({
            "metadata": {"resourceVersion": version},
            "status": status,
        }));
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let request = charters(&origin.namespace).patch_subresource(
            "status",
            &origin.name,
            &parameters,
            &patch,
        );
        self.answer(request.map_err(unbuilt)?).await.map(drop)
    }
}

fn silent(error: kube::Error) -> Unread {
    Unread::Silent(error.to_string())
}

#[cfg(test)]
mod tests;
