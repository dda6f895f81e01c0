//! Each tool, and the calls that it refuses.

use lanyard_vocabulary::id::{DecisionId, KillId, TaskId};
use serde_json::{Value, json};

use crate::client::{Client, opening, plan};
use crate::fake::{Fake, Mood};

#[tokio::test]
async fn charters_and_grants_are_listed() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let listed = client.done("list_charters", json!({})).await;
    assert_eq!(
        listed.pointer("/charters/0/name"),
        Some(&json!("ticket-router"))
    );
    let grant = listed.pointer("/charters/0/grants/1");
    let expected = json!({
        "name": "move-tickets", "role": "apply", "kind": "token", "target": "tickets", "environments": ["production"],
    });
    assert_eq!(grant, Some(&expected));
}

// T53
#[tokio::test]
async fn a_credential_is_a_handle_with_lines_that_use_it() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let first = client.first("read-tickets").await;
    assert_eq!(first["status"], "issued");
    let (task, kind) = (first["task_id"].as_str().unwrap(), &first["kind"]);
    assert_eq!(*kind, "token");
    assert!(first["lease_id"].as_str().unwrap().starts_with("L-"));
    assert!(first["expires"].as_str().unwrap().ends_with('Z'));
    let line = first.pointer("/usage/commands/0").and_then(Value::as_str);
    let print = format!("lanyard creds token --task {task} read-tickets | ");
    assert!(line.unwrap().starts_with(&print), "{first}");

    // Under the same task.
    for (grant, kind) in [("read-account", "aws"), ("read-pods", "kubernetes")] {
        let next = json!({"task_id": task, "grant": grant});
        let next = client.done("request_credential", next).await;
        assert_eq!(next["task_id"], first["task_id"]);
        assert_eq!(next["kind"], kind);
        let line = next.pointer("/usage/commands/0").and_then(Value::as_str);
        let exec =
            format!("LANYARD_TASK={task} LANYARD_GRANTS={grant} lanyard exec --grant {grant} -- ");
        assert!(line.unwrap().starts_with(&exec), "{next}");
    }
    assert_eq!(fake.open_tasks(), 1);
    assert_eq!(fake.kept().contexts, ["work", "work", "work"]);
    let kept = fake.kept();
    assert_eq!(kept.tasks.values().next().unwrap().reason, "ticket 12");
}

#[tokio::test]
async fn a_denial_is_a_result_with_the_brokers_own_line() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let (error, line) = client
        .refused("request_credential", opening("drop-tickets"))
        .await;
    let decision = DecisionId::from_bits(99);
    let own = format!(
        "denied by charter ticket-router (grants): it has no grant drop-tickets [{decision}]"
    );
    assert_eq!(line, own);
    assert_eq!(error["reason"], "denied");
    assert_eq!(error["decision_id"], json!(decision));
    // The refused call opened a task: the next request can use the same task.
    assert!(error["task_id"].is_string(), "{error}");

    let explained = json!({"what": decision.to_string()});
    let explained = client.done("explain", explained).await;
    assert_eq!(explained["event"], "denied");
    assert_eq!(explained["task_id"], error["task_id"]);

    let mut elsewhere = opening("read-tickets");
    elsewhere["charter"] = json!("another");
    let (error, _) = client.refused("request_credential", elsewhere).await;
    assert_eq!(error["reason"], "denied");
    assert!(error.get("task_id").is_none(), "{error}");
}

#[tokio::test]
async fn a_kill_says_stop() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let task = client.first("read-tickets").await["task_id"].clone();
    let kill = KillId::from_bits(5);
    fake.kept().killed = Some(kill);
    let ask = json!({"task_id": task, "grant": "read-tickets"});
    let (error, line) = client.refused("request_credential", ask).await;
    assert_eq!(line, format!("stopped by kill order {kill}: drill"));
    assert_eq!(error["reason"], "killed");
    assert_eq!(error["kill_id"], json!(kill));
    assert!(error["next"].as_str().unwrap().contains("Stop the work"));
    let status = client.done("task_status", json!({"task_id": task})).await;
    let order = json!([{"kill_id": kill, "reason": "drill", "lifted": "nothing"}]);
    assert_eq!(status["kill_orders"], order);
}

#[tokio::test]
async fn a_plan_is_submitted_unchanged_and_its_state_is_shown() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let mut large = plan();
    let content = "a line of the plan\n".repeat(100_000);
    large["content"] = json!(content);
    let submitted = client.done("submit_plan", large).await;
    assert_eq!(submitted["risk"], "high");
    let id = submitted["plan_id"].as_str().unwrap();
    assert!(submitted["next"].as_str().unwrap().contains(id));
    assert_eq!(
        fake.kept().plans.values().next().unwrap().1,
        content.as_bytes()
    );
    let state = async |client: &mut Client| {
        let status = json!({"task_id": submitted["task_id"]});
        let status = client.done("task_status", status).await;
        status.pointer("/plans/0/approval/state").cloned().unwrap()
    };
    assert_eq!(state(&mut client).await, "pending");
    fake.kept().approved = Some(false);
    assert_eq!(state(&mut client).await, "denied");
    let ask = json!({"task_id": submitted["task_id"], "grant": "move-tickets", "plan_id": id});
    let (error, line) = client.refused("request_credential", ask.clone()).await;
    assert_eq!(error["reason"], "denied");
    assert!(line.ends_with("denied: not today"), "{line}");
    fake.kept().approved = Some(true);
    assert_eq!(state(&mut client).await, "approved");
    let issued = client.done("request_credential", ask).await;
    let line = issued.pointer("/usage/commands/0").and_then(Value::as_str);
    assert!(
        line.unwrap().contains(&format!("--plan {id} |")),
        "{issued}"
    );
}

