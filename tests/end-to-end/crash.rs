//! `kill -9` under load.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use lanyard_tests::Stage;
use serde_json::Value;

/// How often the daemon is crashed.
const CRASHES: usize = 30;

// T54
#[test]
fn t54_nothing_acknowledged_is_lost_and_nothing_unknown_is_live() -> Result<()> {
    let mut stage = Stage::set()?;
    let task = stage.task()?;
    let mut orders = Vec::new();
    for round in 0..CRASHES {
        if round % 10 == 5 {
            let scope = format!("T-{round:026}");
            // No such task: the order is engaged all the same.
            let kill = ["kill", "--task", &scope, "--reason", "drill", "--yes"];
            stage.oncall.fails(10, &kill)?;
            orders.push(
                stage
                    .oncall
                    .ok(&["-o", "name", "kill", "list"])?
                    .lines()
                    .next()
                    .context("none")?
                    .to_owned(),
            );
        }
        let tokens;
        (stage, tokens) = crash_under_load(stage, &task)?;
        assert!(!tokens.is_empty(), "nothing was under way in round {round}");
        stage.agent.ok(&["task", "show", &task])?;
        let known = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
        assert!(
            orders
                .iter()
                .all(|order| known.lines().any(|line| line == order)),
            "an order is lost: {known}"
        );
        let listed = stage.agent.json(&["lease", "list"])?;
        for token in &tokens {
            let proof = stage.oncall.ok(&["identity"])?;
            assert_eq!(
                stage.is_active(token, &proof)?,
                is_issued(&listed, &lease_of(token)?)
            );
        }
        for lease in listed
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row.get("lease")?.as_str())
        {
            // One that was already being ended is gone by now.
            drop(stage.agent.run(&["lease", "release", lease])?);
        }
    }
    stage.daemon.stop()
}

/// Crashes the daemon while tokens are asked for; the tokens that were handed over.
fn crash_under_load(stage: Stage, task: &str) -> Result<(Stage, Vec<String>)> {
    let (tokens, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let agents = [stage.daemon.cli("agent")?, stage.daemon.cli("agent")?];
    let crashed = std::thread::scope(|scope| {
        for agent in &agents {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let asked = agent.run(&["creds", "token", "--task", task, "read-tickets"]);
                    if let Ok(answer) = asked.as_ref()
                        && answer.code == 0
                        && let Ok(mut tokens) = tokens.lock()
                    {
                        tokens.push(answer.stdout.clone());
                    }
                }
            });
        }
        while tokens.lock().is_ok_and(|tokens| tokens.len() < 4) {
            std::thread::yield_now();
        }
        let crashed = stage.crash();
        over.store(true, Ordering::SeqCst);
        crashed
    })?;
    Ok((crashed, tokens.into_inner().unwrap_or_default()))
}

fn is_issued(listed: &Value, lease: &str) -> bool {
    let field = |row: &Value, name: &str| {
        row.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    listed
        .as_array()
        .into_iter()
        .flatten()
        .any(|row| field(row, "lease") == lease && field(row, "state") == "issued")
}

/// The lease that a token names as its id.
fn lease_of(token: &str) -> Result<String> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).context("not a JWT")?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload)?;
    let claims: Value = serde_json::from_slice(&bytes)?;
    Ok(claims
        .get("jti")
        .and_then(Value::as_str)
        .context("no jti")?
        .to_owned())
}
