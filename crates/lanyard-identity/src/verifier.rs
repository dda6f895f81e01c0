//! Holding a token against the configuration: its issuer, its audience and its times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_core::charter::Name;
use lanyard_core::identity::{
    Caller, Confirmation, Evidence, Identity, Login, Method, Operator, OperatorRole,
};
use lanyard_core::time::Timestamp;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;

use crate::jwks::Jwks;
use crate::jws::{Jws, Parts};
use crate::memory::{ProofId, Use};
use crate::{RejectedToken, SKEW};

mod sponsors;

/// How old a token may be that is not bound to a key (T12).
///
/// # Limit
/// - for: a token that is not bound to a key
/// - unit: of time
/// - beyond: the token is refused, 30 s of skew apart
/// - test: `t44_the_times_of_a_token_have_bounds`
const MAX_UNBOUND_TOKEN_AGE: Duration = Duration::from_secs(300);
/// How far away an expiry may lie (T13).
///
/// # Limit
/// - for: a token
/// - unit: of time
/// - beyond: the token is refused
/// - test: `t44_the_times_of_a_token_have_bounds`
const MAX_TIME_TO_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// How long past its expiry a token may still engage a kill.
///
/// # Limit
/// - for: a kill
/// - unit: of time
/// - beyond: the token engages no kill any more
/// - test: `a_kill_is_heard_from_a_token_that_has_expired`
pub const KILL_GRACE: Duration = Duration::from_secs(12 * 3600);
/// The longest value of a claim that is taken over, in bytes.
///
/// # Limit
/// - for: a claim that the configuration lets through
/// - unit: bytes
/// - beyond: the token is refused
/// - test: `t44_what_a_token_says_has_bounds`
const MAX_CLAIM_BYTES: usize = 512;
/// The longest subject, in bytes.
///
/// # Limit
/// - for: a token
/// - unit: bytes
/// - beyond: the token is refused; a longer name of a person is none
/// - test: `t44_what_a_token_says_has_bounds`
const MAX_SUBJECT_BYTES: usize = 1024;

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
    /// `aud` of its tokens, where that is not the broker's own: the client id of a login.
    pub audience: Option<String>,
    /// How its tokens are proved.
    pub method: Method,
    /// Which other claims are taken over, for charters to name.
    pub claims: BTreeSet<String>,
    /// The claim that holds the groups of an operator.
    pub groups_claim: String,
    /// Which roles the members of a group have; at an agents' issuer, which roles a subject has that people act as.
    pub roles: BTreeMap<String, BTreeSet<OperatorRole>>,
    /// Which people an operators' issuer vouches for.
    pub people: PeopleRule,
    /// Whom an agents' issuer names as the person behind an agent.
    pub sponsor: Option<SponsorRule>,
}

/// How the people of an operators' issuer are told apart from those of other issuers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleRule {
    /// The directory that the issuer draws on. Issuers of one directory vouch for the same people, issuers of two
    /// directories for different ones.
    pub directory: Option<Name>,
    /// The claim with a person's name in the directory.
    pub claim: Option<String>,
}

/// Where an agents' issuer says on whose behalf an agent acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SponsorRule {
    /// The claim.
    pub claim: String,
    /// The operators' issuer whose people it names.
    pub issuer: String,
    /// By what it names them.
    pub by: SponsorBy,
}

/// By what a sponsor is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SponsorBy {
    /// The subject of the person's own tokens.
    Subject,
    /// The name that the operators' issuer gives in [`PeopleRule::claim`].
    Name,
}

/// The claim that names a sponsor where no other is configured. Without a rule for it, it names somebody unknown.
pub const SPONSOR_CLAIM: &str = "sponsor";

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

/// What a token is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Something that changes what the broker holds: a proof that is used once is on disk before anything comes of it.
    Change,
    /// Looking: the proof is remembered, and nobody waits for the disk.
    Look,
    /// Engaging a kill: a token that expired within the last 12 hours is good enough, and nothing is remembered.
    Kill,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// A workload.
    Agent(Caller),
    /// A person, and how that person logged in.
    Operator(Operator, Login),
}

