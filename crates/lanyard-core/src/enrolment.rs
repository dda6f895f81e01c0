//! Enrolled agents: agents that hold a key of their own, on machines that no platform vouches for.
//!
//! An operator invites an agent by name, with a short-lived token for one use. The holder of the
//! token enrols a key under that name, and the key identifies the agent from then on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::time::Timestamp;

/// The reason why a step of enrolment does not take effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentError {
    /// The name, the key or the last place is taken.
    #[error("{0} already exists")]
    Exists(String),
    /// The name or the key is no enrolled agent's, and the token no invitation's.
    #[error("there is no {0}")]
    Unknown(String),
}

/// The most agents that may be enrolled.
///
/// # Limit
/// - for: all enrolled agents and invitations together
/// - unit: agents
/// - beyond: nobody is invited until an agent is removed or an invitation is over
/// - test: `so_many_agents_are_enrolled_and_no_more`
const MAX_ENROLLED_AGENTS: usize = 10_000;

/// An invitation to enrol a key. The broker keeps the token's digest alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// SHA-256 of the invitation token.
    pub token: Digest,
    /// The name under which the key will be enrolled.
    pub agent: Name,
    /// The operator who invited the agent.
    pub by: Person,
    /// The time until which the token is accepted.
    pub until: Timestamp,
}

/// An enrolled agent's public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// The key's thumbprint (RFC 7638).
    pub thumbprint: String,
    /// The Ed25519 public key (`x` of RFC 8037), in base64url.
    pub x: String,
}

/// An agent that is enrolled with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledAgent {
    /// The name under which the key will be enrolled.
    pub agent: Name,
    /// The agent's current key.
    pub key: AgentKey,
    /// The operator who invited the agent.
    pub by: Person,
    /// The time of the enrolment.
    pub since: Timestamp,
    /// The time at which the key was last replaced.
    pub rotated: Option<Timestamp>,
}

/// The enrolled agents and open invitations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    invitations: BTreeMap<Digest, Invitation>,
    agents: BTreeMap<Name, EnrolledAgent>,
}

/// A change of the enrolled agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum EnrolmentStep {
    /// An operator invites an agent.
    Invite(Invitation),
    /// The invited agent shows its token and enrols a key.
    Enrol {
        /// SHA-256 of the invitation token.
        token: Digest,
        /// The key to enrol.
        key: AgentKey,
    },
    /// An enrolled agent replaces its key.
    Rotate {
        /// The agent that replaces its key.
        agent: Name,
        /// The thumbprint of the old key.
        from: String,
        /// The key that takes its place.
        to: AgentKey,
    },
    /// An operator removes an agent.
    Remove {
        /// The agent to remove.
        agent: Name,
        /// The operator who removes it.
        by: Identity,
        /// The reason, in the operator's words.
        reason: String,
    },
}

impl Enrolment {
    /// The enrolled agents, ordered by name.
    pub fn agents(&self) -> impl Iterator<Item = &EnrolledAgent> {
        self.agents.values()
    }

    /// The invitations that have not ended.
    pub fn invitations(&self, now: Timestamp) -> impl Iterator<Item = &Invitation> {
        self.invitations
            .values()
            .filter(move |invitation| now <= invitation.until)
    }

    /// The enrolled agent of this name.
    #[must_use]
    pub fn agent(&self, name: &Name) -> Option<&EnrolledAgent> {
        self.agents.get(name)
    }

    /// The open invitation that this token belongs to.
    #[must_use]
    pub fn invited(&self, token: &Digest, now: Timestamp) -> Option<&Invitation> {
        let invitation = self.invitations.get(token)?;
        (now <= invitation.until).then_some(invitation)
    }

    pub(crate) fn admit(&self, step: &EnrolmentStep, now: Timestamp) -> Result<(), EnrolmentError> {
        let exists = |agent: &Name| Err(EnrolmentError::Exists(format!("enrolled agent {agent}")));
        let unknown = |agent: &Name| EnrolmentError::Unknown(format!("enrolled agent {agent}"));
        let taken = |key: &AgentKey| {
            let mut agents = self.agents.values();
            agents.any(|agent| agent.key.thumbprint == key.thumbprint)
        };
        match step {
            EnrolmentStep::Invite(invitation) => match self.agents.get(&invitation.agent) {
                Some(_) => exists(&invitation.agent),
                None if self.agents.len() + self.invitations.len() >= MAX_ENROLLED_AGENTS => {
                    Err(EnrolmentError::Exists(format!(
                        "the most enrolled agents: {MAX_ENROLLED_AGENTS}"
                    )))
                }
                None => Ok(()),
            },
            EnrolmentStep::Enrol { token, key } => {
                let invitation = self.invited(token, now);
                let invitation =
                    invitation.ok_or_else(|| EnrolmentError::Unknown("invitation".to_owned()))?;
                if self.agents.contains_key(&invitation.agent) || taken(key) {
                    return exists(&invitation.agent);
                }
                Ok(())
            }
            EnrolmentStep::Rotate { agent, from, to } => {
                let known = self.agents.get(agent).ok_or_else(|| unknown(agent))?;
                if known.key.thumbprint != *from {
                    return Err(unknown(agent));
                }
                if taken(to) {
                    return exists(agent);
                }
                Ok(())
            }
            EnrolmentStep::Remove { agent, .. } => {
                let known = self.agents.get(agent);
                known.map(drop).ok_or_else(|| unknown(agent))
            }
        }
    }

    pub(crate) fn take(&mut self, step: &EnrolmentStep, at: Timestamp) {
        self.invitations
            .retain(|_, invitation| at <= invitation.until);
        match step {
            EnrolmentStep::Invite(invitation) => {
                self.invitations
                    .insert(invitation.token, invitation.clone());
            }
            EnrolmentStep::Enrol { token, key } => {
                if let Some(invitation) = self.invitations.remove(token) {
                    let enrolled = EnrolledAgent {
                        agent: invitation.agent.clone(),
                        key: key.clone(),
                        by: invitation.by,
                        since: at,
                        rotated: None,
                    };
                    self.agents.insert(invitation.agent, enrolled);
                }
            }
            EnrolmentStep::Rotate { agent, to, .. } => {
                if let Some(known) = self.agents.get_mut(agent) {
                    known.key = to.clone();
                    known.rotated = Some(at);
                }
            }
            EnrolmentStep::Remove { agent, .. } => drop(self.agents.remove(agent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_agents_are_enrolled_and_no_more() {
        let now = Timestamp::from_secs(1_800_000_000);
        let invite = |place: usize| {
            EnrolmentStep::Invite(Invitation {
                token: Digest::of(&place.to_be_bytes()),
                agent: format!("agent-{place}").parse().unwrap(),
                by: Person::from(Identity {
                    issuer: "https://people.acme.example".to_owned(),
                    subject: "ann".to_owned(),
                }),
                until: Timestamp::NEVER,
            })
        };
        let mut all = Enrolment::default();
        for place in 0..MAX_ENROLLED_AGENTS {
            all.invitations.insert(
                Digest::of(&place.to_be_bytes()),
                match invite(place) {
                    EnrolmentStep::Invite(invitation) => invitation,
                    EnrolmentStep::Enrol { .. }
                    | EnrolmentStep::Rotate { .. }
                    | EnrolmentStep::Remove { .. } => continue,
                },
            );
        }
        let more = invite(MAX_ENROLLED_AGENTS);
        assert!(all.admit(&more, now).is_err());
        all.invitations.pop_first();
        assert!(all.admit(&more, now).is_ok());
    }
}
