//! Holding a token against the configuration: its issuer, its audience and its times.

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
use crate::memory::{ProofId, Use};
use crate::unique::type_of;
use crate::{RejectedToken, SKEW};

mod claims;
mod groups;
mod sponsors;

pub use groups::ClaimPath;

use claims::Claims;
use groups::Said;

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
    /// Where among the claims the groups of a person stand.
    pub groups_claim: ClaimPath,
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

    /// Why an operator of earlier has no role, as the configuration is now; none where they have one.
    #[must_use]
    pub fn no_role_again(&self, operator: &Operator) -> Option<String> {
        let issuer = self.issuers.get(&operator.identity.issuer)?;
        issuer.no_role(operator, &groups::known(operator.groups.len()))
    }

    /// The issuers that have keys, of which none can be used.
    pub fn without_usable_keys(&self) -> impl Iterator<Item = &str> {
        let has_none = |issuer: &&Issuer| {
            let held = issuer.keys.0.read();
            held.0.as_ref().is_some_and(Jwks::is_empty)
        };
        let issuers = self.issuers.values().filter(has_none);
        issuers.map(|issuer| issuer.name.as_str())
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
            // What is signed, so that another encoding of the signature is the same token.
            None => ProofId::of(&["jws", &String::from_utf8_lossy(jws.message)]),
        };
        let used = Use {
            id,
            key: key.cloned(),
            until: claims.exp + SKEW,
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

/// A token that its issuer bound to a key is that key's alone (RFC 7800). A binding of another kind is none that could be seen.
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
    // A JWT-SVID need not say when it was issued: then its end has to be near.
    let issued = match claims.iat {
        Some(issued) => issued,
        None if key.is_some() || expires <= now + MAX_UNBOUND_TOKEN_AGE => now,
        None => return Err(RejectedToken::Times),
    };
    let begun = claims.nbf.unwrap_or(issued);
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
            // An agents' issuer vouches for no groups: the subject stands for itself.
            IssuerKind::Agents => Said::subject(&claims.sub),
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

/// The claims that the configuration lets through, as text. One that is no text, number or truth value is none, which the log
/// says.
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
                    "a claim that the configuration names is not taken over"
                );
                continue;
            }
            Some(Value::Null) | None => continue,
        };
        if text.len() > MAX_CLAIM_BYTES {
            let (issuer, claim, bytes) = (&issuer.name, name.as_str(), text.len());
            tracing::info!(issuer, claim, bytes, "a claim is too long to be taken over");
            return Err(RejectedToken::LongClaim {
                limit: MAX_CLAIM_BYTES,
            });
        }
        taken.insert(name.clone(), text);
    }
    Ok(taken)
}
