//! `lanyardd init`: an installation of one's own, with a certificate, the first people and the
//! first agent.
//!
//! Everything is made in memory, then written at once ([`pieces`]). What clients need is in
//! `contexts/` and nowhere else; what the daemon reads is in the other files.

pub(crate) mod authority;
pub(crate) mod context;
pub(crate) mod issuer;
mod people;
mod pieces;
mod unit;
mod users;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use lanyard_engine::clock::{Clock as _, SystemClock};

use self::authority::Validity;
use self::context::Caller;
use self::issuer::SigningKey;
use self::people::{Host, Person, Role};
use self::pieces::{Piece, Readers};
use self::unit::Runs;
use self::users::User;
use crate::terminal;

pub(crate) use self::pieces::{LIST, write_new};

/// The lifetime of the certificate, in days. Some platforms accept no longer one.
const CERTIFICATE_DAYS: i32 = 825;
const AUDIENCE: &str = "lanyard";
const AGENTS: &str = "https://agents.lanyard.invalid";
const PEOPLE: &str = "https://people.lanyard.invalid";
/// The context and the subject of the first agent.
const AGENT: (&str, &str) = ("agent", "ticket-router");
/// The path of the Debian package's systemd unit.
const PACKAGED_UNIT: &str = "/usr/lib/systemd/system/lanyardd.service";

/// The parts of the new installation.
#[derive(Args)]
pub(crate) struct Init {
    /// A new or an empty directory.
    dir: PathBuf,
    /// A name or an address that clients reach the daemon by; the first is written into the
    /// contexts.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<Host>,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:7070", value_parser = crate::address::parse)]
    listen: SocketAddr,
    /// A person, with roles: viewer, approver, on-call, admin. Without any, two are made.
    #[arg(long = "person", value_name = "NAME:ROLE,…")]
    people: Vec<Person>,
    /// The daemon's data directory; `data` in DIR otherwise.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The user that the daemon will run as, where root runs this.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Creates the installation, and prints what was made and what comes next.
///
/// # Errors
/// When something is in the way or cannot be created. The command can be repeated then.
pub(crate) fn run(asked: Init) -> Result<()> {
    let mut people = asked.people;
    if people.is_empty() {
        people = Person::usual();
    }
    let mut names: Vec<_> = people.iter().map(|person| person.name.as_str()).collect();
    names.push(AGENT.0);
    names.sort_unstable();
    if let Some([twice, _]) = names
        .windows(2)
        .find(|pair| matches!(pair, [one, other] if one == other))
    {
        bail!("two contexts would be called `{twice}`: give every person another name");
    }
    let daemon = daemon_user(asked.user.as_deref())?;
    let root = pieces::absolute(&asked.dir)?;
    let hosts = hosts(asked.hosts, asked.listen)?;
    let made = Made {
        data_dir: match &asked.data_dir {
            Some(path) => pieces::absolute(path)?,
            None => root.join("data"),
        },
        is_apart: asked.data_dir.is_some(),
        root,
        listen: asked.listen,
        hosts,
        people,
        user: asked.user,
        validity: Validity::of_days(SystemClock::default().now(), CERTIFICATE_DAYS)?,
    };
    let pieces = made.pieces()?;
    if made.is_apart {
        pieces::data_directory(&made.data_dir, daemon)?;
    }
    pieces::make(&made.root, &pieces, daemon)?;
    let told = made.told(&asked.dir);
    terminal::print(told.trim_end())?;
    Ok(())
}

/// The daemon's user, if it is not the one who runs this command.
fn daemon_user(name: Option<&str>) -> Result<Option<User>> {
    let Some(name) = name else {
        return Ok(None);
    };
    let user = users::named(name)?;
    let own = rustix::process::geteuid();
    if user.id == own.as_raw() {
        return Ok(None);
    }
    if !own.is_root() {
        bail!(
            "files for user `{name}` are made by root alone: run this with sudo, or leave --user out"
        );
    }
    Ok(Some(user))
}

/// The names and addresses of the daemon; contexts contain the first.
fn hosts(asked: Vec<Host>, listen: SocketAddr) -> Result<Vec<Host>> {
    if listen.port() == 0 {
        bail!("`{listen}` has no port: name one, as 127.0.0.1:7070");
    }
    let mut hosts = asked;
    if !listen.ip().is_unspecified() {
        hosts.push(listen.ip().to_string().parse()?);
    }
    for usual in ["localhost", "127.0.0.1", "::1"] {
        hosts.push(usual.parse()?);
    }
    // A machine without a name that DNS could know has the others.
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    hosts.extend(own.trim().parse::<Host>());
    let mut known: Vec<Host> = Vec::new();
    for host in hosts {
        if !known.contains(&host) {
            known.push(host);
        }
    }
    Ok(known)
}

/// An installation to create.
struct Made {
    root: PathBuf,
    data_dir: PathBuf,
    /// True if the data directory is outside of the installation.
    is_apart: bool,
    listen: SocketAddr,
    hosts: Vec<Host>,
    people: Vec<Person>,
    user: Option<String>,
    validity: Validity,
}

impl Made {
    fn url(&self, host: &Host) -> String {
        format!("https://{}:{}", host.in_url(), self.listen.port())
    }

