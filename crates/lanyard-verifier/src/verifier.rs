//! Verifies a request: the token, its revocation, and the key that it is bound to.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use lanyard_identity::RejectedToken;
use lanyard_identity::dpop::Target;
use lanyard_identity::jws::Jws;
use lanyard_vocabulary::identity::Confirmation;

use crate::accepted::{Accepted, ClientCertificate};
use crate::broker::Broker;
use crate::clock::{Clock, SystemClock};
use crate::fetch::{Fetch, FetchError, Https};
use crate::keys::Keys;
use crate::lists::Lists;
use crate::proofs::Proofs;
use crate::refusal::Refusal;
use crate::sources::Sources;
use crate::token::{ACCESS_TOKEN_TYPE, Claims};

/// Header with a proof of possession (RFC 9449 section 4).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The default for the greatest age of a status list. The broker's lists expire after 30 s as well.
///
/// # Limit
/// - for: a status list
/// - unit: of time
/// - beyond: every token is refused until the list can be fetched again
/// - test: `without_the_broker_a_stale_list_refuses_every_token`
pub const MAX_LIST_AGE: Duration = Duration::from_secs(30);

/// A tool's demands on tokens.
#[derive(Debug, Clone)]
pub struct Demands {
    audience: String,
    origins: Vec<String>,
    oldest: Duration,
    bound: Bound,
}

/// The tokens that have to come with proof of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Only tokens that are bound to a key.
    Some,
    /// All tokens: unbound ones are refused.
    All,
}

impl Demands {
    /// Demands tokens for the tool's own audience, as the charters' grants name it.
    #[must_use]
    pub fn audience(audience: &str) -> Self {
        Self {
            audience: audience.to_owned(),
            origins: Vec::new(),
            oldest: MAX_LIST_AGE,
            bound: Bound::Some,
        }
    }

    /// Adds an origin under which callers reach the tool, such as `https://tickets.example`, with a
    /// path where a proxy removes one. Proofs of possession name the origin; without one, tokens
    /// bound to a key by DPoP are refused. The `Host` header is not used, because whoever relays a
    /// proof chooses it.
    #[must_use]
    pub fn reached_at(mut self, origin: &str) -> Self {
        self.origins.push(origin.trim_end_matches('/').to_owned());
        self
    }

    /// Demands that every token is bound to a key, so that a stolen token is useless.
    #[must_use]
    pub fn bound(self) -> Self {
        let bound = Bound::All;
        Self { bound, ..self }
    }

    /// Refuses every token once the status list is older than `oldest`; at most [`MAX_LIST_AGE`].
    #[must_use]
    pub fn revoked_within(self, oldest: Duration) -> Self {
        let oldest = oldest.min(MAX_LIST_AGE);
        Self { oldest, ..self }
    }
}

/// Verifies requests to one tool. Clones share caches.
#[derive(Clone)]
pub struct Verifier(Arc<Judge>);

/// The state of a verifier.
struct Judge {
    demands: Demands,
    sources: Sources,
    keys: Keys,
    lists: Lists,
    proofs: Proofs,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("broker", &self.0.sources.broker.issuer())
            .field("demands", &self.0.demands)
            .finish_non_exhaustive()
    }
}

/// The scheme of the `Authorization` header.
enum Scheme<'a> {
    Bearer,
    /// DPoP, with this proof.
    Dpop(&'a str),
}

impl Verifier {
    /// A verifier of this broker's tokens. Fetches nothing before the first request.
    ///
    /// # Errors
    /// [`FetchError::Client`] when the broker's root certificates cannot be parsed.
    pub fn new(broker: Broker, demands: Demands) -> Result<Self, FetchError> {
        let fetch = Https::trusting(broker.authority())?;
        let clock = SystemClock::start();
        Ok(Self::with(
            broker,
            demands,
            (Arc::new(fetch), Arc::new(clock)),
        ))
    }

    /// A verifier with another way to fetch and another clock, for tests.
    #[must_use]
    pub fn with(
        broker: Broker,
        demands: Demands,
        (fetch, clock): (Arc<dyn Fetch>, Arc<dyn Clock>),
    ) -> Self {
        let sources = Sources {
            broker,
            fetch,
            clock,
        };
        Self(Arc::new(Judge {
            demands,
            sources,
            keys: Keys::default(),
            lists: Lists::default(),
            proofs: Proofs::default(),
        }))
    }

    /// Verifies a request by its head, as [`Verifier::layer`] does, for servers without tower.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn accept(&self, request: &Parts) -> Result<Accepted, Refusal> {
        let judge = &*self.0;
        let (scheme, token) = token_of(&request.headers)?;
        let claims = judge.claims(token).await?;
        judge
            .lists
            .check(
                claims.place()?,
                judge.demands.oldest,
                &judge.keys,
                &judge.sources,
            )
            .await?;
        // Last, so that only callers with a valid token can take space in the replay cache.
        judge.check_possession(request, (&scheme, token), &claims)?;
        Ok(claims.accepted())
    }
}

impl Judge {
    async fn claims(&self, token: &str) -> Result<Claims, Refusal> {
        let jws = Jws::parse_as(token, ACCESS_TOKEN_TYPE).map_err(Refusal::Forged)?;
        self.keys.check(&jws, &self.sources).await?;
        let claims: Claims = jws.claims().map_err(Refusal::Forged)?;
        let (issuer, now) = (self.sources.broker.issuer(), self.sources.clock.now());
        claims.check(issuer, &self.demands.audience, now)?;
        Ok(claims)
    }

    /// Checks that the caller holds the key that the token is bound to.
    fn check_possession(
        &self,
        request: &Parts,
        (scheme, token): (&Scheme<'_>, &str),
        claims: &Claims,
    ) -> Result<(), Refusal> {
        match (&claims.cnf, scheme) {
            (Some(key @ Confirmation::Key(_)), Scheme::Dpop(proof)) => {
                let target = Target {
                    method: request.method.as_str(),
                    path: request.uri.path(),
                    origins: &self.demands.origins,
                };
                let now = self.sources.clock.now();
                self.proofs.check(proof, (key, token), &target, now)
            }
            (Some(Confirmation::Certificate(fingerprint)), Scheme::Bearer) => {
                let shown = request.extensions.get::<ClientCertificate>();
                let same = shown.is_some_and(|shown| shown.fingerprint() == fingerprint);
                same.then_some(()).ok_or(Refusal::Certificate)
            }
            (None, Scheme::Bearer) => match self.demands.bound {
                Bound::Some => Ok(()),
                Bound::All => Err(Refusal::Unbound),
            },
            (Some(Confirmation::Key(_)), Scheme::Bearer)
            | (Some(Confirmation::Certificate(_)) | None, Scheme::Dpop(_)) => Err(Refusal::Scheme),
        }
    }
}

/// The request's token, and the scheme in which it was shown.
fn token_of(headers: &HeaderMap) -> Result<(Scheme<'_>, &str), Refusal> {
    let value = only(headers, &AUTHORIZATION)?.ok_or(Refusal::Absent)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::Absent)?;
    let token = token.trim_start_matches(' ');
    let proof = only(headers, &DPOP)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok((Scheme::Bearer, token))
    } else if scheme.eq_ignore_ascii_case("dpop") {
        let missing = Refusal::Proof(RejectedToken::Possession);
        Ok((Scheme::Dpop(proof.ok_or(missing)?), token))
    } else {
        Err(Refusal::Absent)
    }
}

/// Returns the only header of this name. A repeated header is an error, because two readers could
/// each take another value.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Refusal::Ambiguous),
        (Some(_), Some(_)) => Err(Refusal::Ambiguous),
    }
}
