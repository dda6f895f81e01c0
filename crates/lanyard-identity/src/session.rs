//! Sessions: tokens of the broker for the holder of a key. This module verifies; the server signs.

use std::time::Duration;

use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
use lanyard_vocabulary::operator::{Login, Operator};
use lanyard_vocabulary::person::{Person, Sponsor};
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::replay_cache::ProofId;
use crate::verifier::{KILL_GRACE, Purpose};
use crate::{CLOCK_SKEW, RejectedToken, Verified, Verifier};

/// The `typ` of a session token, so that no other token passes for one (RFC 8725, section 3.11).
pub const SESSION_TYPE: &str = "lanyard-session+jwt";

/// The payload of a session token. An unknown field is refused: the broker writes none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The broker's issuer URL.
    pub iss: String,
    /// The broker's issuer URL again: no other service accepts the token.
    pub aud: String,
    /// The identity as text, for people.
    pub sub: String,
    /// Issue time, in seconds since the epoch.
    pub iat: u64,
    /// Expiry, in seconds since the epoch.
    pub exp: u64,
    /// Unique id of the session.
    pub jti: String,
    /// The key that every presenter must prove to hold.
    pub cnf: Confirmation,
    /// The identity, and how it was proved.
    pub who: Who,
}

/// The identity behind a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Who {
    /// A workload, with the person behind it.
    Agent {
        /// The workload's verified identity.
        identity: Identity,
        /// The way in which the identity was proved.
        evidence: Evidence,
        /// The person on whose behalf the agent acts.
        sponsor: Option<Person>,
    },
    /// A person. Roles are derived from the groups and the configuration at each use.
    Operator {
        /// The person's identity and groups.
        operator: Operator,
        /// The login's time and class.
        login: Login,
    },
}

impl Who {
    /// Converts a verified caller, if the configuration can tell on whose behalf an agent acts.
    ///
    /// # Errors
    /// The reason why the sponsor is unknown.
    pub fn of(verified: Verified) -> Result<Self, String> {
        Ok(match verified {
            Verified::Agent(caller) => Self::Agent {
                identity: caller.identity,
                evidence: caller.evidence,
                sponsor: match caller.sponsor {
                    Sponsor::Nobody => None,
                    Sponsor::Person(person) => Some(person),
                    Sponsor::Unmapped { why } => return Err(why),
                },
            },
            Verified::Operator(operator, login) => Self::Operator { operator, login },
        })
    }
}

impl Session {
    /// Returns the session's key in the replay cache, where an ended session is recorded.
    #[must_use]
    pub fn id(&self) -> ProofId {
        ProofId::of(&["session", &self.jti])
    }

    /// Returns the expiry of the session.
    #[must_use]
    pub const fn ends(&self) -> Timestamp {
        Timestamp::from_secs(self.exp)
    }

    /// Checks issuer, times and proof of possession, and returns the caller. The signature is
    /// already verified.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn presented(
        self,
        broker: &str,
        (key, purpose): (Option<&Confirmation>, Purpose),
        verifier: &Verifier,
        now: Timestamp,
    ) -> Result<Verified, RejectedToken> {
        if self.iss != broker || self.aud != broker {
            return Err(RejectedToken::Audience);
        }
        let grace = match purpose {
            Purpose::Kill => KILL_GRACE,
            Purpose::Change | Purpose::Look => Duration::ZERO,
        };
        if now >= self.ends() + grace || Timestamp::from_secs(self.iat) > now + CLOCK_SKEW {
            return Err(RejectedToken::Times);
        }
        if key != Some(&self.cnf) {
            return Err(RejectedToken::Possession);
        }
        Ok(match self.who {
            Who::Agent {
                identity,
                evidence,
                sponsor,
            } => {
                let by_itself = matches!(
                    evidence.method,
                    Method::AwsCallerIdentity | Method::EnrolledKey | Method::Named
                );
                // An issuer that was removed from the configuration vouches for nobody.
                if !by_itself && verifier.issuer(&identity.issuer).is_none() {
                    return Err(RejectedToken::Issuer);
                }
                let evidence = Evidence {
                    key: Some(self.cnf),
                    ..evidence
                };
                let sponsor = sponsor.map_or(Sponsor::Nobody, Sponsor::Person);
                Verified::Agent(Caller {
                    identity,
                    evidence,
                    sponsor: verifier.current_sponsor(sponsor),
                })
            }
            Who::Operator { operator, login } => {
                if verifier.issuer(&operator.identity.issuer).is_none() {
                    return Err(RejectedToken::Issuer);
                }
                let operator = verifier.with_current_roles(&operator);
                let no_role = verifier.why_no_role_now(&operator);
                Verified::Operator(operator, Login { no_role, ..login })
            }
        })
    }
}
