//! Verification of tokens against the configuration: issuer, audience, times and binding.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::RwLock;
use serde_json::Value;

use crate::jwks::Jwks;
use crate::jws::{Jws, Parts};
use crate::replay_cache::{ProofId, Use};
use crate::unique::type_of;
use crate::{CLOCK_SKEW, RejectedToken};

mod claims;
mod groups;
mod sponsors;

pub use groups::ClaimPath;

use claims::Claims;
use groups::TokenGroups;

/// Age up to which a token without a key binding is accepted (T12).
///
/// # Limit
/// - for: a token that is not bound to a key
/// - unit: of time
/// - beyond: the token is refused; 30 s of clock skew are added
/// - test: `t44_the_times_of_a_token_have_bounds`
const MAX_UNBOUND_TOKEN_AGE: Duration = Duration::from_secs(300);
/// Largest distance of an expiry from now (T13).
///
/// # Limit
/// - for: a token
/// - unit: of time
/// - beyond: the token is refused
/// - test: `t44_the_times_of_a_token_have_bounds`
const MAX_TIME_TO_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// The time after its expiry a token may still engage a kill, so that stopping an agent never waits
/// for an identity provider.
///
/// # Limit
/// - for: a kill
/// - unit: of time
/// - beyond: the token cannot engage a kill
/// - test: `an_expired_token_can_still_engage_a_kill`
pub const KILL_GRACE: Duration = Duration::from_secs(12 * 3600);
/// Longest value of a claim that is copied.
///
/// # Limit
/// - for: a claim that the configuration lets through
/// - unit: bytes
/// - beyond: the token is refused
/// - test: `t44_the_fields_of_a_token_have_length_limits`
const MAX_CLAIM_BYTES: usize = 512;
/// Longest subject.
///
/// # Limit
/// - for: a token
/// - unit: bytes
/// - beyond: the token is refused; a longer name of a person is ignored
/// - test: `t44_the_fields_of_a_token_have_length_limits`
const MAX_SUBJECT_BYTES: usize = 1024;

/// The kind of identities that an issuer vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerKind {
    /// Workloads act for themselves or for a sponsor.
    Agents,
    /// People get roles from their groups.
    Operators,
}

/// An issuer of the configuration.
#[derive(Debug)]
pub struct Issuer {
    /// Expected `iss`, byte for byte (T9).
    pub name: String,
    /// Kind of the identities.
    pub kind: IssuerKind,
    /// Keys that verify the issuer's tokens.
    pub keys: Keys,
    /// Expected `aud` if it is not the broker's own, such as the client id of a login.
    pub audience: Option<String>,
    /// Evidence that the journal records for identities of this issuer.
    pub method: Method,
    /// Further claims to copy, which charters can name.
    pub claims: BTreeSet<String>,
    /// Place of a person's groups among the claims.
    pub groups_claim: ClaimPath,
    /// Roles by group. At an agents' issuer, roles by subject: people act as those subjects.
    pub roles: BTreeMap<String, BTreeSet<OperatorRole>>,
    /// Names of the people whom an operators' issuer vouches for.
    pub people: PeopleRule,
    /// Rule for the person behind an agent, at an agents' issuer.
    pub sponsor: Option<SponsorRule>,
}

/// Rule that tells the people of an operators' issuer from those of other issuers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleRule {
    /// Directory of the issuer. Issuers of one directory vouch for the same people, issuers of
    /// different directories for different people.
    pub directory: Option<Name>,
    /// Claim with the person's name in the directory.
    pub claim: Option<String>,
}

/// Rule for the person on whose behalf an agent acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SponsorRule {
    /// Claim that names the person.
    pub claim: String,
    /// Operators' issuer whose people the claim names.
    pub issuer: String,
    /// Property of the person that the claim holds.
    pub by: SponsorBy,
}

