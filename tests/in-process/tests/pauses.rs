//! Pauses: nothing is issued, and nothing revoked.

use std::time::Duration;

use lanyard_in_process::{Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::pause_service_client::PauseServiceClient;
use tonic::Code;

use crate::is_role_denied;

fn pause(charter: &str) -> v1::CreatePauseRequest {
    v1::CreatePauseRequest {
        reach: Some(v1::Reach {
            charter: charter.to_owned(),
            ..v1::Reach::default()
        }),
        demand: v1::Demand::Stillness.into(),
        reason: "looking".to_owned(),
        ..v1::CreatePauseRequest::default()
    }
}

#[test]
fn a_pause_stops_issuing_within_its_reach_until_it_is_resumed() {
    let stage = Stage::faked().unwrap();
    let task = stage.task().unwrap();
    stage.lease(&task).unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(
        agent,
        PauseServiceClient::create_pause(pause("ticket-router"))
    ));
    let paused = answers!(
        oncall,
        PauseServiceClient::create_pause(pause("ticket-router"))
    );
    assert!(!paused.reaches_nothing);
    let id = paused.pause.unwrap().id;
    stage.lease(&task).unwrap_err();
    assert_eq!(stage.fake.live().len(), 1);
    let list = v1::ListPausesRequest {};
    let listed = answers!(oncall, PauseServiceClient::list_pauses(list));
    assert_eq!(listed.pauses.first().unwrap().id, id);
    is_role_denied(&refuses!(agent, PauseServiceClient::list_pauses(list)));
    let resume = |id: &str| v1::ResumeRequest {
        id: id.to_owned(),
        reason: "looked".to_owned(),
    };
    let refused = refuses!(oncall, PauseServiceClient::resume(resume("")));
    assert_eq!(refused.code, Code::InvalidArgument);
    answers!(oncall, PauseServiceClient::resume(resume(&id)));
    stage.lease(&task).unwrap();
}

#[test]
fn a_pause_ends_by_itself_when_its_time_is_over() {
    let stage = Stage::faked().unwrap();
    let task = stage.task().unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let minute = v1::CreatePauseRequest {
        lasts: Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        }),
        ..pause("ticket-router")
    };
    answers!(oncall, PauseServiceClient::create_pause(minute));
    stage.lease(&task).unwrap_err();
    stage.clock.pass(Duration::from_secs(61));
    stage.lease(&task).unwrap();
}
