//! IdentityService.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::command::Command;
use lanyard_core::enrolment::{EnrolledAgent, EnrolmentStep, Invitation};
use lanyard_core::ledger::CommitError;
use lanyard_core::state::Refusal;
use lanyard_identity::jwks::{Algorithm, PublicKey};
use lanyard_proto::v1;
use lanyard_proto::v1::identity_service_server::IdentityService;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::identity::Method;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::OperatorRole;
use ring::rand::{SecureRandom as _, SystemRandom};
use tonic::{Request, Response, Status};

use super::{Services, time};
use crate::fields::{parsed, text};
use crate::identity::enrolled::{self, CHALLENGE};
use crate::refusal;
use crate::refused::Refused;

/// The time for which an invitation is good where nothing else is asked, and at most.
const INVITED: Duration = Duration::from_secs(3600);
/// The longest that an invitation can be good.
///
/// # Limit
/// - for: an invitation
/// - unit: of time
/// - beyond: the call is refused with `INVALID_ARGUMENT`
/// - test: `an_invitation_is_good_for_a_day_at_most`
const MAX_INVITATION_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The prefix of join tokens, so that a scanner for leaked secrets finds them.
const JOIN_TOKEN: &str = "lanyard-join-";

#[tonic::async_trait]
impl IdentityService for Services {
    async fn invite_agent(
        &self,
        request: Request<v1::InviteAgentRequest>,
    ) -> Result<Response<v1::InviteAgentResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::Admin).await?;
        let request = request.into_inner();
        let agent = parsed("agent", &request.agent)?;
        let lasts = lasts(request.ttl)?;
        let mut secret = [0; 32];
        let drawn = SystemRandom::new().fill(&mut secret);
        drawn.map_err(|_| Status::unavailable("the system gives no random bits"))?;
        let join_token = format!("{JOIN_TOKEN}{}", URL_SAFE_NO_PAD.encode(secret));
        let until = self.0.engine.clock().now() + lasts;
        let invitation = Invitation {
            token: Digest::of(join_token.as_bytes()),
            agent,
            by: operator.person(),
            until,
        };
        self.enrolment(EnrolmentStep::Invite(invitation)).await?;
        Ok(Response::new(v1::InviteAgentResponse {
            join_token,
            expire_time: time(until),
        }))
    }

    async fn list_enrolled_agents(
        &self,
        request: Request<v1::ListEnrolledAgentsRequest>,
    ) -> Result<Response<v1::ListEnrolledAgentsResponse>, Status> {
        self.operator(&request, OperatorRole::Viewer).await?;
        let (now, issuer) = (self.0.engine.clock().now(), &self.0.issuer);
        let listed = self.0.engine.context().query(|state| {
            let enrolment = state.enrolment();
            let agents = enrolment.agents().map(|agent| message(agent, issuer));
            let invitations = enrolment.invitations(now).map(|it| v1::Invitation {
                agent: it.agent.to_string(),
                invited_by: it.by.to_string(),
                expire_time: time(it.until),
            });
            v1::ListEnrolledAgentsResponse {
                agents: agents.collect(),
                invitations: invitations.collect(),
            }
        });
        Ok(Response::new(listed.await.map_err(refusal::commit)?))
    }

    async fn remove_enrolled_agent(
        &self,
        request: Request<v1::RemoveEnrolledAgentRequest>,
    ) -> Result<Response<v1::RemoveEnrolledAgentResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::Admin).await?;
        let request = request.into_inner();
        let step = EnrolmentStep::Remove {
            agent: parsed("agent", &request.agent)?,
            by: operator.identity,
            reason: text("reason", request.reason)?,
        };
        self.enrolment(step).await?;
        Ok(Response::new(v1::RemoveEnrolledAgentResponse {}))
    }

    async fn begin_enrolment(
        &self,
        request: Request<v1::BeginEnrolmentRequest>,
    ) -> Result<Response<v1::BeginEnrolmentResponse>, Status> {
        let request = request.into_inner();
        let now = self.0.engine.clock().now();
        let token = Digest::of(request.join_token.as_bytes());
        public(&request.public_key)?;
        self.invited(token).await?;
        let about = about(token, &request.public_key);
        Ok(Response::new(v1::BeginEnrolmentResponse {
            challenge: self.0.doors.challenges.put(&about, now),
        }))
    }

    async fn complete_enrolment(
        &self,
        request: Request<v1::CompleteEnrolmentRequest>,
    ) -> Result<Response<v1::CompleteEnrolmentResponse>, Status> {
        let request = request.into_inner();
        let now = self.0.engine.clock().now();
        let token = Digest::of(request.join_token.as_bytes());
        let (kept, key) = public(&request.public_key)?;
        let agent = self.invited(token).await?;
        let about = about(token, &request.public_key);
        let challenge = &request.challenge;
        let put = self.0.doors.challenges.is_ours(challenge, &about, now);
        if !put || !signed(&key, challenge, &request.signature) {
            return Err(refusal::unauthenticated().into());
        }
        let step = EnrolmentStep::Enrol { token, key: kept };
        self.enrolment(step).await?;
        let identity = enrolled::identity(&self.0.issuer, &agent);
        Ok(Response::new(v1::CompleteEnrolmentResponse {
            agent: agent.to_string(),
            issuer: identity.issuer,
            subject: identity.subject,
            audience: self.0.doors.audience.clone(),
        }))
    }

    async fn rotate_agent_key(
        &self,
        request: Request<v1::RotateAgentKeyRequest>,
    ) -> Result<Response<v1::RotateAgentKeyResponse>, Status> {
        let caller = self.agent(&request).await?;
        let request = request.into_inner();
        let name = caller.identity.subject.strip_prefix(enrolled::SUBJECT);
        let name = name.filter(|_| caller.evidence.method == Method::EnrolledKey);
        let agent: Name = name
            .and_then(|name| name.parse().ok())
            .ok_or_else(refusal::not_enrolled)?;
        let known = self.0.engine.context().query(|state| {
            let known = state.enrolment().agent(&agent)?;
            Some(known.key.thumbprint.clone())
        });
        let from = known.await.map_err(refusal::commit)?;
        let from = from.ok_or_else(|| refusal::not_found("enrolled agent"))?;
        let (to, key) = public(&request.public_key)?;
        if !signed(&key, &from, &request.signature) {
            return Err(refusal::invalid("signature", "is not by the new key").into());
        }
        let step = EnrolmentStep::Rotate { agent, from, to };
        self.enrolment(step).await?;
        Ok(Response::new(v1::RotateAgentKeyResponse {}))
    }
}

