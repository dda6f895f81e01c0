//! A PostgreSQL server of Debian's package, for the users that Vault creates in it.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{Answer, free_port};

/// Number of readiness checks, and the pause between two: half a minute in total.
const ASKED: u32 = 300;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Name and password of the superuser.
const OWNER: &str = "owner";
const PASSWORD: &str = "rig";
/// Variable by which [`PostgreSql::shared`] finds the server.
const SHARED: &str = "LANYARD_POSTGRESQL";

/// A running server. Dropping the value ends it.
pub struct PostgreSqlServer {
    child: Child,
    access: PostgreSql,
    _directory: tempfile::TempDir,
}

/// Access to a running server.
#[derive(Debug, Clone)]
pub struct PostgreSql {
    address: SocketAddr,
}

impl PostgreSqlServer {
    /// Starts the server with a fresh database.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not come up.
    pub fn start() -> Result<Self> {
        let initdb = program("initdb")?;
        let postgres = program("postgres")?;
        // postgres refuses to run as root, and its user must be able to read the folder that root
        // creates.
        let user = unprivileged()?;
        let directory = tempfile::tempdir()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        let data = directory.path().join("data");
        let password = directory.path().join("password");
        std::fs::create_dir(&data)?;
        std::fs::write(&password, PASSWORD)?;
        if let Some((user, group)) = user {
            chown(&data, Some(user), Some(group))?;
        }
        let made = as_user(Command::new(initdb), user)
            .args(["--no-sync", "--auth", "scram-sha-256", "--username", OWNER])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(&data)
            .current_dir(&data)
            .stdin(Stdio::null())
            .output()
            .context("initdb does not start")?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        let address = free_port()?;
        let child = as_user(Command::new(postgres), user)
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &address.port().to_string()])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .current_dir(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("postgres does not start")?;
        let mut server = Self {
            child,
            access: PostgreSql { address },
            _directory: directory,
        };
        server.wait()?;
        Ok(server)
    }

    /// Returns access to the server.
    #[must_use]
    pub const fn postgresql(&self) -> &PostgreSql {
        &self.access
    }

    fn wait(&mut self) -> Result<()> {
        for _ in 0..ASKED {
            if self.access.query(OWNER, PASSWORD, "select 1")?.code == 0 {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("postgres ended with {status}");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("postgres does not get ready");
    }
}

impl Drop for PostgreSqlServer {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl PostgreSql {
    /// Returns the server that the test command started, if it did.
    #[must_use]
    pub fn shared() -> Option<Self> {
        let address = std::env::var(SHARED).ok()?;
        Some(Self {
            address: address.parse().ok()?,
        })
    }

    /// Returns the variable by which [`PostgreSql::shared`] finds this server in a child process.
    #[must_use]
    pub fn environment(&self) -> (&'static str, PathBuf) {
        (SHARED, PathBuf::from(self.address.to_string()))
    }

    /// Returns the connection URL with placeholders for user and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@{}/postgres?sslmode=disable",
            self.address
        )
    }

    /// Returns name and password of the superuser.
    #[must_use]
    pub const fn owner() -> [&'static str; 2] {
        [OWNER, PASSWORD]
    }

    /// Runs a statement as `user` and returns psql's result.
    ///
    /// # Errors
    /// When psql does not start.
    pub fn query(&self, user: &str, password: &str, statement: &str) -> Result<Answer> {
        let output = Command::new("psql")
            .args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()])
            .args([
                "-U", user, "-d", "postgres", "-w", "-t", "-A", "-c", statement,
            ])
            .env("PGPASSWORD", password)
            .stdin(Stdio::null())
            .output()
            .context("psql does not start")?;
        Ok(Answer::of(&output))
    }
}

/// Finds a program of the server. Debian keeps the programs of each release in a separate folder.
fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let releases = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let releases = releases.flatten().map(|release| release.path().join("bin"));
    let mut found = releases
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .filter(|program| program.is_file());
    found
        .next()
        .with_context(|| format!("{name} is not installed: apt-get install postgresql"))
}

/// Returns user and group for the server if this process runs as root.
fn unprivileged() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string(Path::new("/etc/passwd"))?;
    let ids = |name: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    found
        .map(Some)
        .context("the machine has no user to run postgres as")
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}
