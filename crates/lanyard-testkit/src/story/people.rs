//! Enrolment, sessions and reports.

use std::time::Duration;

use lanyard_core::action::{Outcome, Report, Reporter};
use lanyard_core::command::{Command, SessionBegun};
use lanyard_core::enrolment::{AgentKey, EnrolmentStep, Invitation};
use lanyard_core::signing_key::SigningKeyStep;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{ActionId, TaskId};
use lanyard_vocabulary::identity::{Confirmation, Evidence, Method};
use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};

use super::START;
use super::leases::confirmed;
use super::parts::{ann, evidence, identity, operator, task};
use crate::world::name;

pub(super) fn enrolment() -> Vec<Command> {
    let invite = |agent, token: &[u8]| {
        EnrolmentStep::Invite(Invitation {
            token: Digest::of(token),
            agent: name(agent),
            by: ann(),
            until: START + Duration::from_secs(3600),
        })
    };
    let key = |text: &str| AgentKey {
        thumbprint: format!("thumbprint of {text}"),
        x: text.to_owned(),
    };
    let enrol = |token: &[u8], text: &str| EnrolmentStep::Enrol {
        token: Digest::of(token),
        key: key(text),
    };
    let steps = [
        invite("laptop", b"one"),
        invite("desktop", b"two"),
        invite("server", b"three"),
        enrol(b"one", "x1"),
        enrol(b"two", "x2"),
        EnrolmentStep::Rotate {
            agent: name("laptop"),
            from: key("x1").thumbprint,
            to: key("x3"),
        },
        EnrolmentStep::Remove {
            agent: name("desktop"),
            by: identity("ann"),
            reason: "sold".to_owned(),
        },
    ];
    steps.into_iter().map(Command::Enrolment).collect()
}

pub(super) fn signing_keys() -> Vec<Command> {
    let make = |kid: &str, by| SigningKeyStep::Make {
        kid: kid.to_owned(),
        signs_from: START + Duration::from_secs(300),
        by,
        reason: "on time".to_owned(),
    };
    let steps = [
        make("k1", None),
        make("k2", Some(identity("ann"))),
        SigningKeyStep::Revoke {
            kid: "k1".to_owned(),
            by: identity("ann"),
            reason: "leaked".to_owned(),
        },
    ];
    steps.into_iter().map(Command::SigningKey).collect()
}

pub(super) fn sessions() -> Vec<Command> {
    let session = |session: &str, subject: &str| SessionBegun {
        session: session.to_owned(),
        identity: identity(subject),
        evidence: None,
        login: None,
        key: Confirmation::Key("thumbprint".to_owned()),
        until: START + Duration::from_secs(900),
    };
    let plain = Operator {
        groups: [].into(),
        roles: [OperatorRole::OnCall, OperatorRole::Admin].into(),
        directory: None,
        name: None,
        vouched: None,
        ..operator("dave")
    };
    vec![
        Command::BeginSession(Box::new(SessionBegun {
            evidence: Some(evidence()),
            ..session("s-1", "agent:terraformer")
        })),
        Command::BeginSession(Box::new(SessionBegun {
            login: Some(Login {
                at: Some(START),
                acr: Some("phr".to_owned()),
                no_role: None,
            }),
            key: Confirmation::Certificate("digest".to_owned()),
            ..session("s-2", "ann")
        })),
        Command::Recognize(Box::new(operator("ann"))),
        Command::Recognize(Box::new(plain)),
    ]
}

/// A session for each method of proof.
pub(super) fn methods() -> Vec<Command> {
    let all = [
        Method::Named,
        Method::Oidc,
        Method::TokenReview,
        Method::ClusterKeys,
        Method::X509Svid,
        Method::JwtSvid,
        Method::AwsCallerIdentity,
        Method::EnrolledKey,
    ];
    let session = |method| {
        Command::BeginSession(Box::new(SessionBegun {
            session: String::new(),
            identity: identity(""),
            evidence: Some(Evidence {
                method,
                ..Evidence::default()
            }),
            login: Some(Login::default()),
            key: Confirmation::Key(String::new()),
            until: lanyard_vocabulary::time::Timestamp::NEVER,
        }))
    };
    all.map(session).into()
}

pub(super) fn reports() -> Vec<Command> {
    let report = |bits, outcome, by| Report {
        action: ActionId::from_bits(bits),
        task: task().id,
        lease: None,
        tool: "terraform".to_owned(),
        name: "terraform.apply".to_owned(),
        on: "queues".to_owned(),
        outcome,
        detail: String::new(),
        by,
        delivery: None,
    };
    let reports = [
        Report {
            lease: Some(confirmed()),
            detail: "3 changed".to_owned(),
            ..report(1, Outcome::Started, Reporter::Holder)
        },
        report(
            1,
            Outcome::Failed,
            Reporter::Agent(identity("agent:terraformer")),
        ),
        Report {
            task: TaskId::from_bits(101),
            delivery: Some("delivery-1".to_owned()),
            ..report(2, Outcome::Succeeded, Reporter::Webhook("ci".to_owned()))
        },
        report(3, Outcome::RolledBack, Reporter::Holder),
    ];
    let reports = reports.into_iter();
    reports
        .map(|report| Command::Report(Box::new(report)))
        .collect()
}
