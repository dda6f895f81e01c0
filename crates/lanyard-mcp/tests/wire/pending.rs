//! Pending approvals, with clients that can open a page for the user and clients that cannot.

use serde_json::{Map, Value, json};

use crate::client::{Client, MODERN, plan};
use crate::fake::{APPROVALS_PAGE, Fake, Mood};

/// Starts a client that can send people to pages.
fn able() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

/// Submits a plan and returns the arguments of a request for its credential.
async fn asking(client: &mut Client) -> Value {
    let plan = client.done("submit_plan", plan()).await;
    json!({"task_id": plan["task_id"], "grant": "move-tickets", "plan_id": plan["plan_id"]})
}

#[tokio::test]
async fn a_client_without_prompts_gets_the_pending_approval_and_the_next_step() {
    let fake = Fake::start();
    fake.kept().mood = Mood::Pages;
    for capabilities in [json!({}), json!({"elicitation": {}})] {
        let (mut client, _) = Client::of("2025-06-18", capabilities, &fake).await;
        let ask = asking(&mut client).await;
        let pending = client.done("request_credential", ask.clone()).await;
        assert_eq!(pending["status"], "approval_pending");
        let approval = pending["approval_id"].as_str().unwrap();
        assert_eq!(pending["url"], format!("{APPROVALS_PAGE}{approval}"));
        assert_eq!(pending["plan_id"], ask["plan_id"]);
        let message = pending["message"].as_str().unwrap();
        assert!(message.ends_with("is needed first: 0 of 2 approvals given"));
        let next = pending["next"].as_str().unwrap();
        for part in ["task_id", "plan_id"] {
            assert!(next.contains(ask[part].as_str().unwrap()), "{next}");
        }
    }
}

#[tokio::test]
async fn a_call_waits_for_people_as_long_as_requested() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let mut ask = asking(&mut client).await;
    ask["wait_seconds"] = json!(60);
    let id = client
        .ask(
            "tools/call",
            json!({"name": "request_credential", "arguments": ask}),
        )
        .await;
    // The fake names no page, so the server waits by itself; another call is answered meanwhile.
    let status = json!({"task_id": ask["task_id"]});
    client.done("task_status", status).await;
    fake.kept().approved = Some(true);
    let heard = client.hear().await;
    assert_eq!(heard["id"], json!(id));
    let status = heard.pointer("/result/structuredContent/status");
    assert_eq!(status, Some(&json!("issued")));
}

/// Reads the server's request to open a page.
async fn heard_of_page(client: &mut Client) -> Value {
    let heard = client.hear().await;
    assert_eq!(heard["method"], "elicitation/create", "{heard}");
    let params = &heard["params"];
    assert_eq!(params["mode"], "url");
    assert!(params["url"].as_str().unwrap().starts_with(APPROVALS_PAGE));
    assert!(params["elicitationId"].as_str().unwrap().starts_with("A-"));
    let message = params["message"].as_str().unwrap();
    assert!(message.contains("is needed first"), "{message}");
    heard["id"].clone()
}

#[tokio::test]
async fn a_client_with_prompts_opens_the_page_for_the_user() {
    let fake = Fake::start();
    fake.kept().mood = Mood::Pages;
    let (mut client, _) = Client::of("2025-11-25", able(), &fake).await;
    let ask = asking(&mut client).await;
    for (action, status) in [
        ("decline", "approval_pending"),
        ("cancel", "approval_pending"),
        ("accept", "issued"),
    ] {
        let params = json!({"name": "request_credential", "arguments": ask});
        let id = client.ask("tools/call", params).await;
        let page = heard_of_page(&mut client).await;
        if action == "accept" {
            fake.kept().approved = Some(true);
        }
        let answer = json!({"jsonrpc": "2.0", "id": page, "result": {"action": action}});
        client.say(&answer).await;
        let heard = client.hear().await;
        assert_eq!(heard["id"], json!(id));
        let came = heard.pointer("/result/structuredContent/status");
        assert_eq!(came, Some(&json!(status)));
    }
    // A person denies the plan on the page.
    fake.kept().approved = None;
    let params = json!({"name": "request_credential", "arguments": ask});
    client.ask("tools/call", params).await;
    let page = heard_of_page(&mut client).await;
    fake.kept().approved = Some(false);
    let answer = json!({"jsonrpc": "2.0", "id": page, "result": {"action": "accept"}});
    client.say(&answer).await;
    let heard = client.hear().await;
    let reason = heard.pointer("/result/structuredContent/error/reason");
    assert_eq!(reason, Some(&json!("denied")));
}

#[tokio::test]
async fn the_newest_clients_ask_between_two_calls() {
    let fake = Fake::start();
    fake.kept().mood = Mood::Pages;
    let (mut client, _) = Client::of(MODERN, able(), &fake).await;
    // The task is opened once, although the client repeats the arguments that open one.
    let mut ask = plan();
    let submitted = client.done("submit_plan", ask.clone()).await;
    for gone in ["content", "format", "summary"] {
        ask.as_object_mut().unwrap().remove(gone);
    }
    ask["plan_id"] = submitted["plan_id"].clone();
    let round = client.call("request_credential", ask.clone()).await;
    assert_eq!(round["resultType"], "input_required");
    let request = &round["inputRequests"]["approval"];
    assert_eq!(request["method"], "elicitation/create");
    assert_eq!(request["params"]["mode"], "url");
    assert!(
        request["params"]["url"]
            .as_str()
            .unwrap()
            .starts_with(APPROVALS_PAGE)
    );
    fake.kept().approved = Some(true);
    let opened = fake.kept().tasks.len();
    let answered = |action: &str| -> Map<String, Value> {
        let answer = json!({"inputResponses": {"approval": {"action": action}}, "requestState": round["requestState"]});
        answer.as_object().unwrap().clone()
    };
    let issued = client
        .again("request_credential", ask.clone(), answered("accept"))
        .await;
    let issued = &issued["structuredContent"];
    assert_eq!(issued["status"], "issued");
    assert_eq!(issued["task_id"], round["requestState"]);
    assert_eq!(fake.kept().tasks.len(), opened);

    fake.kept().approved = None;
    let declined = client
        .again("request_credential", ask.clone(), answered("decline"))
        .await;
    let declined = &declined["structuredContent"];
    assert_eq!(declined["status"], "approval_pending");

    // A client passes a state that this server did not give out.
    let mut forged = answered("accept");
    forged.insert("requestState".to_owned(), json!("everything"));
    let forged = client.again("request_credential", ask, forged).await;
    assert_eq!(forged["isError"], true);
}