#[tokio::test]
async fn credentials_are_given_back_and_tasks_end() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let first = client.first("read-tickets").await;
    let task = &first["task_id"];
    let status = client.done("task_status", json!({"task_id": task})).await;
    assert_eq!(status["live_leases"], json!([first["lease_id"]]));
    assert_eq!(status["open"], true);
    let back = json!({"task_id": task, "what": "credentials"});
    let back = client.done("release", back).await;
    assert_eq!(back["released_leases"], json!([first["lease_id"]]));
    assert_eq!(fake.open_tasks(), 1);
    let over = client.done("release", json!({"task_id": task})).await;
    assert_eq!(over["closed"], true);
    assert_eq!(fake.open_tasks(), 0);
    let ask = json!({"task_id": task, "grant": "read-tickets"});
    let (error, _) = client.refused("request_credential", ask).await;
    assert_eq!(error["reason"], "task_ended");
}

#[tokio::test]
async fn a_finding_is_explained_without_a_broker() {
    let fake = Fake::start();
    fake.kept().mood = Mood::Away;
    let mut client = Client::plain(&fake).await;
    let found = client.done("explain", json!({"what": "lc108"})).await;
    assert_eq!(found["code"], "LC108");
    assert!(!found["explanation"].as_str().unwrap().is_empty());
    let (error, line) = client.refused("explain", json!({"what": "LC999"})).await;
    assert_eq!(error["reason"], "not_found");
    assert!(line.starts_with("unknown finding LC999"), "{line}");
    let (error, line) = client.refused("list_charters", json!({})).await;
    assert_eq!(error["reason"], "unavailable");
    assert_eq!(line, "the broker is not available: nobody listens");
}

#[tokio::test]
async fn invalid_arguments_are_refused_with_the_expected_form() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let with = |name: &str, value: Value| {
        let mut arguments = opening("read-tickets");
        arguments[name] = value;
        arguments
    };
    let task = TaskId::from_bits(1).to_string();
    for (arguments, said) in [
        (
            with("reason", json!("x".repeat(1001))),
            "has 1001 characters and may have 1000",
        ),
        (with("reason", json!(" ")), "either task_id alone"),
        (
            with("reason", json!(7)),
            "`reason` is a number, and has to be a text",
        ),
        (with("grant", json!("../../etc/passwd")), "`grant`: "),
        (with("grant", json!("$(reboot)")), "is not a name"),
        (with("task_id", json!(task)), "either task_id alone"),
        (with("task_id", json!("T-1; reboot")), "is not a task id"),
        (with("plan_id", json!("all of them")), "is not a plan id"),
        (
            with("wait_seconds", json!(301)),
            "wait_seconds is at most 300",
        ),
        (with("wait_seconds", json!(-1)), "`wait_seconds`: "),
        (with("lease", json!(1)), "unknown field `lease`"),
        (json!({"grant": "read-tickets"}), "either task_id alone"),
        (json!({}), "missing field `grant`"),
    ] {
        let (error, line) = client.refused("request_credential", arguments).await;
        assert_eq!(error["reason"], "invalid_input", "{line}");
        assert!(line.contains(said), "{line}");
    }
    let mut huge = plan();
    huge["content"] = json!("x".repeat(4 * 1024 * 1024 + 1));
    let (error, _) = client.refused("submit_plan", huge).await;
    assert_eq!(error["reason"], "invalid_input");
    let mut many = plan();
    many["destructive"] = json!(vec!["delete"; 101]);
    let (_, line) = client.refused("submit_plan", many).await;
    assert!(line.contains("at most 100 entries"), "{line}");
    assert_eq!(fake.kept().tasks.len(), 0);

    // An unknown tool is the only fault that is answered with a protocol error.
    let params = json!({"name": "approve", "arguments": {}});
    let unknown = client.request("tools/call", params).await;
    assert_eq!(unknown.pointer("/error/code"), Some(&json!(-32602)));
}

#[tokio::test]
async fn a_session_limits_open_tasks() {
    let fake = Fake::start();
    let mut client = Client::plain(&fake).await;
    let mut last = Value::Null;
    for _ in 0..32 {
        last = client.first("read-tickets").await;
    }
    let (error, _) = client
        .refused("request_credential", opening("read-tickets"))
        .await;
    assert_eq!(error["reason"], "quota");
    client
        .done("release", json!({"task_id": last["task_id"]}))
        .await;
    client.first("read-tickets").await;
}
