//! Measures the daemon under two floods, one by strangers and one by a chartered agent, each of
//! which uses everything it is allowed. Prints the effect on other callers, kill orders, memory and
//! the journal, each figure beside its bound.
//!
//! The floods run in processes of their own with the lowest priority, so that the figures show the
//! daemon and not the load generators.

mod agent;
mod flood;
mod quiet;
mod stranger;
mod watched;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use lanyard_client::{Client, v1};
use lanyard_rig::Daemon;

use quiet::{Quiet, at};
use watched::{BROKER, Grown, Journal, Memory, Sampler, resident};

/// The most that the daemon's memory may rise above what it takes idle, in bytes.
const MEMORY_BOUND_BYTES: u64 = 256 << 20;
/// The most that one identity may add to the journal and its index per minute, in bytes.
const JOURNAL_BOUND_BYTES: u64 = 100_000;
/// The longest that a kill order may take to be durable, at p99.
const KILL_BOUND: Duration = Duration::from_millis(50);
/// The factor by which the p99 of other callers may rise under the floods.
const OTHERS_BOUND: f64 = 2.0;
/// The time without calls after which the daemon counts as idle.
const SETTLES: Duration = Duration::from_secs(5);
/// The time after the floods at which the journal is read: by then the daemon has ended what they
/// left.
const SETTLES_AFTER: Duration = Duration::from_secs(8);

const DEV_QUOTAS: &str = "quotas: {calls_at_once: 1000, records_per_minute: 1000000, records_per_minute_in_all: 1000000}\n";

/// The arguments of `chaos`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Minutes that the floods last
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// Seconds that the floods last, in place of the minutes, for a trial of the command
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of the choices that the floods make
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only one of the floods
    #[arg(long)]
    only: Option<Who>,
}

/// The floods that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    Stranger,
    Agent,
}

/// The arguments of the hidden command that runs one flood in a process of its own.
#[derive(Args)]
pub(crate) struct FloodArguments {
    who: Who,
    #[arg(long)]
    directory: std::path::PathBuf,
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    task: String,
}

/// Runs one flood to its end and prints how often each call was made, by its outcome.
pub(crate) async fn flood(arguments: FloodArguments) -> Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let FloodArguments {
        who,
        directory,
        seconds,
        seed,
        task,
    } = arguments;
    let flood = match who {
        Who::Stranger => stranger::flood(&directory, seconds, seed, &task).await?,
        Who::Agent => agent::flood(&directory, seconds, seed).await?,
    };
    flood.show(match who {
        Who::Stranger => "strangers",
        Who::Agent => "the agent",
    });
    Ok(())
}

/// A row of the printed table.
struct Figure {
    what: String,
    measured: String,
    bound: String,
    holds: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let seconds = arguments.seconds.unwrap_or(arguments.minutes * 60);
    let seed = arguments.seed;
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    write_charters(directory)?;
    // The people and contexts are those of `lanyardd dev`. The quotas are set to their defaults,
    // which this command measures.
    let daemon = Daemon::start(directory)?.serve_again(|config| config.replace(DEV_QUOTAS, ""))?;
    let data = directory.join("data");
    let mut quiet =
        Quiet::prepare(directory, &format!("https://{}", daemon.kill_address())).await?;
    let mut viewer = Client::connect(&directory.join("contexts/oncall.json")).await?;
    tokio::time::sleep(SETTLES).await;
    let idle = resident(daemon.process())?;
    let mut journal = Journal::of(&data);
    journal.grown(size(&mut viewer).await?)?;

    println!("seed {seed}; {seconds} s without floods, then {seconds} s with them");
    let sampler = Sampler::of(daemon.process());
    let without = quiet.measure(seconds).await?;
    let memory_without = sampler.end()?;
    let before = journal.grown(size(&mut viewer).await?)?;

    let sampler = Sampler::of(daemon.process());
    let floods = [Who::Stranger, Who::Agent]
        .into_iter()
        .filter(|who| arguments.only.is_none_or(|only| only == *who))
        .map(|who| Flooding::start(who, directory, (seconds, seed), &quiet.task()?))
        .collect::<Result<Vec<_>>>()?;
    let with = quiet.measure(seconds).await?;
    for flood in floods {
        flood.end()?;
    }
    tokio::time::sleep(SETTLES_AFTER).await;
    let memory = sampler.end()?;
    let grown = journal.grown(size(&mut viewer).await?)?;
    let after = resident(daemon.process())?;

    let mut figures = memory_figures(idle, memory_without, memory, after);
    figures.extend(journal_figures(&before, &grown, seconds));
    figures.extend(waits_figures(&without, &with));
    ensure!(show(&figures), "a bound is broken");
    Ok(())
}

fn write_charters(directory: &Path) -> Result<()> {
    let charters = directory.join("charters");
    std::fs::create_dir_all(charters.join("policies"))?;
    let flooded = include_str!("chaos/flooded.yaml");
    let below = flooded
        .replace("name: flooded\n", "name: flooded-below\n")
        .replace("  delegates: [flooded-below]\n", "")
        .replace("    formats: [terraform-json]\n    policies: [policies/talk.rego]\n", "")
        .replace(
            "      subject: agent:flood\n",
            "      subject: agent:flood\n    - issuer: https://agents.dev.lanyard.invalid\n      subject: agent:below\n",
        );
    std::fs::write(
        charters.join("others.yaml"),
        include_str!("chaos/charters.yaml"),
    )?;
    std::fs::write(charters.join("flooded.yaml"), flooded)?;
    std::fs::write(charters.join("flooded-below.yaml"), below)?;
    std::fs::write(
        charters.join("policies/talk.rego"),
        include_str!("chaos/talk.rego"),
    )?;
    Ok(())
}