/// Property by which a sponsor is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SponsorBy {
    /// The subject in the person's own tokens.
    Subject,
    /// The name in [`PeopleRule::claim`] of the operators' issuer.
    Name,
}

/// Claim that names a sponsor if no rule names another. Without a rule, the claim makes the sponsor
/// unknown instead of absent: the issuer means somebody.
pub const SPONSOR_CLAIM: &str = "sponsor";

/// The keys of an issuer, which can be replaced while in use.
#[derive(Debug)]
pub struct Keys(RwLock<(Option<Jwks>, Timestamp)>);

impl Keys {
    /// Keys from a file, which stay valid until a restart.
    #[must_use]
    pub const fn fixed(keys: Jwks) -> Self {
        Self(RwLock::new((Some(keys), Timestamp::NEVER)))
    }

    /// Keys that are not fetched yet. Tokens of the issuer are refused until [`Verifier::renew`].
    #[must_use]
    pub const fn unknown() -> Self {
        Self(RwLock::new((None, Timestamp::EPOCH)))
    }
}

/// The use of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A change of the broker's state. The use of the token is on disk before anything happens.
    Change,
    /// A read. The use is recorded, and the caller does not wait for the disk.
    Look,
    /// A kill. Tokens that expired within the last 12 hours are accepted, and no use is recorded.
    Kill,
}

/// A caller whose identity is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// A workload, with its evidence and sponsor.
    Agent(Caller),
    /// A person, with the time and class of the login.
    Operator(Operator, Login),
}

impl Verified {
    /// Returns the identity of either kind.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        match self {
            Self::Agent(caller) => &caller.identity,
            Self::Operator(operator, _) => &operator.identity,
        }
    }
}

/// A verified token. Its caller may act only once the replay cache has recorded the use.
#[derive(Debug)]
pub struct Accepted {
    /// The caller, as the token names them.
    pub who: Verified,
    /// The use to record.
    pub used: Use,
}

/// Verifies the tokens of the configured issuers.
#[derive(Debug)]
pub struct Verifier {
    audience: String,
    issuers: BTreeMap<String, Issuer>,
}

/// The identity that a token claims. Nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// `iss`, or the trust domain of a JWT-SVID, which may omit `iss`.
    pub issuer: String,
    /// `sub` of the token.
    pub subject: String,
}

impl Claimed {
    /// Reads the payload alone: cheap enough for limits that apply before any cryptography.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn of(token: &str) -> Result<Self, RejectedToken> {
        let parts = Parts::of(token)?;
        let claims = Claims::read(&parts.payload)?;
        Ok(Self {
            issuer: claims.issuer().to_owned(),
            subject: claims.sub,
        })
    }
}

impl Verifier {
    /// Makes a verifier for tokens addressed to `audience`.
    #[must_use]
    pub fn new(audience: String, issuers: Vec<Issuer>) -> Self {
        let issuers = issuers
            .into_iter()
            .map(|issuer| (issuer.name.clone(), issuer))
            .collect();
        Self { audience, issuers }
    }

    /// Derives an operator's roles again from the current configuration. An operator whom the
    /// configuration no longer knows has none.
    #[must_use]
    pub fn with_current_roles(&self, operator: &Operator) -> Operator {
        let issuer = self.issuers.get(&operator.identity.issuer);
        let roles = issuer.map(|issuer| issuer.roles_of(&operator.groups));
        let directory = issuer.and_then(|issuer| issuer.people.directory.clone());
        Operator {
            roles: roles.unwrap_or_default(),
            // A name is unique only in the directory under which it was read.
            name: operator
                .name
                .clone()
                .filter(|_| operator.directory == directory),
            directory,
            ..operator.clone()
        }
    }

    /// Explains why an operator has no role under the current configuration. `None` if the operator
    /// has one.
    #[must_use]
    pub fn why_no_role_now(&self, operator: &Operator) -> Option<String> {
        let issuer = self.issuers.get(&operator.identity.issuer)?;
        issuer.no_role(operator, &groups::known(operator.groups.len()))
    }

