//! Records of every kind, with every field set in one place and absent in another. Tests of the
//! stored formats use them.
//!
//! A ledger accepts the records in this order. [`apart`] has the records that do not fit into the
//! order, or would end it.

use std::time::Duration;

use lanyard_core::command::{Command, Observation, Record, RequestOptions};
use lanyard_core::condition::{Acceptance, Kind};
use lanyard_core::decide::{Denial, HeldBy, LimitReached, ReasonCode, Rule};
use lanyard_core::drill::{Drill, DrillOutcome};
use lanyard_core::emergency::Emergency;
use lanyard_core::kill::{Actor, KillOrder, RearmProposal, RearmStage};
use lanyard_core::lease::{Progress, StopCause};
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_core::trip::{Counted, Trip};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{DecisionId, KillId, LeaseId, PauseId, PlanId, RearmId, TaskId};
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{BootClock, Timestamp, Ttl};

use crate::world::name;

mod leases;
mod parts;
mod people;

use parts::{ann, bob, breaker, identity, person, proposed, task, task_below};

/// The time of the story's first record; each further one is a second later.
pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Returns the records, in an order in which a ledger accepts them.
#[must_use]
pub fn story() -> Vec<Record> {
    let mut commands = Vec::new();
    commands.extend(beginning());
    commands.extend(people::enrolment());
    commands.extend(people::sessions());
    commands.extend(tasks());
    commands.extend(leases::approved());
    commands.extend(leases::plain());
    commands.extend(denials());
    commands.extend(people::reports());
    commands.extend(pauses());
    commands.extend(orders());
    commands.extend(ending());
    timed(commands)
}

/// Returns further records of the same kinds, with values that do not fit into [`story`].
#[must_use]
pub fn apart() -> Vec<Record> {
    let mut commands = Vec::new();
    for cause in [
        StopCause::TaskClosed,
        StopCause::Expired,
        StopCause::Unconfirmed,
        StopCause::Undelivered,
        StopCause::Excessive,
        StopCause::Collateral(KillId::from_bits(5)),
    ] {
        let leases = vec![LeaseId::from_bits(u128::MAX), LeaseId::from_bits(0)];
        commands.push(Command::Stop { leases, cause });
    }
    for by in [
        Actor::Agent(identity("agent:other")),
        Actor::Ticket {
            id: "ticket-1".to_owned(),
            key: "security".to_owned(),
        },
        Actor::BreakGlass {
            name: "ann".to_owned(),
            key: "thumb".to_owned(),
        },
        Actor::Signal {
            kind: "alertmanager".to_owned(),
            name: "prometheus".to_owned(),
        },
        Actor::Broker,
    ] {
        commands.push(Command::Kill(order(40, Scope::All, by)));
    }
    for rule in ALL_RULES {
        let count = 1;
        commands.push(Command::DenialsSuppressed {
            agent: None,
            charter: None,
            rule,
            since: Timestamp::EPOCH,
            count,
        });
    }
    for code in ReasonCode::ALL {
        let mut denial = denial();
        denial.reason_code = Some(*code);
        commands.push(deny(denial));
    }
    let in_json = |kind: &Kind| *kind != Kind::RetentionHeld;
    commands.extend(Kind::ALL.into_iter().filter(in_json).map(accept));
    commands.extend(parts::breakers());
    commands.extend(people::methods());
    commands.extend(leases::formats());
    timed(commands)
}

/// Records with the fields and words that came after the JSON form: no record in JSON has them.
#[must_use]
pub fn after_json() -> Vec<Record> {
    let held = [
        (Rule::Kill, HeldBy::Kill(KillId::from_bits(5))),
        (Rule::Pause, HeldBy::Pause(PauseId::from_bits(1))),
    ];
    let held = held.map(|(rule, held_by)| {
        deny(Denial {
            rule,
            reason_code: Some(rule.code()),
            held_by: Some(held_by),
            ..denial()
        })
    });
    timed(
        held.into_iter()
            .chain([accept(Kind::RetentionHeld), leases::of_an_added_kind()])
            .chain(people::signing_keys())
            .collect(),
    )
}

fn accept(kind: Kind) -> Command {
    Command::Accept(Box::new(Acceptance {
        kind,
        of: Vec::new(),
        by: person("ann"),
        reason: String::new(),
        second: None,
    }))
}

fn timed(commands: Vec<Command>) -> Vec<Record> {
    let mut at = START;
    let timed = commands.into_iter().map(|command| {
        let record = Record { at, command };
        at = at + Duration::from_secs(1);
        record
    });
    timed.collect()
}

