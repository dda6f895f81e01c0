//! The provider on a real Vault, with only the broker's rights of `docs/vault`.
//!
//! `cargo xtask test` starts it; without it these tests print that they do not run.
mod real;

use std::time::Duration;

use lanyard_charter::{VaultGives, VaultGrant};
use lanyard_core::lease::Handle;
use lanyard_core::provider::{Probe, Provider, Revoked};
use lanyard_testkit::conformance::{self, Subject as _, Verdict};
use serde_json::json;

use crate::real::{PATH, in_epoch, lasting, parent, shared, token};

#[tokio::test]
async fn the_provider_passes_the_conformance_suite() {
    let Some(real) = shared("conformance") else {
        return;
    };
    conformance::all(&real, 11).await;
}

#[tokio::test]
async fn a_token_does_what_was_granted_and_nothing_else() {
    let Some(real) = shared("granted") else {
        return;
    };
    let (_, minted) = real.mint(&real.request(12)).await.unwrap();
    assert_eq!(real.used(&minted.credential).await, Verdict::Accepted);
    let token = token(&minted.credential);
    for denied in [
        "kv/metadata/payments",
        "sys/mounts",
        "auth/token/lookup-self",
    ] {
        assert_eq!(real.get(token, denied).0, 403, "{denied}");
    }
    for made in ["auth/token/create", "auth/token/renew-self"] {
        let answer = real.vault.call("POST", made, Some(token), None).unwrap();
        assert_eq!(answer.0, 403, "{made}");
    }
}

#[tokio::test]
async fn a_token_for_one_use_is_used_once() {
    let Some(real) = shared("uses") else { return };
    let mut request = real.request(13);
    if let Some(grant) = request.rights.get_mut::<VaultGrant>() {
        grant.gives = VaultGives::Token { uses: Some(1) };
    }
    let (_, minted) = real.mint(&request).await.unwrap();
    assert_eq!(real.used(&minted.credential).await, Verdict::Accepted);
    assert_eq!(real.used(&minted.credential).await, Verdict::Refused);
}

/// No party revokes this lease: it ends on time without the broker.
#[tokio::test]
async fn a_token_ends_on_time_by_itself() {
    let Some(real) = shared("expires") else {
        return;
    };
    let request = lasting(real.request(14), Duration::from_secs(2));
    let (lease, minted) = real.mint(&request).await.unwrap();
    assert_eq!(real.used(&minted.credential).await, Verdict::Accepted);
    let mut asked = 0;
    while real.used(&minted.credential).await == Verdict::Accepted {
        asked += 1;
        assert!(
            real.now() < lease.worst_expiry,
            "it works too long: {asked}"
        );
        tokio::task::yield_now().await;
    }
    assert!(real.now() + Duration::from_secs(1) > request.expires);
}

/// T55: the mint's answer is lost, so the handle does not name the token.
#[tokio::test]
async fn t55_a_token_whose_answer_was_lost_is_found_and_revoked() {
    let Some(real) = shared("lost") else { return };
    let (lease, minted) = real.mint(&real.request(15)).await.unwrap();
    let mut lost = lease.clone();
    lost.handle = Handle(json!({"parent": parent(&lease)}).to_string().into());
    // Long enough ago that the server works on no request of that time.
    lost.asked = real.now().before(Duration::from_secs(120));
    assert_eq!(real.provider.probe(&lost).await, Ok(Probe::Live));
    let revoked = real.revoke(&[&lost], None).await;
    assert_eq!(revoked[&lost.id], Ok(Revoked::Acknowledged));
    assert_eq!(real.used(&minted.credential).await, Verdict::Refused);
    assert_eq!(
        real.prove(&[&lease]).await[&lease.id],
        Ok(Revoked::ProvedDead)
    );
    // A second lease whose token was never created.
    let never = real.request(16);
    lost.id = never.lease;
    assert_eq!(
        real.revoke(&[&lost], None).await[&lost.id],
        Ok(Revoked::Acknowledged)
    );
    assert_eq!(
        real.prove(&[&lost]).await[&lost.id],
        Ok(Revoked::ProvedDead)
    );
}

