//! Records are found by what they are about: charters, environments, people, outcomes, objects.

use lanyard_core::decide::{Denial, HeldBy, Rule, not_in_force};

use super::*;
use crate::rpc::records::filters::is_name_of;

#[tokio::test]
async fn r12_what_lifts_an_order_is_found_by_what_the_order_was_over() {
    let task = world::task(&Ids::seeded(12), START);
    let (charter, environment) = (task.charter.clone(), task.environment.clone());
    let bob = person("https://people.example", "bob");
    let of_charter = order(1, Scope::Charter(charter.clone()), Actor::Local);
    let of_place = order(2, Scope::Environment(environment.clone()), Actor::Local);
    let of_task = order(3, Scope::Task(task.id), Actor::Local);
    let of_all = order(4, Scope::All, Actor::Local);
    let paused = pause(
        5,
        Reach {
            environment: Some(environment.clone()),
            charter: Some(charter.clone()),
            ..Reach::default()
        },
    );
    let mut commands = vec![opened(&task)];
    for kill in [&of_charter, &of_place, &of_task, &of_all] {
        commands.push(Command::Kill(kill.clone()));
        commands.extend(lifts(kill, &bob));
    }
    let resume = Command::Resume {
        pause: paused.id,
        by: bob.clone(),
        reason: "mended".to_owned(),
    };
    commands.extend([Command::Pause(Box::new(paused)), resume]);
    let stage = Stage::of(commands).await;
    let by = |charter: &str, environment: &str| v1::QueryRecordsRequest {
        charter: charter.to_owned(),
        environment: environment.to_owned(),
        ..Default::default()
    };
    let places = |ranges: &[std::ops::Range<u64>]| -> Vec<u64> {
        ranges.iter().cloned().flatten().collect()
    };
    // The task; the order over the charter and its three lifts; those over the task and over
    // everything; the pause.
    assert_eq!(
        stage.places(by(charter.as_str(), "")),
        places(&[0..5, 9..19])
    );
    assert_eq!(
        stage.places(by("", environment.as_str())),
        places(&[0..1, 5..19])
    );
    // What is over everything is over any charter.
    assert_eq!(
        stage.places(by("other", "")),
        (13..17).collect::<Vec<u64>>()
    );
    let lifted_by_bob = v1::QueryRecordsRequest {
        who: "bob".to_owned(),
        ..by("", environment.as_str())
    };
    let lifted = [6..9, 10..13, 14..17, 18..19];
    assert_eq!(stage.places(lifted_by_bob), places(&lifted));
}

#[tokio::test]
async fn r21_a_name_with_an_issuer_is_nobodys_of_another_issuer() {
    let task = world::task(&Ids::seeded(21), START);
    let resume = |bits, by: &Identity| Command::Resume {
        pause: PauseId::from_bits(bits),
        by: by.clone(),
        reason: "anna said so".to_owned(),
    };
    let one = person("https://people.example", "anna");
    let two = person("https://contractors.example", "anna");
    let break_glass = Actor::BreakGlass {
        name: "anna".to_owned(),
        key: "k1".to_owned(),
    };
    let stage = Stage::of([
        opened(&task),
        resume(1, &one),
        resume(2, &two),
        Command::Kill(order(1, Scope::All, break_glass)),
        resume(3, &person("https://people.example", "susanna")),
    ])
    .await;
    let by = |who: &str| {
        stage.places(v1::QueryRecordsRequest {
            who: who.to_owned(),
            ..Default::default()
        })
    };
    assert_eq!(by("https://people.example#anna"), [1]);
    assert_eq!(by("https://contractors.example#anna"), [2]);
    assert_eq!(by("https://nobody.example#anna"), [] as [u64; 0]);
    assert_eq!(by("anna"), [1, 2, 3]);
    // Neither a reason nor a charter is somebody.
    assert_eq!(by(task.charter.as_str()), [] as [u64; 0]);
    assert_eq!(by(&task.agent.0), [0]);
    assert_eq!(by(&task.identity.to_string()), [0]);
    assert_eq!(by("terraformer"), [0]);
}

fn held(task: &Task, bits: u128, held_by: HeldBy) -> Command {
    Command::Deny {
        decision: DecisionId::from_bits(bits),
        identity: task.identity.clone(),
        agent: task.agent.clone(),
        task: Some(task.id),
        environment: None,
        grant: None,
        asked: lanyard_core::command::RequestOptions::default(),
        denial: Denial {
            rule: Rule::Kill,
            held_by: Some(held_by),
            ..not_in_force(&task.charter)
        },
    }
}

