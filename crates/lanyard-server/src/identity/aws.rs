//! Asks AWS STS who signed a request, and reads the section `aws_identities` of the configuration.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::document::{Code, Diagnostic, Findings, Node};
use lanyard_core::identity::{Caller, Confirmation, Evidence, Method};
use lanyard_core::person::Sponsor;
use lanyard_core::time::Timestamp;
use lanyard_identity::aws::{
    AccountId, AwsCallers, BODY, CallerIdentity, CallerIdentityRequest, Region, RejectedAnswer,
    ServerId,
};
use lanyard_identity::replay_cache::{ProofId, Use};
use lanyard_identity::{CLOCK_SKEW, RejectedToken, Verified};
use lanyard_secret_file::read_plain;
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};
use tokio::sync::Semaphore;

use super::{Doors, Found, Refused};

/// How long one answer may take.
///
/// # Limit
/// - for: an answer of STS
/// - unit: time
/// - beyond: the caller is refused
/// - test: `t10_an_sts_that_does_not_answer_is_given_up`
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests may be under way: callers that nobody knows yet make this broker send them.
///
/// # Limit
/// - for: all callers together
/// - unit: calls
/// - beyond: the caller is refused as unavailable
/// - test: `t41_no_more_than_so_many_are_under_way`
const MAX_CALLS_TO_STS: usize = 32;
/// How many of them for one address.
///
/// # Limit
/// - for: an address
/// - unit: calls
/// - beyond: the caller is refused as unavailable
/// - test: `t41_no_more_than_so_many_are_under_way`
const MAX_CALLS_TO_STS_PER_PEER: usize = 8;
/// The largest answer, in bytes; what is read of it is bounded once more.
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

/// Reads the section.
pub(crate) fn config(f: &Findings, node: &Node, base: &Path) -> Option<AwsIdentityConfig> {
    let fields = f.map(node)?;
    let server_id = fields.required("server_id");
    let server_id = server_id.and_then(|node| f.parsed(node));
    let regions = fields.required("regions").and_then(|node| set(f, node));
    let accounts = fields.required("accounts").and_then(|node| set(f, node));
    let endpoint = fields.optional("endpoint").map(|node| endpoint(f, node));
    let ca_file = fields.optional("ca_file").map(|node| f.text(node));
    fields.finish();
    Some(AwsIdentityConfig {
        server_id: server_id?,
        regions: regions?,
        accounts: accounts?,
        endpoint: match endpoint {
            Some(read) => Some(read?),
            None => None,
        },
        ca_file: match ca_file {
            Some(file) => Some(base.join(file?)),
            None => None,
        },
    })
}

/// Reads a list with at least one entry and no faults.
fn set<T: Ord + FromStr<Err: std::fmt::Display>>(f: &Findings, node: &Node) -> Option<BTreeSet<T>> {
    let items = f.list(node);
    if items.is_empty() {
        let message = "this must not be empty: nobody could call".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    }
    items.iter().map(|item| f.parsed(item)).collect()
}

/// Reads the endpoint of a stand-in for STS. Only this machine is allowed, because the endpoint
/// decides who everybody is.
fn endpoint(f: &Findings, node: &Node) -> Option<Url> {
    let url: Url = f.parsed(node)?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let ok = url.scheme() == "http" && here;
    if !ok {
        let message = "expected a URL of http on loopback: only a test has its own STS".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
    }
    ok.then_some(url)
}

impl AwsIdentityConfig {
    /// Prepares the calls. `roles` are the targets' roles, which the broker itself hands out.
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
            places: Semaphore::new(MAX_CALLS_TO_STS),
            by_peer: Mutex::default(),
        })
    }
}

/// Why STS named no caller. Callers are not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// As many calls as allowed are under way.
    #[error("{MAX_CALLS_TO_STS} requests to STS are under way")]
    Busy,
    /// STS did not answer, or not completely.
    #[error("STS does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// The answer is larger than any answer of STS.
    #[error("STS answers with more than {MAX_STS_ANSWER_BYTES} bytes")]
    Size,
    /// The answer names nobody.
    #[error(transparent)]
    Answer(#[from] RejectedAnswer),
}

/// The client of STS.
#[derive(Debug)]
pub(crate) struct AwsIdentities {
    callers: AwsCallers,
    client: Client,
    endpoint: Option<Url>,
    places: Semaphore,
    by_peer: Mutex<HashMap<Option<IpAddr>, usize>>,
}

/// One of the calls that an address may have under way.
struct Place<'a>(&'a AwsIdentities, Option<IpAddr>);

impl Drop for Place<'_> {
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
    /// Reserves a call for this address, unless it has used all of its calls.
    fn place_of(&self, peer: Option<IpAddr>) -> Option<Place<'_>> {
        let mut by_peer = self.by_peer.lock();
        let count = by_peer.entry(peer).or_default();
        if *count >= MAX_CALLS_TO_STS_PER_PEER {
            return None;
        }
        *count += 1;
        drop(by_peer);
        Some(Place(self, peer))
    }

    /// The rules that requests are checked against.
    pub(crate) const fn callers(&self) -> &AwsCallers {
        &self.callers
    }

    /// Sends the request once and reads the answer. The replay cache is checked elsewhere.
    pub(crate) async fn ask(
        &self,
        request: &CallerIdentityRequest,
    ) -> Result<CallerIdentity, AskError> {
        let place = self.places.try_acquire().map_err(|_| AskError::Busy)?;
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
        drop(place);
        Ok(CallerIdentity::parse(status, &body, region, &self.callers)?)
    }
}

impl Doors {
    /// The identity that STS names for the request.
    pub(super) async fn by_aws(
        &self,
        peer: Option<IpAddr>,
        (token, key): (&str, Option<&Confirmation>),
        now: Timestamp,
    ) -> Result<Found, Refused> {
        let aws = self.aws.as_ref().ok_or(RejectedToken::Issuer)?;
        let request = CallerIdentityRequest::parse(token, aws.callers(), now);
        let request = request.map_err(|error| {
            tracing::info!(%error, "the proof of an AWS workload was not accepted");
            RejectedToken::Claims
        })?;
        // Nothing is proved yet: what is counted is counted of whoever says so from there.
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
        let _place = aws.place_of(peer).ok_or(RejectedToken::Unanswered(
            "too many requests to STS are under way for one address",
        ))?;
        let caller = aws.ask(&request).await.map_err(|error| {
            tracing::warn!(
                error = error_chain(&error),
                "STS does not stand for a caller"
            );
            match error {
                AskError::Answer(_) => {
                    refused();
                    RejectedToken::Disowned("STS does not know who signed")
                }
                AskError::Busy | AskError::Unreachable(_) | AskError::Size => {
                    RejectedToken::Unanswered("STS does not say who signed")
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

/// The access key that the request names, by which calls to STS are limited.
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
