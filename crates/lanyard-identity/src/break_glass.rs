//! Break-glass keys, which engage a kill when the identity provider is down, and nothing else. The
//! key is kept offline or in hardware; each order takes a fresh signature.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::jwks::{Algorithm, PublicKey};
use crate::jws::Jws;
use crate::{CLOCK_SKEW, RejectedToken};

/// The `typ` of a break-glass token (RFC 8725, section 3.11).
pub const BREAK_GLASS_TYPE: &str = "lanyard-break-glass+jwt";
/// Lifetime of one signature. A person may carry the token to another machine.
///
/// # Limit
/// - for: a signature of a break-glass key
/// - unit: of time
/// - beyond: the signature is refused
/// - test: `t44_a_signature_of_a_break_glass_key_is_good_for_ten_minutes`
const MAX_BREAK_GLASS_LIFE: Duration = Duration::from_secs(600);

/// The configured keys by thumbprint, with the name of each owner.
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
    /// Accepts signatures for `audience` by the keys of `people` (name and public key).
    #[must_use]
    pub fn new(audience: String, people: impl IntoIterator<Item = (String, PublicKey)>) -> Self {
        let keys = people.into_iter();
        let keys = keys.map(|(name, key)| (key.thumbprint(), (name, key)));
        Self {
            audience,
            keys: keys.collect(),
        }
    }

    /// Returns the owner's name and the key's thumbprint. A token may be presented again until it
    /// expires, because a second kill of the same scope changes nothing.
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
        if issued > now + CLOCK_SKEW || now > expires || expires > issued + MAX_BREAK_GLASS_LIFE {
            return Err(RejectedToken::Times);
        }
        if claims.jti.is_empty() {
            return Err(RejectedToken::Claims);
        }
        Ok((name.clone(), kid))
    }
}
