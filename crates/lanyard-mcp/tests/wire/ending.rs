//! The tasks and leases that a client leaves behind.

use lanyard_mcp::TasksAtEnd;
use serde_json::json;

use crate::client::{Client, opening, plan};
use crate::fake::{Fake, Mood};

#[tokio::test]
async fn tasks_opened_by_the_session_are_closed_at_its_end() {
    let fake = Fake::start();
    let mut other = Client::plain(&fake).await;
    let elsewhere = other.first("read-tickets").await;
    let mut client = Client::plain(&fake).await;
    let own = client.first("read-tickets").await;
    // Another client opened this task; the client here only uses it.
    let borrowed = json!({"task_id": elsewhere["task_id"], "grant": "read-pods"});
    client.done("request_credential", borrowed).await;
    let ending = client.leave().await.unwrap();
    let closed: Vec<String> = ending.closed.iter().map(ToString::to_string).collect();
    assert_eq!(closed, [own["task_id"].as_str().unwrap()]);
    assert_eq!(fake.open_tasks(), 1);
}

#[tokio::test]
async fn tasks_that_cannot_be_closed_are_reported() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    client.first("read-tickets").await;
    fake.kept().mood = Mood::Away;
    let ending = client.leave().await.unwrap();
    assert!(ending.closed.is_empty());
    let (_, why) = ending.left.first().unwrap();
    assert_eq!(why, "the broker is not available: nobody listens");
}

#[tokio::test]
async fn tasks_stay_open_if_so_configured() {
    let fake = Fake::start();
    let mut client = Client::silent(&fake, TasksAtEnd::Keep);
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    client.request("initialize", hello).await;
    client.first("read-tickets").await;
    client.leave().await.unwrap();
    assert_eq!(fake.open_tasks(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_delays_nothing() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let plan = client.done("submit_plan", plan()).await;
    let ask = json!({
        "task_id": plan["task_id"], "grant": "move-tickets", "plan_id": plan["plan_id"], "wait_seconds": 300,
    });
    let params = json!({"name": "request_credential", "arguments": ask});
    client.ask("tools/call", params).await;
    // The answer to this call shows that the server has read the waiting call.
    client.done("list_charters", json!({})).await;
    let left = tokio::time::timeout(std::time::Duration::from_secs(30), client.leave()).await;
    assert_eq!(left.unwrap().unwrap().closed.len(), 1);
    assert_eq!(fake.open_tasks(), 0);
}

#[tokio::test]
async fn a_task_that_is_being_opened_is_closed_too() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let params = json!({"name": "request_credential", "arguments": opening("read-tickets")});
    client.ask("tools/call", params).await;
    client.leave().await.unwrap();
    assert_eq!(fake.open_tasks(), 0);
}