impl Verified {
    /// The identity in either case.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        match self {
            Self::Agent(caller) => &caller.identity,
            Self::Operator(operator, _) => &operator.identity,
        }
    }
}

/// A token that verified; what it says counts once it is remembered.
#[derive(Debug)]
pub struct Accepted {
    /// Who.
    pub who: Verified,
    /// What is to be remembered.
    pub used: Use,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: String,
    aud: Value,
    exp: u64,
    iat: Option<u64>,
    nbf: Option<u64>,
    jti: Option<String>,
    cnf: Option<BTreeMap<String, String>>,
    auth_time: Option<u64>,
    acr: Option<String>,
    #[serde(flatten, deserialize_with = "unique")]
    others: BTreeMap<String, Value>,
}

/// A map in which no name stands twice (T5).
fn unique<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Value>, D::Error> {
    struct Unique;
    impl<'de> serde::de::Visitor<'de> for Unique {
        type Value = BTreeMap<String, Value>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("claims, each once")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut claims = BTreeMap::new();
            while let Some((name, value)) = map.next_entry()? {
                if claims.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("a claim stands twice"));
                }
            }
            Ok(claims)
        }
    }
    deserializer.deserialize_map(Unique)
}

/// Verifies tokens of the configured issuers.
#[derive(Debug)]
pub struct Verifier {
    audience: String,
    issuers: BTreeMap<String, Issuer>,
}

/// Who a token says that it is of; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// `iss`; of a JWT-SVID, which needs none, its trust domain.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
}

impl Claimed {
    /// Reads the payload alone: cheap, for limits that come before any cryptography.
    ///
    /// # Errors
    /// [`RejectedToken::Form`] or [`RejectedToken::Claims`].
    pub fn of(token: &str) -> Result<Self, RejectedToken> {
        let parts = Parts::of(token)?;
        let claims: Claims =
            serde_json::from_slice(&parts.payload).map_err(|_| RejectedToken::Claims)?;
        Ok(Self {
            issuer: claims.issuer().to_owned(),
            subject: claims.sub,
        })
    }
}

impl Claims {
    /// The issuer; the trust domain, where only a SPIFFE ID says it.
    fn issuer(&self) -> &str {
        match &self.iss {
            Some(issuer) if !self.sub.starts_with("spiffe://") => issuer,
            Some(_) | None => {
                let rest = self.sub.strip_prefix("spiffe://").unwrap_or_default();
                let domain = rest.split('/').next().unwrap_or_default().len();
                let end = "spiffe://".len() + domain;
                self.sub.get(..end).unwrap_or_default()
            }
        }
    }
}

impl Verifier {
    /// A verifier of tokens that are addressed to this audience.
    #[must_use]
    pub fn new(audience: String, issuers: Vec<Issuer>) -> Self {
        let issuers = issuers
            .into_iter()
            .map(|issuer| (issuer.name.clone(), issuer))
            .collect();
        Self { audience, issuers }
    }

    /// An operator of earlier, as the configuration has them now: without roles, where it does not know them any more.
    #[must_use]
    pub fn again(&self, operator: &Operator) -> Operator {
        let issuer = self.issuers.get(&operator.identity.issuer);
        let roles = issuer.map(|issuer| issuer.roles_of(&operator.groups));
        let directory = issuer.and_then(|issuer| issuer.people.directory.clone());
        Operator {
            roles: roles.unwrap_or_default(),
            // A name is one of the directory that it was read under.
            name: operator
                .name
                .clone()
                .filter(|_| operator.directory == directory),
            directory,
            ..operator.clone()
        }
    }

