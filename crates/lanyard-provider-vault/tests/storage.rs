//! Servers with each kind of storage: restarted, sealed, and killed with many leases.
//!
//! `cargo xtask test` names the program; without it these tests print that they do not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod real;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{Provider as _, ProviderError, Revoked};
use lanyard_rig::{Storage, Vault, VaultServer};
use lanyard_testkit::conformance::{Subject as _, Verdict};
use lanyard_vocabulary::id::LeaseId;
use serde_json::{Value, json};

use crate::real::{Real, parent};

fn server(directory: &tempfile::TempDir, storage: Storage) -> Option<VaultServer> {
    if Vault::shared().is_none() {
        eprintln!("NOT RUN: no Vault is named; `cargo xtask test` starts one");
        return None;
    }
    Some(VaultServer::start(directory.path(), storage).unwrap())
}

async fn minted(real: &Real, count: u64, seed: u64) -> Vec<(LeaseRef, String)> {
    let minted = stream::iter(seed..seed + count)
        .map(|seed| async move {
            let (lease, minted) = real.mint(&real.request(seed)).await.unwrap();
            (lease, real::token(&minted.credential).to_owned())
        })
        .buffer_unordered(16);
    minted.collect().await
}

fn references(leases: &[(LeaseRef, String)]) -> Vec<&LeaseRef> {
    leases.iter().map(|(lease, _)| lease).collect()
}

fn all(outcomes: &BTreeMap<LeaseId, Result<Revoked, ProviderError>>, what: Revoked) -> bool {
    let mut others = outcomes.values().filter(|outcome| **outcome != Ok(what));
    if let Some(other) = others.next() {
        eprintln!("{} besides {other:?}", others.count());
        return false;
    }
    true
}

/// T54: server and broker both end between a mint and its record; the journal suffices to find the
/// token.
#[tokio::test]
async fn t54_a_token_is_found_after_a_restart_of_both() {
    for storage in [Storage::File, Storage::Raft] {
        let directory = tempfile::tempdir().unwrap();
        let Some(mut server) = server(&directory, storage) else {
            return;
        };
        let real = Real::on(server.vault(), "restarted", &[]);
        let (mut lease, minted) = real.mint(&real.request(61)).await.unwrap();
        lease.handle = Handle(json!({"parent": parent(&lease)}).to_string().into());
        server.restart().unwrap();
        assert_eq!(
            real.used(&minted.credential).await,
            Verdict::Accepted,
            "{storage:?}"
        );
        // The restarted broker has nothing of the first one in memory.
        let next = Real::on(server.vault(), "restarted", &[]);
        assert_eq!(
            next.revoke(&[&lease], None).await[&lease.id],
            Ok(Revoked::Acknowledged)
        );
        assert_eq!(
            next.used(&minted.credential).await,
            Verdict::Refused,
            "{storage:?}"
        );
        // The first broker's login and parent token survived the restart as well.
        let (_, minted) = real.mint(&real.request(62)).await.unwrap();
        assert_eq!(
            real.used(&minted.credential).await,
            Verdict::Accepted,
            "{storage:?}"
        );
    }
}

/// T66: the server is sealed during a kill of the target. Leases that were not revoked are
/// reported, and revoked after the unsealing.
#[tokio::test]
async fn t66_a_kill_that_meets_a_sealed_server_is_finished_when_it_is_unsealed() {
    for storage in [Storage::Memory, Storage::File, Storage::Raft] {
        let directory = tempfile::tempdir().unwrap();
        let Some(mut server) = server(&directory, storage) else {
            return;
        };
        let real = Real::on(server.vault(), "sealed", &[]);
        let leases = minted(&real, 400, 100).await;
        let killed = real.now();
        let vault = real.vault.clone();
        let due = references(&leases);
        let sealed = tokio::task::spawn_blocking(move || {
            let all = stored(&vault).len();
            // Wait until some of them are gone.
            while stored(&vault).len() + 40 > all {}
            vault.seal()
        });
        let (during, sealed) = tokio::join!(real.revoke(&due, Some(killed)), sealed);
        sealed.unwrap().unwrap();
        let refused = during.values().filter_map(|outcome| outcome.as_ref().err());
        assert!(
            refused.clone().all(ProviderError::is_retryable),
            "{storage:?}"
        );
        let pending = refused.count();
        // While sealed, the server revokes nothing, and each lease is reported as pending.
        let sealed = real.revoke(&due, Some(killed)).await;
        assert_eq!(sealed.len(), leases.len());
        let retryable = |outcome: &Result<_, ProviderError>| {
            outcome.as_ref().is_err_and(ProviderError::is_retryable)
        };
        assert!(sealed.values().all(retryable), "{storage:?}");
        server.unseal().unwrap();
        assert!(all(
            &real.revoke(&due, Some(killed)).await,
            Revoked::Acknowledged
        ));
        assert!(
            all(&real.prove(&due).await, Revoked::ProvedDead),
            "{storage:?}"
        );
        for (_, token) in &leases {
            assert_eq!(real.get(token, real::PATH).0, 403);
        }
        eprintln!(
            "{storage:?}: {pending} of {} were pending when it was sealed",
            leases.len()
        );
    }
}

