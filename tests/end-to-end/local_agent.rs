//! The local agent: what it keeps, what it drops, and whom it serves.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use lanyard_client::v1;
use lanyard_client::v1::kill_service_client::KillServiceClient;
use lanyard_client::v1::task_service_client::TaskServiceClient;
use lanyard_proto::agent::v1 as agent;
use lanyard_proto::agent::v1::agent_service_client::AgentServiceClient;
use lanyard_rig::Cli;
use lanyard_tests::{Stage, until};
use serde_json::Value;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

fn state(stage: &Stage) -> PathBuf {
    stage.directory.path().join("contexts/state")
}

fn keeping(stage: &Stage) -> Result<Cli> {
    Ok(stage.daemon.cli("agent")?.keeping())
}

fn token(agent: &Cli, task: &str) -> Result<String> {
    agent.ok(&["creds", "token", "read-tickets", "--task", task])
}

/// How many leases the broker has ever recorded.
fn leases(stage: &Stage) -> Result<usize> {
    let listed = stage.agent.json(&["lease", "list", "--all"])?;
    Ok(listed.as_array().context("no list")?.len())
}

async fn socket(stage: &Stage) -> Result<Channel> {
    let socket = state(stage).join("agent.sock");
    let endpoint = Endpoint::try_from(format!("unix:{}", socket.display()))?;
    Ok(endpoint.connect().await?)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

#[test]
fn a_thousand_who_ask_at_once_are_one_lease() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    // Starts the agent, and has nothing kept yet.
    keeping(&stage)?.ok(&["agent", "endpoint", "--task", &task])?;
    let context = stage.directory.path().join("contexts/agent.json");
    let leased = runtime()?.block_on(async {
        let channel = socket(&stage).await?;
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let mut client = AgentServiceClient::new(channel.clone());
            let mut request = tonic::Request::new(agent::GetCredentialRequest {
                task_id: task.clone(),
                grant: "read-tickets".into(),
                ..Default::default()
            });
            let named = context.display().to_string();
            request
                .metadata_mut()
                .insert("lanyard-context", named.parse()?);
            asking.spawn(async move { client.get_credential(request).await });
        }
        let mut leased = std::collections::BTreeSet::new();
        while let Some(answered) = asking.join_next().await {
            leased.insert(answered??.into_inner().lease_id);
        }
        anyhow::Ok(leased)
    })?;
    assert_eq!((leased.len(), leases(&stage)?), (1, 1));
    // Another process asks as well.
    let kept = token(&keeping(&stage)?, &task)?;
    assert_eq!(token(&keeping(&stage)?, &task)?, kept);
    assert_eq!(leases(&stage)?, 1);
    Ok(())
}

#[test]
fn a_lease_that_ends_is_dropped_at_once_and_a_kill_is_said_in_its_own_words() -> Result<()> {
    let stage = Stage::set()?;
    let (task, agent) = (stage.task()?, keeping(&stage)?);
    let first = token(&agent, &task)?;
    let listed = stage.agent.json(&["lease", "list"])?;
    let lease = listed
        .pointer("/0/lease")
        .and_then(Value::as_str)
        .context("no lease")?;
    stage.agent.ok(&["lease", "release", lease])?;
    until(|| Ok(token(&agent, &task)? != first))?;
    stage
        .oncall
        .ok(&["kill", "--task", &task, "--reason", "drill", "--yes"])?;
    let mut said = String::new();
    until(|| {
        let answer = agent.run(&["creds", "token", "read-tickets", "--task", &task])?;
        said = answer.stderr;
        Ok(answer.code == 6)
    })?;
    assert!(
        said.starts_with("lanyard: stopped by kill order K-"),
        "{said}"
    );
    let kept = agent.json(&["agent", "status"])?;
    assert!(!kept.to_string().contains("L-"), "{kept}");
    Ok(())
}