    fn endpoint(&self) -> String {
        self.hosts
            .first()
            .map(|host| self.url(host))
            .unwrap_or_default()
    }

    /// All files, the configuration last: no daemon starts from here before.
    fn pieces(&self) -> Result<Vec<Piece>> {
        use Readers::{Daemon, DaemonAlone, Nobody};
        let hosts: Vec<_> = self.hosts.iter().map(|host| host.0.clone()).collect();
        let signed = authority::sign("Lanyard, made by lanyardd init", &hosts, self.validity)?;
        let (agents, people) = (SigningKey::generate()?, SigningKey::generate()?);
        let mut pieces = vec![
            Piece::directory("tls", Daemon),
            Piece::file("tls/server.pem", signed.certificate, Daemon),
            Piece::file("tls/server.key", signed.key.as_bytes(), Daemon),
            Piece::file("agents.jwks.json", agents.jwks("first-day"), Daemon),
            Piece::file("people.jwks.json", people.jwks("first-day"), Daemon),
            Piece::directory("charters", Daemon),
            Piece::file(
                "charters/ticket-router.yaml",
                include_str!("installation/ticket-router.yaml"),
                Daemon,
            ),
            Piece::directory("contexts", Nobody),
            Piece::file("contexts/ca.pem", signed.authority, Nobody),
            Piece::file("contexts/agents.key", agents.pkcs8.as_slice(), Nobody),
            Piece::file("contexts/people.key", people.pkcs8.as_slice(), Nobody),
        ];
        pieces.extend(self.contexts());
        if !self.is_apart {
            pieces.push(Piece::directory("data", DaemonAlone));
        }
        if !self.has_packaged_unit() {
            pieces.push(Piece::file("lanyardd.service", self.unit()?, Nobody));
        }
        pieces.push(Piece::file("lanyardd.yaml", self.config(), Daemon));
        Ok(pieces)
    }

    fn contexts(&self) -> Vec<Piece> {
        let endpoint = self.endpoint();
        let caller = |issuer, key_file| Caller {
            endpoint: &endpoint,
            // `lanyardd init` configures no `kill_listen`.
            kill_endpoint: None,
            ca_file: "ca.pem",
            key_file,
            kid: "first-day",
            issuer,
            audience: AUDIENCE,
        };
        let file = |name: &str, text: String| {
            Piece::file(format!("contexts/{name}.json"), text, Readers::Nobody)
        };
        let (agents, people) = (caller(AGENTS, "agents.key"), caller(PEOPLE, "people.key"));
        let mut contexts = vec![file(AGENT.0, agents.context(AGENT.1, &[]))];
        for person in &self.people {
            let groups: Vec<_> = person.roles.iter().map(|role| role.group()).collect();
            contexts.push(file(&person.name, people.context(&person.name, &groups)));
        }
        contexts
    }

