//! How the broker gets and keeps its own token, on a real Vault.
//!
//! `cargo xtask test` starts the servers; without them these tests print that they do not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod real;

use std::path::PathBuf;
use std::time::Duration;

use lanyard_core::provider::{Provider as _, ProviderError};
use lanyard_provider_vault::api::{Endpoint, VaultApi as _};
use lanyard_provider_vault::{Login, Server};
use lanyard_rig::{AppRole, Cluster, Vault};
use lanyard_testkit::conformance::{Subject as _, Verdict};
use serde_json::{Value, json};

use crate::real::{Real, shared};

/// Audience of the service account's token.
const AUDIENCE: &str = "https://kubernetes.invalid";

/// Returns the accessors of this broker's logins.
fn sessions(real: &Real, name: &str) -> Vec<String> {
    let listed = real
        .vault
        .admin("LIST", "auth/token/accessors", None)
        .unwrap();
    let keys = listed
        .pointer("/data/keys")
        .and_then(Value::as_array)
        .unwrap();
    let policy = json!(format!("lanyard-broker-{name}"));
    let mut sessions = Vec::new();
    for accessor in keys {
        let asked = json!({"accessor": accessor});
        let looked = real.vault.call(
            "POST",
            "auth/token/lookup-accessor",
            Some(&real.vault.root().unwrap()),
            Some(&asked),
        );
        let (_, facts) = looked.unwrap();
        let policies = facts.pointer("/data/policies").and_then(Value::as_array);
        if policies.is_some_and(|policies| policies.contains(&policy)) {
            sessions.push(accessor.as_str().unwrap().to_owned());
        }
    }
    sessions
}

#[tokio::test]
async fn many_calls_at_once_log_in_once() {
    let Some(real) = shared("single") else { return };
    let lists = (0..20).map(|_| real.provider.list());
    for listed in futures_util::future::join_all(lists).await {
        assert_eq!(listed.unwrap(), Vec::new());
    }
    assert_eq!(sessions(&real, "single").len(), 1);
}

#[tokio::test]
async fn a_token_that_was_revoked_is_logged_in_for_again() {
    let Some(real) = shared("refused") else {
        return;
    };
    real.provider.list().await.unwrap();
    let before = sessions(&real, "refused");
    for accessor in &before {
        let revoked = json!({"accessor": accessor});
        real.vault
            .admin("POST", "auth/token/revoke-accessor", Some(&revoked))
            .unwrap();
    }
    let (_, minted) = real.mint(&real.request(71)).await.unwrap();
    assert_eq!(real.used(&minted.credential).await, Verdict::Accepted);
    assert_ne!(sessions(&real, "refused"), before);
}

/// The role lets tokens live for two seconds, and six after renewals: the session renews the token,
/// and then logs in again.
#[tokio::test]
async fn a_token_is_renewed_and_never_runs_out() {
    let Some(real) = shared("renewed") else {
        return;
    };
    let role = json!({"token_policies": "lanyard-broker-renewed", "token_ttl": "2s", "token_max_ttl": "6s"});
    let path = "auth/approle/role/lanyard-broker-renewed";
    real.vault.admin("POST", path, Some(&role)).unwrap();
    let until = real.now() + Duration::from_secs(8);
    while real.now() < until {
        real.provider.list().await.unwrap();
    }
}

/// A replaced secret id is read at the next login. An error about a wrong one does not show it.
#[tokio::test]
async fn t49_the_secret_file_is_read_at_each_login() {
    let Some(real) = shared("files") else { return };
    let file = real.directory.path().join("secret-id");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "canary-of-a-secret\n").unwrap();
    let error = real.provider.list().await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("login") && !shown.contains("canary"),
        "{shown}"
    );
    // A file that others can read is refused, and so is one without end.
    real::owned(&file, 0o640);
    let error = real.provider.list().await.unwrap_err().to_string();
    assert!(error.contains("others may read or change it"), "{error}");
    real::owned(&file, 0o600);
    std::fs::write(&file, vec![b'x'; 70_000]).unwrap();
    let error = real.provider.list().await.unwrap_err().to_string();
    assert!(error.contains("a file of a secret has at most"), "{error}");
    std::fs::write(&file, right).unwrap();
    real.provider.list().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    real.provider.list().await.unwrap();
}

/// Writes a service account's token to a file, for both login methods.
fn service_account(cluster: &Cluster, directory: &tempfile::TempDir) -> PathBuf {
    let account =
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: lanyardd, namespace: default}\n";
    cluster.apply(account).unwrap();
    let given = ["create", "token", "lanyardd", "--audience", AUDIENCE];
    let given = cluster.kubectl("admin", &given).unwrap();
    assert_eq!(given.code, 0, "{}", given.stderr);
    let file = directory.path().join("token");
    std::fs::write(&file, &given.stdout).unwrap();
    file
}

