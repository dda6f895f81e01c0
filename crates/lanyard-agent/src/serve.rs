//! Running the local agent: listens on the socket and on loopback until it is stopped or its socket
//! is gone.

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
use crate::service::Agent;
use crate::shared::Shared;
use crate::socket::{AgentSocket, remove};
use crate::tasks::Tasks;
use crate::tokens::Endpoint;

/// Interval at which the local agent checks that its socket still exists.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Time for releasing all credentials when the local agent ends.
///
/// # Limit
/// - for: a local agent that ends
/// - unit: time
/// - beyond: the local agent ends and lists the credentials that were not released; they live until
///   they expire
/// - test: `a_silent_broker_does_not_delay_the_end`
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The local agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No environment variable names a folder for the socket.
    #[error("no folder for the local agent's socket: set HOME, XDG_RUNTIME_DIR or LANYARD_STATE")]
    Homeless,
    /// The socket or a file beside it cannot be used.
    #[error("cannot use `{path}`: {source}")]
    Socket {
        /// The file, folder or address.
        path: PathBuf,
        /// The system's I/O error.
        source: io::Error,
    },
    /// Core dumps and access by other processes cannot be disabled.
    #[error("cannot disable core dumps and ptrace for this process: {0}")]
    Exposed(io::Error),
}

/// Options of the local agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest silence of the broker during which cached credentials are handed out; at least
    /// [`crate::MIN_FRESH_TIME`].
    pub fresh: Duration,
}

/// Runs the local agent until it ends. Returns false if another one runs already.
///
/// # Errors
/// See [`AgentError`].
pub async fn run(place: AgentSocket, options: Options) -> Result<bool, AgentError> {
    crate::harden().map_err(AgentError::Exposed)?;
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| AgentError::Socket { path, source }
    };
    place.prepare().map_err(at(place.socket()))?;
    // The lock comes before the socket: only its holder may replace a socket that is left over.
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
        eprintln!("lanyard: a credential was not released and lives until it expires: {line}");
    }
    shared.endpoint.close();
    if identity(place.socket()).is_ok_and(|it| it == mine)
        && let Err(error) = std::fs::remove_file(place.socket())
    {
        eprintln!(
            "lanyard: cannot remove `{}`: {error}",
            place.socket().display()
        );
    }
    Ok(true)
}

/// Returns a line for each credential that could not be released in time.
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
    reason = "the time is only shown to people; no decision depends on it"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Returns device and inode, which identify the socket even if another one takes its path.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

async fn until_the_end(shared: &Shared, place: &AgentSocket, mine: (u64, u64)) {
    let signalled = async {
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
            // Without signal handlers, the local agent ends when its socket is removed.
            _ => std::future::pending().await,
        }
    };
    let gone = async {
        // A client finds the local agent by its socket, so without one the local agent is useless.
        while identity(place.socket()).is_ok_and(|it| it == mine) {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::select! {
        () = signalled => {}
        () = gone => {}
        () = shared.stop.notified() => {}
    }
}

/// Binds the socket. A left-over socket is replaced, which is safe because this process holds the
/// lock.
fn listen(path: &Path) -> io::Result<OwnPeers> {
    remove(path)?;
    Ok(OwnPeers(UnixListener::bind(path)?))
}

/// Accepts connections of this user's processes, and closes those of others.
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
    async fn a_silent_broker_does_not_delay_the_end() {
        let refused = async { vec![ClientError::Unavailable("gone".to_owned())] };
        assert_eq!(
            not_given_back(refused).await,
            ["the broker is not available: gone"]
        );
        let silent = not_given_back(std::future::pending()).await;
        assert_eq!(silent, ["the broker does not answer within 5 s"]);
    }
}