impl Services {
    async fn enrolment(&self, step: EnrolmentStep) -> Result<(), Refused> {
        let recorded = self
            .0
            .engine
            .context()
            .commit(Command::Enrolment(step))
            .await;
        recorded.map(drop).map_err(|error| {
            // Who shows an invitation that is none, or used, learns no more than with any other bad
            // proof.
            if matches!(&error, CommitError::Refused(Refusal::Unknown(what)) if what == "invitation") {
                return refusal::unauthenticated();
            }
            refusal::commit(error)
        })
    }

    /// Returns the agent that is invited by this token.
    async fn invited(&self, token: Digest) -> Result<Name, Refused> {
        let now = self.0.engine.clock().now();
        let found = self.0.engine.context().query(|state| {
            let invitation = state.enrolment().invited(&token, now)?;
            Some(invitation.agent.clone())
        });
        let found = found.await.map_err(refusal::commit)?;
        found.ok_or_else(refusal::unauthenticated)
    }
}

/// Returns the subject of a challenge: nobody else's invitation, and no other key.
fn about(token: Digest, key: &str) -> String {
    format!("{token} {key}")
}

fn public(x: &str) -> Result<(lanyard_core::enrolment::AgentKey, PublicKey), Refused> {
    enrolled::key(x).map_err(|why| refusal::invalid("public_key", why))
}

fn signed(key: &PublicKey, what: &str, signature: &str) -> bool {
    let message = [CHALLENGE, what.as_bytes()].concat();
    let signature = URL_SAFE_NO_PAD.decode(signature);
    signature.is_ok_and(|signature| key.verifies(Algorithm::EdDsa, &message, &signature))
}

fn message(agent: &EnrolledAgent, broker: &str) -> v1::EnrolledAgent {
    let identity = enrolled::identity(broker, &agent.agent);
    v1::EnrolledAgent {
        agent: agent.agent.to_string(),
        thumbprint: agent.key.thumbprint.clone(),
        invited_by: agent.by.to_string(),
        enrol_time: time(agent.since),
        rotate_time: agent.rotated.and_then(time),
        issuer: identity.issuer,
        subject: identity.subject,
    }
}

/// The time for which an invitation is good.
fn lasts(asked: Option<prost_types::Duration>) -> Result<Duration, Status> {
    let asked = asked.map(Duration::try_from).transpose();
    let lasts = asked.map_err(|error| refusal::invalid("ttl", error))?;
    let lasts = lasts.unwrap_or(INVITED);
    if lasts > MAX_INVITATION_LIFE || lasts.is_zero() {
        return Err(refusal::invalid("ttl", "expected up to a day").into());
    }
    Ok(lasts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_good_for_a_day_at_most() {
        let of = |seconds| lasts(Some(prost_types::Duration { seconds, nanos: 0 }));
        assert_eq!(lasts(None).unwrap(), INVITED);
        assert_eq!(of(86_400).unwrap(), MAX_INVITATION_LIFE);
        assert!(of(86_401).is_err() && of(0).is_err() && of(-1).is_err());
    }
}