/// Asks the daemon for the number of records in its journal.
async fn size(viewer: &mut Client) -> Result<u64> {
    let status = viewer.get_status(v1::GetStatusRequest {}).await?;
    Ok(status.journal_size)
}

/// A flood in a process of its own, which is killed when this is dropped.
struct Flooding(Child);

impl Flooding {
    fn start(who: Who, directory: &Path, (seconds, seed): (u64, u64), task: &str) -> Result<Self> {
        let who = who.to_possible_value().context("no name")?;
        let child = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe()?)
            .args(["flood-of", who.get_name(), "--directory"])
            .arg(directory)
            .args([
                "--seconds",
                &seconds.to_string(),
                "--seed",
                &seed.to_string(),
            ])
            .args(["--task", task])
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    fn end(mut self) -> Result<()> {
        let status = self.0.wait()?;
        ensure!(status.success(), "a flood ended with {status}");
        Ok(())
    }
}

impl Drop for Flooding {
    fn drop(&mut self) {
        // The flood may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

fn memory_figures(idle: u64, without: Memory, with: Memory, after: u64) -> Vec<Figure> {
    let above = with.daemon.saturating_sub(idle);
    vec![
        Figure {
            what: "highest memory of lanyardd above idle".to_owned(),
            measured: format!(
                "{} MiB (idle {}, without floods {}, with {}, afterwards {})",
                mebibytes(above),
                mebibytes(idle),
                mebibytes(without.daemon),
                mebibytes(with.daemon),
                mebibytes(after)
            ),
            bound: format!("{} MiB", mebibytes(MEMORY_BOUND_BYTES)),
            holds: above <= MEMORY_BOUND_BYTES,
        },
        Figure {
            what: "highest memory of all its judges".to_owned(),
            measured: format!("{} MiB", mebibytes(with.judges)),
            bound: "1024 MiB".to_owned(),
            holds: with.judges <= 1 << 30,
        },
    ]
}

/// Builds the figures for what each flood added to the journal per minute, with a share of the
/// index in proportion to its records.
fn journal_figures(before: &Grown, grown: &Grown, seconds: u64) -> Vec<Figure> {
    for ((who, kind), (count, bytes)) in &grown.kinds {
        if [agent::SUBJECT, agent::BELOW, BROKER].contains(&who.as_str())
            || who.starts_with("stranger")
        {
            println!(
                "  {who:<14} {kind:<16} {count:>6} records, {:>7} bytes each",
                bytes / count
            );
        }
    }
    let all: u64 = grown.kinds.values().map(|(count, _)| count).sum();
    let index = grown.index.saturating_sub(before.index);
    println!("  the index grew by {index} bytes for {all} records");
    // Quotas count per minute, so a shorter run counts as a whole minute.
    let minutes = (seconds as f64 / 60.0).max(1.0);
    let of = |is: &dyn Fn(&str) -> bool| {
        let own = grown.kinds.iter().filter(|((who, _), _)| is(who));
        let (count, bytes) = own.fold((0, 0), |(count, bytes), (_, (more, size))| {
            (count + more, bytes + size)
        });
        let index = index as f64 * count as f64 / (all.max(1)) as f64;
        ((bytes as f64 / minutes) as u64, (index / minutes) as u64)
    };
    let line = |what: &str, (bytes, index): (u64, u64)| Figure {
        what: format!("journal of {what} in a minute"),
        measured: format!("{bytes} bytes, and {index} of the index"),
        bound: format!("{JOURNAL_BOUND_BYTES} bytes"),
        holds: bytes + index <= JOURNAL_BOUND_BYTES,
    };
    vec![
        line("strangers", of(&|who| who.starts_with("stranger"))),
        line(
            "the agent",
            of(&|who| who == agent::SUBJECT || who == agent::BELOW),
        ),
    ]
}

fn waits_figures(without: &quiet::Waits, with: &quiet::Waits) -> Vec<Figure> {
    let ratio = at(&with.others, 99).as_secs_f64() / at(&without.others, 99).as_secs_f64();
    let waits = |waits: &[Duration]| {
        format!(
            "p50 {:.2?}, p99 {:.2?} of {}",
            at(waits, 50),
            at(waits, 99),
            waits.len()
        )
    };
    let kills = at(&with.kills, 99);
    vec![
        Figure {
            what: "kills that are durable, p99".to_owned(),
            measured: format!(
                "{} ({} not durable; without floods {})",
                waits(&with.kills),
                with.not_durable,
                waits(&without.kills)
            ),
            bound: format!("{KILL_BOUND:?}"),
            holds: kills <= KILL_BOUND && with.not_durable == 0,
        },
        Figure {
            what: "credentials of others, p99 with floods relative to without".to_owned(),
            measured: format!(
                "{ratio:.2} ({} to {}; {} and {} refused)",
                waits(&with.others),
                waits(&without.others),
                with.refused,
                without.refused
            ),
            bound: format!("{OTHERS_BOUND}"),
            holds: ratio <= OTHERS_BOUND && with.refused == 0,
        },
        Figure {
            what: "plan reads of a person that fail".to_owned(),
            measured: format!(
                "{} of {} ({}; without floods {})",
                with.unread,
                with.reads.len(),
                waits(&with.reads),
                waits(&without.reads)
            ),
            bound: "0".to_owned(),
            holds: with.unread == 0,
        },
    ]
}

/// Prints the table and returns whether every bound holds.
fn show(figures: &[Figure]) -> bool {
    for Figure {
        what,
        measured,
        bound,
        holds,
    } in figures
    {
        let word = if *holds { "ok  " } else { "OVER" };
        println!("{word} {what}: {measured}; bound {bound}");
    }
    figures.iter().all(|figure| figure.holds)
}
