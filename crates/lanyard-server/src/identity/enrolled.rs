//! Enrolled agents: each call carries an assertion signed by the agent's own key (RFC 7523), and a
//! key is enrolled by answering a challenge.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::enrolment::AgentKey;
use lanyard_core::state::State;
use lanyard_identity::jwks::{Algorithm, PublicKey};
use lanyard_identity::jws::Jws;
use lanyard_identity::replay_cache::{ProofId, Use};
use lanyard_identity::verifier::Claimed;
use lanyard_identity::{CLOCK_SKEW, RejectedToken, Verified};
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Sponsor;
use lanyard_vocabulary::time::Timestamp;
use ring::hmac;
use serde::Deserialize;
use serde_json::json;

use super::Found;

/// The prefix of enrolled agents' subjects.
pub(crate) const SUBJECT: &str = "enrolled:";
/// The claim that names the key with which an agent proved itself.
const KEY: &str = "enrolled_key";
/// The longest lifetime of an assertion, from `iat` to `exp`.
///
/// # Limit
/// - for: an assertion of an enrolled key
/// - unit: of time
/// - beyond: the assertion is refused
/// - test: `t44_an_assertion_is_good_for_five_minutes_at_most`
const MAX_ASSERTION_LIFE: Duration = Duration::from_secs(300);
/// The time for which a challenge can be answered.
///
/// # Limit
/// - for: a challenge to a key that is being enrolled
/// - unit: of time
/// - beyond: the answer is refused; the agent can ask for another challenge
/// - test: `t44_a_challenge_is_answered_within_two_minutes`
const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(120);
/// The prefix of the text that the answer to a challenge signs, so that the signature is valid for
/// nothing else.
pub(crate) const CHALLENGE: &[u8] = b"lanyard enrolment v1\0";

#[derive(Deserialize)]
struct Assertion {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
}

/// Returns the identity of an enrolled agent.
pub(crate) fn identity(broker: &str, agent: &Name) -> Identity {
    Identity {
        issuer: broker.to_owned(),
        subject: format!("{SUBJECT}{agent}"),
    }
}

/// Parses a public key.
///
/// # Errors
/// What is wrong with the key.
pub(crate) fn key(x: &str) -> Result<(AgentKey, PublicKey), &'static str> {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let public = PublicKey::parse(&jwk)?;
    let kept = AgentKey {
        thumbprint: public.thumbprint(),
        x: x.to_owned(),
    };
    Ok((kept, public))
}

/// Returns true if the session's key is still the agent's. A session ends when the agent's key is
/// replaced or removed.
pub(crate) fn still_holds(state: &State, caller: &Caller) -> bool {
    let name = caller.identity.subject.strip_prefix(SUBJECT);
    let name = name.and_then(|name| name.parse::<Name>().ok());
    let known = name.and_then(|name| state.enrolment().agent(&name));
    known.map(|known| &known.key.thumbprint) == caller.evidence.claims.get(KEY)
}

/// Returns the agent that an assertion names, before the assertion is verified.
pub(crate) fn named(claimed: &Claimed) -> Result<Name, RejectedToken> {
    let name = claimed.subject.strip_prefix(SUBJECT).unwrap_or_default();
    name.parse().map_err(|_| RejectedToken::Claims)
}

