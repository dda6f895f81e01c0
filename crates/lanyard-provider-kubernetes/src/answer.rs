//! Decides which answers count. A load balancer, gateway or proxy between the broker and an API
//! server can answer in the server's place, so an answer counts only if it comes from the API
//! server and is about the requested object.
//!
//! Such an answer is a JSON document of the requested kind and name, or a `Status` whose code is
//! that of the response.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::response::{Status, StatusSummary};
use lanyard_core::provider::ProviderError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use crate::PROVIDER;

/// Time limit of one call, its whole answer included.
pub(crate) const CALL_TIME: Duration = Duration::from_secs(10);
/// The largest answer of an API server that is read; a page of a list holds 500 objects.
///
/// # Limit
/// - for: a call to a cluster
/// - unit: bytes
/// - beyond: the answer counts as lost; the call is repeated if that is safe
/// - test: `s47_an_answer_without_end_is_cut_off`
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The object, or the kind of object, that a call is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// The plural name of the kind, as a `Status` has it.
    pub(crate) plural: String,
    /// The object's name, where the call knows it.
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
}

impl Subject {
    /// Objects of kind `K`.
    pub(crate) fn of<K>() -> Self
    where
        K: kube::Resource,
        K::DynamicType: Default,
    {
        let kind = K::DynamicType::default();
        Self {
            api_version: K::api_version(&kind).into_owned(),
            kind: K::kind(&kind).into_owned(),
            plural: K::plural(&kind).into_owned(),
            name: None,
            namespace: None,
        }
    }

    /// Narrows the subject to the object `name`.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    /// Narrows the subject to `namespace`.
    pub(crate) fn within(self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self
        }
    }

    /// The list kind of these objects.
    fn listed(&self) -> Self {
        Self {
            kind: format!("{}List", self.kind),
            name: None,
            namespace: None,
            ..self.clone()
        }
    }

    /// Checks that a document is this subject, by kind, version, name and namespace.
    fn matches(&self, head: &Head) -> bool {
        let metadata = head.metadata.as_ref();
        let same = |wanted: &Option<String>, found: Option<&String>| {
            wanted.is_none() || wanted.as_ref() == found
        };
        head.api_version == self.api_version
            && head.kind == self.kind
            && same(&self.name, metadata.and_then(|it| it.name.as_ref()))
            && same(
                &self.namespace,
                metadata.and_then(|it| it.namespace.as_ref()),
            )
    }

    /// Checks that a `Status` is about this object.
    fn is_subject_of(&self, status: &Status) -> bool {
        let details = status.details.as_ref();
        details.is_some_and(|details| {
            self.name
                .as_deref()
                .is_some_and(|name| details.name == name)
                && details.kind == self.plural
        })
    }
}

/// A document's own kind, name and namespace. Only these are parsed, since the rest can hold a
/// token that must not be copied.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default, rename = "apiVersion")]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: Option<HeadMetadata>,
}

#[derive(Debug, Deserialize)]
struct HeadMetadata {
    name: Option<String>,
    namespace: Option<String>,
}

/// The items of a list. A document without `items` is not an empty list, and is refused.
#[derive(Deserialize)]
struct Items {
    #[serde(rename = "items")]
    _items: Vec<IgnoredAny>,
}

/// The reason why a call did not return the requested document.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The API server refused, with a `Status` of its own.
    Status(Box<Status>),
    /// No answer arrived, or only a part of one.
    Lost(&'static str),
    /// The API server throttles the broker; the server's own limit answers with plain text.
    Throttled,
    /// The answer is not the API server's, or is about another object.
    Foreign(String),
}

impl Fault {
    /// True when the API server says that the subject does not exist.
    pub(crate) fn is_missing(&self, subject: &Subject) -> bool {
        matches!(self, Self::Status(status)
            if status.code == 404 && status.reason == "NotFound" && subject.is_subject_of(status))
    }

    /// True when the API server says that the subject exists already.
    pub(crate) fn exists_already(&self, subject: &Subject) -> bool {
        matches!(self, Self::Status(status)
            if status.code == 409 && status.reason == "AlreadyExists" && subject.is_subject_of(status))
    }
}

/// An answer that was received completely.
struct Answer {
    code: u16,
    json: bool,
    body: Zeroizing<Vec<u8>>,
}

async fn send(client: &Client, request: http::Request<Vec<u8>>) -> Result<Answer, Fault> {
    let answered = async {
        let response = client.send(request.map(Body::from)).await;
        let response = response.map_err(|_| Fault::Lost("not reached"))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| Fault::Lost("incomplete answer, or one that is too large"))?;
        let content = head.headers.get(http::header::CONTENT_TYPE);
        let content = content.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let media = content.split(';').next().unwrap_or_default().trim();
        Ok(Answer {
            code: head.status.as_u16(),
            json: media.eq_ignore_ascii_case("application/json"),
            body: Zeroizing::new(body.to_bytes().to_vec()),
        })
    };
    let in_time = tokio::time::timeout(CALL_TIME, answered).await;
    in_time.unwrap_or(Err(Fault::Lost("no answer in time")))
}

