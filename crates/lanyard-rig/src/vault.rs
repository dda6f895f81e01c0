//! A Vault server, built from its Go module with only the parts that tests use, or the `vault` or
//! `bao` that `LANYARD_VAULT_PROGRAM` names. Vault is under the Business Source License: tests run
//! it as a separate process, Lanyard does not link it, and it is not shipped.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{Answer, PostgreSql, free_port};

/// Release of the module.
const VERSION: &str = "v1.21.4";
/// Number of readiness checks, and the pause between two: half a minute in total.
const ASKED: u32 = 600;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Time for an answer of the server.
const ANSWER: Duration = Duration::from_secs(60);
/// Variables with the folder and program of the server that [`Vault::shared`] finds.
const SHARED: &str = "LANYARD_VAULT";
const SHARED_PROGRAM: &str = "LANYARD_VAULT_BUILT";
/// Variable with a `vault` or `bao` that replaces the built one.
const PROGRAM: &str = "LANYARD_VAULT_PROGRAM";
/// Policies and roles that the documentation tells operators to create.
const BROKER: &str = include_str!("../../../docs/vault/broker.hcl");
const PARENT: &str = include_str!("../../../docs/vault/parent.hcl");
const PARENT_ROLE: &str = include_str!("../../../docs/vault/parent-role.json");
const LEASE_ROLE: &str = include_str!("../../../docs/vault/lease-role.json");

/// Storage of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Memory: a restart loses everything.
    Memory,
    /// Files in the data folder.
    File,
    /// Integrated storage, as a cluster of one.
    Raft,
}

/// A running server. Dropping the value ends it.
pub struct VaultServer {
    child: Child,
    access: Vault,
}

/// Credentials and roles of a broker on a server.
#[derive(Debug, Clone)]
pub struct AppRole {
    /// Id of the AppRole with which the broker logs in.
    pub role_id: String,
    /// Secret of the AppRole.
    pub secret_id: String,
    /// Token role of leases.
    pub token_role: String,
    /// Token role of the leases' parents.
    pub parent_role: String,
}

/// Access to a running server.
#[derive(Debug, Clone)]
pub struct Vault {
    directory: PathBuf,
    program: PathBuf,
    address: SocketAddr,
    /// Prefix of every path, with a trailing slash unless empty.
    namespace: String,
}

impl VaultServer {
    /// Builds the program if necessary, starts the server with its files in `directory`, and
    /// initialises and unseals it.
    ///
    /// # Errors
    /// When Go is missing, or the server does not come up. The log is in the directory.
    pub fn start(directory: &Path, storage: Storage) -> Result<Self> {
        let (program, address) = (program()?, free_port()?);
        std::fs::create_dir_all(directory.join("data"))?;
        let config = configuration(directory, storage, address)?;
        std::fs::write(directory.join("config.json"), config.to_string())?;
        std::fs::write(directory.join("address"), address.to_string())?;
        let access = Vault {
            directory: directory.to_path_buf(),
            program,
            address,
            namespace: String::new(),
        };
        let mut server = Self {
            child: spawn(&access)?,
            access,
        };
        server.wait(&[501])?;
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let (code, keys) = server.access.call("PUT", "sys/init", None, Some(&shares))?;
        if code != 200 {
            bail!("the server cannot be initialised: HTTP {code}");
        }
        std::fs::write(directory.join("keys.json"), keys.to_string())?;
        server.unseal()?;
        server.access.furnish()?;
        Ok(server)
    }

    /// Returns access to the server.
    #[must_use]
    pub const fn vault(&self) -> &Vault {
        &self.access
    }

    /// Kills the server, starts it again on the same storage, and unseals it.
    ///
    /// # Errors
    /// When the server does not come up.
    pub fn restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = spawn(&self.access)?;
        self.wait(&[503])?;
        self.unseal()
    }

    /// Unseals the server and waits until it serves.
    ///
    /// # Errors
    /// When the server stays sealed.
    pub fn unseal(&mut self) -> Result<()> {
        self.access.unseal()?;
        self.wait(&[200])
    }

    fn wait(&mut self, for_codes: &[u16]) -> Result<()> {
        for _ in 0..ASKED {
            if let Ok((code, _)) = self.access.call("GET", "sys/health", None, None)
                && for_codes.contains(&code)
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.access.directory.join("vault.log"));
                let log = log.unwrap_or_default();
                let end: Vec<&str> = log.lines().rev().take(5).collect();
                bail!("the server ended with {status}: {end:?}");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("the server does not get ready");
    }
}