    fn config(&self) -> String {
        let others = self.hosts.iter().skip(1).map(|host| self.url(host));
        let data_dir = if self.is_apart {
            serde_json::Value::from(self.data_dir.to_string_lossy()).to_string()
        } else {
            "data".to_owned()
        };
        let others = serde_json::Value::from_iter(others).to_string();
        // From the last to the first, so that nothing is looked for in what was put in.
        include_str!("installation/lanyardd.yaml")
            .replacen("ORIGINS", &others, 1)
            .replacen("ISSUER", &self.endpoint(), 1)
            .replacen("LISTEN", &self.listen.to_string(), 1)
            .replacen("DATA_DIR", &data_dir, 1)
    }

    fn unit(&self) -> Result<String> {
        let own = users::name_of(rustix::process::geteuid().as_raw());
        let program = std::env::current_exe().context("the path of this program is not known")?;
        let runs = Runs {
            user: self.user.as_deref().unwrap_or(&own),
            program: &program,
            config: &self.root.join("lanyardd.yaml"),
            data_dir: &self.data_dir,
        };
        Ok(runs.unit())
    }

    /// True if the package's unit is for this installation.
    fn has_packaged_unit(&self) -> bool {
        let config = self.root.join("lanyardd.yaml");
        std::fs::read_to_string(PACKAGED_UNIT)
            .is_ok_and(|unit| unit.contains(&format!("--config {}\n", config.display())))
    }

    /// The report of what was made, with the next three commands. The directory is named as on the
    /// command line.
    fn told(&self, dir: &Path) -> String {
        let people = self.people.iter().map(|person| {
            let roles: Vec<_> = person.roles.iter().map(|role| Role::word(*role)).collect();
            format!(
                "                    {}: {}\n",
                person.name,
                roles.join(", ")
            )
        });
        let people: String = people.collect();
        let hosts: Vec<_> = self.hosts.iter().map(|host| host.0.as_str()).collect();
        let hosts = hosts.join(", ");
        let (until, shown) = (self.validity.until, dir.display());
        let data = if self.is_apart {
            format!("{}\n                    ", self.data_dir.display())
        } else {
            "data/             ".to_owned()
        };
        let unit = if self.has_packaged_unit() {
            String::new()
        } else {
            "  lanyardd.service  a unit for systemd: copy it to /etc/systemd/system\n".to_owned()
        };
        let config = word(&dir.join("lanyardd.yaml"));
        let agent = word(&dir.join("contexts").join(format!("{}.json", AGENT.0)));
        let mut whoami = format!("lanyard --context {agent} whoami");
        let (check, serve) = match &self.user {
            None => (
                format!("lanyardd check --config {config}"),
                format!("lanyardd serve --config {config}"),
            ),
            Some(user) => {
                whoami.insert_str(0, "sudo ");
                let start = if self.has_packaged_unit() {
                    "systemctl enable --now lanyardd".to_owned()
                } else {
                    format!(
                        "systemctl enable --now {}",
                        word(&self.root.join("lanyardd.service"))
                    )
                };
                (
                    format!("sudo -u {user} lanyardd check --config {config}"),
                    format!("sudo {start}"),
                )
            }
        };
        format!(
            "Made an installation in {shown}:\n\
             \u{20} lanyardd.yaml     the configuration\n\
             \u{20} charters/         ticket-router.yaml, an example to be changed\n\
             \u{20} tls/              a certificate until {until} for\n\
             \u{20}                   {hosts}\n\
             \u{20} contexts/         who asks:\n\
             \u{20}                   {}: an agent\n{people}\
             \u{20} {data}the journal and keys of the daemon\n\
             {unit}\
             \n\
             Whoever holds contexts/people.key can be any of these people, and whoever\n\
             holds contexts/agents.key any agent: they are for the first day. A login\n\
             replaces them: docs/how-to/log-in.md\n\
             \n\
             Next:\n\
             \u{20} {check}\n\
             \u{20} {serve}\n\
             \u{20} {whoami}\n",
            AGENT.0
        )
    }
}

/// Quotes a path for a shell.
fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
