//! Approvals: list, read, watch, give, take back and refuse.

use std::time::Duration;

use lanyard_in_process::{Given, Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::approval_service_client::ApprovalServiceClient;
use lanyard_tests::receiver::receiver;
use serde_json::{Value, json};
use tonic::Code;

use crate::is_role_denied;

#[test]
fn a_plan_is_approved_by_two_people_of_the_group_and_by_nobody_else() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let (_, digest, id) = stage.plan(&task, "move ticket 7").unwrap();
    let approve = || v1::ApproveRequest {
        id: id.clone(),
        plan_digest: digest.clone(),
        comment: "seen".to_owned(),
        acknowledged_sensitive: 0,
    };
    let alice = stage.caller("alice").unwrap();
    let first = answers!(alice, ApprovalServiceClient::approve(approve()));
    let first = first.approval.unwrap();
    assert_eq!((first.complete, first.people_needed), (false, 2));
    let bob = stage.caller("bob").unwrap();
    let other = v1::ApproveRequest {
        plan_digest: format!("sha256:{}", "0".repeat(64)),
        ..approve()
    };
    let refused = refuses!(bob, ApprovalServiceClient::approve(other));
    assert_eq!(refused.reason, "CONSENT_REFUSED", "{refused:?}");
    let second = answers!(bob, ApprovalServiceClient::approve(approve()));
    assert!(second.approval.unwrap().complete);
    let oncall = stage.caller("oncall").unwrap();
    is_role_denied(&refuses!(oncall, ApprovalServiceClient::approve(approve())));
}

#[test]
fn an_approval_is_taken_back_and_denied_with_a_reason() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let (_, digest, id) = stage.plan(&task, "move ticket 7").unwrap();
    stage.approve("alice", &id, &digest).unwrap();
    let alice = stage.caller("alice").unwrap();
    let bob = stage.caller("bob").unwrap();
    let withdraw = |reason: &str| v1::WithdrawRequest {
        id: id.clone(),
        reason: reason.to_owned(),
    };
    let refused = refuses!(bob, ApprovalServiceClient::withdraw(withdraw("none given")));
    assert!(!refused.reason.is_empty(), "{refused:?}");
    let back = answers!(alice, ApprovalServiceClient::withdraw(withdraw("too soon")));
    assert!(back.approval.unwrap().consents.is_empty());
    let deny = |reason: &str| v1::DenyRequest {
        id: id.clone(),
        reason: reason.to_owned(),
    };
    let refused = refuses!(bob, ApprovalServiceClient::deny(deny("")));
    assert_eq!(refused.code, Code::InvalidArgument);
    let denied = answers!(bob, ApprovalServiceClient::deny(deny("wrong queue")));
    assert!(!denied.approval.unwrap().denied.is_empty());
}

#[test]
fn approvals_are_listed_read_and_watched_by_approvers() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let (_, _, id) = stage.plan(&task, "move ticket 7").unwrap();
    let alice = stage.caller("alice").unwrap();
    let list = v1::ListApprovalsRequest { waiting_only: true };
    let get = || v1::GetApprovalRequest { id: id.clone() };
    let watch = v1::WatchApprovalsRequest {};
    let listed = answers!(alice, ApprovalServiceClient::list_approvals(list));
    assert_eq!(listed.approvals.first().unwrap().id, id);
    let read = answers!(alice, ApprovalServiceClient::get_approval(get()));
    assert_eq!(read.approval.unwrap().grant, "move-tickets");
    let mut watched = answers!(alice, ApprovalServiceClient::watch_approvals(watch));
    let first = alice.wait(watched.message()).unwrap().unwrap();
    assert_eq!(first.approvals.first().unwrap().id, id);
    let stranger = stage.stranger().unwrap();
    for refused in [
        refuses!(stranger, ApprovalServiceClient::list_approvals(list)),
        refuses!(stranger, ApprovalServiceClient::get_approval(get())),
        refuses!(stranger, ApprovalServiceClient::watch_approvals(watch)),
    ] {
        assert_eq!(refused.code, Code::Unauthenticated);
    }
}

#[test]
fn a_webhook_says_what_is_unusual_about_an_approval() {
    let (address, hears) = receiver().unwrap();
    let hook =
        format!("webhooks: [{{name: chat, url: 'http://{address}/in', secret_file: hook.secret}}]");
    let stage = Stage::given(&Given {
        lines: &hook,
        files: &[("hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")],
        ..Given::default()
    });
    let stage = stage.unwrap();
    let task = stage.task().unwrap();
    // Nobody approves within seconds, and the fifth plan within an hour is a habit.
    for _ in 0..5 {
        let (_, digest, id) = stage.plan(&task, "move ticket 7").unwrap();
        stage.clock.pass(Duration::from_secs(11));
        stage.approve("alice", &id, &digest).unwrap();
    }
    let mut unusual = Vec::new();
    while unusual.len() < 5 {
        let (_, body) = hears.recv().unwrap();
        let event: Value = serde_json::from_str(&body).unwrap();
        if event["type"] == "approval.given" {
            unusual.push(event["data"]["unusual"].clone());
        }
    }
    let none = Value::Null;
    let habit = json!(["in-a-row"]);
    assert_eq!(
        unusual,
        [none.clone(), none.clone(), none.clone(), none, habit]
    );
}