/// Verifies the assertion of an agent with this key and sponsor.
pub(crate) fn verified(
    (name, known, sponsor): (&Name, &AgentKey, Sponsor),
    (token, key): (&str, Option<&Confirmation>),
    (broker, audience): (&str, &str),
    now: Timestamp,
) -> Result<Found, RejectedToken> {
    let jws = Jws::parse(token)?;
    let claims: Assertion = jws.claims()?;
    let (kept, public) = self::key(&known.x).map_err(|_| RejectedToken::Signature)?;
    let signed = jws.algorithm == Algorithm::EdDsa
        && jws.kid.as_ref() == Some(&kept.thumbprint)
        && public.verifies(jws.algorithm, jws.message, &jws.signature);
    if !signed {
        return Err(RejectedToken::Signature);
    }
    let own = identity(broker, name);
    if claims.iss != own.issuer || claims.sub != own.subject || claims.aud != audience {
        return Err(RejectedToken::Audience);
    }
    let (issued, ends) = (
        Timestamp::from_secs(claims.iat),
        Timestamp::from_secs(claims.exp),
    );
    if issued > now + CLOCK_SKEW || now > ends + CLOCK_SKEW || ends > issued + MAX_ASSERTION_LIFE {
        return Err(RejectedToken::Times);
    }
    if claims.jti.is_empty() {
        return Err(RejectedToken::Claims);
    }
    let evidence = Evidence {
        method: Method::EnrolledKey,
        claims: [(KEY.to_owned(), kept.thumbprint)].into(),
        key: key.cloned(),
    };
    let caller = Caller {
        identity: own,
        evidence,
        sponsor,
    };
    let used = Use {
        id: ProofId::of(&["jti", &claims.sub, &claims.jti]),
        key: None,
        until: ends + CLOCK_SKEW,
    };
    Ok(Found {
        who: Verified::Agent(caller),
        used: Some(used),
    })
}

/// Makes challenges that carry their own MAC, so that the broker stores none of them.
pub(crate) struct Challenges(hmac::Key);

impl Challenges {
    /// Prepares the challenges of this process. It refuses those of another process.
    ///
    /// # Errors
    /// When the operating system gives no random bits.
    pub(crate) fn new() -> Result<Self, ring::error::Unspecified> {
        let random = ring::rand::SystemRandom::new();
        hmac::Key::generate(hmac::HMAC_SHA256, &random).map(Self)
    }

    /// Makes a challenge for the holder of `about`.
    pub(crate) fn put(&self, about: &str, now: Timestamp) -> String {
        let until = (now + CHALLENGE_TIMEOUT).as_secs();
        let tag = hmac::sign(&self.0, format!("{until} {about}").as_bytes());
        format!("{until}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns true if this process made the challenge for `about` within [`CHALLENGE_TIMEOUT`].
    pub(crate) fn is_ours(&self, challenge: &str, about: &str, now: Timestamp) -> bool {
        let Some((until, tag)) = challenge.split_once('.') else {
            return false;
        };
        let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else {
            return false;
        };
        let said = format!("{until} {about}");
        let put = hmac::verify(&self.0, said.as_bytes(), &tag).is_ok();
        let until = until.parse().ok().map(Timestamp::from_secs);
        put && until.is_some_and(|until| now <= until)
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn t44_an_assertion_is_good_for_five_minutes_at_most() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let (kept, _) = key(&URL_SAFE_NO_PAD.encode(pair.public_key())).unwrap();
        let name: Name = "builder".parse().unwrap();
        let taken = |life: u64| {
            let own = identity("https://lanyard.example", &name);
            let claims = json!({"iss": own.issuer, "sub": own.subject, "aud": "lanyard", "iat": NOW.as_secs(),
                "exp": NOW.as_secs() + life, "jti": "1"});
            let header = json!({"alg": "EdDSA", "kid": kept.thumbprint});
            let [header, claims] =
                [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
            let message = format!("{header}.{claims}");
            let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
            let of = (&name, &kept, Sponsor::Nobody);
            let token = format!("{message}.{signature}");
            verified(
                of,
                (&token, None),
                ("https://lanyard.example", "lanyard"),
                NOW,
            )
            .err()
        };
        assert_eq!(taken(300), None);
        assert_eq!(taken(301), Some(RejectedToken::Times));
    }

    #[test]
    fn t44_a_challenge_is_answered_within_two_minutes() {
        let challenges = Challenges::new().unwrap();
        let put = challenges.put("key", NOW);
        assert!(challenges.is_ours(&put, "key", NOW + CHALLENGE_TIMEOUT));
        let late = NOW + CHALLENGE_TIMEOUT + Duration::from_secs(1);
        assert!(!challenges.is_ours(&put, "key", late));
        assert!(!challenges.is_ours(&put, "another", NOW));
    }
}