const ALL_RULES: [Rule; 25] = [
    Rule::NotInForce,
    Rule::Agents,
    Rule::Environments,
    Rule::Autonomy,
    Rule::Grants,
    Rule::Shadow,
    Rule::Requires,
    Rule::Expires,
    Rule::Freezes,
    Rule::Hours,
    Rule::Emergency,
    Rule::Delegates,
    Rule::Versions,
    Rule::Prohibited,
    Rule::PlanRequired,
    Rule::Policies,
    Rule::Approvals,
    Rule::Sponsor,
    Rule::Limits,
    Rule::Task,
    Rule::Kill,
    Rule::Pause,
    Rule::Breakers,
    Rule::AwaitsApproval,
    Rule::Quota,
];

fn beginning() -> Vec<Command> {
    let charter = |charter, breakers| Command::CharterInForce {
        charter: name(charter),
        revision: parts::revision(charter),
        breakers,
    };
    vec![
        Command::Started {
            version: "0.1.0".to_owned(),
        },
        Command::Clock(BootClock {
            boot: "0d7e2a51-5c55-4f0e-9a5e-3a7d5b1c8f10".to_owned(),
            offset_millis: 1_799_000_000_123,
            sure_millis: -5,
        }),
        charter("payments", vec![breaker(), parts::plain_breaker()]),
        charter("platform", Vec::new()),
        charter("retired", Vec::new()),
        Command::CharterWithdrawn {
            charter: name("retired"),
            reason: "the file `retired.yaml` is gone".to_owned(),
        },
        Command::Accept(Box::new(Acceptance {
            kind: Kind::Restored,
            of: vec!["a copy of the journal was restored".to_owned()],
            by: person("ann"),
            reason: "we looked at all of it".to_owned(),
            second: Some((person("bob"), "so did I".to_owned())),
        })),
    ]
}

fn tasks() -> Vec<Command> {
    let open = |task, request: Option<&str>| Command::OpenTask {
        task,
        request: request.map(str::to_owned),
    };
    vec![
        open(task(), Some("request-1")),
        open(task_below(), None),
        open(parts::task_to_close(), None),
        Command::CloseTask {
            task: parts::task_to_close().id,
        },
    ]
}

fn denial() -> Denial {
    Denial {
        charter: name("payments"),
        revision: None,
        rule: Rule::Grants,
        at: None,
        path: None,
        message: "the charter has no grant `x`".to_owned(),
        next: "use read-state".to_owned(),
        would: None,
        reason_code: None,
        limit: None,
        retry_after: None,
        held_by: None,
    }
}

fn deny(denial: Denial) -> Command {
    Command::Deny {
        decision: DecisionId::from_bits(9),
        identity: identity("agent:terraformer"),
        agent: AgentName("terraformer".to_owned()),
        task: None,
        environment: None,
        grant: None,
        asked: RequestOptions::default(),
        denial,
    }
}

fn denials() -> Vec<Command> {
    let whole = Denial {
        revision: Some(parts::revision("payments")),
        rule: Rule::Quota,
        at: Some(parts::position()),
        path: Some("spec.limits.mints".into()),
        would: Some(2),
        reason_code: Some(ReasonCode::MintRate),
        limit: Some(Box::new(LimitReached {
            name: "limits.mints".into(),
            value: "30 per 1h".to_owned(),
        })),
        retry_after: Some(START + Duration::from_secs(900)),
        ..denial()
    };
    vec![
        deny(denial()),
        Command::Deny {
            decision: DecisionId::from_bits(10),
            identity: identity("agent:terraformer"),
            agent: AgentName("terraformer".to_owned()),
            task: Some(task().id),
            environment: Some(name("production")),
            grant: Some(name("read-state")),
            asked: RequestOptions {
                ttl: Some(Ttl::at_least_a_second(300)),
                plan: Some(PlanId::from_bits(3)),
                proposed: Some(proposed()),
            },
            denial: whole,
        },
        Command::DenialsSuppressed {
            agent: Some(AgentName("terraformer".to_owned())),
            charter: Some(name("payments")),
            rule: Rule::Grants,
            since: START,
            count: 4000,
        },
    ]
}