/// A kill of the target with a thousand leases is one call.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "it is measured")]
async fn a_thousand_leases_end_with_their_parent() {
    for storage in [Storage::Memory, Storage::File, Storage::Raft] {
        let directory = tempfile::tempdir().unwrap();
        let Some(server) = server(&directory, storage) else {
            return;
        };
        let real = Real::on(server.vault(), "thousand", &[]);
        let start = Instant::now();
        let leases = minted(&real, 1000, 2000).await;
        let made = start.elapsed();
        let due = references(&leases);
        let start = Instant::now();
        let killed = real.revoke(&due, Some(real.now())).await;
        let took = start.elapsed();
        assert_eq!(killed.len(), 1000);
        assert!(all(&killed, Revoked::Acknowledged), "{storage:?} {took:?}");
        let start = Instant::now();
        assert!(
            all(&real.prove(&due).await, Revoked::ProvedDead),
            "{storage:?}"
        );
        let proved = start.elapsed();
        for (_, token) in &leases {
            assert_eq!(real.get(token, real::PATH).0, 403, "{storage:?}");
        }
        eprintln!(
            "{storage:?}: 1000 leases made in {made:?}, killed in {took:?}, proved in {proved:?}"
        );
        assert!(took < Duration::from_secs(30), "{storage:?}: {took:?}");
    }
}

fn stored(vault: &Vault) -> BTreeSet<String> {
    let listed = vault.admin("LIST", "sys/raw/sys/token/id", None).unwrap();
    let keys = listed.pointer("/data/keys").and_then(Value::as_array);
    let keys = keys.unwrap().iter().filter_map(Value::as_str);
    keys.map(str::to_owned).collect()
}

/// A server can lose a token and keep its accessor. It answers for that accessor as for a missing
/// right. The token counts as dead, and the search goes on.
#[tokio::test]
async fn an_accessor_without_its_token_counts_as_dead() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = server(&directory, Storage::Memory) else {
        return;
    };
    let real = Real::on(server.vault(), "left", &[]);
    let (other, _) = real.mint(&real.request(81)).await.unwrap();
    let before = stored(&real.vault);
    let (lease, minted) = real.mint(&real.request(82)).await.unwrap();
    for key in stored(&real.vault).difference(&before) {
        let path = format!("sys/raw/sys/token/id/{key}");
        real.vault.admin("DELETE", &path, None).unwrap();
    }
    assert_eq!(real.used(&minted.credential).await, Verdict::Refused);
    let next = Real::on(server.vault(), "left", &[]);
    let listed = next.provider.list().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|found| found.lease).collect();
    assert_eq!(listed, [other.id]);
    assert_eq!(
        next.revoke(&[&lease], None).await[&lease.id],
        Ok(Revoked::Acknowledged)
    );
    assert_eq!(
        next.prove(&[&lease]).await[&lease.id],
        Ok(Revoked::ProvedDead)
    );
    // Without the right to look tokens up, no token counts as dead.
    let rights = "path \"auth/token/revoke-accessor\" { capabilities = [\"update\"] }\n\
        path \"sys/capabilities-self\" { capabilities = [\"update\"] }\n\
        path \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n";
    real.vault.policy("lanyard-broker-left", rights).unwrap();
    let proved = next.prove(&[&other]).await;
    let refused = proved[&other.id].as_ref().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "vault refused look a token up: 403 permission denied"
    );
}
