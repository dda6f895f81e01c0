//! STS and IAM by moto with authorization enabled. moto checks signatures, and evaluates identity
//! policies by action and resource; aws/moto.py adds session policies, and conditions in both. It
//! ignores expiry and boundaries, so tests with it prove nothing about those.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{Answer, free_port, python};

/// Python packages to install.
const MOTO: &str = "moto[server]==5.2.5";
const AWS_CLI: &str = "awscli==1.46.2";
const ACCOUNT: &str = include_str!("../aws/account.py");
const SERVER: &str = include_str!("../aws/moto.py");
/// The policies that the documentation tells operators to create.
const DOCUMENTS: [(&str, &str); 4] = [
    (
        "lease-role-trust",
        include_str!("../../../docs/aws/lease-role-trust.json"),
    ),
    (
        "lease-role-boundary",
        include_str!("../../../docs/aws/lease-role-boundary.json"),
    ),
    (
        "minter-policy",
        include_str!("../../../docs/aws/minter-policy.json"),
    ),
    (
        "revoker-policy",
        include_str!("../../../docs/aws/revoker-policy.json"),
    ),
];
/// Number of checks whether moto listens, and the pause between two: a minute in total.
const ASKED: u32 = 600;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A running moto. Dropping the value ends it.
pub struct Moto {
    child: Child,
    access: Aws,
}

/// Access to a running moto as its administrator.
#[derive(Debug, Clone)]
pub struct Aws {
    url: String,
    key: String,
    secret: String,
}

/// Two lease roles, and the broker's two principals.
#[derive(Debug, Clone)]
pub struct Account {
    /// ARN of the plan role.
    pub plan_role: String,
    /// ARN of the apply role.
    pub apply_role: String,
    /// Credentials file with both profiles.
    pub credentials: PathBuf,
    /// Profile of the principal that mints.
    pub minter: String,
    /// Profile of the principal that revokes.
    pub revoker: String,
}

impl Moto {
    /// Installs moto if necessary, starts it, and waits until it listens. `log` receives its
    /// output.
    ///
    /// # Errors
    /// When Python is missing, or moto does not come up.
    pub fn start(log: &Path) -> Result<Self> {
        let python = python(MOTO)?;
        let address = free_port()?;
        let log = std::fs::File::create(log)?;
        let child = Command::new(python)
            .args(["-c", SERVER, "-H", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("moto does not start")?;
        let mut moto = Self {
            child,
            access: Aws {
                url: format!("http://{address}"),
                key: String::new(),
                secret: String::new(),
            },
        };
        moto.wait(address)?;
        let made = account(&moto.access.url, "first", &[])?;
        moto.access.key = text(&made, "/admin/key")?;
        moto.access.secret = text(&made, "/admin/secret")?;
        Ok(moto)
    }

    fn wait(&mut self, address: SocketAddr) -> Result<()> {
        for _ in 0..ASKED {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("moto ended with {status}");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("moto does not listen")
    }

    /// Returns access to moto.
    #[must_use]
    pub const fn aws(&self) -> &Aws {
        &self.access
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Aws {
    /// Returns the moto that the test command started, if it did.
    #[must_use]
    pub fn shared() -> Option<Self> {
        Some(Self {
            url: std::env::var("LANYARD_MOTO_URL").ok()?,
            key: std::env::var("AWS_ACCESS_KEY_ID").ok()?,
            secret: std::env::var("AWS_SECRET_ACCESS_KEY").ok()?,
        })
    }

    /// Returns the variables by which [`Aws::shared`] finds this moto in a child process, and by
    /// which SDKs find no other credentials.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("LANYARD_MOTO_URL", self.url.clone().into()),
            ("AWS_ACCESS_KEY_ID", self.key.clone().into()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone().into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    /// Returns the endpoint of every service.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates roles and principals. Their credentials are appended to the file that the
    /// environment names, or else to one in `directory`.
    ///
    /// # Errors
    /// When moto refuses a call.
    pub fn account(&self, name: &str, directory: &Path) -> Result<Account> {
        use std::fmt::Write as _;
        use std::io::Write as _;
        let made = account(&self.url, name, &[&self.key, &self.secret])?;
        let named = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        let credentials = named.unwrap_or_else(|| directory.join("aws-credentials"));
        let mut profiles = String::new();
        for principal in ["minter", "revoker"] {
            writeln!(
                profiles,
                "[{name}-{principal}]\naws_access_key_id = {}\naws_secret_access_key = {}",
                text(&made, &format!("/{principal}/key"))?,
                text(&made, &format!("/{principal}/secret"))?
            )?;
        }
        std::fs::File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&credentials)?
            .write_all(profiles.as_bytes())?;
        Ok(Account {
            plan_role: text(&made, "/plan_role")?,
            apply_role: text(&made, "/apply_role")?,
            credentials,
            minter: format!("{name}-minter"),
            revoker: format!("{name}-revoker"),
        })
    }

    /// Runs the AWS command line as the administrator.
    ///
    /// # Errors
    /// When the AWS command line cannot be installed or does not start.
    pub fn admin(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self
            .command()?
            .env("AWS_ACCESS_KEY_ID", &self.key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret)
            .args(arguments)
            .output()?;
        Ok(Answer::of(&output))
    }

    /// Returns the path of the AWS command line.
    ///
    /// # Errors
    /// When the AWS command line cannot be installed.
    pub fn program(&self) -> Result<PathBuf> {
        Ok(python(AWS_CLI)?.with_file_name("aws"))
    }

    /// Runs the AWS command line with a `credential_process`, as an agent would.
    ///
    /// # Errors
    /// When the AWS command line cannot be installed or does not start.
    pub fn through(&self, process: &str, directory: &Path, arguments: &[&str]) -> Result<Answer> {
        let config = directory.join("aws-config");
        std::fs::write(
            &config,
            format!("[default]\ncredential_process = {process}\n"),
        )?;
        let output = self
            .command()?
            .env("AWS_CONFIG_FILE", config)
            .args(arguments)
            .output()?;
        Ok(Answer::of(&output))
    }

    /// Makes an AWS command that finds no credentials of the surrounding environment.
    fn command(&self) -> Result<Command> {
        let mut command = Command::new(self.program()?);
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_PROFILE",
        ] {
            command.env_remove(name);
        }
        command
            .args(["--endpoint-url", &self.url])
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
        Ok(command)
    }
}

fn account(url: &str, name: &str, admin: &[&str]) -> Result<Value> {
    let documents = DOCUMENTS.map(|(name, text)| format!("{name:?}: {text}"));
    let documents = format!("{{{}}}", documents.join(", "));
    let output = Command::new(python(MOTO)?)
        .args(["-c", ACCOUNT, url, name, &documents])
        .args(admin)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the account could not be set up: {}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn text(made: &Value, pointer: &str) -> Result<String> {
    let found = made.pointer(pointer).and_then(Value::as_str);
    Ok(found.context("the account is incomplete")?.to_owned())
}
