//! Charters and emergencies.

use lanyard_in_process::{Given, Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::charter_service_client::CharterServiceClient;
use tonic::Code;

use crate::is_role_denied;

/// The charter of `lanyardd dev` under another name, with terms of an emergency.
pub(crate) fn with_emergency() -> String {
    let usual = include_str!("../../../crates/lanyard-server/src/dev/ticket-router.yaml");
    let terms = "  emergency: {grants: [move-tickets], people: 1, lasts: 1h}\n";
    format!("{}\n{terms}", usual.trim_end()).replacen("name: ticket-router", "name: urgent", 1)
}

#[test]
fn charters_are_listed_read_and_inspected() {
    let stage = Stage::set().unwrap();
    let agent = stage.caller("agent").unwrap();
    let list = v1::ListChartersRequest {};
    let listed = answers!(agent, CharterServiceClient::list_charters(list));
    assert_eq!(listed.charters.first().unwrap().name, "ticket-router");
    let get = |name: &str| v1::GetCharterRequest {
        name: name.to_owned(),
    };
    let read = answers!(
        agent,
        CharterServiceClient::get_charter(get("ticket-router"))
    );
    assert_eq!(read.charter.unwrap().grants.len(), 2);
    let refused = refuses!(agent, CharterServiceClient::get_charter(get("nope")));
    assert_eq!(refused.code, Code::NotFound, "{refused:?}");
    let admin = stage.caller("admin").unwrap();
    let inspect = |text: &str| v1::InspectCharterRequest {
        text: text.to_owned(),
    };
    let text = include_str!("../../../crates/lanyard-server/src/dev/ticket-router.yaml");
    let found = answers!(admin, CharterServiceClient::inspect_charter(inspect(text)));
    assert_eq!(found.obstacles.len(), 0);
    let refused = refuses!(
        admin,
        CharterServiceClient::inspect_charter(inspect("kind: Nothing"))
    );
    assert_eq!(refused.code, Code::InvalidArgument, "{refused:?}");
    let stranger = stage.stranger().unwrap();
    let refused = refuses!(stranger, CharterServiceClient::list_charters(list));
    assert_eq!(refused.code, Code::Unauthenticated);
}

#[test]
fn an_emergency_is_declared_listed_and_ended_under_its_terms() {
    let stage = Stage::given(&Given {
        charters: &[("urgent.yaml", &with_emergency())],
        ..Given::default()
    })
    .unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let declare = |charter: &str| v1::DeclareEmergencyRequest {
        charter: charter.to_owned(),
        reason: "tickets pile up".to_owned(),
    };
    let end = || v1::EndEmergencyRequest {
        charter: "urgent".to_owned(),
        reason: "over".to_owned(),
    };
    let list = v1::ListEmergenciesRequest {};
    let agent = stage.caller("agent").unwrap();
    is_role_denied(&refuses!(
        agent,
        CharterServiceClient::declare_emergency(declare("urgent"))
    ));
    let refused = refuses!(
        oncall,
        CharterServiceClient::declare_emergency(declare("ticket-router"))
    );
    assert_eq!(refused.code, Code::NotFound, "{refused:?}");
    let declared = answers!(
        oncall,
        CharterServiceClient::declare_emergency(declare("urgent"))
    );
    assert_eq!(declared.emergency.unwrap().charter, "urgent");
    let listed = answers!(oncall, CharterServiceClient::list_emergencies(list));
    assert_eq!(listed.emergencies.len(), 1);
    is_role_denied(&refuses!(
        agent,
        CharterServiceClient::list_emergencies(list)
    ));
    is_role_denied(&refuses!(agent, CharterServiceClient::end_emergency(end())));
    answers!(oncall, CharterServiceClient::end_emergency(end()));
    let listed = answers!(oncall, CharterServiceClient::list_emergencies(list));
    assert_eq!(listed.emergencies.len(), 0);
}

#[test]
fn a_charter_that_has_ended_opens_no_task_and_names_its_owner() {
    let usual = include_str!("../../../crates/lanyard-server/src/dev/ticket-router.yaml");
    let named = usual.replacen("name: ticket-router", "name: ended", 1);
    let ended = format!("{}\n  expires: 2020-01-01\n", named.trim_end());
    let stage = Stage::given(&Given {
        charters: &[("ended.yaml", &ended)],
        ..Given::default()
    })
    .unwrap();
    let open = ["task", "open", "ended", "--environment", "production"];
    let open = [&open[..], &["--reason", "ticket 12"]].concat();
    let line = stage.agent.fails(3, &open).unwrap();
    for part in [
        "the charter ended at 2020-01-0",
        "owner of the charter: support-platform@acme.example",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_listing_by_a_name_that_nothing_has_is_that_line_alone() {
    let stage = Stage::set().unwrap();
    for listing in ["lease", "task"] {
        let list = [listing, "list", "--agent", "nobody"];
        let answer = stage.oncall.run(&list).unwrap();
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{answer:?}");
        assert!(answer.stderr.contains("no agent `nobody` is known"));
    }
}

#[test]
fn a_lease_that_is_asked_for_by_hand_says_that_a_tool_takes_another() {
    let stage = Stage::faked().unwrap();
    let task = stage.task().unwrap();
    let answer = stage
        .agent
        .run(&["request", "--task", &task, "read-tickets"]);
    let said = answer.unwrap().stderr;
    assert!(said.contains("each under a further lease"), "{said}");
    assert!(said.contains("lanyard lease release L-"), "{said}");
}
