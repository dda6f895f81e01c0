//! Agents that hold a key of their own.

use lanyard_in_process::{Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::identity_service_client::IdentityServiceClient;
use lanyard_tests::keys::{Key, fresh, now};
use serde_json::json;
use tonic::Code;

use crate::is_role_denied;

/// The text that a key signs with the broker's challenge, so that no other message passes for it.
const CHALLENGE: &[u8] = b"lanyard enrolment v1\0";

/// A token of the enrolled agent `laptop`.
fn token(key: &Key) -> anyhow::Result<String> {
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key.thumbprint()});
    let (now, id) = (now()?, fresh()?);
    let claims = json!({"iss": "https://dev.lanyard.invalid", "sub": "enrolled:laptop",
        "aud": "lanyard-dev", "iat": now, "exp": now + 60, "jti": id});
    Ok(key.jws(&header.to_string(), &claims.to_string()))
}

/// Enrols this key with the token of an invitation.
pub(crate) fn enrolled(
    stage: &Stage,
    join_token: &str,
    key: &Key,
) -> v1::CompleteEnrolmentResponse {
    let laptop = stage.stranger().unwrap();
    let begin = v1::BeginEnrolmentRequest {
        join_token: join_token.to_owned(),
        public_key: key.public(),
    };
    let begun = answers!(laptop, IdentityServiceClient::begin_enrolment(begin));
    let message = [CHALLENGE, begun.challenge.as_bytes()].concat();
    let complete = v1::CompleteEnrolmentRequest {
        join_token: join_token.to_owned(),
        public_key: key.public(),
        challenge: begun.challenge,
        signature: key.sign(&message),
    };
    answers!(laptop, IdentityServiceClient::complete_enrolment(complete))
}

fn invite(agent: &str) -> v1::InviteAgentRequest {
    v1::InviteAgentRequest {
        agent: agent.to_owned(),
        ttl: None,
    }
}

#[test]
fn an_agent_is_invited_enrols_its_key_and_is_removed() {
    let stage = Stage::set().unwrap();
    let admin = stage.caller("admin").unwrap();
    let oncall = stage.caller("oncall").unwrap();
    is_role_denied(&refuses!(
        oncall,
        IdentityServiceClient::invite_agent(invite("laptop"))
    ));
    let invited = answers!(admin, IdentityServiceClient::invite_agent(invite("laptop")));
    let list = v1::ListEnrolledAgentsRequest {};
    let listed = answers!(admin, IdentityServiceClient::list_enrolled_agents(list));
    assert_eq!((listed.agents.len(), listed.invitations.len()), (0, 1));

    let laptop = stage.stranger().unwrap();
    let key = Key::fresh().unwrap();
    let begin = |token: &str| v1::BeginEnrolmentRequest {
        join_token: token.to_owned(),
        public_key: key.public(),
    };
    let guess = refuses!(
        laptop,
        IdentityServiceClient::begin_enrolment(begin("lanyard-join-guess"))
    );
    assert_eq!(guess.code, Code::Unauthenticated, "{guess:?}");
    let begun = answers!(
        laptop,
        IdentityServiceClient::begin_enrolment(begin(&invited.join_token))
    );
    let complete = |signed: &[u8]| v1::CompleteEnrolmentRequest {
        join_token: invited.join_token.clone(),
        public_key: key.public(),
        challenge: begun.challenge.clone(),
        signature: key.sign(signed),
    };
    let wrong = refuses!(
        laptop,
        IdentityServiceClient::complete_enrolment(complete(b"something else"))
    );
    assert_eq!(wrong.code, Code::Unauthenticated, "{wrong:?}");
    let message = [CHALLENGE, begun.challenge.as_bytes()].concat();
    let agent = answers!(
        laptop,
        IdentityServiceClient::complete_enrolment(complete(&message))
    );
    assert_eq!(agent.agent, "laptop");

    let remove = || v1::RemoveEnrolledAgentRequest {
        agent: "laptop".to_owned(),
        reason: "sold".to_owned(),
    };
    is_role_denied(&refuses!(
        oncall,
        IdentityServiceClient::remove_enrolled_agent(remove())
    ));
    answers!(
        admin,
        IdentityServiceClient::remove_enrolled_agent(remove())
    );
    let listed = answers!(admin, IdentityServiceClient::list_enrolled_agents(list));
    assert_eq!((listed.agents.len(), listed.invitations.len()), (0, 0));
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(
        agent,
        IdentityServiceClient::list_enrolled_agents(list)
    ));
}

#[test]
fn an_enrolled_agent_alone_replaces_its_key() {
    let stage = Stage::set().unwrap();
    let admin = stage.caller("admin").unwrap();
    let invited = answers!(admin, IdentityServiceClient::invite_agent(invite("laptop")));
    let (before, after) = (Key::fresh().unwrap(), Key::fresh().unwrap());
    let message_of_rotation = [CHALLENGE, before.thumbprint().as_bytes()].concat();
    enrolled(&stage, &invited.join_token, &before);
    let rotate = || v1::RotateAgentKeyRequest {
        public_key: after.public(),
        signature: after.sign(&message_of_rotation),
    };
    // Another agent, whose key is none of the broker's.
    let agent = stage.caller("agent").unwrap();
    let refused = refuses!(agent, IdentityServiceClient::rotate_agent_key(rotate()));
    assert_eq!(refused.code, Code::PermissionDenied, "{refused:?}");
    let own = stage.caller_with(move || token(&before).map(Some)).unwrap();
    answers!(own, IdentityServiceClient::rotate_agent_key(rotate()));
    let refused = refuses!(own, IdentityServiceClient::rotate_agent_key(rotate()));
    assert_eq!(refused.code, Code::Unauthenticated, "{refused:?}");
}
