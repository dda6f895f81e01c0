//! The daemon as a library: reads its configuration, wires the parts together, listens. The program
//! `lanyardd` is its [`main`] and an allocator.

mod address;
mod apart;
mod asked_scope;
mod backup;
mod bounds;
mod broker;
mod callers;
mod causes;
mod charters;
mod check;
mod config;
mod data_dir;
mod description;
mod dev;
mod drill;
mod exchange;
mod fault;
mod fields;
mod freshness;
mod gated;
mod hooks;
mod http;
mod identity;
mod installation;
mod issuing;
mod judge;
mod key_set;
mod kill_plane;
mod kinds;
mod lanes;
mod listen;
mod local;
mod machine;
mod metrics;
mod newcomers;
mod oauth_form;
mod pages;
mod peer;
mod plane;
mod plans;
mod quotas;
mod readings;
mod refusal;
mod refused;
mod request_bodies;
mod router;
mod rpc;
mod scrapers;
mod shares;
mod signals;
mod signed_message;
mod signing_keys;
mod spool;
mod status_lists;
mod switch;
mod targets;
mod terminal;
mod tls;
mod unusable;
mod urls;
mod values;
mod watches;
mod wire;
mod within;
mod witness;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};
use rustix::fs::Mode;

pub use kinds::Kinds;
pub use machine::Machine;
pub use within::Daemon;

/// The credential broker for AI agents.
#[derive(Parser)]
#[command(name = "lanyardd", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve with this configuration.
    Serve {
        /// The daemon's configuration file.
        #[arg(long, env = "LANYARDD_CONFIG")]
        config: PathBuf,
    },
    /// Serve on loopback with an issuer, people and charters of its own, made on the first start.
    Dev {
        /// The directory in which everything is kept.
        #[arg(long)]
        data_dir: PathBuf,
        /// The address to listen on; loopback only.
        #[arg(long, default_value = "127.0.0.1:7070", value_parser = address::parse)]
        listen: std::net::SocketAddr,
        /// An address of the kill plane; loopback only.
        #[arg(long, value_parser = address::parse)]
        kill_listen: Option<std::net::SocketAddr>,
        /// A file of further targets, in the form of `targets` in a configuration.
        #[arg(long)]
        targets: Option<PathBuf>,
    },
    /// Make an installation: configuration, certificate, keys, contexts and a unit for systemd.
    Init(installation::Init),
    /// Read the configuration and everything that it names, and change nothing.
    Check {
        /// The daemon's configuration file.
        #[arg(long, env = "LANYARDD_CONFIG")]
        config: PathBuf,
    },
    /// Copy the data directory into a new folder, while a daemon runs or none does, and verify it.
    Backup {
        /// The configuration file.
        #[arg(long, env = "LANYARDD_CONFIG")]
        config: PathBuf,
        /// The folder in which each backup gets a folder of its own.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        /// Keep this many backups, and remove the oldest ones.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
        keep: Option<u32>,
    },
    /// Copy a backup into an empty data directory, whose first start stops everything.
    Restore {
        /// The configuration file.
        #[arg(long, env = "LANYARDD_CONFIG")]
        config: PathBuf,
        /// The folder of the backup.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Judge one plan: the daemon starts this for itself.
    #[command(hide = true)]
    Judge,
    /// Write the manual pages of all commands.
    #[command(hide = true)]
    Man {
        /// The folder to write into.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Print what a shell needs to complete commands.
    #[command(hide = true)]
    Completion {
        /// The shell that gets the completions.
        shell: clap_complete::Shell,
    },
    /// Stop a scope from this machine, whether or not a daemon runs.
    Kill {
        /// The daemon's configuration file.
        #[arg(long, env = "LANYARDD_CONFIG")]
        config: PathBuf,
        #[command(flatten)]
        kill: local::LocalKill,
    },
}

/// The exit code while revocations are not confirmed.
const UNCONFIRMED: u8 = 8;
/// The exit code of an order that reaches nothing.
const REACHES_NOTHING: u8 = 10;

/// Runs the command line of `lanyardd`, and returns the exit code of the process.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => run(arguments.command).unwrap_or_else(|error| fault::told(&error)),
        Err(error) => terminal::tell_unread(&error),
    }
}

fn run(command: Command) -> Result<ExitCode> {
    log(&command);
    leave_no_core()?;
    // Whatever this process writes, nobody else reads.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    choose_cryptography();
    match command {
        Command::Serve { config } => serve(&config)?,
        Command::Dev {
            data_dir,
            listen,
            kill_listen,
            targets,
        } => serve(&dev::prepare(
            &data_dir,
            listen,
            kill_listen,
            targets.as_deref(),
        )?)?,
        Command::Init(asked) => installation::run(asked)?,
        Command::Check { config } => runtime()?.block_on(check::run(&config))?,
        Command::Backup { config, into, keep } => backup::print_taken(&config, &into, keep)?,
        Command::Restore { config, from } => backup::print_restored(&config, &from)?,
        Command::Schema => pages::schema()?,
        Command::Judge => judge::answer()?,
        Command::Man { out } => pages::manual(Arguments::command(), &out)?,
        Command::Completion { shell } => pages::completion(Arguments::command(), shell)?,
        Command::Kill { config, kill } => {
            let config = config::load(&config)?;
            match runtime()?.block_on(local::run(&config, kill))? {
                local::Ended::Confirmed => {}
                local::Ended::Unconfirmed => return Ok(UNCONFIRMED.into()),
                local::Ended::ReachesNothing => return Ok(REACHES_NOTHING.into()),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A daemon logs in JSON. Whoever types a command reads what became of it, and not the log of a
/// daemon.
fn log(command: &Command) {
    let (level, by_hand) = match command {
        Command::Serve { .. } | Command::Dev { .. } | Command::Judge => ("info", false),
        Command::Kill { .. } => ("error", true),
        Command::Backup { .. }
        | Command::Restore { .. }
        | Command::Check { .. }
        | Command::Init(_)
        | Command::Schema
        | Command::Man { .. }
        | Command::Completion { .. } => ("off", true),
    };
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("LANYARDD_LOG")
                .unwrap_or_else(|_| level.into()),
        );
    if by_hand {
        log.compact().with_ansi(false).init();
    } else {
        log.json().init();
    }
}

/// A core file, or another process of the same user that looks into this one, would show secrets
/// (T49).
fn leave_no_core() -> Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

fn serve(config: &std::path::Path) -> Result<()> {
    let config = config::load(config)?;
    data_dir::prepare(&config.data_dir)?;
    let (machine, lifetime) = (Machine::default(), wire::Lifetime::of_process());
    runtime()?.block_on(wire::serve(config, &machine, lifetime))
}

/// A provider of cryptography for every TLS client and server of this process; the first one stays.
fn choose_cryptography() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
