//! Dynamic secrets of a real Vault, in a real PostgreSQL.
//!
//! `cargo xtask test` starts both; without them these tests print that they do not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod real;

use std::time::Duration;

use lanyard_charter::kinds::{Credential, VaultSecretCredential};
use lanyard_core::provider::{MintRequest, Provider as _, Revoked};
use lanyard_rig::{PostgreSql, Vault};
use lanyard_testkit::conformance::Subject as _;
use lanyard_vocabulary::role::Role;

use crate::real::{Real, lasting};

struct Database {
    real: Real,
    postgresql: PostgreSql,
    path: String,
}

/// Starts a broker, and an engine whose users live this many seconds.
fn database(name: &str, seconds: u32) -> Option<Database> {
    let (Some(vault), Some(postgresql)) = (Vault::shared(), PostgreSql::shared()) else {
        eprintln!("NOT RUN: no Vault and PostgreSQL are named; `cargo xtask test` starts them");
        return None;
    };
    let mount = format!("database-{name}");
    let path = format!("{mount}/creds/reader");
    vault
        .database(&mount, &postgresql, "reader", seconds)
        .unwrap();
    let policy = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
    vault.policy(&format!("payments-{name}"), &policy).unwrap();
    Some(Database {
        real: Real::on(&vault, name, &[&path]),
        postgresql,
        path,
    })
}

impl Database {
    fn request(&self, seed: u64, name: &str) -> MintRequest {
        self.real
            .secret(seed, &format!("payments-{name}"), &self.path)
    }

    /// Tries to log in to the database with a secret's user.
    fn lets_in(&self, credential: &Credential) -> bool {
        let Some(VaultSecretCredential { data, path }) = credential.get() else {
            unreachable!("a credential of another kind")
        };
        assert_eq!(path, &self.path);
        let [user, password] =
            ["username", "password"].map(|name| data.get(name).unwrap().expose());
        let answer = self.postgresql.query(user, password, "select 1").unwrap();
        // The user can also be dropped in the middle of the login.
        let gone = ["authentication failed", "does not exist"];
        let refused = gone.iter().any(|words| answer.stderr.contains(words));
        assert!(
            answer.code == 0 || refused,
            "refused for another reason: {}",
            answer.stderr
        );
        answer.code == 0
    }

    /// Counts the database's users whose names contain this.
    fn users(&self, named: &str) -> String {
        let [owner, password] = PostgreSql::owner();
        let count = format!("select count(*) from pg_roles where rolname like '%{named}%'");
        let answer = self.postgresql.query(owner, password, &count).unwrap();
        answer.stdout.trim().to_owned()
    }
}

#[tokio::test]
async fn a_secret_works_until_it_is_revoked() {
    let Some(database) = database("revoked", 600) else {
        return;
    };
    let real = &database.real;
    let (lease, minted) = real.mint(&database.request(41, "revoked")).await.unwrap();
    let (other, neighbour) = real.mint(&database.request(42, "revoked")).await.unwrap();
    assert!(database.lets_in(&minted.credential));
    let listed = real.provider.list().await.unwrap();
    assert_eq!(listed.len(), 2);
    let revoked = real.revoke(&[&lease], None).await;
    assert_eq!(revoked[&lease.id], Ok(Revoked::Acknowledged));
    // Revoking a secret that is gone succeeds.
    let again = real.revoke(&[&lease], None).await;
    assert_eq!(again[&lease.id], Ok(Revoked::Acknowledged));
    // The engine had ended the user before the server answered.
    assert!(!database.lets_in(&minted.credential));
    assert_eq!(
        real.prove(&[&lease]).await[&lease.id],
        Ok(Revoked::ProvedDead)
    );
    assert!(database.lets_in(&neighbour.credential));
    let killed = real.revoke(&[&other], Some(real.now())).await;
    assert_eq!(killed[&other.id], Ok(Revoked::Acknowledged));
    assert!(!database.lets_in(&neighbour.credential));
    assert_eq!(
        real.prove(&[&other]).await[&other.id],
        Ok(Revoked::ProvedDead)
    );
}

