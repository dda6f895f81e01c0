//! The agent itself: listens on the socket and on loopback until it is told to end, or its socket is gone.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::serve::Listener;
use lanyard_client::ClientError;
use lanyard_proto::agent::v1::agent_service_server::AgentServiceServer;
use tokio::net::unix::SocketAddr;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::endpoint;
use crate::forward;
use crate::place::{Place, remove};
use crate::service::Agent;
use crate::shared::Shared;
use crate::tasks::Tasks;
use crate::tokens::Endpoint;

/// How often it is looked whether the socket is still there.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long the credentials may take that are given back at the end.
///
/// # Limit
/// - for: a local agent that ends
/// - unit: time
/// - beyond: the local agent ends, says so, and what is not given back ends with its time
/// - test: `a_broker_that_does_not_answer_holds_up_no_end`
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is no place for its socket.
    #[error("there is no place for a socket: set HOME, XDG_RUNTIME_DIR or LANYARD_STATE")]
    Homeless,
    /// Its socket, or what is beside it, cannot be used.
    #[error("{path}: {source}")]
    Place {
        /// The file, the folder or the address.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It cannot keep its memory to itself.
    #[error("the system does not keep this process's memory to itself: {0}")]
    Exposed(io::Error),
}

/// How it is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long without a word of the broker credentials are handed out; at least [`crate::FRESH_AT_LEAST`].
    pub fresh: Duration,
}

/// Runs the agent until it ends. Whether it ran: another one may be there already.
///
/// # Errors
/// See [`AgentError`].
pub async fn run(place: Place, options: Options) -> Result<bool, AgentError> {
    crate::harden().map_err(AgentError::Exposed)?;
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| AgentError::Place { path, source }
    };
    place.prepare().map_err(at(place.socket()))?;
    let Some(_lock) = place.lock().map_err(at(&place.beside("agent.lock")))? else {
        return Ok(false);
    };
    let listener = listen(place.socket()).map_err(at(place.socket()))?;
    let mine = identity(place.socket()).map_err(at(place.socket()))?;
    let loopback = TcpListener::bind("127.0.0.1:0").await;
    let loopback = loopback.map_err(at(Path::new("127.0.0.1")))?;
    let address = loopback.local_addr().map_err(at(Path::new("127.0.0.1")))?;
    let shared = Arc::new(Shared {
        tasks: Tasks::new(options.fresh),
        endpoint: Endpoint::new(address, place.clone()),
        started: now(),
        stop: Notify::new(),
    });
    let calls = tonic::service::Routes::new(AgentServiceServer::new(Agent(Arc::clone(&shared))))
        .into_axum_router()
        .fallback(axum::routing::any(forward::forward).with_state(Arc::clone(&shared)));
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move { axum::serve(listener, calls).await });
    let http = endpoint::router(Arc::clone(&shared));
    serving.spawn(async move { axum::serve(loopback, http).await });
    if let Some(why) = place.passed_over() {
        eprintln!("lanyard: the folder of XDG_RUNTIME_DIR is not used: {why}");
    }
    eprintln!(
        "lanyard: the local agent listens at {}",
        place.socket().display()
    );
    until_the_end(&shared, &place, mine).await;
    for line in not_given_back(shared.tasks.end()).await {
        eprintln!("lanyard: not given back, it ends with its time: {line}");
    }
    shared.endpoint.close();
    if identity(place.socket()).is_ok_and(|it| it == mine)
        && let Err(error) = std::fs::remove_file(place.socket())
    {
        eprintln!(
            "lanyard: {} cannot be removed: {error}",
            place.socket().display()
        );
    }
    Ok(true)
}

/// Why something is not given back, once all is or the time is over.
async fn not_given_back(giving: impl Future<Output = Vec<ClientError>>) -> Vec<String> {
    match tokio::time::timeout(GIVE_BACK_TIMEOUT, giving).await {
        Ok(faults) => faults.iter().map(ClientError::to_string).collect(),
        Err(_) => {
            let seconds = GIVE_BACK_TIMEOUT.as_secs();
            vec![format!("the broker does not answer within {seconds} s")]
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is shown to people; nothing is decided by it"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Which file that is.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

async fn until_the_end(shared: &Shared, place: &Place, mine: (u64, u64)) {
    let told = async {
        match (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) {
            (Ok(mut term), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            // Without signals it is ended by its socket.
            _ => std::future::pending().await,
        }
    };
    let gone = async {
        // Nobody finds an agent whose socket is gone.
        while identity(place.socket()).is_ok_and(|it| it == mine) {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::select! {
        () = told => {}
        () = gone => {}
        () = shared.stop.notified() => {}
    }
}

/// The socket of an agent that is gone is taken over: its lock is ours.
fn listen(path: &Path) -> io::Result<OwnPeers> {
    remove(path)?;
    Ok(OwnPeers(UnixListener::bind(path)?))
}

/// Connections of this user's processes; those of anybody else are closed.
struct OwnPeers(UnixListener);

impl Listener for OwnPeers {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.0).await;
            let own = rustix::process::geteuid().as_raw();
            if stream.peer_cred().is_ok_and(|peer| peer.uid() == own) {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_does_not_answer_holds_up_no_end() {
        let refused = async { vec![ClientError::Unavailable("gone".to_owned())] };
        assert_eq!(
            not_given_back(refused).await,
            ["the broker is not available: gone"]
        );
        let silent = not_given_back(std::future::pending()).await;
        assert_eq!(silent, ["the broker does not answer within 5 s"]);
    }
}
