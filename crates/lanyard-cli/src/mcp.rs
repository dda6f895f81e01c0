//! `lanyard mcp`: the MCP server of one client. Stdout is the protocol alone.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use async_trait::async_trait;
use clap::Args;
use lanyard_agent::Connection;
use lanyard_mcp::{AgentConnection, AgentConnector, Program, Settings, TasksAtEnd};
use tokio::fs::File;
use tokio::signal::unix::{SignalKind, signal};
use tonic::Status;

use crate::Global;
use crate::outcome::Outcome;
use crate::terminal::say;

#[derive(Args)]
pub(crate) struct Mcp {
    /// Leave the tasks open that were opened for the client when it goes: they end by themselves.
    #[arg(long)]
    keep_tasks: bool,
}

/// The way to the local agent. The context is looked for when something is asked: a client without
/// one is told so as an answer.
struct Local(Global);

#[async_trait]
impl AgentConnector for Local {
    async fn connect(&self) -> Result<AgentConnection, Status> {
        let context = self.0.context().map_err(|none| {
            let (_, line) = none.told();
            Status::unauthenticated(line.unwrap_or_default())
        })?;
        let program = std::env::current_exe()?;
        let connected = Connection::open(&program, Some(&context)).await;
        let connected = connected.map_err(|error| Status::unavailable(error.to_string()))?;
        let (channel, context) = connected.into_parts();
        Ok(AgentConnection { channel, context })
    }
}

pub(crate) async fn run(global: &Global, asked: &Mcp) -> Result<(), Outcome> {
    lanyard_agent::harden().map_err(|error| {
        Outcome::usage(format!(
            "cannot disable core dumps and ptrace for this process: {error}"
        ))
    })?;
    let settings = Settings {
        program: Program::of(words(global)?),
        tasks_at_end: if asked.keep_tasks {
            TasksAtEnd::Keep
        } else {
            TasksAtEnd::Close
        },
    };
    let streams =
        streams().map_err(|error| Outcome::usage(format!("no input or no output: {error}")))?;
    let (stopped, stop) = tokio::sync::oneshot::channel();
    let signals = async move {
        match stopped_by().await {
            Some(signal) => drop(stopped.send(signal)),
            None => std::future::pending().await,
        }
    };
    let served = lanyard_mcp::serve(Local(global.clone()), settings, streams, signals).await;
    let ending = served.map_err(|error| Outcome::usage(error.to_string()))?;
    for (task, why) in ending.left {
        let line = format!("{task} was not closed, and ends by itself: {why}");
        say(format_args!("lanyard: {}", crate::text::line(&line)));
    }
    match stop.await {
        // Whatever still reads standard input would hold the process up.
        Ok(signal) => std::process::exit(128 + signal.as_raw_value()),
        Err(_) => Ok(()),
    }
}

/// Returns the command line of this program, as the model's shell finds it, for the same context.
fn words(global: &Global) -> Result<Vec<String>, Outcome> {
    let own = crate::agent::program()?;
    let found = crate::words::on_path("lanyard");
    let is_found = found.and_then(|found| found.canonicalize().ok()) == own.canonicalize().ok();
    let program = if is_found { Path::new("lanyard") } else { &own };
    let mut words = vec![program.display().to_string()];
    if let Some(asked) = &global.context {
        // One that is not there yet is named as it was asked for.
        let context = global.context().unwrap_or_else(|_| asked.clone());
        let absolute = std::path::absolute(&context).unwrap_or(context);
        words.extend(["--context".to_owned(), absolute.display().to_string()]);
    }
    Ok(words)
}

/// Without what buffers lines in between.
fn streams() -> io::Result<(File, File)> {
    let own = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned();
    let file = |stream| Ok::<_, io::Error>(File::from_std(own(stream)?.into()));
    Ok((file(&io::stdin())?, file(&io::stdout())?))
}

/// The signal that asks it to end, whenever it comes.
async fn stopped_by() -> Option<SignalKind> {
    let mut terminate = signal(SignalKind::terminate()).ok()?;
    let mut interrupt = signal(SignalKind::interrupt()).ok()?;
    let mut hangup = signal(SignalKind::hangup()).ok()?;
    tokio::select! {
        _ = terminate.recv() => Some(SignalKind::terminate()),
        _ = interrupt.recv() => Some(SignalKind::interrupt()),
        _ = hangup.recv() => Some(SignalKind::hangup()),
    }
}
