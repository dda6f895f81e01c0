//! A daemon starts, whatever is missing or odd around it, and says what it can do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lanyard_rig::Answer;
use lanyard_tests::{Stage, local_kill};

/// Serves again with other lines in the configuration. What happens beside the daemon does so once
/// the log says this.
fn beside<T: Send + 'static>(
    stage: Stage,
    says: &'static str,
    happens: impl FnOnce(&Path) -> Result<T> + Send + 'static,
    change: impl FnOnce(String) -> String,
) -> Result<(Stage, T)> {
    let Stage {
        directory, daemon, ..
    } = stage;
    let place = directory.path().to_path_buf();
    let before = daemon.log().len();
    let happening = std::thread::spawn(move || {
        let log = place.join("lanyardd.log");
        while !std::fs::read_to_string(&log)
            .unwrap_or_default()
            .get(before..)
            .is_some_and(|said| said.contains(says))
        {
            std::thread::yield_now();
        }
        happens(&place)
    });
    let daemon = daemon.serve_again(change)?;
    let happened = happening.join().ok().context("the thread panicked")??;
    Ok((Stage::of(directory, daemon)?, happened))
}

/// A Secret that comes later than the pod, or is gone at a restart.
#[test]
fn s16_a_daemon_without_its_certificate_carries_out_kills_and_serves_once_it_is_there() -> Result<()>
{
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let place = stage.directory.path();
    let (certificate, away) = (place.join("dev-tls.pem"), place.join("away.pem"));
    let happens = move |place: &Path| -> Result<Answer> {
        let killed = local_kill(place, &["--target", "tickets"])?;
        std::fs::rename(&away, &certificate)?;
        Ok(killed)
    };
    let (from, to) = (place.join("dev-tls.pem"), place.join("away.pem"));
    let mut moved = Ok(());
    let (stage, killed) = beside(stage, "listener-down", happens, |config| {
        moved = std::fs::rename(from, to);
        config
    })?;
    moved?;
    // The daemon goes on revoking.
    assert_eq!(killed.code, 8, "{}", killed.stderr);
    assert!(
        killed.stderr.contains("by the daemon that runs"),
        "{}",
        killed.stderr
    );
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(!stage.is_active(&token, &proof)?);
    assert!(stage.oncall.ok(&["kill", "list"])?.contains("tickets"));
    let log = stage.daemon.log();
    for down in ["listener-down", "kill-plane-down"] {
        assert!(log.contains(down), "{log}");
    }
    assert!(log.contains("No such file"), "{log}");
    stage.daemon.stop()
}

/// A pipe in the place of any file that is read: nobody ever writes to it.
#[test]
fn s16_a_daemon_waits_for_no_pipe() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let place = stage.directory.path().to_path_buf();
    let pipe = |path: &Path| -> Result<()> {
        std::fs::remove_file(path).ok();
        anyhow::ensure!(Command::new("mkfifo").arg(path).status()?.success());
        Ok(())
    };
    let stage = stage.stop()?;
    pipe(&place.join("charters/pipe.yaml"))?;
    let revisions = std::fs::read_dir(place.join("data/revisions"))?;
    let revision = revisions.flatten().next().context("no revision is kept")?;
    pipe(&revision.path().join("charter.yaml"))?;
    std::fs::create_dir_all(place.join("data/plans"))?;
    let plan = format!("sha256-{}", "0".repeat(64));
    pipe(&place.join("data/plans").join(plan))?;
    for name in [
        "ca.pem",
        "scrape.token",
        "hook.secret",
        "bundle.json",
        "keys.json",
    ] {
        pipe(&place.join(name))?;
    }
    let stage = stage.start_again()?;
    let Stage {
        directory, daemon, ..
    } = stage;
    let daemon = daemon.serve_again(|config| {
        config.replace(
            "issuers:\n",
            "metrics_listen: 127.0.0.1:0\nmetrics_bearer_file: scrape.token\nmetrics_client_ca: ca.pem\n\
             witness_file: ca.pem\n\
             webhooks:\n  - {name: chat, url: 'https://chat.example/', secret_file: hook.secret}\n\
             issuers:\n  - {issuer: 'spiffe://one.example', kind: agents, bundle_file: bundle.json}\n  \
             - {issuer: 'https://two.example', kind: agents, jwks_file: keys.json}\n  \
             - {issuer: 'https://three.example', kind: agents, discovery: {ca_file: ca.pem}}\n",
        )
    })?;
    let stage = Stage::of(directory, daemon)?;
    let status = stage.oncall.run(&["status"])?;
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(status.stdout.contains("revoke-only"), "{}", status.stdout);
    let kill = ["kill", "--agent", "nobody", "--reason", "drill", "--yes"];
    let killed = stage.oncall.run(&kill)?;
    assert!(killed.stderr.contains("FENCED"), "{}", killed.stderr);
    stage.daemon.stop()
}

