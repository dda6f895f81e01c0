//! The command line of Vault under `lanyard exec`, and dynamic secrets of a database, on real
//! servers.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{PostgreSql, Vault};
use lanyard_tests::until;
use lanyard_tests::workshop::Workshop;
use serde_json::{Value, json};

const GRANTS: &str = "
    - name: read-config
      role: plan
      environments: [production]
      vault: {target: vault, policies: [payments-NAME]}
    - name: three-reads
      role: plan
      environments: [production]
      vault: {target: vault, policies: [payments-NAME], uses: 3}
    - name: report
      role: plan
      environments: [production]
      vault: {target: vault, policies: [payments-report-NAME], secret: database/creds/report-NAME}
    - name: too-much
      role: plan
      environments: [production]
      vault: {target: vault, policies: [payments-wide-NAME]}
";

struct Shop {
    workshop: Workshop,
    vault: Vault,
    name: String,
}

/// A broker at the shared server, and somebody who is root there.
fn shop(name: &str) -> Result<Option<Shop>> {
    let Some(vault) = Vault::shared() else {
        eprintln!("NOT RUN: no Vault is named; `cargo xtask test` starts one");
        return Ok(None);
    };
    let name = format!("{name}-{}", lanyard_rig::free_port()?.port());
    let role = vault.broker(&name)?;
    vault.policy(
        &format!("payments-{name}"),
        "path \"kv/data/payments\" { capabilities = [\"read\"] }\n\
         path \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n",
    )?;
    vault.policy(
        &format!("payments-report-{name}"),
        &format!("path \"database/creds/report-{name}\" {{ capabilities = [\"read\"] }}\n"),
    )?;
    vault.policy(
        &format!("payments-wide-{name}"),
        "path \"*\" { capabilities = [\"read\"] }\n",
    )?;
    let directory = tempfile::tempdir()?;
    let secret = directory.path().join("secret-id");
    std::fs::write(&secret, &role.secret_id)?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let target = format!(
        "vault: {{kind: vault, address: '{}', token_role: {}, parent_role: {}, reading: [database/creds/report-{name}], \
         login: {{kind: approle, role_id: {}, secret_id_file: '{}'}}}}\n",
        vault.url(),
        role.token_role,
        role.parent_role,
        role.role_id,
        secret.display()
    );
    let folder = vault.program().parent().context("no folder")?.display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let root = vault.root()?;
    let own = [("PATH", path.as_str()), ("VAULT_TOKEN", root.as_str())];
    let grants = GRANTS.replace("NAME", &name);
    let workshop = Workshop::set(directory, (&target, &grants), &[], &own)?;
    workshop.at_home(".vault-token", &root)?;
    Ok(Some(Shop {
        workshop,
        vault,
        name,
    }))
}

impl Shop {
    fn task(&self) -> Result<String> {
        let words = "-o name task open shop --environment production --reason ticket";
        self.workshop
            .agent
            .ok(&words.split(' ').collect::<Vec<_>>())
    }

    /// The server's answer to a token that looks itself up.
    fn looked_up(&self, token: &str) -> Result<(u16, Value)> {
        self.vault
            .call("GET", "auth/token/lookup-self", Some(token), None)
    }
}

#[test]
fn the_tool_is_the_lease_and_never_the_person_around_it() -> Result<()> {
    let Some(shop) = shop("vault-tool")? else {
        return Ok(());
    };
    let script =
        "set -e; vault token lookup; vault read kv/data/payments; ! vault read sys/mounts 2>&1";
    let said = shop
        .workshop
        .ok(&[], "read-config", &["sh", "-c", script])?;
    assert!(said.contains(&format!("payments-{}", shop.name)), "{said}");
    assert!(said.contains("eu-central-1"), "{said}");
    assert!(said.contains("permission denied"), "{said}");
    assert!(!said.contains("root"), "{said}");
    assert_eq!(shop.workshop.mints("read-config")?, 1);
    // A grant of something else leaves the person's own token where it is: it is not looked at.
    let elsewhere =
        shop.workshop
            .run(&[], "report", &["sh", "-c", "vault read sys/mounts 2>&1"])?;
    assert_ne!(elsewhere.code, 0, "{elsewhere:?}");
    Ok(())
}

