//! The Rust client's own tasks: one credential for any number who ask, renewed in good time,
//! dropped with the task.

use anyhow::{Context, Result};
use lanyard_client::{Client, ClientError, Stop, v1};
use lanyard_tests::Stage;

fn runtime() -> Result<tokio::runtime::Runtime> {
    // Whether somebody was first does not matter.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}

async fn connect(stage: &Stage) -> Result<Client> {
    let context = stage.directory.path().join("contexts/agent.json");
    Ok(Client::connect(&context).await?)
}

/// Credentials of four seconds, from now on.
fn shorten(stage: &Stage) -> Result<()> {
    let charter = stage.directory.path().join("charters/ticket-router.yaml");
    let text = std::fs::read_to_string(&charter)?;
    let before = stage.oncall.ok(&["charter", "list"])?;
    std::fs::write(&charter, text.replace("ttl: 10m", "ttl: 4s"))?;
    lanyard_tests::until(|| Ok(stage.oncall.ok(&["charter", "list"])? != before))?;
    Ok(())
}

fn asked() -> v1::OpenTaskRequest {
    v1::OpenTaskRequest {
        charter: "ticket-router".into(),
        environment: "production".into(),
        reason: "ticket 12".into(),
        ..Default::default()
    }
}

#[test]
fn a_short_credential_is_renewed_before_its_end_by_one_of_many() -> Result<()> {
    let stage = Stage::set()?;
    shorten(&stage)?;
    runtime()?.block_on(async {
        let task = connect(&stage).await?.begin(asked()).await?;
        let first = task.credential("read-tickets", None).await?;
        // Fifty who ask without a pause: none is ever refused, and none is given what has ended.
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (task, first) = (task.clone(), first.lease_id.clone());
            asking.spawn(async move {
                loop {
                    let held = task.credential("read-tickets", None).await?;
                    assert!(!held.lifetime().is_zero());
                    if held.lease_id != first {
                        return Ok::<_, ClientError>(held.lease_id.clone());
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut second = std::collections::BTreeSet::new();
        while let Some(answered) = asking.join_next().await {
            second.insert(answered??);
        }
        assert_eq!(second.len(), 1, "{second:?}");
        task.close().await?;
        anyhow::Ok(())
    })
}

// One lease of an approval at a time: the next one follows on the end of the one before, and nobody
// is refused meanwhile.
#[test]
fn an_apply_session_goes_on_from_one_lease_to_the_next() -> Result<()> {
    let stage = Stage::set()?;
    shorten(&stage)?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7 to billing")?;
    stage.approve("alice", &approval, &digest)?;
    stage.approve("bob", &approval, &digest)?;
    runtime()?.block_on(async {
        let task = connect(&stage).await?.task(task);
        let first = task.credential("move-tickets", Some(&plan)).await?;
        let first = first.lease_id.clone();
        loop {
            let held = task.credential("move-tickets", Some(&plan)).await?;
            if held.lease_id != first {
                return anyhow::Ok(());
            }
            tokio::task::yield_now().await;
        }
    })
}

#[test]
fn a_kill_is_heard_of_and_what_was_at_hand_is_gone() -> Result<()> {
    let stage = Stage::set()?;
    runtime()?.block_on(async {
        let task = connect(&stage).await?.begin(asked()).await?;
        let mut stops = task.stops();
        task.credential("read-tickets", None).await?;
        assert_eq!(task.held().len(), 1);
        let kill = ["kill", "--task", task.id(), "--reason", "it loops", "--yes"];
        stage.oncall.ok(&kill)?;
        let stop = stops.wait_for(Option::is_some).await?.clone().context("no stop")?;
        let Stop::Killed { kill_id, line } = stop else {
            anyhow::bail!("{stop:?}");
        };
        assert_eq!(line, format!("stopped by kill order {kill_id}: it loops"));
        assert!(task.held().is_empty());
        let refused = task.credential("read-tickets", None).await.err().context("it was given")?;
        assert!(matches!(&refused, ClientError::Killed(said) if said.facts.get("kill_id") == Some(&kill_id)), "{refused}");
        anyhow::Ok(())
    })
}

#[test]
fn a_broker_that_is_gone_is_waited_for_and_then_nothing_is_handed_out() -> Result<()> {
    let stage = Stage::set()?;
    let (connected, task) = {
        let runtime = runtime()?;
        let task = runtime.block_on(async {
            // The broker is heard of every five seconds: six are enough here.
            let client = connect(&stage)
                .await?
                .fresh_for(std::time::Duration::from_secs(6));
            let task = client.begin(asked()).await?;
            task.credential("read-tickets", None).await?;
            anyhow::Ok(task)
        })?;
        (runtime, task)
    };
    let stopped = stage.stop()?;
    connected.block_on(async {
        let error = loop {
            match task.credential("read-tickets", None).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert!(task.silent_for().as_secs() >= 6, "{:?}", task.silent_for());
        let line = error.to_string();
        let heard = "the broker is not available: no message arrived for ";
        assert!(
            line.starts_with(heard) && line.contains("so no credential is handed out: "),
            "{line}"
        );
        anyhow::Ok(())
    })?;
    drop(stopped);
    Ok(())
}