fn followed(id: impl ToString) -> v1::QueryRecordsRequest {
    v1::QueryRecordsRequest {
        mentions: id.to_string(),
        follow: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_refusal_is_among_the_records_of_the_order_that_caused_it() {
    let task = world::task(&Ids::seeded(13), START);
    let [first, second] = [3, 4].map(|bits| order(bits, Scope::All, Actor::Local));
    let paused = pause(7, Reach::default());
    let stage = Stage::of([
        Command::Kill(first.clone()),
        Command::Kill(second.clone()),
        Command::Pause(Box::new(paused.clone())),
        held(&task, 1, HeldBy::Kill(first.id)),
        held(&task, 2, HeldBy::Kill(second.id)),
        held(&task, 3, HeldBy::Pause(paused.id)),
    ])
    .await;
    for (id, expected) in [
        (first.id.to_string(), [0, 3]),
        (second.id.to_string(), [1, 4]),
        (paused.id.to_string(), [2, 5]),
    ] {
        assert_eq!(stage.places(followed(&id)), expected, "{id}");
    }
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_push_the_end_of_an_order_out_of_its_records() {
    let task = world::task(&Ids::seeded(13), START);
    let stop = order(3, Scope::All, Actor::Local);
    let refused = (0..2500).map(|bits| held(&task, bits, HeldBy::Kill(stop.id)));
    let by = person("https://people.example", "anna");
    let all = [Command::Kill(stop.clone())].into_iter().chain(refused);
    let stage = Stage::of(all.chain(lifts(&stop, &by))).await;
    let answer = stage.asked(followed(stop.id)).unwrap();
    let kinds: Vec<_> = answer.records.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(kinds.len(), 1 + 200 + 3, "{kinds:?}");
    assert_eq!(
        kinds[201..],
        ["propose-rearm", "confirm-rearm", "withdraw-kill"]
    );
    assert!(answer.truncated);
}

#[tokio::test]
async fn n12_what_a_kill_or_a_pause_refused_was_stopped() {
    let task = world::task(&Ids::seeded(12), START);
    let deny = |bits, rule: &str| Command::Deny {
        decision: DecisionId::from_bits(bits),
        identity: task.identity.clone(),
        agent: task.agent.clone(),
        task: Some(task.id),
        environment: None,
        grant: None,
        asked: lanyard_core::command::RequestOptions::default(),
        denial: serde_json::from_value(json!({
            "charter": task.charter, "rule": rule, "message": "it is so", "next": "wait",
        }))
        .unwrap(),
    };
    let more = |rule: &str| Command::DenialsSuppressed {
        agent: None,
        charter: None,
        rule: serde_json::from_value(json!(rule)).unwrap(),
        since: START,
        count: 1,
    };
    let stage = Stage::of([
        opened(&task),
        deny(1, "kill"),
        deny(2, "pause"),
        deny(3, "grants"),
        deny(4, "quota"),
        more("kill"),
        more("limits"),
    ])
    .await;
    let by = |outcome: &str| v1::QueryRecordsRequest {
        outcome: outcome.to_owned(),
        ..Default::default()
    };
    assert_eq!(stage.places(by("stopped")), [1, 2, 5]);
    // What the charter says no to, and what it allows and something else holds up.
    assert_eq!(stage.places(by("denied")), [3, 6]);
    assert_eq!(stage.places(by("refused")), [1, 2, 4, 5]);
    let said = stage.asked(by("stopped")).unwrap().records;
    assert!(
        said[0].said.contains(" was refused in task "),
        "{}",
        said[0].said
    );
    assert!(
        said[2]
            .said
            .starts_with("agents were refused 1 time more (kill)"),
        "{}",
        said[2].said
    );
}

#[tokio::test]
async fn n18_a_kind_a_name_or_an_id_that_nothing_has_is_said() {
    let task = world::task(&Ids::seeded(18), START);
    let kill = order(1, Scope::Charter(task.charter.clone()), Actor::Local);
    let known = kill.id.to_string();
    let stage = Stage::of([opened(&task), Command::Kill(kill)]).await;
    let ask = v1::QueryRecordsRequest::default;
    let kind = |kind: &str| v1::QueryRecordsRequest {
        kind: kind.to_owned(),
        ..ask()
    };
    let refused = stage.asked(kind("kil")).unwrap_err();
    assert!(
        refused.message().contains("did you mean `kill`"),
        "{refused}"
    );
    let refused = stage.asked(kind("no such kind")).unwrap_err();
    assert!(
        refused.message().contains("charter-in-force, "),
        "{refused}"
    );
    // A kind that there is, and that has no record.
    let none = stage.asked(kind("drill")).unwrap();
    assert_eq!((none.records.len(), none.unknown_names.len()), (0, 0));
    let unknown = |request| stage.asked(request).unwrap().unknown_names;
    let mentions = |mentions: &str| v1::QueryRecordsRequest {
        mentions: mentions.to_owned(),
        ..ask()
    };
    let (other, cut) = (KillId::from_bits(2).to_string(), &known[..20]);
    for (asked, why) in [
        (
            "K-XXXX",
            "is not a kill order id: expected `K-` and 26 letters and digits",
        ),
        (cut, "is not a kill order id"),
        (other.as_str(), "no record names `K-"),
        ("nosuch", "no record names `nosuch`"),
    ] {
        let said = unknown(mentions(asked));
        assert!(
            said.len() == 1 && said[0].contains(why),
            "{asked}: {said:?}"
        );
    }
    let charter = |charter: &str| v1::QueryRecordsRequest {
        charter: charter.to_owned(),
        ..ask()
    };
    assert!(unknown(charter("nope"))[0].contains("no charter `nope` is known"));
    assert_eq!(unknown(charter(task.charter.as_str())), [] as [&str; 0]);
    // What is found by nothing else than the other filters is no unknown name.
    let denied = v1::QueryRecordsRequest {
        outcome: "denied".to_owned(),
        ..mentions(&known)
    };
    assert_eq!(unknown(denied), [] as [&str; 0]);
}

#[tokio::test]
async fn u13_a_reported_object_is_found() {
    let task = world::task(&Ids::seeded(13), START);
    let report = |bits, on: &str| {
        Command::Report(Box::new(Report {
            action: ActionId::from_bits(bits),
            task: task.id,
            lease: None,
            tool: "tickets".to_owned(),
            name: "ticket.move".to_owned(),
            on: on.to_owned(),
            outcome: Outcome::Succeeded,
            detail: String::new(),
            by: Reporter::Holder,
            delivery: None,
        }))
    };
    let stage = Stage::of([
        opened(&task),
        report(1, "TICKET-7"),
        report(2, "payments/deployments web"),
        report(3, "TICKET-7"),
        report(4, &task.id.to_string()),
    ])
    .await;
    let by = |mentions: &str| v1::QueryRecordsRequest {
        mentions: mentions.to_owned(),
        ..Default::default()
    };
    assert_eq!(stage.places(by("TICKET-7")), [1, 3]);
    assert_eq!(stage.places(by("payments/deployments web")), [2]);
    let tailed = v1::TailRecordsRequest {
        mentions: "TICKET-7".to_owned(),
        ..Default::default()
    };
    assert_eq!(stage.tailed(tailed), [1, 3]);
}

#[tokio::test]
async fn a_tail_shows_what_a_query_finds() {
    let mut task = world::task(&Ids::seeded(31), START);
    task.ticket = Some("OPS-7".to_owned());
    let bob = person("https://people.example", "bob");
    let kill = order(
        1,
        Scope::Charter(task.charter.clone()),
        Actor::Operator(bob.clone()),
    );
    let later = Timestamp::from_secs(START.as_secs() + 60);
    let mut records = vec![
        record(later, opened(&task)),
        record(START, Command::CloseTask { task: task.id }),
        record(START, Command::Kill(kill.clone())),
        br#"{"at":1,"command":{"type":"of-tomorrow","charter":"other"}}"#.to_vec(),
    ];
    records.extend(lifts(&kill, &bob).map(|command| record(later, command)));
    let stage = Stage::with(&records).await;
    let all = v1::QueryRecordsRequest::default;
    let requests = [
        all(),
        v1::QueryRecordsRequest {
            since: Some(wire(later)),
            ..all()
        },
        v1::QueryRecordsRequest {
            kind: "kill".to_owned(),
            ..all()
        },
        v1::QueryRecordsRequest {
            who: "bob".to_owned(),
            ..all()
        },
        v1::QueryRecordsRequest {
            charter: task.charter.to_string(),
            ..all()
        },
        v1::QueryRecordsRequest {
            charter: "other".to_owned(),
            ..all()
        },
        v1::QueryRecordsRequest {
            environment: task.environment.to_string(),
            ..all()
        },
        v1::QueryRecordsRequest {
            ticket: "ops-7".to_owned(),
            ..all()
        },
        v1::QueryRecordsRequest {
            outcome: "stopped".to_owned(),
            ..all()
        },
        v1::QueryRecordsRequest {
            mentions: kill.id.to_string().to_ascii_lowercase(),
            ..all()
        },
        v1::QueryRecordsRequest {
            mentions: task.charter.to_string(),
            ..all()
        },
    ];
    for request in requests {
        let found = stage.places(request.clone());
        assert!(!found.is_empty(), "{request:?}");
        let tail = v1::TailRecordsRequest {
            from_index: 0,
            mentions: request.mentions,
            kind: request.kind,
            since: request.since,
            who: request.who,
            charter: request.charter,
            environment: request.environment,
            ticket: request.ticket,
            outcome: request.outcome,
        };
        assert_eq!(stage.tailed(tail.clone()), found, "{tail:?}");
    }
}

#[test]
fn u13_somebody_is_found_by_a_name_or_the_end_of_one() {
    let agent = "https://agents.acme.example#agent:router";
    for asked in [agent, "agent:router", "router"] {
        assert!(is_name_of(agent, asked), "{asked}");
    }
    for other in ["outer", "agent", "#agent:route", "x#agent:routers"] {
        assert!(!is_name_of(agent, other), "{other}");
    }
}
