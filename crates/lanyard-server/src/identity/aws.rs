//! Asks AWS STS who signed a request, and reads the section `aws_identities` of the configuration.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_document::shape::{Empty, Form, List, Map, optional, required};
use lanyard_document::{Code, Item};
use lanyard_identity::aws::{
    AccountId, AwsCallers, BODY, CallerIdentity, CallerIdentityRequest, Region, RejectedAnswer,
    ServerId,
};
use lanyard_identity::replay_cache::{ProofId, Use};
use lanyard_identity::{CLOCK_SKEW, RejectedToken, Verified};
use lanyard_secret_file::read_plain;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Evidence, Method};
use lanyard_vocabulary::person::Sponsor;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};
use tokio::sync::Semaphore;

use super::{Doors, Found, Unaccepted};
use crate::values::{PATH, path};

/// The longest wait for an answer of STS.
///
/// # Limit
/// - for: an answer of STS
/// - unit: time
/// - beyond: the caller is refused
/// - test: `t10_an_sts_that_does_not_answer_is_given_up`
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The most STS requests in flight. They are bounded because callers cause them before they are
/// authenticated.
///
/// # Limit
/// - for: all callers together
/// - unit: calls
/// - beyond: the caller gets `UNAVAILABLE`
/// - test: `t41_requests_in_flight_are_limited`
const MAX_CALLS_TO_STS: usize = 32;
/// The most STS requests in flight for one peer address.
///
/// # Limit
/// - for: an address
/// - unit: calls
/// - beyond: the caller gets `UNAVAILABLE`
/// - test: `t41_requests_in_flight_are_limited`
const MAX_CALLS_TO_STS_PER_PEER: usize = 8;
/// The most bytes of an STS answer that are read. The parser bounds the text once more.
///
/// # Limit
/// - for: an answer of STS
/// - unit: bytes
/// - beyond: the caller is refused
/// - test: `t10_a_redirect_is_not_followed_and_an_endless_answer_not_read`
const MAX_STS_ANSWER_BYTES: usize = 16 * 1024;

/// The AWS workloads that may call.
#[derive(Debug)]
pub(crate) struct AwsIdentityConfig {
    server_id: ServerId,
    regions: BTreeSet<Region>,
    accounts: BTreeSet<AccountId>,
    endpoint: Option<Url>,
    ca_file: Option<PathBuf>,
}

const NOBODY: Empty = Empty::new(
    Code::Value,
    "at least one entry is needed: without one no AWS workload can authenticate",
);

pub(super) fn shape() -> Map {
    let regions = List::of(Form::new("a region", "^[a-z0-9-]+$")).not_empty(NOBODY);
    let accounts = List::of(Form::new("an account: twelve digits", "^[0-9]{12}$"));
    Map::new()
        .with(required(
            "server_id",
            "The value that a request has to be signed with, so that it is for this broker alone.",
            Form::new("visible ASCII, 255 bytes at most", "."),
        ))
        .with(required(
            "regions",
            "The regions whose STS is asked.",
            regions,
        ))
        .with(required(
            "accounts",
            "The accounts whose workloads may call.",
            accounts.not_empty(NOBODY),
        ))
        .with(optional(
            "endpoint",
            "A stand-in for STS, which only a test has.",
            Form::new("a URL of http on loopback", "[Hh][Tt][Tt][Pp]:"),
        ))
        .with(
            optional("ca_file", "The authorities of STS in PEM.", PATH)
                .absent("those of the system"),
        )
}

/// Reads the section of the configuration.
pub(super) fn config(item: Item<'_>, base: &Path) -> Option<AwsIdentityConfig> {
    let section = item.section()?;
    let server_id = section.get("server_id").and_then(Item::parsed);
    let regions = section.get("regions").and_then(set);
    let accounts = section.get("accounts").and_then(set);
    let endpoint = section.get("endpoint").map(endpoint);
    let ca_file = section.get("ca_file").map(|item| path(item, base));
    Some(AwsIdentityConfig {
        server_id: server_id?,
        regions: regions?,
        accounts: accounts?,
        endpoint: match endpoint {
            Some(read) => Some(read?),
            None => None,
        },
        ca_file: match ca_file {
            Some(read) => Some(read?),
            None => None,
        },
    })
}

