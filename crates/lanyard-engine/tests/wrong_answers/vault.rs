//! Vault.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::{Credential, VaultCredential, VaultSecretCredential};
use lanyard_core::provider::Provider;
use lanyard_provider_vault::api::Endpoint;
use lanyard_provider_vault::{Login, Server, VaultProvider, VaultTarget};
use lanyard_rig::{AppRole, PostgreSql, Vault};
use lanyard_testkit::conformance::between::{Answer, Between, Fault, Rule};
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;

use crate::play::{Site, play};

const READ: &str = "path \"kv/data/payments\" {\n  capabilities = [\"read\"]\n}\n";
const JSON: &str = "application/json";
/// The answers of Vault to other questions: of another token, of itself, and of a path that it does
/// not serve.
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

/// An engine of users of a database, and the path that gives them.
struct Users {
    postgresql: PostgreSql,
    path: String,
}

struct Behind {
    vault: Vault,
    between: Between,
    broker: AppRole,
    secret: PathBuf,
    /// The database whose users are given, in place of tokens.
    users: Option<Users>,
    _directory: tempfile::TempDir,
}

fn behind(name: &str, postgresql: Option<PostgreSql>) -> Option<Behind> {
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
    let broker = vault.broker(name).unwrap();
    vault.policy("payments-read", READ).unwrap();
    let users = postgresql.map(|postgresql| {
        let mount = format!("database-wrong-{}", std::process::id());
        vault.database(&mount, &postgresql, "reader", 3600).unwrap();
        let path = format!("{mount}/creds/reader");
        let policy = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        vault.policy("payments-wrong", &policy).unwrap();
        Users { postgresql, path }
    });
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
        users,
        _directory: directory,
    })
}

#[async_trait]
impl Site for Behind {
    fn kind(&self) -> TargetKind {
        TargetKind::VAULT
    }

    fn charter(&self) -> String {
        let text = world::CHARTER.replace("ttl: 10m", "ttl: 1h");
        let Some(Users { path, .. }) = &self.users else {
            return text;
        };
        let secret = format!("policies: [payments-wrong], secret: {path}");
        text.replace("policies: [payments-read]", &secret)
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
            reading: self.users.iter().map(|users| users.path.clone()).collect(),
        };
        let server = Server::new(endpoint, login).unwrap();
        Arc::new(VaultProvider::new(target, server))
    }

    fn between(&self) -> &Between {
        &self.between
    }

    fn calls(&self) -> Vec<Rule> {
        let (post, put) = (Rule::method("POST"), Rule::method("PUT"));
        if self.users.is_some() {
            return vec![
                put.at("/sys/leases/revoke"),
                put.at("/sys/leases/lookup"),
                post.at("/revoke-accessor"),
                post.at("/lookup-accessor"),
            ];
        }
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
        if let (Some(VaultSecretCredential { data, .. }), Some(users)) =
            (credential.get(), &self.users)
        {
            let [user, password] =
                ["username", "password"].map(|name| data.get(name).unwrap().expose());
            let answer = users.postgresql.query(user, password, "select 1").unwrap();
            let gone = ["authentication failed", "does not exist"];
            let refused = gone.iter().any(|words| answer.stderr.contains(words));
            assert!(answer.code == 0 || refused, "{}", answer.stderr);
            return answer.code == 0;
        }
        let Some(VaultCredential { token, .. }) = credential.get() else {
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
    if let Some(behind) = behind("wrong", None) {
        play(&behind).await;
    }
}

/// A dynamic secret, which works without Vault.
#[tokio::test]
async fn s47_vault_no_secret_is_called_dead_while_it_works_and_all_die_once_the_way_is_clear() {
    let Some(users) = PostgreSql::shared() else {
        eprintln!("NOT RUN: no PostgreSQL is named; `cargo xtask test` starts one");
        return;
    };
    if let Some(behind) = behind("wrong-secrets", Some(users)) {
        play(&behind).await;
    }
}