#[tokio::test]
async fn a_kill_of_the_target_takes_what_came_before_and_nothing_later() {
    let Some(real) = shared("kill") else { return };
    let (one, first) = real.mint(&real.request(17)).await.unwrap();
    let (two, second) = real.mint(&real.request(18)).await.unwrap();
    assert_eq!(parent(&one), parent(&two));
    let killed = real.now();
    let later = in_epoch(real.request(19), 8);
    let (three, third) = real.mint(&later).await.unwrap();
    assert_ne!(parent(&one), parent(&three), "a parent serves one epoch");
    // The kill does not name the second lease: its parent ends it.
    let revoked = real.revoke(&[&one], Some(killed)).await;
    assert_eq!(revoked[&one.id], Ok(Revoked::Acknowledged));
    assert_eq!(real.used(&first.credential).await, Verdict::Refused);
    assert_eq!(real.used(&second.credential).await, Verdict::Refused);
    assert_eq!(real.used(&third.credential).await, Verdict::Accepted);
    let proved = real.prove(&[&one, &two]).await;
    assert_eq!(proved[&one.id], Ok(Revoked::ProvedDead));
    assert_eq!(proved[&two.id], Ok(Revoked::ProvedDead));
    let listed = real.provider.list().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|found| found.lease).collect();
    assert_eq!(listed, [three.id]);
}

/// A foreign token with the same metadata is not taken for a lease.
#[tokio::test]
async fn foreign_metadata_is_not_trusted() {
    let Some(real) = shared("forged") else { return };
    let (lease, _) = real.mint(&real.request(20)).await.unwrap();
    let forged = json!({"policies": ["payments-read"], "meta": {
        "lanyard-lease": real.request(21).lease.to_string(), "lanyard-parent": "x",
    }});
    real.vault
        .admin("POST", "auth/token/create", Some(&forged))
        .unwrap();
    let listed = real.provider.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].lease, lease.id);
    assert_eq!(listed[0].handle, lease.handle);
}

/// An operator revoked the parent by hand: the next request fails with that reason, and the one
/// after it gets a new parent.
#[tokio::test]
async fn a_revoked_parent_is_replaced() {
    let Some(real) = shared("orphaned") else {
        return;
    };
    let (lease, _) = real.mint(&real.request(22)).await.unwrap();
    let revoked = json!({"accessor": parent(&lease)});
    real.vault
        .admin("POST", "auth/token/revoke-accessor", Some(&revoked))
        .unwrap();
    let why = real.refused(&real.request(23)).await;
    assert!(
        why.contains("its parent token is revoked: request the credential again"),
        "{why}"
    );
    let (_, minted) = real.mint(&real.request(24)).await.unwrap();
    assert_eq!(real.used(&minted.credential).await, Verdict::Accepted);
}