/// Reads a list; `None` if an entry is invalid. The description says that it has entries.
fn set<T: Ord + FromStr<Err: std::fmt::Display>>(item: Item<'_>) -> Option<BTreeSet<T>> {
    item.items().into_iter().map(Item::parsed).collect()
}

/// Reads the URL of a fake STS for tests. Only loopback is allowed, because whoever runs it can
/// impersonate every AWS caller.
fn endpoint(item: Item<'_>) -> Option<Url> {
    let url: Url = item.parsed()?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let ok = url.scheme() == "http" && here;
    if !ok {
        let message = "expected an `http://` URL on loopback: the endpoint is for tests only";
        item.report(Code::Value, message);
    }
    ok.then_some(url)
}

impl AwsIdentityConfig {
    /// Builds the STS client. It refuses callers that act as one of `lease_roles`, the roles that
    /// the broker itself hands out.
    pub(crate) fn open<'a>(
        &self,
        lease_roles: impl IntoIterator<Item = &'a str>,
    ) -> Result<AwsIdentities> {
        let lease_roles = lease_roles.into_iter().map(str::parse);
        let lease_roles = lease_roles.collect::<Result<_, _>>()?;
        let mut builder = Client::builder()
            .https_only(self.endpoint.is_none())
            .redirect(Policy::none())
            .timeout(CALL_TIMEOUT);
        if let Some(path) = &self.ca_file {
            let pem = read_plain(path)?;
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(AwsIdentities {
            callers: AwsCallers::new(
                self.server_id.clone(),
                self.regions.clone(),
                self.accounts.clone(),
                lease_roles,
            ),
            client: builder.build()?,
            endpoint: self.endpoint.clone(),
            in_flight: Semaphore::new(MAX_CALLS_TO_STS),
            by_peer: Mutex::default(),
        })
    }
}

/// The reason why STS did not identify a caller. For the log; callers do not see it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// [`MAX_CALLS_TO_STS`] requests are in flight already.
    #[error("{MAX_CALLS_TO_STS} requests to STS are under way")]
    Busy,
    /// STS did not answer, or did not complete its answer.
    #[error("STS does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// The answer exceeds [`MAX_STS_ANSWER_BYTES`].
    #[error("STS answers with more than {MAX_STS_ANSWER_BYTES} bytes")]
    Size,
    /// The answer names no identity.
    #[error(transparent)]
    Answer(#[from] RejectedAnswer),
}

/// The client of STS.
#[derive(Debug)]
pub(crate) struct AwsIdentities {
    callers: AwsCallers,
    client: Client,
    endpoint: Option<Url>,
    in_flight: Semaphore,
    by_peer: Mutex<HashMap<Option<IpAddr>, usize>>,
}

/// A slot of an address for one STS request in flight.
struct Slot<'a>(&'a AwsIdentities, Option<IpAddr>);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut by_peer = self.0.by_peer.lock();
        if let Some(count) = by_peer.get_mut(&self.1) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_peer.remove(&self.1);
            }
        }
    }
}

