//! Values that several parts of the story use.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::{
    ActionPattern, Breaker, BreakerRule, EVENTS, Event, PERS, Per, THENS, Then, Version,
};
use lanyard_core::command::Command;
use lanyard_core::kill::Actor;
use lanyard_core::task::Task;
use lanyard_core::trip::{Counted, Trip};
use lanyard_document::Position;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
use lanyard_vocabulary::lineage::Above;
use lanyard_vocabulary::operator::{Operator, OperatorRole};
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Ttl;

use super::START;
use crate::world::name;

pub(super) fn revision(charter: &str) -> Revision {
    Revision::of(charter.as_bytes())
}

pub(super) fn identity(subject: &str) -> Identity {
    Identity {
        issuer: "https://agents.acme.example".to_owned(),
        subject: subject.to_owned(),
    }
}

pub(super) fn person(subject: &str) -> Person {
    Person::from(identity(subject))
}

/// A person with a directory and a name.
pub(super) fn ann() -> Person {
    Person {
        directory: Some(name("staff")),
        name: Some("ann@acme.example".to_owned()),
        ..person("ann")
    }
}

pub(super) fn bob() -> Person {
    Person {
        directory: Some(name("staff")),
        name: Some("bob@acme.example".to_owned()),
        ..person("bob")
    }
}

pub(super) fn operator(subject: &str) -> Operator {
    Operator {
        identity: identity(subject),
        groups: ["group:oncall", "group:platform"].map(str::to_owned).into(),
        roles: [OperatorRole::Approver, OperatorRole::Viewer].into(),
        directory: Some(name("staff")),
        name: Some(format!("{subject}@acme.example")),
        vouched: Some(START),
    }
}

pub(super) const fn position() -> Position {
    Position {
        line: 41,
        column: 7,
    }
}

pub(super) fn proposed() -> BTreeSet<ActionPattern> {
    ["s3:DeleteObject", "delete pods"]
        .map(|action| ActionPattern(action.to_owned()))
        .into()
}

pub(super) fn breaker() -> BreakerRule {
    BreakerRule {
        breaker: Breaker {
            on: Event::FailedAction,
            action: Some("ticket.*".to_owned()),
            count: 900,
            within: Ttl::at_least_a_second(600),
            per: Per::Target,
            then: Then::PauseTarget,
            lasts: Some(Ttl::at_least_a_second(3600)),
        },
        at: position(),
        path: Some("spec.breakers[0]".to_owned()),
    }
}

pub(super) fn plain_breaker() -> BreakerRule {
    BreakerRule {
        breaker: Breaker {
            on: Event::Denied,
            action: None,
            count: 800,
            within: Ttl::at_least_a_second(60),
            per: Per::Agent,
            then: Then::StopAgent,
            lasts: None,
        },
        at: Position { line: 1, column: 1 },
        path: None,
    }
}

/// A trip for each event, subject and consequence.
pub(super) fn breakers() -> Vec<Command> {
    let trip = |change: &dyn Fn(&mut Breaker), of| {
        let mut rule = plain_breaker();
        change(&mut rule.breaker);
        Command::Alert(Box::new(Trip {
            charter: name("payments"),
            rule,
            of,
            at: START,
            evidence: Vec::new(),
        }))
    };
    let mut trips = Vec::new();
    for on in EVENTS {
        trips.push(trip(&|breaker| breaker.on = on.value, Counted::Charter));
    }
    for per in PERS {
        let agent = AgentName("terraformer".to_owned());
        trips.push(trip(
            &|breaker| breaker.per = per.value,
            Counted::Agent(agent),
        ));
    }
    for then in THENS {
        let target = Counted::Target(name("apis"));
        trips.push(trip(&|breaker| breaker.then = then.value, target));
    }
    trips
}

pub(super) fn breaker_actor() -> Actor {
    Actor::Breaker {
        charter: name("payments"),
        line: 41,
        path: Some("spec.breakers[0]".to_owned()),
        record: Seq(12),
    }
}

pub(super) fn evidence() -> Evidence {
    Evidence {
        method: Method::Oidc,
        claims: [
            ("repository".to_owned(), "acme/payments".to_owned()),
            ("ref".to_owned(), "refs/heads/main".to_owned()),
        ]
        .into(),
        key: Some(Confirmation::Key("thumbprint".to_owned())),
    }
}

/// A task with every field.
pub(super) fn task() -> Task {
    Task {
        id: TaskId::from_bits(100),
        charter: name("payments"),
        revision: revision("payments"),
        environment: name("production"),
        agent: AgentName("terraformer".to_owned()),
        identity: identity("agent:terraformer"),
        evidence: evidence(),
        sponsor: Some(Person {
            subject: None,
            name: Some("carol@acme.example".to_owned()),
            ..person("")
        }),
        reason: "resize the queue workers".to_owned(),
        ticket: Some("OPS-7".to_owned()),
        version: Some(Version {
            model: "model-1".to_owned(),
            prompt: Some(Digest::of(b"instructions")),
        }),
        lineage: Vec::new(),
        opened: START,
        expires: START + Duration::from_secs(7200),
    }
}

/// A subtask of the first task, with every optional field absent but its lineage.
pub(super) fn task_below() -> Task {
    let above = task();
    Task {
        id: TaskId::from_bits(101),
        charter: name("platform"),
        revision: revision("platform"),
        agent: AgentName("https://agents.acme.example#agent:helper".to_owned()),
        identity: identity("agent:helper"),
        evidence: Evidence::default(),
        sponsor: None,
        ticket: None,
        version: Some(Version {
            model: "model-2".to_owned(),
            prompt: None,
        }),
        lineage: vec![
            Above {
                task: above.id,
                charter: above.charter.clone(),
                agent: above.agent.clone(),
                identity: Some(above.identity.clone()),
            },
            Above {
                task: TaskId::from_bits(99),
                charter: name("platform"),
                agent: AgentName("older".to_owned()),
                identity: None,
            },
        ],
        ..above
    }
}

pub(super) fn task_to_close() -> Task {
    Task {
        id: TaskId::from_bits(102),
        evidence: Evidence::default(),
        sponsor: None,
        ticket: None,
        version: None,
        ..task()
    }
}