#[test]
fn without_a_word_of_the_broker_nothing_is_handed_out_after_a_while() -> Result<()> {
    let stage = Stage::set()?;
    let (task, agent) = (stage.task()?, keeping(&stage)?);
    let mut running = agent.start(&["agent", "run", "--fresh-for", "10s"])?;
    running.line("lanyard: the local agent listens at ")?;
    let kept = token(&agent, &task)?;
    let stopped = stage.stop()?;
    assert_eq!(token(&agent, &task)?, kept);
    let mut said = String::new();
    until(|| {
        let answer = agent.run(&["creds", "token", "read-tickets", "--task", &task])?;
        said = answer.stderr;
        assert!(answer.code == 7 || answer.stdout == kept, "{said}");
        Ok(answer.code == 7)
    })?;
    let line = "lanyard: the broker is not available: no message arrived for ";
    assert!(said.starts_with(line), "{said}");
    // It is heard of again, on the port that it had.
    let _stage = stopped.start_again()?;
    Ok(())
}

// T51
#[test]
fn the_endpoint_answers_who_shows_the_token_of_the_task_and_names_it_rightly() -> Result<()> {
    let stage = Stage::set()?;
    let (task, agent) = (stage.task()?, keeping(&stage)?);
    let opened = agent.json(&["agent", "endpoint", "--task", &task])?;
    let field = |name: &str| {
        let value = opened.get(name).and_then(Value::as_str);
        value.map(str::to_owned).context("no field")
    };
    let (url, file) = (field("url")?, field("token_file")?);
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let shown = std::fs::read_to_string(&file)?;
    let ask = |path: &str, headers: &[(&str, &str)]| {
        runtime()?.block_on(async {
            let mut request = reqwest::Client::new().get(format!("{url}{path}"));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let body: Value = serde_json::from_str(&answer.text().await?)?;
            anyhow::Ok((status, body))
        })
    };
    let own = ("authorization", shown.as_str());
    // Whether somebody was first does not matter.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (status, body) = ask("/v1/token/read-tickets", &[own])?;
    assert_eq!(status, 200, "{body}");
    let given = body.get("access_token").and_then(Value::as_str);
    assert_eq!(given, Some(token(&agent, &task)?.as_str()));
    assert_eq!(body.get("token_type"), Some(&Value::from("Bearer")));
    let life = body
        .get("expires_in")
        .and_then(Value::as_u64)
        .context("no life")?;
    assert!((1..=600).contains(&life), "{body}");
    for (headers, status) in [
        (&[][..], 401),
        (&[("authorization", "Bearer guess")], 401),
        (&[own, ("host", "evil.example")], 421),
        (&[own, ("origin", "https://evil.example")], 421),
    ] {
        assert_eq!(
            ask("/v1/token/read-tickets", headers)?.0,
            status,
            "{headers:?}"
        );
    }
    assert_eq!(ask("/v1/aws/read-tickets", &[own])?.0, 400);
    let (status, body) = ask("/v1/token/move-tickets", &[own])?;
    assert_eq!(status, 403, "{body}");
    let line = body
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    assert!(
        line.contains("ticket-router.yaml") || line.contains("plan"),
        "{line}"
    );
    Ok(())
}

#[test]
fn what_people_do_with_their_own_hands_does_not_pass_through_it() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    keeping(&stage)?.ok(&["agent", "endpoint", "--task", &task])?;
    runtime()?.block_on(async {
        let mut kills = KillServiceClient::new(socket(&stage).await?);
        let refused = kills.engage_kill(v1::EngageKillRequest::default()).await;
        assert_eq!(
            refused.err().context("it passed")?.code(),
            Code::Unimplemented
        );
        anyhow::Ok(())
    })
}

#[test]
fn there_is_one_and_it_gives_everything_back_at_its_end() -> Result<()> {
    let stage = Stage::set()?;
    let (task, agent) = (stage.task()?, keeping(&stage)?);
    let kept = token(&agent, &task)?;
    let second = agent.run(&["agent", "run"])?;
    assert_eq!(
        (second.code, second.stderr.as_str()),
        (0, "lanyard: there is a local agent already")
    );
    assert_eq!(token(&agent, &task)?, kept);
    agent.ok(&["agent", "stop"])?;
    let listed = stage.agent.json(&["lease", "list", "--all"])?;
    let lease = listed.pointer("/0/state").and_then(Value::as_str);
    assert!(lease.is_some_and(|state| state != "issued"), "{listed}");
    assert!(!state(&stage).join("agent.sock").exists());
    Ok(())
}

