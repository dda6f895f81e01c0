//! A PostgreSQL server of Debian's package, for the passwords that another server makes in it.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{Answer, free_port};

/// How often it is asked whether it is ready, and how long between: half a minute in all.
const ASKED: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);
/// Who may do everything, by which password.
const OWNER: &str = "owner";
const PASSWORD: &str = "rig";
/// Where [`PostgreSql::shared`] finds it.
const SHARED: &str = "LANYARD_POSTGRESQL";

/// A running server, which ends with its owner.
pub struct PostgreSqlServer {
    child: Child,
    access: PostgreSql,
    _directory: tempfile::TempDir,
}

/// Access to a server that runs.
#[derive(Debug, Clone)]
pub struct PostgreSql {
    address: SocketAddr,
}

impl PostgreSqlServer {
    /// Starts it on a database of its own.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start() -> Result<Self> {
        let initdb = program("initdb")?;
        let postgres = program("postgres")?;
        // It refuses to run as root, and nobody else may look into what root made.
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

    /// Access to it.
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
            std::thread::sleep(PAUSE);
        }
        bail!("postgres does not get ready");
    }
}

impl Drop for PostgreSqlServer {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl PostgreSql {
    /// The one that the test command started, where it did.
    #[must_use]
    pub fn shared() -> Option<Self> {
        let address = std::env::var(SHARED).ok()?;
        Some(Self {
            address: address.parse().ok()?,
        })
    }

    /// What makes [`PostgreSql::shared`] find this one in a child process.
    #[must_use]
    pub fn environment(&self) -> (&'static str, PathBuf) {
        (SHARED, PathBuf::from(self.address.to_string()))
    }

    /// Where another server reaches it, with places for a name and a password.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@{}/postgres?sslmode=disable",
            self.address
        )
    }

    /// Who may do everything, and the password.
    #[must_use]
    pub const fn owner() -> [&'static str; 2] {
        [OWNER, PASSWORD]
    }

    /// What comes of a statement as this user.
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

/// A program of the server: the package of a release keeps them in a folder of its own.
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

/// Whom to run it as, where this process is root's.
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
    found.map(Some).context("there is no user to run it as")
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}
