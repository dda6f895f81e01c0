//! Measurements, printed as ratios within one run if there is something to compare with. None of
//! them is a test.

mod chaos;
mod decide;
mod deliver;
mod echo;
mod flood;
mod issue;
mod kill;
mod lint;
mod providers;
mod sweep;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Decisions a second, by the number of charters.
    Decide,
    /// Identities verified a second, by kind, beside the bare signature check.
    Verify,
    /// Lint of a thousand charters, beside a plain parse.
    Lint,
    /// A credential for a tool: cold, minted, cached; `cargo xtask bench deliver` starts the
    /// servers.
    Deliver,
    /// Tokens that lanyardd issues a second, compared with a bare echo.
    Issue {
        /// Seconds that each server is measured
        #[arg(long, default_value_t = 8)]
        seconds: u64,
    },
    /// A flood by one agent: how soon its breaker trips, and the effect on others.
    Flood {
        /// Seconds that the flood lasts
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Mints and revocations through the broker, compared with the same calls without it; `cargo
    /// xtask bench providers` starts the servers.
    Providers,
    /// Many Kubernetes leases killed at once, compared with bare deletions; `cargo xtask bench
    /// sweep` starts the API server.
    Sweep {
        /// Number of live leases
        #[arg(default_value_t = 10_000)]
        leases: usize,
    },
    /// Fences with an idle and a full ledger, a kill of everything, a start, and the memory of a
    /// lease.
    Kill {
        /// Number of live leases
        leases: usize,
        /// Keep the data in this directory; otherwise it is removed
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// A start from the data that `kill --keep` left
    Start {
        /// Directory that holds the data
        directory: PathBuf,
    },
    /// Floods by strangers and by a chartered agent, and the effect on others; `cargo xtask chaos`
    /// builds it.
    Chaos(chaos::Arguments),
    /// Run one flood, in a process of its own
    #[command(hide = true)]
    FloodOf(chaos::FloodArguments),
    /// The bare echo server
    #[command(hide = true)]
    Echo {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        directory: PathBuf,
        #[arg(long)]
        sign: bool,
    },
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match Arguments::parse().what {
        What::Decide => decide::run(),
        What::Deliver => deliver::run(),
        What::Lint => lint::run(),
        What::Verify => verify::run(),
        What::Issue { seconds } => runtime.block_on(issue::run(seconds)),
        What::Flood { seconds } => runtime.block_on(flood::run(seconds)),
        What::Kill { leases, keep } => runtime.block_on(kill::run(leases, keep)),
        What::Providers => runtime.block_on(providers::run()),
        What::Sweep { leases } => runtime.block_on(sweep::run(leases)),
        What::Chaos(arguments) => runtime.block_on(chaos::run(arguments)),
        What::FloodOf(arguments) => runtime.block_on(chaos::flood(arguments)),
        What::Start { directory } => kill::start(&directory),
        What::Echo {
            listen,
            directory,
            sign,
        } => runtime.block_on(echo::run(listen, &directory, sign)),
    }
}

/// Returns the current time, for the measurement of a span.
#[expect(clippy::disallowed_methods, reason = "a measurement measures")]
fn stopwatch() -> std::time::Instant {
    std::time::Instant::now()
}
