//! Sessions: what the broker itself vouches for, for a while, to whoever holds a key. Nothing here signs.

use std::time::Duration;

use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
use lanyard_vocabulary::operator::{Login, Operator};
use lanyard_vocabulary::person::{Person, Sponsor};
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::memory::ProofId;
use crate::verifier::{KILL_GRACE, Purpose};
use crate::{RejectedToken, SKEW, Verified, Verifier};

/// `typ` of a session, so that it is taken for nothing else (RFC 8725, section 3.11).
pub const SESSION_TYPE: &str = "lanyard-session+jwt";

/// The payload of a session. One with any other field is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The broker.
    pub iss: String,
    /// The broker again: it is good nowhere else.
    pub aud: String,
    /// The identity, as people read it.
    pub sub: String,
    /// Seconds since the epoch.
    pub iat: u64,
    /// Seconds since the epoch.
    pub exp: u64,
    /// Its id.
    pub jti: String,
    /// The key that whoever presents it has to hold.
    pub cnf: Confirmation,
    /// Who, and how that was proved.
    pub who: Who,
}

/// Whom a session is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Who {
    /// A workload.
    Agent {
        /// Which.
        identity: Identity,
        /// How it was proved.
        evidence: Evidence,
        /// On whose behalf.
        sponsor: Option<Person>,
    },
    /// A person. The roles follow from the groups and the configuration at each use.
    Operator {
        /// Which.
        operator: Operator,
        /// How they logged in.
        login: Login,
    },
}

impl Who {
    /// The caller, where it is known on whose behalf that one acts.
    ///
    /// # Errors
    /// Why it is not known.
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
    /// The name under which its end is remembered.
    #[must_use]
    pub fn id(&self) -> ProofId {
        ProofId::of(&["session", &self.jti])
    }

    /// When it ends.
    #[must_use]
    pub const fn ends(&self) -> Timestamp {
        Timestamp::from_secs(self.exp)
    }

    /// Who presents it: the holder of its key, and nobody else. Its signature was checked before.
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
        if now >= self.ends() + grace || Timestamp::from_secs(self.iat) > now + SKEW {
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
                // An issuer that is configured no more speaks for nobody.
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
                    sponsor: verifier.sponsor_again(sponsor),
                })
            }
            Who::Operator { operator, login } => {
                if verifier.issuer(&operator.identity.issuer).is_none() {
                    return Err(RejectedToken::Issuer);
                }
                let operator = verifier.again(&operator);
                let no_role = verifier.no_role_again(&operator);
                Verified::Operator(operator, Login { no_role, ..login })
            }
        })
    }
}
