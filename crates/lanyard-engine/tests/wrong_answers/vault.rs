//! Vault.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_core::charter::TargetKind;
use lanyard_core::id::LeaseId;
use lanyard_core::provider::{Credential, Provider};
use lanyard_provider_vault::api::Endpoint;
use lanyard_provider_vault::{Login, Server, VaultProvider, VaultTarget};
use lanyard_rig::{AppRole, Vault};
use lanyard_testkit::conformance::between::{Answer, Between, Fault, Rule};
use lanyard_testkit::world;

use crate::play::{Site, play};

const READ: &str = "path \"kv/data/payments\" {\n  capabilities = [\"read\"]\n}\n";
const JSON: &str = "application/json";
/// What Vault says of another token, of itself, and of a path that it does not serve.
const OTHERS: [(&str, &str); 3] = [
    (
        JSON,
        r#"{"request_id": "1", "data": {"accessor": "other", "path": "auth/token/create", "meta": null}}"#,
    ),
    (JSON, r#"{"initialized": true, "sealed": false}"#),
    (JSON, r#"{"errors": ["no handler for route"]}"#),
];
const THROTTLES: [Answer; 2] = [
    Answer {
        status: "429 Too Many Requests",
        media: JSON,
        body: r#"{"errors": ["request path \"x\": rate limit quota exceeded"]}"#,
    },
    Answer {
        status: "503 Service Unavailable",
        media: "text/html",
        body: "<html><body>later</body></html>",
    },
];

struct Behind {
    vault: Vault,
    between: Between,
    broker: AppRole,
    secret: PathBuf,
    _directory: tempfile::TempDir,
}

fn behind() -> Option<Behind> {
    let Some(vault) = Vault::shared() else {
        eprintln!("NOT RUN: no Vault is named; `cargo xtask test` starts one");
        return None;
    };
    // Another test of this process may have been first.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let url = vault.url();
    let server = url.strip_prefix("http://").unwrap().parse().unwrap();
    let broker = vault.broker("wrong").unwrap();
    vault.policy("payments-read", READ).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret-id");
    std::fs::write(&secret, &broker.secret_id).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).unwrap();
    Some(Behind {
        vault,
        between: Between::start(server),
        broker,
        secret,
        _directory: directory,
    })
}

#[async_trait]
impl Site for Behind {
    fn kind(&self) -> TargetKind {
        TargetKind::Vault
    }

    fn charter(&self) -> String {
        world::CHARTER.replace("ttl: 10m", "ttl: 1h")
    }

    async fn provider(&self) -> Arc<dyn Provider> {
        let endpoint = Endpoint {
            address: format!("http://{}", self.between.address()),
            namespace: String::new(),
            certificate_authority: String::new(),
        };
        let login = Login::AppRole {
            mount: "approle".to_owned(),
            role_id: self.broker.role_id.clone(),
            secret_id_file: self.secret.clone(),
        };
        let target = VaultTarget {
            token_role: self.broker.token_role.clone(),
            parent_role: self.broker.parent_role.clone(),
            reading: BTreeSet::new(),
        };
        let server = Server::new(endpoint, login).unwrap();
        Arc::new(VaultProvider::new(target, server))
    }

    fn between(&self) -> &Between {
        &self.between
    }

    fn calls(&self) -> Vec<Rule> {
        let post = Rule::method("POST");
        vec![
            post,
            post.at("/revoke-accessor"),
            post.at("/lookup-accessor"),
            post.at("/capabilities-self"),
            post.at("/login"),
            Rule::method("GET"),
            Rule::method("LIST"),
        ]
    }

    fn faults(&self) -> Vec<Fault> {
        Fault::all(&THROTTLES, &OTHERS)
    }

    async fn works(&self, _lease: LeaseId, credential: &Credential) -> bool {
        let Credential::Vault { token, .. } = credential else {
            unreachable!("a credential of another kind")
        };
        let path = "kv/data/payments";
        let token = Some(token.expose().as_str());
        let (code, _) = self.vault.call("GET", path, token, None).unwrap();
        assert!(matches!(code, 200 | 403), "{code}");
        code == 200
    }
}

#[tokio::test]
async fn s47_vault_no_token_is_called_dead_while_it_works_and_all_die_once_the_way_is_clear() {
    if let Some(behind) = behind() {
        play(&behind).await;
    }
}