    /// Lists the issuers whose key set has no usable key.
    pub fn without_usable_keys(&self) -> impl Iterator<Item = &str> {
        let has_none = |issuer: &&Issuer| {
            let held = issuer.keys.0.read();
            held.0.as_ref().is_some_and(Jwks::is_empty)
        };
        let issuers = self.issuers.values().filter(has_none);
        issuers.map(|issuer| issuer.name.as_str())
    }

    /// Returns the configured issuer `name`.
    #[must_use]
    pub fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.get(name)
    }

    /// Verifies a token that the holder of `key` presents.
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
        let claims = Claims::read(&jws.payload)?;
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
            return Err(RejectedToken::ClaimLength {
                name: "sub",
                limit: MAX_SUBJECT_BYTES,
            });
        }
        claims.tell();
        let jti = claims.jti.as_deref().filter(|jti| !jti.is_empty());
        let id = match jti {
            Some(jti) => ProofId::of(&["jti", &issuer.name, jti]),
            // The signed part, because another encoding of the signature is still the same token.
            None => ProofId::of(&["jws", &String::from_utf8_lossy(jws.message)]),
        };
        let used = Use {
            id,
            key: key.cloned(),
            until: claims.exp + CLOCK_SKEW,
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
                    claims: taken_over(issuer, &claims.others)?,
                    key: key.cloned(),
                },
                sponsor: self.sponsor(issuer, &claims),
            })),
            IssuerKind::Operators => Ok(issuer.operator(identity, claims)),
        }
    }

    /// Replaces the keys of an issuer. They verify until `until`; a kill accepts the last keys at
    /// any age, since stopping must not depend on the identity provider.
    pub fn renew(&self, issuer: &str, keys: Jwks, until: Timestamp) {
        if let Some(issuer) = self.issuers.get(issuer) {
            *issuer.keys.0.write() = (Some(keys), until);
        }
    }

    /// Returns the issuer if it is not known to have the token's key, which may be a new one.
    #[must_use]
    pub fn issuer_with_unknown_key(&self, token: &str) -> Option<&str> {
        let jws = Jws::parse(token).ok()?;
        let claims = Claims::read(&jws.payload).ok()?;
        let issuer = self.issuers.get(claims.issuer())?;
        let held = issuer.keys.0.read();
        let knows = held
            .0
            .as_ref()
            .is_some_and(|keys| keys.knows(jws.kid.as_deref()));
        (!knows).then_some(issuer.name.as_str())
    }
}

fn addressed(claims: &Claims, expected: &str) -> Result<(), RejectedToken> {
    let is_for_us = match &claims.aud {
        Value::String(one) => one == expected,
        Value::Array(list) => !list.is_empty() && list.iter().all(|one| one == expected),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err(RejectedToken::ClaimType {
                name: "aud",
                is: type_of(other),
                wanted: "a text or a list of texts",
            });
        }
    };
    is_for_us.then_some(()).ok_or(RejectedToken::Audience)
}

/// Checks the key binding (RFC 7800): a bound token counts only with its key. An unknown kind of
/// binding is refused, because the broker cannot check it.
fn held_by(claims: &Claims, key: Option<&Confirmation>) -> Result<(), RejectedToken> {
    let Some(cnf) = &claims.cnf else {
        return Ok(());
    };
    let shown = key.map(|key| match key {
        Confirmation::Key(digest) => ("jkt", digest),
        Confirmation::Certificate(digest) => ("x5t#S256", digest),
    });
    let cnf = cnf.as_object().filter(|cnf| cnf.len() == 1);
    match (shown, cnf) {
        (Some((name, digest)), Some(cnf)) if cnf.get(name).is_some_and(|it| it == digest) => Ok(()),
        (Some(_) | None, _) => Err(RejectedToken::Possession),
    }
}