#[test]
fn a_token_is_good_for_so_many_requests_and_until_its_task_ends() -> Result<()> {
    let Some(shop) = shop("vault-uses")? else {
        return Ok(());
    };
    let task = shop.task()?;
    let agent = &shop.workshop.agent;
    let token = agent.ok(&["creds", "vault", "three-reads", "--task", &task])?;
    let codes: Vec<u16> = (0..4)
        .map(|_| Ok(shop.looked_up(&token)?.0))
        .collect::<Result<_>>()?;
    assert_eq!(codes, [200, 200, 200, 403]);
    let token = agent.ok(&["creds", "vault", "read-config", "--task", &task])?;
    assert_eq!(shop.looked_up(&token)?.0, 200);
    agent.ok(&["task", "close", &task])?;
    until(|| {
        shop.workshop.stage.oncall.ok(&["kill", "list"])?;
        Ok(shop.looked_up(&token)?.0 == 403)
    })
}

#[test]
fn a_kill_ends_the_token_and_the_helper_says_by_what() -> Result<()> {
    let Some(shop) = shop("vault-kill")? else {
        return Ok(());
    };
    let task = shop.task()?;
    let agent = &shop.workshop.agent;
    let helper = ["creds", "vault", "read-config", "get", "--task", &task];
    let token = agent.ok(&helper)?;
    assert_eq!(shop.looked_up(&token)?.0, 200);
    shop.workshop.kill()?;
    assert_eq!(shop.looked_up(&token)?.0, 403);
    let refused = agent.run(&helper)?;
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("drill"), "{refused:?}");
    let report = shop.workshop.stage.oncall.ok(&["kill", "list"])?;
    assert!(report.contains("shop"), "{report}");
    Ok(())
}

// T37
#[test]
fn a_policy_that_reaches_everything_is_refused_by_name() -> Result<()> {
    let Some(shop) = shop("vault-wide")? else {
        return Ok(());
    };
    let task = shop.task()?;
    let creds = ["creds", "vault", "too-much", "--task", &task];
    let refused = shop.workshop.agent.run(&creds)?;
    assert_ne!(refused.code, 0, "{refused:?}");
    let policy = format!("payments-wide-{}", shop.name);
    assert!(refused.stderr.contains(&policy), "{refused:?}");
    Ok(())
}

/// The users of a database are made by the server itself, for as long as their lease.
fn database(shop: &Shop, postgresql: &PostgreSql) -> Result<()> {
    let [owner, password] = PostgreSql::owner();
    let name = &shop.name;
    // Another test may have set it up.
    drop(shop.vault.admin(
        "POST",
        "sys/mounts/database",
        Some(&json!({"type": "database"})),
    ));
    let connection = json!({"plugin_name": "postgresql-database-plugin", "connection_url": postgresql.url(),
        "username": owner, "password": password, "allowed_roles": [format!("report-{name}")]});
    let path = format!("database/config/{name}");
    shop.vault.admin("POST", &path, Some(&connection))?;
    let role = json!({"db_name": name, "default_ttl": "5m", "max_ttl": "5m", "creation_statements": [
        "create role \"{{name}}\" with login password '{{password}}' valid until '{{expiration}}'"]});
    let path = format!("database/roles/report-{name}");
    shop.vault.admin("POST", &path, Some(&role)).map(drop)
}

#[test]
fn a_user_of_a_database_exists_for_as_long_as_its_task() -> Result<()> {
    let (Some(shop), Some(postgresql)) = (shop("vault-database")?, PostgreSql::shared()) else {
        eprintln!("NOT RUN: no PostgreSQL is named; `cargo xtask test` starts one");
        return Ok(());
    };
    database(&shop, &postgresql)?;
    let task = shop.task()?;
    let agent = &shop.workshop.agent;
    let secret = agent.ok(&["creds", "vault", "report", "--task", &task])?;
    let secret: Value = serde_json::from_str(&secret)?;
    let field = |name| secret.get(name).and_then(Value::as_str).context("no field");
    let (user, password) = (field("username")?, field("password")?);
    let asked = postgresql.query(user, password, "select current_user")?;
    ensure!(asked.code == 0 && asked.stdout == user, "{asked:?}");
    agent.ok(&["task", "close", &task])?;
    until(|| Ok(postgresql.query(user, password, "select 1")?.code != 0))?;
    let asked = postgresql.query(user, password, "select 1")?;
    ensure!(asked.stderr.contains("authentication failed"), "{asked:?}");
    nowhere(&shop, password)
}

/// Fails if a file of the workshop holds the secret (T49).
fn nowhere(shop: &Shop, secret: &str) -> Result<()> {
    let mut folders = vec![shop.workshop.stage.directory.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                ensure!(!holds(&path, secret)?, "{} holds it", path.display());
            }
        }
    }
    Ok(())
}

fn holds(path: &Path, secret: &str) -> Result<bool> {
    let content = std::fs::read(path)?;
    let mut windows = content.windows(secret.len());
    Ok(windows.any(|window| window == secret.as_bytes()))
}
