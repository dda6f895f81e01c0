//! `lanyard agent`.

use std::time::Duration;

use clap::Subcommand;
use lanyard_agent::{AgentSocket, Connection, ConnectionError, MIN_FRESH_TIME, Options};
use lanyard_client::ClientError;
use lanyard_proto::agent::v1;
use lanyard_vocabulary::time::Ttl;

use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::table::{Rows, key, prose, whole};
use crate::terminal::say;
use crate::{Global, span};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run it here. The commands that need it start it by themselves.
    Run {
        /// The time for which credentials are handed out without a word of the broker: `20s`, `5m`,
        /// an hour at most.
        #[arg(long, value_name = "SPAN", default_value = "20s", value_parser = fresh)]
        fresh_for: Ttl,
        /// Leave the terminal that it was started from.
        #[arg(long, hide = true)]
        detach: bool,
    },
    /// Show the tasks and credentials that the local agent keeps; nothing that is secret.
    Status,
    /// Print where HTTP clients get the credentials of a task: a URL on loopback, and the file with
    /// the token that they show.
    Endpoint {
        /// The id of the task that gets credentials.
        #[arg(long, env = "LANYARD_TASK")]
        task: String,
    },
    /// Have it give everything back, forget it, and end.
    Stop,
}

impl From<ConnectionError> for Outcome {
    fn from(error: ConnectionError) -> Self {
        Self::usage(error.to_string())
    }
}

/// A span within the bounds of what keeps credentials.
fn fresh(text: &str) -> Result<Ttl, String> {
    let span = span::parse(text)?;
    let seconds = u64::from(span.as_secs());
    let (least, most) = (MIN_FRESH_TIME.as_secs(), 3600);
    if (least..=most).contains(&seconds) {
        return Ok(span);
    }
    Err(format!("`{text}` is not between {least}s and {most}s"))
}

/// The agent, for the calls of the context that is asked for; started where there is none.
pub(crate) async fn connect(global: &Global) -> Result<Connection, Outcome> {
    let context = global.context()?;
    Ok(Connection::open(&program()?, Some(&context)).await?)
}

/// Returns the path of this program, which tools are told to run.
pub(crate) fn program() -> Result<std::path::PathBuf, Outcome> {
    let own = std::env::current_exe().map(|own| {
        // A newer one has been put in its place meanwhile (proc(5)).
        let name = own.to_string_lossy();
        let replaced = name
            .strip_suffix(" (deleted)")
            .map(std::path::PathBuf::from);
        replaced.filter(|it| it.exists()).unwrap_or(own)
    });
    own.map_err(|error| Outcome::usage(format!("this program does not know where it is: {error}")))
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Run { fresh_for, detach } => serve(fresh_for.as_duration(), detach).await,
        Command::Status => status(global).await,
        Command::Endpoint { task } => {
            let mut agent = connect(global).await?.agent();
            let opened = agent
                .open_endpoint(v1::OpenEndpointRequest { task_id: task })
                .await;
            let opened = opened.map_err(ClientError::from)?.into_inner();
            print_one(
                global.output,
                &[("url", opened.url), ("token_file", opened.token_file)],
            );
            Ok(())
        }
        Command::Stop => stop().await,
    }
}

async fn serve(fresh: Duration, detach: bool) -> Result<(), Outcome> {
    if detach && let Err(error) = rustix::process::setsid() {
        say(format_args!(
            "lanyard: the local agent ends with the terminal: {error}"
        ));
    }
    let homeless =
        "no folder for the local agent's socket: set HOME, XDG_RUNTIME_DIR or LANYARD_STATE";
    let place = AgentSocket::of_user().ok_or_else(|| Outcome::usage(homeless))?;
    match lanyard_agent::run(place, Options { fresh }).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            say("lanyard: there is a local agent already");
            Ok(())
        }
        Err(error) => Err(Outcome::usage(error.to_string())),
    }
}

async fn status(global: &Global) -> Result<(), Outcome> {
    let Some(connection) = Connection::existing(None).await else {
        return Err(Outcome::usage(
            "there is no local agent; it is started when it is needed",
        ));
    };
    let status = connection.agent().get_status(v1::GetStatusRequest {}).await;
    let status = status.map_err(ClientError::from)?.into_inner();
    let since = shown(status.start_time);
    global.hint(format_args!(
        "lanyard {} as process {}, since {since}",
        status.version, status.pid
    ));
    let mut rows = Rows::of([
        key("task"),
        key("lease"),
        whole("grant", 1),
        whole("expires", 2),
        whole("silent", 4),
        prose("stopped", 3, 12),
        prose("context", 5, 12),
    ]);
    for task in status.tasks {
        let silent = task.silent_for.unwrap_or_default().seconds;
        let row = |lease: v1::KeptLease| {
            let expires = shown(lease.expire_time);
            let silent = format!("{silent} s");
            [
                task.id.clone(),
                lease.id,
                lease.grant,
                expires,
                silent,
                task.stopped.clone(),
                task.context.clone(),
            ]
        };
        let none = || vec![v1::KeptLease::default()];
        let leases = if task.leases.is_empty() {
            none()
        } else {
            task.leases.clone()
        };
        leases.into_iter().for_each(|lease| rows.push(row(lease)));
    }
    rows.print(global.output);
    Ok(())
}

async fn stop() -> Result<(), Outcome> {
    let Some(connection) = Connection::existing(None).await else {
        say("there is no local agent");
        return Ok(());
    };
    let told = connection.agent().stop(v1::StopRequest {}).await;
    match told.map_err(ClientError::from) {
        // It may have ended before it could answer.
        Ok(_) | Err(ClientError::Unavailable(_)) => {}
        Err(error) => return Err(error.into()),
    }
    // The connection ends when it has given everything back.
    while Connection::existing(None).await.is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    say("the local agent has ended");
    Ok(())
}
