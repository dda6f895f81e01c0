//! Holding a token against the configuration: its issuer, its audience, its times, and whether it was used before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_core::identity::{Identity, Operator, OperatorRole};
use lanyard_core::time::Timestamp;
use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use serde_json::Value;

use crate::jwks::Jwks;
use crate::jws::Jws;

/// How far clocks may differ (T13).
const SKEW: Duration = Duration::from_secs(30);
/// How old a token may be (T12).
const OLDEST: Duration = Duration::from_secs(300);
/// How far away an expiry may lie (T13).
const FURTHEST: Duration = Duration::from_secs(24 * 3600);
/// How long past its expiry a token may still engage a kill.
const KILL_GRACE: Duration = Duration::from_secs(12 * 3600);
/// How many used tokens are remembered; beyond that nothing is accepted.
const MOST_REMEMBERED: usize = 1_000_000;
/// The longest subject, in bytes.
const SUBJECT_LIMIT: usize = 1024;

/// Who the tokens of an issuer speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerKind {
    /// Workloads.
    Agents,
    /// People.
    Operators,
}

/// One configured issuer.
#[derive(Debug)]
pub struct Issuer {
    /// `iss`, byte for byte (T9).
    pub name: String,
    /// Whom it speaks for.
    pub kind: IssuerKind,
    /// Its keys.
    pub keys: Keys,
    /// The claim that holds the groups of an operator.
    pub groups_claim: String,
    /// Which roles the members of a group have.
    pub roles: BTreeMap<String, BTreeSet<OperatorRole>>,
}

/// The keys of an issuer, which may be renewed while they are used.
#[derive(Debug)]
pub struct Keys(RwLock<(Option<Jwks>, Timestamp)>);

impl Keys {
    /// Keys that hold until the daemon is restarted: of a file.
    #[must_use]
    pub const fn fixed(keys: Jwks) -> Self {
        Self(RwLock::new((Some(keys), Timestamp::NEVER)))
    }

    /// Keys that have yet to be fetched. Until then the issuer's tokens are refused.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(RwLock::new((None, Timestamp::EPOCH)))
    }
}

/// Why a token is not accepted. Callers are told nothing of this but that it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedToken {
    /// Not a compact JWS, or too long.
    #[error("the token is not a compact JWS of a bounded size")]
    Form,
    /// An algorithm, a type or a header that is not used here (T1, T3, T4, T5).
    #[error("the token's header is not accepted")]
    Header,
    /// No issuer of that name (T9).
    #[error("the token's issuer is not configured")]
    Issuer,
    /// Not signed by a key of the issuer (T1, T2, T3).
    #[error("the token's signature does not verify")]
    Signature,
    /// The issuer's keys were not fetched for too long (T11).
    #[error("the keys of the token's issuer are too old")]
    StaleKeys,
    /// The claims are not of the expected shape.
    #[error("the token's claims are not of the expected shape")]
    Claims,
    /// Not for this broker, or not for it alone (T8).
    #[error("the token's audience is not this broker alone")]
    Audience,
    /// Too old, too new, or too long (T13).
    #[error("the token's times are not acceptable")]
    Times,
    /// It was used before (T12).
    #[error("the token was used before")]
    Replayed,
    /// Too many tokens are remembered.
    #[error("too many tokens were used lately")]
    Busy,
}

/// What a token is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Anything.
    Ordinary,
    /// Engaging a kill: a token that expired within the last 12 hours is good enough.
    Kill,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// A workload, and the person on whose behalf it says that it acts.
    Agent(Identity, Option<Identity>),
    /// A person.
    Operator(Operator),
}

impl Verified {
    /// The identity in either case.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        match self {
            Self::Agent(identity, _) => identity,
            Self::Operator(operator) => &operator.identity,
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    jti: String,
    sponsor: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Issuer {
    /// The roles that the members of these groups have.
    fn roles_of(&self, groups: &BTreeSet<String>) -> BTreeSet<OperatorRole> {
        let mapped = groups.iter().filter_map(|group| self.roles.get(group));
        mapped.flatten().copied().collect()
    }
}

/// Verifies tokens of the configured issuers, each once.
#[derive(Debug)]
pub struct Verifier {
    audience: String,
    issuers: BTreeMap<String, Issuer>,
    used: Mutex<BTreeMap<(Timestamp, [u8; 32]), ()>>,
    since: Timestamp,
}

impl Verifier {
    /// A verifier that starts now. Tokens issued before this second are refused: one of them may have been
    /// used before a restart, and what was used then is not remembered.
    #[must_use]
    pub fn new(audience: String, issuers: Vec<Issuer>, now: Timestamp) -> Self {
        let issuers = issuers
            .into_iter()
            .map(|issuer| (issuer.name.clone(), issuer))
            .collect();
        Self {
            audience,
            issuers,
            used: Mutex::default(),
            since: Timestamp::from_secs(now.as_secs()),
        }
    }

