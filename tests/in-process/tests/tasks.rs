//! Tasks: open, list, read, watch and close.

use lanyard_in_process::{Caller, Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::task_service_client::TaskServiceClient;
use tonic::Code;

use crate::is_role_denied;

fn open() -> v1::OpenTaskRequest {
    v1::OpenTaskRequest {
        charter: "ticket-router".to_owned(),
        environment: "production".to_owned(),
        reason: "ticket 12".to_owned(),
        ..v1::OpenTaskRequest::default()
    }
}

fn opened(agent: &Caller) -> v1::Task {
    answers!(agent, TaskServiceClient::open_task(open()))
        .task
        .unwrap()
}

#[test]
fn a_task_is_opened_by_the_agent_of_its_charter_and_by_nobody_else() {
    let stage = Stage::set().unwrap();
    let agent = stage.caller("agent").unwrap();
    let task = opened(&agent);
    assert_eq!(
        (task.charter.as_str(), task.closed),
        ("ticket-router", false)
    );
    assert_eq!(task.environment, "production");
    let oncall = stage.caller("oncall").unwrap();
    is_role_denied(&refuses!(oncall, TaskServiceClient::open_task(open())));
    let elsewhere = v1::OpenTaskRequest {
        environment: "moon".to_owned(),
        ..open()
    };
    let refused = refuses!(agent, TaskServiceClient::open_task(elsewhere));
    assert_eq!(refused.code, Code::PermissionDenied, "{refused:?}");
}

#[test]
fn a_retry_with_the_same_request_id_is_the_same_task() {
    let stage = Stage::set().unwrap();
    let agent = stage.caller("agent").unwrap();
    let request = || v1::OpenTaskRequest {
        request_id: "r-1".to_owned(),
        ..open()
    };
    let first = answers!(agent, TaskServiceClient::open_task(request()));
    let again = answers!(agent, TaskServiceClient::open_task(request()));
    assert_eq!(first.task.unwrap().id, again.task.unwrap().id);
    let long = v1::OpenTaskRequest {
        request_id: "r".repeat(65),
        ..open()
    };
    let refused = refuses!(agent, TaskServiceClient::open_task(long));
    assert_eq!(refused.code, Code::InvalidArgument, "{refused:?}");
}

#[test]
fn a_task_is_listed_and_read_by_its_agent_and_by_those_who_may_look() {
    let stage = Stage::set().unwrap();
    let agent = stage.caller("agent").unwrap();
    let task = opened(&agent);
    let list = v1::ListTasksRequest::default;
    let get = || v1::GetTaskRequest {
        id: task.id.clone(),
    };
    let timeline = || v1::GetTaskTimelineRequest {
        id: task.id.clone(),
    };
    let read = answers!(agent, TaskServiceClient::get_task(get()));
    assert_eq!(read.task.unwrap().id, task.id);
    for person in ["agent", "oncall", "alice"] {
        let caller = stage.caller(person).unwrap();
        let listed = answers!(caller, TaskServiceClient::list_tasks(list()));
        assert_eq!(listed.tasks.len(), 1, "{person}");
    }
    let alice = stage.caller("alice").unwrap();
    let told = answers!(alice, TaskServiceClient::get_task_timeline(timeline()));
    assert!(!told.events.is_empty() && !told.truncated);
    let stranger = stage.stranger().unwrap();
    let nobody = refuses!(stranger, TaskServiceClient::list_tasks(list()));
    assert_eq!(nobody.code, Code::Unauthenticated);
    assert_eq!(nobody.reason, "UNAUTHENTICATED");
    // A task that does not exist and one of another agent look the same.
    let unknown = v1::GetTaskRequest {
        id: "T-0123456789abcdefghjkmnpqrs".to_owned(),
    };
    let refused = refuses!(agent, TaskServiceClient::get_task(unknown));
    assert!(
        matches!(refused.code, Code::NotFound | Code::InvalidArgument),
        "{refused:?}"
    );
    let odd = v1::GetTaskTimelineRequest::default();
    let refused = refuses!(agent, TaskServiceClient::get_task_timeline(odd));
    assert_eq!(refused.code, Code::InvalidArgument);
}

#[test]
fn a_watch_begins_with_the_state_and_tells_of_the_end() {
    let stage = Stage::set().unwrap();
    let agent = stage.caller("agent").unwrap();
    let task = opened(&agent);
    let id = || task.id.clone();
    let watch = v1::WatchTaskRequest { id: id() };
    let mut watched = answers!(agent, TaskServiceClient::watch_task(watch));
    let first = agent.wait(watched.message()).unwrap().unwrap();
    assert!(!first.task.unwrap().closed);
    answers!(
        agent,
        TaskServiceClient::close_task(v1::CloseTaskRequest { id: id() })
    );
    let is_closed = |message: v1::WatchTaskResponse| message.task.is_some_and(|it| it.closed);
    while !is_closed(agent.wait(watched.message()).unwrap().unwrap()) {}
    let none = v1::WatchTaskRequest::default();
    let refused = refuses!(agent, TaskServiceClient::watch_task(none));
    assert_eq!(refused.code, Code::InvalidArgument);
    let none = v1::CloseTaskRequest::default();
    let refused = refuses!(agent, TaskServiceClient::close_task(none));
    assert_eq!(refused.code, Code::InvalidArgument);
}