/// Sets up a login method for that account, with the policy of this broker.
fn method(vault: &Vault, name: &str, config: &Value, role: Value) -> AppRole {
    let kind = json!({"type": name});
    vault
        .admin("POST", &format!("sys/auth/{name}"), Some(&kind))
        .unwrap();
    vault
        .admin("POST", &format!("auth/{name}/config"), Some(config))
        .unwrap();
    let broker = vault.broker(name).unwrap();
    let mut role = role;
    let policy = json!(format!("lanyard-broker-{name}"));
    let settings = role.as_object_mut().unwrap();
    settings.insert("token_policies".to_owned(), policy);
    settings.insert("token_type".to_owned(), json!("service"));
    vault
        .admin("POST", &format!("auth/{name}/role/lanyardd"), Some(&role))
        .unwrap();
    broker
}

async fn works(vault: &Vault, broker: &AppRole, login: Login) {
    let provider = real::provider(vault, broker, login, &[], "");
    assert_eq!(provider.list().await, Ok(Vec::new()));
    let real = Real::on(vault, &format!("as-{}", broker.token_role), &[]);
    let request = real.request(72);
    provider.ensure_shared_objects(&request).await.unwrap();
    let prepared = provider.prepare(&request).unwrap();
    let minted = provider.mint(&request, &prepared).await.unwrap();
    assert_eq!(real.used(&minted.credential).await, Verdict::Accepted);
}

/// A service account's token is verified by the cluster's TokenReview, or by the cluster's public
/// key.
#[tokio::test]
async fn a_service_account_logs_in_by_kubernetes_and_by_jwt() {
    let (Some(vault), Some(cluster)) = (Vault::shared(), Cluster::shared()) else {
        eprintln!("NOT RUN: no Vault and API server are named; `cargo xtask test` starts them");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let token_file = service_account(&cluster, &directory);
    let [host, authority, key] = cluster.issuer().unwrap();
    let reviewer = json!({"kubernetes_host": host, "kubernetes_ca_cert": authority, "token_reviewer_jwt": "admin-token"});
    let role = json!({"bound_service_account_names": "lanyardd", "bound_service_account_namespaces": "default",
        "audience": AUDIENCE});
    let broker = method(&vault, "kubernetes", &reviewer, role);
    let login = Login::Kubernetes {
        mount: "kubernetes".to_owned(),
        role: "lanyardd".to_owned(),
        token_file: token_file.clone(),
    };
    works(&vault, &broker, login).await;
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": AUDIENCE,
        "bound_subject": "system:serviceaccount:default:lanyardd"});
    let broker = method(
        &vault,
        "jwt",
        &json!({"jwt_validation_pubkeys": [key]}),
        role,
    );
    let login = Login::Jwt {
        mount: "jwt".to_owned(),
        role: "lanyardd".to_owned(),
        token_file,
    };
    works(&vault, &broker, login).await;
}

/// On a server with namespaces, the broker and its leases stay in the target's namespace.
#[tokio::test]
async fn a_broker_of_a_namespace_stays_in_it() {
    let Some(vault) = Vault::shared() else {
        eprintln!("NOT RUN: no Vault is named; `cargo xtask test` starts one");
        return;
    };
    let Some(within) = vault.namespace("platform").unwrap() else {
        eprintln!("NOT RUN: this server has no namespaces");
        return;
    };
    let real = Real::within(&within, "namespaced", &[], "platform");
    let (lease, minted) = real.mint(&real.request(73)).await.unwrap();
    assert_eq!(real.used(&minted.credential).await, Verdict::Accepted);
    let token = real::token(&minted.credential);
    assert_eq!(
        vault.call("GET", real::PATH, Some(token), None).unwrap().0,
        403
    );
    assert_eq!(real.provider.list().await.unwrap().len(), 1);
    real.revoke(&[&lease], None).await;
    assert_eq!(real.used(&minted.credential).await, Verdict::Refused);
    assert_eq!(real.prove(&[&lease]).await.len(), 1);
}

/// The server's certificate must be signed by the target's authority. An API server serves as a TLS
/// server that knows no such login.
#[tokio::test]
async fn a_server_is_known_by_the_authority_that_the_target_names() {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return;
    };
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let [address, authority, key] = cluster.issuer().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let secret_id_file = directory.path().join("secret-id");
    std::fs::write(&secret_id_file, "none").unwrap();
    real::owned(&secret_id_file, 0o600);
    let server = |certificate_authority: &str| {
        let login = Login::AppRole {
            mount: "approle".to_owned(),
            role_id: "none".to_owned(),
            secret_id_file: secret_id_file.clone(),
        };
        let endpoint = Endpoint {
            address: address.clone(),
            namespace: String::new(),
            certificate_authority: certificate_authority.to_owned(),
        };
        Server::new(endpoint, login)
    };
    let error = server(&authority).unwrap().accessors().await.unwrap_err();
    // The API server answers, and is not a Vault: the connection works, and its answer does not
    // count.
    assert!(error.to_string().contains("403"), "{error:?}");
    let error = server("").unwrap().accessors().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Ambiguous { .. }),
        "{error:?}"
    );
    assert!(server(&key).is_err(), "a key is no certificate");
}
