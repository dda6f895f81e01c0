//! A kill while two thousand clients ask for credentials, and kills in the middle of which the
//! daemon dies.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use lanyard_client::{Client, ClientError, v1};
use lanyard_tests::Stage;
use serde_json::Value;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 40;
const EACH: usize = 50;
/// How many of the tokens are asked about, the last ones first.
const ASKED: usize = 100;

const GRANT: &str = "
    - name: read-spare
      role: plan
      environments: [production]
      token: {target: spare, audience: 'https://spare.acme.example', scopes: [spare.read]}
";

/// One client: asks until it is told that it was killed. What it was given, and whether anything
/// was given to a request that began after the kill had been answered.
async fn hammering(
    mut client: Client,
    task: String,
    answered: Arc<AtomicBool>,
) -> Result<(Vec<String>, bool)> {
    let mut tokens = Vec::new();
    loop {
        let late = answered.load(Ordering::SeqCst);
        let ask = v1::IssueCredentialRequest {
            task_id: task.clone(),
            grant: "read-spare".to_owned(),
            ..Default::default()
        };
        match client.issue_credential(ask).await {
            Ok(issued) => {
                let kind = issued.credential.and_then(|it| it.kind);
                let Some(v1::credential::Kind::Token(token)) = kind else {
                    anyhow::bail!("a credential of another kind");
                };
                tokens.push(token.jwt);
                if late {
                    return Ok((tokens, true));
                }
            }
            Err(ClientError::Killed(_)) => return Ok((tokens, false)),
            // Too much at once is said; it is asked again.
            Err(
                ClientError::Unavailable(_)
                | ClientError::Refused(_)
                | ClientError::RefusedForNow(_),
            ) => tokio::task::yield_now().await,
            Err(other) => return Err(other.into()),
        }
    }
}

// T48, T65
#[test]
fn t48_two_thousand_clients_keep_no_kill_waiting_and_none_gets_anything_after_it() -> Result<()> {
    let charter = include_str!("both.yaml")
        .replace("live_leases: 100", "live_leases: 100000")
        .replace("per: 1h", "per: 1s");
    let charter = charter.trim_end().to_owned() + GRANT;
    let directory = tempfile::tempdir()?;
    let stage = Stage::set_with(directory, "spare: {kind: token}\n", &charter, &[])?;
    let task = stage.task_of("both")?;
    let context = stage.directory.path().join("contexts/agent.json");
    let bearer = format!("Bearer {}", stage.oncall.ok(&["identity"])?);
    let answered = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Runtime::new()?;
    let (order, tokens, late) = runtime.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let client = Client::connect(&context).await?;
            for _ in 0..EACH {
                let own = (client.clone(), task.clone(), Arc::clone(&answered));
                clients.spawn(hammering(own.0, own.1, own.2));
            }
        }
        // All of them are at it.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let body = r#"{"scope":{"charter":"both"},"reason":"drill"}"#;
        let headers = [("authorization", bearer.as_str())];
        let answer = tokio::task::block_in_place(|| stage.daemon.kill_plane(&headers, body))?;
        answered.store(true, Ordering::SeqCst);
        ensure!(answer.contains(r#""durable":true"#), "{answer}");
        // Breakers may have made orders of their own meanwhile: the report is about this one.
        let at = answer.find("K-").context("the answer names no order")?;
        let order = answer
            .get(at..at + "K-".len() + 26)
            .context("no whole id")?
            .to_owned();
        let (mut tokens, mut late) = (Vec::new(), 0);
        while let Some(client) = clients.join_next().await {
            let (own, after) = client??;
            tokens.extend(own);
            late += usize::from(after);
        }
        anyhow::Ok((order, tokens, late))
    })?;
    assert_eq!(
        late, 0,
        "credentials were given to requests after the kill's answer"
    );
    assert!(
        tokens.len() > CONNECTIONS,
        "{} were given at all",
        tokens.len()
    );
    let proof = || stage.oncall.ok(&["identity"]);
    for token in tokens.iter().rev().take(ASKED) {
        assert!(
            !stage.is_active(token, &proof()?)?,
            "a token outlived the kill"
        );
    }
    let report = stage
        .oncall
        .json(&["kill", "watch", &order, "--wait", "60"])?;
    let dead = report.pointer("/total/proved_dead").and_then(Value::as_u64);
    // Those that were in the middle of it died as well, without having reached anybody.
    assert!(
        dead >= Some(tokens.len() as u64),
        "{dead:?} of {}",
        tokens.len()
    );
    assert_eq!(report.get("unswept"), Some(&Value::from(0)));
    Ok(())
}

/// `lanyard kill`, which has just begun.
fn killing(stage: &Stage, task: &str) -> Result<std::process::Child> {
    let context: PathBuf = stage.directory.path().join("contexts/oncall.json");
    let lanyard = lanyard_rig::binaries()?.join("lanyard");
    let kill = ["kill", "--task", task, "--reason", "drill", "--yes"];
    Command::new(lanyard)
        .arg("--context")
        .arg(context)
        .args(kill)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("lanyard does not start")
}

/// Reads until it says that the order is in effect.
fn fenced(child: &mut std::process::Child) -> Result<()> {
    use std::io::{BufRead as _, BufReader};
    let said = BufReader::new(child.stderr.take().context("no stderr")?);
    for line in said.lines() {
        if line?.starts_with("FENCED") {
            return Ok(());
        }
    }
    anyhow::bail!("it never said so")
}

// T54, T65, T66
#[test]
fn a_daemon_that_dies_in_a_kill_has_it_in_effect_when_it_is_back() -> Result<()> {
    let mut stage = Stage::set()?;
    for round in 0..12 {
        let task = stage.task()?;
        let tokens = [
            stage.token(&task)?,
            stage.token(&task)?,
            stage.token(&task)?,
        ];
        let before = orders(&stage)?;
        let mut child = killing(&stage, &task)?;
        // Every other time it dies when the order was answered, else at some point before that.
        let acknowledged = round % 2 == 0;
        if acknowledged {
            fenced(&mut child)?;
        } else {
            (0..round * 200).for_each(|_| std::thread::yield_now());
        }
        stage = stage.crash()?;
        drop(child.kill());
        drop(child.wait());
        let known = orders(&stage)? > before;
        assert!(known || !acknowledged, "an acknowledged order is lost");
        if !known {
            continue;
        }
        for token in &tokens {
            let proof = stage.oncall.ok(&["identity"])?;
            assert!(
                !stage.is_active(token, &proof)?,
                "a token outlived a kill and a crash"
            );
        }
        let request = ["request", "--task", &task, "read-tickets"];
        stage.agent.fails(6, &request)?;
        let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
        let order = order.lines().next().context("none")?.to_owned();
        stage
            .oncall
            .ok(&["kill", "watch", &order, "--wait", "60"])?;
    }
    Ok(())
}

fn orders(stage: &Stage) -> Result<usize> {
    Ok(stage
        .oncall
        .ok(&["-o", "name", "kill", "list"])?
        .lines()
        .count())
}
