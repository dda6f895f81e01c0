//! Break-glass keys: what engages a kill when the identity provider is down, and does nothing else. The key is kept offline
//! or in hardware; each order takes a fresh signature.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::jwks::{Algorithm, PublicKey};
use crate::jws::Jws;
use crate::{RejectedToken, SKEW};

/// `typ` of what such a key signs (RFC 8725, section 3.11).
pub const BREAK_GLASS_TYPE: &str = "lanyard-break-glass+jwt";
/// How long one signature is good: it may be carried from another machine.
///
/// # Limit
/// - for: a signature of a break-glass key
/// - unit: of time
/// - beyond: the signature is refused
/// - test: `t44_a_signature_of_a_break_glass_key_is_good_for_ten_minutes`
const MAX_BREAK_GLASS_LIFE: Duration = Duration::from_secs(600);

/// The keys, by thumbprint, and whose each is.
#[derive(Debug)]
pub struct BreakGlass {
    audience: String,
    keys: BTreeMap<String, (String, PublicKey)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
}

impl BreakGlass {
    /// For this audience, these people's keys.
    #[must_use]
    pub fn new(audience: String, people: impl IntoIterator<Item = (String, PublicKey)>) -> Self {
        let keys = people.into_iter();
        let keys = keys.map(|(name, key)| (key.thumbprint(), (name, key)));
        Self {
            audience,
            keys: keys.collect(),
        }
    }

    /// Whose signature this is. It may be shown again while it lasts: to stop what is stopped changes nothing.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<(String, String), RejectedToken> {
        let jws = Jws::parse_as(token, BREAK_GLASS_TYPE)?;
        if jws.algorithm != Algorithm::EdDsa {
            return Err(RejectedToken::Header);
        }
        let kid = jws.kid.clone().ok_or(RejectedToken::Header)?;
        let (name, key) = self.keys.get(&kid).ok_or(RejectedToken::Signature)?;
        if !key.verifies(jws.algorithm, jws.message, &jws.signature) {
            return Err(RejectedToken::Signature);
        }
        let claims: Claims = jws.claims()?;
        if claims.aud != self.audience {
            return Err(RejectedToken::Audience);
        }
        let (issued, expires) = (
            Timestamp::from_secs(claims.iat),
            Timestamp::from_secs(claims.exp),
        );
        if issued > now + SKEW || now > expires || expires > issued + MAX_BREAK_GLASS_LIFE {
            return Err(RejectedToken::Times);
        }
        if claims.jti.is_empty() {
            return Err(RejectedToken::Claims);
        }
        Ok((name.clone(), kid))
    }
}