    /// An operator of earlier, as the configuration has them now: without roles, where it does not know them any more.
    #[must_use]
    pub fn again(&self, operator: &Operator) -> Operator {
        let issuer = self.issuers.get(&operator.identity.issuer);
        let roles = issuer.map(|issuer| issuer.roles_of(&operator.groups));
        Operator {
            roles: roles.unwrap_or_default(),
            ..operator.clone()
        }
    }

    /// Who presents this token.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn verify(
        &self,
        token: &str,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Verified, RejectedToken> {
        let jws = Jws::parse(token)?;
        let claims: Claims =
            serde_json::from_slice(&jws.payload).map_err(|_| RejectedToken::Claims)?;
        let issuer = self.issuers.get(&claims.iss).ok_or(RejectedToken::Issuer)?;
        issuer.signed(&jws, purpose, now)?;
        self.addressed(&claims)?;
        self.timely(&claims, purpose, now)?;
        if claims.sub.is_empty() || claims.sub.len() > SUBJECT_LIMIT || claims.jti.is_empty() {
            return Err(RejectedToken::Claims);
        }
        if purpose == Purpose::Ordinary {
            self.once(&claims, now)?;
        }
        Ok(verified(issuer, claims))
    }

    /// Takes in fresh keys of an issuer, good for ordinary use until then; a kill is engaged with the last
    /// known ones at any age.
    pub fn renew(&self, issuer: &str, keys: Jwks, until: Timestamp) {
        if let Some(issuer) = self.issuers.get(issuer) {
            *issuer.keys.0.write() = (Some(keys), until);
        }
    }

    fn addressed(&self, claims: &Claims) -> Result<(), RejectedToken> {
        let audience = match &claims.aud {
            Value::String(one) => Some(one.as_str()),
            Value::Array(list) => match list.as_slice() {
                [Value::String(one)] => Some(one.as_str()),
                _ => None,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        };
        if audience == Some(self.audience.as_str()) {
            Ok(())
        } else {
            Err(RejectedToken::Audience)
        }
    }

    fn timely(
        &self,
        claims: &Claims,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<(), RejectedToken> {
        let (issued, expires) = (
            Timestamp::from_secs(claims.iat),
            Timestamp::from_secs(claims.exp),
        );
        let begun = Timestamp::from_secs(claims.nbf.unwrap_or(claims.iat));
        let in_future = issued > now + SKEW || begun > now + SKEW;
        let too_long = expires > now + FURTHEST || expires <= issued;
        let (late, old) = match purpose {
            Purpose::Ordinary => (
                now > expires + SKEW,
                now > issued + OLDEST + SKEW || issued < self.since,
            ),
            Purpose::Kill => (now > expires + KILL_GRACE, false),
        };
        if in_future || too_long || late || old {
            Err(RejectedToken::Times)
        } else {
            Ok(())
        }
    }

    fn once(&self, claims: &Claims, now: Timestamp) -> Result<(), RejectedToken> {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [&claims.iss, &claims.jti] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        let until = Timestamp::from_secs(claims.exp) + SKEW;
        let mut used = self.used.lock();
        while used
            .first_key_value()
            .is_some_and(|((until, _), ())| *until < now)
        {
            used.pop_first();
        }
        if used.contains_key(&(until, digest)) {
            return Err(RejectedToken::Replayed);
        }
        if used.len() >= MOST_REMEMBERED {
            return Err(RejectedToken::Busy);
        }
        used.insert((until, digest), ());
        Ok(())
    }
}

impl Issuer {
    fn signed(&self, jws: &Jws<'_>, purpose: Purpose, now: Timestamp) -> Result<(), RejectedToken> {
        let held = self.keys.0.read();
        let (keys, until) = (held.0.as_ref(), held.1);
        if purpose == Purpose::Ordinary && now > until {
            return Err(RejectedToken::StaleKeys);
        }
        let keys = keys.ok_or(RejectedToken::StaleKeys)?;
        if keys.verifies(&jws.kid, jws.algorithm, jws.message, &jws.signature) {
            Ok(())
        } else {
            Err(RejectedToken::Signature)
        }
    }
}

fn verified(issuer: &Issuer, claims: Claims) -> Verified {
    let sponsor = claims.sponsor.map(|subject| Identity {
        issuer: claims.iss.clone(),
        subject,
    });
    let identity = Identity {
        issuer: claims.iss,
        subject: claims.sub,
    };
    match issuer.kind {
        IssuerKind::Agents => Verified::Agent(identity, sponsor),
        IssuerKind::Operators => {
            let groups: BTreeSet<String> = claims
                .others
                .get(&issuer.groups_claim)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            let roles = issuer.roles_of(&groups);
            Verified::Operator(Operator {
                identity,
                groups,
                roles,
            })
        }
    }
}