#[test]
fn more_tasks_than_a_connection_has_room_for_are_looked_after() -> Result<()> {
    let stage = Stage::set()?;
    let agent = keeping(&stage)?;
    let context = stage.directory.path().join("contexts/agent.json");
    keeping(&stage)?.ok(&["agent", "endpoint", "--task", &stage.task()?])?;
    runtime()?.block_on(async {
        // Whether somebody was first does not matter.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut broker = lanyard_client::Client::connect(&context).await?;
        let mut client = AgentServiceClient::new(socket(&stage).await?);
        // The broker takes 128 calls at once on a connection.
        for _ in 0..140 {
            let open = v1::OpenTaskRequest {
                charter: "ticket-router".into(),
                environment: "production".into(),
                reason: "one of many".into(),
                ..Default::default()
            };
            let task = broker.open_task(open).await?.task.context("no task")?;
            let mut request = tonic::Request::new(agent::OpenEndpointRequest { task_id: task.id });
            let named = context.display().to_string();
            request
                .metadata_mut()
                .insert("lanyard-context", named.parse()?);
            client.open_endpoint(request).await?;
        }
        anyhow::Ok(())
    })?;
    let task = stage.task()?;
    assert!(token(&agent, &task)?.starts_with("ey"));
    Ok(())
}

#[test]
fn a_task_that_is_closed_here_gives_nothing_more() -> Result<()> {
    let stage = Stage::set()?;
    let (task, agent) = (stage.task()?, keeping(&stage)?);
    token(&agent, &task)?;
    runtime()?.block_on(async {
        let mut tasks = TaskServiceClient::new(socket(&stage).await?);
        let context = stage.directory.path().join("contexts/agent.json");
        let mut request = tonic::Request::new(v1::CloseTaskRequest { id: task.clone() });
        request
            .metadata_mut()
            .insert("lanyard-context", context.display().to_string().parse()?);
        tasks.close_task(request).await?;
        anyhow::Ok(())
    })?;
    for _ in 0..5 {
        let refused = agent.run(&["creds", "token", "read-tickets", "--task", &task])?;
        assert!(
            refused.code != 0 && refused.stdout.is_empty(),
            "{refused:?}"
        );
    }
    Ok(())
}

#[test]
fn what_is_no_id_and_no_name_is_not_kept() -> Result<()> {
    let stage = Stage::set()?;
    let (task, agent) = (stage.task()?, keeping(&stage)?);
    agent.ok(&["agent", "endpoint", "--task", &task])?;
    let long = "a".repeat(1000);
    for (task, grant, field) in [
        ("T-1; touch x", "read-tickets", "task_id"),
        (&task, &long, "grant"),
    ] {
        let said = agent.fails(2, &["creds", "token", grant, "--task", task])?;
        assert!(
            said.starts_with(&format!("lanyard: {field}: expected ")),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn a_standing_task_is_opened_once_and_again_when_it_is_closed() -> Result<()> {
    let stage = Stage::set()?;
    let agent = keeping(&stage)?;
    let standing = |reason: &str| {
        let named = [
            "--charter",
            "ticket-router",
            "--environment",
            "production",
            "--reason",
            reason,
        ];
        agent.ok(&[&["creds", "token", "read-tickets"][..], &named].concat())
    };
    let first = standing("by hand")?;
    assert_eq!(standing("by hand")?, first);
    assert_ne!(standing("another")?, first);
    let kept = agent.json(&["agent", "status"])?;
    let task = kept
        .pointer("/0/task")
        .and_then(Value::as_str)
        .context("no task")?;
    let other = kept
        .pointer("/1/task")
        .and_then(Value::as_str)
        .context("no task")?;
    stage.agent.ok(&["task", "close", task])?;
    stage.agent.ok(&["task", "close", other])?;
    until(|| Ok(standing("by hand")? != first))?;
    Ok(())
}

// T51
#[test]
fn t51_a_folder_that_others_enter_is_refused() -> Result<()> {
    let stage = Stage::set()?;
    let (task, agent) = (stage.task()?, keeping(&stage)?);
    let open = state(&stage);
    std::fs::create_dir_all(&open)?;
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755))?;
    let said = agent.fails(2, &["creds", "token", "read-tickets", "--task", &task])?;
    assert!(
        said.ends_with("can be entered by others: chmod 700 it"),
        "{said}"
    );
    Ok(())
}