impl Drop for VaultServer {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Vault {
    /// Returns the server that the test command started, if it did.
    #[must_use]
    pub fn shared() -> Option<Self> {
        let directory = PathBuf::from(std::env::var_os(SHARED)?);
        let program = PathBuf::from(std::env::var_os(SHARED_PROGRAM)?);
        let address = std::fs::read_to_string(directory.join("address")).ok()?;
        Some(Self {
            address: address.parse().ok()?,
            directory,
            program,
            namespace: String::new(),
        })
    }

    /// Returns the variables by which [`Vault::shared`] finds this server in a child process.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            (SHARED, self.directory.clone()),
            (SHARED_PROGRAM, self.program.clone()),
        ]
    }

    /// Returns the base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the program that replaces the built one, for reports.
    #[must_use]
    pub fn stand_in() -> Option<PathBuf> {
        std::env::var_os(PROGRAM).map(PathBuf::from)
    }

    /// Returns the root token.
    ///
    /// # Errors
    /// When the server was not initialised here.
    pub fn root(&self) -> Result<String> {
        self.key("/root_token")
    }

    /// Seals the server: it refuses all calls until it is unsealed.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn seal(&self) -> Result<()> {
        self.admin("PUT", "sys/seal", None).map(drop)
    }

    /// Sends the unseal key.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn unseal(&self) -> Result<()> {
        let key = json!({"key": self.key("/keys/0")?});
        let (code, _) = self.call("PUT", "sys/unseal", None, Some(&key))?;
        if code == 200 {
            Ok(())
        } else {
            bail!("the server does not unseal: HTTP {code}")
        }
    }

    /// Makes a call with the root token and returns the answer.
    ///
    /// # Errors
    /// When the server does not return success.
    pub fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (code, answer) = self.call(method, path, Some(&self.root()?), body)?;
        if (200..300).contains(&code) {
            Ok(answer)
        } else {
            bail!("{method} {path}: {code} {answer}")
        }
    }

    /// Makes a call with any token and returns status and JSON answer.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let token = token.map(|token| format!("X-Vault-Token: {token}\r\n"));
        let (token, length) = (token.unwrap_or_default(), body.len());
        let mut stream = TcpStream::connect_timeout(&self.address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        // HTTP/1.0 answers have no chunks and end with the connection.
        write!(
            stream,
            "{method} /v1/{}{path} HTTP/1.0\r\nHost: {}\r\n{token}Content-Length: {length}\r\n\r\n{body}",
            self.namespace, self.address
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("the answer is incomplete")?;
        let code = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((code, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Runs the command line with this environment, the address and a home, and nothing else.
    ///
    /// # Errors
    /// When the command line does not start.
    pub fn cli(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Answer> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.directory)
            .env("VAULT_ADDR", self.url())
            .env("BAO_ADDR", self.url())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .context("the command line does not start")?;
        Ok(Answer::of(&output))
    }

    /// Sets the server up for a broker as the documentation says, under names of its own.
    ///
    /// # Errors
    /// When the server refuses a call.
    pub fn broker(&self, name: &str) -> Result<AppRole> {
        let own = |text: &str| {
            let text = text.replace("lanyard-lease", &format!("lanyard-lease-{name}"));
            text.replace("lanyard-parent", &format!("lanyard-parent-{name}"))
        };
        let (token_role, parent_role) = (own("lanyard-lease"), own("lanyard-parent"));
        let broker = format!("lanyard-broker-{name}");
        self.policy(&broker, &own(BROKER))?;
        self.policy(&parent_role, &own(PARENT))?;
        for (role, text) in [(&token_role, LEASE_ROLE), (&parent_role, PARENT_ROLE)] {
            let settings: Value = serde_json::from_str(&own(text))?;
            let path = format!("auth/token/roles/{role}");
            self.admin("POST", &path, Some(&settings))?;
        }
        let path = format!("auth/approle/role/{broker}");
        let role = json!({"token_policies": broker, "token_ttl": "20m", "token_type": "service"});
        self.admin("POST", &path, Some(&role))?;
        let id = self.admin("GET", &format!("{path}/role-id"), None)?;
        let secret = self.admin("POST", &format!("{path}/secret-id"), None)?;
        let text = |value: &Value, pointer| {
            let text = value.pointer(pointer).and_then(Value::as_str);
            text.map(str::to_owned).context("the answer is incomplete")
        };
        Ok(AppRole {
            role_id: text(&id, "/data/role_id")?,
            secret_id: text(&secret, "/data/secret_id")?,
            token_role,
            parent_role,
        })
    }

    /// Writes an ACL policy.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn policy(&self, name: &str, text: &str) -> Result<()> {
        let path = format!("sys/policies/acl/{name}");
        self.admin("PUT", &path, Some(&json!({"policy": text})))
            .map(drop)
    }

    /// Creates a namespace with the common test set-up. `None` on a server without namespaces.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn namespace(&self, name: &str) -> Result<Option<Self>> {
        let path = format!("sys/namespaces/{name}");
        let (code, _) = self.call("POST", &path, Some(&self.root()?), Some(&json!({})))?;
        if matches!(code, 404 | 405) {
            return Ok(None);
        }
        let mut within = self.clone();
        within.namespace = format!("{name}/");
        within.furnish()?;
        Ok(Some(within))
    }

    /// Mounts a database engine for a PostgreSQL server, whose users live for `seconds` unless
    /// revoked.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(
        &self,
        mount: &str,
        postgresql: &PostgreSql,
        role: &str,
        seconds: u32,
    ) -> Result<()> {
        let engine = json!({"type": "database"});
        self.admin("POST", &format!("sys/mounts/{mount}"), Some(&engine))?;
        let [username, password] = PostgreSql::owner();
        let connection = json!({
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": role,
            "connection_url": postgresql.url(),
            "username": username,
            "password": password,
        });
        self.admin(
            "POST",
            &format!("{mount}/config/postgresql"),
            Some(&connection),
        )?;
        let users = json!({
            "db_name": "postgresql",
            "creation_statements": "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
            "default_ttl": seconds,
            "max_ttl": "24h",
        });
        self.admin("POST", &format!("{mount}/roles/{role}"), Some(&users))
            .map(drop)
    }

    /// Creates the common test set-up: AppRole logins, and `kv/data/payments` in a key-value store.
    fn furnish(&self) -> Result<()> {
        self.admin(
            "POST",
            "sys/auth/approle",
            Some(&json!({"type": "approle"})),
        )?;
        let kv = json!({"type": "kv", "options": {"version": "2"}});
        self.admin("POST", "sys/mounts/kv", Some(&kv))?;
        let stored = json!({"data": {"region": "eu-central-1"}});
        // A new key-value store needs a moment before it accepts writes.
        for _ in 0..ASKED {
            let root = self.root()?;
            let (code, _) = self.call("POST", "kv/data/payments", Some(&root), Some(&stored))?;
            if code == 200 {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("the key-value store does not get ready")
    }

    /// Returns the program, which is both server and command line.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn key(&self, pointer: &str) -> Result<String> {
        let keys = std::fs::read_to_string(self.directory.join("keys.json"))?;
        let keys: Value = serde_json::from_str(&keys)?;
        let key = keys.pointer(pointer).and_then(Value::as_str);
        Ok(key
            .context("the server returned no unseal keys")?
            .to_owned())
    }
}