/// The directory of used tokens, and the data directory's own witness.
fn uses_and_witness(stage: &Stage) -> (PathBuf, PathBuf) {
    let data = stage.directory.path().join("data");
    (data.join("used-proofs"), data.join("journal-witness.json"))
}

/// The file of used tokens comes with the witness of the data directory: an earlier version has
/// neither before a token is used.
#[test]
fn s15_a_replay_cache_that_no_token_came_to_is_no_damage_and_one_that_is_removed_is() -> Result<()>
{
    let refused = |stage: &Stage| -> Result<bool> {
        let reasons = stage.oncall.ok(&["condition", "list"])?;
        Ok(reasons.contains("replay-cache-damaged"))
    };
    let stage = Stage::set()?;
    let (uses, witness) = uses_and_witness(&stage);
    let stage = stage.stop()?;
    std::fs::remove_dir_all(&uses)?;
    std::fs::remove_file(&witness)?;
    let stage = stage.start_again()?;
    assert!(!refused(&stage)?, "nobody has used a token");
    let stage = stage.stop()?;
    std::fs::remove_dir_all(&uses)?;
    let stage = stage.start_again()?;
    assert!(refused(&stage)?, "this version has written the file");
    stage.daemon.stop()?;

    let stage = Stage::set()?;
    stage.task()?;
    let (uses, witness) = uses_and_witness(&stage);
    let stage = stage.stop()?;
    std::fs::remove_dir_all(&uses)?;
    std::fs::remove_file(&witness)?;
    let stage = stage.start_again()?;
    assert!(refused(&stage)?, "an agent has used a token");
    stage.daemon.stop()
}

/// Two people lift a replay cache that is damaged, even while it cannot be written; what keeps it
/// from being written is mended.
#[test]
fn s16_two_people_lift_a_damaged_replay_cache_and_only_its_cause_lifts_a_failed_one() -> Result<()>
{
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (uses, _) = uses_and_witness(&stage);
    let stage = stage.stop()?;
    std::fs::remove_file(uses.join("used"))?;
    std::fs::remove_file(uses.join("used-durable"))?;
    std::fs::create_dir(uses.join("used-durable"))?;
    let stage = stage.start_again()?;
    let request = ["request", "--task", &task, "read-tickets"];
    stage.agent.fails(7, &request)?;
    let reasons = stage.oncall.ok(&["condition", "list"])?;
    for kind in ["replay-cache-damaged", "replay-cache-failed"] {
        assert!(reasons.contains(kind), "{reasons}");
    }
    let accept = |kind| ["condition", "accept", kind, "--reason", "nobody was here"];
    let failed = accept("replay-cache-failed");
    let line = stage.oncall.fails(2, &failed)?;
    assert!(line.contains("cannot be accepted"), "{line}");
    let damaged = accept("replay-cache-damaged");
    stage.oncall.fails(5, &damaged)?;
    let line = stage.oncall.fails(2, &damaged)?;
    assert!(line.contains("takes a second person"), "{line}");
    let second = stage.daemon.cli("oncall-two")?;
    second.ok(&damaged)?;
    let reasons = stage.oncall.ok(&["condition", "list"])?;
    assert!(!reasons.contains("replay-cache-damaged"), "{reasons}");
    assert!(reasons.contains("replay-cache-failed"), "{reasons}");
    stage.agent.fails(7, &request)?;
    std::fs::remove_dir(uses.join("used-durable"))?;
    while stage
        .oncall
        .ok(&["condition", "list"])?
        .contains("replay-cache")
    {}
    stage.token(&task)?;
    // The journal has who said so, why, and of what; the next start does not find the damage again.
    let kinds = ["audit", "query", "--kind", "accept"];
    let records = stage.oncall.json(&kinds)?.to_string();
    for said in ["oncall", "oncall-two", "nobody was here", "is damaged"] {
        assert!(records.contains(said), "{said}: {records}");
    }
    let stage = stage.stop()?.start_again()?;
    let reasons = stage.oncall.ok(&["condition", "list"])?;
    assert!(!reasons.contains("replay-cache"), "{reasons}");
    stage.token(&task)?;
    stage.daemon.stop()
}

/// Lost records may hold a kill: the order that answers the loss stops everything, and the status
/// says so.
#[test]
fn s15_the_status_says_which_order_stops_everything() -> Result<()> {
    let stage = Stage::set()?;
    stage.task()?;
    let yes = stage.oncall.ok(&["status"])?;
    assert!(!yes.contains("stops everything"), "{yes}");
    let journal = stage.directory.path().join("data/journal");
    let stage = stage.stop()?;
    std::fs::remove_dir_all(&journal)?;
    std::fs::create_dir(&journal)?;
    let stage = stage.start_again()?;
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let status = stage.oncall.ok(&["status"])?;
    let said = format!("no: kill order {} stops everything", order.trim());
    assert!(status.contains(&said), "{status}");
    assert!(status.contains("is older than"), "{status}");
    stage.daemon.stop()
}
