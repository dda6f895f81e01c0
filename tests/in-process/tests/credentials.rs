//! Credentials: issue, list, read and release, on the fake provider.

use std::time::Duration;

use lanyard_in_process::{Caller, Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::credential_service_client::CredentialServiceClient;
use lanyard_testkit::fake::MintFault;
use tonic::Code;

use crate::is_role_denied;

fn request(task: &str) -> v1::IssueCredentialRequest {
    v1::IssueCredentialRequest {
        task_id: task.to_owned(),
        grant: "read-tickets".to_owned(),
        ..v1::IssueCredentialRequest::default()
    }
}

fn issued(agent: &Caller, task: &str) -> v1::IssueCredentialResponse {
    answers!(
        agent,
        CredentialServiceClient::issue_credential(request(task))
    )
}

#[test]
fn a_credential_is_issued_for_what_its_charter_allows() {
    let stage = Stage::faked().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let answer = issued(&agent, &task);
    assert!(answer.credential.is_some() && answer.expire_time.is_some());
    assert_eq!(stage.fake.live().len(), 1);
    let asked = v1::IssueCredentialRequest {
        validate_only: true,
        ..request(&task)
    };
    let dry = answers!(agent, CredentialServiceClient::issue_credential(asked));
    assert!(dry.credential.is_none());
    assert_eq!(stage.fake.minted().len(), 1);
    let apply = v1::IssueCredentialRequest {
        grant: "move-tickets".to_owned(),
        ..request(&task)
    };
    let refused = refuses!(agent, CredentialServiceClient::issue_credential(apply));
    assert_eq!(refused.code, Code::PermissionDenied, "{refused:?}");
    assert_eq!(stage.fake.live().len(), 1);
}

#[test]
fn a_provider_that_refuses_gives_no_lease_and_one_that_does_not_answer_leaves_none_alive() {
    let stage = Stage::faked().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    for fault in [
        MintFault::Refuse,
        MintFault::LostBefore,
        MintFault::LostAfter,
    ] {
        stage.fake.next_mint(fault);
        let refused = refuses!(
            agent,
            CredentialServiceClient::issue_credential(request(&task))
        );
        assert!(
            matches!(refused.code, Code::Unavailable | Code::FailedPrecondition),
            "{fault:?}: {refused:?}"
        );
    }
    // The credential of the lost answer exists until the broker has revoked it.
    crate::until(|| stage.fake.live().is_empty());
    issued(&agent, &task);
    assert_eq!(stage.fake.live().len(), 1);
}

#[test]
fn leases_are_listed_read_and_released() {
    let stage = Stage::faked().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let lease = issued(&agent, &task).lease_id;
    let list = || v1::ListLeasesRequest {
        live_only: true,
        ..v1::ListLeasesRequest::default()
    };
    let get = || v1::GetLeaseRequest { id: lease.clone() };
    let release = || v1::ReleaseLeaseRequest { id: lease.clone() };
    for person in ["agent", "oncall", "alice"] {
        let caller = stage.caller(person).unwrap();
        let listed = answers!(caller, CredentialServiceClient::list_leases(list()));
        assert_eq!(listed.leases.len(), 1, "{person}");
        let read = answers!(caller, CredentialServiceClient::get_lease(get()));
        assert_eq!(read.lease.unwrap().state(), v1::LeaseState::Issued);
    }
    let oncall = stage.caller("oncall").unwrap();
    let held = v1::ListHoldersRequest {};
    let holders = answers!(oncall, CredentialServiceClient::list_holders(held)).holders;
    assert_eq!(holders.first().unwrap().live_leases, 1);
    is_role_denied(&refuses!(
        agent,
        CredentialServiceClient::list_holders(held)
    ));
    let stranger = stage.stranger().unwrap();
    let nobody = refuses!(stranger, CredentialServiceClient::list_leases(list()));
    assert_eq!(nobody.code, Code::Unauthenticated);
    is_role_denied(&refuses!(
        oncall,
        CredentialServiceClient::release_lease(release())
    ));
    answers!(agent, CredentialServiceClient::release_lease(release()));
    crate::until(|| stage.fake.live().is_empty());
    let none = v1::GetLeaseRequest::default();
    let refused = refuses!(agent, CredentialServiceClient::get_lease(none));
    assert_eq!(refused.code, Code::InvalidArgument);
}

#[test]
fn a_lease_ends_when_its_time_is_over_on_the_daemons_clock() {
    let stage = Stage::faked().unwrap();
    let (task, agent) = (stage.task().unwrap(), stage.caller("agent").unwrap());
    let lease = issued(&agent, &task).lease_id;
    let state = || {
        let get = v1::GetLeaseRequest { id: lease.clone() };
        let read = answers!(agent, CredentialServiceClient::get_lease(get));
        read.lease.unwrap().state()
    };
    assert_eq!(state(), v1::LeaseState::Issued);
    // The tokens of this test are still good then: they are issued at the time of this machine.
    let record = issued(&agent, &task);
    assert!(record.lifetime.is_some_and(|life| life.seconds <= 600));
    stage.clock.pass(Duration::from_secs(1));
    assert_eq!(state(), v1::LeaseState::Issued);
}