/// Without the broker, the secret's token expires and ends the secret.
#[tokio::test]
async fn a_secret_ends_on_time_by_itself() {
    let Some(database) = database("ends", 3) else {
        return;
    };
    let real = &database.real;
    let request = lasting(database.request(43, "ends"), Duration::from_secs(3));
    let (_, minted) = real.mint(&request).await.unwrap();
    assert!(database.lets_in(&minted.credential));
    let latest = request.expires + Duration::from_secs(22);
    while database.lets_in(&minted.credential) {
        assert!(real.now() < latest, "it lets in too long");
    }
}

/// T79: the engine's role creates users that live longer than the lease; such a user is dropped
/// again.
#[tokio::test]
async fn t79_a_secret_for_longer_than_the_lease_is_refused_and_revoked() {
    let Some(database) = database("longer", 3600) else {
        return;
    };
    let why = database.real.refused(&database.request(44, "longer")).await;
    assert!(why.contains("3600 s instead of 600 s"), "{why}");
    assert_eq!(database.users("lanyard-longer"), "0");
    assert_eq!(database.real.provider.list().await.unwrap(), Vec::new());
}

#[tokio::test]
async fn a_secret_that_cannot_be_revoked_is_refused() {
    let Some(database) = database("engines", 600) else {
        return;
    };
    let real = &database.real;
    let stored = real.secret(45, "payments-read", "kv/data/payments");
    let why = real.refused(&stored).await;
    assert!(why.contains("kv/ is an engine of type kv"), "{why}");
    let nowhere = real.secret(46, "payments-read", "aws/creds/deploy");
    let why = real.refused(&nowhere).await;
    assert!(why.contains("not below a mounted engine"), "{why}");
    // The path that lists the users has no lease.
    let policy = "path \"database-engines/roles/reader\" { capabilities = [\"read\"] }";
    real.vault.policy("payments-engines", policy).unwrap();
    let mut roles = real.secret(47, "payments-engines", "database-engines/roles/reader");
    roles.role = Role::Apply;
    let why = real.refused(&roles).await;
    assert!(why.contains("it could not be revoked"), "{why}");
    assert_eq!(real.provider.list().await.unwrap(), Vec::new());
}

/// A plan role gets no secret that is not known to be read-only, neither directly nor by a policy.
#[tokio::test]
async fn t37_a_plan_role_gets_only_secrets_that_the_target_names() {
    let Some(database) = database("plans", 600) else {
        return;
    };
    let unnamed = Real::on(&database.real.vault, "unnamed", &[]);
    let request = database.request(48, "plans");
    let why = unnamed.refused(&request).await;
    assert!(why.contains("an engine of type database"), "{why}");
    let mut only_reads = request.clone();
    only_reads.role = Role::Apply;
    let (lease, minted) = unnamed.mint(&only_reads).await.unwrap();
    assert!(database.lets_in(&minted.credential));
    unnamed.revoke(&[&lease], None).await;
    let (lease, minted) = database
        .real
        .mint(&database.request(49, "plans"))
        .await
        .unwrap();
    assert!(database.lets_in(&minted.credential));
    database.real.revoke(&[&lease], None).await;
}

/// The engine cannot reach its database during a revocation: the lease is pending, and revoked
/// later.
#[tokio::test]
async fn t66_a_secret_whose_engine_fails_is_pending_until_it_is_gone() {
    let Some(database) = database("fails", 600) else {
        return;
    };
    let real = &database.real;
    let (lease, minted) = real.mint(&database.request(50, "fails")).await.unwrap();
    let connection = |password: &str| {
        let [username, _] = PostgreSql::owner();
        let url = database.postgresql.url();
        serde_json::json!({"plugin_name": "postgresql-database-plugin", "allowed_roles": "reader",
            "connection_url": url, "username": username, "password": password, "verify_connection": false})
    };
    let path = "database-fails/config/postgresql";
    real.vault
        .admin("POST", path, Some(&connection("wrong")))
        .unwrap();
    let revoked = real.revoke(&[&lease], None).await;
    let pending = revoked[&lease.id].as_ref().unwrap_err();
    assert!(pending.is_retryable(), "{pending}");
    assert!(!pending.is_of_provider(), "the server is well: {pending}");
    assert!(
        database.lets_in(&minted.credential),
        "it says so because it is so"
    );
    let [_, password] = PostgreSql::owner();
    real.vault
        .admin("POST", path, Some(&connection(password)))
        .unwrap();
    assert_eq!(
        real.revoke(&[&lease], None).await[&lease.id],
        Ok(Revoked::Acknowledged)
    );
    assert!(!database.lets_in(&minted.credential));
}
