//! What was done, decided and recorded: actions, decisions, the journal, the condition.

use lanyard_in_process::{Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::action_service_client::ActionServiceClient;
use lanyard_proto::v1::audit_service_client::AuditServiceClient;
use lanyard_proto::v1::decision_service_client::DecisionServiceClient;
use tonic::Code;

use crate::is_role_denied;

fn queried(kind: &str) -> v1::QueryRecordsRequest {
    v1::QueryRecordsRequest {
        kind: kind.to_owned(),
        ..v1::QueryRecordsRequest::default()
    }
}

#[test]
fn an_action_is_reported_for_a_task_of_the_agent() {
    let stage = Stage::set().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let report = || v1::ReportActionRequest {
        task_id: task.clone(),
        tool: "tickets".to_owned(),
        action: "ticket.move".to_owned(),
        outcome: v1::ActionOutcome::Succeeded.into(),
        ..v1::ReportActionRequest::default()
    };
    let reported = answers!(agent, ActionServiceClient::report_action(report()));
    assert!(!reported.action_id.is_empty());
    let nameless = v1::ReportActionRequest {
        tool: String::new(),
        ..report()
    };
    let refused = refuses!(agent, ActionServiceClient::report_action(nameless));
    assert_eq!(refused.code, Code::InvalidArgument, "{refused:?}");
    let oncall = stage.caller("oncall").unwrap();
    is_role_denied(&refuses!(
        oncall,
        ActionServiceClient::report_action(report())
    ));
}

#[test]
fn a_decision_is_read_by_the_id_that_a_denial_names() {
    let stage = Stage::set().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let ask = ["request", "--task", &task, "move-tickets"];
    let line = stage.agent.run(&ask).unwrap().stderr;
    let mut id = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let id = id.find(|word| word.starts_with("D-")).unwrap();
    let get = |id: &str| v1::GetDecisionRequest { id: id.to_owned() };
    let alice = stage.caller("alice").unwrap();
    let read = answers!(alice, DecisionServiceClient::get_decision(get(id)));
    let decision = read.decision.unwrap();
    assert_eq!((decision.id.as_str(), decision.task_id), (id, task));
    let refused = refuses!(agent, DecisionServiceClient::get_decision(get("")));
    assert_eq!(refused.code, Code::InvalidArgument);
}

#[test]
fn a_refusal_is_found_by_the_order_or_the_pause_that_caused_it() {
    let stage = Stage::faked().unwrap();
    let task = stage.task().unwrap();
    let (alice, oncall) = (stage.command("alice"), stage.command("oncall"));
    let scope = ["--charter", "ticket-router", "--reason", "looking"];
    let on_pause = [&["-o", "name", "pause"], &scope[..]].concat();
    let pause = oncall.ok(&on_pause).unwrap().trim().to_owned();
    let ask = ["request", "--task", &task, "read-tickets"];
    stage.agent.run(&ask).unwrap();
    oncall
        .run(&[&["kill", "--yes"], &scope[..]].concat())
        .unwrap();
    let listed = oncall.ok(&["-o", "name", "kill", "list"]).unwrap();
    let kill = listed.trim().to_owned();
    stage.agent.run(&ask).unwrap();
    for (stop, key, code) in [(&pause, "pause", "PAUSED"), (&kill, "kill", "KILL_ENGAGED")] {
        let records = alice.json(&["audit", "query", stop]).unwrap();
        let refused: Vec<_> = records
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| record["kind"] == "deny")
            .collect();
        let [refused] = refused.as_slice() else {
            panic!("{stop}: {records}");
        };
        assert_eq!(refused["reason_code"], code);
        let denied = &refused["command"];
        assert_eq!(denied["denial"]["held_by"][key], stop.as_str(), "{refused}");
        let said = alice.ok(&["audit", "query", stop]).unwrap();
        assert!(
            said.contains(" was refused read-tickets in task "),
            "{said}"
        );
        let decision = denied["decision"].as_str().unwrap();
        let explained = alice.ok(&["explain", decision]).unwrap();
        let held = explained.lines().find(|line| line.contains("held up by"));
        assert!(held.is_some_and(|line| line.contains(stop)), "{explained}");
    }
}

#[test]
fn the_journal_is_queried_and_followed_by_those_who_may_look() {
    let stage = Stage::set().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let alice = stage.caller("alice").unwrap();
    let found = answers!(
        alice,
        AuditServiceClient::query_records(queried("open-task"))
    );
    let record = found.records.first().unwrap();
    assert_eq!(record.task_id, task, "{record:?}");
    let tail = v1::TailRecordsRequest::default;
    let mut followed = answers!(alice, AuditServiceClient::tail_records(tail()));
    let first = alice.wait(followed.message()).unwrap();
    assert!(first.is_some());
    is_role_denied(&refuses!(agent, AuditServiceClient::tail_records(tail())));
    is_role_denied(&refuses!(
        agent,
        AuditServiceClient::query_records(queried(""))
    ));
}

#[test]
fn the_status_and_ones_own_identity_are_told() {
    let stage = Stage::set().unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let status = v1::GetStatusRequest {};
    let read = answers!(oncall, AuditServiceClient::get_status(status));
    assert_eq!(read.condition(), v1::Condition::Issuing);
    assert_eq!(read.issuing(), v1::Issuing::Yes);
    let me = answers!(oncall, AuditServiceClient::who_am_i(v1::WhoAmIRequest {}));
    assert_eq!(
        (me.subject.as_str(), me.kind.as_str()),
        ("oncall", "operator")
    );
    let stranger = stage.stranger().unwrap();
    for refused in [
        refuses!(stranger, AuditServiceClient::get_status(status)),
        refuses!(stranger, AuditServiceClient::who_am_i(v1::WhoAmIRequest {})),
    ] {
        assert_eq!(refused.code, Code::Unauthenticated);
    }
}

#[test]
fn a_clock_that_jumps_stops_issuing_until_a_person_accepts_it() {
    let stage = Stage::set().unwrap();
    let oncall = stage.caller("oncall").unwrap();
    stage.clock.step(60_000);
    let status = v1::GetStatusRequest {};
    let read = answers!(oncall, AuditServiceClient::get_status(status));
    assert_eq!(read.issuing(), v1::Issuing::No);
    let reasons = read.reasons.iter().map(|it| it.kind.as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["clock-jumped"]);
    let accept = || v1::AcceptReasonRequest {
        kind: "clock-jumped".to_owned(),
        reason: "the clock is right now".to_owned(),
        seen: read.reasons.iter().map(|it| it.text.clone()).collect(),
    };
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(
        agent,
        AuditServiceClient::accept_reason(accept())
    ));
    answers!(oncall, AuditServiceClient::accept_reason(accept()));
    let read = answers!(oncall, AuditServiceClient::get_status(status));
    assert_eq!(read.issuing(), v1::Issuing::Yes, "{:?}", read.reasons);
}