impl Answer {
    /// Parses the head of the returned document, or returns the fault that the answer means.
    fn head(&self) -> Result<Head, Fault> {
        if self.code == 429 {
            return Err(Fault::Throttled);
        }
        let head = self.read::<Head>().ok_or_else(|| self.foreign())?;
        if (200..300).contains(&self.code) {
            return Ok(head);
        }
        match self.status(&head) {
            Some(status)
                if status.status == Some(StatusSummary::Failure) && status.code == self.code =>
            {
                Err(Fault::Status(Box::new(status)))
            }
            Some(_) | None => Err(self.foreign()),
        }
    }

    fn status(&self, head: &Head) -> Option<Status> {
        let is = head.kind == "Status" && head.api_version == "v1";
        is.then(|| self.read()).flatten()
    }

    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        self.json
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }

    fn foreign(&self) -> Fault {
        let what = if self.json {
            "another document"
        } else {
            "no JSON"
        };
        Fault::Foreign(format!(
            "{} with {what}: not the API server's own answer",
            self.code
        ))
    }
}

/// Sends a request that returns one document.
pub(crate) async fn document<T: DeserializeOwned>(
    client: &Client,
    request: http::Request<Vec<u8>>,
    subject: &Subject,
) -> Result<T, Fault> {
    let answer = send(client, request).await?;
    if !subject.matches(&answer.head()?) {
        return Err(answer.foreign());
    }
    answer.read().ok_or_else(|| answer.foreign())
}

/// Sends a request that returns a page of a list.
pub(crate) async fn page<T: DeserializeOwned>(
    client: &Client,
    request: http::Request<Vec<u8>>,
    subject: &Subject,
) -> Result<T, Fault> {
    let answer = send(client, request).await?;
    let is_list = subject.listed().matches(&answer.head()?) && answer.read::<Items>().is_some();
    if !is_list {
        return Err(answer.foreign());
    }
    answer.read().ok_or_else(|| answer.foreign())
}

/// Sends a request that deletes one object. The deletion counts as accepted if the API server names
/// this very object in a success, or returns the object, which may still exist.
pub(crate) async fn delete(
    client: &Client,
    request: http::Request<Vec<u8>>,
    subject: &Subject,
) -> Result<(), Fault> {
    let answer = send(client, request).await?;
    let head = answer.head()?;
    let said = answer.status(&head);
    let success = said.is_some_and(|status| {
        status.status == Some(StatusSummary::Success) && subject.is_subject_of(&status)
    });
    if success || subject.matches(&head) {
        Ok(())
    } else {
        Err(answer.foreign())
    }
}

/// The reasons that are shown. Any other reason may be attacker-chosen text.
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason>
const KNOWN_REASONS: &[&str] = &[
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "RequestEntityTooLarge",
    "ServerTimeout",
    "ServiceUnavailable",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
];

pub(crate) fn refused(operation: &'static str, code: String) -> ProviderError {
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code,
    }
}

pub(crate) fn ambiguous(operation: &'static str, code: impl Into<String>) -> ProviderError {
    ProviderError::Ambiguous {
        provider: PROVIDER,
        operation,
        code: code.into(),
    }
}

fn of_status(operation: &'static str, status: &Status) -> ProviderError {
    let known = KNOWN_REASONS.iter().find(|known| **known == status.reason);
    let code = match known {
        Some(reason) => format!("{} {reason}", status.code),
        None => status.code.to_string(),
    };
    match status.code {
        429 => ProviderError::Throttled {
            provider: PROVIDER,
            operation,
        },
        400..=499 => refused(operation, code),
        _ => ambiguous(operation, code),
    }
}

/// Converts a fault into a [`ProviderError`] that holds at most a known reason, because the API
/// server's messages can echo what was sent (T50).
pub(crate) fn provider_error(operation: &'static str, fault: &Fault) -> ProviderError {
    match fault {
        Fault::Status(status) => of_status(operation, status),
        Fault::Throttled => ProviderError::Throttled {
            provider: PROVIDER,
            operation,
        },
        Fault::Lost(what) => ambiguous(operation, *what),
        Fault::Foreign(what) => ambiguous(operation, what.clone()),
    }
}

/// Converts a fault as [`provider_error`] does, and keeps the API server's message. Only for calls
/// that send no secret: the message names the right that the broker lacks.
pub(crate) fn provider_error_with_message(operation: &'static str, fault: &Fault) -> ProviderError {
    match (provider_error(operation, fault), fault) {
        (ProviderError::Refused { code, .. }, Fault::Status(status)) => {
            let message: String = status
                .message
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(1000)
                .collect();
            refused(operation, format!("{code}: {message}"))
        }
        (other, _) => other,
    }
}