    /// The configured issuer of this name.
    #[must_use]
    pub fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.get(name)
    }

    /// Who presents this token, holding this key.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn verify(
        &self,
        token: &str,
        key: Option<&Confirmation>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Accepted, RejectedToken> {
        let jws = Jws::parse(token)?;
        let claims: Claims = jws.claims()?;
        let issuer = self
            .issuers
            .get(claims.issuer())
            .ok_or(RejectedToken::Issuer)?;
        issuer.signed(&jws, purpose, now)?;
        let audience = issuer.audience.as_ref().unwrap_or(&self.audience);
        addressed(&claims, audience)?;
        timely(&claims, key, purpose, now)?;
        held_by(&claims, key)?;
        if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT_BYTES {
            return Err(RejectedToken::Claims);
        }
        let jti = claims.jti.as_deref().filter(|jti| !jti.is_empty());
        let id = match jti {
            Some(jti) => ProofId::of(&["jti", &issuer.name, jti]),
            // What is signed, so that another encoding of the signature is the same token.
            None => ProofId::of(&["jws", &String::from_utf8_lossy(jws.message)]),
        };
        let used = Use {
            id,
            key: key.cloned(),
            until: Timestamp::from_secs(claims.exp) + SKEW,
        };
        Ok(Accepted {
            who: self.who(issuer, claims, key)?,
            used,
        })
    }

    fn who(
        &self,
        issuer: &Issuer,
        claims: Claims,
        key: Option<&Confirmation>,
    ) -> Result<Verified, RejectedToken> {
        let identity = Identity {
            issuer: issuer.name.clone(),
            subject: claims.sub.clone(),
        };
        match issuer.kind {
            IssuerKind::Agents if issuer.roles.contains_key(&claims.sub) => {
                Ok(issuer.operator(identity, claims))
            }
            IssuerKind::Agents => Ok(Verified::Agent(Caller {
                identity,
                evidence: Evidence {
                    method: issuer.method,
                    claims: taken_over(&issuer.claims, &claims.others)?,
                    key: key.cloned(),
                },
                sponsor: self.sponsor(issuer, &claims),
            })),
            IssuerKind::Operators => Ok(issuer.operator(identity, claims)),
        }
    }

    /// Takes in fresh keys of an issuer, good for ordinary use until then; a kill is engaged with the last
    /// known ones at any age.
    pub fn renew(&self, issuer: &str, keys: Jwks, until: Timestamp) {
        if let Some(issuer) = self.issuers.get(issuer) {
            *issuer.keys.0.write() = (Some(keys), until);
        }
    }

    /// Whether the token names a key that its issuer is not known to have: a new one, perhaps.
    #[must_use]
    pub fn lacks_the_key_of(&self, token: &str) -> Option<&str> {
        let jws = Jws::parse(token).ok()?;
        let claims: Claims = jws.claims().ok()?;
        let issuer = self.issuers.get(claims.issuer())?;
        let held = issuer.keys.0.read();
        let knows = held.0.as_ref().is_some_and(|keys| keys.knows(&jws.kid));
        (!knows).then_some(issuer.name.as_str())
    }
}

