//! Which answers of a server count. Between the broker and an API server stand load balancers, gateways and proxies, which
//! answer in its place when they like: an answer counts only if it is the API server's own, and about what was asked.
//!
//! That is a JSON document of the kind and name that were asked for, or a `Status` with the code of the response.
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

/// How long one call may take, its whole answer included.
pub(crate) const CALL: Duration = Duration::from_secs(10);
/// The largest answer of an API server that is read: a page of a list holds 500 objects.
///
/// # Limit
/// - for: a call to a cluster
/// - unit: bytes
/// - beyond: the answer counts as lost, and the call is repeated where that is safe
/// - test: `s47_an_answer_without_end_is_cut_off`
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// What was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// The resource, as a `Status` names it.
    pub(crate) plural: String,
    /// The object's name, where there is one before the call.
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
}

impl Subject {
    /// Objects of this kind.
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

    /// One of them.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    /// In this namespace.
    pub(crate) fn within(self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self
        }
    }

    /// A list of them.
    fn listed(&self) -> Self {
        Self {
            kind: format!("{}List", self.kind),
            name: None,
            namespace: None,
            ..self.clone()
        }
    }

    /// Whether a document is this, by all that it says of itself.
    fn is(&self, head: &Head) -> bool {
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

    /// Whether a `Status` is about this.
    fn is_meant_by(&self, status: &Status) -> bool {
        let details = status.details.as_ref();
        details.is_some_and(|details| {
            self.name
                .as_deref()
                .is_some_and(|name| details.name == name)
                && details.kind == self.plural
        })
    }
}

/// What a document says of itself. The rest of it, which can hold a token, is not copied for this.
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

/// A list has items: a document without them is something else, and no empty list.
#[derive(Deserialize)]
struct Items {
    #[serde(rename = "items")]
    _items: Vec<IgnoredAny>,
}

/// Why a call did not come to what was asked for.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The API server says no.
    Status(Box<Status>),
    /// Nothing came back, or half of something.
    Lost(&'static str),
    /// Too many calls. Its answer is plain text where the server's own limit is met.
    Throttled,
    /// Something came back that is not the API server's own, or not about this.
    Foreign(String),
}

impl Fault {
    /// Whether the API server says that there is none.
    pub(crate) fn is_missing(&self, subject: &Subject) -> bool {
        matches!(self, Self::Status(status)
            if status.code == 404 && status.reason == "NotFound" && subject.is_meant_by(status))
    }

    /// Whether the API server says that there is one already.
    pub(crate) fn is_there(&self, subject: &Subject) -> bool {
        matches!(self, Self::Status(status)
            if status.code == 409 && status.reason == "AlreadyExists" && subject.is_meant_by(status))
    }
}

/// One answer, read to its end.
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
        let body = body.map_err(|_| Fault::Lost("half an answer, or one that is too large"))?;
        let content = head.headers.get(http::header::CONTENT_TYPE);
        let content = content.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let media = content.split(';').next().unwrap_or_default().trim();
        Ok(Answer {
            code: head.status.as_u16(),
            json: media.eq_ignore_ascii_case("application/json"),
            body: Zeroizing::new(body.to_bytes().to_vec()),
        })
    };
    let in_time = tokio::time::timeout(CALL, answered).await;
    in_time.unwrap_or(Err(Fault::Lost("no answer in time")))
}

impl Answer {
    /// What the document says of itself, where the call was carried out.
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

/// Asks for one document.
pub(crate) async fn document<T: DeserializeOwned>(
    client: &Client,
    request: http::Request<Vec<u8>>,
    subject: &Subject,
) -> Result<T, Fault> {
    let answer = send(client, request).await?;
    if !subject.is(&answer.head()?) {
        return Err(answer.foreign());
    }
    answer.read().ok_or_else(|| answer.foreign())
}

/// Asks for a page of a list.
pub(crate) async fn page<T: DeserializeOwned>(
    client: &Client,
    request: http::Request<Vec<u8>>,
    subject: &Subject,
) -> Result<T, Fault> {
    let answer = send(client, request).await?;
    let is_list = subject.listed().is(&answer.head()?) && answer.read::<Items>().is_some();
    if !is_list {
        return Err(answer.foreign());
    }
    answer.read().ok_or_else(|| answer.foreign())
}

/// Has one object deleted: taken when the API server says so of this very object, or gives the object back, which may
/// still have to go.
pub(crate) async fn delete(
    client: &Client,
    request: http::Request<Vec<u8>>,
    subject: &Subject,
) -> Result<(), Fault> {
    let answer = send(client, request).await?;
    let head = answer.head()?;
    let said = answer.status(&head);
    let success = said.is_some_and(|status| {
        status.status == Some(StatusSummary::Success) && subject.is_meant_by(&status)
    });
    if success || subject.is(&head) {
        Ok(())
    } else {
        Err(answer.foreign())
    }
}

/// The reasons that are passed on. Any other is a text that somebody chose.
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason>
const REASONS: &[&str] = &[
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
    let known = REASONS.iter().find(|known| **known == status.reason);
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

/// What the API server says by a known reason alone: its messages can echo what was sent (T50).
pub(crate) fn mapped(operation: &'static str, fault: &Fault) -> ProviderError {
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

/// As [`mapped`], with the message: where no secret was sent, it says what the broker itself may not do.
pub(crate) fn explained(operation: &'static str, fault: &Fault) -> ProviderError {
    match (mapped(operation, fault), fault) {
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