#[tokio::test]
async fn faults_of_the_set_up_are_reported_one_per_line() {
    let Some(real) = shared("inspected") else {
        return;
    };
    let request = real.request(25);
    assert_eq!(
        real.provider.check_setup(&request).await.unwrap(),
        Vec::<String>::new()
    );
    let wrong = json!({"allowed_policies": ["others"], "allowed_policies_glob": [], "orphan": true,
        "token_type": "batch", "token_no_default_policy": false, "renewable": false});
    let role = format!("auth/token/roles/{}", real.broker.token_role);
    real.vault.admin("POST", &role, Some(&wrong)).unwrap();
    let parents = format!("auth/token/roles/{}", real.broker.parent_role);
    real.vault.admin("DELETE", &parents, None).unwrap();
    let lines = real
        .provider
        .check_setup(&request)
        .await
        .unwrap()
        .join("\n");
    for said in [
        "the server has no token role lanyard-parent-inspected",
        "tokens would outlive their parent",
        "cannot be revoked: set token_type=service",
        "could have the policy `default`",
        "the role does not allow payments-read",
    ] {
        assert!(lines.contains(said), "{said}: {lines}");
    }
    let bare = "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }\npath \"sys/capabilities-self\" { capabilities = [\"update\"] }\n";
    real.vault.policy("lanyard-broker-inspected", bare).unwrap();
    let lines = real
        .provider
        .check_setup(&request)
        .await
        .unwrap()
        .join("\n");
    for said in [
        "lacks list, sudo on auth/token/accessors",
        "lacks update on sys/leases/revoke",
        "lacks update on auth/token/create/lanyard-parent-inspected",
        "403 permission denied",
    ] {
        assert!(lines.contains(said), "{said}: {lines}");
    }
}

/// T79: the token role creates tokens that a kill would miss.
#[tokio::test]
async fn t79_a_token_that_differs_from_the_request_is_refused_and_revoked() {
    let Some(real) = shared("wider") else { return };
    let role = format!("auth/token/roles/{}", real.broker.token_role);
    let orphans = json!({"allowed_policies_glob": ["payments-*"], "orphan": true});
    real.vault.admin("POST", &role, Some(&orphans)).unwrap();
    let why = real.refused(&real.request(26)).await;
    assert!(why.contains("outlives its parent"), "{why}");
    assert_eq!(real.provider.list().await.unwrap(), Vec::new());
    // Batch tokens cannot be revoked, and the server refuses to limit their life.
    let batch = json!({"orphan": true, "token_type": "batch"});
    real.vault.admin("POST", &role, Some(&batch)).unwrap();
    let why = real.refused(&real.request(29)).await;
    assert!(why.contains("refused create a token: 400"), "{why}");
}

#[tokio::test]
async fn a_credential_is_tried_out_by_itself() {
    let Some(real) = shared("tried") else { return };
    let read = "path \"kv/data/payments\" { capabilities = [\"read\"] }\npath \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n";
    real.vault.policy("payments-tried", read).unwrap();
    let mut request = real.request(27);
    if let Some(grant) = request.rights.get_mut::<VaultGrant>() {
        grant.policies = ["payments-tried".to_owned()].into();
    }
    let (lease, minted) = real.mint(&request).await.unwrap();
    assert_eq!(
        real.provider
            .probe_with_credential(&minted.credential)
            .await,
        Ok(Some(true))
    );
    real.revoke(&[&lease], None).await;
    assert_eq!(
        real.provider
            .probe_with_credential(&minted.credential)
            .await,
        Ok(Some(false))
    );
    assert_eq!(real.get(token(&minted.credential), PATH).0, 403);
}

/// The vault command line gets the lease's token from a token helper.
#[tokio::test]
async fn the_command_line_works_with_a_token_helper() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(real) = shared("helper") else { return };
    let (_, minted) = real.mint(&real.request(28)).await.unwrap();
    let folder = real.directory.path();
    let (helper, config) = (folder.join("helper"), folder.join("config.hcl"));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] && printf %s '{}'\n",
        token(&minted.credential)
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(
        &config,
        format!("token_helper = \"{}\"\n", helper.display()),
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let both = [("VAULT_CONFIG_PATH", config), ("BAO_CONFIG_PATH", config)];
    let answer = real.vault.cli(&both, &["read", PATH]).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stdout.contains("eu-central-1"), "{}", answer.stdout);
}

#[tokio::test]
async fn s27_the_time_is_read_from_the_server() {
    let Some(real) = shared("time") else { return };
    let before = real.now().as_secs();
    let told = real.provider().read_clock().await.unwrap().unwrap();
    let after = real.now().as_secs();
    assert!((before..=after).contains(&told.as_secs()), "{told}");
}
