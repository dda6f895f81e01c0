//! Kill tickets: signed in advance by an offline key, each for a kill of one scope. They work when
//! the identity provider is down.

use std::collections::BTreeSet;

use lanyard_vocabulary::scope::{MAX_TICKET_LIFE, Scope};
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::RejectedToken;
use crate::jwks::{Algorithm, Jwks};
use crate::jws::Jws;

/// The `typ` of a ticket, so that no other token passes for one (RFC 8725, section 3.11).
pub const TICKET_TYPE: &str = "lanyard-kill-ticket+jwt";
/// Longest ticket id.
///
/// # Limit
/// - for: a kill ticket
/// - unit: bytes
/// - beyond: the ticket is refused
/// - test: `t44_a_ticket_has_bounds`
const MAX_TICKET_ID_BYTES: usize = 128;

/// The offline keys, and the withdrawn tickets.
#[derive(Debug)]
pub struct Tickets {
    audience: String,
    keys: Jwks,
    withdrawn: BTreeSet<String>,
}

/// A ticket whose signature and times are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Id of the ticket.
    pub id: String,
    /// Id of the key that signed the ticket.
    pub key: String,
    /// Scope that the ticket may kill. [`Scope::All`] covers every scope.
    pub scope: Scope,
}

impl Ticket {
    /// True if the ticket allows a kill of `scope`.
    #[must_use]
    pub fn covers(&self, scope: &Scope) -> bool {
        self.scope == Scope::All || self.scope == *scope
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
    scope: Scope,
}

impl Tickets {
    /// Accepts tickets for `audience`, signed by one of `keys`, except those in `withdrawn`.
    #[must_use]
    pub const fn new(audience: String, keys: Jwks, withdrawn: BTreeSet<String>) -> Self {
        Self {
            audience,
            keys,
            withdrawn,
        }
    }

    /// True if the `typ` of a bearer token is that of a ticket. Nothing is verified yet.
    #[must_use]
    pub fn is_one(token: &str) -> bool {
        Jws::parse_as(token, TICKET_TYPE).is_ok()
    }

    /// Verifies a ticket. A ticket may be presented again, because a second kill of the same scope
    /// changes nothing.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Ticket, RejectedToken> {
        let jws = Jws::parse_as(token, TICKET_TYPE)?;
        if jws.algorithm != Algorithm::EdDsa {
            return Err(RejectedToken::Header);
        }
        let kid = jws.kid.clone().ok_or(RejectedToken::Header)?;
        let keys = &self.keys;
        if !keys.verifies(&*kid, jws.algorithm, jws.message, &jws.signature) {
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
        if now > expires || expires > issued + MAX_TICKET_LIFE {
            return Err(RejectedToken::Times);
        }
        if claims.jti.is_empty() || claims.jti.len() > MAX_TICKET_ID_BYTES {
            return Err(RejectedToken::Claims);
        }
        if self.withdrawn.contains(&claims.jti) {
            return Err(RejectedToken::Replayed);
        }
        Ok(Ticket {
            id: claims.jti,
            key: kid,
            scope: claims.scope,
        })
    }
}
