//! Plans: submit, read and list.

use lanyard_in_process::{Caller, Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::plan_service_client::PlanServiceClient;
use lanyard_proto::v1::submit_plan_request::Part;
use tonic::Code;

fn parts(
    task: &str,
    content: &[u8],
) -> impl tonic::IntoStreamingRequest<Message = v1::SubmitPlanRequest> + use<> {
    let header = v1::PlanHeader {
        task_id: task.to_owned(),
        grant: "move-tickets".to_owned(),
        format: v1::PlanFormat::Text.into(),
        summary: "move ticket 7".to_owned(),
        destructive: Vec::new(),
    };
    let parts = [Part::Header(header), Part::Chunk(content.to_vec())];
    tokio_stream::iter(parts.map(|part| v1::SubmitPlanRequest { part: Some(part) }))
}

fn submitted(agent: &Caller, task: &str) -> v1::Plan {
    answers!(
        agent,
        PlanServiceClient::submit_plan(parts(task, b"move ticket 7 to billing"))
    )
    .plan
    .unwrap()
}

#[test]
fn a_plan_is_submitted_and_read_back_byte_for_byte() {
    let stage = Stage::set().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let plan = submitted(&agent, &task);
    assert!(plan.id.starts_with("P-") && plan.approval_id.starts_with("A-"));
    assert_eq!(plan.size, 24);
    let alice = stage.caller("alice").unwrap();
    let get = v1::GetPlanRequest {
        id: plan.id.clone(),
    };
    let read = answers!(alice, PlanServiceClient::get_plan(get));
    assert!(read.content.contains("move ticket 7 to billing"));
    let list = v1::ListPlansRequest::default();
    let listed = answers!(alice, PlanServiceClient::list_plans(list)).plans;
    assert_eq!(listed.first().unwrap().state(), v1::PlanState::Waiting);
    let bytes = v1::ReadPlanRequest { id: plan.id };
    let mut read = answers!(alice, PlanServiceClient::read_plan(bytes));
    let mut content = Vec::new();
    while let Some(part) = alice.wait(read.message()).unwrap() {
        content.extend(part.chunk);
    }
    assert_eq!(content, b"move ticket 7 to billing");
}

#[test]
fn plans_are_for_open_tasks_and_for_those_who_may_read_them() {
    let stage = Stage::set().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let plan = submitted(&agent, &task);
    let oncall = stage.caller("oncall").unwrap();
    let refused = refuses!(oncall, PlanServiceClient::submit_plan(parts(&task, b"x")));
    assert_eq!(refused.code, Code::PermissionDenied, "{refused:?}");
    let refused = refuses!(agent, PlanServiceClient::submit_plan(parts("T-", b"x")));
    assert_eq!(refused.code, Code::InvalidArgument, "{refused:?}");
    let stranger = stage.stranger().unwrap();
    let get = v1::GetPlanRequest {
        id: plan.id.clone(),
    };
    let read = v1::ReadPlanRequest { id: plan.id };
    let list = v1::ListPlansRequest::default();
    for refused in [
        refuses!(stranger, PlanServiceClient::get_plan(get)),
        refuses!(stranger, PlanServiceClient::read_plan(read)),
        refuses!(stranger, PlanServiceClient::list_plans(list)),
    ] {
        assert_eq!(refused.code, Code::Unauthenticated);
    }
}