fn timely(
    claims: &Claims,
    key: Option<&Confirmation>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), RejectedToken> {
    let expires = claims.exp;
    // A JWT-SVID may omit its issue time. Then its expiry must be near, as its age is unknown.
    let issued = match claims.iat {
        Some(issued) => issued,
        None if key.is_some() || expires <= now + MAX_UNBOUND_TOKEN_AGE => now,
        None => return Err(RejectedToken::Times),
    };
    let begun = claims.nbf.unwrap_or(issued);
    let in_future = issued > now + CLOCK_SKEW || begun > now + CLOCK_SKEW;
    let too_long = expires > now + MAX_TIME_TO_EXPIRY || expires <= issued;
    let (late, old) = match purpose {
        Purpose::Change | Purpose::Look => (
            now > expires + CLOCK_SKEW,
            key.is_none() && now > issued + MAX_UNBOUND_TOKEN_AGE + CLOCK_SKEW,
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
    /// Returns the roles of the members of `groups`.
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
        if keys.verifies(
            jws.kid.as_deref(),
            jws.algorithm,
            jws.message,
            &jws.signature,
        ) {
            Ok(())
        } else {
            Err(RejectedToken::Signature)
        }
    }

    fn operator(&self, identity: Identity, claims: Claims) -> Verified {
        let said = match self.kind {
            IssuerKind::Operators => self.said(&claims.others),
            // An agents' issuer vouches for no groups, so the subject takes the place of one.
            IssuerKind::Agents => TokenGroups::subject(&claims.sub),
        };
        let operator = Operator {
            name: self.people.name(&claims),
            identity,
            roles: self.roles_of(&said.groups),
            groups: said.groups,
            directory: self.people.directory.clone(),
            vouched: claims.iat,
        };
        let login = Login {
            at: claims.auth_time,
            acr: claims.acr,
            no_role: self.no_role(&operator, &said.what),
        };
        Verified::Operator(operator, login)
    }
}

impl PeopleRule {
    /// Returns the person's name in the directory, if the token vouches for it.
    fn name(&self, claims: &Claims) -> Option<String> {
        let claim = self.claim.as_deref()?;
        if claim == "sub" {
            return Some(claims.sub.clone());
        }
        let name = claims.others.get(claim)?.as_str()?;
        // An unverified address is whatever its owner typed (OpenID Connect Core 5.1).
        let verified = claims.others.get("email_verified").is_some_and(|verified| {
            *verified == Value::Bool(true) || verified.as_str() == Some("true")
        });
        let is_sure = claim != "email" || verified;
        let usable = !name.trim().is_empty() && name.len() <= MAX_SUBJECT_BYTES && is_sure;
        usable.then(|| name.to_owned())
    }
}

/// Copies the configured claims as text. Lists and objects are left out with a log line.
fn taken_over(
    issuer: &Issuer,
    claims: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, String>, RejectedToken> {
    let mut taken = BTreeMap::new();
    for name in &issuer.claims {
        let text = match claims.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(other @ (Value::Array(_) | Value::Object(_))) => {
                let (issuer, claim, is) = (&issuer.name, name.as_str(), type_of(other));
                let wanted = "a text, a number or a truth value";
                tracing::info!(
                    issuer,
                    claim,
                    is,
                    wanted,
                    "a configured claim is neither text, number nor boolean: it is ignored"
                );
                continue;
            }
            Some(Value::Null) | None => continue,
        };
        if text.len() > MAX_CLAIM_BYTES {
            let (issuer, claim, bytes) = (&issuer.name, name.as_str(), text.len());
            tracing::info!(
                issuer,
                claim,
                bytes,
                "a configured claim is too long: the token is refused"
            );
            return Err(RejectedToken::LongClaim {
                limit: MAX_CLAIM_BYTES,
            });
        }
        taken.insert(name.clone(), text);
    }
    Ok(taken)
}
