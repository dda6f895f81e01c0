//! Conversions of the messages in identity.proto: identities, people, sessions and enrolment.

use lanyard_core::command::SessionBegun;
use lanyard_core::enrolment::{AgentKey, EnrolmentStep, Invitation};
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};
use lanyard_vocabulary::person::Person;

use crate::stored::{Stored, enumerations, messages, put, take};
use crate::unread::Unread;
use crate::v1;
use crate::v1::confirmation::Digest;
use crate::v1::enrolment_step::Step;

enumerations! {
    Method => Method {
        Named, Oidc, TokenReview, ClusterKeys, X509Svid, JwtSvid, AwsCallerIdentity, EnrolledKey,
    }
    OperatorRole => OperatorRole { Viewer, Approver, OnCall, Admin }
}

messages! {
    Identity => Identity { one issuer, one subject }
    Evidence => Evidence { one method, same claims, opt key }
    Person => Person { one issuer, opt subject, opt directory, opt name }
    Operator => Operator { req identity, many groups, many roles, opt directory, opt name, opt vouched }
    SessionBegun => SessionBegun { one session, req identity, opt evidence, opt login, req key, one until }
    Invitation => Invitation { one token, one agent, req by, one until }
    AgentKey => AgentKey { one thumbprint, one x }
}

impl Stored for Confirmation {
    type Wire = v1::Confirmation;

    fn store(&self) -> v1::Confirmation {
        let digest = match self {
            Self::Key(digest) => Digest::Key(digest.clone()),
            Self::Certificate(digest) => Digest::Certificate(digest.clone()),
        };
        v1::Confirmation {
            digest: Some(digest),
        }
    }

    fn restore(wire: v1::Confirmation) -> Result<Self, Unread> {
        match wire.digest {
            Some(Digest::Key(digest)) => Ok(Self::Key(digest)),
            Some(Digest::Certificate(digest)) => Ok(Self::Certificate(digest)),
            None => Err(Unread::choice("Confirmation.digest")),
        }
    }
}

impl Stored for Login {
    type Wire = v1::Login;

    fn store(&self) -> v1::Login {
        // Why a login has no role is computed at each use, and never stored.
        let Self {
            at,
            acr,
            no_role: _,
        } = self;
        v1::Login {
            at: put::opt(at),
            acr: put::opt(acr),
        }
    }

    fn restore(wire: v1::Login) -> Result<Self, Unread> {
        Ok(Self {
            at: take::opt(wire.at, "Login.at")?,
            acr: take::opt(wire.acr, "Login.acr")?,
            no_role: None,
        })
    }
}

impl Stored for EnrolmentStep {
    type Wire = v1::EnrolmentStep;

    fn store(&self) -> v1::EnrolmentStep {
        let step = match self {
            Self::Invite(invitation) => Step::Invite(invitation.store()),
            Self::Enrol { token, key } => Step::Enrol(v1::Enrol {
                token: put::one(token),
                key: put::req(key),
            }),
            Self::Rotate { agent, from, to } => Step::Rotate(v1::Rotate {
                agent: put::one(agent),
                from: put::one(from),
                to: put::req(to),
            }),
            Self::Remove { agent, by, reason } => Step::Remove(v1::Remove {
                agent: put::one(agent),
                by: put::req(by),
                reason: put::one(reason),
            }),
        };
        v1::EnrolmentStep { step: Some(step) }
    }

    fn restore(wire: v1::EnrolmentStep) -> Result<Self, Unread> {
        Ok(match wire.step {
            Some(Step::Invite(invitation)) => Self::Invite(Stored::restore(invitation)?),
            Some(Step::Enrol(wire)) => Self::Enrol {
                token: take::one(wire.token, "Enrol.token")?,
                key: take::req(wire.key, "Enrol.key")?,
            },
            Some(Step::Rotate(wire)) => Self::Rotate {
                agent: take::one(wire.agent, "Rotate.agent")?,
                from: take::one(wire.from, "Rotate.from")?,
                to: take::req(wire.to, "Rotate.to")?,
            },
            Some(Step::Remove(wire)) => Self::Remove {
                agent: take::one(wire.agent, "Remove.agent")?,
                by: take::req(wire.by, "Remove.by")?,
                reason: take::one(wire.reason, "Remove.reason")?,
            },
            None => return Err(Unread::choice("EnrolmentStep.step")),
        })
    }
}