fn addressed(claims: &Claims, expected: &str) -> Result<(), RejectedToken> {
    let audience = match &claims.aud {
        Value::String(one) => Some(one.as_str()),
        Value::Array(list) => match list.as_slice() {
            [Value::String(one)] => Some(one.as_str()),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    if audience == Some(expected) {
        Ok(())
    } else {
        Err(RejectedToken::Audience)
    }
}

/// A token that its issuer bound to a key is that key's alone (RFC 7800). A binding of another kind is none that could be seen.
fn held_by(claims: &Claims, key: Option<&Confirmation>) -> Result<(), RejectedToken> {
    let Some(cnf) = &claims.cnf else {
        return Ok(());
    };
    let shown = key.map(|key| match key {
        Confirmation::Key(digest) => ("jkt", digest),
        Confirmation::Certificate(digest) => ("x5t#S256", digest),
    });
    match shown {
        Some((name, digest)) if cnf.len() == 1 && cnf.get(name) == Some(digest) => Ok(()),
        Some(_) | None => Err(RejectedToken::Possession),
    }
}

fn timely(
    claims: &Claims,
    key: Option<&Confirmation>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), RejectedToken> {
    let expires = Timestamp::from_secs(claims.exp);
    // A JWT-SVID need not say when it was issued: then its end has to be near.
    let issued = match claims.iat {
        Some(issued) => Timestamp::from_secs(issued),
        None if key.is_some() || expires <= now + MAX_UNBOUND_TOKEN_AGE => now,
        None => return Err(RejectedToken::Times),
    };
    let begun = claims.nbf.map_or(issued, Timestamp::from_secs);
    let in_future = issued > now + SKEW || begun > now + SKEW;
    let too_long = expires > now + MAX_TIME_TO_EXPIRY || expires <= issued;
    let (late, old) = match purpose {
        Purpose::Change | Purpose::Look => (
            now > expires + SKEW,
            key.is_none() && now > issued + MAX_UNBOUND_TOKEN_AGE + SKEW,
        ),
        Purpose::Kill => (now > expires + KILL_GRACE, false),
    };
    if in_future || too_long || late || old {
        Err(RejectedToken::Times)
    } else {
        Ok(())
    }
}

impl Issuer {
    /// The roles that the members of these groups have.
    #[must_use]
    pub fn roles_of(&self, groups: &BTreeSet<String>) -> BTreeSet<OperatorRole> {
        let mapped = groups.iter().filter_map(|group| self.roles.get(group));
        mapped.flatten().copied().collect()
    }

    fn signed(&self, jws: &Jws<'_>, purpose: Purpose, now: Timestamp) -> Result<(), RejectedToken> {
        let held = self.keys.0.read();
        let (keys, until) = (held.0.as_ref(), held.1);
        if purpose != Purpose::Kill && now > until {
            return Err(RejectedToken::StaleKeys);
        }
        let keys = keys.ok_or(RejectedToken::StaleKeys)?;
        if keys.verifies(&jws.kid, jws.algorithm, jws.message, &jws.signature) {
            Ok(())
        } else {
            Err(RejectedToken::Signature)
        }
    }

    fn operator(&self, identity: Identity, claims: Claims) -> Verified {
        let groups = match self.kind {
            IssuerKind::Operators => self.groups_of(&claims),
            // An agents' issuer vouches for no groups: the subject stands for itself.
            IssuerKind::Agents => BTreeSet::from([claims.sub.clone()]),
        };
        let operator = Operator {
            name: self.people.name(&claims),
            identity,
            roles: self.roles_of(&groups),
            groups,
            directory: self.people.directory.clone(),
            vouched: claims.iat.map(Timestamp::from_secs),
        };
        let login = Login {
            at: claims.auth_time.map(Timestamp::from_secs),
            acr: claims.acr,
        };
        Verified::Operator(operator, login)
    }

    fn groups_of(&self, claims: &Claims) -> BTreeSet<String> {
        let listed = claims.others.get(&self.groups_claim);
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        let groups = listed.filter_map(Value::as_str);
        groups.map(str::to_owned).collect()
    }
}

impl PeopleRule {
    /// The person's name in the directory, where the token says it for sure.
    fn name(&self, claims: &Claims) -> Option<String> {
        let claim = self.claim.as_deref()?;
        if claim == "sub" {
            return Some(claims.sub.clone());
        }
        let name = claims.others.get(claim)?.as_str()?;
        // An address that the issuer does not call verified is whatever its owner typed in (OpenID Connect Core 5.1).
        let verified = claims.others.get("email_verified").is_some_and(|verified| {
            *verified == Value::Bool(true) || verified.as_str() == Some("true")
        });
        let is_sure = claim != "email" || verified;
        let usable = !name.trim().is_empty() && name.len() <= MAX_SUBJECT_BYTES && is_sure;
        usable.then(|| name.to_owned())
    }
}

/// The claims that the configuration lets through, as text. One that is no text, number or truth value is none.
fn taken_over(
    names: &BTreeSet<String>,
    claims: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, String>, RejectedToken> {
    let mut taken = BTreeMap::new();
    for name in names {
        let text = match claims.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => continue,
        };
        if text.len() > MAX_CLAIM_BYTES {
            return Err(RejectedToken::Claims);
        }
        taken.insert(name.clone(), text);
    }
    Ok(taken)
}
