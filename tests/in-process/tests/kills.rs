//! Kills, drills and re-arms, on the fake provider.

use std::time::Duration;

use lanyard_in_process::{Caller, Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::kill_service_client::KillServiceClient;
use lanyard_proto::v1::scope::Kind;
use lanyard_testkit::fake::RevokeFault;
use tonic::Code;

use crate::is_role_denied;

fn kill(kind: Kind) -> v1::EngageKillRequest {
    v1::EngageKillRequest {
        scope: Some(v1::Scope { kind: Some(kind) }),
        roles: v1::RoleFilter::Both.into(),
        reason: "drill".to_owned(),
        ..v1::EngageKillRequest::default()
    }
}

fn engaged(oncall: &Caller, kind: Kind) -> v1::EngageKillResponse {
    answers!(oncall, KillServiceClient::engage_kill(kill(kind)))
}

#[test]
fn a_kill_stops_what_is_live_and_is_for_engineers_on_call() {
    let stage = Stage::faked().unwrap();
    let task = stage.task().unwrap();
    stage.lease(&task).unwrap();
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(
        agent,
        KillServiceClient::engage_kill(kill(Kind::All(true)))
    ));
    assert_eq!(stage.fake.live().len(), 1);
    let oncall = stage.caller("oncall").unwrap();
    let answer = engaged(&oncall, Kind::All(true));
    assert!(answer.durable && !answer.reaches_nothing);
    crate::until(|| stage.fake.live().is_empty());
    stage
        .agent
        .fails(6, &["request", "--task", &task, "read-tickets"])
        .unwrap();
    let list = v1::ListKillOrdersRequest {};
    let listed = answers!(oncall, KillServiceClient::list_kill_orders(list));
    assert_eq!(listed.orders.len(), 1);
    // Agents see the orders too, and not who gave them.
    let seen = answers!(agent, KillServiceClient::list_kill_orders(list));
    assert_eq!(seen.orders.first().unwrap().engaged_by, "");
    let stranger = stage.stranger().unwrap();
    let refused = refuses!(stranger, KillServiceClient::list_kill_orders(list));
    assert_eq!(refused.code, Code::Unauthenticated);
}

#[test]
fn a_kill_is_watched_until_the_provider_has_proved_it_and_reported_lease_by_lease() {
    let stage = Stage::faked().unwrap();
    let task = stage.task().unwrap();
    stage.lease(&task).unwrap();
    // The provider does not answer at first.
    stage.fake.revocations(RevokeFault::Lost);
    let oncall = stage.caller("oncall").unwrap();
    let id = engaged(&oncall, Kind::TaskId(task)).order.unwrap().id;
    let watch = || v1::WatchKillRequest { id: id.clone() };
    let mut watched = answers!(oncall, KillServiceClient::watch_kill(watch()));
    let first = oncall.wait(watched.message()).unwrap().unwrap();
    assert!(!first.confirmed);
    stage.fake.revocations(RevokeFault::None);
    while !oncall.wait(watched.message()).unwrap().unwrap().confirmed {
        stage.clock.pass(Duration::from_secs(5));
    }
    let read = || v1::ReadKillReportRequest { id: id.clone() };
    let mut report = answers!(oncall, KillServiceClient::read_kill_report(read()));
    let lines = oncall.wait(report.message()).unwrap().unwrap().lines;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines.first().unwrap().state(), v1::LeaseState::ProvedDead);
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(agent, KillServiceClient::watch_kill(watch())));
    is_role_denied(&refuses!(
        agent,
        KillServiceClient::read_kill_report(read())
    ));
}

#[test]
fn an_order_that_reaches_nothing_is_withdrawn_by_one_person_and_no_other_order_is() {
    let stage = Stage::faked().unwrap();
    let task = stage.task().unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let nothing = engaged(&oncall, Kind::Agent("nobody".to_owned()));
    assert!(nothing.reaches_nothing && !nothing.unknown_name.is_empty());
    let withdraw = |id: String| v1::WithdrawKillRequest {
        id,
        reason: "a typing error".to_owned(),
    };
    let id = nothing.order.unwrap().id;
    let back = answers!(oncall, KillServiceClient::withdraw_kill(withdraw(id)));
    assert_eq!(back.order.unwrap().lifted, "everything");
    let id = engaged(&oncall, Kind::TaskId(task)).order.unwrap().id;
    let refused = refuses!(oncall, KillServiceClient::withdraw_kill(withdraw(id)));
    assert_eq!(refused.code, Code::FailedPrecondition, "{refused:?}");
}

#[test]
fn a_rearm_is_proposed_by_one_person_and_confirmed_by_another() {
    let stage = Stage::faked().unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let id = engaged(&oncall, Kind::All(true)).order.unwrap().id;
    let propose = |stage: v1::RearmStage| v1::ProposeRearmRequest {
        kill_id: id.clone(),
        stage: stage.into(),
        reason: "over".to_owned(),
        despite_unconfirmed: false,
    };
    let early = propose(v1::RearmStage::Apply);
    let refused = refuses!(oncall, KillServiceClient::propose_rearm(early));
    assert_eq!(refused.code, Code::FailedPrecondition, "{refused:?}");
    let plan = propose(v1::RearmStage::Plan);
    let proposed = answers!(oncall, KillServiceClient::propose_rearm(plan)).rearm_id;
    let list = v1::ListRearmsRequest::default;
    let listed = answers!(oncall, KillServiceClient::list_rearms(list()));
    assert_eq!(listed.rearms.first().unwrap().id, proposed);
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(agent, KillServiceClient::list_rearms(list())));
    let confirm = || v1::ConfirmRearmRequest {
        rearm_id: proposed.clone(),
        despite_unconfirmed: String::new(),
    };
    let alone = refuses!(oncall, KillServiceClient::confirm_rearm(confirm()));
    assert_eq!(alone.reason, "REARM_REFUSED", "{alone:?}");
    let second = stage.caller("oncall-two").unwrap();
    let lifted = answers!(second, KillServiceClient::confirm_rearm(confirm()));
    assert_eq!(lifted.order.unwrap().lifted, "plan");
    stage.task().unwrap();
}

#[test]
fn a_drill_kills_a_canary_at_each_target() {
    let stage = Stage::set().unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let list = v1::ListDrillsRequest {};
    let listed = answers!(oncall, KillServiceClient::list_drills(list));
    assert!(listed.drills.iter().all(|drill| !drill.passed));
    let hold = |targets: &[&str]| v1::HoldDrillRequest {
        targets: targets.iter().map(|&it| it.to_owned()).collect(),
    };
    let held = answers!(oncall, KillServiceClient::hold_drill(hold(&["tickets"])));
    assert!(held.drills.first().unwrap().passed, "{held:?}");
    let refused = refuses!(oncall, KillServiceClient::hold_drill(hold(&["elsewhere"])));
    assert!(refused.message.contains("elsewhere"), "{refused:?}");
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(agent, KillServiceClient::list_drills(list)));
}
