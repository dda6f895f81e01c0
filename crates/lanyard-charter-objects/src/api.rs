//! Calls to the API server, each limited in time and in the size of its answer. An answer counts
//! only if the API server itself gave it, about the object that was asked for.

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
/// Field manager under which the API server records writes of the status.
const FIELD_MANAGER: &str = "lanyardd";
/// Number of objects on a page of a list. An object can have 1.5 MiB, and a whole page is held in
/// memory.
const OBJECTS_PER_PAGE: u32 = 20;
/// The largest answer of an API server that is read about charters.
///
/// # Limit
/// - for: a call to the API server whose charters are read
/// - unit: bytes
/// - beyond: the namespace counts as unread, and its charters stay in force for `stale_after`
/// - test: `an_answer_without_end_is_cut_off`
const MAX_ANSWER_BYTES: usize = 40 << 20;
/// Charter objects that are read in one namespace.
///
/// # Limit
/// - for: a namespace of `charter_objects`
/// - unit: Charter objects
/// - beyond: the namespace counts as unread, and its charters stay in force for `stale_after`
/// - test: `the_number_of_objects_in_a_namespace_is_limited`
const MAX_OBJECTS_PER_NAMESPACE: usize = 2000;

/// The reason why nothing was read, in words for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// No answer came in time.
    #[error("the API server does not answer: {0}")]
    Silent(String),
    /// The API server refused the call.
    #[error("the API server answers {code}: {message}")]
    Refused {
        /// HTTP status of the answer.
        code: u16,
        /// Message of the API server's `Status`.
        message: String,
    },
    /// The answer is not the API server's, or is about something else.
    #[error("the answer is not the API server's own, or is about another object: {0}")]
    Foreign(String),
    /// The definition of charters is being deleted.
    #[error("the CustomResourceDefinition `charters.lanyard.dev` is missing or being deleted")]
    NoDefinition,
    /// The namespace has more objects than are read.
    #[error("the namespace has more than {MAX_OBJECTS_PER_NAMESPACE} Charter objects")]
    TooMany,
}

impl Unread {
    /// True when the API server says that the object does not exist.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// Returns true when the API server reports a conflict: the object changed meanwhile.
    pub(crate) const fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }
}

/// The API server, called as this broker's own user.
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

/// The end of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// An event arrived; the next list shows what changed.
    Changed,
    /// No event arrived within the window.
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
    /// Wraps a client; `call` is the time limit of each call.
    #[must_use]
    pub const fn new(client: Client, call: Duration) -> Self {
        Self { client, call }
    }

    /// Sends a request and returns the body of a success.
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

    /// Lists every Charter object of a namespace; returns them with the list's resource version.
    ///
    /// # Errors
    /// When any page is missing: charters on a missing page would look deleted.
    pub(crate) async fn list(&self, namespace: &str) -> Result<(Vec<Object>, String), Unread> {
        let mut page = ListParams::default().limit(OBJECTS_PER_PAGE);
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
            // More objects are an error: in a truncated list the others would look deleted.
            if objects.len() > MAX_OBJECTS_PER_NAMESPACE {
                return Err(Unread::TooMany);
            }
            match list.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok((objects, list.metadata.resource_version)),
            }
        }
    }

    /// Asks whether Charter objects can be created. While their definition is being deleted, its
    /// objects vanish from lists.
    ///
    /// # Errors
    /// When the API server gives no usable answer.
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

    /// Waits up to `window` for an event about a Charter object of the namespace.
    ///
    /// # Errors
    /// When the watch breaks, or `version` is too old for one.
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
            // The content of the event does not matter, not even that of an error: a list follows.
            match response.into_body().into_data_stream().next().await {
                Some(Ok(_)) => Ok(Watched::Changed),
                Some(Err(error)) => Err(Unread::Silent(error.to_string())),
                None => Ok(Watched::Unchanged),
            }
        };
        let in_time = tokio::time::timeout(window + self.call, watched).await;
        in_time.unwrap_or_else(|_| Err(Unread::Silent("the watch does not end".to_owned())))
    }

    /// Reads the texts of a ConfigMap; `None` when it does not exist.
    ///
    /// # Errors
    /// When the API server gives no usable answer.
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

    /// Writes the status of a charter's object, if the object still has this resource version.
    ///
    /// # Errors
    /// When the API server refuses the write, a conflict included.
    pub(crate) async fn write_status(
        &self,
        (origin, version): (&Origin, &str),
        status: &Value,
    ) -> Result<(), Unread> {
        let patch = Patch::Merge(serde_json::json!({
            // The resource version keeps a verdict about an older object from being written to a
            // newer one.
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