fn program() -> Result<PathBuf> {
    if let Some(program) = Vault::stand_in() {
        return Ok(program);
    }
    let files = ["vault/main.go", "vault/server.go", "vault/client.go"];
    let folder = crate::go::build("vault", VERSION, &files, "-s -w")?;
    Ok(folder.join("vault"))
}

fn spawn(access: &Vault) -> Result<Child> {
    let mut log = std::fs::OpenOptions::new();
    let log = log.create(true).append(true);
    let log = log.open(access.directory.join("vault.log"))?;
    let config = access.directory.join("config.json");
    Command::new(&access.program)
        .arg("server")
        .arg(format!("-config={}", config.display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} does not start", access.program.display()))
}

fn configuration(directory: &Path, storage: Storage, address: SocketAddr) -> Result<Value> {
    let data = directory.join("data");
    let storage = match storage {
        Storage::Memory => json!({"inmem": {}}),
        Storage::File => json!({"file": {"path": data}}),
        Storage::Raft => json!({"raft": {"path": data, "node_id": "one"}}),
    };
    let cluster = free_port()?;
    Ok(json!({
        "storage": storage,
        "listener": {"tcp": {"address": address.to_string(), "tls_disable": true, "cluster_address": cluster.to_string()}},
        "api_addr": format!("http://{address}"),
        "cluster_addr": format!("https://{cluster}"),
        "disable_mlock": true,
        // With this endpoint, a test can damage stored data.
        "raw_storage_endpoint": true,
    }))
}