fn pauses() -> Vec<Command> {
    let pause = |bits, reach, demand, by| Pause {
        id: PauseId::from_bits(bits),
        reach,
        demand,
        reason: "looking".to_owned(),
        by,
        at: START,
        until: None,
        evidence: Vec::new(),
    };
    let narrow = Reach {
        environment: Some(name("production")),
        target: Some(name("payments-aws")),
        charter: Some(name("platform")),
        agent: Some(AgentName("other".to_owned())),
        as_typed: true,
        task: Some(TaskId::from_bits(77)),
        role: Some(Role::Apply),
    };
    let resumed = pause(2, Reach::default(), Demand::NoIssuance, Actor::Local);
    vec![
        Command::Pause(Box::new(Pause {
            until: Some(START + Duration::from_secs(3600)),
            evidence: vec![Seq(1), Seq(12)],
            ..pause(1, narrow, Demand::Approval, parts::breaker_actor())
        })),
        Command::Pause(Box::new(resumed)),
        Command::Resume {
            pause: PauseId::from_bits(2),
            by: identity("ann"),
            reason: "it was nothing".to_owned(),
        },
        Command::Alert(Box::new(Trip {
            charter: name("payments"),
            rule: breaker(),
            of: Counted::Task(task().id, AgentName("terraformer".to_owned())),
            at: START,
            evidence: vec![Seq(3)],
        })),
        Command::DeclareEmergency(Box::new(Emergency {
            charter: name("payments"),
            by: person("ann"),
            reason: "payments are down".to_owned(),
            at: START,
            until: START + Duration::from_secs(7200),
        })),
        Command::EndEmergency {
            charter: name("payments"),
            by: identity("bob"),
            reason: "payments are back".to_owned(),
        },
    ]
}

fn order(bits: u128, scope: Scope, by: Actor) -> KillOrder {
    KillOrder {
        id: KillId::from_bits(bits),
        scope,
        roles: RoleFilter::Both,
        reason: "it behaves oddly".to_owned(),
        by,
        at: START,
        evidence: Vec::new(),
        key: None,
        identities: [].into(),
        as_typed: false,
        reaches_nothing: false,
    }
}

fn orders() -> Vec<Command> {
    let operator = || Actor::Operator(identity("ann"));
    let lease = leases::confirmed();
    let rearm = |bits, stage, soak| {
        Command::ProposeRearm(RearmProposal {
            id: RearmId::from_bits(bits),
            kill: KillId::from_bits(2),
            stage,
            by: ann(),
            reason: "the lease was found".to_owned(),
            at: START + Duration::from_secs(60),
            despite_unconfirmed: true,
            epoch: Seq(u64::MAX - 1),
            soak,
        })
    };
    let confirm = |bits, despite: Option<&str>| Command::ConfirmRearm {
        rearm: RearmId::from_bits(bits),
        kill: KillId::from_bits(2),
        by: bob(),
        despite: despite.map(str::to_owned),
    };
    vec![
        Command::Kill(KillOrder {
            roles: RoleFilter::ApplyOnly,
            evidence: vec![Seq(4)],
            key: Some("incident-7".to_owned()),
            identities: [identity("agent:a"), identity("agent:b")].into(),
            as_typed: true,
            reaches_nothing: true,
            ..order(
                1,
                Scope::Agent(AgentName("stranger".to_owned())),
                operator(),
            )
        }),
        Command::WithdrawKill {
            kill: KillId::from_bits(1),
            by: person("ann"),
            reason: "a typing error".to_owned(),
        },
        Command::Kill(order(2, Scope::Lease(lease), Actor::Local)),
        rearm(1, RearmStage::Plan, 0),
        confirm(1, Some("the target is gone")),
        rearm(2, RearmStage::Apply, 1),
        confirm(2, None),
        Command::Kill(order(
            3,
            Scope::Environment(name("sandbox")),
            parts::breaker_actor(),
        )),
        Command::Kill(order(4, Scope::Target(name("unused")), operator())),
        Command::Kill(order(5, Scope::Charter(name("retired")), operator())),
        Command::Kill(order(6, Scope::Task(task_below().id), operator())),
        Command::Stop {
            leases: vec![lease],
            cause: StopCause::Killed(KillId::from_bits(2)),
        },
        Command::Advance {
            progress: vec![(lease, Progress::Requested)],
        },
        Command::Advance {
            progress: vec![(lease, Progress::PresumedDead(START))],
        },
    ]
}

fn ending() -> Vec<Command> {
    let observe = |what| Command::Observe {
        target: name("payments-aws"),
        what,
    };
    let drill = |bits: Option<u128>, outcome| {
        Command::Drill(Box::new(Drill {
            target: name("apis"),
            lease: bits.map(LeaseId::from_bits),
            kill: bits.map(KillId::from_bits),
            outcome,
        }))
    };
    vec![
        observe(Observation::Stray(LeaseId::from_bits(500))),
        observe(Observation::Missing(vec![leases::confirmed()])),
        observe(Observation::Edited("the statement was removed".to_owned())),
        drill(
            Some(600),
            DrillOutcome::Passed {
                fenced_micros: 120,
                taken_millis: 35,
                dead_millis: Some(80),
            },
        ),
        drill(
            None,
            DrillOutcome::Failed {
                why: "no canary was minted".to_owned(),
            },
        ),
        Command::Kill(order(7, Scope::All, Actor::Operator(identity("bob")))),
    ]
}
