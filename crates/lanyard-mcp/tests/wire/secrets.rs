//! No message in either direction contains a secret (T53).

use serde_json::json;

use crate::client::{Client, MODERN, opening, plan};
use crate::fake::{Fake, Mood, SECRET_KEY, SESSION_TOKEN, TOKEN};

fn is_clean(transcript: &str) {
    let parts = TOKEN.split('.').chain([SECRET_KEY, SESSION_TOKEN]);
    for secret in parts {
        assert!(!transcript.contains(secret), "{secret}: {transcript}");
    }
}

/// Calls every tool, with success and with failure.
async fn everything(client: &mut Client) {
    client.call("list_charters", json!({})).await;
    let mut task = json!(null);
    for grant in [
        "read-tickets",
        "read-account",
        "read-pods",
        "drop-tickets",
        "garbled",
    ] {
        let came = client.call("request_credential", opening(grant)).await;
        if came["isError"] == json!(false) {
            task = came["structuredContent"]["task_id"].clone();
        }
    }
    let mut elsewhere = opening("read-tickets");
    elsewhere["charter"] = json!("another");
    client.call("request_credential", elsewhere).await;
    let plan = client.call("submit_plan", plan()).await;
    let plan = &plan["structuredContent"];
    let apply =
        json!({"task_id": plan["task_id"], "grant": "move-tickets", "plan_id": plan["plan_id"]});
    client.call("request_credential", apply).await;
    for id in [&task, &plan["task_id"]] {
        client.call("task_status", json!({"task_id": id})).await;
    }
    let decision = lanyard_vocabulary::id::DecisionId::from_bits(99).to_string();
    let what = json!({"what": decision, "task_id": task});
    client.call("explain", what).await;
    client
        .call("release", json!({"task_id": task, "what": "credentials"}))
        .await;
    client.call("release", json!({"task_id": task})).await;
}

// T50, T53
#[tokio::test]
async fn t53_no_message_contains_a_secret() {
    for version in ["2024-11-05", "2025-11-25", MODERN] {
        for mood in [Mood::Honest, Mood::Pages, Mood::Leaking] {
            let fake = Fake::start();
            fake.kept().mood = mood;
            let (mut client, _) = Client::of(version, json!({}), &fake).await;
            everything(&mut client).await;
            fake.kept().approved = Some(false);
            everything(&mut client).await;
            // Ten calls show that the credentials were issued.
            assert!(fake.kept().contexts.len() >= 10);
            let transcript = client.transcript.clone();
            assert!(transcript.lines().count() > 40);
            is_clean(&transcript);
            client.leave().await.unwrap();
        }
    }
}

// T50
#[tokio::test]
async fn an_invalid_answer_is_not_quoted() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let (error, line) = client
        .refused("request_credential", opening("garbled"))
        .await;
    assert_eq!(error["reason"], "unavailable");
    assert_eq!(
        line,
        "the local agent's answer cannot be used: it has no lease"
    );
}

// T12, T50
#[tokio::test]
async fn a_page_url_that_contains_a_key_is_not_shown() {
    let fake = Fake::start();
    fake.kept().mood = Mood::Leaking;
    let able = json!({"elicitation": {"url": {}}});
    let (mut client, _) = Client::of("2025-11-25", able, &fake).await;
    let plan = client.done("submit_plan", plan()).await;
    let apply =
        json!({"task_id": plan["task_id"], "grant": "move-tickets", "plan_id": plan["plan_id"]});
    let pending = client.done("request_credential", apply).await;
    assert!(pending.get("url").is_none(), "{pending}");
}