impl AwsIdentities {
    /// Reserves a slot for this address; `None` if all are in use.
    fn slot_of(&self, peer: Option<IpAddr>) -> Option<Slot<'_>> {
        let mut by_peer = self.by_peer.lock();
        let count = by_peer.entry(peer).or_default();
        if *count >= MAX_CALLS_TO_STS_PER_PEER {
            return None;
        }
        *count += 1;
        drop(by_peer);
        Some(Slot(self, peer))
    }

    /// The rules that requests are checked against.
    pub(crate) const fn callers(&self) -> &AwsCallers {
        &self.callers
    }

    /// Sends the request once and reads the answer. The caller of this function checks the replay
    /// cache.
    pub(crate) async fn ask(
        &self,
        request: &CallerIdentityRequest,
    ) -> Result<CallerIdentity, AskError> {
        let slot = self.in_flight.try_acquire().map_err(|_| AskError::Busy)?;
        let (region, url) = (request.region(), request.region().url());
        let mut post = match &self.endpoint {
            Some(endpoint) => self.client.post(endpoint.clone()),
            None => self.client.post(url),
        };
        for (name, value) in request.headers() {
            post = post.header(name, value);
        }
        let answer = post.body(BODY).send().await;
        let answer = answer.map_err(AskError::Unreachable)?;
        let status = answer.status().as_u16();
        let body = bounded(answer).await?;
        drop(slot);
        Ok(CallerIdentity::parse(status, &body, region, &self.callers)?)
    }
}

impl Doors {
    /// Returns the identity that STS names for the signed request.
    pub(crate) async fn by_aws(
        &self,
        peer: Option<IpAddr>,
        (token, key): (&str, Option<&Confirmation>),
        now: Timestamp,
    ) -> Result<Found, Unaccepted> {
        let aws = self.aws.as_ref().ok_or(RejectedToken::Issuer)?;
        let request = CallerIdentityRequest::parse(token, aws.callers(), now);
        let request = request.map_err(|error| {
            tracing::info!(%error, "the proof of an AWS workload was not accepted");
            RejectedToken::Claims
        })?;
        // The signature is not verified yet, so the quota is charged to the claimed access key
        // together with the peer address: a stranger cannot use up another caller's quota.
        let from = peer.map(|peer| peer.to_string()).unwrap_or_default();
        let signed_by = format!("aws {} from {from}", access_key(&request));
        self.quotas.admit(&signed_by, peer, now)?;
        let used = Use {
            id: ProofId::of(&["aws", &URL_SAFE_NO_PAD.encode(request.replay_key())]),
            key: key.cloned(),
            until: request.expires() + CLOCK_SKEW,
        };
        let refused = || self.quotas.refused(&signed_by, peer, now);
        self.memory.check_unused(&used).inspect_err(|_| refused())?;
        let _slot = aws.slot_of(peer).ok_or(RejectedToken::Unanswered(
            "too many requests to STS are under way for one address",
        ))?;
        let caller = aws.ask(&request).await.map_err(|error| {
            tracing::warn!(
                error = error_chain(&error),
                "STS did not confirm the caller"
            );
            match error {
                AskError::Answer(_) => {
                    refused();
                    RejectedToken::Disowned("STS rejected the signature")
                }
                AskError::Busy | AskError::Unreachable(_) | AskError::Size => {
                    RejectedToken::Unanswered("STS could not be asked")
                }
            }
        })?;
        let session = caller.session().map(str::to_owned);
        let unique = ("unique_id".to_owned(), caller.unique_id().to_owned());
        let session = session.map(|name| ("session".to_owned(), name));
        let evidence = Evidence {
            method: Method::AwsCallerIdentity,
            claims: session.into_iter().chain([unique]).collect(),
            key: key.cloned(),
        };
        let identity = caller.identity();
        Ok(Found {
            who: Verified::Agent(Caller {
                identity,
                evidence,
                sponsor: Sponsor::Nobody,
            }),
            used: Some(used),
        })
    }
}

/// Returns the claimed access key, which is not verified yet. It is a part of the quota's key.
fn access_key(request: &CallerIdentityRequest) -> &str {
    let mut headers = request.headers();
    let header = headers.find(|(name, _)| *name == "authorization");
    let (_, header) = header.unwrap_or_default();
    let (_, credential) = header.split_once("Credential=").unwrap_or_default();
    credential.split('/').next().unwrap_or_default()
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let lines: Vec<String> = causes.map(ToString::to_string).collect();
    lines.join(": ")
}

async fn bounded(mut answer: Response) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(AskError::Unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_STS_ANSWER_BYTES {
            return Err(AskError::Size);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
