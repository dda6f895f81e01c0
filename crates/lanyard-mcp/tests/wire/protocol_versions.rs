//! Clients of every revision of the protocol, and clients of none.

use lanyard_mcp::TasksAtEnd;
use serde_json::{Value, json};

use crate::client::{Client, MODERN, opening};
use crate::fake::Fake;

const WITH_INITIALIZE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[tokio::test]
async fn every_protocol_version_is_answered_in_the_same_version() {
    for version in WITH_INITIALIZE.into_iter().chain([MODERN]) {
        let fake = Fake::start();
        let (mut client, begun) = Client::of(version, json!({}), &fake).await;
        if version == MODERN {
            let versions = begun.pointer("/result/supportedVersions").unwrap();
            assert!(versions.as_array().unwrap().contains(&json!(MODERN)));
        } else {
            let agreed = begun.pointer("/result/protocolVersion");
            assert_eq!(agreed, Some(&json!(version)));
            let name = begun.pointer("/result/serverInfo/name");
            assert_eq!(name, Some(&json!("lanyard")));
        }
        let told = begun
            .pointer("/result/instructions")
            .and_then(Value::as_str);
        assert!(told.unwrap().contains("never see a secret"));
        let listed = client.request("tools/list", json!({})).await;
        let listed = listed.pointer("/result/tools").unwrap().as_array().unwrap();
        assert_eq!(listed.len(), 6);
        let issued = client.first("read-tickets").await;
        assert_eq!(issued["status"], "issued", "{version}");
        let (error, _) = client
            .refused("request_credential", opening("drop-tickets"))
            .await;
        assert_eq!(error["reason"], "denied", "{version}");
        assert_eq!(client.leave().await.unwrap().closed.len(), 2);
    }
}

#[tokio::test]
async fn an_unknown_protocol_version_gets_the_newest_known_one() {
    let fake = Fake::start();
    for (asked, agreed) in [("1999-01-01", "2025-11-25"), ("2099-01-01", "2025-11-25")] {
        let (_, begun) = Client::of(asked, json!({}), &fake).await;
        assert_eq!(
            begun.pointer("/result/protocolVersion"),
            Some(&json!(agreed))
        );
    }
}

#[tokio::test]
async fn each_tool_describes_its_input_and_output() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let listed = client.request("tools/list", json!({})).await;
    for tool in listed.pointer("/result/tools").unwrap().as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        assert!(tool["description"].as_str().unwrap().len() > 80, "{name}");
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{name}: {schema}");
        }
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        assert!(tool["outputSchema"]["anyOf"].is_array(), "{name}");
    }
    // JavaScript validators warn about the formats of Rust's integer types. One tool has an
    // argument called `format`.
    let all = listed.to_string();
    assert!(!all.contains("\"format\":\"uint") && all.contains("\"format\":{"));
    // No tool approves, kills or re-arms.
    let tools = listed.pointer("/result/tools").unwrap().as_array().unwrap();
    let names: Vec<&str> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    let all = [
        "list_charters",
        "request_credential",
        "submit_plan",
        "task_status",
        "release",
        "explain",
    ];
    assert_eq!(names, all);
}

#[tokio::test]
async fn invalid_lines_do_not_end_the_session() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    for line in [
        "",
        "not json",
        "{\"jsonrpc\": \"2.0\"}",
        "[]",
        "\u{0}",
        &"[".repeat(10_000),
        &"x".repeat(9 * 1024 * 1024),
    ] {
        client.say_line(line).await;
    }
    // The server answers each of these lines with an error, or not at all, and then reads on.
    let id = client.ask("tools/list", json!({})).await;
    loop {
        let heard = client.hear().await;
        if heard["id"] == json!(id) {
            assert!(heard.get("result").is_some(), "{heard}");
            break;
        }
        assert!(heard.get("error").is_some(), "{heard}");
    }
}

#[tokio::test]
async fn a_client_with_a_wrong_first_message_is_refused() {
    let fake = Fake::start();
    let mut client = Client::silent(&fake, TasksAtEnd::Close);
    let heard = client.request("tools/list", json!({})).await;
    assert!(heard.get("error").is_some(), "{heard}");
    client.leave().await.unwrap();
    assert!(fake.kept().tasks.is_empty());
}
